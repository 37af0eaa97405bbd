// Exact product by significands and exponents, one rounding in the sum.
#include "pe/designs/fp16_mac.hpp"

#include <bit>
#include <cmath>
#include <limits>

namespace systole::pe::fp16_mac {
namespace {

using quant::Format;

// value = (-1)^negative * significand * 2^exponent, for finite operands.
struct Unpacked {
  bool negative;
  bool finite;
  bool is_nan;
  std::uint32_t significand;  // 11 bits
  int exponent;
};

constexpr Unpacked unpack(std::uint16_t bits) {
  const unsigned exponent_field = bits >> 10 & 0x1Fu;
  const std::uint32_t fraction = bits & 0x3FFu;
  // Bias 15 and ten fraction bits; a subnormal has the smallest normal's exponent and no hidden
  // one.
  const bool subnormal = exponent_field == 0;
  return {(bits >> 15) != 0, exponent_field != 0x1F, exponent_field == 0x1F && fraction != 0,
          subnormal ? fraction : fraction | 0x400u,
          (subnormal ? 1 : static_cast<int>(exponent_field)) - 25};
}

StationarySlice slice(OperandWord word, Format, unsigned) { return {word, true, 0}; }

AccumulatorWord multiply_accumulate(AccumulatorWord accumulator, StationarySlice slice,
                                    OperandWord moving) {
  const float sum = std::bit_cast<float>(accumulator) + product(slice.bits, moving);
  return std::bit_cast<AccumulatorWord>(sum);
}

AccumulatorWord add(AccumulatorWord a, AccumulatorWord b) {
  return std::bit_cast<AccumulatorWord>(std::bit_cast<float>(a) + std::bit_cast<float>(b));
}

}  // namespace

float product(std::uint16_t a, std::uint16_t b) {
  const Unpacked x = unpack(a);
  const Unpacked y = unpack(b);
  const bool negative = x.negative != y.negative;
  if (!x.finite || !y.finite) {
    const bool zero_times_infinity =
        (x.finite && x.significand == 0) || (y.finite && y.significand == 0);
    if (x.is_nan || y.is_nan || zero_times_infinity) return std::bit_cast<float>(0x7FC00000u);
    const float infinity = std::numeric_limits<float>::infinity();
    return negative ? -infinity : infinity;
  }
  // At most 22 bits, so the conversion is exact; the exponent lies within [-48, 10] + 22 bits, well
  // inside fp32.
  const float magnitude =
      std::ldexp(static_cast<float>(x.significand * y.significand), x.exponent + y.exponent);
  return negative ? -magnitude : magnitude;
}

PeDesign design() {
  PeDesign design;
  design.name = "fp16-mac";
  design.summary =
      "fp16 x fp16 multiply, exact product, fp32 accumulator; integer weights are "
      "dequantised before";
  design.source = "the common FP16 baseline (MixPE, AxCore and BitMoD compare with it)";
  design.kind = Arithmetic::floating;
  design.accumulator = "fp32";
  design.set_pairs({{Format::fp16, Format::fp16, 1}});
  design.slice = slice;
  design.multiply_accumulate = multiply_accumulate;
  design.add = add;
  return design;
}

}  // namespace systole::pe::fp16_mac
