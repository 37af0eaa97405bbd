// KV-cache systems side by side: the decode steps of one model at one context, with the cache of
// each system, on each machine, with each number of sequences.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "configs/machine.hpp"
#include "configs/model.hpp"
#include "configs/recipe.hpp"
#include "sim/core/kv_comparison_result.hpp"
#include "sim/core/progress.hpp"

namespace systole::sim {

/// `systems`: KV recipes; `recipe`: of all else. Only decode steps are timed: the prompt takes what
/// `simulate` says, nearly the same for all. A point whose weights and caches the machine's DRAM
/// does not hold is timed as if it did (more packages at the same bandwidth) and says so. Uses
/// SystemC: once in a process. Errors: as workloads::lower and simulate; ConfigError for no decode
/// step.
KvComparisonResult compare_kv(std::span<const configs::Recipe> systems,
                              std::span<const configs::MachineConfig> machines,
                              std::span<const std::uint64_t> batches, const configs::Recipe& recipe,
                              const configs::ModelShape& model, std::uint64_t prefill,
                              std::uint64_t decode, bool exact, Progress& progress);

}  // namespace systole::sim
