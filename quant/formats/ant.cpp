// ANT's grids, scale search and type choice. The contract is in the header.
#include "quant/formats/ant.hpp"

#include <algorithm>
#include <cmath>

#include "quant/check.hpp"
#include "quant/clones.hpp"
#include "quant/formats/flint.hpp"

namespace systole::quant {
namespace {

/// A grid as steps: the value is `lowest` plus the increments of all thresholds at or below x. Ties
/// go up because a threshold counts from itself on.
struct Steps {
  float lowest = 0.0f;
  std::array<float, 15> thresholds{};
  std::array<float, 15> increments{};
  std::size_t count = 0;
};

Steps steps_of(const AntGrid& grid) {
  Steps steps;
  steps.count = grid.integers.size() - 1;
  steps.lowest = static_cast<float>(grid.integers.front()) * grid.unit;
  for (std::size_t i = 0; i < steps.count; ++i) {
    const auto low = static_cast<float>(grid.integers[i]) * grid.unit;
    const auto high = static_cast<float>(grid.integers[i + 1]) * grid.unit;
    steps.thresholds[i] = 0.5f * (low + high);
    steps.increments[i] = high - low;
  }
  return steps;
}

/// All candidates of one value after the other: the loop is over independent sums.
SYSTOLE_CLONES void add_errors(std::span<const float> values, const Steps& steps,
                               const float* scales, double* errors, std::size_t count) {
  for (const float x : values) {
    for (std::size_t k = 0; k < count; ++k) {
      const float v = x / scales[k];
      float q = steps.lowest;
      for (std::size_t i = 0; i < 15; ++i)  // unused increments are 0
        q += v >= steps.thresholds[i] ? steps.increments[i] : 0.0f;
      const double d = q * scales[k] - x;
      errors[k] += d * d;
    }
  }
}

}  // namespace

AntGrid ant_grid(AntType type, bool is_signed, unsigned exponent_bits) {
  AntGrid grid;
  const auto add = [&grid, is_signed](std::int32_t v) {
    grid.integers.push_back(v);
    if (is_signed && v != 0) grid.integers.push_back(-v);
  };
  switch (type) {
    case AntType::integer:
      for (std::int32_t v = is_signed ? -8 : 0; v <= (is_signed ? 7 : 15); ++v)
        grid.integers.push_back(v);
      break;
    case AntType::flint:
    case AntType::power_of_two: {
      const bool flint = type == AntType::flint;
      const Format format = is_signed ? (flint ? Format::flint4 : Format::pot4)
                                      : (flint ? Format::uflint4 : Format::upot4);
      for (std::uint32_t code = 0; code < (is_signed ? 8u : 16u); ++code)
        add(ant_values(format)[code]);
      break;
    }
    case AntType::floating: {
      require(exponent_bits >= 1 && exponent_bits <= 3, "ANT: 1 to 3 exponent bits");
      const unsigned mantissa_bits = (is_signed ? 3 : 4) - exponent_bits;
      const std::int32_t one = std::int32_t{1} << mantissa_bits;
      grid.unit = 1.0f / static_cast<float>(one);
      for (std::int32_t m = 0; m < one; ++m) add(m);  // subnormal
      for (unsigned e = 1; e < (1u << exponent_bits); ++e) {
        for (std::int32_t m = 0; m < one; ++m) add((one + m) << (e - 1));
      }
      break;
    }
  }
  std::ranges::sort(grid.integers);
  return grid;
}

std::optional<Format> format_of(AntType type, bool is_signed) {
  switch (type) {
    case AntType::integer:
      return is_signed ? Format::int4 : Format::uint4;
    case AntType::flint:
      return is_signed ? Format::flint4 : Format::uflint4;
    case AntType::power_of_two:
      return is_signed ? Format::pot4 : Format::upot4;
    case AntType::floating:
      break;
  }
  if (is_signed) return Format::fp4_e2m1;
  return std::nullopt;
}

double AntFit::total_error() const {
  double sum = 0;
  for (const double e : errors) sum += e;
  return sum;
}

AntFit ant_search(std::span<const float> values, std::size_t box, const AntGrid& grid,
                  const AntCandidates& candidates) {
  require(values.empty() || (box != 0 && values.size() % box == 0), "ANT: not whole boxes");
  require(candidates.step != 0 && candidates.low < candidates.high && candidates.high <= 10000,
          "ANT: low < high and a step");
  const Steps steps = steps_of(grid);
  AntFit fit;
  std::vector<float> scales;
  std::vector<double> errors;
  for (std::size_t begin = 0; begin < values.size(); begin += box) {
    const auto part = values.subspan(begin, box);
    float absmax = 0;
    for (const float x : part) absmax = std::max(absmax, std::fabs(x));
    scales.clear();
    for (unsigned p = candidates.low; p < candidates.high; p += candidates.step)
      scales.push_back(absmax * static_cast<float>(p * 0.01) / grid.largest());
    errors.assign(scales.size(), 0.0);
    if (absmax != 0) add_errors(part, steps, scales.data(), errors.data(), scales.size());
    const auto least = std::ranges::min_element(errors);
    fit.errors.push_back(*least);
    fit.scales.push_back(scales[static_cast<std::size_t>(least - errors.begin())]);
  }
  return fit;
}

AntChoice choose_ant_type(std::span<const float> values, std::size_t box, bool is_signed,
                          std::span<const AntType> types, unsigned exponent_bits,
                          const AntCandidates& candidates) {
  require(!types.empty(), "ANT: no type to choose from");
  AntChoice choice;
  double least = 0;
  for (const AntType type : types) {
    AntFit fit = ant_search(values, box, ant_grid(type, is_signed, exponent_bits), candidates);
    const double error = fit.total_error();
    if (choice.errors.empty() || error < least) {
      least = error;
      choice.type = type;
      choice.fit = std::move(fit);
    }
    choice.errors.push_back(error);
  }
  return choice;
}

}  // namespace systole::quant
