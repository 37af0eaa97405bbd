#include "sim/core/sweep_result.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

namespace systole {

bool SweepRecord::same_as(const SweepRecord& other) const {
  return status == other.status && limit == other.limit && message == other.message &&
         std::ranges::equal(
             figures, other.figures, {}, [](double x) { return std::bit_cast<std::uint64_t>(x); },
             [](double x) { return std::bit_cast<std::uint64_t>(x); });
}

bool SweepPoint::feasible() const {
  return done() && std::ranges::all_of(violations, [](double v) { return v == 0; });
}

std::size_t find_figure(std::string_view name) {
  return static_cast<std::size_t>(std::ranges::find(kSweepFigures, name, &SweepFigure::name) -
                                  kSweepFigures.begin());
}

double SweepResult::cost(const SweepPoint& point, const SweepObjective& objective) const {
  const double figure = point.record.figures.at(find_figure(objective.figure));
  return objective.maximise ? -figure : figure;
}

const SweepReport* SweepResult::report_of(std::uint64_t id) const {
  const auto it = std::ranges::lower_bound(reports, id, {}, &SweepReport::id);
  return it != reports.end() && it->id == id ? &*it : nullptr;
}

std::vector<std::uint32_t> SweepResult::scenario_of(const SweepPoint& point) const {
  std::vector<std::uint32_t> values;
  for (std::size_t a = 0; a < axes.size(); ++a) {
    if (axes[a].scenario) values.push_back(point.axis[a]);
  }
  return values;
}

std::vector<double> SweepResult::costs(const SweepPoint& point) const {
  std::vector<double> all;
  for (const SweepObjective& objective : objectives) all.push_back(cost(point, objective));
  return all;
}

bool dominates(const Costs& a, const Costs& b) {
  bool better = false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] > b[i]) return false;
    better = better || a[i] < b[i];
  }
  return better;
}

namespace {

/// Of those listed, which no other of them dominates. Sorted, a point can only be dominated by an
/// earlier one, and then by one of the front so far.
std::vector<std::size_t> first_front(const std::vector<Costs>& all,
                                     std::vector<std::size_t> members) {
  std::ranges::stable_sort(members, [&](std::size_t a, std::size_t b) { return all[a] < all[b]; });
  std::vector<std::size_t> front;
  for (const std::size_t m : members) {
    // The latest are nearest in cost and so the likeliest to dominate.
    const bool beaten = std::any_of(front.rbegin(), front.rend(),
                                    [&](std::size_t f) { return dominates(all[f], all[m]); });
    if (!beaten) front.push_back(m);
  }
  return front;
}

}  // namespace

std::vector<std::size_t> front_ranks(const std::vector<Costs>& all) {
  std::vector<std::size_t> ranks(all.size()), left(all.size());
  std::iota(left.begin(), left.end(), std::size_t{0});
  for (std::size_t rank = 0; !left.empty(); ++rank) {
    std::vector<std::size_t> front = first_front(all, left);
    std::ranges::sort(front);
    for (const std::size_t member : front) ranks[member] = rank;
    std::vector<std::size_t> rest;
    std::ranges::set_difference(left, front, std::back_inserter(rest));
    left = std::move(rest);
  }
  return ranks;
}

double hypervolume(std::vector<Costs> set, const Costs& reference) {
  std::erase_if(set, [&](const Costs& c) {
    for (std::size_t i = 0; i < c.size(); ++i) {
      if (!(c[i] < reference[i])) return true;
    }
    return false;
  });
  if (set.empty()) return 0;
  if (reference.size() == 1) {
    return reference[0] - std::ranges::min(set, {}, [](const Costs& c) { return c[0]; })[0];
  }
  // Slices along the last cost: between two neighbouring values, the volume in one dimension less
  // of all that have come so far.
  std::ranges::sort(set, {}, [](const Costs& c) { return c.back(); });
  const Costs below(reference.begin(), reference.end() - 1);
  double volume = 0;
  std::vector<Costs> slice;
  for (std::size_t i = 0; i < set.size(); ++i) {
    slice.emplace_back(set[i].begin(), set[i].end() - 1);
    const double next = i + 1 < set.size() ? set[i + 1].back() : reference.back();
    if (next <= set[i].back()) continue;
    // Only what is not dominated adds volume, and it keeps the slices small.
    std::vector<std::size_t> members(slice.size());
    std::iota(members.begin(), members.end(), std::size_t{0});
    std::vector<Costs> front;
    for (const std::size_t m : first_front(slice, members)) front.push_back(slice[m]);
    slice = front;
    volume += hypervolume(std::move(front), below) * (next - set[i].back());
  }
  return volume;
}

