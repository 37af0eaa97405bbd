// The sub-commands of `systole`, each in a file of its own. A command returns the exit code;
// ConfigError leaves it for main to print.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace systole::cli {

using Arguments = std::vector<std::string>;

int run_command(const Arguments& arguments);
int sweep_command(const Arguments& arguments);
int eval_command(const Arguments& arguments);
int verify_command(const Arguments& arguments);
int gemm_command(const Arguments& arguments);
int dram_command(const Arguments& arguments);
int paper_command(const Arguments& arguments);
int compare_command(const Arguments& arguments);
int bench_command(const Arguments& arguments);
int list_command(const Arguments& arguments);
int show_command(const Arguments& arguments);
int report_command(const Arguments& arguments);
int diff_command(const Arguments& arguments);
int completion_command(const Arguments& arguments);
int man_command(const Arguments& arguments);

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const Arguments&);           ///< null: the launcher's own
  std::vector<std::string> further = {};  ///< first words that make it another command
};

/// In the order that `systole --help` shows them.
std::span<const Command> all_commands();

/// What `systole list KIND` names. Throws ConfigError for another kind.
std::vector<std::string> listed_names(std::string_view kind);

/// The command line as typed, for results to echo; set by main.
void remember_command_line(const Arguments& words);
const std::string& command_line();

}  // namespace systole::cli
