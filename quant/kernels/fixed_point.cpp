// Fixed point and FPMA. The contracts are in the header.
#include "quant/kernels/fixed_point.hpp"

#include <algorithm>
#include <cmath>

#include "quant/check.hpp"
#include "quant/kernels/exact.hpp"

namespace systole::quant {

namespace {

void check(FixedFormat format) {
  require(format.integer_bits <= 31 && format.fraction_bits <= 31 && format.bits() <= 32 &&
              format.bits() >= 2,
          "fixed point: a format of 2 to 32 bits");
}

std::int64_t highest(FixedFormat format) { return (std::int64_t{1} << (format.bits() - 1)) - 1; }

/// Whether the magnitude `kept` + a fraction is rounded up; cmp: the fraction against one half.
bool rounds_away(std::int64_t kept, int cmp, bool negative, Rounding rounding) {
  switch (rounding) {
    case Rounding::even:
      return cmp > 0 || (cmp == 0 && (kept & 1) != 0);
    case Rounding::away:
      return cmp >= 0;
    case Rounding::half_up:
      return cmp > 0 || (cmp == 0 && !negative);
    case Rounding::down:
      return cmp > 0;
    case Rounding::floor:
      return negative;
  }
  return false;
}

}  // namespace

std::int64_t shift_right(std::int64_t value, unsigned shift, Rounding rounding) {
  require(shift <= 62, "fixed point: a shift beyond 62");
  const bool negative = value < 0;
  const std::uint64_t magnitude =
      negative ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value);
  auto kept = static_cast<std::int64_t>(magnitude >> shift);
  const std::uint64_t rest = magnitude & ((std::uint64_t{1} << shift) - 1);
  if (rest != 0) {
    const std::uint64_t half = std::uint64_t{1} << (shift - 1);
    const int cmp = rest < half ? -1 : rest == half ? 0 : 1;
    if (rounds_away(kept, cmp, negative, rounding)) ++kept;
  }
  return negative ? -kept : kept;
}

std::int32_t fixed_encode(float value, FixedFormat format, Rounding rounding) {
  check(format);
  require(std::isfinite(value), "fixed point: a NaN or infinite value");
  const Parts parts = parts_of(value);
  const int shift = parts.exponent + static_cast<int>(format.fraction_bits);
  std::int64_t code = 0;
  if (shift >= 0) {  // 24 bits; beyond 2^33 it saturates whatever it is
    code = parts.significand * (std::int64_t{1} << std::min(shift, 33));
  } else {
    code = shift_right(parts.significand, static_cast<unsigned>(std::min(-shift, 62)), rounding);
  }
  return static_cast<std::int32_t>(std::clamp(code, -highest(format) - 1, highest(format)));
}

float fixed_decode(std::int32_t code, FixedFormat format) {
  check(format);
  return round_scaled(code, -static_cast<int>(format.fraction_bits));
}

void fixed_mac(std::int32_t& acc, FixedFormat acc_format, std::int32_t a, FixedFormat a_format,
               std::int32_t b, FixedFormat b_format, Rounding rounding, Overflow overflow) {
  check(acc_format);
  check(a_format);
  check(b_format);
  const auto in_range = [](std::int32_t code, FixedFormat format) {
    return code <= highest(format) && code >= -highest(format) - 1;
  };
  require(in_range(a, a_format) && in_range(b, b_format) && in_range(acc, acc_format),
          "fixed point: a code out of its format's range");
  const unsigned product_fraction = a_format.fraction_bits + b_format.fraction_bits;
  std::int64_t product = std::int64_t{a} * b;
  if (product_fraction >= acc_format.fraction_bits) {
    product = shift_right(product, product_fraction - acc_format.fraction_bits, rounding);
  } else {
    const std::int64_t factor = std::int64_t{1} << (acc_format.fraction_bits - product_fraction);
    require(!__builtin_mul_overflow(product, factor, &product),
            "fixed point: the accumulator is too fine for the product");
  }
  std::int64_t wide = acc;
  accumulate(wide, product, acc_format.bits(), overflow);
  acc = static_cast<std::int32_t>(wide);
}

std::int32_t fixed_dot(std::span<const std::int32_t> a, FixedFormat a_format,
                       std::span<const std::int32_t> b, FixedFormat b_format,
                       FixedFormat acc_format, Rounding rounding, Overflow overflow) {
  require(a.size() == b.size(), "fixed point: the operands differ in length");
  std::int32_t acc = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    fixed_mac(acc, acc_format, a[i], a_format, b[i], b_format, rounding, overflow);
  }
  return acc;
}

Fp16 fpma_multiply(Fp16 a, Fp16 b, int compensation) {
  require(compensation > -32768 && compensation < 32768, "fpma: a compensation beyond 15 bits");
  if (!is_finite(a) || !is_finite(b)) return Fp16::encode(a.decode() * b.decode());
  constexpr int kLeastNormal = 1 << 10;
  constexpr int kInfinity = 31 << 10;
  const auto sign = static_cast<std::uint16_t>((a.to_bits() ^ b.to_bits()) & 0x8000u);
  const int a_magnitude = a.to_bits() & 0x7FFF;
  const int b_magnitude = b.to_bits() & 0x7FFF;
  if (a_magnitude < kLeastNormal || b_magnitude < kLeastNormal) return Fp16::from_bits(sign);
  int magnitude = a_magnitude + b_magnitude - (15 << 10) + compensation;
  if (magnitude < kLeastNormal) magnitude = 0;
  if (magnitude > kInfinity) magnitude = kInfinity;
  return Fp16::from_bits(static_cast<std::uint16_t>(sign | magnitude));
}

float fpma_dot(std::span<const Fp16> a, std::span<const Fp16> b, int compensation) {
  require(a.size() == b.size(), "fpma_dot: the operands differ in length");
  float acc = 0.0f;
  for (std::size_t i = 0; i < a.size(); ++i)
    acc += fpma_multiply(a[i], b[i], compensation).decode();
  return acc;
}

}  // namespace systole::quant
