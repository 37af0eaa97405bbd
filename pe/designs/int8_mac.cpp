// Any pair of integer operands up to eight bits, sign-extended, one pass.
#include "pe/designs/int8_mac.hpp"

namespace systole::pe::int8_mac {
namespace {

using quant::Format;

StationarySlice slice(OperandWord word, Format, unsigned) { return {word, true, 0}; }

AccumulatorWord multiply_accumulate(AccumulatorWord accumulator, StationarySlice slice,
                                    OperandWord moving) {
  const std::int32_t product = static_cast<std::int32_t>(static_cast<std::int16_t>(slice.bits)) *
                               static_cast<std::int16_t>(moving);
  return accumulator + static_cast<std::uint32_t>(product);
}

AccumulatorWord add(AccumulatorWord a, AccumulatorWord b) { return a + b; }

}  // namespace

PeDesign design() {
  PeDesign design;
  design.name = "int8-mac";
  design.summary =
      "8-bit x 8-bit multiplier, int32 accumulator; narrower integers sign-extended, "
      "no faster";
  design.source = "the common INT8 baseline (ANT, OliVe and MixPE compare with it)";
  design.kind = Arithmetic::integer;
  design.accumulator = "int32";
  std::vector<OperandPair> pairs;
  for (const Format stationary : quant::kAllFormats) {
    for (const Format moving : quant::kAllFormats) {
      if (quant::is_integer(stationary) && quant::is_integer(moving)) {
        pairs.push_back({stationary, moving, 1});
      }
    }
  }
  design.set_pairs(std::move(pairs));
  design.slice = slice;
  design.multiply_accumulate = multiply_accumulate;
  design.add = add;
  return design;
}

}  // namespace systole::pe::int8_mac
