// Transforms: published vectors, inverses, orthogonality, and second computations in double.
#include "quant/primitives/transform.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <bit>
#include <cmath>
#include <numbers>
#include <numeric>

#include "quant/kernels/vector.hpp"
#include "quant/primitives/random.hpp"

namespace systole::quant {
namespace {

using testing::ElementsAre;
using testing::FloatEq;

std::vector<float> normals(std::size_t n, std::uint64_t seed) {
  SplitMix random(seed);
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(random.normal());
  return x;
}

TEST(Fwht, OfOneToFourIsThePublishedVector) {
  std::vector<float> x{1, 2, 3, 4};  // quantization.md 13
  fwht(x, 4);
  EXPECT_THAT(x, ElementsAre(5.0f, -1.0f, -2.0f, 0.0f));
}

TEST(Fwht, EqualsTheMatrixOfSignsForSmallIntegers) {
  // H[i][j] = (-1)^popcount(i & j); n a power of four, so that the scale is exact.
  for (const std::size_t n : {1u, 4u, 16u, 64u, 256u}) {
    auto x = normals(n, n);
    for (float& v : x) v = std::round(v * 8);
    auto y = x;
    fwht(y, n);
    for (std::size_t i = 0; i < n; ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < n; ++j) {
        sum += (std::popcount(i & j) % 2 == 1 ? -1.0 : 1.0) * static_cast<double>(x[j]);
      }
      EXPECT_EQ(static_cast<double>(y[i]), sum / std::sqrt(static_cast<double>(n)));
    }
  }
}

TEST(Fwht, IsItsOwnInverseBlockByBlock) {
  for (const std::size_t n : {1u, 2u, 8u, 128u, 512u}) {
    const auto x = normals(3 * n, 7);
    auto y = x;
    fwht(y, n);
    fwht(y, n);
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 2e-6);
  }
}

TEST(Fwht, AddsInStagesOfIncreasingStride) {
  // 2^24 + 1 is lost when neighbours are added first, kept when the stride-2 stage comes first.
  std::vector<float> x{16777216.0f, 1.0f, -16777216.0f, 0.0f};
  fwht(x, 4);
  EXPECT_EQ(x[0], 0.0f);  // (2^24 + 1) -> 2^24, minus 2^24; the other order gives 1/2
}

TEST(Fwht, RefusesSizesThatAreNoPowerOfTwoOrDoNotDivide) {
  std::vector<float> x(12);
  EXPECT_THROW(fwht(x, 3), std::invalid_argument);
  EXPECT_THROW(fwht(x, 0), std::invalid_argument);
  EXPECT_THROW(fwht(x, 8), std::invalid_argument);
  EXPECT_THROW(fwht(x, 131072), std::invalid_argument);
  EXPECT_NO_THROW(fwht(x, 4));
  EXPECT_EQ(fwht_size(12, 0), 4u);
  EXPECT_EQ(fwht_size(12, 512), 4u);
  EXPECT_EQ(fwht_size(512, 128), 128u);
  EXPECT_EQ(fwht_size(512, 200), 128u);
  EXPECT_EQ(fwht_size(7, 4), 1u);
  EXPECT_EQ(fwht_size(std::size_t{1} << 40, 0), 65536u);
}

TEST(Permute, GathersAndItsInversePutsBack) {
  const std::vector<float> x{10, 11, 12, 13};
  const std::vector<std::uint32_t> order{2, 0, 3, 1};
  std::vector<float> y(4);
  std::vector<float> z(4);
  permute(x, order, y);
  EXPECT_THAT(y, ElementsAre(12, 10, 13, 11));
  permute(y, inverse_permutation(order), z);
  EXPECT_EQ(z, x);
  EXPECT_THROW(inverse_permutation(std::vector<std::uint32_t>{0, 0}), std::invalid_argument);
  EXPECT_THROW(inverse_permutation(std::vector<std::uint32_t>{0, 2}), std::invalid_argument);
  EXPECT_THROW(permute(x, order, std::span(y).first(3)), std::invalid_argument);
}

TEST(ScaleBy, MultipliesElementByElement) {
  std::vector<float> x{2, 3};
  scale_by(x, std::vector<float>{0.5f, -1.0f});
  EXPECT_THAT(x, ElementsAre(1.0f, -3.0f));
  EXPECT_THROW(scale_by(x, std::vector<float>{1.0f}), std::invalid_argument);
}

