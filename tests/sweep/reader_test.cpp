// Sweep files: what they mean, and one message for every fault, all of them at once.
#include <gmock/gmock.h>

#include <filesystem>

#include "configs/assign.hpp"
#include "configs/sweep.hpp"
#include "sim/core/error.hpp"
#include "sim/sweep/space.hpp"

namespace systole::configs {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kHead =
    "name: t\nsummary: a test\n"
    "base: {machine: mixpe-128x128, recipe: mixpe-w4a8, model: tinyllama-1.1b, prefill: 64}\n";

std::string fault_of(const std::string& text) {
  try {
    read_sweep(text, "t.yaml");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

std::vector<std::string> values_of(const std::string& axis) {
  const SweepConfig config = read_sweep(
      kHead + ("axes: {machine.clock_mhz: " + axis + "}\nobjectives: [minimise: tpot_ms]\n"),
      "t.yaml");
  std::vector<std::string> all;
  for (const SweepValue& value : config.axes.at(0).values) all.push_back(value.text);
  return all;
}

/// "machine recipe" of every point that the conditions admit.
std::vector<std::string> admitted(const std::string& conditions) {
  const SweepConfig config =
      read_sweep(std::string(kHead) +
                     "axes: {machine: [mixpe-128x128, int8-128x94], recipe: [w8a8, fp16], prefill: "
                     "[1, 9]}\nconditions:\n" +
                     conditions + "objectives: [minimise: tpot_ms]\n",
                 "t.yaml");
  const sweep::PointSpace space(config);
  std::vector<std::string> points;
  for (sweep::PointId id = 0; id < space.size(); ++id) {
    if (!space.admits(id)) continue;
    const auto values = space.values(id);
    points.push_back(values[0].text.substr(0, 4) + " " + values[1].text + " " + values[2].text);
  }
  return points;
}

TEST(SweepFile, ConditionsCompareTextsAndHoldWhereOneOfTheirPartsDoes) {
  EXPECT_THAT(admitted("  - machine == 'int8-128x94'\n  - recipe != 'fp16'\n"),
              ElementsAre("int8 w8a8 1", "int8 w8a8 9"));
  EXPECT_EQ(admitted("  - recipe in ['w8a8', 'fp16']\n").size(), 8u);
  EXPECT_THAT(admitted("  - recipe in ['fp16']\n  - prefill in [9, 10]\n"),
              ElementsAre("mixp fp16 9", "int8 fp16 9"));
  // If a machine, then a recipe: not the machine, or the recipe.
  EXPECT_THAT(admitted("  - machine != 'int8-128x94' or recipe in ['w8a8']\n  - prefill < 9\n"),
              ElementsAre("mixp w8a8 1", "mixp fp16 1", "int8 w8a8 1"));
  EXPECT_THAT(admitted("  - recipe == 'fp16' or prefill > 5 or machine == 'mixpe-128x128'\n"),
              testing::SizeIs(7));
  // Quotes and brackets hide what is in them.
  const std::vector<std::string> names = {"a"};
  const Comparison odd = Comparison::parse("a == 'x or y in <=' or a in ['p, q', 'r']", names);
  for (const char* text : {"x or y in <=", "p, q", "r"}) {
    EXPECT_TRUE(odd.holds(std::vector<SweepValue>{{text, std::nullopt}})) << text;
  }
  EXPECT_DOUBLE_EQ(odd.violation(std::vector<SweepValue>{{"p", std::nullopt}}), 1);
  // Of parts that miss, the nearest counts.
  EXPECT_DOUBLE_EQ(
      Comparison::parse("a <= 5 or a >= 20", names).violation(std::vector{value_of(10.0)}), 0.5);
}

TEST(SweepFile, AxesAreListsAndRanges) {
  EXPECT_THAT(values_of("[100, 250.5]"), ElementsAre("100", "250.5"));
  EXPECT_THAT(values_of("{from: 100, to: 400, step: 100}"),
              ElementsAre("100", "200", "300", "400"));
  EXPECT_THAT(values_of("{from: 100, to: 900, factor: 2}"),
              ElementsAre("100", "200", "400", "800"));
  EXPECT_THAT(values_of("{from: 100, to: 102, points: 3}"), ElementsAre("100", "101", "102"));
  EXPECT_THAT(values_of("{from: 10, to: 1000, points: 3, log: true}"),
              ElementsAre("10", "100", "1000"));
  EXPECT_THAT(values_of("{from: 10, to: 100, points: 4, log: true, round: 5}"),
              ElementsAre("10", "20", "45", "100"));
}

TEST(SweepFile, ConditionsAndDerivedValuesAreThoseOfArithmetic) {
  const SweepConfig config =
      read_sweep(std::string(kHead) +
                     "axes:\n  machine.array.rows: [32, 64, 128]\n  side: [2, 4]\n"
                     "derived:\n  machine.array.cols: side * machine.array.rows / 2\n"
                     "  odd: (1 + 2) * -3 - min(4, 5) / 2 + log2(8)\n"
                     "conditions: [machine.array.rows * machine.array.cols <= 8192]\n"
                     "objectives: [minimise: tpot_ms]\n",
                 "t.yaml");
  const sweep::PointSpace space(config);
  EXPECT_EQ(space.size(), 6u);
  std::vector<std::string> admitted;
  for (sweep::PointId id = 0; id < space.size(); ++id) {
    EXPECT_EQ(space.id(space.indices(id)), id);
    if (!space.admits(id)) continue;
    const auto values = space.values(id);
    admitted.push_back(values[0].text + "x" + values[2].text);
    EXPECT_EQ(values[3].text, "-8");
  }
  EXPECT_THAT(admitted, ElementsAre("32x32", "32x64", "64x64", "64x128"));
}

struct BadFile {
  const char* name;
  const char* text;
  const char* message;
};
std::ostream& operator<<(std::ostream& out, const BadFile& file) { return out << file.name; }

class SweepFault : public testing::TestWithParam<BadFile> {};

TEST_P(SweepFault, IsNamedWithItsPlace) {
  EXPECT_THAT(fault_of(GetParam().text),
              AllOf(HasSubstr("t.yaml:"), HasSubstr(GetParam().message)));
}

#define BASE "base: {machine: mixpe-128x128, recipe: mixpe-w4a8, model: tinyllama-1.1b}\n"
#define NAMES "name: t\nsummary: s\n"
#define AIM "objectives: [minimise: tpot_ms]\n"
const BadFile kBadFiles[] = {
    {"unknown_key", NAMES BASE AIM "axis: {}\naxes: {prefill: [1]}\n",
     "t.yaml:5:1: axis: unknown key 'axis'; did you mean 'axes'?"},
    {"missing_objectives", NAMES BASE "axes: {prefill: [1]}\n", "objectives: missing"},
    {"unknown_machine",
     NAMES "base: {machine: mixpe-128x182, recipe: mixpe-w4a8, model: tinyllama-1.1b}\n" AIM
           "axes: {prefill: [1]}\n",
     "base.machine: unknown machine 'mixpe-128x182'; did you mean 'mixpe-128x128'?"},
    {"unknown_timing",
     NAMES
     "base: {machine: mixpe-128x128, recipe: mixpe-w4a8, model: tinyllama-1.1b, timing: fast}\n" AIM
     "axes: {prefill: [1]}\n",
     "base.timing"},
    {"unknown_path", NAMES BASE AIM "axes:\n  machine.array.rowz: [32]\n",
     "t.yaml:6:24: axes.machine.array.rowz: unknown key 'rowz'; did you mean 'rows'?"},
    {"unknown_parameter", NAMES BASE AIM "axes:\n  prefil: [32]\n",
     "t.yaml:6:3: axes.prefil: unknown parameter 'prefil'; did you mean 'prefill'?"},
    {"value_out_of_range", NAMES BASE AIM "axes:\n  machine.array.rows: [32, 5000]\n",
     "found '5000'; expected a whole number from 1 to 4096"},
    {"value_of_wrong_kind", NAMES BASE AIM "axes:\n  machine.array.rows: [wide]\n",
     "found 'wide'; expected a whole number"},
    {"unknown_enum", NAMES BASE AIM "axes:\n  machine.array.dataflow: [weight_stationery]\n",
     "did you mean 'weight_stationary'?"},
    {"unknown_recipe_in_axis", NAMES BASE AIM "axes:\n  recipe: [mixpe-w4a9]\n",
     "did you mean 'mixpe-w4a8'?"},
    {"unknown_dram_in_axis", NAMES BASE AIM "axes:\n  machine.memory.dram: [hbm2-2.1]\n",
     "did you mean 'hbm2-2.0'?"},
    {"value_twice", NAMES BASE AIM "axes:\n  prefill: [1, 2, 1]\n", "a second time"},
    {"range_backwards", NAMES BASE AIM "axes:\n  prefill: {from: 9, to: 1, step: 1}\n",
     "expected from below to"},
    {"range_two_ways", NAMES BASE AIM "axes:\n  prefill: {from: 1, to: 9, step: 1, points: 3}\n",
     "one of step, factor and points"},
    {"range_unknown_key", NAMES BASE AIM "axes:\n  prefill: {from: 1, too: 9, step: 1}\n",
     "did you mean 'to'?"},
    {"range_log_of_zero", NAMES BASE AIM "axes:\n  prefill: {from: 0, to: 9, factor: 2}\n",
     "above 0"},
    {"condition_unknown_name", NAMES BASE AIM "axes: {prefill: [1]}\nconditions: [prefil > 3]\n",
     "conditions[0]: unknown name 'prefil'; did you mean 'prefill'?"},
    {"condition_no_comparison", NAMES BASE AIM "axes: {prefill: [1]}\nconditions: [prefill + 3]\n",
     "expected a comparison"},
    {"condition_unknown_text",
     NAMES BASE AIM "axes: {recipe: [w8a8, fp16]}\nconditions: [recipe != 'w8a9']\n",
     "conditions[0]: unknown value of recipe 'w8a9'; did you mean 'w8a8'?"},
    {"condition_unknown_text_in_list",
     NAMES BASE AIM
     "axes: {recipe: [w8a8, fp16]}\nconditions:\n  - prefill > 3 or recipe in ['w8a8', 'fp17']\n",
     "unknown name 'prefill'"},
    {"condition_unknown_text_in_list_of_an_or",
     NAMES BASE AIM "axes: {recipe: [w8a8, fp16], prefill: [4]}\n"
                    "conditions:\n  - prefill > 3 or recipe in ['w8a8', 'fp17']\n",
     "conditions[0]: unknown value of recipe 'fp17'; did you mean 'fp16'?"},
    {"condition_order_of_texts",
     NAMES BASE AIM "axes: {recipe: [w8a8, fp16]}\nconditions: [recipe <= 'w8a8']\n",
     "found 'w8a8' beside <=; texts have no order, expected == != or in"},
    {"condition_order_of_names",
     NAMES BASE AIM "axes: {recipe: [w8a8, fp16]}\nconditions: [recipe < 4]\n",
     "found 'w8a8' among the values of recipe; texts take == != and in alone"},
    {"condition_text_of_numbers",
     NAMES BASE AIM "axes: {prefill: [1, 2]}\nconditions: [prefill == 'one']\n",
     "unknown value of prefill 'one'; known: 1 2"},
    {"condition_in_without_list",
     NAMES BASE AIM "axes: {recipe: [w8a8, fp16]}\nconditions: [recipe in 'w8a8']\n",
     "found ''w8a8''; expected values such as ['a', 'b'] after in"},
    {"condition_in_empty_list",
     NAMES BASE AIM "axes: {recipe: [w8a8, fp16]}\nconditions: ['recipe in []']\n",
     "expected a number, a name"},
    {"constraint_unknown_text",
     NAMES BASE AIM "axes: {recipe: [w8a8, fp16]}\nconstraints: [recipe == 'fp15']\n",
     "constraints[0]: unknown value of recipe 'fp15'"},
    {"expression_open", NAMES BASE AIM "axes: {prefill: [1]}\nderived: {decode: (prefill + 3}\n",
     "found the end in '(prefill + 3'; expected ')'"},
    {"derived_unknown_path",
     NAMES BASE AIM "axes: {prefill: [1]}\nderived: {machine.array.colz: prefill}\n",
     "did you mean 'cols'?"},
    {"constraint_unknown_figure",
     NAMES BASE AIM "axes: {prefill: [1]}\nconstraints: [area_mm <= 3]\n",
     "did you mean 'area_mm2'?"},
    {"objective_unknown", NAMES BASE "axes: {prefill: [1]}\nobjectives: [minimise: tpot_m]\n",
     "did you mean 'tpot_ms'?"},
    {"objective_way", NAMES BASE "axes: {prefill: [1]}\nobjectives: [minimize: tpot_ms]\n",
     "did you mean 'minimise'?"},
    {"objective_twice",
     NAMES BASE "axes: {prefill: [1]}\nobjectives: [minimise: tpot_ms, maximise: tpot_ms]\n",
     "a second time"},
};
INSTANTIATE_TEST_SUITE_P(All, SweepFault, testing::ValuesIn(kBadFiles),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(SweepFile, AllFaultsAreNamedAtOnce) {
  const std::string faults =
      fault_of(NAMES BASE
               "axes:\n  machine.array.rowz: [32]\n"
               "  prefill: [few]\nconditions: [x > 3]\nobjectives: [minimise: tpot]\n");
  for (const char* part : {"rowz", "'few'", "'x'", "'tpot'"}) EXPECT_THAT(faults, HasSubstr(part));
}

TEST(SweepFile, WhatAValueSetInPlaceGivesIsWhatTheReaderGives) {
  for (const Entry& entry : list_sweeps()) {
    const SweepConfig config = load_sweep(entry.path);
    EXPECT_EQ(config.name, entry.name);
    for (const SweepAxisConfig& axis : config.axes) {
      if (axis.parameter.target != SweepTarget::machine) continue;
      MachineConfig machine = load_machine(config.base.machine);
      const std::string& value = axis.values.back().text;
      if (assign(machine, axis.parameter.field, value) != Assigned::done) continue;
      EXPECT_EQ(machine, load_machine(config.base.machine, {axis.parameter.field + "=" + value}));
    }
  }
}

TEST(SweepFile, ADigestFollowsEveryValueButNamesAndSources) {
  const MachineConfig machine = load_machine("mixpe-128x128");
  const auto digest = [](const MachineConfig& m) {
    Digest d;
    add_to(d, m);
    return d.value();
  };
  MachineConfig other = machine;
  other.name = "another";
  other.source = "elsewhere";
  EXPECT_EQ(digest(other), digest(machine));
  for (const char* set : {"clock_mhz=501", "array.rows=127", "memory.dram.channels=8",
                          "mapping.objective=cycles", "energy=nangate45", "array.pe=int8-mac"}) {
    EXPECT_NE(digest(load_machine("mixpe-128x128", {set})), digest(machine)) << set;
  }
}

}  // namespace
}  // namespace systole::configs
