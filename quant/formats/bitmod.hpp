// BitMoD: 3- and 4-bit floats whose -0 is one of four special values, chosen for each group, and
// the bit-serial terms that its PE multiplies with. Source: BitMoD (HPCA 2025, arXiv 2411.11745),
// abdelfattah-lab/BitMoD-HPCA-25 (bitmod_quant); accelerators.md §4.1, §4.2.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/format.hpp"

namespace systole::quant {

constexpr bool is_bitmod(Format f) { return f == Format::bitmod3 || f == Format::bitmod4; }
inline constexpr unsigned kBitmodTags = 4;

/// The special value of a tag: 3, -3, 6, -6 (bitmod3); 10, -10, 16, -16 (bitmod4). The first two
/// keep the range ("extra resolution"), the others widen it ("extra asymmetry").
std::int32_t bitmod_special(Format format, unsigned tag);

/// NORMATIVE. The integer of a code: sign and magnitude, sign on top; magnitudes 0 1 2 4 (bitmod3),
/// 0 1 2 3 4 6 8 12 (bitmod4: E2M1 times 2); -0 is the special value. Errors: std::invalid_argument
/// for another format, a code too wide or a tag beyond 3.
std::int32_t bitmod_value(std::uint32_t code, Format format, unsigned tag);
/// Largest magnitude of the grid: 4 or 6; 12 or 16.
std::int32_t bitmod_largest(Format format, unsigned tag);

/// NORMATIVE. The code of the nearest value: with the values ascending v0 < v1 ..., the first vi
/// with x <= (vi + v(i+1)) / 2, else the last. A midpoint goes to the LOWER value. x finite.
std::uint32_t bitmod_encode(float x, Format format, unsigned tag);

/// NORMATIVE. s = absmax / largest, fp32, then clamped to [1e-5, 1e4].
float bitmod_scale(float absmax, Format format, unsigned tag);

struct BitmodChoice {
  std::uint8_t tag = 0;
  float scale = 0.0f;
  double error = 0.0;  ///< sum of squared errors
};
/// NORMATIVE. For each tag its scale from `magnitude` (stored in scale_format), every x / s to the
/// nearest value, and the sum of (q * s - x)^2 (product and difference rounded to fp32, squares and
/// sum in double, index ascending); the least wins, the lowest tag of equals. The released code
/// does all of it in fp16.
BitmodChoice bitmod_choose(std::span<const float> values, float magnitude, Format format,
                           Format scale_format = Format::fp32);

/// NORMATIVE. Group scales of one row as INT8 under one scale of the row, as VS-Quant and BitMoD
/// store them: row = largest / 127 in fp16 (not below the smallest fp16), code = clamp(rne(s /
/// row), 1, 127); the group's scale is code * row in fp32. A code is at least 1 so that no group
/// vanishes.
struct TwoLevelScales {
  float row = 0.0f;
  std::vector<std::uint8_t> codes;
  float scale(std::size_t g) const { return static_cast<float>(codes[g]) * row; }
};
TwoLevelScales two_level_scales(std::span<const float> scales);

// --- terms ---------------------------------------------------------------------------------------
/// One bit-serial term: (-1)^negative * mantissa * 2^exponent * 2^significance, mantissa 0 or 1.
struct BitTerm {
  bool negative = false;
  std::uint8_t mantissa = 0;
  std::uint8_t exponent = 0;
  std::uint8_t significance = 0;

  constexpr std::int32_t value() const {
    const std::int32_t magnitude = static_cast<std::int32_t>(mantissa) << (exponent + significance);
    return negative ? -magnitude : magnitude;
  }
  friend constexpr bool operator==(const BitTerm&, const BitTerm&) = default;
};

/// Terms of a b-bit integer or a BitMoD value: 3 for 5 and 6 bit, 4 for 8 (b/2 rounded up), 2 for
/// BitMoD.
constexpr unsigned booth_term_count(unsigned bits) { return (bits + 1) / 2; }
inline constexpr unsigned kBitmodTerms = 2;

/// NORMATIVE. Radix-4 Booth recoding of a two's complement integer of `bits` bits (2..16), lowest
/// first: digit i = b(2i-1) + b(2i) - 2 b(2i+1) in -2..2 (b(-1) = 0, bits above the top repeat the
/// sign), exponent 1 where the digit is +-2, significance 2i. Errors: std::invalid_argument when
/// the value does not fit.
std::vector<BitTerm> booth_terms(std::int32_t value, unsigned bits);

/// NORMATIVE. A value of a BitMoD grid as its leading one and its lowest one, high first; none of
/// them has more than two ones. One one: the second term has mantissa 0. Errors:
/// std::invalid_argument for integers with more than two ones or beyond 6 bits.
std::array<BitTerm, kBitmodTerms> leading_one_terms(std::int32_t value);

}  // namespace systole::quant
