#include "sim/sweep/space.hpp"

#include <algorithm>

namespace systole::sweep {

PointSpace::PointSpace(const configs::SweepConfig& config) : config_(config) {
  for (const configs::SweepAxisConfig& axis : config.axes) size_ *= axis.values.size();
}

std::vector<std::uint32_t> PointSpace::indices(PointId id) const {
  std::vector<std::uint32_t> result(axes());
  for (std::size_t a = axes(); a-- > 0; id /= values_of(a)) {
    result[a] = static_cast<std::uint32_t>(id % values_of(a));
  }
  return result;
}

PointId PointSpace::id(const std::vector<std::uint32_t>& indices) const {
  PointId id = 0;
  for (std::size_t a = 0; a < axes(); ++a) id = id * values_of(a) + indices[a];
  return id;
}

std::vector<configs::SweepValue> PointSpace::values(PointId id) const {
  std::vector<configs::SweepValue> result;
  result.reserve(axes() + config_.derived.size());
  const std::vector<std::uint32_t> index = indices(id);
  for (std::size_t a = 0; a < axes(); ++a) result.push_back(config_.axes[a].values[index[a]]);
  for (const configs::SweepDerived& derived : config_.derived) {
    if (const auto number = derived.value.number(result)) {
      result.push_back(configs::value_of(*number));
    } else {
      result.push_back({derived.value.text(result).value_or(""), std::nullopt});
    }
  }
  return result;
}

std::vector<std::uint32_t> PointSpace::scenario(PointId id) const {
  const std::vector<std::uint32_t> all = indices(id);
  std::vector<std::uint32_t> result;
  for (std::size_t a = 0; a < axes(); ++a) {
    if (config_.axes[a].scenario) result.push_back(all[a]);
  }
  return result;
}

bool PointSpace::admits(PointId id) const {
  if (config_.conditions.empty()) return true;
  const std::vector<configs::SweepValue> all = values(id);
  return std::ranges::all_of(config_.conditions,
                             [&](const configs::Comparison& c) { return c.holds(all); });
}

}  // namespace systole::sweep
