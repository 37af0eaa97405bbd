// How the parameters of one box are found: the range rules of an axis-S policy, for any codec of
// single values.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "quant/quantisers/box_codec.hpp"

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

/// QuEST's c_b (arXiv 2502.05003; quantization.md D3): the clip, in standard deviations, that is
/// best for a normal variate, by bits 1 ... 8.
inline constexpr std::array<double, 9> kQuestClip = {0,       0.79788, 1.49353, 2.05107, 2.51393,
                                                     2.91609, 3.27660, 3.60105, 3.88494};
/// ... and for three levels (log2 3 = 1.585 bits).
inline constexpr double kQuestClipTernary = 1.22401;

/// Parameters of `values` under codec.spec().range:
///   automatic, minmax, absmax: the whole range; where a format has tags, the one of least squared
///     error, the lowest winning ties
///   absmax_signed   scale = m / -2^(b-1), m the value of largest magnitude (symmetric integers)
///   clip            the range times range_value
///   percentile      range_value: of the n magnitudes in ascending order that of rank
///                   ceil(range_value / 100 * n) is the limit of both ends
///   mse             MseSearch; range_value, when not 0, is the norm
///   sigma           c_b times the root mean square
///   meanabs         scale = mean |x - zero|, zero = mean for `sign`, else 0
/// An empty box has parameters 0. Errors: std::invalid_argument for kmeans, olive and output_mse,
/// which need more than the values (codebook.hpp, formats' OliVe search, smooth.hpp), and for a
/// range_value that the rule cannot take.
BoxParameters find_scale(std::span<const float> values, const BoxCodec& codec);
BoxParameters find_scale(std::span<const float> values, const QuantSpec& spec);

/// The search alone.
BoxParameters search_scale(std::span<const float> values, const BoxCodec& codec,
                           const MseSearch& search);

/// sum |x - nearest(x)|^norm, index ascending, in double; norm 2 exactly so.
double box_error(std::span<const float> values, const BoxCodec& codec, const BoxParameters& p,
                 double norm = 2.0);

}  // namespace systole::quant
