// BitMoD: value sets, the choice of the special value, two-level scales, terms. The contract is in
// the header.
#include "quant/formats/bitmod.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "quant/check.hpp"
#include "quant/formats/parameter.hpp"

namespace systole::quant {
namespace {

struct Grid {
  std::size_t size = 0;  ///< 8 or 16 values
  std::int32_t largest = 0;
  std::array<std::int32_t, 16> values{};     ///< by code
  std::array<std::uint8_t, 16> ascending{};  ///< codes
  std::array<float, 15> midpoints{};
};

Grid make_grid(Format format, unsigned tag) {
  constexpr std::array<std::int32_t, 4> magnitudes3 = {0, 1, 2, 4};
  constexpr std::array<std::int32_t, 8> magnitudes4 = {0, 1, 2, 3, 4, 6, 8, 12};
  const std::size_t half = format == Format::bitmod3 ? 4 : 8;
  Grid grid;
  grid.size = 2 * half;
  for (std::size_t m = 0; m < half; ++m) {
    const std::int32_t v = format == Format::bitmod3 ? magnitudes3[m] : magnitudes4[m];
    grid.values[m] = v;
    grid.values[half + m] = m == 0 ? bitmod_special(format, tag) : -v;
  }
  for (std::size_t code = 0; code < grid.size; ++code) {
    grid.ascending[code] = static_cast<std::uint8_t>(code);
    grid.largest = std::max(grid.largest, std::abs(grid.values[code]));
  }
  std::sort(grid.ascending.begin(), grid.ascending.begin() + static_cast<std::ptrdiff_t>(grid.size),
            [&grid](std::uint8_t a, std::uint8_t b) { return grid.values[a] < grid.values[b]; });
  for (std::size_t i = 0; i + 1 < grid.size; ++i) {
    grid.midpoints[i] = 0.5f * static_cast<float>(grid.values[grid.ascending[i]] +
                                                  grid.values[grid.ascending[i + 1]]);
  }
  return grid;
}

const Grid& grid_of(Format format, unsigned tag) {
  require(is_bitmod(format) && tag < kBitmodTags, "not a BitMoD format or tag");
  static const std::array<std::array<Grid, kBitmodTags>, 2> grids = [] {
    std::array<std::array<Grid, kBitmodTags>, 2> all;
    for (unsigned t = 0; t < kBitmodTags; ++t) {
      all[0][t] = make_grid(Format::bitmod3, t);
      all[1][t] = make_grid(Format::bitmod4, t);
    }
    return all;
  }();
  return grids[format == Format::bitmod3 ? 0 : 1][tag];
}

/// Counts the midpoints below x instead of looking for the first not below it: the same value.
std::uint8_t nearest(float x, const Grid& grid) {
  std::size_t index = 0;
  for (std::size_t i = 0; i + 1 < grid.size; ++i) index += x > grid.midpoints[i] ? 1 : 0;
  return grid.ascending[index];
}

}  // namespace

std::int32_t bitmod_special(Format format, unsigned tag) {
  require(is_bitmod(format) && tag < kBitmodTags, "not a BitMoD format or tag");
  const bool three = format == Format::bitmod3;
  const std::int32_t magnitude = tag < 2 ? (three ? 3 : 10) : (three ? 6 : 16);
  return tag % 2 == 0 ? magnitude : -magnitude;
}

std::int32_t bitmod_value(std::uint32_t code, Format format, unsigned tag) {
  const Grid& grid = grid_of(format, tag);
  require(code < grid.size, "a BitMoD code is too wide");
  return grid.values[code];
}

std::int32_t bitmod_largest(Format format, unsigned tag) { return grid_of(format, tag).largest; }

std::uint32_t bitmod_encode(float x, Format format, unsigned tag) {
  return nearest(x, grid_of(format, tag));
}

float bitmod_scale(float absmax, Format format, unsigned tag) {
  return std::clamp(absmax / static_cast<float>(bitmod_largest(format, tag)), 1e-5f, 1e4f);
}

BitmodChoice bitmod_choose(std::span<const float> values, float magnitude, Format format,
                           Format scale_format) {
  BitmodChoice best;
  best.error = std::numeric_limits<double>::infinity();
  for (unsigned tag = 0; tag < kBitmodTags; ++tag) {
    const Grid& grid = grid_of(format, tag);
    const float s = store_parameter(scale_format, bitmod_scale(magnitude, format, tag));
    double error = 0;
    for (const float x : values) {
      const double d = static_cast<float>(grid.values[nearest(x / s, grid)]) * s - x;
      error += d * d;
    }
    if (error < best.error) best = {static_cast<std::uint8_t>(tag), s, error};
  }
  return best;
}

TwoLevelScales two_level_scales(std::span<const float> scales) {
  require(!scales.empty(), "two-level scales: no scales");
  constexpr float kSmallestFp16 = 0x1p-24f;
  TwoLevelScales out;
  out.row =
      std::max(kSmallestFp16, store_parameter(Format::fp16, std::ranges::max(scales) / 127.0f));
  for (const float s : scales) {
    const float q = std::nearbyint(s / out.row);  // default mode: ties to even
    out.codes.push_back(static_cast<std::uint8_t>(std::clamp(q, 1.0f, 127.0f)));
  }
  return out;
}

std::vector<BitTerm> booth_terms(std::int32_t value, unsigned bits) {
  require(bits >= 2 && bits <= 16, "booth: 2 to 16 bits");
  const std::int32_t half = std::int32_t{1} << (bits - 1);
  require(value >= -half && value < half, "booth: the value does not fit");
  const auto bit = [value](unsigned i) { return (value >> i) & 1; };  // repeats the sign above
  std::vector<BitTerm> terms;
  for (unsigned i = 0; i < booth_term_count(bits); ++i) {
    const std::int32_t digit = (i == 0 ? 0 : bit(2 * i - 1)) + bit(2 * i) - 2 * bit(2 * i + 1);
    BitTerm term;
    term.negative = digit < 0;
    term.mantissa = digit != 0 ? 1 : 0;
    term.exponent = digit == 2 || digit == -2 ? 1 : 0;
    term.significance = static_cast<std::uint8_t>(2 * i);
    terms.push_back(term);
  }
  return terms;
}

std::array<BitTerm, kBitmodTerms> leading_one_terms(std::int32_t value) {
  require(value > -64 && value < 64, "leading one: beyond 6 bits");
  const auto magnitude = static_cast<std::uint32_t>(std::abs(value));
  require(std::popcount(magnitude) <= 2, "leading one: more than two ones");
  std::array<BitTerm, kBitmodTerms> terms{};
  if (magnitude == 0) return terms;
  const auto high = static_cast<std::uint8_t>(std::bit_width(magnitude) - 1);
  const auto low = static_cast<std::uint8_t>(std::countr_zero(magnitude));
  terms[0] = {value < 0, 1, high, 0};
  if (low != high) terms[1] = {value < 0, 1, low, 0};
  return terms;
}

}  // namespace systole::quant
