// The AdaptivFloat element: 8-bit floats (4 exponent, 3 mantissa bits) whose exponent bias is the
// tensor's, so that it goes into the scale; significands multiplied, aligned and summed as
// integers, one rounding at the end. Source: AdaptivFloat (DAC 2020), the AdaFloat baseline of ANT
// and OliVe; accelerators.md §2.5. The element is read as E4M3 (AdaptivFloat itself has no
// subnormals); the accumulator's width is assumed to lose nothing (§7.4: 42 bits a block).
#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "quant/kernels/exact.hpp"

namespace systole::pe::designs {
namespace {

using quant::Format;

struct AdaptiveFloat {
  using Weight = std::int64_t;
  using Activation = std::int64_t;
  using Sum = std::int64_t;
  static constexpr bool kZeroIsNeutral = true;
  static Decoded decode_weight(const ArrayCase& work, std::uint64_t) {
    return decode_codes(Format::mxfp8_e4m3, work.weight);
  }
  static Decoded decode_activation(const ArrayCase& work, std::uint64_t) {
    return decode_codes(Format::mxfp8_e4m3, work.activation);
  }
  static Weight weight(std::span<const Element> lanes, const Mode&, unsigned) {
    return lanes[0].value();
  }
  static Activation activation(std::span<const Element> lanes, const Mode&, unsigned) {
    return lanes[0].value();
  }
  static Sum zero() { return 0; }
  static Sum mac(Sum sum, Weight weight, Activation activation) {
    return sum + weight * activation;
  }
  static Sum add(Sum a, Sum b) { return a + b; }
  static ResultWord finish(Sum sum, int exponent) {
    return std::bit_cast<std::uint32_t>(quant::round_scaled(sum, exponent));
  }
};

}  // namespace

std::vector<PeDesign> adafloat() {
  PeDesign design;
  design.name = "adafloat";
  design.summary = "8-bit AdaptivFloat x AdaptivFloat, integer sum";
  design.source = "AdaptivFloat, DAC 2020; baseline of ANT and OliVe, accelerators.md §2.5";
  design.kind = Arithmetic::floating;
  design.accumulator = "int64, fp32 out";
  design.float_results = true;
  design.set_modes({{.weight = Format::fp8_e4m3, .activation = Format::fp8_e4m3}});
  design.engine = core::make<AdaptiveFloat>;
  design.decode_both("e4m3_decoder", 1);
  design.edge_units.push_back({EdgeSide::result, "fp32_rounder_52"});
  return {design};
}

}  // namespace systole::pe::designs
