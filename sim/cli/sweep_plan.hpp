// What a folder keeps of each of its sweeps: journals/*.journal, shared by all, and a NAME.plan a
// sweep, from which it is merged or gone on with. Also the batch script of a sweep for Slurm.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/sweep/search.hpp"

namespace systole::cli {

/// The sweep file as it was, and how it is searched; not which part of it a process takes.
struct SweepPlan {
  std::string file;  ///< absolute: relative names in the text start there
  sweep::SearchSettings search;
  std::string text;
};

std::string journals_of(const std::string& folder);
std::string plan_path(const std::string& folder, const std::string& name);

/// Names of the sweeps of a folder. ConfigError where it cannot be listed.
std::vector<std::string> plans_in(const std::string& folder);
/// The plan of the sweep of that name, or of the only one where the name is empty.
SweepPlan plan_of(const std::string& folder, const std::string& name);
/// The same plan is the same file; it survives a power cut once this returns.
void write_plan(const std::string& path, const SweepPlan& plan);

/// What a batch script asks of Slurm.
struct SlurmSettings {
  std::uint64_t tasks = 16;  ///< of the array, or ranks of one job
  std::uint64_t jobs = 1;    ///< worker processes, and processors, a task
  std::string partition, time;
  std::string account;
  bool ranks =
      false;  ///< one job of ranks, for a search whose points depend on each other's results
};

/// `binary`, `folder`: absolute. A task that is killed or requeued goes on where it was.
std::string slurm_script(const std::string& binary, const std::string& folder,
                         const std::string& name, const SlurmSettings& settings);

}  // namespace systole::cli
