// The general integer formulation: any two formats whose elements are integers times one power of
// two multiply as integers inside a scale group.
#pragma once

#include <cstdint>
#include <span>

#include "quant/coded_matrix.hpp"
#include "quant/kernels/overflow.hpp"

namespace systole::quant {

/// Whether grid_gemm takes this operand: its elements have integers (element_integers), and its
/// form and groups suit. Says why not, or nothing.
const char* grid_gemm_refuses(const CodedMatrix& a, const CodedMatrix& w);

/// NORMATIVE. out[m][n], with a_k and w_k the element integers, u the product of the two units,
/// over the runs of k that share a scale on both sides (g), ascending, acc from +0:
///   isum = sum of a_k * w_k, k ascending, accumulator of accumulator_bits under `overflow`;
///   with an affine weight also asum = sum of a_k (the same register);
///   s = s_w[n][g], times s_a[m][g] (rounded) where the activation has groups too;
///   symmetric     acc = fma(float(isum) * u, s, acc)
///   integer_zero  the same with isum - z * asum (one more accumulation)
///   float_min     acc = fma(float(isum) * u, s, acc), then
///                 acc = fma(float(asum) * u_a, m * s_a, acc)
///   float_zero    the same with m = -(z * s_w), rounded
/// A format with an offset of its own (sign) counts as float_min.
/// out = acc * s_a[m] where the activation has one scale a row, then * (t_a * t_w) where an operand
/// has a tensor scale. Where both have groups they must be equal. float(isum) * u is exact beside
/// the rounding of float(). For integer formats with an activation of one scale a row: the bits of
/// gemm_dequantise_after. a: symmetric. a [M, K], w [N, K], out [M, N].
/// accumulator_bits 2 ... 64: 32 holds 131071 products of 8 bits; operands of 16 bits need more.
/// Errors: std::invalid_argument on shapes, widths and for what grid_gemm_refuses;
/// std::overflow_error by the policy.
void grid_gemm(const CodedMatrix& a, const CodedMatrix& w, std::span<float> out, Overflow overflow,
               unsigned accumulator_bits = 32);

}  // namespace systole::quant
