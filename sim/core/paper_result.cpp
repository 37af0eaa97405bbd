#include "sim/core/paper_result.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace systole {
namespace {

std::uint64_t count(const std::vector<PaperRow>& rows, auto counts) {
  return static_cast<std::uint64_t>(std::ranges::count_if(rows, counts));
}

}  // namespace

double deviation(const PaperRow& row) {
  const double difference = std::abs(row.reproduced_value - row.published_value);
  if (difference == 0) return 0;
  if (row.published_value == 0) return std::numeric_limits<double>::infinity();
  return difference / std::abs(row.published_value);
}

std::uint64_t PaperResult::compared() const {
  return count(rows, [](const PaperRow& row) { return row.matched; });
}

std::uint64_t PaperResult::equal() const {
  return count(rows, [](const PaperRow& row) { return row.matched && row.equal; });
}

std::uint64_t PaperResult::within() const {
  return count(rows, [&](const PaperRow& row) {
    return row.matched && (row.equal || deviation(row) <= tolerance);
  });
}

}  // namespace systole
