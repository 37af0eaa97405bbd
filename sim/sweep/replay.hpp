// A sweep run, or put together again from what journals hold of it: the same points in the same
// order either way.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "configs/sweep.hpp"
#include "sim/core/progress.hpp"
#include "sim/core/sweep_result.hpp"
#include "sim/sweep/journal.hpp"
#include "sim/sweep/pool.hpp"
#include "sim/sweep/search.hpp"

namespace systole::sweep {

struct SweepRun {
  SweepResult result;
  PoolCounts counts;
  bool interrupted = false;  ///< the result holds what was finished before
};

/// Evaluates all points that no journal has, in worker processes.
SweepRun run_sweep(const configs::SweepConfig& config, const SearchSettings& search,
                   const PoolSettings& pool, const JournalContents& known,
                   const JournalContents& shared, Progress& progress);

/// What the journals hold of the sweep. A search whose next round needs a point that is not there
/// ends with the rounds before.
SweepResult replay(const configs::SweepConfig& config, const SearchSettings& search,
                   const std::string& version, const JournalContents& known, Progress& progress);

}  // namespace systole::sweep