namespace {

/// The front of the points so far.
class GrowingFront {
 public:
  void add(const SweepPoint& point, Costs costs) {
    // The latest are nearest in the grid, mostly in cost too, and so the likeliest to dominate.
    if (std::any_of(costs_.rbegin(), costs_.rend(),
                    [&](const Costs& other) { return dominates(other, costs); })) {
      return;
    }
    std::size_t kept = 0;
    for (std::size_t i = 0; i < costs_.size(); ++i) {
      if (dominates(costs, costs_[i])) continue;
      if (kept != i) {
        costs_[kept] = std::move(costs_[i]);
        points_[kept] = std::move(points_[i]);
      }
      ++kept;
    }
    costs_.resize(kept);
    points_.resize(kept);
    costs_.push_back(std::move(costs));
    points_.push_back(point);
  }
  std::vector<SweepPoint> points() && { return std::move(points_); }

 private:
  std::vector<Costs> costs_;
  std::vector<SweepPoint> points_;
};

/// Mean and sum of squared deviations of numbers that come one by one (Welford 1962).
struct Moments {
  double count = 0, mean = 0, squares = 0;
  void add(double x) {
    count += 1;
    const double off = x - mean;
    mean += off / count;
    squares += off * (x - mean);
  }
};

/// Of one figure, over all axes.
class Effects {
 public:
  explicit Effects(const std::vector<SweepAxis>& axes) {
    for (const SweepAxis& axis : axes) of_value_.emplace_back(axis.values.size());
  }
  void add(const SweepPoint& point, double figure) {
    all_.add(figure);
    for (std::size_t a = 0; a < of_value_.size(); ++a) of_value_[a][point.axis[a]].add(figure);
  }
  std::vector<MainEffect> effects() const {
    std::vector<MainEffect> effects;
    for (std::size_t a = 0; a < of_value_.size(); ++a) {
      MainEffect effect{.axis = a, .means = {}};
      double between = 0, low = 0, high = 0;
      for (const Moments& value : of_value_[a]) {
        if (value.count == 0) {
          effect.means.push_back(std::numeric_limits<double>::quiet_NaN());
          continue;
        }
        effect.means.push_back(value.mean);
        between += value.count * (value.mean - all_.mean) * (value.mean - all_.mean);
        low = low == 0 ? value.mean : std::min(low, value.mean);
        high = std::max(high, value.mean);
      }
      if (all_.squares > 0) effect.explained = std::min(1.0, between / all_.squares);
      if (low > 0) effect.ratio = high / low;
      effects.push_back(std::move(effect));
    }
    return effects;
  }

 private:
  Moments all_;
  std::vector<std::vector<Moments>> of_value_;
};

}  // namespace

bool SweepSummary::on_front(std::uint64_t id) const {
  return std::ranges::binary_search(front, id, {}, &SweepPoint::id);
}

