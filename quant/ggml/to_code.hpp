// Private: a float as an integer code where ggml leaves it to C's conversion.
#pragma once

#include <cmath>

namespace systole::quant::ggml {

/// Towards zero. What C does not define is defined here: NaN gives 0 and the rest saturates.
/// Differs from ggml only for blocks with NaN, infinities or a scale so small that its reciprocal
/// is infinite.
inline int to_code(float x, int low, int high) {
  if (std::isnan(x)) return 0;
  if (x <= static_cast<float>(low)) return low;
  if (x >= static_cast<float>(high)) return high;
  return static_cast<int>(x);
}

}  // namespace systole::quant::ggml
