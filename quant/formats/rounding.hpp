// Rounding a real number to an integer, in each way that a format may ask for.
#pragma once

#include <bit>
#include <cstdint>

#include "quant/format.hpp"

namespace systole::quant {

/// Whether |x| < 2^22, where the fractional part of a float is exact and an int holds the integer.
/// Larger floats may have a half as their fraction up to 2^23, but every caller saturates far
/// below.
constexpr bool rounds_exactly(float x) { return x > -0x1p22f && x < 0x1p22f; }

/// NORMATIVE. x rounded to an integer, returned as a float; |x| >= 2^22 comes back as it is (codes
/// have 16 bits or fewer: it saturates). Exact: no addition of one half is rounded.
/// even: ties to the even integer. away: ties away from zero. half_up: ties towards +infinity.
/// down: ties towards zero. floor: towards -infinity. Source: quantization.md §2.3 primitive 2.
constexpr float round_value(float x, Rounding rounding) {
  if (!rounds_exactly(x)) return x;
  if (rounding == Rounding::even) {
    constexpr float kShift = 0x1.8p23f;  // pushes the fraction out; the default mode does the rest
    return (x + kShift) - kShift;
  }
  const bool minus = x < 0;
  const float magnitude = minus ? -x : x;
  const auto whole = static_cast<std::int32_t>(magnitude);
  const float fraction = magnitude - static_cast<float>(whole);  // exact: no digit is lost
  bool up = fraction > 0.5f;
  if (fraction == 0.5f)
    up = rounding == Rounding::away || (rounding == Rounding::half_up && !minus);
  if (rounding == Rounding::floor) up = minus && fraction > 0;
  const auto rounded = static_cast<float>(whole + (up ? 1 : 0));
  return minus ? -rounded : rounded;
}

/// floor(log2 |x|) of a finite x other than 0, subnormals included.
constexpr int floor_log2(float x) {
  const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(x) & 0x7FFFFFFFu;
  const int exponent = static_cast<int>(magnitude >> 23);
  if (exponent != 0) return exponent - 127;
  return static_cast<int>(std::bit_width(magnitude)) - 150;  // the last place is 2^-149
}

/// 2^e for -149 <= e <= 127.
constexpr float exact_power_of_two(int e) {
  if (e >= -126) return std::bit_cast<float>(static_cast<std::uint32_t>(e + 127) << 23);
  return std::bit_cast<float>(1u << static_cast<unsigned>(e + 149));
}

}  // namespace systole::quant
