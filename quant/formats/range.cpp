#include "quant/formats/range.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "quant/check.hpp"

namespace systole::quant {
namespace {

[[noreturn]] void refuse(RangeRule rule, const char* form) {
  throw std::invalid_argument("range rule " +
                              std::string(kRangeRuleNames[static_cast<std::size_t>(rule)]) +
                              " does not give the parameters of " + form);
}

float ratio(const QuantSpec& spec) {
  return spec.range_value == 0 ? 1.0f : static_cast<float>(spec.range_value);
}

}  // namespace

Range minmax(std::span<const float> values) {
  Range r{values.front(), values.front()};
  for (const float x : values) {
    if (x < r.min) r.min = x;
    if (x > r.max) r.max = x;
  }
  return r;
}

float absmax(std::span<const float> values) {
  float m = 0.0f;
  for (const float x : values) m = std::max(m, std::fabs(x));
  return m;
}

float absmax_signed(std::span<const float> values) {
  float m = values.front();
  for (const float x : values) {
    if (std::fabs(x) > std::fabs(m)) m = x;
  }
  return m;
}

float mean(std::span<const float> values) {
  float sum = 0.0f;
  for (const float x : values) sum += x;
  return sum / static_cast<float>(values.size());
}

float mean_abs(std::span<const float> values) {
  float sum = 0.0f;
  for (const float x : values) sum += std::fabs(x);
  return sum / static_cast<float>(values.size());
}

float root_mean_square(std::span<const float> values) {
  float sum = 0.0f;
  for (const float x : values) sum += x * x;
  return std::sqrt(sum / static_cast<float>(values.size()));
}

float magnitude_percentile(std::span<const float> values, double p) {
  require(p >= 0 && p <= 100, "a percentile lies between 0 and 100");
  std::vector<float> magnitudes(values.size());
  std::ranges::transform(values, magnitudes.begin(), [](float x) { return std::fabs(x); });
  const double h = static_cast<double>(values.size() - 1) * p / 100.0;
  const auto index = static_cast<std::size_t>(h);
  const auto nth = magnitudes.begin() + static_cast<std::ptrdiff_t>(index);
  std::ranges::nth_element(magnitudes, nth);
  const double low = *nth;
  if (index + 1 == magnitudes.size()) return *nth;
  const double high = *std::min_element(nth + 1, magnitudes.end());
  return static_cast<float>(low + (high - low) * (h - static_cast<double>(index)));
}

float magnitude_of(std::span<const float> values, const QuantSpec& spec) {
  switch (spec.range) {
    case RangeRule::automatic:
    case RangeRule::minmax:
    case RangeRule::absmax:
      return absmax(values);
    case RangeRule::clip:
      return ratio(spec) * absmax(values);
    case RangeRule::percentile:
      return magnitude_percentile(values, spec.range_value);
    case RangeRule::absmax_signed:
      return absmax_signed(values);
    case RangeRule::sigma:
      return ratio(spec) * root_mean_square(values);
    case RangeRule::meanabs:
      return mean_abs(values);
    default:
      refuse(spec.range, "a symmetric form");
  }
}

Range extent_of(std::span<const float> values, const QuantSpec& spec) {
  const Range all = minmax(values);
  switch (spec.range) {
    case RangeRule::automatic:
    case RangeRule::minmax:
      return all;
    case RangeRule::absmax: {
      const float m = absmax(values);
      return {-m, m};
    }
    case RangeRule::clip:
      return {ratio(spec) * all.min, ratio(spec) * all.max};
    case RangeRule::percentile: {
      const float limit = magnitude_percentile(values, spec.range_value);
      return {std::clamp(all.min, -limit, limit), std::clamp(all.max, -limit, limit)};
    }
    default:
      refuse(spec.range, "an affine form");
  }
}

}  // namespace systole::quant
