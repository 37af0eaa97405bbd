// ANT's grids, scale search and type choice.
#include "quant/formats/ant.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/quant/formats/accelerator_cases.hpp"

namespace systole::quant {
namespace {

using testing::ElementsAre;

TEST(AntGrids, AreTheReleasedOnesUpToTheirScale) {
  EXPECT_THAT(ant_grid(AntType::integer, true).integers,
              ElementsAre(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(ant_grid(AntType::flint, true).integers,
              ElementsAre(-16, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 16));
  EXPECT_THAT(ant_grid(AntType::flint, false).integers,
              ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 24, 32, 64));
  EXPECT_THAT(ant_grid(AntType::power_of_two, true).integers,
              ElementsAre(-64, -32, -16, -8, -4, -2, -1, 0, 1, 2, 4, 8, 16, 32, 64));
  // Two exponent bits: E2M1 in units of a half, E2M2 in quarters.
  EXPECT_THAT(ant_grid(AntType::floating, true).integers,
              ElementsAre(-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12));
  EXPECT_THAT(ant_grid(AntType::floating, false).integers,
              ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28));
  // The released default of three makes the signed float the power-of-two grid.
  EXPECT_EQ(ant_grid(AntType::floating, true, 3).integers,
            ant_grid(AntType::power_of_two, true).integers);
}

/// The search as its header defines it, by scanning the grid.
AntFit slow_search(std::span<const float> values, std::size_t box, const AntGrid& grid) {
  AntFit fit;
  for (std::size_t begin = 0; begin < values.size(); begin += box) {
    float absmax = 0;
    for (std::size_t i = begin; i < begin + box; ++i)
      absmax = std::max(absmax, std::fabs(values[i]));
    double best = 1e300;
    float best_scale = 0;
    for (int p = 75; p < 150; ++p) {
      const float s = absmax * static_cast<float>(p * 0.01) / grid.largest();
      double error = 0;
      for (std::size_t i = begin; i < begin + box; ++i) {
        const float v = values[i] / s;
        float q = 0, distance = 102400.0f;
        for (const std::int32_t g : grid.integers) {
          const float entry = static_cast<float>(g) * grid.unit;
          if (std::fabs(v - entry) <= distance) {
            distance = std::fabs(v - entry);
            q = entry;
          }
        }
        const float d = q * s - values[i];
        error += static_cast<double>(d) * static_cast<double>(d);
      }
      if (error < best) {
        best = error;
        best_scale = s;
      }
    }
    fit.errors.push_back(best);
    fit.scales.push_back(best_scale);
  }
  return fit;
}

TEST(AntSearch, IsTheScanOfTheReleasedKernel) {
  const auto values = cases::heavy_tailed(8 * 96, 0.02, 3, 9);
  for (const AntType type : kAntTypes) {
    for (const bool is_signed : {true, false}) {
      const AntGrid grid = ant_grid(type, is_signed);
      const AntFit expected = slow_search(values, 96, grid);
      const AntFit actual = ant_search(values, 96, grid);
      EXPECT_EQ(actual.errors, expected.errors) << cases::repeat();
      EXPECT_EQ(actual.scales, expected.scales) << cases::repeat();
    }
  }
}

TEST(AntSearch, ABoxOfZerosHasNoError) {
  const std::vector<float> zeros(16, 0.0f);
  EXPECT_EQ(ant_search(zeros, 16, ant_grid(AntType::flint, true)).total_error(), 0.0);
}

// ANT's own picture: uniform data wants integers, Gaussian flint (or the 4-bit float), and values
// that spread over magnitudes powers of two.
TEST(AntChoiceOfType, FollowsTheDistribution) {
  std::mt19937_64 random(cases::seed());
  std::vector<float> uniform(4096), laplace(4096), spread(4096);
  std::uniform_real_distribution<float> u(-1, 1), exponent(-6, 0);
  std::exponential_distribution<float> tail;
  for (float& x : uniform) x = u(random);
  for (float& x : laplace) x = tail(random) * (u(random) < 0 ? -1.0f : 1.0f);
  for (float& x : spread) {
    const float magnitude = std::exp2(std::round(exponent(random)));
    x = u(random) < 0 ? -magnitude : magnitude;
  }
  EXPECT_EQ(choose_ant_type(uniform, 4096, true).type, AntType::integer);
  EXPECT_EQ(choose_ant_type(spread, 4096, true).type, AntType::power_of_two);
  const std::array two = {AntType::integer, AntType::flint};
  EXPECT_EQ(choose_ant_type(laplace, 4096, true, two).type, AntType::flint);
  const AntChoice all = choose_ant_type(laplace, 4096, true);
  EXPECT_EQ(all.errors.size(), 4u);
  EXPECT_EQ(all.fit.total_error(), *std::ranges::min_element(all.errors));
  EXPECT_EQ(format_of(AntType::flint, true), Format::flint4);
  EXPECT_EQ(format_of(AntType::floating, false), std::nullopt);
}

}  // namespace
}  // namespace systole::quant
