// The shifting accumulator is the sum of classes weighted by powers of two.
#include "quant/kernels/tender_gemm.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "operands.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;
using testing::ElementsAre;

TenderClasses of(unsigned classes, std::vector<std::uint8_t> channel_class) {
  TenderClasses t;
  t.classes = classes;
  t.largest = 1.0f;
  t.bias.assign(channel_class.size(), 0.0f);
  t.channel_class = std::move(channel_class);
  return t;
}

TEST(TenderDot, EqualsTheWeightedSumOfClassesInAMillionRandomCases) {
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < kCases; ++i) {
    const auto classes = static_cast<unsigned>(pick(random, 1, 8));
    const auto n = static_cast<std::size_t>(pick(random, 0, 9));
    const auto t = of(classes, integers<std::uint8_t>(random, n, 0, static_cast<int>(classes) - 1));
    const auto a = integers<std::int8_t>(random, n, -127, 127);
    const auto w = integers<std::int8_t>(random, n, -127, 127);
    std::int64_t expected = 0;
    for (std::size_t k = 0; k < n; ++k) {
      expected += (std::int64_t{a[k]} * w[k]) << (classes - 1 - t.channel_class[k]);
    }
    ASSERT_EQ(tender_dot(a, w, t, Overflow::error), expected);
  }
}

TEST(TenderClasses, PutABorderIntoTheFinerClass) {
  // TMax = 8: class 0 is (4, 8], class 1 (2, 4], the last takes the rest.
  const std::vector<float> maxima{8, 4.5f, 4, 2.5f, 2, 0};
  std::vector<float> minima;
  for (const float v : maxima) minima.push_back(-v);
  const auto t = tender_classes(minima, maxima, 3);
  EXPECT_THAT(t.channel_class, ElementsAre(0, 0, 1, 1, 2, 2));
  EXPECT_EQ(t.scale(0, 4), 8.0f / 7.0f);
  EXPECT_EQ(t.scale(2, 4), 8.0f / 7.0f / 4.0f);
  const auto shifted = tender_classes(std::vector<float>{2}, std::vector<float>{6}, 2);
  EXPECT_EQ(shifted.bias[0], 4.0f);
  EXPECT_EQ(shifted.largest, 2.0f);
  EXPECT_THROW(tender_classes(maxima, minima, 3), std::invalid_argument);
  EXPECT_THROW(tender_classes(minima, maxima, 33), std::invalid_argument);
}

TEST(TenderDot, ObeysItsOverflowPolicyAtTheShift) {
  const std::size_t n = 70000;
  std::vector<std::uint8_t> channel_class(n, 0);
  const auto t = of(2, channel_class);
  const std::vector<std::int8_t> ones(n, 127);
  const std::int64_t sum = std::int64_t{127} * 127 * 70000;  // fits; doubled it does not
  EXPECT_EQ(tender_dot(ones, ones, t, Overflow::wrap), static_cast<std::int32_t>(2 * sum));
  EXPECT_EQ(tender_dot(ones, ones, t, Overflow::saturate),
            std::numeric_limits<std::int32_t>::max());
  EXPECT_THROW(tender_dot(ones, ones, t, Overflow::error), std::overflow_error);
}

TEST(TenderGemm, ApproximatesTheProductOfItsOperands) {
  SYSTOLE_SEEDED(random);
  const std::size_t rows = 5;
  const std::size_t channels = 67;
  auto x = normals(random, rows * channels);
  std::vector<float> minima(channels, 1e9f);
  std::vector<float> maxima(channels, -1e9f);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % channels;
    x[i] = x[i] * (c % 16 == 0 ? 50.0f : 1.0f) + (c % 5 == 0 ? 3.0f : 0.0f);
    minima[c] = std::min(minima[c], x[i]);
    maxima[c] = std::max(maxima[c], x[i]);
  }
  const auto t = tender_classes(minima, maxima, 8);
  const auto codes = tender_quantise(x, rows, t, 8);
  const auto w = weights(random, 3, channels, Format::int8, channels);
  std::vector<float> out(rows * 3);
  tender_gemm(codes, t, 8, w, out, Overflow::error);
  for (std::size_t m = 0; m < rows; ++m) {
    for (std::size_t n = 0; n < 3; ++n) {
      double exact = 0;  // of the decoded operands, every scale its class's own
      for (std::size_t k = 0; k < channels; ++k) {
        const double decoded = static_cast<double>(codes[m * channels + k]) *
                                   static_cast<double>(t.scale(t.channel_class[k], 8)) +
                               static_cast<double>(t.bias[k]);
        exact += decoded * w.code(n, k) * static_cast<double>(w.scale(n, 0));
        // Half a step of the channel's class.
        EXPECT_NEAR(decoded, x[m * channels + k],
                    0.501 * static_cast<double>(t.scale(t.channel_class[k], 8)));
      }
      EXPECT_NEAR(out[m * 3 + n], exact, 1e-4 * std::max(1.0, std::fabs(exact)));
    }
  }
}

TEST(TenderGemm, RefusesOtherForms) {
  SYSTOLE_SEEDED(random);
  const auto t = of(1, {0, 0});
  std::vector<float> out(1);
  const std::vector<std::int8_t> a{1, 2};
  EXPECT_THROW(tender_gemm(a, t, 8, weights(random, 1, 2, Format::int4, 1), out, Overflow::error),
               std::invalid_argument);
  EXPECT_THROW(tender_gemm(a, t, 8, weights(random, 1, 2, Format::int4, 2, Affine::float_min), out,
                           Overflow::error),
               std::invalid_argument);
  EXPECT_THROW(tender_gemm(a, t, 8, weights(random, 1, 3, Format::int4, 3), out, Overflow::error),
               std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
