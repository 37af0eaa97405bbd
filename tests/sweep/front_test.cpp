// Fronts, ranks and hypervolume against their definitions.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/core/random.hpp"
#include "sim/core/sweep_result.hpp"

namespace systole {
namespace {

/// Points with small whole costs, so that ties and doubles are frequent.
std::vector<Costs> random_costs(Random& random, std::size_t count, std::size_t objectives) {
  std::vector<Costs> all(count);
  for (Costs& costs : all) {
    for (std::size_t o = 0; o < objectives; ++o) {
      costs.push_back(static_cast<double>(random.uniform(0, 9)));
    }
  }
  return all;
}

TEST(Front, RanksAreThoseOfPeelingByTheDefinition) {
  Random random(7);
  for (std::size_t objectives = 1; objectives <= 4; ++objectives) {
    for (const std::size_t count : {0u, 1u, 2u, 31u, 200u}) {
      const std::vector<Costs> all = random_costs(random, count, objectives);
      const std::vector<std::size_t> ranks = front_ranks(all);
      for (std::size_t i = 0; i < count; ++i) {
        // A point's rank is one more than the highest rank of what dominates it.
        std::size_t expected = 0;
        for (std::size_t j = 0; j < count; ++j) {
          if (dominates(all[j], all[i])) expected = std::max(expected, ranks[j] + 1);
        }
        EXPECT_EQ(ranks[i], expected) << objectives << " objectives, point " << i;
      }
    }
  }
}

TEST(Front, OfAResultIsThatOfBruteForceOverItsFeasiblePoints) {
  SweepResult result;
  result.constraints = {"x <= 1"};
  result.objectives = {{"tpot_ms", false}, {"tokens_per_joule", true}};
  const std::size_t time = find_figure("tpot_ms"), rate = find_figure("tokens_per_joule");
  Random random(3);
  std::vector<SweepPoint> points;
  for (std::uint64_t i = 0; i < 300; ++i) {
    SweepPoint point;
    point.id = i;
    point.record.figures.fill(0);
    point.record.figures[time] = static_cast<double>(random.uniform(1, 40));
    point.record.figures[rate] = static_cast<double>(random.uniform(1, 40));
    point.violations = {i % 5 == 0 ? 0.25 : 0.0};
    if (i % 7 == 0) point.record.status = PointStatus::refused;
    if (i % 11 == 0) point.record.figures[time] = std::numeric_limits<double>::quiet_NaN();
    points.push_back(point);
  }
  result.points = std::make_shared<ListedPoints>(points);
  std::vector<std::uint64_t> expected;
  const auto counts = [&](std::size_t i) { return i % 5 != 0 && i % 7 != 0 && i % 11 != 0; };
  for (std::size_t i = 0; i < 300; ++i) {
    bool beaten = !counts(i);
    for (std::size_t j = 0; j < 300; ++j) {
      if (!counts(j)) continue;
      const auto& a = points[j].record.figures;
      const auto& b = points[i].record.figures;
      beaten = beaten || (a[time] <= b[time] && a[rate] >= b[rate] &&
                          (a[time] < b[time] || a[rate] > b[rate]));
    }
    if (!beaten) expected.push_back(i);
  }
  const SweepSummary summary = summarise(result);
  std::vector<std::uint64_t> front;
  for (const SweepPoint& point : summary.front) front.push_back(point.id);
  EXPECT_EQ(front, expected);
  for (std::uint64_t i = 0; i < 300; ++i) {
    EXPECT_EQ(summary.on_front(i), std::ranges::find(expected, i) != expected.end());
  }
  EXPECT_EQ(summary.points, 300u);
  EXPECT_EQ(summary.refused, 43u);
  EXPECT_EQ(summary.first_refused->id, 0u);

  // The first of the fastest; without the constraint every fifth point counts too.
  const auto fastest = [&](const auto& admitted) {
    std::uint64_t best = 300;
    for (std::uint64_t i = 0; i < 300; ++i) {
      const double own = points[i].record.figures[time];
      if (admitted(i) && !(best < 300 && own >= points[best].record.figures[time])) best = i;
    }
    return best;
  };
  EXPECT_EQ(summary.scenarios.at(0).best[0][0]->id, fastest(counts));
  EXPECT_EQ(summary.scenarios.at(0).best[0][1]->id,
            fastest([](std::uint64_t i) { return i % 7 != 0 && i % 11 != 0; }));
}

TEST(Front, PointsOfDifferentScenariosDoNotBeatEachOther) {
  SweepResult result;
  result.objectives = {{"cycles", false}};
  result.axes = {{"context", "", {"1", "2"}, true, true}, {"b", "", {"0", "1", "2"}, true, false}};
  std::vector<SweepPoint> points;
  for (std::uint32_t i = 0; i < 6; ++i) {
    SweepPoint point;
    point.id = i;
    point.axis = {i / 3, i % 3};
    point.record.figures.fill(0);
    point.record.figures[0] = 10.0 * (i / 3) + std::abs(1.0 - i % 3);  // the best: b = 1 of each
    points.push_back(point);
  }
  result.points = std::make_shared<ListedPoints>(points);
  const SweepSummary summary = summarise(result);
  ASSERT_EQ(summary.front.size(), 2u);
  EXPECT_EQ(summary.front[0].id, 1u);
  EXPECT_EQ(summary.front[1].id, 4u);
  ASSERT_EQ(summary.scenarios.size(), 2u);
  EXPECT_EQ(summary.scenarios[1].values, std::vector<std::uint32_t>{1});
  EXPECT_EQ(summary.scenarios[1].best[0][0]->id, 4u);
}

TEST(Front, HypervolumeIsTheNumberOfUnitCubesThatSomePointDominates) {
  Random random(11);
  for (std::size_t objectives = 1; objectives <= 4; ++objectives) {
    const std::vector<Costs> all = random_costs(random, 20, objectives);
    const Costs reference(objectives, 8.0);
    double cubes = 0;
    const auto cells = static_cast<std::size_t>(std::pow(8, objectives));
    for (std::size_t cell = 0; cell < cells; ++cell) {
      const bool covered = std::ranges::any_of(all, [&](const Costs& costs) {
        std::size_t rest = cell;
        for (std::size_t o = 0; o < objectives; ++o, rest /= 8) {
          if (costs[o] > static_cast<double>(rest % 8)) return false;
        }
        return true;
      });
      cubes += covered ? 1 : 0;
    }
    EXPECT_DOUBLE_EQ(hypervolume(all, reference), cubes) << objectives;
  }
}

TEST(Front, MainEffectsOfAnAdditiveFigureShareItsVariance) {
  SweepResult result;
  result.objectives = {{"cycles", false}};
  std::vector<SweepPoint> points;
  result.axes = {{"a", "", {"0", "1", "2"}, true, false}, {"b", "", {"0", "1"}, true, false}};
  for (std::uint32_t a = 0; a < 3; ++a) {
    for (std::uint32_t b = 0; b < 2; ++b) {
      SweepPoint point;
      point.axis = {a, b};
      point.record.figures.fill(0);
      point.record.figures[0] = 10 + 2.0 * a + 1.0 * b;  // variances 8/3 and 1/4
      points.push_back(point);
    }
  }
  result.points = std::make_shared<ListedPoints>(points);
  const std::vector<MainEffect> effects = summarise(result).effects[0];
  EXPECT_THAT(effects[0].means, testing::ElementsAre(10.5, 12.5, 14.5));
  EXPECT_NEAR(effects[0].explained, (8.0 / 3) / (8.0 / 3 + 0.25), 1e-12);
  EXPECT_NEAR(effects[0].explained + effects[1].explained, 1, 1e-12);
  EXPECT_DOUBLE_EQ(effects[1].ratio, 12.5 / 12.0 + (13.0 / 12.0 - 12.5 / 12.0));
}

}  // namespace
}  // namespace systole
