#include "sim/sweep/search.hpp"

#include <algorithm>
#include <boost/random/sobol.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "sim/core/error.hpp"
#include "sim/core/random.hpp"

namespace systole::sweep {
namespace {

/// Beyond it the list of points takes more memory than the sweep.
constexpr std::uint64_t kMaxListed = 50'000'000;
/// Draws a wanted point after which a space is taken to hold no more.
constexpr std::uint64_t kDraws = 200;

std::uint64_t below(Random& random, std::uint64_t bound) { return random.next() % bound; }

/// All points are known from the start.
class Listed : public Search {
 public:
  explicit Listed(std::vector<PointId> points) : points_(std::move(points)) {}
  std::vector<PointId> next_round(const std::vector<Outcome>&) override {
    return std::exchange(points_, {});
  }

 private:
  std::vector<PointId> points_;
};

std::vector<PointId> admitted(const PointSpace& space, const SearchSettings& settings) {
  if (space.size() > kMaxListed) {
    throw ConfigError("--search grid: " + std::to_string(space.size()) +
                      " points; expected at most " + std::to_string(kMaxListed) +
                      ", or --search random, sobol or nsga2 with --budget");
  }
  std::vector<PointId> points;
  std::uint64_t number = 0;
  for (PointId id = 0; id < space.size(); ++id) {
    if (!space.admits(id)) continue;
    if (number++ % settings.shards == settings.shard - 1) points.push_back(id);
  }
  return points;
}

std::vector<PointId> drawn(const SearchSettings& settings, const PointSpace& space,
                           const auto& draw) {
  std::vector<PointId> points;
  std::unordered_set<PointId> seen;
  for (std::uint64_t i = 0; i < kDraws * settings.budget && seen.size() < space.size(); ++i) {
    if (points.size() >= settings.budget) break;
    const PointId id = draw();
    if (seen.insert(id).second && space.admits(id)) points.push_back(id);
  }
  std::vector<PointId> mine;
  for (std::size_t i = settings.shard - 1; i < points.size(); i += settings.shards) {
    mine.push_back(points[i]);
  }
  return mine;
}

std::vector<PointId> random_points(const PointSpace& space, const SearchSettings& settings) {
  Random random(settings.seed);
  return drawn(settings, space, [&] { return below(random, space.size()); });
}

std::vector<PointId> sobol_points(const PointSpace& space, const SearchSettings& settings) {
  boost::random::sobol engine(space.axes());
  // A digital shift keeps the evenness of the sequence and makes seeds differ.
  Random random(settings.seed);
  std::vector<std::uint64_t> shift(space.axes());
  for (std::uint64_t& each : shift) each = random.next();
  return drawn(settings, space, [&] {
    std::vector<std::uint32_t> index(space.axes());
    for (std::size_t a = 0; a < space.axes(); ++a) {
      const std::uint64_t bits = (engine() ^ shift[a]) >> 11;  // 53 bits: exact as a double
      index[a] = static_cast<std::uint32_t>(std::ldexp(static_cast<double>(bits), -53) *
                                            space.values_of(a));
    }
    return space.id(index);
  });
}

struct Member {
  PointId id = 0;
  Outcome outcome;
  std::size_t rank = 0;
  double crowding = 0;
};

/// Within a scenario, whose members' places these are, and a rank: the sum over the objectives of
/// the distance between a member's neighbours.
void crowd(std::vector<Member>& members, std::vector<std::size_t> order, std::size_t objectives) {
  for (std::size_t o = 0; o < objectives; ++o) {
    const auto cost = [&](std::size_t i) { return members[i].outcome.costs[o]; };
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
      return std::tuple(members[a].rank, cost(a), members[a].id) <
             std::tuple(members[b].rank, cost(b), members[b].id);
    });
    for (std::size_t begin = 0, end = 1; begin < order.size(); begin = end++) {
      while (end < order.size() && members[order[end]].rank == members[order[begin]].rank) ++end;
      const double span = cost(order[end - 1]) - cost(order[begin]);
      constexpr double kEdge = std::numeric_limits<double>::infinity();
      members[order[begin]].crowding = members[order[end - 1]].crowding = kEdge;
      if (!(span > 0) || !std::isfinite(span)) continue;
      for (std::size_t i = begin + 1; i + 1 < end; ++i) {
        members[order[i]].crowding += (cost(order[i + 1]) - cost(order[i - 1])) / span;
      }
    }
  }
}

