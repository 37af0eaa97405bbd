// The MixPE shift-and-add element: four-bit weight, eight-bit activation, no multiplier.
#pragma once

#include <cstdint>

#include "pe/design.hpp"

namespace systole::pe::mixpe_w4a8 {

PeDesign design();

/// nibble * moving from four gated shifts and three adders: b0 a + b1 (a << 1) + b2 (a << 2) +- b3
/// (a << 3), the last negative where the nibble is two's complement (top_is_sign: -8 b3), positive
/// where it is the low part of a wider weight. |result| <= 15 * 128, 12 bits and a sign. Source:
/// MixPE (arXiv 2411.16158), abstract: shift and add instead of multipliers; the bit form is the
/// plain expansion of the two's complement weight.
constexpr std::int32_t shift_add(unsigned nibble, bool top_is_sign, std::int32_t moving) {
  const auto gated = [&](unsigned bit) {
    // Shifted as unsigned: the same wires, and defined for negative operands in every language
    // version.
    const std::uint32_t shifted = static_cast<std::uint32_t>(moving) << bit;
    return (nibble >> bit & 1u) != 0 ? shifted : 0u;
  };
  const std::uint32_t low = gated(0) + gated(1);
  const std::uint32_t top = gated(3);
  const std::uint32_t high = top_is_sign ? gated(2) - top : gated(2) + top;
  return static_cast<std::int32_t>(low + high);
}

}  // namespace systole::pe::mixpe_w4a8
