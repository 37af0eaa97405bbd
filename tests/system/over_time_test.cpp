// The run over time: that its parts are the whole is in RunResult::check_sums, which every
// simulation passes; here, that they are in the right place.
#include "sim/system/over_time.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "reports/json.hpp"
#include "reports/views.hpp"
#include "sim/core/random.hpp"
#include "sim/system/sensitivity.hpp"
#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

using ::testing::StartsWith;
using Json = nlohmann::json;

/// "" or what is wrong with the result of `work`, which runs in a child.
std::string fault_of(const std::function<std::string()>& work) { return in_child(work); }

RunResult simulated(const workloads::Program& program, const configs::MachineConfig& machine,
                    sim::SimulateOptions options = {}) {
  options.over_time = true;
  Progress ignored;
  return sim::simulate(program, machine, options, ignored);
}

TEST(OverTime, ChangesNoOtherFigure) {
  const auto machine = configs::load_machine("mixpe-128x128");
  const auto program = small_program("mixpe-w4a8", 70, 5);
  Json with = Json::parse(simulate_in_child(program, machine, {.over_time = true}));
  EXPECT_FALSE(with["windows"]["macs"].empty());
  with.erase("windows");
  with.erase("steps");
  EXPECT_EQ(with, Json::parse(simulate_in_child(program, machine)));
}

TEST(OverTime, EveryTimingHasIt) {
  for (const char* name : {"mixpe-128x128", "mixpe-16x16"}) {
    const auto machine = configs::load_machine(name);
    const auto program = small_program("mixpe-w4a8", 33, 3);
    for (const sim::Timing timing : {sim::Timing::tile, sim::Timing::analytic, sim::Timing::pe}) {
      EXPECT_EQ(fault_of([&]() -> std::string {
                  const RunResult result = simulated(program, machine, {.timing = timing});
                  if (result.windows.empty() || result.steps.size() != 4) return "nothing";
                  const bool pieces = timing != sim::Timing::analytic;
                  return pieces == result.excerpt.bars.empty() ? "no excerpt" : "";
                }),
                "")
          << name << ", timing " << static_cast<int>(timing);
    }
  }
}

TEST(OverTime, WindowsOfThePrefillHoldItsWork) {
  const auto machine = configs::load_machine("mixpe-128x128");
  const auto program = small_program("mixpe-w4a8", 90, 4);
  EXPECT_EQ(fault_of([&]() -> std::string {
              const RunResult result = simulated(program, machine);
              // All of the prefill's windows but the one in which it ends.
              const std::uint64_t whole = result.prefill_cycles / result.window_cycles;
              std::uint64_t before = 0, in_rows = 0;
              for (std::uint64_t w = 0; w < whole; ++w) before += result.windows.at(w).macs;
              for (const OperationRow& row : result.operations) {
                if (row.phase == "prefill") in_rows += row.macs;
              }
              if (before > in_rows) return "work of the decode steps in the prefill";
              if (before + result.windows.at(whole).macs < in_rows) return "prefill after its end";
              const double most =
                  result.peak_macs_per_cycle * static_cast<double>(result.window_cycles);
              for (const TimeWindow& window : result.windows) {
                if (static_cast<double>(window.macs) > most + 1) return "beyond the peak";
              }
              return "";
            }),
            "");
}

TEST(OverTime, TheCacheGrowsByATokenAStep) {
  const auto machine = configs::load_machine("mixpe-128x128");
  const auto program = small_program("mixpe-w4a8", 20, 6);
  EXPECT_EQ(fault_of([&]() -> std::string {
              const RunResult result = simulated(program, machine);
              for (std::size_t i = 0; i < result.steps.size(); ++i) {
                const StepRow& step = result.steps[i];
                if (step.context != 20 + i) return "context of step " + std::to_string(i);
                if (step.kv_bytes != step.context * program.kv_bytes_per_token) return "bytes";
              }
              return "";
            }),
            "");
}

TEST(OverTime, ManyStepsAreSummedInRows) {
  const auto machine = configs::load_machine("mixpe-128x128");
  const auto program = small_program("mixpe-w4a8", 1, 2500);
  EXPECT_EQ(fault_of([&]() -> std::string {
              const RunResult result =
                  simulated(program, machine, {.timing = sim::Timing::analytic});
              std::uint64_t steps = 0;
              for (const StepRow& row : result.steps) steps += row.steps;
              if (result.steps.size() > kMostStepRows) return "too many rows";
              return steps == program.steps.size() ? "" : "steps are missing";
            }),
            "");
}

