#include "sim/core/equal_area_result.hpp"

#include <algorithm>

#include "sim/core/error.hpp"

namespace systole {

const EqualAreaRow& EqualAreaResult::base() const {
  SYSTOLE_CHECK(!rows.empty(), "a comparison has rows");
  const auto int8 = std::ranges::find(rows, "int8-mac", &EqualAreaRow::pe);
  return int8 != rows.end() ? *int8 : rows.front();
}

Uncertain speed_ratio(const Uncertain& row_time, const Uncertain& base_time) {
  const auto ratio = [](double a, double b) { return b > 0 ? a / b : 0; };
  return {ratio(base_time.value, row_time.value),
          {ratio(base_time.band.low, row_time.band.high),
           ratio(base_time.band.high, row_time.band.low)},
          {ratio(base_time.profiles.low, row_time.profiles.high),
           ratio(base_time.profiles.high, row_time.profiles.low)}};
}

}  // namespace systole
