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
    const Json trace = Json::parse(rows_to_trace(r));
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

TEST(Trace, OfNothingIsValid) {
  EXPECT_THAT(trace_faults(Json::parse(to_trace({}))), IsEmpty());
  EXPECT_THAT(trace_faults(Json::parse(rows_to_trace({}))), IsEmpty());
}

}  // namespace
}  // namespace systole::reports