SweepSummary summarise(const SweepResult& result) {
  SweepSummary summary;
  const std::size_t objectives = result.objectives.size();
  std::vector<Effects> effects(objectives, Effects(result.axes));
  struct OfScenario {
    GrowingFront front;
    std::vector<std::vector<std::optional<SweepPoint>>> best;
  };
  std::map<std::vector<std::uint32_t>, OfScenario> scenarios;
  if (!result.points) return summary;
  result.points->each([&](const SweepPoint& point) {
    ++summary.points;
    if (point.record.status == PointStatus::refused && ++summary.refused == 1) {
      summary.first_refused = point;
    }
    if (point.record.status == PointStatus::failed && ++summary.failed == 1) {
      summary.first_failed = point;
    }
    if (!point.done()) return;
    OfScenario& scenario = scenarios[result.scenario_of(point)];
    if (scenario.best.empty()) {
      scenario.best.assign(objectives,
                           std::vector<std::optional<SweepPoint>>(1 + result.constraints.size()));
    }
    const Costs costs = result.costs(point);
    const auto broken = std::ranges::count_if(point.violations, [](double v) { return v != 0; });
    for (std::size_t o = 0; o < objectives; ++o) {
      if (!std::isfinite(costs[o])) continue;
      const double sign = result.objectives[o].maximise ? -1 : 1;
      effects[o].add(point, sign * costs[o]);
      for (std::size_t c = 0; c < scenario.best[o].size(); ++c) {
        const bool holds = broken == 0 || (broken == 1 && c > 0 && point.violations[c - 1] != 0);
        std::optional<SweepPoint>& best = scenario.best[o][c];
        if (holds && (!best || costs[o] < result.cost(*best, result.objectives[o]))) best = point;
      }
    }
    if (broken > 0) return;
    ++summary.feasible;
    if (std::ranges::all_of(costs, [](double c) { return std::isfinite(c); })) {
      scenario.front.add(point, costs);
    }
  });
  for (auto& [values, scenario] : scenarios) {
    for (SweepPoint& point : std::move(scenario.front).points()) {
      summary.front.push_back(std::move(point));
    }
    summary.scenarios.push_back({values, std::move(scenario.best)});
  }
  std::ranges::sort(summary.front, {}, &SweepPoint::id);
  for (const Effects& of_figure : effects) summary.effects.push_back(of_figure.effects());
  return summary;
}

std::vector<SweepPoint> points_to_report(const SweepResult& result, const SweepSummary& summary,
                                         std::uint64_t most, bool others) {
  std::map<std::uint64_t, SweepPoint> chosen;
  const auto choose = [&](const SweepPoint& point) {
    if (chosen.size() < most) chosen.emplace(point.id, point);
  };
  const auto choose_best = [&](std::size_t first, std::size_t last) {
    for (const SweepSummary::Scenario& scenario : summary.scenarios) {
      for (const auto& best : scenario.best) {
        for (std::size_t c = first; c < std::min(last, best.size()); ++c) {
          if (best[c]) choose(*best[c]);
        }
      }
    }
  };
  choose_best(0, 1);
  std::vector<SweepPoint> front = summary.front;
  if (!result.objectives.empty()) {
    std::ranges::stable_sort(front, {}, [&](const SweepPoint& point) {
      return result.cost(point, result.objectives.front());
    });
  }
  std::erase_if(front, [&](const SweepPoint& point) { return chosen.contains(point.id); });
  const std::uint64_t room = std::min<std::uint64_t>(most - chosen.size(), front.size());
  // The middles of as many equal stretches: the ends are among the best already.
  for (std::uint64_t i = 0; i < room; ++i) choose(front[(2 * i + 1) * front.size() / (2 * room)]);
  choose_best(1, 1 + result.constraints.size());
  if (others && chosen.size() < most) {
    const auto each_other = [&](const auto& visit) {
      result.points->each([&](const SweepPoint& point) {
        if (point.done() && !chosen.contains(point.id)) visit(point);
      });
    };
    std::uint64_t count = 0, number = 0;
    each_other([&](const SweepPoint&) { ++count; });
    const std::uint64_t more = std::min<std::uint64_t>(most - chosen.size(), count);
    std::vector<SweepPoint> evenly;
    each_other([&](const SweepPoint& point) {
      if (number++ >= (2 * evenly.size() + 1) * count / (2 * more)) evenly.push_back(point);
    });
    for (const SweepPoint& point : evenly) choose(point);
  }
  std::vector<SweepPoint> points;
  for (auto& [id, point] : chosen) points.push_back(std::move(point));
  return points;
}

}  // namespace systole
