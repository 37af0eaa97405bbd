// What an integer accumulator does when a sum leaves its range.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string_view>

namespace systole::quant {

enum class Overflow : std::uint8_t { wrap, saturate, error };
inline constexpr std::array<std::string_view, 3> kOverflowNames = {"wrap", "saturate", "error"};

/// acc = acc + value in a two's-complement register of `bits` (2 ... 64) bits: wrap keeps the low
/// bits, saturate stops at the ends of the range (at each addition, so the order matters), error
/// throws std::overflow_error and leaves acc as it was.
inline void accumulate(std::int64_t& acc, std::int64_t value, unsigned bits, Overflow overflow) {
  const std::int64_t highest =
      static_cast<std::int64_t>((std::uint64_t{1} << (bits - 1)) - std::uint64_t{1});
  const std::int64_t lowest = -highest - 1;
  std::int64_t sum = 0;
  const bool carried = __builtin_add_overflow(acc, value, &sum);
  if (!carried && sum <= highest && sum >= lowest) {
    acc = sum;
    return;
  }
  switch (overflow) {
    case Overflow::wrap: {  // sum holds the low 64 bits in any case
      const unsigned unused = 64 - bits;
      acc = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) << unused) >> unused;
      return;
    }
    case Overflow::saturate:
      acc = value > 0 ? highest : lowest;
      return;
    case Overflow::error:
      throw std::overflow_error("an integer accumulator left its range");
  }
}

/// The same in 32 bits.
inline void accumulate(std::int32_t& acc, std::int64_t value, Overflow overflow) {
  std::int64_t wide = acc;
  accumulate(wide, value, 32, overflow);
  acc = static_cast<std::int32_t>(wide);
}

}  // namespace systole::quant
