// Range rules (axis S): from the values of a box to the extent that its codes must cover.
#pragma once

#include <span>

#include "quant/format.hpp"

namespace systole::quant {

struct Range {
  float min = 0.0f;
  float max = 0.0f;
};

/// Minimum and maximum; of +0 and -0 the first met wins. `values` is not empty.
Range minmax(std::span<const float> values);
float absmax(std::span<const float> values);
/// The value of largest magnitude with its sign; the first met wins.
float absmax_signed(std::span<const float> values);
/// Sequential fp32 sums, index ascending, one fp32 division.
float mean(std::span<const float> values);
float mean_abs(std::span<const float> values);
float root_mean_square(std::span<const float> values);
/// The p-th percentile of magnitudes, 0 <= p <= 100: of the ascending magnitudes, element
/// h = (n - 1) p / 100, linearly interpolated between its neighbours in double and rounded once.
float magnitude_percentile(std::span<const float> values, double p);

/// NORMATIVE. The magnitude that a symmetric form or grid covers. automatic, minmax, absmax:
/// absmax. clip: range_value (1 where 0) times absmax. percentile: magnitude_percentile. sigma:
/// range_value (1 where 0) times the root mean square. meanabs. absmax_signed: signed. Errors:
/// std::invalid_argument for rules that are searches over a whole tensor (mse, kmeans, olive,
/// output_mse): a quantiser runs those and comes back with `clip`.
float magnitude_of(std::span<const float> values, const QuantSpec& spec);

/// NORMATIVE. The extent that an affine form covers. automatic, minmax: minimum and maximum.
/// absmax:
/// +-absmax. clip: both ends times range_value. percentile: minmax clamped to +-percentile.
/// Errors: std::invalid_argument for every other rule.
Range extent_of(std::span<const float> values, const QuantSpec& spec);

}  // namespace systole::quant
