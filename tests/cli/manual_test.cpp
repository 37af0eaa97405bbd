// Completion and manual page know every option that --help knows.
#include <gtest/gtest.h>

#include <cstdlib>
#include <regex>
#include <set>

#include "tests/cli/process.hpp"

namespace systole::tests {
namespace {

std::set<std::string> all_matches(const std::string& text, const char* pattern) {
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
    found.insert((*it)[1]);
  }
  return found;
}

std::set<std::string> commands() {
  return all_matches(run_systole("--help").output, "\n  ([a-z]+) +[^ ]");
}

int shell(const std::string& command) { return std::system(command.c_str()); }

TEST(Manual, HasEveryCommandAndOptionOfTheHelpPages) {
  const std::string page = run_systole("man").output;
  EXPECT_GE(commands().size(), 14u);
  for (const std::string& command : commands()) {
    EXPECT_NE(page.find(".B " + command + "\n"), std::string::npos) << command;
    if (command == "test") continue;  // the launcher's
    for (const std::string& option :
         all_matches(run_systole(command + " --help").output, "\n  --([a-z0-9-]+)")) {
      EXPECT_NE(page.find("\\-\\-" + std::regex_replace(option, std::regex("-"), "\\-")),
                std::string::npos)
          << command << " --" << option;
    }
  }
}

TEST(Manual, IsTroffWithoutWarnings) {
  if (shell("command -v groff >/dev/null") != 0) GTEST_SKIP() << "no groff";
  const TemporaryFolder folder;
  const std::string page = folder.write("systole.1", run_systole("man").output);
  EXPECT_EQ(shell("groff -man -Tascii -ww " + page + " >" + folder.path("out") + " 2>" +
                  folder.path("err")),
            0);
  EXPECT_EQ(read_file(folder.path("err")), "");
  EXPECT_GT(read_file(folder.path("out")).size(), 10'000u);
}

/// What bash offers after `line`, whose last word is being typed.
std::string offered(const TemporaryFolder& folder, const std::string& script,
                    const std::string& line) {
  const std::string program =
      folder.write("complete.sh", ". " + script + "\nCOMP_WORDS=(" + line +
                                      ")\nCOMP_CWORD=$((${#COMP_WORDS[@]}-1))\n_systole\n"
                                      "printf ' %s' \"${COMPREPLY[@]}\"\n");
  EXPECT_EQ(shell("bash " + program + " >" + folder.path("offered")), 0);
  return read_file(folder.path("offered")) + " ";
}

TEST(Completion, OffersCommandsOptionsAndChoicesInBash) {
  const TemporaryFolder folder;
  const std::string script = folder.write("systole.bash", run_systole("completion bash").output);
  EXPECT_NE(offered(folder, script, "systole di").find(" diff "), std::string::npos);
  EXPECT_NE(offered(folder, script, "systole run --pre").find(" --prefill "), std::string::npos);
  EXPECT_EQ(offered(folder, script, "systole run --timing p"), " pe ");
  EXPECT_EQ(offered(folder, script, "systole report --format t"), " tsv ");
  EXPECT_NE(
      offered(folder, script, "systole diff " + script.substr(0, script.size() - 2)).find(script),
      std::string::npos);
  for (const std::string& command : commands()) {
    if (command == "test") continue;
    const std::string all = offered(folder, script, "systole " + command + " --");
    for (const std::string& option :
         all_matches(run_systole(command + " --help").output, "\n  --([a-z0-9-]+)")) {
      EXPECT_NE(all.find(" --" + option + " "), std::string::npos) << command << " " << option;
    }
  }
}

TEST(Completion, ForZshNamesEveryOptionAndBalancesItsQuotes) {
  const TemporaryFolder folder;
  const std::string script = run_systole("completion zsh").output;
  EXPECT_EQ(script.rfind("#compdef systole\n", 0), 0u);
  for (const std::string& command : commands()) {
    EXPECT_NE(script.find("'" + command + ":"), std::string::npos) << command;
    if (command == "test") continue;
    for (const std::string& option :
         all_matches(run_systole(command + " --help").output, "\n  --([a-z0-9-]+)")) {
      EXPECT_NE(script.find("--" + option + "["), std::string::npos) << command << " " << option;
    }
  }
  const std::string file = folder.write("_systole", script);
  if (shell("command -v zsh >/dev/null") == 0) {
    EXPECT_EQ(shell("zsh -n " + file), 0);
  } else {  // the quoting is the same in both shells
    EXPECT_EQ(shell("bash -n " + file), 0);
  }
}

TEST(Completion, RefusesAnotherShell) {
  EXPECT_EQ(run_systole("completion").exit_code, 2);
  EXPECT_EQ(run_systole("completion fish").exit_code, 2);
  EXPECT_EQ(run_systole("man page").exit_code, 2);
}

}  // namespace
}  // namespace systole::tests