/// Deb's constrained domination: of two that violate constraints the one that does less; one that
/// does not before any that does. Within each scenario: points of different ones do not compare,
/// and so all scenarios keep their best. Returns how many scenarios there are.
std::size_t rank(std::vector<Member>& members, const PointSpace& space) {
  std::map<std::vector<std::uint32_t>, std::vector<std::size_t>> scenarios;
  for (std::size_t i = 0; i < members.size(); ++i) {
    scenarios[space.scenario(members[i].id)].push_back(i);
  }
  for (const auto& [values, places] : scenarios) {
    std::vector<Costs> feasible;
    std::vector<std::size_t> of_feasible;
    std::vector<double> violations;
    for (const std::size_t i : places) {
      if (members[i].outcome.violation == 0) {
        of_feasible.push_back(i);
        feasible.push_back(members[i].outcome.costs);
      } else {
        violations.push_back(members[i].outcome.violation);
      }
    }
    const std::vector<std::size_t> ranks = front_ranks(feasible);
    std::size_t next = 0;
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      members[of_feasible[i]].rank = ranks[i];
      next = std::max(next, ranks[i] + 1);
    }
    std::ranges::sort(violations);
    for (const std::size_t i : places) {
      Member& member = members[i];
      member.crowding = 0;
      if (member.outcome.violation == 0) continue;
      const auto place = std::ranges::lower_bound(violations, member.outcome.violation);
      member.rank = next + static_cast<std::size_t>(place - violations.begin());
    }
    crowd(members, places, space.config().objectives.size());
  }
  return scenarios.size();
}

bool before(const Member& a, const Member& b) {
  if (a.rank != b.rank) return a.rank < b.rank;
  if (a.crowding != b.crowding) return a.crowding > b.crowding;
  return a.id < b.id;
}

/// Ranks the members and keeps the best, `most` or at least so many a scenario.
void keep_best(std::vector<Member>& members, const PointSpace& space, std::size_t most,
               std::size_t per_scenario = 0) {
  const std::size_t kept = std::max(most, per_scenario * rank(members, space));
  std::ranges::sort(members, before);
  if (members.size() > kept) members.resize(kept);
}

/// Keeps the best of what can be, in equal shares of the scenarios: `most` together, and one of
/// each at least, since the rest of a scenario tells nothing of it.
void keep_shares(std::vector<Member>& members, const PointSpace& space, std::size_t most) {
  std::erase_if(members,
                [](const Member& member) { return !std::isfinite(member.outcome.violation); });
  const std::size_t scenarios = rank(members, space);
  std::ranges::sort(members, before);
  std::map<std::vector<std::uint32_t>, std::size_t> seen;
  std::vector<std::pair<std::size_t, Member>> placed;  // by place within the scenario
  for (Member& member : members) {
    const std::size_t place = seen[space.scenario(member.id)]++;
    placed.emplace_back(place, std::move(member));
  }
  std::ranges::stable_sort(placed, {}, &std::pair<std::size_t, Member>::first);
  placed.resize(std::min(placed.size(), std::max(most, scenarios)));
  members.clear();
  for (auto& [place, member] : placed) members.push_back(std::move(member));
}

class Nsga2 : public Search {
 public:
  Nsga2(const PointSpace& space, const SearchSettings& settings)
      : space_(space), budget_(settings.budget), random_(settings.seed) {
    // Half a dozen generations at least, of enough members to hold a front.
    population_ = std::clamp<std::uint64_t>(budget_ / 8, 8, 64);
    SearchSettings start = settings;
    start.kind = SearchKind::sobol;
    start.budget = std::min(budget_, population_);
    round_ = sobol_points(space, start);
  }

  bool asks() const override { return true; }

  std::vector<PointId> next_round(const std::vector<Outcome>& outcomes) override {
    if (started_) {
      SYSTOLE_CHECK(outcomes.size() == round_.size(), "an outcome a point");
      for (std::size_t i = 0; i < round_.size(); ++i) members_.push_back({round_[i], outcomes[i]});
      select();
      round_ = offspring();
    }
    started_ = true;
    seen_.insert(round_.begin(), round_.end());
    return round_;
  }

 private:
  void select() { keep_best(members_, space_, population_, kPerScenario); }

  const Member& tournament() {
    const Member& a = members_[below(random_, members_.size())];
    const Member& b = members_[below(random_, members_.size())];
    return before(a, b) ? a : b;
  }

