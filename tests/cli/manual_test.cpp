// Completion and manual page know every option that --help knows.
#include <gtest/gtest.h>

#include <cstdlib>
#include <regex>
#include <set>
#include <sstream>
#include <vector>

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

/// A line being typed, and what a shell must offer for it, and nothing else.
struct Typed {
  const char* line;
  const char* bash_words;  ///< the same as bash parts it, where that differs
  const char* offered;
};

/// The same in every shell: commands, options, choices, shipped names, lists of them, files.
const std::vector<Typed>& typed() {
  static const std::vector<Typed> lines = {
      {"systole di", nullptr, "diff"},
      {"systole run --pref", nullptr, "--prefill"},
      {"systole run --timing p", nullptr, "pe"},
      {"systole run --timing=an", "systole run --timing = an", "analytic"},
      {"systole report --format t", nullptr, "tsv"},
      {"systole run --machine mixpe-128x128-s", nullptr, "mixpe-128x128-serial"},
      {"systole run --model systole-k", nullptr, "systole-kjv-3m"},
      {"systole eval --recipe gguf-q4-k-", nullptr, "gguf-q4-k-m"},
      {"systole show tms", nullptr, ""},
      {"systole paper mi", nullptr, "mixpe"},
      {"systole list dr", nullptr, "drams"},
      {"systole verify --suite pe_", nullptr, "pe_values_and_cycles"},
      {"systole verify --options us", nullptr, "usual"},
      {"systole sweep sta", nullptr, "status"},
      {"systole sweep status --js", nullptr, "--json"},
      {"systole sweep merge --o", nullptr, "--out"},
      {"systole completion z", nullptr, "zsh"},
      {"systole diff first.h", nullptr, "first.h5"},
      {"systole run --out first.h", nullptr, "first.h5"},
  };
  return lines;
}

/// Words in any order.
std::set<std::string> words_of(const std::string& text) {
  return all_matches(" " + text + " ", "([^ \n]+)");
}

/// What bash offers after `words`, whose last one is being typed.
std::string offered(const TemporaryFolder& folder, const std::string& script,
                    const std::string& words) {
  const std::string program = folder.write(
      "complete.sh", ". " + script + "\ncd " + folder.path("") + "\nCOMP_WORDS=(" + words +
                         ")\nCOMP_CWORD=$((${#COMP_WORDS[@]}-1))\n_systole\n"
                         "printf ' %s' \"${COMPREPLY[@]}\"\n");
  EXPECT_EQ(shell("bash --norc " + program + " >" + folder.path("offered")), 0);
  return read_file(folder.path("offered")) + " ";
}

TEST(Completion, OffersCommandsOptionsChoicesAndNamesInBash) {
  const TemporaryFolder folder;
  folder.write("first.h5", "");
  const std::string script = folder.write("systole.bash", run_systole("completion bash").output);
  for (const Typed& each : typed()) {
    const char* words = each.bash_words == nullptr ? each.line : each.bash_words;
    EXPECT_EQ(words_of(offered(folder, script, words)), words_of(each.offered)) << each.line;
  }
  // Of a list, the whole word is what bash replaces.
  EXPECT_EQ(words_of(offered(folder, script, "systole compare --pes ant,int8-m")),
            words_of("ant,int8-mac"));
  EXPECT_EQ(words_of(offered(folder, script, "systole run --timing =")),
            words_of("pe tile analytic"));
  EXPECT_TRUE(words_of(offered(folder, script, "systole run ''")).contains("--machine"));
  for (const std::string& command : commands()) {
    if (command == "test") continue;
    const std::string all = offered(folder, script, "systole " + command + " --");
    for (const std::string& option :
         all_matches(run_systole(command + " --help").output, "\n  --([a-z0-9-]+)")) {
      EXPECT_NE(all.find(" --" + option + " "), std::string::npos) << command << " " << option;
    }
  }
}

TEST(Completion, OffersCommandsOptionsChoicesAndNamesInZsh) {
  if (shell("command -v zsh >/dev/null") != 0)
    GTEST_SKIP() << "zsh is not installed: ./systole test --full installs it";
  const TemporaryFolder folder;
  folder.write("first.h5", "");
  folder.write("_systole", run_systole("completion zsh").output);
  std::string lines;
  for (const Typed& each : typed()) lines += std::string(each.line) + "\n";
  lines += "systole compare --pes ant,int8-m\n";
  const std::string file = folder.write("lines", lines);
  ASSERT_EQ(shell(std::string("zsh -f ") + SYSTOLE_SOURCE_DIR + "/tests/cli/completion.zsh " +
                  folder.path("") + " " + file + " >" + folder.path("offered") + " 2>&1"),
            0);
  std::istringstream offered(read_file(folder.path("offered")));
  std::string line;
  for (const Typed& each : typed()) {
    ASSERT_TRUE(std::getline(offered, line)) << each.line;
    EXPECT_EQ(words_of(line), words_of(each.offered)) << each.line;
  }
  std::getline(offered, line);
  EXPECT_EQ(words_of(line), words_of("int8-mac")) << "of a list";
}

TEST(Completion, ForZshMayBeSourced) {
  if (shell("command -v zsh >/dev/null") != 0) GTEST_SKIP() << "zsh is not installed";
  const TemporaryFolder folder;
  const std::string script = folder.write("script", run_systole("completion zsh").output);
  EXPECT_EQ(shell("zsh -f -c 'autoload -Uz compinit; compinit -u -D; source " + script +
                  "; [[ $_comps[systole] == _systole ]]'"),
            0);
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
      EXPECT_TRUE(std::regex_search(script, std::regex("--" + option + "(=|=-)?\\[")))
          << command << " " << option;
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
