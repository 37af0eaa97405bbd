// Tables and codebooks: ties, optimality of k-means, the exact shrink over all codes.
#include "quant/primitives/codebook.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>

#include "quant/primitives/random.hpp"

namespace systole::quant {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

TEST(NearestEntry, GivesTiesToTheLowestIndex) {
  const std::vector<float> table{1.0f, -1.0f, 3.0f, 1.0f};  // need not be sorted
  EXPECT_EQ(nearest_entry(0.0f, table), 0u);
  EXPECT_EQ(nearest_entry(2.0f, table), 0u);
  EXPECT_EQ(nearest_entry(-0.1f, table), 1u);
  EXPECT_EQ(nearest_entry(1.0f, table), 0u);
  EXPECT_EQ(nearest_entry(9.0f, table), 2u);
  EXPECT_THROW(nearest_entry(0.0f, {}), std::invalid_argument);
}

TEST(KMeans1D, FindsSeparateClustersAndHonoursWeights) {
  const std::vector<float> x{10, 0, 11, 1, 12, 2};
  EXPECT_THAT(kmeans_1d(x, {}, 2), ElementsAre(1.0f, 11.0f));
  const std::vector<float> weights{1, 1, 1, 1, 1, 6};  // (0 + 1 + 6 * 2) / 8
  EXPECT_THAT(kmeans_1d(x, weights, 2), ElementsAre(13.0f / 8.0f, 11.0f));
}

TEST(KMeans1D, ReproducesDataThatHaveNoMoreValuesThanCentres) {
  EXPECT_THAT(kmeans_1d(std::vector<float>{3, 1, 2}, {}, 3), ElementsAre(1, 2, 3));
  EXPECT_THAT(kmeans_1d(std::vector<float>{5, 5}, {}, 4), ElementsAre(5, 5, 5, 5));
}

TEST(KMeans1D, LeavesNoCentreThatItsMembersWouldMove) {
  SplitMix random(9);
  std::vector<float> x(500);
  for (float& v : x) v = static_cast<float>(random.normal());
  const auto centres = kmeans_1d(x, {}, 8, 10000);
  std::vector<double> sum(8, 0.0);
  std::vector<double> count(8, 0.0);
  for (const float v : x) {
    const auto c = nearest_entry(v, centres);
    sum[c] += static_cast<double>(v);
    count[c] += 1.0;
  }
  for (std::size_t c = 0; c < 8; ++c) EXPECT_NEAR(centres[c], sum[c] / count[c], 1e-6);
}

TEST(KMeans1D, RefusesWhatHasNoAnswer) {
  const std::vector<float> x{1, 2};
  EXPECT_THROW(kmeans_1d({}, {}, 1), std::invalid_argument);
  EXPECT_THROW(kmeans_1d(x, {}, 0), std::invalid_argument);
  EXPECT_THROW(kmeans_1d(x, std::vector<float>{1}, 1), std::invalid_argument);
  EXPECT_THROW(kmeans_1d(x, std::vector<float>{0, 0}, 1), std::invalid_argument);
  EXPECT_THROW(kmeans_1d(x, std::vector<float>{1, -1}, 1), std::invalid_argument);
  EXPECT_THROW(kmeans_1d(std::vector<float>{std::nanf("")}, {}, 1), std::invalid_argument);
}

TEST(KMeans, FindsFourCornersAndRepeatsItself) {
  SplitMix random(2);
  std::vector<float> x;
  for (int i = 0; i < 400; ++i) {
    x.push_back((i % 2 == 0 ? 10.0f : -10.0f) + static_cast<float>(random.uniform()) - 0.5f);
    x.push_back((i % 4 < 2 ? 10.0f : -10.0f) + static_cast<float>(random.uniform()) - 0.5f);
  }
  const auto codebook = kmeans(x, 2, 4, 1);
  EXPECT_EQ(codebook, kmeans(x, 2, 4, 1));
  for (std::size_t v = 0; v < 400; ++v) {
    const auto vector = std::span(x).subspan(2 * v, 2);
    const auto c = nearest_codeword(vector, codebook);
    EXPECT_LT(std::fabs(vector[0] - codebook[2 * c]), 1.5f);
    EXPECT_LT(std::fabs(vector[1] - codebook[2 * c + 1]), 1.5f);
  }
  EXPECT_EQ(kmeans(std::vector<float>{1, 2}, 2, 3, 0).size(), 6u);  // more centres than vectors
  EXPECT_THROW(kmeans(x, 3, 4, 1), std::invalid_argument);
}

TEST(Codewords, TiesGoToTheLowestAndScoresAreFusedDots) {
  const std::vector<float> codebook{0, 0, 2, 0, 0, 2};
  EXPECT_EQ(nearest_codeword(std::vector<float>{1, 0}, codebook), 0u);
  EXPECT_EQ(nearest_codeword(std::vector<float>{2, 2}, codebook), 1u);
  EXPECT_THAT(codeword_scores(std::vector<float>{3, 5}, codebook), ElementsAre(0, 6, 10));
  EXPECT_THROW(nearest_codeword(std::vector<float>{1, 2, 3, 4}, codebook), std::invalid_argument);
  EXPECT_THROW(codeword_scores({}, codebook), std::invalid_argument);
}

TEST(ShrinkCode, MapsFourBitsToTwoAsPublished) {
  std::vector<std::uint32_t> map;
  for (std::uint32_t q = 0; q < 16; ++q) map.push_back(shrink_code(q, 2));
  EXPECT_THAT(map, ElementsAreArray({0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3}));  // B5
}

TEST(ShrinkCode, MapsEightBitsToFourAsPublished) {
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> samples{
      // quantization.md 13
      {0, 0},   {8, 0},   {9, 1},    {25, 1},   {26, 2},
      {127, 7}, {128, 8}, {246, 14}, {247, 15}, {255, 15}};
  for (const auto& sample : samples) EXPECT_EQ(shrink_code(sample.first, 4), sample.second);
}

TEST(ShrinkCode, IsDivisionRoundedHalfUpForEveryCode) {
  for (const unsigned n : {1u, 2u, 4u, 8u}) {
    const std::uint32_t d = (1u << n) + 1;
    for (std::uint32_t q = 0; q < (1u << (2 * n)); ++q) {
      ASSERT_EQ(shrink_code(q, n), (2 * q + d) / (2 * d)) << q;
    }
  }
  EXPECT_THROW(shrink_code(0, 3), std::invalid_argument);
  EXPECT_THROW(shrink_code(16, 2), std::invalid_argument);
}

TEST(PowerOfTwo, IsAShiftedTableEntry) {
  EXPECT_EQ(power_of_two(3, 0, 0, false), 8.0f);
  EXPECT_EQ(power_of_two(-2, 0, 4, true), -0.25f);
  EXPECT_EQ(power_of_two(0, 1, 1, false), 92682.0f / 65536.0f);  // sqrt(2) * 2^16 = 92681.9
  EXPECT_EQ(power_of_two(500, 0, 0, false), std::numeric_limits<float>::infinity());
  EXPECT_EQ(power_of_two(std::numeric_limits<int>::min(), 0, 0, false), 0.0f);
  EXPECT_EQ(power_of_two(-149, 0, 0, false), std::numeric_limits<float>::denorm_min());
  for (unsigned r = 0; r < 256; ++r) {
    const double exact = std::exp2(r / 256.0);
    EXPECT_NEAR(power_of_two(0, r, 8, false), exact, 0x1p-17 + 1e-12);
  }
  EXPECT_THROW(power_of_two(0, 2, 1, false), std::invalid_argument);
  EXPECT_THROW(power_of_two(0, 0, 9, false), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
