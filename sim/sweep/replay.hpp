// A sweep run, or put together again from what journals hold of it: the same points in the same
// order either way.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "configs/sweep.hpp"
#include "sim/core/progress.hpp"
#include "sim/core/sweep_result.hpp"
#include "sim/sweep/journal.hpp"
#include "sim/sweep/pool.hpp"
#include "sim/sweep/ranks.hpp"
#include "sim/sweep/search.hpp"

namespace systole::sweep {

/// Which key a point of the grid has, where that is known already; by id.
using KnownKeys = std::vector<std::pair<PointId, PointKey>>;

struct SweepRun {
  KnownKeys keys;  ///< of the points that this process saw finished
  PoolCounts counts;
  bool interrupted = false;
};

/// The processes that work on a sweep together, of which this one is one.
struct Company {
  Rank rank;
  Claims* claims = nullptr;  ///< without them it works alone
};

/// Evaluates all points that no journal has, in worker processes. What they are is read from the
/// journals afterwards: nothing is kept here. In company it returns when all ranks' points are
/// done; `known` then holds them.
SweepRun run_sweep(const configs::SweepConfig& config, const SearchSettings& search,
                   const PoolSettings& pool, JournalIndex& known, const JournalIndex& shared,
                   Progress& progress, const Company& company = {});

/// What the journals hold of the sweep. A search whose next round needs a point that is not there
/// ends with the rounds before. The result reads from `journals` for as long as it lives.
SweepResult replay(const configs::SweepConfig& config, const SearchSettings& search,
                   const std::string& version, std::shared_ptr<const JournalIndex> journals,
                   Progress& progress, const KnownKeys& keys = {});

}  // namespace systole::sweep
