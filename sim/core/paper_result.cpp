#include "sim/core/paper_result.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace systole {
double deviation(const PaperRow& row) {
  const double difference = std::abs(row.reproduced_value - row.published_value);
  if (difference == 0) return 0;
  if (row.published_value == 0) return std::numeric_limits<double>::infinity();
  return difference / std::abs(row.published_value);
}

PaperResult::Tally PaperResult::tally(bool means) const {
  Tally tally;
  for (const PaperRow& row : rows) {
    if (!row.matched || row.mean != means) continue;
    ++tally.compared;
    tally.equal += row.equal;
    tally.within += row.equal || deviation(row) <= tolerance;
  }
  return tally;
}

std::uint64_t PaperResult::errata() const {
  return static_cast<std::uint64_t>(std::ranges::count(rows, false, &PaperRow::matched));
}

}  // namespace systole
