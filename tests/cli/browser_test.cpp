// The page in a real browser: part of `./systole test --full`, which installs one.
#include <gmock/gmock.h>

#include <cstdlib>

#include "tests/cli/process.hpp"

namespace systole::tests {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

TEST(Browser, ShowsThePageWithoutNetworkOrScriptErrors) {
  const char* full = std::getenv("SYSTOLE_TEST_FULL");
  if (full == nullptr || *full == '\0') GTEST_SKIP() << "needs a browser: ./systole test --full";
  if (!fs::exists("/usr/bin/chromium")) GTEST_SKIP() << "chromium is not installed";

  const TemporaryFolder folder;
  ASSERT_EQ(run_systole_in(folder.path(""), "run --quiet --no-eval --html page.html").exit_code, 0);
  const std::string browser =
      "cd " + folder.path("") +
      " && timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
      " --disable-background-networking --disable-component-update --disable-sync "
      "--enable-logging=stderr"
      " --user-data-dir=profile --window-size=1280,2000 ";
  ASSERT_EQ(std::system((browser + "--screenshot=page.png --dump-dom file://" +
                         folder.path("page.html") + " >dom.html 2>log.txt")
                            .c_str()),
            0);
  const std::string dom = read_file(folder.path("dom.html"));
  EXPECT_THAT(dom, HasSubstr("mixpe-128x128"));
  EXPECT_THAT(dom, HasSubstr("<svg"));
  const std::string log = read_file(folder.path("log.txt"));
  EXPECT_THAT(log, Not(HasSubstr("CONSOLE"))) << "the page's script complains";
  EXPECT_GT(fs::file_size(folder.path("page.png")), 50'000u) << "the picture is almost empty";
}

}  // namespace
}  // namespace systole::tests
