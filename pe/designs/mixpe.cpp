// The MixPE shift-and-add elements: a four-bit weight gates shifted copies of the activation, no
// multiplier. Source: MixPE (arXiv 2411.16158); accelerators.md §3.1. The two-pass mode for 5 to 8
// bits of weight is our assumption, the paper has none. NORMATIVE: quant::shift_add_product and
// shift_add_dot_fp16.
#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/formats.hpp"
#include "quant/float16.hpp"

namespace systole::pe::designs {
namespace {

using quant::Format;

/// What the weight register holds: a nibble, whether its top bit is a sign, and its place.
///   bits 0-3 the nibble, bit 4 set where bit 3 counts -8, bits 5-7 the shift.
using WeightSlice = std::int32_t;

/// int2..int4: the code sign-extended to a nibble. int5..int8: part 0 takes the low four bits,
/// unsigned; part 1 the high part, sign-extended to a nibble, whose products are shifted left by
/// four (a multiplexer).
WeightSlice slice(std::int32_t code, Format format, unsigned part) {
  if (quant::bits_of(format) <= 4) return (code & 15) | 1 << 4;
  return part == 0 ? code & 15 : (code >> 4 & 15) | 1 << 4 | 4 << 5;
}

/// b0 a + b1 (a << 1) + b2 (a << 2) +- b3 (a << 3). |result| <= 15 * 128, 12 bits and a sign.
/// Shifts of unsigned words: the same wires, and defined for negative operands.
std::int32_t shift_add(WeightSlice w, std::int32_t activation) {
  const auto code = static_cast<std::uint32_t>(w);
  const auto a = static_cast<std::uint32_t>(activation);
  const auto gate = [&](unsigned bit) { return (0u - (code >> bit & 1u)) & a << bit; };
  const std::uint32_t low = gate(0) + gate(1);
  const std::uint32_t top = gate(3);
  const std::uint32_t negate = 0u - (code >> 4 & 1u);  // all ones: subtract
  const std::uint32_t high = gate(2) + ((top ^ negate) - negate);
  return static_cast<std::int32_t>((low + high) << (code >> 5));
}

struct W4A8 : IntegerBase {
  using Weight = WeightSlice;
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return slice(lanes[0].integer, mode.weight, weight_part(mode, part));
  }
  static Activation activation(std::span<const Element> lanes, const Mode&, unsigned) {
    return lanes[0].integer;
  }
  static Sum mac(Sum sum, Weight weight, Activation activation) {
    return add(sum, shift_add(weight, activation));
  }
  // Marks of sign and part are no operand bits.
  static std::uint32_t weight_port(Weight word, const Mode&) {
    return static_cast<std::uint32_t>(word) & 15u;
  }
  static std::uint32_t activation_port(Activation word, const Mode&) {
    return static_cast<std::uint32_t>(word);
  }
};

/// The 11-bit significand goes through the same shifts and adders (15 bits); sign and exponent
/// pass. The product is exact; the sum is rounded once.
struct W4A16 : FloatBase {
  using Weight = WeightSlice;
  using Activation = float;
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return slice(lanes[0].integer, mode.weight, weight_part(mode, part));
  }
  static Activation activation(std::span<const Element> lanes, const Mode&, unsigned) {
    return quant::Fp16::from_bits(static_cast<std::uint16_t>(lanes[0].integer)).decode();
  }
  static Sum mac(Sum sum, Weight weight, Activation activation) {
    return sum + activation * static_cast<float>(shift_add(weight, 1));
  }
  static std::uint32_t weight_port(Weight word, const Mode& mode) {
    return W4A8::weight_port(word, mode);
  }
  static std::uint32_t activation_port(Activation word, const Mode&) {
    return word == 0.0f ? 0 : quant::Fp16::encode(word).to_bits();
  }
};

PeDesign make(std::string name, std::string summary, std::vector<Format> activations) {
  PeDesign design;
  design.name = std::move(name);
  design.summary = std::move(summary);
  design.source =
      "MixPE, arXiv 2411.16158 (shift-and-add, dequantise after the group); the two-pass mode for "
      "5..8-bit weights is our assumption, the paper has none";
  design.kind = Arithmetic::shift_add;
  design.holds_parts = true;
  design.set_modes(every_pair(integers(2, 8), activations, [](auto w, auto a) {
    return Mode{.weight = w, .activation = a, .weight_parts = quant::bits_of(w) <= 4 ? 1u : 2u};
  }));
  return design;
}

}  // namespace

std::vector<PeDesign> mixpe() {
  PeDesign w4a8 =
      make("mixpe-w4a8",
           "shift-and-add, 4-bit weight x 8-bit activation, int32 accumulator; 5..8-bit "
           "weights in two passes",
           integers(2, 8));
  w4a8.accumulator = "int32";
  w4a8.weight_port_bits = 4;
  w4a8.activation_port_bits = 8;
  w4a8.engine = core::make<W4A8>;
  PeDesign w4a16 = make("mixpe-w4a16",
                        "shift-and-add, 4-bit weight x fp16 activation, fp32 accumulator; 5..8-bit "
                        "weights in two passes",
                        {Format::fp16});
  w4a16.accumulator = "fp32";
  w4a16.weight_port_bits = 4;
  w4a16.activation_port_bits = 16;
  w4a16.float_results = true;
  w4a16.stages = 2;
  w4a16.engine = core::make<W4A16>;
  return {w4a8, w4a16};
}

}  // namespace systole::pe::designs