TEST(Rotate, FusesEachStep) {
  std::vector<float> out(1);
  const float a = 1.0f + 0x1p-12f;
  quant::rotate(std::vector<float>{1.0f, a}, std::vector<float>{-(a * a), a}, out);
  EXPECT_EQ(out[0], 0x1p-24f);  // what the rounded product had lost
  EXPECT_THROW(quant::rotate(std::vector<float>{1, 2, 3}, std::vector<float>{1, 2}, out),
               std::invalid_argument);
}

TEST(RandomRotation, IsOrthogonalAndAFunctionOfItsSeed) {
  for (const std::size_t n : {1u, 2u, 7u, 64u}) {
    const auto q = random_rotation(n, 5);
    EXPECT_EQ(q, random_rotation(n, 5));
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        double dot = 0;
        for (std::size_t k = 0; k < n; ++k) {
          dot += static_cast<double>(q[i * n + k]) * static_cast<double>(q[j * n + k]);
        }
        EXPECT_NEAR(dot, i == j ? 1.0 : 0.0, 1e-6);
      }
    }
  }
  EXPECT_NE(random_rotation(8, 1), random_rotation(8, 2));
}

TEST(RandomRotation, PrefersNoDirection) {
  // Over many 2 x 2 draws the mean of every entry is near 0: standard error 0.7 / sqrt(2000).
  std::vector<double> mean(4, 0.0);
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const auto q = random_rotation(2, seed);
    for (std::size_t i = 0; i < 4; ++i) mean[i] += static_cast<double>(q[i]) / 2000.0;
  }
  for (const double m : mean) EXPECT_NEAR(m, 0.0, 0.08);
}

TEST(Fft, EqualsTheSumThatDefinesIt) {
  for (const std::size_t n : {1u, 2u, 4u, 64u, 256u}) {
    const auto re = normals(n, 1);
    const auto im = normals(n, 2);
    std::vector<std::complex<float>> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = {re[i], im[i]};
    auto y = x;
    fft(y);
    for (std::size_t k = 0; k < n; ++k) {
      std::complex<double> sum = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const double angle = -2 * std::numbers::pi * static_cast<double>(i * k % n) / double(n);
        sum += std::complex<double>(re[i], im[i]) * std::polar(1.0, angle);
      }
      EXPECT_NEAR(y[k].real(), sum.real(), 2e-5);
      EXPECT_NEAR(y[k].imag(), sum.imag(), 2e-5);
    }
    inverse_fft(y);
    for (std::size_t i = 0; i < n; ++i) EXPECT_LT(std::abs(y[i] - x[i]), 2e-6f);
  }
}

TEST(Fft, OfFourIntegersIsExact) {
  std::vector<std::complex<float>> x{1, 2, 3, 4};
  fft(x);
  using C = std::complex<float>;
  EXPECT_THAT(x, ElementsAre(C(10, 0), C(-2, 2), C(-2, 0), C(-2, -2)));
  std::vector<std::complex<float>> six(6);
  EXPECT_THROW(fft(six), std::invalid_argument);
  EXPECT_THROW(fft(std::span(six).first(0)), std::invalid_argument);
}

TEST(RopeHalfSplit, IsTheInterleavedRotationOfPermutedElements) {
  const auto angles = rope_angles(17, rope_frequencies(8, 10000.0));
  auto x = normals(8, 3);
  std::vector<float> interleaved(8);
  for (std::size_t i = 0; i < 4; ++i) {
    interleaved[2 * i] = x[i];
    interleaved[2 * i + 1] = x[i + 4];
  }
  rope(interleaved, angles);
  rope_half_split(x, angles);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(x[i], interleaved[2 * i]);
    EXPECT_EQ(x[i + 4], interleaved[2 * i + 1]);
  }
  EXPECT_THROW(rope_half_split(std::span(x).first(6), angles), std::invalid_argument);
}

TEST(RopeInverse, TurnsBack) {
  const auto angles = rope_angles(1000, rope_frequencies(64, 10000.0));
  const auto x = normals(64, 4);
  auto y = x;
  rope(y, angles);
  rope_inverse(y, angles);
  for (std::size_t i = 0; i < 64; ++i) EXPECT_NEAR(x[i], y[i], 1e-6);
}

}  // namespace
}  // namespace systole::quant
