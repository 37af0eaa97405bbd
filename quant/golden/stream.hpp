// Seeded random numbers for cases, the same on every machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "quant/primitives/random.hpp"

namespace systole::quant {

/// The stream of primitives/random.hpp with the draws that cases are made of.
class Stream : public SplitMix {
 public:
  using SplitMix::SplitMix;

  /// Uniform in [0, n), n > 0 and small: the bias of the remainder is below n / 2^64.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
  /// Sum of four uniforms of 16 bits, out of one draw: bell-shaped enough, variance 1, and the same
  /// bits everywhere.
  float bell() {
    const std::uint64_t z = next();
    const std::uint64_t sum = (z & 0xFFFF) + (z >> 16 & 0xFFFF) + (z >> 32 & 0xFFFF) + (z >> 48);
    return (static_cast<float>(sum) * 0x1p-16f - 2.0f) * 1.7320508f;
  }
  template <class T, std::size_t N>
  T pick(const std::array<T, N>& from) {
    return from[below(N)];
  }
};

}  // namespace systole::quant
