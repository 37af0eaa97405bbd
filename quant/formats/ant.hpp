// ANT's choice of a numeric type for each tensor: integer, flint, power of two or float, whichever
// leaves the least squared error after its own search for a scale.
// Source: ANT (MICRO 2022), clevercool/ANT-Quantization (ant_quantization); accelerators.md §5.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "quant/format.hpp"

namespace systole::quant {

enum class AntType : std::uint8_t { integer, flint, power_of_two, floating };
inline constexpr std::array<std::string_view, 4> kAntTypeNames = {"integer", "flint",
                                                                  "power_of_two", "float"};
inline constexpr std::array<AntType, 4> kAntTypes = {AntType::integer, AntType::flint,
                                                     AntType::power_of_two, AntType::floating};

/// The values of a 4-bit type, ascending, as integers times `unit`. Integers as the released code
/// has them: -8..7 (scaled by 7) or 0..15. Floats: `exponent_bits` of exponent, the rest mantissa,
/// with subnormals (2: E2M1 signed, E2M2 unsigned; 3, the released default: signed it is the
/// power-of-two grid). Errors: std::invalid_argument unless exponent_bits is 1, 2 or 3.
struct AntGrid {
  std::vector<std::int32_t> integers;
  float unit = 1.0f;
  float largest() const { return static_cast<float>(integers.back()) * unit; }
};
AntGrid ant_grid(AntType type, bool is_signed, unsigned exponent_bits = 2);

/// The catalogue's format of a type: int4 (without -8), flint4, pot4, fp4_e2m1; uint4, uflint4,
/// upot4; nothing for the unsigned float.
std::optional<Format> format_of(AntType type, bool is_signed);

/// Candidates alpha = absmax * float(p * 0.01), p = low ... high - 1: the released defaults.
struct AntCandidates {
  unsigned low = 75, high = 150, step = 1;
};

struct AntFit {
  std::vector<float> scales;   ///< one a box: alpha / largest value
  std::vector<double> errors;  ///< sum of squared errors of each box
  double total_error() const;
};
/// NORMATIVE. For each box of `box` consecutive values the candidate with the least sum of
/// (q * s - x)^2, the first of equals: q the value nearest to x / s, ties to the larger; q * s and
/// the difference rounded to fp32, squares and sums (index ascending) in double.
AntFit ant_search(std::span<const float> values, std::size_t box, const AntGrid& grid,
                  const AntCandidates& candidates = {});

struct AntChoice {
  AntType type = AntType::integer;
  AntFit fit;
  std::vector<double> errors;  ///< total of every type asked for, in their order
};
/// The type of least total error over the tensor, the earlier of equals. `box` is the tensor for
/// activations and the row for weights. Unsigned types take negative values as 0.
/// Errors: std::invalid_argument when values are not whole boxes or no type is given.
AntChoice choose_ant_type(std::span<const float> values, std::size_t box, bool is_signed,
                          std::span<const AntType> types = kAntTypes, unsigned exponent_bits = 2,
                          const AntCandidates& candidates = {});

}  // namespace systole::quant
