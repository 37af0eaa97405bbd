// Reductions, selection, sparse sums and scores: against sorts and sums written a second time.
#include "quant/primitives/select.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace systole::quant {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Reduce, WalksABoxByItsStride) {
  const std::vector<float> x{9, 1, 9, -3, 9, 2, 9};
  const BoxStatistics s = reduce(x, 1, 2, 3);
  EXPECT_EQ(s.minimum, -3);
  EXPECT_EQ(s.maximum, 2);
  EXPECT_EQ(s.absmax, 3);
  EXPECT_EQ(s.mean, 0);
  EXPECT_EQ(s.mean_abs, 2);
  EXPECT_EQ(s.sigma, std::sqrt(14.0f / 3.0f));
  EXPECT_THROW(reduce(x, 1, 2, 0), std::invalid_argument);
  EXPECT_THROW(reduce(x, 1, 2, 4), std::invalid_argument);
  EXPECT_THROW(reduce(x, 7, 1, 1), std::invalid_argument);
  EXPECT_THROW(reduce(x, 0, SIZE_MAX, 3), std::invalid_argument);  // no wrap of the last index
}

TEST(Reduce, KeepsTheFirstZeroMet) {
  const std::vector<float> x{-0.0f, 0.0f};
  EXPECT_TRUE(std::signbit(reduce(x, 0, 1, 2).minimum));
  EXPECT_TRUE(std::signbit(reduce(x, 0, 1, 2).maximum));
  EXPECT_FALSE(std::signbit(reduce(x, 1, 1, 1).minimum));
}

TEST(TopK, PutsTheLowerIndexFirstAmongEqualsAndNanLast) {
  const std::vector<float> x{1, kNan, 3, 3, -5, 3};
  EXPECT_THAT(top_k(x, 4), ElementsAre(2, 3, 5, 0));
  EXPECT_THAT(top_k(x, 2, true), ElementsAre(4, 2));
  EXPECT_THAT(bottom_k(x, 2), ElementsAre(4, 0));
  EXPECT_THAT(top_k(x, 99), ElementsAre(2, 3, 5, 0, 4, 1));
  EXPECT_THAT(top_k(x, 0), IsEmpty());
  EXPECT_THAT(top_k({}, 3), IsEmpty());
}

TEST(TopK, EqualsAStableSort) {
  EXPECT_TRUE(rc::check("top_k is the head of a stable descending sort", [] {
    const auto small = *rc::gen::container<std::vector<int>>(rc::gen::inRange(-9, 10));
    const std::vector<float> x(small.begin(), small.end());
    const auto k = *rc::gen::inRange<std::size_t>(0, x.size() + 2);
    std::vector<std::uint32_t> order(x.size());
    std::iota(order.begin(), order.end(), 0u);
    auto by_value = order;
    std::stable_sort(by_value.begin(), by_value.end(), [&](auto i, auto j) { return x[i] > x[j]; });
    auto by_size = order;
    std::stable_sort(by_size.begin(), by_size.end(),
                     [&](auto i, auto j) { return std::fabs(x[i]) > std::fabs(x[j]); });
    by_value.resize(std::min(k, x.size()));
    by_size.resize(std::min(k, x.size()));
    RC_ASSERT(top_k(x, k) == by_value);
    RC_ASSERT(top_k(x, k, true) == by_size);
  }));
}

TEST(SelectOutliers, KeepsTheExtremesOnceInIndexOrder) {
  const std::vector<float> x{5, -1, 7, 0, -9};
  const SparseRow row = select_outliers(x, 2, 1);
  EXPECT_THAT(row.index, ElementsAre(0, 2, 4));
  EXPECT_THAT(row.value, ElementsAre(5, 7, -9));
  EXPECT_THAT(select_outliers(x, 5, 5).index, ElementsAre(0, 1, 2, 3, 4));
}

TEST(SelectOutliers, ByThresholdsTakesWhatLiesStrictlyOutside) {
  const std::vector<float> x{1, 2, 3};
  const std::vector<float> low{1, 2.5f, 0};
  const std::vector<float> high{1, 9, 2};
  EXPECT_THAT(select_outliers(x, low, high).index, ElementsAre(1, 2));
  EXPECT_THROW(select_outliers(x, low, std::span(high).first(2)), std::invalid_argument);
}

