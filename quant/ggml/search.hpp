// Private: the scale searches of the K and IQ4 encoders. Each is a definition: fp32, one rounding
// an operation, sums from the first element on, comparisons as written. Source: ggml-org/ggml,
// src/ggml-quants.c (named at each).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace systole::quant::ggml {

/// Below this absmax a sub-block counts as zero. Source: GROUP_MAX_EPS.
inline constexpr float kZeroBlock = 1e-15f;

/// Round to nearest, ties to even, by adding 1.5 * 2^23. Right for |value| < 2^22; beyond,
/// infinities and NaN it gives what the low 23 bits of the sum say (the bits of an infinity: -2^22;
/// of the default NaN: 0). Source: nearest_int.
inline int nearest_int(float value) {
  const auto bits = std::bit_cast<std::int32_t>(value + 12582912.0f);
  return (bits & 0x007FFFFF) - 0x00400000;
}

/// The signed value of the first largest magnitude, and the magnitude.
struct Extreme {
  float value = 0.0f;
  float magnitude = 0.0f;
};
Extreme extreme_of(std::span<const float> x);

/// x = scale * q - min, q in [0, levels].
struct AffineFit {
  float scale = 0.0f;
  float min = 0.0f;  ///< never negative
};
struct AffineSearch {
  int levels;
  float first;  ///< candidates: inverse scales (first + step * i + levels) / (max - min),
  float step;   ///< i = 0 ... steps
  int steps;
  bool absolute;  ///< the error is |d|, not d^2
};
/// The range's own scale and minimum, then each candidate's codes with the weighted least-squares
/// scale and minimum for them; the least weighted error wins, the earlier of equals. A candidate
/// counts from the minimum of the best one before it. Minima above 0 count as 0. Source:
/// make_qkx2_quants.
AffineFit search_affine(std::span<const float> x, std::span<const float> weights,
                        const AffineSearch& how, std::span<std::uint8_t> codes);

/// x = scale * (q - magnitude), q in [0, 2 magnitude): nineteen inverse scales around -magnitude /
/// extreme, weights x^2, the best by (sum w x q)^2 / (sum w q^2). Source: make_qx_quants,
/// rmse_type 1.
float search_symmetric(std::span<const float> x, int magnitude, std::span<std::uint8_t> codes);

/// The same form: codes of one inverse scale, then up to five rounds in which each code may move to
/// the one best given the others. Source: make_q3_quants.
float search_symmetric_refined(std::span<const float> x, int magnitude,
                               std::span<std::uint8_t> codes);

/// The index of the nearest of 16 ascending levels; in the middle: the upper one. Source:
/// best_index_int8.
std::uint8_t nearest_level(float x);

/// The scale of one IQ4 sub-block, weights x^2: least squares over the levels nearest to x * -127 /
/// extreme (127 / extreme when there are candidates), then for candidate i in [-tries, tries] over
/// those nearest to x * (i - 127) / extreme. 0 when the block counts as zero. Source:
/// quantize_row_iq4_nl_impl.
float search_levels(std::span<const float> x, int tries, std::span<std::uint8_t> codes);

}  // namespace systole::quant::ggml
