#include "sim/core/run_result.hpp"

#include <gtest/gtest.h>

#include "sim/core/error.hpp"

namespace systole {
namespace {

RunResult one_operation() {
  RunResult result;
  OperationRow row;
  row.phase = "prefill";
  row.macs = 1000;
  row.cycles = 10;
  row.cycles_by_cause = {7, 3, 0, 0, 0, 0};
  result.operations.push_back(row);
  result.cycles = result.prefill_cycles = 10;
  result.components.push_back({"array", 5.0, 1.0, 2.0, "", ""});
  result.energy_pj = 6.0;
  result.area_mm2 = 2.0;
  return result;
}

TEST(RunResult, PassesWhenThePartsSumToTheWhole) { EXPECT_NO_THROW(one_operation().check_sums()); }

TEST(RunResult, RefusesCausesThatDoNotSum) {
  RunResult result = one_operation();
  result.operations[0].cycles_by_cause[0] = 8;
  EXPECT_THROW(result.check_sums(), InternalError);
}

TEST(RunResult, RefusesEnergyThatDoesNotSum) {
  RunResult result = one_operation();
  result.energy_pj = 6.5;
  EXPECT_THROW(result.check_sums(), InternalError);
}

TEST(RunResult, SumsBandsWithAllPartsAtTheSameEnd) {
  RunResult r;
  ComponentRow array;
  array.dynamic_pj = 100;
  array.static_pj = 20;
  array.area_mm2 = 2;
  array.dynamic_high_pj = 180;
  array.energy_band = 0.25;
  array.area_band = 0.15;
  ComponentRow unknown;  // states no band: counts as it is
  unknown.dynamic_pj = 7;
  unknown.area_mm2 = 1;
  r.components = {array, unknown};
  EXPECT_DOUBLE_EQ(r.energy_range_pj().low, 120 * 0.75 + 7);
  EXPECT_DOUBLE_EQ(r.energy_range_pj().high, 200 * 1.25 + 7);
  EXPECT_DOUBLE_EQ(r.area_range_mm2().low, 2 * 0.85 + 1);
  EXPECT_DOUBLE_EQ(r.area_range_mm2().high, 2 * 1.15 + 1);
}

TEST(RunResult, LeavesRatiosWithZeroDenominatorsAbsent) {
  const RunResult empty;
  EXPECT_FALSE(empty.utilisation());
  EXPECT_FALSE(empty.tokens_per_second());
  EXPECT_FALSE(empty.tops_per_mm2());
}

TEST(EventCounts, RegionIsSnapshotMinusSnapshot) {
  EventCounts counts;
  counts.add("array.mac", 5);
  const EventCounts start = counts;
  counts.add("array.mac", 2);
  counts.add("dram.read_bit", 8);
  const EventCounts region = counts.since(start);
  EXPECT_EQ(region.get("array.mac"), 2u);
  EXPECT_EQ(region.get("dram.read_bit"), 8u);
  EXPECT_EQ(region.times(3).get("array.mac"), 6u);
}

}  // namespace
}  // namespace systole
