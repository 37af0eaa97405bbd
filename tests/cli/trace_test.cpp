// run --trace: the trace agrees with the result of the same run.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "tests/cli/process.hpp"
#include "tests/reports/trace_checker.hpp"

namespace systole::tests {
namespace {

using Json = nlohmann::json;

struct Traced {
  Json trace, result;
  std::size_t bytes = 0;
};

Traced traced(const std::string& options) {
  const TemporaryFolder folder;
  const Outcome run = run_systole("run --no-eval --quiet " + options + " --trace " +
                                  folder.path("t.json") + " --json " + folder.path("r.json"));
  EXPECT_EQ(run.exit_code, 0) << run.errors;
  const std::string text = read_file(folder.path("t.json"));
  return {Json::parse(text), Json::parse(read_file(folder.path("r.json"))), text.size()};
}

/// Cycles and bytes of the operations' slices.
void expect_same_totals(const Traced& t) {
  std::uint64_t cycles = 0, bytes = 0;
  for (const Json& event : t.trace.at("traceEvents")) {
    if (event.at("ph") != "X" || event.at("tid") != 1) continue;
    cycles += event.at("args").at("cycles").get<std::uint64_t>();
    bytes += event.at("args").at("dram_bytes").get<std::uint64_t>();
  }
  EXPECT_EQ(cycles, t.result.at("summary").at("cycles").get<std::uint64_t>());
  EXPECT_EQ(bytes, t.result.at("summary").at("dram_bytes").get<std::uint64_t>());
}

TEST(RunTrace, IsValidAndSumsToTheResult) {
  const Traced t = traced("--prefill 32 --decode 2");
  EXPECT_EQ(reports::trace_faults(t.trace), std::vector<std::string>{});
  expect_same_totals(t);
  std::map<int, std::size_t> slices;
  std::map<std::string, std::size_t> counters;
  std::size_t repeated = 0;
  for (const Json& event : t.trace.at("traceEvents")) {
    if (event.at("ph") == "X") ++slices[event.at("tid").get<int>()];
    if (event.at("ph") == "C") ++counters[event.at("name").get<std::string>()];
    if (event.at("ph") == "X" && event.at("args").value("repeated", false)) ++repeated;
  }
  // Operations, weights, stores, array, dequantiser, vector unit, DRAM; activations stay on chip.
  for (const int track : {1, 2, 4, 5, 6, 7, 10}) EXPECT_GT(slices[track], 0u) << track;
  for (const char* counter : {"DRAM bandwidth", "array occupied", "weight buffers taken"}) {
    EXPECT_GT(counters[counter], 0u) << counter;
  }
  EXPECT_GT(repeated, 0u);
}

TEST(RunTrace, OfSeveralMemoriesSaysWhichWasWaitedFor) {
  const Traced t = traced("--machine edge-rram-tiered --prefill 32 --decode 2");
  EXPECT_EQ(reports::trace_faults(t.trace), std::vector<std::string>{});
  expect_same_totals(t);
  std::uint64_t bytes = 0, expected = 0;
  std::map<std::string, std::size_t> last;
  for (const Json& event : t.trace.at("traceEvents")) {
    const Json& arguments = event.at("args");
    if (arguments.contains("tier_bytes")) bytes += arguments["tier_bytes"].get<std::uint64_t>();
    if (arguments.contains("last_of")) ++last[arguments["last_of"].get<std::string>()];
  }
  for (const Json& tier : t.result.at("tiers")) {
    if (tier.at("name") == "dram") continue;
    for (const char* way : {"read_bytes", "written_bytes"}) {
      for (const Json& count : tier.at(way)) expected += count.get<std::uint64_t>();
    }
  }
  EXPECT_GT(expected, 0u);
  EXPECT_EQ(bytes, expected);
  EXPECT_GT(last["rram"], 0u);
}

TEST(RunTrace, WithoutReuseNothingIsRepeatedAndAllIsShown) {
  const Traced reused = traced("--prefill 16 --decode 1");
  const Traced whole = traced("--prefill 16 --decode 1 --no-reuse");
  expect_same_totals(whole);
  for (const Json& event : whole.trace.at("traceEvents")) {
    EXPECT_FALSE(event.at("args").value("repeated", false));
  }
  EXPECT_GT(whole.trace.at("traceEvents").size(), reused.trace.at("traceEvents").size());
  // The operations stand where they stood.
  const auto operations = [](const Traced& t) {
    std::vector<std::string> list;
    for (const Json& event : t.trace.at("traceEvents")) {
      if (event.at("ph") == "X" && event.at("tid") == 1) {
        list.push_back(event.at("name").get<std::string>() + event.at("ts").dump());
      }
    }
    return list;
  };
  EXPECT_EQ(operations(reused), operations(whole));
}

TEST(RunTrace, AskingForOneChangesNoFigure) {
  const TemporaryFolder folder;
  const std::string run = "run --no-eval --quiet --prefill 16 --decode 2 --out ";
  ASSERT_EQ(run_systole(run + folder.path("a.h5")).exit_code, 0);
  ASSERT_EQ(run_systole(run + folder.path("b.h5") + " --trace " + folder.path("t.json")).exit_code,
            0);
  EXPECT_EQ(run_systole("diff " + folder.path("a.h5") + " " + folder.path("b.h5")).exit_code, 0);
}

TEST(RunTrace, OfALargePrefillStaysBounded) {
  const Traced t = traced("--model llama-2-7b --prefill 2048 --decode 0");
  EXPECT_EQ(reports::trace_faults(t.trace), std::vector<std::string>{});
  expect_same_totals(t);
  EXPECT_LT(t.bytes, 50'000'000u);
}

TEST(RunTrace, AWindowShowsOnlyItsPieces) {
  const Traced t = traced("--prefill 16 --decode 1 --trace-window 20:30.5");
  EXPECT_EQ(reports::trace_faults(t.trace), std::vector<std::string>{});
  std::size_t pieces = 0;
  for (const Json& event : t.trace.at("traceEvents")) {
    if (event.at("ph") != "X" || event.at("tid") == 1) continue;
    const double begin = event.at("ts").get<double>();
    EXPECT_LT(begin, 30.5);
    EXPECT_GT(begin + event.at("dur").get<double>(), 20);
    ++pieces;
  }
  EXPECT_GT(pieces, 10u);
}

TEST(RunTrace, RefusesWhatHasNoTimes) {
  const TemporaryFolder folder;
  const std::string run = "run --no-eval --prefill 4 --decode 0 --trace " + folder.path("t");
  EXPECT_EQ(run_systole(run + " --timing analytic").exit_code, 2);
  for (const char* window : {"1", "2:1", "a:b", "1:1", ":", "-1:2", "1:2:3", "1:1e99"}) {
    EXPECT_EQ(run_systole(run + " --trace-window " + window).exit_code, 2) << window;
  }
  EXPECT_EQ(run_systole("run --no-eval --prefill 4 --decode 0 --trace-window 1:2").exit_code, 2);
}

}  // namespace
}  // namespace systole::tests
