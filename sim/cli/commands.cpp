#include "sim/cli/commands.hpp"

#include "sim/core/shell_word.hpp"

namespace systole::cli {
namespace {

const Command kCommands[] = {
    {"run", "run a model on a machine: quality, time, energy, area", run_command},
    {"sweep",
     "many machines, recipes and models at once: what is best, and what it depends on",
     sweep_command,
     {"status", "merge", "export"}},
    {"eval", "measure a model's perplexity under a recipe, or let it write", eval_command},
    {"verify", "compare every kernel and the clocked arrays with their definitions, bit for bit",
     verify_command},
    {"gemm", "cycles of one matrix product on one systolic array", gemm_command},
    {"dram", "a trace or a pattern on DRAM channels: bandwidth, latency, energy", dram_command},
    {"paper", "the printed values of a paper beside what its own model gives here", paper_command},
    {"compare", "PEs on the same silicon, each with its recipe: time, energy, error bars",
     compare_command},
    {"bench", "measure the host: rates of the kernels beside its peak and other libraries",
     bench_command},
    {"report", "turn results into a page, side by side", report_command},
    {"diff", "compare two results figure by figure; exit status for regression tests",
     diff_command},
    {"list", "machines, recipes, models, PEs, DRAMs, energy tables and papers that ship",
     list_command},
    {"show", "print one of them resolved, with units, meanings and sources", show_command},
    {"completion", "a completion script for bash or zsh", completion_command},
    {"man", "the manual page, in troff", man_command},
    {"test", "build and run the tests (./systole test in the source tree)", nullptr},
};

std::string typed;

}  // namespace

std::span<const Command> all_commands() { return kCommands; }

void remember_command_line(const Arguments& words) {
  typed = "systole";
  for (const std::string& word : words) typed += " " + shell_word(word);
}

const std::string& command_line() { return typed; }

}  // namespace systole::cli
