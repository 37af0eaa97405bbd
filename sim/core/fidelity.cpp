#include "sim/core/fidelity.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <map>
#include <numeric>
#include <utility>

namespace systole {
namespace {

std::vector<double> ranks_of(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return values[i]; });
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const double mean = static_cast<double>(begin + end - 1) / 2;
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = mean;
  }
  return ranks;
}

/// Of points that differ in their timing alone, the figures of each.
using Pairs = std::map<std::vector<std::uint32_t>, std::array<std::optional<SweepFigures>, 2>>;

}  // namespace

std::optional<double> spearman(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size() || a.size() < 2) return std::nullopt;
  const std::vector<double> x = ranks_of(a), y = ranks_of(b);
  const double mean = static_cast<double>(a.size() - 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean) * (y[i] - mean);
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
  }
  if (xx == 0 || yy == 0) return std::nullopt;
  return xy / std::sqrt(xx * yy);
}

std::optional<double> kendall(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return std::nullopt;
  double both = 0, untied_a = 0, untied_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = i + 1; j < a.size(); ++j) {
      const int x = (a[i] > a[j]) - (a[i] < a[j]), y = (b[i] > b[j]) - (b[i] < b[j]);
      both += x * y;
      untied_a += x != 0 ? 1 : 0;
      untied_b += y != 0 ? 1 : 0;
    }
  }
  if (untied_a == 0 || untied_b == 0) return std::nullopt;
  return both / std::sqrt(untied_a * untied_b);
}

std::vector<FidelityAgreement> fidelity_agreement(const SweepResult& result) {
  std::vector<FidelityAgreement> all;
  if (result.axes.empty() || result.axes.front().path != "timing" ||
      result.axes.front().values.size() != 2) {
    return all;
  }
  Pairs pairs;
  // The dear ones first, which are few: of the others those that have one are kept.
  const auto collect = [&](std::uint32_t timing) {
    result.points->each([&](const SweepPoint& point) {
      if (!point.done() || point.axis.front() != timing) return;
      const std::vector<std::uint32_t> others(point.axis.begin() + 1, point.axis.end());
      if (timing == 0 && !pairs.contains(others)) return;
      pairs[others].at(timing) = point.record.figures;
    });
  };
  collect(1);
  collect(0);
  for (const SweepObjective& objective : result.objectives) {
    const std::size_t figure = find_figure(objective.figure);
    std::vector<double> cheap, dear;
    double logarithms = 0;
    for (const auto& [others, pair] : pairs) {
      if (!pair[0] || !pair[1]) continue;
      const double x = pair[0]->at(figure), y = pair[1]->at(figure);
      if (!std::isfinite(x) || !std::isfinite(y)) continue;
      cheap.push_back(x);
      dear.push_back(y);
      logarithms += std::log(y / x);
    }
    FidelityAgreement& agreement = all.emplace_back();
    agreement.figure = objective.figure;
    agreement.points = cheap.size();
    agreement.spearman = spearman(cheap, dear);
    agreement.kendall = kendall(cheap, dear);
    const double ratio = std::exp(logarithms / static_cast<double>(cheap.size()));
    if (!cheap.empty() && std::isfinite(ratio)) agreement.mean_ratio = ratio;
  }
  return all;
}

std::string to_text(const FidelityAgreement& agreement, const SweepResult& result) {
  const auto number = [](const char* format, double value) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), format, value);
    return std::string(text.data());
  };
  const auto part = [&](const char* name, std::optional<double> value) {
    return std::string(name) + " " + (value ? number("%.2f", *value) : "absent");
  };
  std::string text = agreement.figure + ": " + part("Spearman", agreement.spearman) + ", " +
                     part("Kendall", agreement.kendall);
  if (agreement.mean_ratio > 0) {
    text += ", " + result.axes.front().values[1] + " / " + result.axes.front().values[0] + " " +
            number("%.3g", agreement.mean_ratio);
  }
  return text + " (" + std::to_string(agreement.points) + " points)";
}

}  // namespace systole
