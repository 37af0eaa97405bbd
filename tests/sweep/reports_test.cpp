// Which points of a sweep get a full report, and the command that runs a point.
#include <gmock/gmock.h>

#include <limits>

#include "sim/core/point_command.hpp"
#include "sim/core/shell_word.hpp"
#include "sim/core/sweep_result.hpp"

namespace systole {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// A point a cycle, on a straight front of cycles against energy; every tenth is infeasible.
SweepResult line(std::uint64_t size) {
  SweepResult result;
  result.objectives = {{"cycles", false}, {"energy_mj", false}};
  result.constraints = {"area_mm2 <= 1"};
  std::vector<SweepPoint> points(size);
  for (std::uint64_t i = 0; i < size; ++i) {
    points[i].id = i;
    points[i].record.figures.fill(0);
    points[i].record.figures[find_figure("cycles")] = static_cast<double>(i);
    points[i].record.figures[find_figure("energy_mj")] = static_cast<double>(size - i);
    points[i].violations = {i % 10 == 0 ? 1.0 : 0.0};
  }
  result.points = std::make_shared<ListedPoints>(points);
  return result;
}

std::vector<std::uint64_t> chosen(const SweepResult& result, std::uint64_t most,
                                  bool others = false) {
  std::vector<std::uint64_t> ids;
  for (const SweepPoint& point : points_to_report(result, summarise(result), most, others)) {
    ids.push_back(point.id);
  }
  return ids;
}

TEST(PointsToReport, AreTheEndsThenTheFrontEvenlyThenWhatConstraintsCost) {
  const SweepResult result = line(21);  // feasible: 1..9, 11..19
  EXPECT_THAT(chosen(result, 0), IsEmpty());
  EXPECT_THAT(chosen(result, 1), ElementsAre(1));
  EXPECT_THAT(chosen(result, 2), ElementsAre(1, 19));
  EXPECT_THAT(chosen(result, 4), ElementsAre(1, 6, 15, 19));
  EXPECT_EQ(chosen(result, 18).size(), 18u);
  EXPECT_EQ(chosen(result, 18).front(), 1u) << "the front before what is not feasible";
  // Without the constraint 0 and 20 were the best.
  EXPECT_EQ(chosen(result, 20).front(), 0u);
  EXPECT_EQ(chosen(result, 24).size(), 20u) << "10 is neither";
}

TEST(PointsToReport, AreOthersEvenlyWhereAsManyAreAskedFor) {
  const SweepResult result = line(21);
  EXPECT_EQ(chosen(result, 24, true).size(), 21u) << "all there are";
  EXPECT_EQ(chosen(result, 4, true), chosen(result, 4)) << "the best and the front come first";
  SweepResult dull = line(100);  // one point is best in all
  dull.constraints.clear();
  dull.objectives.resize(1);
  const std::vector<std::uint64_t> best = chosen(dull, 5);
  EXPECT_EQ(best.size(), 1u);
  const std::vector<std::uint64_t> five = chosen(dull, 5, true);
  ASSERT_EQ(five.size(), 5u);
  for (std::size_t i = 1; i < five.size(); ++i) EXPECT_GT(five[i] - five[i - 1], 10u) << i;
}

TEST(PointsToReport, AreNoneOfASweepWithoutFeasiblePointsOrObjectives) {
  EXPECT_THAT(chosen(line(0), 24), IsEmpty());
  EXPECT_THAT(chosen(line(1), 24), ElementsAre(0)) << "the best without its constraint";
  SweepResult aimless = line(5);
  aimless.objectives.clear();
  EXPECT_LE(chosen(aimless, 3).size(), 3u);
}

SweepResult study() {
  SweepResult result;
  result.timing = "tile";
  result.base = {{"machine", "./it's own.yaml"},
                 {"recipe", "w8a8"},
                 {"model", "llama-2-7b"},
                 {"prefill", "64"},
                 {"decode", "1"},
                 {"batch", "1"},
                 {"prompt", "cached"},
                 {"quality", "perplexity of another model"}};
  result.files = {{"./it's own.yaml", "/home/me/it's own.yaml"}};
  result.axes = {{"timing", "", {"analytic", "tile"}},
                 {"recipe", "", {"w8a8", "fp16"}},
                 {"free", "", {"3"}},
                 {"machine.array.rows", "", {"64", "128"}}};
  result.derived = {"machine.memory.dram.channels", "helper"};
  return result;
}

TEST(PointCommand, SetsWhatThePointSetsAndNothingElse) {
  SweepPoint point;
  point.axis = {0, 1, 0, 1};
  point.derived = {100000, std::numeric_limits<double>::quiet_NaN()};
  EXPECT_EQ(command_of(study(), point),
            "systole run --machine '/home/me/it'\\''s own.yaml' --recipe fp16 --model llama-2-7b "
            "--prefill 64 --decode 1 --batch 1 --prompt cached --timing analytic --set "
            "array.rows=128 --set memory.dram.channels=100000 --no-eval");
  SweepResult kv = study();
  kv.base.insert(kv.base.begin() + 2, {"kv", "kivi2"});
  EXPECT_THAT(command_of(kv, point), testing::HasSubstr(" --kv kivi2 "));
  EXPECT_THAT(command_of(kv, point), testing::EndsWith(" --exact --no-eval"));
}

TEST(PointCommand, OfASweepComputesItsPointsAndGathersThem) {
  SweepResult sweep = study();
  sweep.search = "grid, screened analytic, the best 8 confirmed tile";
  EXPECT_EQ(sweep_commands(sweep, "mixpe-design-space", "all of it.h5"),
            "systole sweep mixpe-design-space --out points\n"
            "systole sweep merge points --out 'all of it.h5'");
  sweep.search = "random, budget 24, seed 3";
  EXPECT_THAT(sweep_commands(sweep, "mine.yaml", "all.h5"),
              testing::StartsWith("systole sweep mine.yaml --search random --budget 24 --seed 3 "));
}

TEST(ShellWords, AreWhatTheCommandWasMadeOf) {
  const std::vector<std::string> words = {"systole",  "run", "--set", "a.b=4",
                                          "it's own", "",    "a\\b"};
  std::string command;
  for (const std::string& word : words) command += (command.empty() ? "" : " ") + shell_word(word);
  EXPECT_EQ(shell_words(command), words);
  EXPECT_TRUE(shell_words("").empty());
}

TEST(PointCommand, IsNoneWhereNoRunCanSayIt) {
  SweepPoint point;
  point.axis = {0, 1, 0, 1};
  point.derived = {std::numeric_limits<double>::quiet_NaN(), 1};
  EXPECT_EQ(command_of(study(), point), "") << "a derived text is not kept";
  point.derived = {1, 1};
  SweepResult result = study();
  result.axes[2].path = "recipe.tensors.weight.group";
  EXPECT_EQ(command_of(result, point), "");
}

}  // namespace
}  // namespace systole
