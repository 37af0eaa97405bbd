// Products with weights split or coded in other ways: outliers aside, logarithms, nested planes.
#include <gmock/gmock.h>

#include <limits>

#include "operands.hpp"
#include "quant/kernels/any_precision_gemv.hpp"
#include "quant/kernels/dense_sparse_gemm.hpp"
#include "quant/kernels/gemm.hpp"
#include "quant/kernels/twin_log_gemm.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;
using testing::ElementsAre;

TEST(SplitOutliers, TakesOutWhatIsAboveTheThreshold) {
  const auto parts = split_outliers(std::vector<float>{1, -5, 2, 3, 0, 7}, 2, 3, 2.5f);
  EXPECT_THAT(parts.dense, ElementsAre(1, 0, 2, 0, 0, 0));
  EXPECT_THAT(parts.sparse.row_start, ElementsAre(0, 1, 3));
  EXPECT_THAT(parts.sparse.index, ElementsAre(1, 0, 2));
  EXPECT_THAT(parts.sparse.value, ElementsAre(-5, 3, 7));
  EXPECT_THROW(split_outliers(std::vector<float>(5), 2, 3, 1), std::invalid_argument);
}

TEST(DenseSparseGemm, RestoresTheProductOfTheUnsplitWeight) {
  SYSTOLE_SEEDED(random);
  const std::size_t k = 64;
  auto weight = integers<float>(random, 3 * k, -7, 7);
  for (std::size_t r = 0; r < 3; ++r) weight[r * k + 11 * r] = 7.0f;  // so that every scale is 1
  weight[5] = 1000.0f, weight[k + 40] = -500.0f;
  const auto a = integers<float>(random, 2 * k, -9, 9);
  const auto parts = split_outliers(weight, 3, k, 7.0f);
  QuantSpec spec;
  spec.format = Format::int4;
  spec.granularity = Granularity::channel;
  std::vector<float> expected(6);
  std::vector<float> actual(6);
  gemm_fp32(a, weight, {2, 3, k}, expected);
  dense_sparse_gemm(a, quantise(parts.dense, 3, k, spec), parts.sparse, actual);
  EXPECT_EQ(actual, expected);  // integers: exact in any order
  dense_sparse_gemm(a, encode(parts.dense, 3, k, spec), parts.sparse, actual);
  EXPECT_EQ(actual, expected);
  EXPECT_THROW(dense_sparse_gemm(a, quantise(parts.dense, 3, k, spec), {}, actual),
               std::invalid_argument);
}

TEST(LogEncode, FindsTheNearestPowerAndSaturates) {
  EXPECT_EQ(log_encode(8.0f, -10, 10, 2), (LogCode{false, false, 3, 0}));
  EXPECT_EQ(log_encode(-0.25f, -10, 10, 2), (LogCode{false, true, -2, 0}));
  EXPECT_EQ(log_encode(1.42f, -10, 10, 1), (LogCode{false, false, 0, 1}));
  EXPECT_EQ(log_encode(1e30f, -4, 3, 2), (LogCode{false, false, 3, 3}));
  EXPECT_EQ(log_encode(1e-30f, -4, 3, 2), (LogCode{false, false, -4, 0}));
  EXPECT_TRUE(log_encode(0.0f, -4, 3, 2).zero);
  EXPECT_EQ(log_decode(log_encode(0.0f, -4, 3, 2), 2), 0.0f);
  EXPECT_THROW(log_encode(std::nanf(""), -4, 3, 2), std::invalid_argument);
  EXPECT_THROW(log_encode(1.0f, 3, -4, 2), std::invalid_argument);
}

TEST(LogDot, IsTheCorrectlyRoundedSumInAMillionRandomCases) {
  // 17 + 7 + 20 + 3 bits: every partial sum is a double.
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < kCases; ++i) {
    const auto n = static_cast<std::size_t>(pick(random, 0, 6));
    const auto a = integers<std::int8_t>(random, n, -128, 127);
    std::vector<LogCode> w(n);
    double exact = 0;
    for (std::size_t k = 0; k < n; ++k) {
      w[k] = {pick(random, 0, 7) == 0, random.next() % 2 == 0,
              static_cast<std::int8_t>(pick(random, -15, 5)),
              static_cast<std::uint8_t>(pick(random, 0, 7))};
      exact += a[k] * static_cast<double>(log_decode(w[k], 3));
    }
    ASSERT_TRUE(same_bits(log_dot(a, w, 3), static_cast<float>(exact + 0.0)));
  }
}

TEST(LogDot, RefusesAnAccumulatorThatWouldBeTooWide) {
  const std::vector<std::int8_t> a{1, 1};
  EXPECT_THROW(log_dot(a, std::vector<LogCode>{{false, false, -40, 0}, {false, false, 40, 0}}, 0),
               std::invalid_argument);
  EXPECT_THROW(log_dot(a, std::vector<LogCode>{{false, false, 0, 1}, {}}, 0),
               std::invalid_argument);
  EXPECT_THROW(log_dot(a, std::vector<LogCode>(1), 0), std::invalid_argument);
  std::vector<float> out(1);
  log_gemm(a, std::vector<float>{0.5f},
           std::vector<LogCode>{{false, false, 1, 0}, {false, true, 2, 0}},
           std::vector<float>{3.0f}, 2, 0, out);
  EXPECT_EQ(out[0], (2.0f - 4.0f) * 3.0f * 0.5f);
}

PlaneNested nested(SplitMix& random, std::size_t rows, std::size_t cols,
                   std::vector<std::uint8_t>& codes) {
  codes = integers<std::uint8_t>(random, rows * cols, 0, 255);
  PlaneNested w = nest_planes(codes, rows, cols, 8);
  for (unsigned b = 3; b <= 8; ++b) w.luts[b] = normals(random, rows << b);
  return w;
}

TEST(AnyPrecisionGemv, ReadsTheLeadingPlanesOnly) {
  SYSTOLE_SEEDED(random);
  std::vector<std::uint8_t> codes;
  const auto w = nested(random, 3, 67, codes);
  const auto x = normals(random, 67);
  for (unsigned bits = 3; bits <= 8; ++bits) {
    std::vector<float> out(3);
    any_precision_gemv(w, bits, x, out);
    for (std::size_t n = 0; n < 3; ++n) {
      float acc = 0;
      for (std::size_t k = 0; k < 67; ++k) {
        acc = std::fma(x[k], w.luts[bits][(n << bits) + (codes[n * 67 + k] >> (8 - bits))], acc);
      }
      EXPECT_TRUE(same_bits(out[n], acc));
    }
    auto cut = w;  // the lower planes are not even there
    cut.planes.resize(bits * 3 * cut.row_words());
    std::vector<float> same(3);
    any_precision_gemv(cut, bits, x, same);
    EXPECT_EQ(same, out);
  }
  std::vector<float> out(3);
  EXPECT_THROW(any_precision_gemv(w, 2, x, out), std::invalid_argument);
  EXPECT_THROW(any_precision_gemv(w, 9, x, out), std::invalid_argument);
}

TEST(NestPlanes, PutsTheMostSignificantFirst) {
  const auto w = nest_planes(std::vector<std::uint8_t>{4, 1}, 1, 2, 3);
  EXPECT_THAT(w.planes, ElementsAre(1, 0, 2));
  EXPECT_EQ(leading_code(w, 0, 0, 1), 1u);
  EXPECT_EQ(leading_code(w, 0, 1, 3), 1u);
  EXPECT_THROW(nest_planes(std::vector<std::uint8_t>{8}, 1, 1, 3), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
