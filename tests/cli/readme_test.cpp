// The README is documentation that runs: every command it shows works, in the order it shows them.
#include <gtest/gtest.h>

#include <cstdio>
#include <sstream>

#include "tests/cli/process.hpp"

namespace systole::tests {
namespace {

/// Lines of ```sh blocks that call the launcher with a command of the binary; `\` continues a line.
std::vector<std::string> readme_commands() {
  std::istringstream readme(read_file(std::string(SYSTOLE_SOURCE_DIR) + "/README.md"));
  std::vector<std::string> commands;
  bool in_block = false;
  std::string pending;
  for (std::string line; std::getline(readme, line);) {
    if (line.starts_with("```")) {
      in_block = line == "```sh";
      continue;
    }
    if (!in_block) continue;
    if (!line.empty() && line.back() == '\\') {
      pending += line.substr(0, line.size() - 1);
      continue;
    }
    line = pending + line;
    pending.clear();
    constexpr std::string_view kLauncher = "./systole ";
    if (!line.starts_with(kLauncher)) continue;
    const std::string arguments =
        line.substr(kLauncher.size(), line.find("  #") - kLauncher.size());
    if (arguments.starts_with("test")) continue;  // this is it
    commands.push_back(arguments);
  }
  return commands;
}

TEST(Readme, EveryCommandItShowsWorks) {
  const TemporaryFolder folder;
  const std::vector<std::string> commands = readme_commands();
  ASSERT_GE(commands.size(), 8u) << "the README shows an example of every command";
  const std::string shared = SYSTOLE_SHARED_DIR;
  for (const std::string& arguments : commands) {
    if (arguments.find("../shared/") != std::string::npos && !std::filesystem::exists(shared)) {
      std::printf("left out, the data folder is absent: ./systole %s\n", arguments.c_str());
      continue;
    }
    const Outcome outcome = run_systole_in(folder.path(""), arguments);
    EXPECT_EQ(outcome.exit_code, 0) << "./systole " << arguments << "\n" << outcome.errors;
  }
}

}  // namespace
}  // namespace systole::tests
