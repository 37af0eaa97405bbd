#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/process.hpp"
#include "tests/reports/schema_checker.hpp"

namespace systole::tests {
namespace {

constexpr const char* kRun = "run --no-eval --prefill 16 --decode 1 --quiet --out ";

TEST(DiffCommand, ExitStatusSaysEqualDifferentOrBadInput) {
  const TemporaryFolder folder;
  const std::string a = folder.path("a.h5"), b = folder.path("b.h5"), c = folder.path("c.h5");
  ASSERT_EQ(run_systole(kRun + a).exit_code, 0);
  ASSERT_EQ(run_systole(kRun + b + " --no-reuse").exit_code, 0);
  ASSERT_EQ(run_systole(kRun + c + " --set memory.dram.channels=1").exit_code, 0);

  // Another command line, the same figures.
  const Outcome equal = run_systole("diff " + a + " " + b);
  EXPECT_EQ(equal.exit_code, 0) << equal.output;
  EXPECT_NE(equal.output.find("summary.command"), std::string::npos);

  const Outcome different = run_systole("diff " + a + " " + c + " --threshold 1%");
  EXPECT_EQ(different.exit_code, 1);
  EXPECT_NE(different.output.find("config.memory.dram.channels"), std::string::npos);
  EXPECT_NE(different.output.find("different: "), std::string::npos);

  const Outcome json = run_systole("diff " + a + " " + c + " --json --threshold 0.01");
  EXPECT_EQ(json.exit_code, 1);
  EXPECT_FALSE(nlohmann::json::parse(json.output).at("equal").get<bool>());

  const Outcome quiet = run_systole("diff " + a + " " + c + " --quiet");
  EXPECT_EQ(quiet.exit_code, 1);
  EXPECT_EQ(quiet.output, "");

  for (const std::string& bad :
       {a, a + " " + b + " " + c, a + " nowhere.h5", a + " " + b + " --threshold much",
        a + " " + b + " --threshold -1%", a + " " + b + " --threshold %"}) {
    const Outcome outcome = run_systole("diff " + bad);
    EXPECT_EQ(outcome.exit_code, 2) << bad;
    EXPECT_NE(outcome.errors.find("systole: "), std::string::npos);
  }
}

TEST(ReportCommand, GivesASweepInEveryFormOfATableAndSaysWhatItHasNot) {
  const TemporaryFolder folder;
  const std::string sweep = folder.path("s.h5"), a = folder.path("a.h5");
  ASSERT_EQ(run_systole("sweep mixpe-design-space --search random --budget 4 --reports 0 --quiet "
                        "--out " +
                        folder.path("runs"))
                .exit_code,
            0);
  ASSERT_EQ(
      run_systole("sweep merge " + folder.path("runs") + " --reports 0 --quiet --out " + sweep)
          .exit_code,
      0);
  ASSERT_EQ(run_systole(kRun + a).exit_code, 0);
  for (const auto& [format, sign] :
       {std::pair("json", "\"points\": ["), std::pair("csv", "id,status,feasible"),
        std::pair("tsv", "id\tstatus"), std::pair("md", "Pareto front"),
        std::pair("latex", "\\toprule")}) {
    const Outcome report = run_systole("report " + sweep + " --format " + format);
    EXPECT_EQ(report.exit_code, 0) << format;
    EXPECT_NE(report.output.find(sign), std::string::npos) << format;
    EXPECT_EQ(run_systole("sweep export " + sweep + " --format " + format).output, report.output);
  }
  const Outcome trace = run_systole("report " + sweep + " --format perfetto");
  EXPECT_EQ(trace.exit_code, 2);
  EXPECT_NE(trace.errors.find("is a sweep, which has no timeline"), std::string::npos);
  for (const std::string& words : {"diff " + sweep + " " + a, "report " + a + " " + sweep}) {
    const Outcome outcome = run_systole(words);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_NE(outcome.errors.find("it is a sweep, not the result of one run"), std::string::npos);
  }
}

TEST(ReportCommand, WritesEveryFormatToAFileAndToStandardOutput) {
  const TemporaryFolder folder;
  const std::string a = folder.path("a.h5");
  ASSERT_EQ(run_systole(kRun + a + " --json " + folder.path("a.json")).exit_code, 0);
  for (const auto& [format, sign] :
       {std::pair("json", "\"summary\": {"), std::pair("csv", "result,section,row,figure"),
        std::pair("tsv", "result\tsection"), std::pair("perfetto", "\"traceEvents\""),
        std::pair("md", "| --- | ---: |"), std::pair("latex", "\\toprule")}) {
    const std::string file = folder.path(format);
    const std::string command = "report " + a + " --format " + format;
    EXPECT_EQ(run_systole(command + " --out " + file).exit_code, 0) << format;
    const std::string text = read_file(file);
    EXPECT_NE(text.find(sign), std::string::npos) << format;
    EXPECT_EQ(run_systole(command).output, text) << format;
    const bool one_only = std::string(format) == "perfetto";
    EXPECT_EQ(run_systole(command + " " + a).exit_code, one_only ? 2 : 0) << format;
  }
  const auto schema = nlohmann::json::parse(
      read_file(std::string(SYSTOLE_SOURCE_DIR) + "/reports/result.schema.json"));
  EXPECT_EQ(reports::schema_faults(schema, nlohmann::json::parse(read_file(folder.path("json")))),
            std::vector<std::string>{});
  EXPECT_EQ(read_file(folder.path("json")), read_file(folder.path("a.json")));
  EXPECT_EQ(run_systole("report " + a + " --format pdf").exit_code, 2);
  EXPECT_EQ(run_systole("report " + a + " --out x").exit_code, 2);
}

}  // namespace
}  // namespace systole::tests
