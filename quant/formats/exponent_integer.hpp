// Exponent-integer operands <e, i>, meaning i << e: what the decoders of ANT and OliVe hand to the
// multiplier. Source: accelerators.md §1.7 and §5 (OliVe, ISCA 2023; ANT, MICRO 2022).
#pragma once

#include <array>
#include <cstdint>

namespace systole::quant {

struct ExponentInteger {
  std::int32_t exponent = 0;  ///< never negative
  std::int32_t integer = 0;

  constexpr std::int64_t value() const {
    return std::int64_t{integer} * (std::int64_t{1} << exponent);
  }
  friend constexpr bool operator==(const ExponentInteger&, const ExponentInteger&) = default;
};

/// NORMATIVE. <a, b> x <c, d> = <a + c, b * d>: a small multiplier and an exponent adder; the shift
/// comes after. Exact while |b * d| < 2^31 and a + c < 32.
constexpr ExponentInteger multiply(ExponentInteger x, ExponentInteger y) {
  return {x.exponent + y.exponent, x.integer * y.integer};
}

/// NORMATIVE. One operand of 8 bits as two for multipliers of 4: x = <4, h> + <0, l>, h the signed
/// high nibble (-8..7), l the unsigned low one (0..15).
struct NibbleSplit {
  ExponentInteger high, low;
};
constexpr NibbleSplit split_nibbles(std::int32_t x) {
  const std::int32_t low = x & 15;
  return {{4, (x - low) / 16}, {0, low}};
}
/// The same of a wider operand <e, i>, |i| < 128: 8-bit abfloat after its decoder.
constexpr NibbleSplit split_nibbles(ExponentInteger x) {
  NibbleSplit parts = split_nibbles(x.integer);
  parts.high.exponent += x.exponent;
  parts.low.exponent += x.exponent;
  return parts;
}
/// The four products of two split operands, in the order high x high, high x low, low x high, low x
/// low; their values add up to that of the product.
constexpr std::array<ExponentInteger, 4> multiply(const NibbleSplit& x, const NibbleSplit& y) {
  return {multiply(x.high, y.high), multiply(x.high, y.low), multiply(x.low, y.high),
          multiply(x.low, y.low)};
}

}  // namespace systole::quant
