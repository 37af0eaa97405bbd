// The bit allocator. The contract is in the header.
#include "quant/quantisers/allocate.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <stdexcept>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/quantisers/gptq.hpp"
#include "quant/quantisers/range_search.hpp"
#include "quant/quantisers/symmetric.hpp"

namespace systole::quant {
namespace {

constexpr std::size_t kMostStates = std::size_t{1} << 22;
/// Sums of bits are compared with a little slack: mean_bits times elements is rounded.
constexpr double kSlack = 1e-9;

double check(std::span<const AllocationUnit> units, std::span<const double> bits,
             double mean_bits) {
  require(!units.empty() && !bits.empty(), "allocate: at least one unit and one width");
  require(
      std::is_sorted(bits.begin(), bits.end()) && bits.front() >= 0 && std::isfinite(bits.back()),
      "allocate: widths ascend from 0");
  double elements = 0;
  for (const AllocationUnit& unit : units) {
    require(unit.losses.size() == bits.size(), "allocate: one loss a width");
    require(unit.elements > 0 && std::isfinite(unit.elements), "allocate: units have elements");
    for (const double loss : unit.losses) {
      require(std::isfinite(loss), "allocate: losses are finite");
    }
    elements += unit.elements;
  }
  require(bits.front() <= mean_bits * (1 + kSlack), "allocate: the fewest bits exceed the budget");
  return elements * mean_bits * (1 + kSlack);
}

void summarise(std::span<const AllocationUnit> units, std::span<const double> bits,
               Allocation& result) {
  double used = 0, elements = 0;
  result.loss = 0;
  for (std::size_t u = 0; u < units.size(); ++u) {
    result.loss += units[u].losses[result.choice[u]];
    used += units[u].elements * bits[result.choice[u]];
    elements += units[u].elements;
  }
  result.mean_bits = used / elements;
}

/// A partial allocation: the best known for its total of bits.
struct State {
  double loss = 0;
  std::size_t parent = 0;  ///< in the states of the unit before
  std::size_t choice = 0;
  double bits = 0;
};

/// Drops states that another beats in both bits and loss; leaves bits ascending, loss descending.
void prune(std::vector<State>& states) {
  std::stable_sort(states.begin(), states.end(), [](const State& a, const State& b) {
    return a.bits < b.bits || (a.bits == b.bits && a.loss < b.loss);
  });
  std::vector<State> kept;
  for (const State& state : states) {
    if (kept.empty() || state.loss < kept.back().loss) kept.push_back(state);
  }
  states = std::move(kept);
}

/// Choices on the lower convex hull of (bits, loss), bits ascending, loss descending.
std::vector<std::size_t> lower_hull(const AllocationUnit& unit, std::span<const double> bits) {
  std::vector<std::size_t> hull;
  for (std::size_t c = 0; c < bits.size(); ++c) {
    if (!hull.empty() && unit.losses[c] >= unit.losses[hull.back()]) continue;
    if (!hull.empty() && bits[c] == bits[hull.back()]) hull.pop_back();
    const auto slope = [&](std::size_t a, std::size_t b) {
      return (unit.losses[a] - unit.losses[b]) / (bits[b] - bits[a]);
    };
    while (hull.size() >= 2 && slope(hull[hull.size() - 2], hull.back()) <= slope(hull.back(), c)) {
      hull.pop_back();
    }
    hull.push_back(c);
  }
  return hull;
}

}  // namespace

Allocation allocate_exact(std::span<const AllocationUnit> units, std::span<const double> bits,
                          double mean_bits) {
  const double budget = check(units, bits, mean_bits);
  std::vector<double> least_after(units.size() + 1, 0.0);  // bits that the units to come need
  for (std::size_t u = units.size(); u-- > 0;) {
    least_after[u] = least_after[u + 1] + units[u].elements * bits.front();
  }
  std::vector<std::vector<State>> states(units.size() + 1);
  states[0].push_back({});
  std::size_t total = 0;
  for (std::size_t u = 0; u < units.size(); ++u) {
    std::vector<State>& next = states[u + 1];
    for (std::size_t s = 0; s < states[u].size(); ++s) {
      for (std::size_t c = 0; c < bits.size(); ++c) {
        const double used = states[u][s].bits + units[u].elements * bits[c];
        if (used + least_after[u + 1] > budget) break;
        next.push_back({states[u][s].loss + units[u].losses[c], s, c, used});
      }
    }
    prune(next);
    total += next.size();
    if (total > kMostStates) throw std::length_error("allocate_exact: too many units");
  }
  Allocation result;
  result.choice.resize(units.size());
  std::size_t s = states.back().size() - 1;  // the last has the least loss
  for (std::size_t u = units.size(); u-- > 0;) {
    result.choice[u] = states[u + 1][s].choice;
    s = states[u + 1][s].parent;
  }
  summarise(units, bits, result);
  return result;
}

Allocation allocate_greedy(std::span<const AllocationUnit> units, std::span<const double> bits,
                           double mean_bits) {
  const double budget = check(units, bits, mean_bits);
  std::vector<std::vector<std::size_t>> hulls;
  std::vector<std::size_t> at(units.size(), 0);
  double used = 0;
  for (const AllocationUnit& unit : units) {
    hulls.push_back(lower_hull(unit, bits));
    used += unit.elements * bits[hulls.back().front()];
  }
  for (;;) {
    std::size_t best = units.size();
    double best_rate = 0;
    for (std::size_t u = 0; u < units.size(); ++u) {
      if (at[u] + 1 == hulls[u].size()) continue;
      const std::size_t from = hulls[u][at[u]], to = hulls[u][at[u] + 1];
      const double cost = units[u].elements * (bits[to] - bits[from]);
      if (used + cost > budget) continue;
      const double rate = (units[u].losses[from] - units[u].losses[to]) / cost;
      if (rate > best_rate) best = u, best_rate = rate;
    }
    if (best == units.size()) break;
    const std::size_t from = hulls[best][at[best]], to = hulls[best][at[best] + 1];
    used += units[best].elements * (bits[to] - bits[from]);
    ++at[best];
  }
  Allocation result;
  for (std::size_t u = 0; u < units.size(); ++u) result.choice.push_back(hulls[u][at[u]]);
  summarise(units, bits, result);
  return result;
}

Allocation allocate(std::span<const AllocationUnit> units, std::span<const double> bits,
                    double mean_bits) {
  return units.size() <= 16 ? allocate_exact(units, bits, mean_bits)
                            : allocate_greedy(units, bits, mean_bits);
}

// --- losses ------------------------------------------------------------------------------------

double z_score_share(std::span<const float> values) {
  if (values.empty()) return 0;
  const double n = static_cast<double>(values.size());
  double mean = 0, square = 0;
  for (const float v : values) mean += double{v};
  mean /= n;
  for (const float v : values) square += (double{v} - mean) * (double{v} - mean);
  const double deviation = std::sqrt(square / n);
  std::size_t beyond = 0;
  for (const float v : values) beyond += std::fabs(double{v} - mean) > deviation ? 1u : 0u;
  return static_cast<double>(beyond) / n;
}

namespace {

double squared_error(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = double{a[i]} - double{b[i]};
    sum += d * d;
  }
  return sum;
}

/// An importance and the loss of a uniform quantiser: error power falls by 4 a bit.
std::vector<double> by_width(double importance, std::span<const Format> formats) {
  std::vector<double> losses;
  for (const Format f : formats) {
    losses.push_back(importance * elementary::power_of_two(-2.0 * bits_of(f)));
  }
  return losses;
}

double importance_of(Sensitivity sensitivity, const UnitData& unit) {
  if (sensitivity == Sensitivity::lim) return 1.0 - unit.cosine;
  if (sensitivity == Sensitivity::zd) return 1.0 - z_score_share(unit.weight);
  const GptqHessian hessian =
      prepare_hessian(unit.sum_xx, unit.tokens, unit.k, {.damp = unit.damp});
  const std::size_t n = unit.weight.size() / unit.k;
  const std::vector<double> parts = sensitivity == Sensitivity::baq
                                        ? baq_losses(unit.weight, n, unit.k, hessian)
                                        : slim_salience(unit.weight, n, unit.k, hessian, unit.k);
  return std::accumulate(parts.begin(), parts.end(), 0.0);
}

double rounding_loss(Sensitivity sensitivity, const UnitData& unit,
                     std::span<const float> rounded) {
  switch (sensitivity) {
    case Sensitivity::weight_mse:
      return squared_error(unit.weight, rounded);
    case Sensitivity::output_mse:
      return quadratic_error(unit.weight, rounded, unit.sum_xx, unit.k);
    case Sensitivity::taylor: {
      double sum = 0;
      for (std::size_t i = 0; i < rounded.size(); ++i) {
        sum += std::fabs((double{rounded[i]} - double{unit.weight[i]}) * double{unit.gradient[i]});
      }
      return sum;
    }
    default: {  // sqnr
      const double noise = squared_error(unit.weight, rounded);
      const double signal = squared_error(unit.weight, std::vector<float>(rounded.size(), 0.0f));
      if (noise < 1e-300) return -300.0;
      if (signal < 1e-300) return 0.0;
      constexpr double kTenOverLn10 = 4.342944819032518;
      return -kTenOverLn10 * elementary::log(signal / noise);
    }
  }
}

}  // namespace

