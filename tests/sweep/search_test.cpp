// Searches: which points they propose, and how near nsga2 comes to the grid.
#include "sim/sweep/search.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace systole::sweep {
namespace {

configs::SweepConfig space_of(std::size_t axes, std::size_t values) {
  configs::SweepConfig config;
  for (std::size_t a = 0; a < axes; ++a) {
    configs::SweepAxisConfig axis;
    axis.parameter.path = "x" + std::to_string(a);
    for (std::size_t v = 0; v < values; ++v) {
      axis.values.push_back(configs::value_of(static_cast<double>(v)));
    }
    config.axes.push_back(axis);
  }
  config.objectives = {{"tpot_ms", false}, {"energy_mj", false}};
  return config;
}

/// ZDT1 (Zitzler, Deb, Thiele, 2000) on a grid: a convex front at x1 = x2 = ... = 0.
Outcome zdt1(const PointSpace& space, PointId id) {
  const auto index = space.indices(id);
  const auto x = [&](std::size_t a) {
    return static_cast<double>(index[a]) / (space.values_of(a) - 1);
  };
  double sum = 0;
  for (std::size_t a = 1; a < space.axes(); ++a) sum += x(a);
  const double g = 1 + 9 * sum / static_cast<double>(space.axes() - 1);
  return {{x(0), g * (1 - std::sqrt(x(0) / g))}, 0};
}

std::vector<PointId> all_rounds(const PointSpace& space, const SearchSettings& settings,
                                std::vector<Costs>* costs = nullptr) {
  const auto search = make_search(space, settings);
  std::vector<PointId> points;
  std::vector<Outcome> outcomes;
  while (true) {
    const auto round = search->next_round(outcomes);
    if (round.empty()) break;
    outcomes.clear();
    for (const PointId id : round) {
      points.push_back(id);
      outcomes.push_back(zdt1(space, id));
      if (costs != nullptr) costs->push_back(outcomes.back().costs);
    }
  }
  return points;
}

TEST(Search, ProposesDifferentAdmittedPointsWithinItsBudgetAndTheSameAgain) {
  configs::SweepConfig config = space_of(3, 9);
  config.conditions = {
      configs::Comparison::parse("x0 <= x1", std::vector<std::string>{"x0", "x1", "x2"})};
  const PointSpace space(config);
  for (const SearchKind kind : {SearchKind::random, SearchKind::sobol, SearchKind::nsga2}) {
    const SearchSettings settings{kind, 100, 5};
    const std::vector<PointId> points = all_rounds(space, settings);
    EXPECT_EQ(points.size(), 100u);
    EXPECT_EQ(std::set<PointId>(points.begin(), points.end()).size(), points.size());
    EXPECT_TRUE(std::ranges::all_of(points, [&](PointId id) { return space.admits(id); }));
    EXPECT_EQ(all_rounds(space, settings), points);
    EXPECT_NE(all_rounds(space, {kind, 100, 6}), points);
    // More than there are: all of them.
    if (kind == SearchKind::random) {
      EXPECT_EQ(all_rounds(space, {kind, 5000, 5}).size(), 9u * 9 * 10 / 2);
    }
  }
}

TEST(Search, ShardsShareTheGridOut) {
  const configs::SweepConfig config = space_of(3, 5);
  const PointSpace space(config);
  std::set<PointId> all;
  for (std::uint64_t shard = 1; shard <= 4; ++shard) {
    for (const PointId id : all_rounds(space, {SearchKind::grid, 0, 1, shard, 4})) {
      EXPECT_TRUE(all.insert(id).second);
    }
  }
  EXPECT_EQ(all.size(), space.size());
}

TEST(Search, Nsga2FindsNearlyAllOfTheGridsHypervolumeWithATenthOfItsPoints) {
  const configs::SweepConfig config = space_of(4, 12);  // 20 736 points
  const PointSpace space(config);
  std::vector<Costs> grid;
  for (PointId id = 0; id < space.size(); ++id) grid.push_back(zdt1(space, id).costs);
  const Costs reference = {1.1, 10.0};
  const double whole = hypervolume(grid, reference);
  for (const std::uint64_t seed : {1, 2, 3}) {
    std::vector<Costs> found, drawn;
    all_rounds(space, {SearchKind::nsga2, 1000, seed}, &found);
    all_rounds(space, {SearchKind::random, 1000, seed}, &drawn);
    EXPECT_EQ(found.size(), 1000u);
    EXPECT_GE(hypervolume(found, reference), 0.99 * whole) << "seed " << seed;
    EXPECT_GT(hypervolume(found, reference), hypervolume(drawn, reference)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace systole::sweep
