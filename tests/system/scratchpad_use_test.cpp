// How full the scratchpads are: against the pieces of the timeline, which say when each load came
// and when the array had done with it, and against what the mapping says it keeps.
#include "sim/system/scratchpad_use.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "reports/views.hpp"
#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

using Json = nlohmann::json;

RunResult simulated(const workloads::Program& program, const configs::MachineConfig& machine,
                    const sim::SimulateOptions& options = {}) {
  Progress ignored;
  return sim::simulate(program, machine, options, ignored);
}

/// Bytes of loads times the cycles from their end until the array has done the job: where one load
/// follows another and each is read by one job, as weights are in decode.
double held_by_pieces(const TimelineRegion& region, double clock_mhz) {
  std::vector<const TimelineSlice*> loads, jobs;
  for (const TimelineSlice& slice : region.slices) {
    if (slice.track == TimelineTrack::load_stationary) loads.push_back(&slice);
    if (slice.track == TimelineTrack::array) jobs.push_back(&slice);
  }
  EXPECT_EQ(loads.size(), jobs.size());
  double sum = 0;
  for (std::size_t i = 0; i < std::min(loads.size(), jobs.size()); ++i) {
    sum += static_cast<double>(loads[i]->bytes) *
           static_cast<double>(jobs[i]->end_ps - loads[i]->end_ps) * clock_mhz * 1e-6;
  }
  return sum;
}

TEST(ScratchpadUse, WeightsAreHeldFromTheirArrivalUntilTheArrayHasDone) {
  const auto machine = configs::load_machine("mixpe-16x16");
  workloads::Program program = small_program("mixpe-w4a8", 1, 1);
  // Products alone, every weight tile met by one row.
  for (workloads::Step& step : program.steps) {
    for (workloads::Segment& segment : step.segments) {
      std::erase_if(segment.operations,
                    [](const auto& op) { return op.kind != workloads::OpKind::gemm; });
    }
    std::erase_if(step.segments, [](const auto& segment) { return segment.operations.empty(); });
    step.kv_bytes = 0;
  }
  program.kv_bytes = 0;
  EXPECT_EQ(in_child([&]() -> std::string {
              Timeline timeline;
              const RunResult result = simulated(program, machine, {.timeline = &timeline});
              double expected = 0, loads = 0;
              for (const Timeline::Instance& instance : timeline.instances) {
                const TimelineRegion& region = timeline.regions[instance.region];
                expected += held_by_pieces(region, machine.clock_mhz);
                for (const TimelineSlice& slice : region.slices) {
                  if (slice.track == TimelineTrack::load_stationary) {
                    loads += static_cast<double>(slice.bytes);
                  }
                }
              }
              const auto held = static_cast<double>(result.scratchpads.at(0).held_byte_cycles);
              // A load comes within a cycle, which is counted from its start.
              if (expected <= 0 || held < expected - 1e-6 * expected || held > expected + loads) {
                return std::to_string(held) + " byte cycles held, by the pieces " +
                       std::to_string(expected) + ", of loads of " + std::to_string(loads);
              }
              return "";
            }),
            "");
}

