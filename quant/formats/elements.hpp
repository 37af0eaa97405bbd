// The elements of minifloat and block formats as tables, one entry a code.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "quant/coded_matrix.hpp"

namespace systole::quant {

struct ElementFormat {
  unsigned bits = 0;
  int emax = 0;       ///< exponent of the largest value
  float largest = 0;  ///< finite
  std::uint16_t (*encode)(float value, Rounding rounding) = nullptr;  ///< saturating
  std::array<float, 256> value{};                                     ///< by code
  std::array<std::int32_t, 256> integer{};  ///< value over 2^unit_exponent, where has_integers
  int unit_exponent = 0;
  bool has_integers = false;  ///< they fit 16 bits: all but the 8-bit floats
};

/// E4M3, E5M2, E3M2, E2M3, E2M1 or MX's int8, by the name of the bare or the block format.
/// Errors: std::invalid_argument for any other.
const ElementFormat& element_of(Format format);
std::optional<IntegerGrid> grid_of(const ElementFormat& element);

}  // namespace systole::quant
