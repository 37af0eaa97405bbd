// Seeded random numbers for cases, the same on every machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace systole::quant {

/// SplitMix64 (Steele, Lea, Flood 2014): one 64-bit state, any seed good. quant includes std only
/// and the standard distributions differ between libraries, so the little that is needed is here.
class Stream {
 public:
  explicit Stream(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
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

 private:
  std::uint64_t state_;
};

}  // namespace systole::quant
