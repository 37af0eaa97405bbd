// Dot units of block-scaled minifloats (MX, NVFP4): products summed exactly as integers within a
// block, one rounding to fp32 at its end; block scales are the dequantiser's. NORMATIVE:
// quant::block_dot. Widths: accelerators.md §7.4 (E5M2 needs 70 bits).
#include <array>

#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/formats.hpp"
#include "quant/kernels/exact.hpp"

namespace systole::pe::designs {
namespace {

using quant::Format;

template <unsigned N>
struct BlockDot {
  using Weight = std::array<Element, N>;
  using Activation = std::array<Element, N>;
  using Sum = quant::Int128;
  static constexpr bool kZeroIsNeutral = true;

  static Weight weight(std::span<const Element> lanes, const Mode&, unsigned) {
    Weight word{};
    std::copy(lanes.begin(), lanes.end(), word.begin());
    return word;
  }
  static Activation activation(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return weight(lanes, mode, part);
  }
  static Sum zero() { return 0; }
  static Sum mac(Sum sum, const Weight& weight, const Activation& activation) {
    for (unsigned i = 0; i < N; ++i) {
      const Element product = quant::multiply(weight[i], activation[i]);
      sum += Sum{product.integer} * (Sum{1} << product.exponent);
    }
    return sum;
  }
  static Sum add(Sum a, Sum b) { return a + b; }
  static ResultWord finish(Sum sum, int exponent) {
    return std::bit_cast<std::uint32_t>(quant::round_scaled(sum, exponent));
  }
};

PeDesign make(std::string name, std::string summary, std::string source) {
  PeDesign design;
  design.name = std::move(name);
  design.summary = std::move(summary);
  design.source = std::move(source);
  design.kind = Arithmetic::block_scaled;
  design.accumulator = "exact integer of a block";
  design.float_results = true;
  return design;
}

}  // namespace

std::vector<PeDesign> block_dot() {
  // FP4 16 elements a cycle, everything wider 8 (ratio of accelerators.md §6.0).
  const std::vector<Format> mx = {Format::mxfp4,      Format::mxfp6_e3m2, Format::mxfp6_e2m3,
                                  Format::mxfp8_e4m3, Format::mxfp8_e5m2, Format::mxint8};
  PeDesign wide = make("mx-dot", "MX dot unit: 16 FP4 or 8 wider elements, exact within a block",
                       "OCP MX 1.0; rates accelerators.md §6.0; exact sums §7.4");
  wide.set_modes(every_pair(mx, mx, [](auto w, auto a) {
    const bool fp4 = w == Format::mxfp4 && a == Format::mxfp4;
    return Mode{.weight = w, .activation = a, .depth = fp4 ? 16u : 8u};
  }));
  wide.engine = core::make<BlockDot<16>>;
  wide.decode_both("mx_decoder", 8);  // a byte of one or two codes
  wide.edge_units.push_back({EdgeSide::result, "fp32_rounder_72"});
  PeDesign nvfp4 = make("nvfp4-dot", "NVFP4 dot unit: 16 elements, one block, exact within it",
                        "NVIDIA NVFP4 (block 16); accelerators.md §6.0, §7.3");
  nvfp4.set_modes({{.weight = Format::nvfp4, .activation = Format::nvfp4, .depth = 16}});
  nvfp4.engine = core::make<BlockDot<16>>;
  nvfp4.decode_both("e2m1_decoder", 16);
  nvfp4.edge_units.push_back({EdgeSide::result, "fp32_rounder_24"});
  return {wide, nvfp4};
}

}  // namespace systole::pe::designs