std::vector<double> unit_losses(Sensitivity sensitivity, const UnitData& unit,
                                std::span<const Format> formats, const QuantSpec& spec) {
  require(sensitivity != Sensitivity::listed && sensitivity != Sensitivity::llama_mix,
          "unit_losses: a map by list or by llama.cpp's rules has no losses");
  const bool second_order = sensitivity == Sensitivity::hessian ||
                            sensitivity == Sensitivity::baq ||
                            sensitivity == Sensitivity::output_mse;
  if (sensitivity != Sensitivity::lim) {
    require(unit.k != 0 && !unit.weight.empty() && unit.weight.size() % unit.k == 0,
            "unit_losses: the weight is not [n, k]");
  }
  require(!second_order || unit.sum_xx.size() == unit.k * unit.k,
          "unit_losses: this sensitivity needs calibration (sum x x^T)");
  require(sensitivity != Sensitivity::taylor || unit.gradient.size() == unit.weight.size(),
          "unit_losses: taylor needs a gradient");
  if (sensitivity == Sensitivity::hessian || sensitivity == Sensitivity::baq ||
      sensitivity == Sensitivity::lim || sensitivity == Sensitivity::zd) {
    return by_width(importance_of(sensitivity, unit), formats);
  }
  std::vector<double> losses;
  for (const Format f : formats) {
    QuantSpec one = spec;
    one.format = f;
    losses.push_back(rounding_loss(
        sensitivity, unit, round_by_boxes(unit.weight, unit.weight.size() / unit.k, unit.k, one)));
  }
  return losses;
}

std::vector<std::size_t> rank_units(std::span<const double> importance, std::size_t high,
                                    std::size_t high_choice, std::size_t low_choice) {
  std::vector<std::size_t> order(importance.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return importance[a] > importance[b]; });
  std::vector<std::size_t> choice(importance.size(), low_choice);
  for (std::size_t i = 0; i < std::min(high, order.size()); ++i) choice[order[i]] = high_choice;
  return choice;
}

}  // namespace systole::quant
