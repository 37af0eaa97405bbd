#include "reports/trace.hpp"

#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>

#include "tests/reports/sample_results.hpp"
#include "tests/reports/trace_checker.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::json;
using ::testing::IsEmpty;

/// Two layers of one region: 100 pieces of 10 cycles on the array at 1 GHz, each loaded before.
Timeline small_timeline(std::size_t pieces = 100) {
  Timeline timeline;
  timeline.title = "model \"a\", machine";
  timeline.clock_mhz = 1000;
  TimelineRegion& region = timeline.regions.emplace_back();
  region.operations.push_back({"attn_q", 10 * (pieces + 1), {10 * pieces, 0, 10}, 7, 64 * pieces});
  for (std::uint64_t i = 0; i < pieces; ++i) {
    region.slices.push_back({10'000 * i, 10'000 * (i + 1), 64, 0, TimelineTrack::load_stationary});
    region.slices.push_back({10'000 * (i + 1), 10'000 * (i + 2), 0, 0, TimelineTrack::array});
    region.changes.push_back({10'000 * i, 1, TimelineLevel::weight_buffers});
    region.changes.push_back({10'000 * (i + 2), -1, TimelineLevel::weight_buffers});
  }
  const std::uint64_t cycles = region.cycles();
  timeline.instances = {{0, 0, 0, 0, false}, {0, 0, 1, cycles, true}};
  return timeline;
}

std::size_t slices_of(const Json& trace, int thread) {
  std::size_t count = 0;
  for (const Json& event : trace.at("traceEvents")) {
    count += event.at("ph") == "X" && event.at("tid") == thread ? 1 : 0;
  }
  return count;
}

constexpr int kOperations = 1, kArray = 5;

TEST(Trace, IsValidAndShowsRepeatedLayersAsSuch) {
  const Json trace = Json::parse(to_trace(small_timeline()));
  EXPECT_THAT(trace_faults(trace), IsEmpty());
  EXPECT_EQ(slices_of(trace, kArray), 100u);
  ASSERT_EQ(slices_of(trace, kOperations), 2u);
  std::vector<bool> repeated;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X" || event.at("tid") != kOperations) continue;
    repeated.push_back(event.at("args").at("repeated").get<bool>());
    EXPECT_EQ(event.at("dur").get<double>(), 1.01);
    EXPECT_EQ(event.at("args").at("cycles"), 1010);
    EXPECT_EQ(event.at("args").at("dram_cycles"), 10);
  }
  EXPECT_EQ(repeated, (std::vector<bool>{false, true}));
}

TEST(Trace, AWindowShowsPiecesOfRepeatedLayersToo) {
  const TraceWindow window{1'010'000 + 500'000, 1'010'000 + 600'000};  // in the second layer
  const Json trace = Json::parse(to_trace(small_timeline(), &window));
  EXPECT_THAT(trace_faults(trace), IsEmpty());
  EXPECT_EQ(slices_of(trace, kArray), 10u);
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X" || event.at("tid") != kArray) continue;
    EXPECT_EQ(event.at("args").at("repeated"), true);
    EXPECT_GE(event.at("ts").get<double>(), 1.5);
  }
}

TEST(Trace, BeyondTheBoundPiecesAreSummed) {
  const Json trace = Json::parse(to_trace(small_timeline(5000), nullptr, 1000));
  EXPECT_THAT(trace_faults(trace), IsEmpty());
  const std::size_t shown = slices_of(trace, kArray);
  EXPECT_LE(3 * shown, 1100u);
  EXPECT_GT(shown, 100u);
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") == "X" && event.at("tid") == kArray && event.at("args").contains("pieces")) {
      EXPECT_EQ(event.at("args").at("pieces").get<std::size_t>() + shown - 1, 5000u);
    }
  }
}

TEST(Trace, CountersKeepTheBytes) {
  const Json trace = Json::parse(to_trace(small_timeline()));
  // 64 bytes every 10 ns, 100 times in 1.01 us: 6.34 GB/s on average.
  double sum = 0;
  std::size_t samples = 0;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("name") != "DRAM bandwidth") continue;
    sum += event.at("args").at("GB/s").get<double>();
    ++samples;
  }
  ASSERT_EQ(samples, 128u);
  EXPECT_NEAR(sum / static_cast<double>(samples), 6.4 / 1.01, 1e-6);
}

TEST(Trace, OfRowsLastsAsLongAsTheRun) {
  for (const RunResult& r : {sample_small(), sample_7b()}) {
    const Json trace = Json::parse(result_to_trace(r));
    EXPECT_THAT(trace_faults(trace), IsEmpty());
    EXPECT_EQ(slices_of(trace, kOperations), r.operations.size());
    double end = 0;
    for (const Json& event : trace.at("traceEvents")) {
      if (event.at("ph") == "X") {
        end = std::max(end, event.at("ts").get<double>() + event.at("dur").get<double>());
      }
    }
    EXPECT_NEAR(end, static_cast<double>(r.cycles) / r.clock_mhz, 1e-5 * end);
  }
}

TEST(Trace, OfAResultHasItsExcerptWhereItWas) {
  RunResult r = sample_small();
  const std::uint64_t begin = r.excerpt.operations.at(2).begin_cycles;  // of the second stretch
  r.excerpt.dram.push_back(
      {2, 3, static_cast<std::uint64_t>(DramAct::row_open), 1000, 9000, 8000, 1, 0});
  r.excerpt.dram.push_back(
      {2, 3, static_cast<std::uint64_t>(DramAct::read), 2000, 8000, 6000, 1, 256});
  r.excerpt.dram.push_back({2, 3, static_cast<std::uint64_t>(DramAct::read), 9500, 90'000, 5000, 7,
                            1792});  // joined: no single command
  const Json trace = Json::parse(result_to_trace(r));
  EXPECT_THAT(trace_faults(trace), IsEmpty());
  EXPECT_EQ(trace.at("otherData").at("rows_only"), false);
  std::map<std::string, std::size_t> slices;
  const double start = static_cast<double>(begin) / r.clock_mhz;
  std::map<int, std::string> names;
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("name") == "thread_name") {
      names[event.at("tid").get<int>()] = event.at("args").at("name").get<std::string>();
    }
  }
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    const std::string& name = names.at(event.at("tid").get<int>());
    ++slices[name];
    if (name.ends_with("reads, writes")) {
      EXPECT_NEAR(event.at("ts").get<double>(), start + 0.002, 1e-9);
      EXPECT_EQ(event.at("args").at("bytes"), 256);
    }
  }
  EXPECT_EQ(slices["DRAM channel 0, bank 3: reads, writes"], 1u);
  EXPECT_EQ(slices["DRAM channel 0, bank 3: open rows, refresh"], 1u);
  EXPECT_EQ(slices["excerpt: operations"], r.excerpt.operations.size());
  std::size_t bars = 0;
  for (const std::string_view track : kTimelineTrackNames) bars += slices[std::string(track)];
  EXPECT_EQ(bars, r.excerpt.bars.size());
  // The counters are the windows'.
  std::size_t samples = 0;
  for (const Json& event : trace.at("traceEvents")) samples += event.at("name") == "DRAM bandwidth";
  EXPECT_LE(samples, r.windows.size());
  EXPECT_GT(samples, 1u);
}

TEST(Trace, OfNothingIsValid) {
  EXPECT_THAT(trace_faults(Json::parse(to_trace({}))), IsEmpty());
  EXPECT_THAT(trace_faults(Json::parse(result_to_trace({}))), IsEmpty());
}

}  // namespace
}  // namespace systole::reports
