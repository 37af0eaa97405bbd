#include "sim/cli/sweep_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "configs/tree.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"
#include "sim/core/shell_word.hpp"
#include "sim/sweep/journal.hpp"

namespace systole::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPlanExtension = ".plan";
constexpr std::string_view kPlanHead = "systole-sweep-plan 2";

std::string to_text(const SweepPlan& plan) {
  const auto& s = plan.search;
  return fmt::format("{}\nfile {}\nsearch {}\nbudget {}\nseed {}\n\n{}", kPlanHead, plan.file,
                     sweep::kSearchNames[static_cast<std::size_t>(s.kind)], s.budget, s.seed,
                     plan.text);
}

SweepPlan read_plan(const std::string& path) {
  const std::string text = configs::read_text_file(path);
  const auto fail = [&] {
    throw ConfigError(path + ": not a plan of this version; expected what `systole sweep` wrote");
  };
  const std::size_t blank = text.find("\n\n");
  if (blank == std::string::npos) fail();
  const std::vector<std::string_view> lines = split(std::string_view(text).substr(0, blank), '\n');
  if (lines.size() != 5 || lines[0] != kPlanHead) fail();
  const auto value = [&](std::size_t line, std::string_view key) {
    if (!lines[line].starts_with(std::string(key) + " ")) fail();
    return std::string(lines[line].substr(key.size() + 1));
  };
  SweepPlan plan;
  plan.file = value(1, "file");
  plan.search.kind = static_cast<sweep::SearchKind>(
      choice_of(path, "search", value(2, "search"), sweep::kSearchNames));
  plan.search.budget = number_of(value(3, "budget"), path, "budget", "a number");
  plan.search.seed = number_of(value(4, "seed"), path, "seed", "a number");
  plan.text = text.substr(blank + 2);
  return plan;
}

}  // namespace

std::string journals_of(const std::string& folder) { return folder + "/journals"; }

std::string plan_path(const std::string& folder, const std::string& name) {
  return folder + "/" + name + std::string(kPlanExtension);
}

std::vector<std::string> plans_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == kPlanExtension) names.push_back(it->path().stem().string());
  }
  if (error) throw ConfigError(folder + ": cannot be listed: " + error.message());
  std::ranges::sort(names);
  return names;
}

SweepPlan plan_of(const std::string& folder, const std::string& name) {
  const std::vector<std::string> names = plans_in(folder);
  if (names.empty()) throw ConfigError(folder + ": holds no sweep (systole sweep FILE --out DIR)");
  if (name.empty() && names.size() > 1) {
    std::string known;
    for (const std::string& each : names) known += (known.empty() ? "" : ", ") + each;
    throw ConfigError(folder + ": holds several sweeps (" + known + "); expected --sweep NAME");
  }
  if (!name.empty() && std::ranges::find(names, name) == names.end()) {
    throw ConfigError(unknown_name_message("sweep", name, names));
  }
  return read_plan(plan_path(folder, name.empty() ? names.front() : name));
}

void write_plan(const std::string& path, const SweepPlan& plan) {
  sweep::write_durably(path, to_text(plan));
}

std::string slurm_script(const std::string& binary, const std::string& folder,
                         const std::string& name, const SlurmSettings& s) {
  std::string out = fmt::format(
      "#!/bin/sh\n"
      "# Sweep '{}' on Slurm, written by `systole sweep --slurm`. The folder must be seen by all "
      "nodes.\n"
      "#   submit: sbatch THIS_FILE       look: systole sweep status {}\n"
      "#   then:   systole sweep merge {} --sweep {} --out all.h5\n"
      "# Finished points are kept: a task that was killed goes on where it was, requeued or "
      "submitted again.\n"
      "#SBATCH --job-name=systole-{}\n",
      name, shell_word(folder), shell_word(folder), name, name);
  const auto option = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) out += fmt::format("#SBATCH --{}={}\n", key, value);
  };
  option(s.ranks ? "ntasks" : "array",
         s.ranks ? std::to_string(s.tasks) : fmt::format("1-{}", s.tasks));
  option("cpus-per-task", std::to_string(s.jobs));
  option("partition", s.partition);
  option("time", s.time);
  option("account", s.account);
  std::string logs;  // sbatch reads %j and the like in it
  for (const char c : folder) logs += c == '%' ? std::string("%%") : std::string(1, c);
  out += fmt::format("#SBATCH --output=\"{}/{}-{}.log\"\n", logs, name, s.ranks ? "%j" : "%A_%a");
  out += "#SBATCH --open-mode=append\n#SBATCH --requeue\n";
  if (!s.ranks) out += "set -u  # outside an array there is no task's number\n";
  return out + fmt::format("exec {}{} sweep --resume --quiet --out {} --sweep {} --jobs {}{}\n",
                           s.ranks ? "srun " : "", shell_word(binary), shell_word(folder), name,
                           s.jobs,
                           s.ranks ? std::string()
                                   : fmt::format(" --shard \"$SLURM_ARRAY_TASK_ID/{}\"", s.tasks));
}

}  // namespace systole::cli
