// Random material for the tests of the accelerator formats: values with heavy tails, and a seed
// that is printed when a test fails.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace systole::quant::cases {

/// SYSTOLE_TEST_SEED repeats a failure.
inline std::uint64_t seed() {
  const char* text = std::getenv("SYSTOLE_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20230617;
}
inline std::string repeat() { return "repeat with SYSTOLE_TEST_SEED=" + std::to_string(seed()); }

/// Normal values, a share of which is `low` to `high` standard deviations away, of either sign.
inline std::vector<float> heavy_tailed(std::size_t count, double share, float low, float high,
                                       std::uint64_t salt = 0) {
  std::mt19937_64 random(seed() + salt);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> size(low, high);
  std::bernoulli_distribution outlier(share), negative(0.5);
  std::vector<float> values(count);
  for (float& x : values) {
    x = normal(random);
    if (outlier(random)) x = negative(random) ? -size(random) : size(random);
  }
  return values;
}

}  // namespace systole::quant::cases
