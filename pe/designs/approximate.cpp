// Multiplication as the addition of bit patterns (FPMA): fp16 x fp16, and AxCore's mixed form whose
// weight, an integer or FP4, is first aligned to fp16's fields. Sources: AxCore (MICRO 2025);
// accelerators.md §6.5. NORMATIVE: quant::fpma_multiply, fpma_dot.
#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/formats.hpp"
#include "quant/kernels/block_scaled_gemm.hpp"
#include "quant/kernels/fixed_point.hpp"

namespace systole::pe::designs {
namespace {

using quant::Format;

struct Fpma : FloatBase {
  using Weight = quant::Fp16;
  using Activation = quant::Fp16;
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned) {
    const auto code = static_cast<std::uint16_t>(lanes[0].integer);
    if (mode.weight == Format::fp16) return quant::Fp16::from_bits(code);
    if (mode.weight == Format::fp4_e2m1) {
      return quant::Fp16::encode(quant::element_value(mode.weight, code));
    }
    return quant::Fp16::encode(static_cast<float>(lanes[0].integer));
  }
  static Activation activation(std::span<const Element> lanes, const Mode&, unsigned) {
    return quant::Fp16::from_bits(static_cast<std::uint16_t>(lanes[0].integer));
  }
  static Sum mac(Sum sum, Weight weight, Activation activation) {
    return sum + quant::fpma_multiply(activation, weight).decode();
  }
};

PeDesign make(std::string name, std::string summary, const std::vector<Format>& weights) {
  PeDesign design;
  design.name = std::move(name);
  design.summary = std::move(summary);
  design.source = "AxCore, MICRO 2025; accelerators.md §6.5";
  design.kind = Arithmetic::floating;
  design.accumulator = "fp32";
  design.float_results = true;
  design.stages = 2;
  design.engine = core::make<Fpma>;
  design.set_modes(every_pair(weights, {Format::fp16},
                              [](auto w, auto a) { return Mode{.weight = w, .activation = a}; }));
  return design;
}

}  // namespace

std::vector<PeDesign> approximate() {
  std::vector<Format> axcore = integers(2, 8);
  axcore.push_back(Format::fp4_e2m1);
  return {make("fpma", "fp16 x fp16 by one integer addition, fp32 sum", {Format::fp16}),
          make("axcore", "integer or FP4 weight x fp16 by one integer addition, fp32 sum", axcore)};
}

}  // namespace systole::pe::designs