TEST(OverTime, BarsOfAnExcerptKeepTheBytesAndDoNotOverlap) {
  const auto machine = configs::load_machine("mixpe-128x128");
  const auto program = small_program("mixpe-w4a8", 200, 3);
  EXPECT_EQ(fault_of([&]() -> std::string {
              const RunResult result = simulated(program, machine);
              const Excerpt& excerpt = result.excerpt;
              const auto stretch = [&](const ExcerptBar& bar) {
                return excerpt.operations[bar.operation].stretch;
              };
              std::uint64_t moved = 0, expected = 0;
              const ExcerptBar* before = nullptr;
              for (const ExcerptBar& bar : excerpt.bars) {
                if (bar.busy_ps > bar.end_ps - bar.begin_ps || bar.pieces == 0) return "gaps";
                if (before != nullptr && before->track == bar.track &&
                    stretch(*before) == stretch(bar) && bar.begin_ps < before->end_ps) {
                  return "an overlap";
                }
                before = &bar;
                if (stretch(bar).starts_with("prefill")) moved += bar.bytes;
              }
              // The embedding and one of the layers; the head comes after them.
              for (const OperationRow& row : result.operations) {
                if (row.phase != "prefill" || (row.repeats == 1 && row.name != "embedding")) {
                  continue;
                }
                for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
                  expected += (row.dram_read_bytes[c] + row.dram_write_bytes[c]) / row.repeats;
                }
              }
              return moved == expected ? ""
                                       : "prefill moved " + std::to_string(moved) +
                                             " bytes, expected " + std::to_string(expected);
            }),
            "");
}

TEST(OverTime, ExtrapolatedRunsHaveAnExcerptOfWhatWasSimulated) {
  const auto machine = configs::load_machine("mixpe-16x16");
  const auto program = small_program("mixpe-w4a8", 700, 40);
  EXPECT_EQ(fault_of([&]() -> std::string {
              const RunResult result = simulated(program, machine, {.extrapolate = true});
              const Excerpt& excerpt = result.excerpt;
              if (excerpt.bars.empty() || excerpt.dram.empty() || excerpt.levels.empty()) {
                return "nothing";
              }
              std::uint64_t shortened = 0, layer = 0;
              std::map<std::string, std::uint64_t> length_ps;
              for (const ExcerptOperation& op : excerpt.operations) {
                shortened += op.stretch.ends_with(kRoundsLeftOut) ? 1 : 0;
                if (op.stretch.starts_with("prefill")) layer += op.cycles;
                length_ps[op.stretch] += op.cycles * 1'000'000 / 500;
              }
              if (shortened == 0) return "no loop of this prefill was shortened";
              if (!excerpt.operations.back().stretch.starts_with("decode step 40")) {
                return "the last decode step is " + excerpt.operations.back().stretch;
              }
              for (const ExcerptBar& bar : excerpt.bars) {
                const std::string& stretch = excerpt.operations.at(bar.operation).stretch;
                if (bar.end_ps > length_ps[stretch] + 1'000'000) return "a bar behind the end";
              }
              return layer < result.prefill_cycles / 3 ? "" : "as long as whole layers";
            }),
            "");
}

TEST(OverTime, TheExcerptHasTheBanksOfTheFirstChannel) {
  const auto program = small_program("mixpe-w4a8", 200, 3);
  for (const char* name : {"mixpe-128x128", "edge-rram-tiered"}) {
    const auto machine = configs::load_machine(name);
    EXPECT_EQ(
        fault_of([&]() -> std::string {
          const RunResult result = simulated(program, machine);
          const Excerpt& excerpt = result.excerpt;
          if (excerpt.bars.empty()) return "no excerpt";
          std::uint64_t from_dram = 0, bytes = 0;
          for (const OperationRow& row : result.operations) {
            for (const std::uint64_t read : row.dram_read_bytes) from_dram += read;
          }
          for (const ExcerptDramBar& bar : excerpt.dram) {
            const std::string& stretch = excerpt.operations.at(bar.operation).stretch;
            if (bar.operation > 0 && excerpt.operations[bar.operation - 1].stretch == stretch) {
              return "not the first operation of a stretch";
            }
            if (bar.bank >= machine.memory.dram.banks()) return "no such bank";
            if (bar.busy_ps > bar.end_ps - bar.begin_ps) return "busier than it lasts";
            bytes += bar.bytes;
          }
          if (from_dram == 0) return "";  // all lies in tiers
          return bytes > 0 && bytes < from_dram ? "" : "bytes of the first channel";
        }),
        "")
        << name;
  }
}

