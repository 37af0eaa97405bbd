#include "quant/formats/grid.hpp"

#include <algorithm>
#include <cmath>

#include "quant/check.hpp"

namespace systole::quant {

SortedGrid::SortedGrid(std::span<const float> entries) {
  require(!entries.empty() && entries.size() <= 65536, "a grid has 1 to 65536 entries");
  entries_.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    require(std::isfinite(entries[i]), "an entry of a grid is not finite");
    entries_.push_back({entries[i], static_cast<std::uint16_t>(i)});
  }
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const Entry& a, const Entry& b) { return a.value < b.value; });
  const auto same = [](const Entry& a, const Entry& b) { return a.value == b.value; };
  entries_.erase(std::unique(entries_.begin(), entries_.end(), same), entries_.end());
}

std::uint16_t SortedGrid::nearest(float x, Rounding rounding) const {
  if (!(x > entries_.front().value)) return entries_.front().code;
  if (x >= entries_.back().value) return entries_.back().code;
  const auto above =
      std::upper_bound(entries_.begin(), entries_.end(), x,
                       [](float value, const Entry& entry) { return value < entry.value; });
  const Entry& high = *above;
  const Entry& low = *(above - 1);
  if (rounding == Rounding::floor) return low.code;
  const float to_low = x - low.value;
  const float to_high = high.value - x;
  if (to_low != to_high) return to_low < to_high ? low.code : high.code;
  const float low_magnitude = std::fabs(low.value), high_magnitude = std::fabs(high.value);
  if (rounding == Rounding::half_up) return high.code;
  if (rounding == Rounding::even || low_magnitude == high_magnitude)
    return std::min(low.code, high.code);
  const bool take_larger = rounding == Rounding::away;
  return (high_magnitude > low_magnitude) == take_larger ? high.code : low.code;
}

}  // namespace systole::quant
