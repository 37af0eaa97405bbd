#include "reports/html.hpp"

#include <gmock/gmock.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "tests/reports/sample_results.hpp"

namespace systole::reports {
namespace {

/// SYSTOLE_SAMPLE_PAGES=<directory> leaves the sample pages there, to be looked at in a browser.
TEST(Html, LeavesSamplePagesWhereAsked) {
  const char* directory = std::getenv("SYSTOLE_SAMPLE_PAGES");
  if (directory == nullptr) GTEST_SKIP() << "SYSTOLE_SAMPLE_PAGES is not set";
  const auto put = [&](const std::string& name, std::vector<RunResult> results) {
    std::ofstream(std::string(directory) + "/" + name) << to_html(results);
  };
  using enum SampleMachine;
  put("7b.html", {sample_7b()});
  put("small.html", {sample_small()});
  put("compare.html", {sample_small(mixpe_w4a8), sample_small(int8), sample_small(fp16)});
  put("compare7b.html", {sample_7b(mixpe_w4a8), sample_7b(int8), sample_7b(fp16)});
}

}  // namespace
}  // namespace systole::reports
