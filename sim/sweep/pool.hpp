// Worker processes that evaluate points and journal them. A worker is forked after all is loaded;
// one that is killed is replaced and its points are given out again; where the one that gives them
// out is killed, each worker finishes what it holds and ends.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/core/progress.hpp"
#include "sim/sweep/evaluate.hpp"
#include "sim/sweep/journal.hpp"
#include "sim/sweep/space.hpp"

namespace systole::sweep {

struct PoolSettings {
  unsigned jobs = 1;
  std::string journal_folder;
  std::string version;
  std::string timings_folder{};        ///< see Evaluator
  QualityMeasure quality{};            ///< the same
  std::uint64_t largest_batch = 1024;  ///< points a worker takes at once: analytic points are quick
};

struct PoolCounts {
  std::uint64_t computed = 0;
  std::uint64_t simulated = 0;  ///< of them; the others share what these and earlier ones found
  std::uint64_t known = 0;      ///< found in a journal
  std::uint64_t replaced_workers = 0;
  std::uint64_t peak_worker_kib = 0;  ///< resident, of the largest worker that ended in order
};

/// One finished point.
using PointSink = std::function<void(PointId, const PointKey&, const SweepRecord&)>;

class WorkerPool {
 public:
  /// `known` are points that need not be computed; those of `shared` neither, but they are written
  /// to the journal too. All must outlive the pool.
  WorkerPool(const PointSpace& space, PoolSettings settings, const JournalIndex& known,
             const JournalIndex& shared);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Every point is journalled when it reaches the sink; in no certain order. Throws Interrupted
  /// once the points in flight are done, when the user asked to stop; ConfigError when a journal
  /// cannot be written; InternalError when workers keep dying on the same points.
  void run(const std::vector<PointId>& points, Progress& progress, const PointSink& sink);

  /// Ends the workers and collects what they used.
  PoolCounts finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace systole::sweep
