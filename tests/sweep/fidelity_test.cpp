// Two fidelities: what is screened, what is confirmed, and how well the two agree.
#include "sim/core/fidelity.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "configs/sweep.hpp"
#include "sim/core/error.hpp"
#include "sim/sweep/search.hpp"

namespace systole::sweep {
namespace {

using testing::HasSubstr;

std::string study(const std::string& more) {
  return "name: two\nsummary: a test\n"
         "base: {machine: mixpe-128x128, recipe: mixpe-w4a8, model: llama-2-7b}\n" +
         more + "objectives: [minimise: tpot_ms, minimise: area_mm2]\n";
}

constexpr const char* kAxes =
    "fidelity: {points: 5}\n"
    "axes: {machine.array.rows: [32, 64, 96, 128], machine.array.cols: [32, 64, 96, 128]}\n";

/// A front of rows + cols == 3, by index; the last row violates a constraint.
Outcome outcome_of(const PointSpace& space, PointId id) {
  const auto i = space.indices(id);
  Outcome outcome;
  outcome.costs = {static_cast<double>(i[1] + 2 * i[2]), static_cast<double>(6 - i[1])};
  // The constraint that the timing be the other one is the first.
  outcome.violation = (i[0] == 0 ? 1.0 : 0.0) + (i[1] == 3 ? 0.25 : 0.0);
  return outcome;
}

TEST(Fidelity, TheBestOfWhatWasScreenedAreConfirmedOnce) {
  const configs::SweepConfig config = configs::read_sweep(study(kAxes), "two.yaml");
  EXPECT_EQ(config.base.timing, configs::SweepTiming::tile);
  const PointSpace space(config);
  ASSERT_EQ(space.size(), 32u);
  for (const SearchKind kind : {SearchKind::grid, SearchKind::random, SearchKind::nsga2}) {
    SearchSettings settings;
    settings.kind = kind;
    settings.budget = kind == SearchKind::grid ? 0 : 16;
    const auto search = make_search(space, settings);
    std::vector<Outcome> outcomes;
    std::vector<PointId> screened, confirmed;
    for (auto round = search->next_round({}); !round.empty();
         round = search->next_round(outcomes)) {
      EXPECT_TRUE(confirmed.empty()) << "confirmation is the last round";
      outcomes.clear();
      for (const PointId id : round) {
        (space.indices(id)[0] == 0 ? screened : confirmed).push_back(id);
        outcomes.push_back(outcome_of(space, id));
      }
    }
    ASSERT_EQ(confirmed.size(), 5u);
    int ideal = 0;
    for (const PointId id : confirmed) {
      const PointId same = id - space.size() / 2;
      EXPECT_NE(std::ranges::find(screened, same), screened.end()) << "confirmed unseen";
      const auto i = space.indices(id);
      ideal += i[2] == 0 && i[1] < 3 ? 1 : 0;
    }
    // The three feasible points of the front come before any other.
    if (kind == SearchKind::grid) {
      EXPECT_EQ(ideal, 3);
    }
  }
}

TEST(Fidelity, EveryScenarioHasItsShareOfWhatIsConfirmed) {
  for (const std::uint64_t points : {1, 3, 4, 7, 1000}) {
    const configs::SweepConfig config = configs::read_sweep(
        study("fidelity: {points: " + std::to_string(points) +
              "}\n"
              "axes: {prefill: [64, 128, 256], machine.array.rows: [32, 64, 96, "
              "128], decode: [1, 2]}\n"
              "scenarios: [prefill]\n"),
        "two.yaml");
    const PointSpace space(config);
    for (const SearchKind kind : {SearchKind::grid, SearchKind::nsga2}) {
      SCOPED_TRACE(std::to_string(points) + " by " +
                   std::string(kSearchNames[static_cast<std::size_t>(kind)]));
      SearchSettings settings;
      settings.kind = kind;
      settings.budget = kind == SearchKind::grid ? 0 : 24;
      const auto search = make_search(space, settings);
      std::vector<Outcome> outcomes;
      std::array<std::uint64_t, 3> screened{}, confirmed{};
      for (auto round = search->next_round({}); !round.empty();
           round = search->next_round(outcomes)) {
        outcomes.clear();
        for (const PointId id : round) {
          const auto i = space.indices(id);
          ++(i[0] == 0 ? screened : confirmed)[i[1]];
          // Longer prompts take longer; two of the four rows of the longest are refused.
          Outcome outcome{{10.0 * i[1] + i[2] + i[3], 4.0 - i[2]}, i[0] == 0 ? 1.0 : 0.0};
          if (i[1] == 2 && i[2] > 1) outcome.violation = std::numeric_limits<double>::infinity();
          outcomes.push_back(outcome);
        }
      }
      // As equal as what there is allows, all points given out, and one at least.
      std::array<std::uint64_t, 3> there = screened, expected{};
      if (kind == SearchKind::grid) {
        ASSERT_EQ(there, (std::array<std::uint64_t, 3>{8, 8, 8}));
        there[2] = 4;
        for (std::uint64_t left = std::max<std::uint64_t>(points, 3), turn = 0;
             left > 0 && expected != there; ++turn) {
          if (expected[turn % 3] == there[turn % 3]) continue;
          ++expected[turn % 3];
          --left;
        }
        EXPECT_EQ(std::accumulate(confirmed.begin(), confirmed.end(), std::uint64_t{0}),
                  std::accumulate(expected.begin(), expected.end(), std::uint64_t{0}));
      }
      for (std::size_t s = 0; s < 3; ++s) {
        EXPECT_GE(confirmed[s], 1u) << "scenario " << s;
        if (kind == SearchKind::grid) {
          EXPECT_LE(confirmed[s], expected[s] + 1) << "scenario " << s;
          EXPECT_GE(confirmed[s] + 1, expected[s]) << "scenario " << s;
        }
      }
    }
  }
}

TEST(Fidelity, RefusesShardsAndWhatContradictsItself) {
  const configs::SweepConfig config = configs::read_sweep(study(kAxes), "two.yaml");
  const PointSpace space(config);
  SearchSettings settings;
  settings.shards = 2;
  EXPECT_THROW(make_search(space, settings), ConfigError);

  const auto fault = [](const std::string& more) {
    try {
      configs::read_sweep(study(more), "two.yaml");
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  EXPECT_THAT(fault("fidelity: {screen: tile}\naxes: {decode: [1, 2]}\n"),
              HasSubstr("two.yaml:4:11: fidelity: screen and confirm are the same"));
  EXPECT_THAT(fault("fidelity: {}\naxes: {timing: [tile], decode: [1]}\n"),
              HasSubstr("axes.timing: is an axis by `fidelity` already"));
  EXPECT_THAT(fault("fidelity: {}\naxes: {decode: [1, 2]}\nscenarios: [timing]\n"),
              HasSubstr("two.yaml:6:13: scenarios: timing is what `fidelity` chooses"));
  EXPECT_THAT(fault("fidelity: {point: 3}\naxes: {decode: [1]}\n"), HasSubstr("points"));
  EXPECT_THAT(fault("axes: {timing: [tiles]}\n"), HasSubstr("tile"));
}

TEST(Fidelity, CorrelationsAreThoseOfTheBooks) {
  const std::vector<double> a = {1, 2, 3, 4, 5};
  EXPECT_DOUBLE_EQ(*spearman(a, {2, 4, 6, 8, 100}), 1);
  EXPECT_DOUBLE_EQ(*kendall(a, {5, 4, 3, 2, 1}), -1);
  // Ranks 1 2 4 3 5: rho = 1 - 6 * 2 / (5 * 24), tau = (9 - 1) / 10.
  EXPECT_DOUBLE_EQ(*spearman(a, {1, 2, 4, 3, 5}), 0.9);
  EXPECT_DOUBLE_EQ(*kendall(a, {1, 2, 4, 3, 5}), 0.8);
  // One tie: tau-b = (5 - 0) / sqrt(6 * 5), rho of ranks 0 1 2 3 and 0 1.5 1.5 3.
  EXPECT_DOUBLE_EQ(*kendall({1, 2, 3, 4}, {1, 2, 2, 3}), 5 / std::sqrt(30.0));
  EXPECT_DOUBLE_EQ(*spearman({1, 2, 3, 4}, {1, 2, 2, 3}), 4.5 / std::sqrt(5 * 4.5));
  EXPECT_FALSE(spearman(a, {1, 1, 1, 1, 1}));
  EXPECT_FALSE(kendall({1}, {1}));
}

}  // namespace
}  // namespace systole::sweep