TEST(SparseDot, AddsInIndexOrderFused) {
  SparseRow row{{0, 2}, {2.0f, 3.0f}};
  const std::vector<float> x{10, 100, 1000};
  EXPECT_EQ(sparse_dot(row, x, 1.0f), 3021.0f);
  const float a = 1.0f + 0x1p-12f;
  EXPECT_EQ(sparse_dot({{0}, {a}}, std::vector<float>{a}, -(a * a)), 0x1p-24f);
  row.index[1] = 3;
  EXPECT_THROW(sparse_dot(row, x, 0.0f), std::invalid_argument);
}

TEST(SparseGemv, AddsEachRowToItsOutput) {
  SparseMatrix m{3, 4, {0, 2, 2, 3}, {1, 3, 0}, {2.0f, -1.0f, 5.0f}};
  const std::vector<float> x{1, 2, 3, 4};
  std::vector<float> out{100, 200, 300};
  sparse_gemv(m, x, out);
  EXPECT_THAT(out, ElementsAre(100, 200, 305));
  m.row_start = {0, 3, 2, 3};
  EXPECT_THROW(sparse_gemv(m, x, out), std::invalid_argument);
  m.row_start = {0, 2, 2, 4};
  EXPECT_THROW(sparse_gemv(m, x, out), std::invalid_argument);
}

TEST(Salience, DividesByHowOftenATokenCouldBeSeen) {
  Salience s;
  s.add(std::vector<float>{1.0f});
  s.add(std::vector<float>{0.5f, 0.5f});
  s.add(std::vector<float>{0.25f, 0.25f, 0.5f});
  EXPECT_EQ(s.normalised(0), 1.75f / 3.0f);
  EXPECT_EQ(s.normalised(1), 0.375f);
  EXPECT_EQ(s.normalised(2), 0.5f);
  EXPECT_EQ(s.normalised(3), 0.0f);
}

TEST(Hamming, CountsDifferingBits) {
  EXPECT_EQ(hamming(std::vector<std::uint64_t>{0, ~0ull}, std::vector<std::uint64_t>{7, 0}), 67u);
  EXPECT_EQ(hamming({}, {}), 0u);
  EXPECT_THROW(hamming(std::vector<std::uint64_t>{0}, {}), std::invalid_argument);
}

TEST(StridedPick, TakesEveryStepThItemOfTheStableOrder) {
  // Order by distance: 1, 3, 0, 2, 4 (0 before 2 among equals); three of five step by one.
  const std::vector<std::uint32_t> distances{2, 0, 2, 1, 9};
  EXPECT_THAT(strided_pick(distances, 2), ElementsAre(1, 0));
  EXPECT_THAT(strided_pick(distances, 3), ElementsAre(1, 3, 0));
  EXPECT_THAT(strided_pick(distances, 9), ElementsAre(1, 3, 0, 2, 4));
  EXPECT_THAT(strided_pick(distances, 0), IsEmpty());
}

TEST(Entropy, OfAUniformDistributionIsTheLogarithmOfItsSize) {
  EXPECT_FLOAT_EQ(entropy(std::vector<float>(8, 0.125f)), std::log(8.0f));
  EXPECT_EQ(entropy(std::vector<float>{1.0f, 0.0f}), 0.0f);
  EXPECT_TRUE(std::isnan(entropy(std::vector<float>{kNan})));
  EXPECT_EQ(confidence(std::vector<float>{0.25f, 0.5f, 0.25f}), 0.5f);
}

TEST(RunningWindow, ForgetsTheOldest) {
  RunningWindow window(2);
  EXPECT_EQ(window.mean(), 0.0f);
  for (const float v : {100.0f, 1.0f, 3.0f}) window.add(v);
  EXPECT_EQ(window.count(), 2u);
  EXPECT_EQ(window.mean(), 2.0f);
  EXPECT_EQ(window.deviation(), 1.0f);
  RunningWindow none(0);
  EXPECT_THROW(none.add(1.0f), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
