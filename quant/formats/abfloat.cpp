// abfloat: codes to operands and back. The contract is in the header.
#include "quant/formats/abfloat.hpp"

#include <bit>

#include "quant/check.hpp"

namespace systole::quant {

ExponentInteger abfloat_decode(std::uint32_t code, const Abfloat& format) {
  require(code < 2 * format.sign_bit(), "abfloat: the code is wider than the format");
  const std::uint32_t magnitude = code & (format.sign_bit() - 1);
  if (magnitude == 0) return {};
  const std::uint32_t one = 1u << format.mantissa_bits;
  const auto integer = static_cast<std::int32_t>(one + (magnitude & (one - 1)));
  const std::uint32_t exponent = (magnitude >> format.mantissa_bits) + format.bias;
  return {static_cast<std::int32_t>(exponent),
          (code & format.sign_bit()) != 0 ? -integer : integer};
}

std::uint32_t abfloat_encode(std::int32_t value, const Abfloat& format) {
  const std::uint32_t sign = value < 0 ? format.sign_bit() : 0;
  const auto magnitude = static_cast<std::uint32_t>(value < 0 ? -std::int64_t{value} : value);
  const auto width = static_cast<unsigned>(std::bit_width(magnitude));
  require(width > format.mantissa_bits + format.bias, "abfloat: not a value of the format");
  const unsigned exponent = width - 1 - format.mantissa_bits;  // with the bias
  const std::uint32_t mantissa = (magnitude >> exponent) - (1u << format.mantissa_bits);
  const std::uint32_t code = (exponent - format.bias) << format.mantissa_bits | mantissa;
  require(code != 0 && code < format.sign_bit() && (magnitude >> exponent) << exponent == magnitude,
          "abfloat: not a value of the format");
  return sign | code;
}

std::vector<std::int32_t> abfloat_magnitudes(const Abfloat& format) {
  std::vector<std::int32_t> values;
  for (std::uint32_t code = 1; code < format.sign_bit(); ++code) {
    values.push_back(static_cast<std::int32_t>(abfloat_decode(code, format).value()));
  }
  return values;
}

unsigned abfloat_bias(unsigned mantissa_bits, std::int32_t largest_normal) {
  require(mantissa_bits <= 8 && largest_normal >= 0 && largest_normal < (1 << 20),
          "abfloat: out of range");
  unsigned bias = 0;
  while (((std::int32_t{1} << mantissa_bits) + 1) << bias <= largest_normal) ++bias;
  return bias;
}

}  // namespace systole::quant
