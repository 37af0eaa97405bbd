// A seeded stream of random numbers whose values are the same on every machine: for what is random
// by definition (rotations, k-means++); golden/stream.hpp draws cases from it.
#pragma once

#include <cmath>
#include <cstdint>

#include "quant/elementary.hpp"

namespace systole::quant {

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  /// In [0, 1), a multiple of 2^-53.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  /// Standard normal: Marsaglia's polar method, one of the pair.
  double normal() {
    for (;;) {
      const double u = 2.0 * uniform() - 1.0;
      const double v = 2.0 * uniform() - 1.0;
      const double s = u * u + v * v;
      if (s > 0.0 && s < 1.0) return u * std::sqrt(-2.0 * elementary::log(s) / s);
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace systole::quant
