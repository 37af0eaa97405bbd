// How the parameters of one box are found: the range rules of an axis-S policy and the grid search,
// for any codec of single values.
#pragma once

#include <array>
#include <span>

#include "quant/quantisers/value_codec.hpp"

namespace systole::quant {

/// A grid search over shrunken ranges: range * (1 - i * depth / steps) for i = 0 ... steps - 1, the
/// least sum of |x - x'|^norm, the widest range winning ties.
struct MseSearch {
  unsigned steps = 80;
  double depth = 0.8;  ///< how far the range shrinks at most (not reached)
  double norm = 2.4;
};
/// GPTQ (arXiv 2210.17323): a grid of 100 down to 0.2 of the range, i.e. 80 steps of 1/100.
inline constexpr MseSearch kGptqSearch{80, 0.8, 2.4};
/// FP-Quant (arXiv 2509.23202): 100 steps over a shrink of 0.8.
inline constexpr MseSearch kFpQuantSearch{100, 0.8, 2.4};

/// Parameters of `values` under codec.spec().range:
///   mse    search_scale(); kGptqSearch for integers, kFpQuantSearch for others; range_value, when
///          not 0, is the norm
///   sigma  range_value 0: c_b of the format's bits (quest.hpp) times the root mean square
///   all others as the format's codec defines them (formats/range.hpp).
/// An empty box has parameters 0. Errors: std::invalid_argument for kmeans, olive and output_mse,
/// which need more than the values of a box (kvquant.hpp, formats, smooth.hpp).
BoxParameters find_scale(std::span<const float> values, const ValueCodec& codec);
BoxParameters find_scale(std::span<const float> values, const QuantSpec& spec);

/// The search alone.
BoxParameters search_scale(std::span<const float> values, const ValueCodec& codec,
                           const MseSearch& search);

/// sum |x - nearest(x)|^norm, index ascending, in double; norm 2 exactly so.
double box_error(std::span<const float> values, const ValueCodec& codec, const BoxParameters& p,
                 double norm = 2.0);

/// Every box of a matrix by find_scale() and nearest codes; boxes by group_length(), one for all
/// under per-tensor granularity. What fake_quantise() is to the plain integers; formats without
/// single-value codes go through encode() and decode() and must have a rule that these take.
std::vector<float> round_by_boxes(std::span<const float> values, std::size_t rows, std::size_t cols,
                                  const QuantSpec& spec);

}  // namespace systole::quant
