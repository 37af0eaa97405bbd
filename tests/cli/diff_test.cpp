#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/process.hpp"

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

}  // namespace
}  // namespace systole::tests
