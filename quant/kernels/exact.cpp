// Decomposition and the one rounding back.
#include "quant/kernels/exact.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace systole::quant {

namespace {

__extension__ typedef unsigned __int128 Unsigned128;

int bit_length(Unsigned128 v) {
  const auto high = static_cast<std::uint64_t>(v >> 64);
  if (high != 0) return 64 + static_cast<int>(std::bit_width(high));
  return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(v)));
}

/// Rounds to `precision` bits of significand, the last place not below 2^lowest.
float round_to_precision(Int128 significand, int exponent, int precision, int lowest) {
  if (significand == 0) return 0.0f;
  const bool negative = significand < 0;
  const auto magnitude = static_cast<Unsigned128>(negative ? -significand : significand);
  const int width = bit_length(magnitude);
  const int place = std::max(exponent + width - precision, lowest);  // of the last kept bit
  const int drop = place - exponent;
  Unsigned128 kept = magnitude;
  if (drop > width) {
    kept = 0;  // below half of the last place
  } else if (drop > 0) {
    kept = magnitude >> drop;
    const Unsigned128 rest = magnitude - (kept << drop);
    const Unsigned128 half = Unsigned128{1} << (drop - 1);
    if (rest > half || (rest == half && (kept & 1) != 0)) ++kept;
  }
  const float value = drop > 0 ? std::ldexp(static_cast<float>(kept), place)
                               : std::ldexp(static_cast<float>(kept), exponent);
  return negative ? -value : value;
}

}  // namespace

Parts parts_of(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const auto exponent = static_cast<int>((bits >> 23) & 0xFFu);
  auto significand = static_cast<std::int64_t>(bits & 0x7FFFFFu);
  if (exponent != 0) significand |= 0x800000;
  if (significand == 0) return {};
  return {(bits >> 31) != 0 ? -significand : significand, std::max(exponent, 1) - 150};
}

Parts parts_of(Fp16 value) {
  const std::uint32_t bits = value.to_bits();
  const auto exponent = static_cast<int>((bits >> 10) & 0x1Fu);
  auto significand = static_cast<std::int64_t>(bits & 0x3FFu);
  if (exponent != 0) significand |= 0x400;
  if (significand == 0) return {};
  return {(bits >> 15) != 0 ? -significand : significand, std::max(exponent, 1) - 25};
}

float round_scaled(Int128 significand, int exponent) {
  return round_to_precision(significand, exponent, 24, -149);
}

Fp16 round_scaled_fp16(Int128 significand, int exponent) {
  return Fp16::encode(round_to_precision(significand, exponent, 11, -24));
}

}  // namespace systole::quant