TEST(Timeline, WithTiersIsTheRunAndChangesNoFigure) {
  const configs::MachineConfig prefetching = configs::load_machine(
      "mixpe-16x16", {"memory.tiers=[{name: host, tier: host-ddr5-pcie4}]",
                      "memory.placement=[{class: weights, tier: host}]",
                      "memory.prefetch={staging_bytes: 131072, chunk_bytes: 4096}"});
  for (const auto& machine : {configs::load_machine("edge-rram-tiered"), prefetching}) {
    const auto program = small_program("mixpe-w4a8", 40, 3);
    const bool prefetches = machine.memory.prefetch.staging_bytes > 0;
    EXPECT_EQ(fault_of([&]() -> std::string {
                Timeline timeline;
                sim::SimulateOptions options;
                options.timeline = &timeline;
                Progress ignored;
                const RunResult result = sim::simulate(program, machine, options, ignored);
                if (timeline.tiers.size() != result.tiers.size()) return "names of the tiers";
                std::uint64_t cycles = 0, bytes = 0, dram = 0, expected = 0, expected_dram = 0;
                for (const Timeline::Instance& instance : timeline.instances) {
                  if (instance.begin_cycles != cycles) return "a gap";
                  const TimelineRegion& region = timeline.regions[instance.region];
                  cycles += region.cycles();
                  for (const auto& operation : region.operations) {
                    bytes += operation.tier_bytes;
                    dram += operation.dram_bytes;
                  }
                }
                for (std::size_t t = 0; t < result.tiers.size(); ++t) {
                  for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
                    (t == 0 ? expected_dram : expected) +=
                        result.tiers[t].read_bytes[c] + result.tiers[t].written_bytes[c];
                  }
                }
                if (cycles != result.cycles) return "cycles";
                if (bytes != expected || dram != expected_dram) return "bytes";
                bool late = false, prefetched = false;
                for (const TimelineRegion& region : timeline.regions) {
                  for (const TimelineSlice& slice : region.slices) {
                    late = late || slice.tier > 0;
                    prefetched = prefetched || slice.track == TimelineTrack::prefetch;
                  }
                }
                if (!late) return "no transfer came last from a tier";
                if (prefetched != prefetches) return "prefetch";
                return reports::to_json(result);
              }),
              simulate_in_child(program, machine))
        << machine.name;
  }
}

TEST(Sensitivity, IsWhatTheChangedMachineTakes) {
  const auto machine = configs::load_machine("mixpe-16x16");
  const auto program = small_program("mixpe-w4a8", 40, 3);
  for (const sim::MachineChange& change : sim::tenth_more(machine, false)) {
    const auto changed = configs::load_machine("mixpe-16x16", change.overrides);
    EXPECT_NE(changed, machine) << change.name;
    EXPECT_EQ(fault_of([&]() -> std::string {
                Progress ignored;
                const std::vector<sim::TimedProgram> both{{program, machine}, {program, changed}};
                const RunResult beside = sim::simulate_all(both, {.over_time = true}, ignored)[1];
                return sim::sensitivity_of(change, beside).path + " " +
                       std::to_string(beside.cycles);
              }),
              fault_of([&]() -> std::string {
                return change.path() + " " + std::to_string(simulated(program, changed).cycles);
              }));
  }
}

TEST(Sensitivity, OfEqualCyclesIsNoChangeToTheLastBit) {
  // The page subtracts the two; a rounding of its own showed as +1.11e-14 %.
  Random random(11);
  for (int i = 0; i < 2000; ++i) {
    RunResult result;
    result.cycles = static_cast<std::uint64_t>(random.uniform(1, std::int64_t{1} << 40));
    result.clock_mhz = static_cast<double>(random.uniform(1, 30000)) / 10;
    ASSERT_EQ(sim::sensitivity_of({"x", {}}, result).time_ms,
              reports::milliseconds_of(static_cast<double>(result.cycles), result))
        << result.cycles << " cycles at " << result.clock_mhz << " MHz";
  }
}

}  // namespace
}  // namespace systole::tests
