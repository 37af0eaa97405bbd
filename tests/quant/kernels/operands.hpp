// Seeded operands for the kernel tests, and comparison of bits.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "quant/float16.hpp"
#include "quant/primitives/random.hpp"
#include "quant/quantise.hpp"

namespace systole::quant::testing_operands {

/// How many random cases each exact identity is put to.
inline constexpr std::uint64_t kCases = 1'000'000;

/// The seed of this run: --gtest_random_seed=N, printed with every failure; 1 when not given.
inline std::uint64_t seed() {
  const int given = GTEST_FLAG_GET(random_seed);
  return given == 0 ? 1 : static_cast<std::uint64_t>(given);
}
#define SYSTOLE_SEEDED(random)               \
  SplitMix random(testing_operands::seed()); \
  SCOPED_TRACE(testing::Message() << "--gtest_random_seed=" << testing_operands::seed())

/// Uniform in [low, high].
inline int pick(SplitMix& random, int low, int high) {
  return low + static_cast<int>(random.next() % static_cast<std::uint64_t>(high - low + 1));
}

template <class T>
std::vector<T> integers(SplitMix& random, std::size_t n, int low, int high) {
  std::vector<T> v(n);
  for (T& e : v) e = static_cast<T>(pick(random, low, high));
  return v;
}

inline std::vector<float> normals(SplitMix& random, std::size_t n) {
  std::vector<float> v(n);
  for (float& e : v) e = static_cast<float>(random.normal());
  return v;
}

inline std::vector<Fp16> halves(std::span<const float> values) {
  std::vector<Fp16> v;
  for (const float x : values) v.push_back(Fp16::encode(x));
  return v;
}

inline QuantizedMatrix weights(SplitMix& random, std::size_t rows, std::size_t cols, Format format,
                               std::uint32_t group, Affine affine = Affine::symmetric) {
  QuantSpec spec;
  spec.format = format;
  spec.granularity = Granularity::group;
  spec.group = group;
  spec.affine = affine;
  return quantise(normals(random, rows * cols), rows, cols, spec);
}

inline QuantizedMatrix activations(SplitMix& random, std::size_t rows, std::size_t cols,
                                   Format format = Format::int8) {
  QuantSpec spec;
  spec.format = format;
  spec.granularity = Granularity::token;
  return quantise(normals(random, rows * cols), rows, cols, spec);
}

/// The same bits (any NaN equals any NaN).
inline testing::AssertionResult same_bits(float a, float b) {
  if (std::isnan(a) && std::isnan(b)) return testing::AssertionSuccess();
  if (std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b))
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << a << " is not " << b << " bit for bit";
}
inline testing::AssertionResult same_bits(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return testing::AssertionFailure() << "sizes differ";
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!same_bits(a[i], b[i]))
      return testing::AssertionFailure() << "at " << i << ": " << a[i] << " and " << b[i];
  }
  return testing::AssertionSuccess();
}

struct Shape {
  std::size_t m, n, k;
};
/// Ones, primes, powers of two and their neighbours.
inline constexpr Shape kShapes[] = {{1, 1, 1},   {1, 1, 63},  {1, 3, 64},  {2, 1, 65}, {3, 5, 7},
                                    {7, 2, 127}, {1, 4, 128}, {4, 4, 129}, {1, 1, 257}};

}  // namespace systole::quant::testing_operands
