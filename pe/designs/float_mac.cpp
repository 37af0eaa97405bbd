// Floating-point multiply-accumulate: exact product, fp32 sum rounded once; and dot units of a few
// elements. NORMATIVE: quant::unit_dot (its chunk is what one column, or one step, sums from +0).
#include <array>

#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/formats.hpp"
#include "quant/float16.hpp"
#include "quant/kernels/block_scaled_gemm.hpp"

namespace systole::pe::designs {
namespace {

using quant::Format;

float value(Format format, const Element& element) {
  return quant::element_value(format, static_cast<std::uint16_t>(element.integer));
}

/// One element a step. Products of fp16 and narrower are exact in fp32; of bf16 unless they leave
/// its range.
struct Float : FloatBase {
  using Weight = float;
  using Activation = float;
  /// Of fp16, the one format whose ports are counted; a zero of either sign is 0.
  static std::uint32_t weight_port(Weight word, const Mode&) {
    return word == 0.0f ? 0 : quant::Fp16::encode(word).to_bits();
  }
  static std::uint32_t activation_port(Activation word, const Mode& mode) {
    return weight_port(word, mode);
  }
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned) {
    return value(mode.weight, lanes[0]);
  }
  static Activation activation(std::span<const Element> lanes, const Mode& mode, unsigned) {
    return value(mode.activation, lanes[0]);
  }
  static Sum mac(Sum sum, Weight weight, Activation activation) {
    return sum + weight * activation;
  }
};

/// N elements a step: their products summed in fp32 from +0, in order, then added to the sum.
template <unsigned N>
struct FloatDot : FloatBase {
  struct Word {
    std::array<float, N> values{};
    unsigned count = 0;
  };
  using Weight = Word;
  using Activation = Word;
  static Word word(Format format, std::span<const Element> lanes) {
    Word w;
    w.count = static_cast<unsigned>(lanes.size());
    for (unsigned i = 0; i < w.count; ++i) w.values[i] = value(format, lanes[i]);
    return w;
  }
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned) {
    return word(mode.weight, lanes);
  }
  static Activation activation(std::span<const Element> lanes, const Mode& mode, unsigned) {
    return word(mode.activation, lanes);
  }
  static Sum mac(Sum sum, const Weight& weight, const Activation& activation) {
    float step = 0.0f;
    for (unsigned i = 0; i < weight.count; ++i) step += weight.values[i] * activation.values[i];
    return sum + step;
  }
};

PeDesign make(std::string name, std::string summary, std::string source,
              std::vector<Format> formats, unsigned depth, unsigned stages) {
  PeDesign design;
  design.name = std::move(name);
  design.summary = std::move(summary);
  design.source = std::move(source);
  design.kind = Arithmetic::floating;
  design.accumulator = "fp32";
  design.stages = stages;
  design.sums_by_group = false;
  design.float_results = true;
  design.set_modes(every_pair(formats, formats, [&](auto w, auto a) {
    return Mode{.weight = w, .activation = a, .depth = depth};
  }));
  return design;
}

}  // namespace

std::vector<PeDesign> float_mac() {
  const std::string baseline =
      "the common float baseline (MixPE, AxCore and BitMoD compare with FP16)";
  const std::string ratio =
      "tensor-core dot units, FP4 : FP8 : FP16 = 4 : 2 : 1 elements a cycle (accelerators.md §6.0)";
  const std::vector<Format> fp8 = {Format::fp8_e4m3, Format::fp8_e5m2};
  std::vector<PeDesign> designs = {
      make("fp16-mac",
           "fp16 x fp16, exact product, fp32 sum; integer weights are dequantised before", baseline,
           {Format::fp16}, 1, 2),
      make("bf16-mac", "bf16 x bf16, fp32 sum", baseline, {Format::bf16}, 1, 2),
      make("fp8-mac", "E4M3 or E5M2, exact product, fp32 sum", baseline, fp8, 1, 2),
      make("fp4-mac", "E2M1, exact product, fp32 sum", baseline, {Format::fp4_e2m1}, 1, 2),
      // Each product waits for its addition in the pipelined chain (pe/rtl/pe_float_dot.sv).
      make("fp16-dot", "4-element fp16 dot unit, fp32 sum", ratio, {Format::fp16}, 4, 5),
      make("bf16-dot", "4-element bf16 dot unit, fp32 sum", ratio, {Format::bf16}, 4, 5),
      make("fp8-dot", "8-element E4M3 or E5M2 dot unit, fp32 sum", ratio, fp8, 8, 9)};
  designs.front().weight_port_bits = designs.front().activation_port_bits = 16;
  for (PeDesign& design : designs) {
    const unsigned depth = design.modes.front().depth;
    design.engine = depth == 1   ? core::make<Float>
                    : depth == 4 ? core::make<FloatDot<4>>
                                 : core::make<FloatDot<8>>;
  }
  return designs;
}

}  // namespace systole::pe::designs
