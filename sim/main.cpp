// systole: the command line. Each command is a file in sim/cli; here are the overview and the exit
// codes.
#include <fmt/core.h>

#include <algorithm>
#include <csignal>
#include <exception>

#include "configs/meanings.hpp"
#include "reports/config_section.hpp"
#include "reports/format.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/core/error.hpp"
#include "sim/core/progress.hpp"

namespace {

using systole::cli::Arguments;

constexpr int kUserError = 2;
constexpr int kInternalError = 70;  // EX_SOFTWARE of sysexits.h
constexpr int kInterrupted = 130;   // as a shell reports SIGINT

void print_overview() {
  using systole::reports::wrapped;
  const std::size_t width = std::min(systole::cli::output_columns(), 100u);
  const auto paragraph = [&](const std::string& text) { return wrapped(text, width, 0) + "\n"; };
  std::string page = paragraph(fmt::format(
      "Systole {}: what a quantised language model computes, how well, how fast and at what "
      "energy, on a simulated mixed-precision accelerator.",
      SYSTOLE_VERSION));
  page += "\nUsage: systole COMMAND [options]\n\nCommands:\n";
  for (const auto& command : systole::cli::all_commands()) {
    page +=
        systole::reports::beside(fmt::format("  {:<10} ", command.name), command.summary, width);
  }
  page += "\n" + paragraph("`systole COMMAND --help` explains a command. Start with: systole run");
  page += "\n" + paragraph(
                     "Exit codes: 0 done, 1 a check found a difference, 2 something to mend in the "
                     "input, 70 a defect of Systole, 130 interrupted.");
  systole::cli::print_text(page);
}

int dispatch(const Arguments& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_overview();
    return words.empty() ? kUserError : 0;
  }
  if (words[0] == "--version") {
    fmt::print("systole {}\n", SYSTOLE_VERSION);
    return 0;
  }
  std::vector<std::string> known;
  for (const auto& command : systole::cli::all_commands()) {
    if (words[0] == command.name) {
      if (command.run == nullptr) {
        throw systole::ConfigError("'" + words[0] +
                                   "' is done by the launcher ./systole of the source tree");
      }
      return command.run(Arguments(words.begin() + 1, words.end()));
    }
    known.emplace_back(command.name);
  }
  throw systole::ConfigError(systole::unknown_name_message("command", words[0], known) +
                             " (systole --help)");
}

}  // namespace

#if defined(__SANITIZE_ADDRESS__)
// g++ 12's record of the thread-local storage of libraries opened at run time (bench's peers) makes
// its leak check end in a fault of its own.
extern "C" const char* __asan_default_options() {  // NOLINT: the sanitizer's name
  return "intercept_tls_get_addr=0";
}
#endif

int main(int argc, char* argv[]) {
  const Arguments words(argv + 1, argv + argc);
  // A limit on the size of files is then a failed write like that of a full disk, with a message.
  std::signal(SIGXFSZ, SIG_IGN);
  systole::cli::remember_command_line(words);
  systole::reports::explain_keys_with(systole::configs::meanings);
  try {
    return dispatch(words);
  } catch (const systole::ConfigError& error) {
    fmt::print(stderr, "systole: {}\n", error.what());
    return kUserError;
  } catch (const systole::Interrupted&) {
    fmt::print(stderr, "systole: interrupted; nothing was written\n");
    return kInterrupted;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "systole: out of memory\n");
    return kUserError;
  } catch (const std::exception& error) {
    fmt::print(stderr, "systole: internal error, please report it: {}\n", error.what());
    return kInternalError;
  }
}
