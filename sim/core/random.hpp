// Seeded random numbers that are the same on every platform (the standard library's distributions
// are not).
#pragma once

#include <bit>
#include <cstdint>

namespace systole {

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): 64 bits of state, passes BigCrush, any seed is
/// good.
class Random {
 public:
  explicit constexpr Random(std::uint64_t seed) : state_(seed) {}

  constexpr std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  /// Uniform in [low, high], both included; low <= high. The modulo bias is below 2^-32 for spans <
  /// 2^32.
  constexpr std::int64_t uniform(std::int64_t low, std::int64_t high) {
    const auto span = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) +
                                     (span == 0 ? next() : next() % span));
  }

  /// Uniform in [0, 1), 53 bits.
  constexpr double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  /// Approximately normal (sum of 12 uniforms, Irwin-Hall): exact arithmetic, so equal everywhere.
  constexpr double normal() {
    double sum = -6.0;
    for (int i = 0; i < 12; ++i) sum += unit();
    return sum;
  }

  /// An independent stream: case `index` of a suite does not depend on how many draws its
  /// predecessors made.
  static constexpr Random stream(std::uint64_t seed, std::uint64_t index) {
    Random mixer(seed ^ std::rotl(index * 0xD1342543DE82EF95u + 1, 29));
    return Random(mixer.next());
  }

 private:
  std::uint64_t state_;
};

}  // namespace systole
