// What the arithmetic of a design is: a struct with these members, from which array_core.hpp makes
// the clocked arrays. Words are small values that move from register to register.
//
//   using Weight, Activation   a word of `depth` elements, or a part of one
//   using Sum                  accumulator and partial sum
//   kZeroIsNeutral             a word of zeros leaves every sum as it is, bit for bit
//   weight(lanes, mode, part)  the word of up to mode.depth elements; part is the index
//                              weight_part * mode.activation_parts + activation_part, or kWhole
//                              where a PE holds the operand and takes its parts itself
//   activation(...)            the same
//   mac(sum, weight, activation), add(a, b), zero()
//   finish(sum, exponent)      the sum as it leaves the edge accumulator; exponent is the sum of
//   the
//                              two operands' Decoded::exponents
// and where they apply
//   decode_weight, decode_activation   what the decoders at the array's edge do with codes
//   boundary()                 an activation word that shifts the accumulator (Tender)
//   weight_stall(word), activation_stall(word)   further cycles that a step of this word takes
//   weight_port(word, mode), activation_port(word, mode)   the bits at the PE's operand port, for
//                              designs that say how wide their ports are; all 0 for a zero operand
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "pe/array_timing.hpp"
#include "pe/design.hpp"
#include "quant/format.hpp"
#include "quant/formats/exponent_integer.hpp"

namespace systole::pe {

/// A decoded operand: integer << exponent; floats are bits in `integer`.
using Element = quant::ExponentInteger;

inline constexpr unsigned kWhole = std::numeric_limits<unsigned>::max();
constexpr unsigned weight_part(const Mode& mode, unsigned part) {
  return part / mode.activation_parts;
}
constexpr unsigned activation_part(const Mode& mode, unsigned part) {
  return part % mode.activation_parts;
}

/// An operand matrix behind the decoders at the array's edge.
struct Decoded {
  std::vector<Element> elements;  ///< [rows, K]
  /// [rows, groups] power of two that the sums of a group are in units of; empty: the same for all.
  std::vector<int> exponents;
  int unit_exponent = 0;  ///< of all
};

/// Codes that need no neighbours: integers (sign-extended words), minifloat, IEEE and ANT grids.
/// Floats stay bits; flint and power of two become exponent-integers; elements of MX and NVFP4
/// become integers times a unit.
Decoded decode_codes(quant::Format format, std::span<const OperandWord> words);
/// Outlier-victim pairs along each row of `k` codes; other formats as decode_codes.
Decoded decode_pairs(quant::Format format, std::span<const OperandWord> words, std::uint64_t k);
/// fp16 mantissas of `bits` aligned within each group (quant::align, truncated).
Decoded decode_aligned(std::span<const OperandWord> words, std::uint64_t k, std::uint64_t group,
                       unsigned bits);

/// Operands as one small integer each, sums in int32 that wrap: the ground that designs of one
/// element a step stand on.
struct IntegerBase {
  using Weight = std::int32_t;
  using Activation = std::int32_t;
  using Sum = std::int32_t;
  static constexpr bool kZeroIsNeutral = true;

  static Sum zero() { return 0; }
  /// Wraps; the contract's bound on K excludes that.
  static Sum add(Sum a, Sum b) {
    return static_cast<Sum>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
  }
  static ResultWord finish(Sum sum, int) { return result_of(sum); }
};

/// fp32 sums.
struct FloatBase {
  using Sum = float;
  static constexpr bool kZeroIsNeutral = false;  // -0 + +0 is +0

  static Sum zero() { return 0.0f; }
  static Sum add(Sum a, Sum b) { return a + b; }
  static ResultWord finish(Sum sum, int) { return std::bit_cast<std::uint32_t>(sum); }
};

}  // namespace systole::pe
