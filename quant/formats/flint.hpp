// flint4 and power-of-two codes, signed and unsigned: the value sets of ANT, decoded both ways the
// paper shows, and encoded to the nearest.
// Source: ANT (MICRO 2022); accelerators.md §1.2, §5; value sets checked against the grids that
// clevercool/ANT-Quantization builds.
#pragma once

#include <array>
#include <cstdint>

#include "quant/format.hpp"
#include "quant/formats/exponent_integer.hpp"

namespace systole::quant {

/// Format::flint4, uflint4, pot4 or upot4.
constexpr bool is_ant_grid(Format f) {
  return f == Format::flint4 || f == Format::uflint4 || f == Format::pot4 || f == Format::upot4;
}

/// NORMATIVE. flint of n bits without sign, exponent-integer view: code b(n-1)...b0.
///   top bit 0: <0, b(n-2)...b0>;  top bit 1: <2 LZ + 1, b(n-2)...b0>, LZ the leading zeros of the
///   n - 1 lower bits;  1 0...0: <2 (n - 1), 1>.
/// n = 4: 0..7 | 8 10 12 14 | 16 24 | 32 | 64.  n = 3: 0..3 | 4 6 | 8 | 16. n in [2, 8].
ExponentInteger flint_operand(std::uint32_t code, unsigned n);

/// NORMATIVE. The float view of the same code: p = (n - 1) - LZ where the top bit is 0, else n +
/// LZ; fraction = lower bits << (LZ + 1), n - 1 bits kept; value = 2^(p - 1) * 1.fraction; code 0
/// is 0.
float flint_float_view(std::uint32_t code, unsigned n);

/// The operand of a 4-bit code of an ANT grid. Signed ones are sign and magnitude, sign in bit 3;
/// the code 1000 (-0) is not used and decodes to <0, 0>. Power of two: code c > 0 is <c - 1, 1>.
/// Errors: std::invalid_argument when the format is no ANT grid or the code has more than 4 bits.
ExponentInteger ant_operand(std::uint32_t code, Format format);

/// Values by code (0 for the unused one).
const std::array<std::int32_t, 16>& ant_values(Format format);
/// The largest value: 16, 64, 64, 16384.
std::int32_t ant_largest(Format format);

/// NORMATIVE. The code of the nearest value: x clamped to the ends, then the values in ascending
/// order are scanned for the least fp32 |x - value|, a later one on equality. Ties go to the larger
/// value, as in the released kernel. x finite.
std::uint32_t ant_encode_scan(float x, Format format);
/// The same by counting the midpoints at or below x: no search.
std::uint32_t ant_encode(float x, Format format);

}  // namespace systole::quant
