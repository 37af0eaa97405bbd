#include "sim/system/schedule.hpp"

#include <gtest/gtest.h>

#include <map>

#include "tests/system/machines.hpp"

namespace systole::sim {
namespace {

struct Totals {
  std::uint64_t macs = 0, weight_bytes = 0, cache_read = 0, cache_written = 0;
};

Totals totals_of(const std::vector<Job>& jobs) {
  Totals totals;
  for (const Job& job : jobs) {
    totals.macs += job.counts.macs;
    for (const auto* list : {&job.stationary.transfers, &job.moving.transfers, &job.results}) {
      for (const memory::Transfer& t : *list) {
        if (t.traffic == TrafficClass::weights) totals.weight_bytes += t.bytes;
        if (t.traffic == TrafficClass::kv_cache)
          (t.write ? totals.cache_written : totals.cache_read) += t.bytes;
      }
    }
  }
  return totals;
}

TEST(Schedule, DoesEveryMultiplyAccumulateOfTheProgramOnce) {
  for (const char* name : {"mixpe-128x128", "mixpe-16x16", "mixpe-32x32-os"}) {
    const auto machine = configs::load_machine(name);
    const auto& design = pe::find_design(machine.array.pe);
    const workloads::Program program = tests::small_program("mixpe-w4a8", 200, 2);
    for (const auto& step : program.steps) {
      for (const auto& segment : step.segments) {
        std::uint64_t macs = 0;
        for (const auto& op : segment.operations) macs += op.macs();
        EXPECT_EQ(totals_of(schedule(machine, design, segment, {})).macs, macs)
            << name << " " << segment.name;
      }
    }
  }
}

TEST(Schedule, ReadsEachWeightAndEachCachedTokenOnceInADecodeStep) {
  const auto machine = configs::load_machine("mixpe-128x128");
  const auto& design = pe::find_design(machine.array.pe);
  const workloads::Program program = tests::small_program("mixpe-w4a8", 40, 3);
  const auto& step = program.steps.back();
  const auto& layer = step.segments[1];
  const Totals totals = totals_of(schedule(machine, design, layer, {}));
  std::uint64_t weights = 0;
  for (const auto& op : layer.operations) {
    if (op.stationary_region.traffic == TrafficClass::weights)
      weights += op.stationary_region.bytes;
  }
  EXPECT_EQ(totals.weight_bytes, weights);
  EXPECT_EQ(totals.cache_read * layer.repeats, program.kv_bytes_per_token * step.context);
  EXPECT_EQ(totals.cache_written * layer.repeats, program.kv_bytes_per_token);
}

TEST(Schedule, FreesEveryHalfThatItTakesInOrder) {
  for (const char* name : {"mixpe-128x128", "mixpe-16x16"}) {
    const auto machine = configs::load_machine(name);
    const auto& design = pe::find_design(machine.array.pe);
    const auto program = tests::small_program("mixpe-w4a8", 700, 1);
    for (const auto& segment : program.steps[0].segments) {
      for (const auto load : {&Job::stationary, &Job::moving}) {
        std::int64_t held = 0;
        for (const Job& job : schedule(machine, design, segment, {})) {
          held += (job.*load).takes_half ? 1 : 0;
          EXPECT_LE(held, 1) << "a job reads one half";
          held -= (job.*load).frees_half ? 1 : 0;
          EXPECT_GE(held, 0);
        }
        EXPECT_EQ(held, 0);
      }
    }
  }
}

TEST(Schedule, ShiftsRegionsButNotSpillsFromLayerToLayer) {
  const auto machine = configs::load_machine("mixpe-16x16");
  const auto& design = pe::find_design(machine.array.pe);
  const auto program = tests::small_program("mixpe-w4a8", 700, 0);
  const auto& layer = program.steps[0].segments[1];
  const auto first = schedule(machine, design, layer, {0, 1 << 30, 1 << 20});
  const auto second =
      schedule(machine, design, layer, {program.layer_stride_bytes, 1 << 30, 1 << 20});
  ASSERT_EQ(first.size(), second.size());
  bool spilled = false;
  for (std::size_t i = 0; i < first.size(); ++i) {
    for (std::size_t t = 0; t < first[i].stationary.transfers.size(); ++t) {
      EXPECT_EQ(first[i].stationary.transfers[t].address + program.layer_stride_bytes,
                second[i].stationary.transfers[t].address);
    }
    for (std::size_t t = 0; t < first[i].moving.transfers.size(); ++t) {
      spilled = true;
      EXPECT_EQ(first[i].moving.transfers[t].address, second[i].moving.transfers[t].address);
    }
  }
  EXPECT_TRUE(spilled) << "the case is too small to say anything";
}

}  // namespace
}  // namespace systole::sim
