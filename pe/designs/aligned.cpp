// FIGNA and iFPU: fp16 activations of a group are aligned to its largest exponent at the array's
// edge and become integers; PEs multiply integers, one conversion to float at the end. FIGNA
// multiplies in one cycle, iFPU takes one bit of the weight a cycle and keeps wider mantissas.
// Sources: FIGNA (HPCA 2024), iFPU (ICLR 2023), through Anda (HPCA 2025); accelerators.md §6.5.
// NORMATIVE: quant::align, figna_dot, ifpu_dot.
#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/formats.hpp"
#include "quant/kernels/exact.hpp"
#include "quant/kernels/figna_dot.hpp"

namespace systole::pe::designs {
namespace {

/// Mantissa bits of iFPU: assumed, those of fp32; the source at hand only says wider than FIGNA's.
constexpr unsigned kIfpuMantissa = 24;

template <unsigned MantissaBits>
struct AlignedBase {
  using Sum = std::int64_t;
  static constexpr bool kZeroIsNeutral = true;
  static Decoded decode_activation(const ArrayCase& work, std::uint64_t group) {
    return decode_aligned(work.activation, work.shape.k, group, MantissaBits);
  }
  static Sum zero() { return 0; }
  static Sum add(Sum a, Sum b) { return a + b; }
  static ResultWord finish(Sum sum, int exponent) {
    return std::bit_cast<std::uint32_t>(quant::round_scaled(sum, exponent));
  }
};

struct Figna : AlignedBase<quant::kFignaMantissa> {
  using Weight = std::int32_t;
  using Activation = std::int32_t;
  static Weight weight(std::span<const Element> lanes, const Mode&, unsigned) {
    return lanes[0].integer;
  }
  static Activation activation(std::span<const Element> lanes, const Mode&, unsigned) {
    return lanes[0].integer;
  }
  static Sum mac(Sum sum, Weight weight, Activation activation) {
    return sum + std::int64_t{weight} * activation;
  }
};

/// +-2^b times the mantissa where bit b of the weight is set.
struct Ifpu : AlignedBase<kIfpuMantissa> {
  struct Word {
    std::int32_t value = 0;
    unsigned bits = 0;
    unsigned part = kWhole;
  };
  using Weight = Word;
  using Activation = Word;
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return {lanes[0].integer, quant::bits_of(mode.weight), part};
  }
  static Activation activation(std::span<const Element> lanes, const Mode&, unsigned part) {
    return {lanes[0].integer, 0, part};
  }
  static Sum mac(Sum sum, const Weight& weight, const Activation& activation) {
    const unsigned bit = weight.part != kWhole ? weight.part : activation.part;
    if (bit == kWhole || (weight.value >> bit & 1) == 0) return sum;
    const std::int64_t shifted = std::int64_t{activation.value} * (std::int64_t{1} << bit);
    return bit + 1 == weight.bits ? sum - shifted : sum + shifted;
  }
};

PeDesign make(std::string name, std::string summary, unsigned weight_bits, bool serial) {
  PeDesign design;
  design.name = std::move(name);
  design.summary = std::move(summary);
  design.source =
      "FIGNA (HPCA 2024), iFPU (ICLR 2023) through Anda (HPCA 2025); accelerators.md §6.5";
  design.kind = serial ? Arithmetic::bit_serial : Arithmetic::integer;
  design.accumulator = "int64, fp32 out";
  design.float_results = true;
  design.set_modes(every_pair(integers(2, weight_bits), {quant::Format::fp16}, [&](auto w, auto a) {
    return Mode{.weight = w, .activation = a, .weight_parts = serial ? quant::bits_of(w) : 1u};
  }));
  return design;
}

}  // namespace

std::vector<PeDesign> aligned() {
  std::vector<PeDesign> designs = {
      make("figna-w4", "integer MAC, weights up to 4 bits x aligned fp16 mantissas of 13 bits", 4,
           false),
      make("figna-w8", "integer MAC, weights up to 8 bits x aligned fp16 mantissas of 13 bits", 8,
           false),
      make("ifpu", "one bit of the weight a cycle x aligned fp16 mantissas of 24 bits", 8, true)};
  designs[0].engine = designs[1].engine = core::make<Figna>;
  designs[2].engine = core::make<Ifpu>;
  for (PeDesign& design : designs) {
    const bool wide = design.name == "ifpu";
    design.edge_units = {{EdgeSide::activation, wide ? "fp16_aligner_24" : "fp16_aligner_13"},
                         {EdgeSide::result, wide ? "fp32_rounder_52" : "fp32_rounder_40"}};
  }
  return designs;
}

}  // namespace systole::pe::designs
