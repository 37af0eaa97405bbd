#include "sim/sweep/replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "sim/core/error.hpp"

namespace systole::sweep {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

std::string search_text(const SearchSettings& search, const configs::SweepConfig& config) {
  std::string text(kSearchNames[static_cast<std::size_t>(search.kind)]);
  if (search.kind != SearchKind::grid) {
    text += fmt::format(", budget {}, seed {}", search.budget, search.seed);
  }
  if (config.fidelity) {
    const auto name = [](configs::SweepTiming timing) {
      return configs::kSweepTimingNames[static_cast<std::size_t>(timing)];
    };
    text += fmt::format(", screened {}, the best {} confirmed {}", name(config.fidelity->screen),
                        config.fidelity->points, name(config.fidelity->confirm));
  }
  return text;
}

/// Of a sweep's names, those that are relative to its file.
std::vector<std::pair<std::string, std::string>> files_of(const configs::SweepConfig& config) {
  std::vector<std::pair<std::string, std::string>> files;
  const auto add = [&](const std::string& name) {
    const std::string path = configs::named_from(config.folder, name);
    if (path == name) return;
    files.emplace_back(name, std::filesystem::absolute(path).lexically_normal().string());
  };
  const configs::SweepBase& base = config.base;
  for (const std::string* name : {&base.machine, &base.recipe, &base.kv, &base.model}) add(*name);
  for (const configs::SweepAxisConfig& axis : config.axes) {
    using enum configs::SweepTarget;
    const configs::SweepTarget target = axis.parameter.target;
    if (target != machine_name && target != recipe_name && target != kv_name &&
        target != model_name) {
      continue;
    }
    for (const configs::SweepValue& value : axis.values) add(value.text);
  }
  std::ranges::sort(files);
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
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
  result.search = search_text(search, config);
  result.grid_points = space.size();
  result.base = {
      {"machine", base.machine},
      {"recipe", base.recipe},
      {"model", base.model},
      {"prefill", std::to_string(base.prefill)},
      {"decode", std::to_string(base.decode)},
      {"batch", std::to_string(base.batch)},
      {"prompt", std::string(configs::kSweepPromptNames[static_cast<std::size_t>(base.prompt)])}};
  if (!base.kv.empty()) result.base.insert(result.base.begin() + 2, {"kv", base.kv});
  if (config.quality) {
    const std::string text = config.quality->text.empty() ? "its own text" : config.quality->text;
    result.base.emplace_back("quality", "perplexity of " + config.quality->model + " on " + text +
                                            ", under the recipe of each point");
  }
  result.files = files_of(config);
  for (const configs::SweepAxisConfig& axis : config.axes) {
    SweepAxis& out = result.axes.emplace_back();
    out.path = axis.parameter.path;
    out.scenario = axis.scenario;
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

/// What a round's points gave, for the search that asks.
using Outcomes = std::unordered_map<PointId, Outcome>;

/// Runs the search with `evaluate`, which puts down the outcomes of a round (nullptr: nobody asks)
/// and says whether it has all of them. Returns how many points the search asked for.
std::uint64_t drive(const PointSpace& space, const SearchSettings& settings,
                    const std::function<bool(const std::vector<PointId>&, Outcomes*)>& evaluate) {
  const std::unique_ptr<Search> search = make_search(space, settings);
  const bool asks = search->asks();
  std::vector<Outcome> outcomes;
  std::uint64_t planned = 0;
  while (true) {
    const std::vector<PointId> round = search->next_round(outcomes);
    if (round.empty()) break;
    planned += round.size();
    Outcomes of_round;
    if (!evaluate(round, asks ? &of_round : nullptr) || !asks) break;
    outcomes.clear();
    for (const PointId id : round) outcomes.push_back(of_round.at(id));
  }
  return planned;
}

/// Points as journals hold them.
class JournalledPoints : public SweepPoints {
 public:
  struct Found {
    PointId id;
    JournalIndex::Place place;
  };
  JournalledPoints(configs::SweepConfig config, std::shared_ptr<const JournalIndex> journals)
      : config_(std::move(config)), space_(config_), journals_(std::move(journals)) {}

  /// In any order, before the first reading.
  void add(const Found& found) { found_.push_back(found); }
  void sort() { std::ranges::sort(found_, {}, &Found::id); }

  std::uint64_t size() const override { return found_.size(); }
  void each(const Visitor& visit) const override {
    for (const Found& found : found_) {
      PointKey key{};
      const SweepRecord record = journals_->record_at(found.place, key);
      visit(point_of(space_, found.id, key, record));
    }
  }

 private:
  configs::SweepConfig config_;
  PointSpace space_;
  std::shared_ptr<const JournalIndex> journals_;
  std::vector<Found> found_;
};

}  // namespace

namespace {

/// Tells nobody, and stops when the other does.
class Unseen : public Progress {
 public:
  explicit Unseen(const Progress& other) : other_(other) {}
  bool cancelled() const override { return other_.cancelled(); }

 private:
  const Progress& other_;
};

}  // namespace

SweepRun run_sweep(const configs::SweepConfig& config, const SearchSettings& search,
                   const PoolSettings& pool, JournalIndex& known, const JournalIndex& shared,
                   Progress& progress, const Company& company) {
  const PointSpace space(config);
  const SweepResult as_asked = header(space, search, pool.version);
  SweepRun run;
  WorkerPool workers(space, pool, known, shared);
  Unseen unseen(progress);
  Outcomes* outcomes = nullptr;
  const PointSink sink = [&](PointId id, const PointKey& key, const SweepRecord& record) {
    run.keys.emplace_back(id, key);
    if (outcomes == nullptr) return;
    outcomes->emplace(id, outcome_of(as_asked, point_of(space, id, key, record)));
  };

  // Pieces of a round, in company: many a rank, so that all end together and little is lost with
  // one; not so few points that the locks are what takes the time.
  std::uint64_t pieces_before = 0;
  const auto run_in_company = [&](const std::vector<PointId>& round) {
    constexpr std::uint64_t kPiecesPerRank = 32;
    const std::uint64_t wanted = kPiecesPerRank * company.rank.size;
    const std::uint64_t size =
        std::clamp<std::uint64_t>(round.size() / wanted, 1, pool.largest_batch) * pool.jobs;
    const std::uint64_t pieces = (round.size() + size - 1) / size;
    const auto work = [&](std::uint64_t piece) {
      const std::uint64_t first = (piece - pieces_before) * size;
      const std::uint64_t last = std::min<std::uint64_t>(first + size, round.size());
      workers.run({round.begin() + static_cast<std::ptrdiff_t>(first),
                   round.begin() + static_cast<std::ptrdiff_t>(last)},
                  unseen, sink);
    };
    company.claims->share(pieces_before, pieces, work, progress);
    pieces_before += pieces;
    // What the others did is in their journals. Whoever needs it reads it; where a mark was left by
    // someone whose journal is gone, the points are computed here.
    known.read(pool.journal_folder);
    if (outcomes == nullptr && company.rank.rank != 0) return;
    std::ranges::sort(run.keys);
    const auto mine = static_cast<std::ptrdiff_t>(run.keys.size());
    Evaluator evaluator(space, pool.version);
    std::vector<PointId> missing;
    for (const PointId id : round) {
      const auto last = run.keys.begin() + mine;
      const auto own =
          std::ranges::lower_bound(run.keys.begin(), last, id, {}, &KnownKeys::value_type::first);
      if (own != last && own->first == id) continue;
      const PointKey key = evaluator.key(id);
      if (const auto record = known.find(key)) {
        sink(id, key, *record);
      } else {
        missing.push_back(id);
      }
    }
    if (!missing.empty()) workers.run(missing, unseen, sink);
  };

  drive(space, search, [&](const std::vector<PointId>& round, Outcomes* of_round) {
    outcomes = of_round;
    try {
      const std::vector<PointId> ordered = simulated_once(space, round);
      if (company.claims == nullptr) {
        workers.run(ordered, progress, sink);
      } else {
        run_in_company(ordered);
      }
    } catch (const Interrupted&) {
      run.interrupted = true;
    }
    return !run.interrupted;
  });
  std::ranges::sort(run.keys);
  run.counts = workers.finish();
  return run;
}

SweepResult replay(const configs::SweepConfig& config, const SearchSettings& search,
                   const std::string& version, std::shared_ptr<const JournalIndex> journals,
                   Progress& progress, const KnownKeys& keys) {
  const PointSpace space(config);
  SweepResult result = header(space, search, version);
  Evaluator evaluator(space, version);
  const auto points = std::make_shared<JournalledPoints>(config, journals);
  constexpr std::uint64_t kReported = 1024;  // points between two looks at the clock
  result.planned = drive(space, search, [&](const std::vector<PointId>& round, Outcomes* outcomes) {
    bool complete = true;
    for (std::size_t i = 0; i < round.size(); ++i) {
      const PointId id = round[i];
      const auto known = std::ranges::lower_bound(keys, id, {}, &KnownKeys::value_type::first);
      PointKey key = known != keys.end() && known->first == id ? known->second : evaluator.key(id);
      const auto place = journals->place_of(key);
      complete = complete && place.has_value();
      if (place) points->add({id, *place});
      if (place && outcomes != nullptr) {
        const SweepRecord record = journals->record_at(*place, key);
        outcomes->emplace(id, outcome_of(result, point_of(space, id, key, record)));
      }
      if (progress.cancelled()) throw Interrupted();
      if (i % kReported == 0) progress.report("reading points", i, round.size());
    }
    progress.report("reading points", round.size(), round.size());
    return complete;
  });
  points->sort();
  result.points = points;
  return result;
}

}  // namespace systole::sweep
