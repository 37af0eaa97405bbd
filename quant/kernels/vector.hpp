// What a transformer does between matrix products: normalisation, rotary positions, softmax,
// gating, argmax. All normative, all fp32 with every operation rounded in the order written; no
// fma, no libm transcendental (elementary.hpp).
//
// "Sixteenfold sum": sixteen partial sums from +0, element i added to number i % 16, i ascending;
// then s[j] = s[j] + s[j + h] for j < h and h = 8, 4, 2, 1; the sum is s[0]. One order that a
// vector unit of any width up to sixteen can keep.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace systole::quant {

/// NORMATIVE. RMSNorm: ss = sixteenfold sum of x*x, each square rounded; r = 1 / sqrt(ss / n +
/// eps); out[i] = (x[i] * r) * w[i]. x, weight, out: [n]; out may be x. Errors:
/// std::invalid_argument when sizes differ or n = 0.
void rms_norm(std::span<const float> x, std::span<const float> weight, float eps,
              std::span<float> out);

/// theta^(-2i/d) for i in [0, head_dim/2), in double by elementary::pow.
/// Errors: std::invalid_argument unless head_dim is even and theta is finite and at least 1.
std::vector<double> rope_frequencies(std::size_t head_dim, double theta);

/// Cosines and sines of one position: angle_i = double(position) * frequencies[i], each rounded to
/// float once.
struct RopeAngles {
  std::vector<float> cos;
  std::vector<float> sin;
};
/// Errors: std::invalid_argument when an angle would exceed 2^20 (see elementary::sincos).
RopeAngles rope_angles(std::size_t position, std::span<const double> frequencies);

/// NORMATIVE. RoPE of one head in place on interleaved pairs (x[2i], x[2i+1]):
///   x0' = x0*c - x1*s, x1' = x0*s + x1*c, each product and each sum rounded. x: [2 *
///   angles.cos.size()].
void rope(std::span<float> x, const RopeAngles& angles);

/// NORMATIVE. Softmax in place: max by x > max (index ascending), e = exp(x - max), sixteenfold
/// sum, e / sum. A NaN anywhere but in front of larger values, or no finite maximum, makes NaNs, as
/// the operations say. Empty: nothing.
void softmax(std::span<float> x);

/// NORMATIVE. out[i] = (g / (1 + exp(-g))) * up[i], g = gate[i]. All [n]; out may be gate or up.
void swiglu(std::span<const float> gate, std::span<const float> up, std::span<float> out);

/// NORMATIVE. log(sum of e^x): max as in softmax; d = double(x) - max, and where d > -700
/// elementary::exp(d) (else nothing) enters a sixteenfold sum in double; log(sum) + max.
/// Errors: std::invalid_argument when empty.
double log_sum_exp(std::span<const float> x);

/// NORMATIVE. Index of the largest value; the lowest index wins ties, a NaN never wins (all NaN:
/// 0). Errors: std::invalid_argument when empty.
std::size_t argmax(std::span<const float> x);

}  // namespace systole::quant