TEST(ScratchpadUse, TheLevelsOfATimelineAreTheCountsOfItsRegions) {
  const auto program = small_program("mixpe-w4a8", 150, 3);
  for (const char* name : {"mixpe-128x128", "mixpe-16x16", "mixpe-32x32-os", "int8-128x94"}) {
    const auto machine = configs::load_machine(name);
    EXPECT_EQ(in_child([&]() -> std::string {
                Timeline timeline;
                const RunResult result = simulated(program, machine, {.timeline = &timeline});
                const double cycles_per_ps = machine.clock_mhz * 1e-6;
                std::array<double, kScratchpadCount> held{}, slack{};
                for (const Timeline::Instance& instance : timeline.instances) {
                  const TimelineRegion& region = timeline.regions[instance.region];
                  std::array<std::int64_t, 2> level{};
                  for (const TimelineChange& change : region.changes) {
                    const bool weights = change.level == TimelineLevel::weight_bytes;
                    if (!weights && change.level != TimelineLevel::activation_bytes) continue;
                    const std::size_t s = weights ? 0 : 1;
                    level[s] += change.by;
                    if (level[s] < 0) return "less than nothing held";
                    held[s] -= static_cast<double>(change.by) *
                               static_cast<double>(change.time_ps) * cycles_per_ps;
                    slack[s] += std::abs(static_cast<double>(change.by));
                  }
                  if (level[0] != 0 || level[1] != 0) return "something is left";
                  for (const auto& operation : region.operations) {
                    for (std::size_t s = 0; s < kScratchpadCount; ++s) {
                      held[s] += static_cast<double>(operation.kept_bytes[s] * operation.cycles);
                    }
                  }
                }
                for (std::size_t s = 0; s < kScratchpadCount; ++s) {
                  const auto found = static_cast<double>(result.scratchpads[s].held_byte_cycles);
                  if (std::abs(found - held[s]) > slack[s] + 1e-6 * found) {
                    return result.scratchpads[s].name + ": " + std::to_string(found) +
                           " byte cycles, by the timeline " + std::to_string(held[s]);
                  }
                }
                return "";
              }),
              "")
        << name;
  }
}

TEST(ScratchpadUse, ShortenedRunsFindAboutTheSame) {
  const auto machine = configs::load_machine("mixpe-16x16");
  const auto program = small_program("mixpe-w4a8", 700, 2);
  const Json whole = Json::parse(simulate_in_child(program, machine));
  const Json shorter = Json::parse(simulate_in_child(program, machine, {.extrapolate = true}));
  ASSERT_EQ(whole["scratchpads"].size(), kScratchpadCount);
  for (std::size_t s = 0; s < kScratchpadCount; ++s) {
    const double a = whole["scratchpads"][s]["mean_held_bytes"],
                 b = shorter["scratchpads"][s]["mean_held_bytes"];
    EXPECT_NEAR(b, a, 0.02 * a) << s;
  }
}

TEST(ScratchpadUse, NothingIsHeldBeyondTheCapacity) {
  for (const char* name : {"mixpe-128x128", "mixpe-16x16", "mixpe-32x32-os"}) {
    for (const std::uint64_t prefill : {1, 33, 400}) {
      const auto program = small_program("mixpe-w4a8", prefill, 2);
      const Json result =
          Json::parse(simulate_in_child(program, configs::load_machine(name), {.over_time = true}));
      for (const Json& use : result["scratchpads"]) {
        EXPECT_GT(use["occupancy"], 0.0) << name << ' ' << use["name"];
        EXPECT_LE(use["occupancy"], 1.0) << name << ' ' << use["name"];
      }
    }
  }
}

TEST(ScratchpadUse, LevelsOfTheExcerptAreWithoutGapsAndFit) {
  const auto program = small_program("mixpe-w4a8", 300, 3);
  for (const char* name : {"mixpe-128x128", "mixpe-16x16"}) {
    const auto machine = configs::load_machine(name);
    EXPECT_EQ(in_child([&]() -> std::string {
                const RunResult result = simulated(program, machine, {.over_time = true});
                const auto& levels = result.excerpt.levels;
                if (levels.empty()) return "none";
                for (std::size_t i = 0; i < levels.size(); ++i) {
                  const ExcerptLevel& level = levels[i];
                  if (level.begin_ps >= level.end_ps) return "an empty one";
                  if (level.bytes > result.scratchpads.at(level.scratchpad).capacity_bytes) {
                    return "more than fits";
                  }
                  const bool first = i == 0 || levels[i - 1].operation != level.operation ||
                                     levels[i - 1].scratchpad != level.scratchpad;
                  if (level.begin_ps != (first ? 0 : levels[i - 1].end_ps)) return "a gap";
                }
                return "";
              }),
              "")
        << name;
  }
}

TEST(ScratchpadUse, TheAnalyticTimingHasNone) {
  const Json result = Json::parse(simulate_in_child(
      small_program(), configs::load_machine("mixpe-16x16"), {.timing = sim::Timing::analytic}));
  EXPECT_FALSE(result.contains("scratchpads"));
}

}  // namespace
}  // namespace systole::tests
