// The studies that ship: each runs, and what a search finds of three of them beside their grids.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "sim/sweep/search.hpp"
#include "tests/cli/process.hpp"

namespace systole::tests {
namespace {

using Found = sweep::Outcome;
using testing::HasSubstr;

TEST(ShippedStudies, RunWithAFewPointsAndHaveAPage) {
  const std::vector<configs::Entry> studies = configs::list_sweeps();
  EXPECT_GE(studies.size(), 5u);
  for (const configs::Entry& study : studies) {
    const TemporaryFolder folder;
    const std::string out = folder.path("out"), all = folder.path("all.h5");
    const Outcome run = run_systole("sweep " + study.name + " --out " + out +
                                    " --search sobol --budget 40 --jobs 2");
    ASSERT_EQ(run.exit_code, 0) << run.errors;
    EXPECT_THAT(run.output, HasSubstr("Pareto front")) << "no feasible point of " << study.name;
    ASSERT_EQ(run_systole("sweep merge " + out + " --quiet --out " + all).exit_code, 0);
    ASSERT_EQ(run_systole("report " + all + " --quiet --html " + folder.path("p.html")).exit_code,
              0);
    EXPECT_THAT(read_file(folder.path("p.html")), HasSubstr(study.name));
  }
}

/// A study's grid, from one exhaustive sweep.
struct Grid {
  std::map<sweep::PointId, Found> outcomes;
  std::map<std::vector<std::uint32_t>, std::vector<Costs>> feasible;  ///< by scenario
};

Grid grid_of(const std::string& study, const sweep::PointSpace& space) {
  const TemporaryFolder folder;
  const std::string out = folder.path("out"), file = folder.path("all.json");
  EXPECT_EQ(run_systole("sweep " + study + " --quiet --out " + out).exit_code, 0);
  EXPECT_EQ(run_systole("sweep export " + out + " --json " + file).exit_code, 0);
  Grid grid;
  const auto document = nlohmann::json::parse(read_file(file));
  for (const auto& point : document.at("points")) {
    const sweep::PointId id = point["id"];
    Found outcome;
    for (const SweepObjective& objective : space.config().objectives) {
      const auto& figure = point["figures"][objective.figure];
      const double sign = objective.maximise ? -1 : 1;
      outcome.costs.push_back(figure.is_null() ? std::numeric_limits<double>::infinity()
                                               : sign * figure.get<double>());
    }
    for (const auto& violation : point["violations"]) outcome.violation += violation.get<double>();
    if (point["status"] != "done") outcome.violation = std::numeric_limits<double>::infinity();
    if (outcome.violation == 0) grid.feasible[space.scenario(id)].push_back(outcome.costs);
    grid.outcomes.emplace(id, std::move(outcome));
  }
  return grid;
}

/// Of 1, what a search finds of the grid's hypervolume; over scenarios their mean. The volume is
/// measured from the worst value of each objective on the grid's front, a tenth of the front
/// beyond.
double share_found(const Grid& grid, const sweep::PointSpace& space,
                   const sweep::SearchSettings& settings) {
  std::map<std::vector<std::uint32_t>, std::vector<Costs>> found;
  const auto search = sweep::make_search(space, settings);
  std::vector<Found> outcomes;
  std::size_t points = 0;
  while (true) {
    const auto round = search->next_round(outcomes);
    if (round.empty()) break;
    outcomes.clear();
    for (const sweep::PointId id : round) {
      outcomes.push_back(grid.outcomes.at(id));
      if (outcomes.back().violation == 0) {
        found[space.scenario(id)].push_back(outcomes.back().costs);
      }
    }
    points += round.size();
  }
  EXPECT_LE(points, settings.budget);
  double sum = 0;
  for (const auto& [scenario, all] : grid.feasible) {
    const std::vector<std::size_t> ranks = front_ranks(all);
    Costs reference = all.front();
    for (std::size_t o = 0; o < reference.size(); ++o) {
      double low = std::numeric_limits<double>::infinity(), high = -low;
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (ranks[i] > 0) continue;
        low = std::min(low, all[i][o]);
        high = std::max(high, all[i][o]);
      }
      // A front of one value has no width: a tenth of the value.
      reference[o] = high + 0.1 * (high > low ? high - low : std::abs(high));
    }
    sum += hypervolume(found[scenario], reference) / hypervolume(all, reference);
  }
  return sum / static_cast<double>(grid.feasible.size());
}

TEST(ShippedStudies, ASearchFinds95PercentOfTheHypervolumeWithATenthOfThePoints) {
  for (const char* study : {"mixpe-design-space", "memory-at-equal-energy", "kv-memory"}) {
    const configs::SweepConfig config = configs::load_sweep(study);
    const sweep::PointSpace space(config);
    const Grid grid = grid_of(study, space);
    const std::uint64_t budget = grid.outcomes.size() / 10;
    for (const std::uint64_t seed : {1, 2, 3}) {
      const double nsga2 = share_found(grid, space, {sweep::SearchKind::nsga2, budget, seed});
      const double random = share_found(grid, space, {sweep::SearchKind::random, budget, seed});
      std::printf("%s: %llu of %zu points, seed %llu: nsga2 %.4f, random %.4f\n", study,
                  static_cast<unsigned long long>(budget), grid.outcomes.size(),
                  static_cast<unsigned long long>(seed), nsga2, random);
      EXPECT_GE(nsga2, 0.95) << study << ", seed " << seed;
    }
  }
}

}  // namespace
}  // namespace systole::tests
