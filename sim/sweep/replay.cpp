#include "sim/sweep/replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "sim/core/error.hpp"

namespace systole::sweep {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

std::string search_text(const SearchSettings& search) {
  const auto name = kSearchNames[static_cast<std::size_t>(search.kind)];
  if (search.kind == SearchKind::grid) return std::string(name);
  return fmt::format("{}, budget {}, seed {}", name, search.budget, search.seed);
}

SweepResult header(const PointSpace& space, const SearchSettings& search,
                   const std::string& version) {
  const configs::SweepConfig& config = space.config();
  const configs::SweepBase& base = config.base;
  SweepResult result;
  result.version = version;
  result.name = config.name;
  result.summary = config.summary;
  result.source = config.source;
  result.timing = configs::kSweepTimingNames[static_cast<std::size_t>(base.timing)];
  result.search = search_text(search);
  result.grid_points = space.size();
  result.base = {
      {"machine", base.machine},
      {"recipe", base.recipe},
      {"model", base.model},
      {"prefill", std::to_string(base.prefill)},
      {"decode", std::to_string(base.decode)},
      {"prompt", std::string(configs::kSweepPromptNames[static_cast<std::size_t>(base.prompt)])}};
  if (!base.kv.empty()) result.base.insert(result.base.begin() + 2, {"kv", base.kv});
  for (const configs::SweepAxisConfig& axis : config.axes) {
    SweepAxis& out = result.axes.emplace_back();
    out.path = axis.parameter.path;
    out.numeric = std::ranges::all_of(
        axis.values, [](const configs::SweepValue& value) { return value.number.has_value(); });
    for (const configs::SweepValue& value : axis.values) out.values.push_back(value.text);
  }
  for (const configs::SweepDerived& derived : config.derived) {
    result.derived.push_back(derived.parameter.path);
  }
  for (const auto& condition : config.conditions) result.conditions.push_back(condition.source());
  for (const auto& constraint : config.constraints) {
    result.constraints.push_back(constraint.source());
  }
  result.objectives = config.objectives;
  return result;
}

/// One point with what the constraints say of it.
SweepPoint point_of(const PointSpace& space, PointId id, const PointKey& key,
                    const SweepRecord& record) {
  const configs::SweepConfig& config = space.config();
  SweepPoint point{id, key, space.indices(id), {}, record, {}};
  std::vector<configs::SweepValue> values = space.values(id);
  for (std::size_t d = config.axes.size(); d < values.size(); ++d) {
    point.derived.push_back(values[d].number.value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  if (config.constraints.empty()) return point;
  for (const double figure : record.figures) {
    values.push_back({"", std::isfinite(figure) ? std::optional(figure) : std::nullopt});
  }
  for (const configs::Comparison& constraint : config.constraints) {
    point.violations.push_back(constraint.violation(values));
  }
  return point;
}

Outcome outcome_of(const SweepResult& result, const SweepPoint& point) {
  Outcome outcome;
  for (const double cost : result.costs(point)) {
    outcome.costs.push_back(std::isfinite(cost) ? cost : kInfinite);
  }
  outcome.violation = std::accumulate(point.violations.begin(), point.violations.end(), 0.0);
  const bool complete =
      point.done() && std::ranges::all_of(outcome.costs, [](double c) { return c < kInfinite; });
  if (!complete) outcome.violation = kInfinite;
  return outcome;
}

/// Runs the search with `evaluate`, which fills in what it can of a round and says whether that was
/// all.
void drive(const PointSpace& space, const SearchSettings& settings, SweepResult& result,
           const std::function<bool(const std::vector<PointId>&)>& evaluate) {
  const std::unique_ptr<Search> search = make_search(space, settings);
  std::vector<Outcome> outcomes;
  std::unordered_map<PointId, std::size_t> place;
  while (true) {
    const std::vector<PointId> round = search->next_round(outcomes);
    if (round.empty()) break;
    result.planned += round.size();
    const std::size_t before = result.points.size();
    const bool complete = evaluate(round);
    if (!complete || settings.kind != SearchKind::nsga2) break;
    place.clear();
    for (std::size_t i = before; i < result.points.size(); ++i) place[result.points[i].id] = i;
    outcomes.clear();
    for (const PointId id : round)
      outcomes.push_back(outcome_of(result, result.points[place.at(id)]));
  }
  std::ranges::sort(result.points, {}, &SweepPoint::id);
}

}  // namespace

SweepRun run_sweep(const configs::SweepConfig& config, const SearchSettings& search,
                   const PoolSettings& pool, const JournalContents& known,
                   const JournalContents& shared, Progress& progress) {
  const PointSpace space(config);
  SweepRun run;
  run.result = header(space, search, pool.version);
  WorkerPool workers(space, pool, known, shared);
  drive(space, search, run.result, [&](const std::vector<PointId>& round) {
    try {
      workers.run(simulated_once(space, round), progress,
                  [&](PointId id, const PointKey& key, const SweepRecord& record) {
                    run.result.points.push_back(point_of(space, id, key, record));
                  });
    } catch (const Interrupted&) {
      run.interrupted = true;
    }
    return !run.interrupted;
  });
  run.counts = workers.finish();
  return run;
}

SweepResult replay(const configs::SweepConfig& config, const SearchSettings& search,
                   const std::string& version, const JournalContents& known, Progress& progress) {
  const PointSpace space(config);
  SweepResult result = header(space, search, version);
  Evaluator evaluator(space, version);
  drive(space, search, result, [&](const std::vector<PointId>& round) {
    bool complete = true;
    for (std::size_t i = 0; i < round.size(); ++i) {
      const PointKey key = evaluator.key(round[i]);
      if (const auto it = known.records.find(key); it != known.records.end()) {
        result.points.push_back(point_of(space, round[i], key, it->second));
      } else {
        complete = false;
      }
      if (progress.cancelled()) throw Interrupted();
    }
    progress.report("reading points", round.size(), round.size());
    return complete;
  });
  return result;
}

}  // namespace systole::sweep
