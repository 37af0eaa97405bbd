#include "sim/core/sweep_result.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>

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

std::vector<std::size_t> pareto_front(const SweepResult& result) {
  std::vector<Costs> costs;
  std::vector<std::size_t> points, members;
  for (std::size_t i = 0; i < result.points.size(); ++i) {
    if (!result.points[i].feasible()) continue;
    Costs one = result.costs(result.points[i]);
    if (!std::ranges::all_of(one, [](double c) { return std::isfinite(c); })) continue;
    members.push_back(points.size());
    points.push_back(i);
    costs.push_back(std::move(one));
  }
  std::vector<std::size_t> front;
  for (const std::size_t m : first_front(costs, members)) front.push_back(points[m]);
  std::ranges::sort(front);
  return front;
}

std::size_t best_point(const SweepResult& result, const SweepObjective& objective,
                       std::size_t dropped) {
  std::size_t best = kNoPoint;
  double least = 0;
  for (std::size_t i = 0; i < result.points.size(); ++i) {
    const SweepPoint& point = result.points[i];
    bool holds = point.done();
    for (std::size_t c = 0; c < point.violations.size(); ++c) {
      holds = holds && (c == dropped || point.violations[c] == 0);
    }
    const double cost = result.cost(point, objective);
    if (!holds || !std::isfinite(cost) || (best != kNoPoint && cost >= least)) continue;
    best = i;
    least = cost;
  }
  return best;
}

std::vector<MainEffect> main_effects(const SweepResult& result, std::size_t figure) {
  constexpr double kAbsentFigure = std::numeric_limits<double>::quiet_NaN();
  std::vector<MainEffect> effects;
  for (std::size_t a = 0; a < result.axes.size(); ++a) {
    const std::size_t values = result.axes[a].values.size();
    std::vector<double> sum(values), count(values);
    double all = 0, n = 0;
    for (const SweepPoint& point : result.points) {
      const double x = point.record.figures.at(figure);
      if (!point.done() || !std::isfinite(x)) continue;
      sum[point.axis[a]] += x;
      count[point.axis[a]] += 1;
      all += x;
      n += 1;
    }
    MainEffect effect{.axis = a, .means = std::vector<double>(values, kAbsentFigure)};
    double between = 0, total = 0, low = 0, high = 0;
    for (std::size_t v = 0; v < values; ++v) {
      if (count[v] == 0) continue;
      const double mean = effect.means[v] = sum[v] / count[v];
      between += count[v] * (mean - all / n) * (mean - all / n);
      low = low == 0 ? mean : std::min(low, mean);
      high = std::max(high, mean);
    }
    for (const SweepPoint& point : result.points) {
      const double x = point.record.figures.at(figure);
      if (point.done() && std::isfinite(x)) total += (x - all / n) * (x - all / n);
    }
    if (total > 0) effect.explained = std::min(1.0, between / total);
    if (low > 0) effect.ratio = high / low;
    effects.push_back(std::move(effect));
  }
  return effects;
}

}  // namespace systole
