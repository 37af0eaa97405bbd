// Our exp, log, sine and cosine against the C library's long double ones.
#include "quant/elementary.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace systole::quant::elementary {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Distance in units of the last place, counted in representable floats.
std::int64_t ulps(float a, float b) {
  const auto order = [](float x) {
    const auto bits = static_cast<std::int64_t>(std::bit_cast<std::uint32_t>(x));
    return bits < 0x80000000 ? bits : 0x80000000 - bits;
  };
  return std::llabs(order(a) - order(b));
}

// Every 499th float of either sign from the smallest subnormal to far beyond overflow: about 4.4
// million, through normal, subnormal and infinite results.
TEST(Exp, IsWithinOneUlpAndAlmostAlwaysCorrectlyRounded) {
  std::uint64_t wrong = 0;
  std::uint64_t count = 0;
  for (const std::uint32_t sign : {0u, 0x80000000u}) {
    for (std::uint32_t bits = 1; bits < 0x43000000u; bits += 499) {
      const float x = std::bit_cast<float>(bits | sign);
      const float expected = static_cast<float>(std::exp(static_cast<long double>(x)));
      const float actual = exp(x);
      ASSERT_LE(ulps(actual, expected), 1) << std::hexfloat << x;
      wrong += actual != expected;
      ++count;
    }
  }
  EXPECT_LE(wrong, count / 1'000'000) << "of " << count;
}

TEST(Exp, HandlesTheEnds) {
  EXPECT_EQ(exp(0.0f), 1.0f);
  EXPECT_EQ(exp(-0.0f), 1.0f);
  EXPECT_EQ(exp(kInfinity), kInfinity);
  EXPECT_EQ(exp(-kInfinity), 0.0f);
  EXPECT_FALSE(std::signbit(exp(-kInfinity)));
  EXPECT_TRUE(std::isnan(exp(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_EQ(exp(0x1.62e42ep+6f), 0x1.ffff08p+127f);  // the largest argument with a finite result
  EXPECT_EQ(exp(0x1.62e43p+6f), kInfinity);
  EXPECT_EQ(exp(-103.97f), 0x1p-149f);  // the smallest subnormal
  EXPECT_EQ(exp(-103.98f), 0.0f);
  EXPECT_EQ(exp(-1000.0f), 0.0f);
}

TEST(Exp, IsTheSameBitsAsConstantEvaluation) {
  constexpr float compiled = exp(-3.7f);
  volatile float x = -3.7f;
  EXPECT_EQ(std::bit_cast<std::uint32_t>(compiled),
            std::bit_cast<std::uint32_t>(exp(static_cast<float>(x))));
}

TEST(DoubleExpAndLog, AreAccurateToTheirDeclaredErrors) {
  for (double x = -700.0; x <= 700.0; x += 0.0173) {
    const long double truth = std::exp(static_cast<long double>(x));
    ASSERT_LE(std::fabs((exp(x) - truth) / truth), 0x1p-50L) << x;
  }
  for (double x = 1e-300; x < 1e300; x *= 1.00317) {
    const long double truth = std::log(static_cast<long double>(x));
    ASSERT_LE(std::fabs(log(x) - truth), std::fabs(truth) * 0x1p-48L) << x;
  }
  EXPECT_EQ(log(1.0), 0.0);
}

TEST(Pow, GivesRopeFrequenciesToDoublePrecision) {
  for (const double theta : {10000.0, 500000.0, 1e6}) {
    for (const int d : {8, 64, 128}) {
      for (int i = 0; i < d / 2; ++i) {
        const double exponent = -2.0 * i / d;
        const long double truth =
            std::pow(static_cast<long double>(theta), static_cast<long double>(exponent));
        ASSERT_LE(std::fabs((pow(theta, exponent) - truth) / truth), 0x1p-43L)
            << theta << ' ' << d << ' ' << i;
      }
    }
  }
  EXPECT_EQ(pow(10000.0, 0.0), 1.0);
}

TEST(SinCos, IsCorrectlyRoundedOverADenseSweep) {
  std::uint64_t wrong = 0;
  std::uint64_t count = 0;
  const auto check = [&](double angle) {
    const SinCos got = sincos(angle);
    const float s = static_cast<float>(std::sin(static_cast<long double>(angle)));
    const float c = static_cast<float>(std::cos(static_cast<long double>(angle)));
    ASSERT_LE(ulps(got.sin, s), 1) << std::hexfloat << angle;
    ASSERT_LE(ulps(got.cos, c), 1) << std::hexfloat << angle;
    wrong += (got.sin != s) + (got.cos != c);
    count += 2;
  };
  for (double angle = -100.0; angle < 100.0; angle += 0.00071) check(angle);
  for (double angle = 100.0; angle <= 0x1p20; angle += 1.7131) check(angle);
  for (int position = 0; position < 65536; ++position)
    check(position);  // the first pair of every head
  EXPECT_LE(wrong, count / 1'000'000) << "of " << count;
}

TEST(SinCos, StaysAccurateNextToMultiplesOfHalfPi) {
  for (int k = 1; k < 600'000; k += 37) {
    const double angle = k * 1.57079632679489661923;
    const SinCos got = sincos(angle);
    const float s = static_cast<float>(std::sin(static_cast<long double>(angle)));
    const float c = static_cast<float>(std::cos(static_cast<long double>(angle)));
    ASSERT_LE(std::fabs(got.sin - s), std::fabs(s) * 1e-5f + 0x1p-60f) << k;
    ASSERT_LE(std::fabs(got.cos - c), std::fabs(c) * 1e-5f + 0x1p-60f) << k;
  }
}

TEST(SinCos, RefusesAnglesBeyondItsDomain) {
  EXPECT_TRUE(std::isnan(sincos(0x1.1p20).sin));
  EXPECT_TRUE(std::isnan(sincos(-0x1.1p20).cos));
  EXPECT_TRUE(std::isnan(sincos(std::numeric_limits<double>::quiet_NaN()).sin));
  EXPECT_EQ(sincos(0.0).sin, 0.0f);
  EXPECT_EQ(sincos(0.0).cos, 1.0f);
}

}  // namespace
}  // namespace systole::quant::elementary
