// Slicing and passes of the shift-and-add element.
#include "pe/designs/mixpe_w4a8.hpp"

namespace systole::pe::mixpe_w4a8 {
namespace {

using quant::Format;

// int2..int4: the code sign-extended to a nibble. int5..int8: pass 0 takes the low four bits,
// unsigned; pass 1 the high part, sign-extended to a nibble, whose products the PE shifts left by
// four (a multiplexer).
StationarySlice slice(OperandWord word, Format stationary, unsigned pass) {
  const unsigned low = word & 0xFu;
  if (quant::bits_of(stationary) <= 4) {
    return {static_cast<std::uint16_t>(low), /*top_is_sign=*/true, /*shift=*/0};
  }
  if (pass == 0) return {static_cast<std::uint16_t>(low), /*top_is_sign=*/false, /*shift=*/0};
  return {static_cast<std::uint16_t>(word >> 4 & 0xFu), /*top_is_sign=*/true, /*shift=*/4};
}

AccumulatorWord multiply_accumulate(AccumulatorWord accumulator, StationarySlice slice,
                                    OperandWord moving) {
  const std::int32_t product =
      shift_add(slice.bits, slice.top_is_sign, static_cast<std::int16_t>(moving));
  return accumulator + (static_cast<std::uint32_t>(product) << slice.shift);
}

AccumulatorWord add(AccumulatorWord a, AccumulatorWord b) { return a + b; }

}  // namespace

PeDesign design() {
  PeDesign design;
  design.name = "mixpe-w4a8";
  design.summary =
      "shift-and-add, 4-bit weight x 8-bit activation, int32 accumulator; 5..8-bit "
      "weights in two passes";
  design.source =
      "MixPE, arXiv 2411.16158 (shift-and-add, dequantise after the group); the "
      "two-pass mode for 5..8-bit weights is our assumption, the paper has none";
  design.kind = Arithmetic::shift_add;
  design.accumulator = "int32";
  std::vector<OperandPair> pairs;
  for (const Format stationary : quant::kAllFormats) {
    for (const Format moving : quant::kAllFormats) {
      if (!quant::is_integer(stationary) || !quant::is_integer(moving)) continue;
      pairs.push_back({stationary, moving, quant::bits_of(stationary) <= 4 ? 1u : 2u});
    }
  }
  design.set_pairs(std::move(pairs));
  design.slice = slice;
  design.multiply_accumulate = multiply_accumulate;
  design.add = add;
  return design;
}

}  // namespace systole::pe::mixpe_w4a8
