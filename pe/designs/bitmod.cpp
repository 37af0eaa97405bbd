// BitMoD's term-serial PE: each weight is a few signed powers of two, four terms meet four FP16
// activations a cycle, group sums in fp32. Source: BitMoD (HPCA 2025, arXiv 2411.11745);
// accelerators.md §4.2. NORMATIVE: quant::bitmod_step, bitmod_group.
#include <array>

#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/formats.hpp"
#include "quant/kernels/bitmod_dot.hpp"
#include "quant/kernels/exact.hpp"

namespace systole::pe::designs {
namespace {

using quant::Format;

quant::TermCode term_code(Format format) {
  switch (format) {
    case Format::bitmod3:
      return quant::TermCode::fp3;
    case Format::bitmod4:
      return quant::TermCode::fp4;
    case Format::int5:
      return quant::TermCode::int5;
    case Format::int6:
      return quant::TermCode::int6;
    default:
      return quant::TermCode::int8;
  }
}

struct Terms : FloatBase {
  using Weight = std::array<quant::Term, 4>;
  using Activation = std::array<quant::Fp16, 4>;
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    const quant::TermCode code = term_code(mode.weight);
    const unsigned term = weight_part(mode, part);
    Weight word{};
    for (std::size_t i = 0; i < word.size(); ++i) {
      word[i] = quant::encode_terms(i < lanes.size() ? lanes[i].integer : 0, code)[term];
    }
    return word;
  }
  static Activation activation(std::span<const Element> lanes, const Mode&, unsigned) {
    Activation word{};
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      word[i] = quant::Fp16::from_bits(static_cast<std::uint16_t>(lanes[i].integer));
    }
    return word;
  }
  static Sum mac(Sum sum, const Weight& weight, const Activation& activation) {
    const quant::BitmodStep step = quant::bitmod_step(activation, weight);
    return sum + quant::round_scaled(step.sum, step.exponent);
  }
};

}  // namespace

std::vector<PeDesign> bitmod() {
  PeDesign design;
  design.name = "bitmod";
  design.summary =
      "four weight terms x four fp16 activations a cycle, fp32 group sums: FP3, FP4 in 2 "
      "cycles, INT5, INT6 in 3, INT8 in 4";
  design.source = "BitMoD, HPCA 2025, arXiv 2411.11745; accelerators.md §4.2";
  design.kind = Arithmetic::bit_serial;
  design.accumulator = "fp32";
  design.float_results = true;
  design.stages = 2;  // assumed: term alignment and tree, then the float accumulator
  design.dataflows = only(configs::Dataflow::output_stationary);
  design.set_modes(
      every_pair({Format::bitmod3, Format::bitmod4, Format::int5, Format::int6, Format::int8},
                 {Format::fp16}, [](auto w, auto a) {
                   return Mode{.weight = w,
                               .activation = a,
                               .depth = 4,
                               .weight_parts = quant::terms_of(term_code(w))};
                 }));
  design.engine = core::make<Terms>;
  return {design};
}

}  // namespace systole::pe::designs