  PointId child() {
    std::vector<std::uint32_t> genes = space_.indices(tournament().id);
    const std::vector<std::uint32_t> other = space_.indices(tournament().id);
    bool changed = false;
    const auto& axes = space_.config().axes;
    // A child mostly stays in its parent's scenario: what is good in another may be good there.
    for (std::size_t a = 0; a < genes.size(); ++a) {
      if (!axes[a].scenario && below(random_, 2) == 0) genes[a] = other[a];
    }
    while (!changed) {
      for (std::size_t a = 0; a < genes.size(); ++a) {
        if (below(random_, genes.size()) != 0) continue;  // one axis on average
        if (axes[a].scenario && below(random_, 2) != 0) continue;
        changed = true;
        const std::uint32_t values = space_.values_of(a);
        if (!axes[a].values.front().number || below(random_, 4) == 0) {
          genes[a] = static_cast<std::uint32_t>(below(random_, values));  // no order, or a leap
          continue;
        }
        // To a neighbour, or as far as an eighth of a long axis.
        const auto step = static_cast<std::uint32_t>(1 + below(random_, 1 + values / 16));
        if (below(random_, 2) == 0) {
          genes[a] = std::min(genes[a] + step, values - 1);
        } else {
          genes[a] -= std::min(genes[a], step);
        }
      }
    }
    return space_.id(genes);
  }

  std::vector<PointId> offspring() {
    std::vector<PointId> children;
    if (members_.empty()) return children;
    std::unordered_set<PointId> fresh;
    const std::uint64_t left = budget_ - seen_.size();
    const std::uint64_t wanted = std::min(population_, left);
    // Near its end a search has seen all around it: any point is then as good.
    for (std::uint64_t i = 0; i < kDraws * wanted && children.size() < wanted; ++i) {
      const PointId id = i < kDraws * wanted / 2 ? child() : below(random_, space_.size());
      if (seen_.contains(id) || !fresh.insert(id).second || !space_.admits(id)) continue;
      children.push_back(id);
    }
    return children;
  }

  /// Members that a scenario has at least, however many scenarios there are.
  static constexpr std::size_t kPerScenario = 8;

  const PointSpace& space_;
  std::uint64_t budget_, population_ = 0;
  Random random_;
  bool started_ = false;
  std::vector<PointId> round_;
  std::vector<Member> members_;
  std::unordered_set<PointId> seen_;
};

std::unique_ptr<Search> of_kind(const PointSpace& space, const SearchSettings& settings) {
  switch (settings.kind) {
    case SearchKind::grid:
      return std::make_unique<Listed>(admitted(space, settings));
    case SearchKind::random:
      return std::make_unique<Listed>(random_points(space, settings));
    case SearchKind::sobol:
      return std::make_unique<Listed>(sobol_points(space, settings));
    case SearchKind::nsga2:
      return std::make_unique<Nsga2>(space, settings);
  }
  SYSTOLE_CHECK(false, "a search without a maker");
  return nullptr;
}

/// A search among points with the cheap timing, which is the first value of the first axis, and one
/// round of its best with the other.
class TwoFidelities : public Search {
 public:
  TwoFidelities(const PointSpace& space, const SearchSettings& settings)
      : config_(space.config()),
        confirmed_points_(config_.fidelity->points),
        other_timing_(space.size() / space.values_of(0)) {
    config_.axes.front().values.resize(1);
    screened_.emplace(config_);
    search_ = of_kind(*screened_, settings);
  }

  bool asks() const override { return true; }

  std::vector<PointId> next_round(const std::vector<Outcome>& outcomes) override {
    if (confirming_) return {};
    std::vector<Outcome> screened = outcomes;
    // All of them violate the constraint that the timing be the other one, by 1.
    for (Outcome& outcome : screened) outcome.violation -= 1;
    for (std::size_t i = 0; i < round_.size(); ++i) {
      members_.push_back({round_[i], screened.at(i)});
    }
    round_ = search_->next_round(screened);
    if (!round_.empty()) return round_;
    confirming_ = true;
    // One that is refused, or lacks an objective, would be so again.
    keep_shares(members_, *screened_, confirmed_points_);
    std::vector<PointId> best;
    for (const Member& member : members_) best.push_back(member.id + other_timing_);
    std::ranges::sort(best);
    return best;
  }

 private:
  configs::SweepConfig config_;
  std::size_t confirmed_points_;
  std::uint64_t other_timing_;  ///< from a point's id to that of the same with the other timing
  std::optional<PointSpace> screened_;
  std::unique_ptr<Search> search_;
  std::vector<PointId> round_;
  std::vector<Member> members_;
  bool confirming_ = false;
};

}  // namespace

std::unique_ptr<Search> make_search(const PointSpace& space, const SearchSettings& settings) {
  if (!space.config().fidelity) return of_kind(space, settings);
  if (settings.shards > 1) {
    throw ConfigError(
        "--shard: a sweep with `fidelity` confirms points by the results of all others; expected "
        "it whole");
  }
  return std::make_unique<TwoFidelities>(space, settings);
}

}  // namespace systole::sweep
