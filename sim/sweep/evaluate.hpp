// A point resolved to a machine, a recipe, a model and a run, and what that gives.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "configs/sweep.hpp"
#include "sim/core/run_result.hpp"
#include "sim/core/sweep_result.hpp"
#include "sim/sweep/journal.hpp"
#include "sim/sweep/space.hpp"

namespace systole::sweep {

/// The perplexity under a recipe, of the model of the sweep's `quality`. Throws ConfigError where
/// the model does not take the recipe.
using QualityMeasure = std::function<double(const configs::Recipe&)>;

/// Keeps what the point before has in common with this one, and no more: memory does not grow with
/// the number of points, caches of texts excepted, which are bounded.
class Evaluator {
 public:
  /// `space` must outlive it. `timings_folder`: where tile points keep what they simulated, for
  /// points that have parts of it in common; empty: in memory alone.
  /// `quality`: asked once a recipe; needed for evaluate() where the sweep has a quality.
  Evaluator(const PointSpace& space, std::string version, std::string timings_folder = "",
            QualityMeasure quality = nullptr);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  /// Resolves the point, as deep as its key needs.
  PointKey key(PointId id);

  /// The point of the last key(). Analytic points are computed here; a tile point whose parts
  /// have all been simulated too, any other in a process that this one forks, since SystemC
  /// elaborates once in a process. Throws InternalError when that
  /// process is killed more than a few times.
  SweepRecord evaluate();

  /// All that `systole run` of the point finds out, but for who ran it. Once in a process where the
  /// timing is tile. Throws ConfigError for a point that cannot be.
  RunResult run(PointId id);

  /// Whether the last evaluate() has run a simulation: of analytic points and of those all of whose
  /// parts were known it has not.
  bool simulated() const;

 private:
  SweepRecord timed();

  struct State;
  std::unique_ptr<State> state_;
};

/// Points in an order in which workers side by side simulate little twice: of those that differ in
/// prices alone one comes before all others, and neighbours, which may be alike in time for other
/// reasons, are not next to each other; the rest follow together. Of tile points; others stay.
std::vector<PointId> simulated_once(const PointSpace& space, const std::vector<PointId>& points);

}  // namespace systole::sweep
