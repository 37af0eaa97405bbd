// The matrix products, as definitions: one short scalar reference each. Everything faster
// (packed_gemm.hpp) and every simulated array is compared with these bit for bit. (Of a NaN only
// that it is one is compared, never its payload.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "quant/quantise.hpp"

namespace systole::quant {

/// out[m][n] = sum over k of a[m][k] * w[n][k]: activation [m, k], weight [n, k] as models store
/// it, out [m, n].
struct GemmShape {
  std::size_t m = 0;
  std::size_t n = 0;
  std::size_t k = 0;
};

/// Sum of a[i] * w[i]. Exact. Errors: std::invalid_argument unless the sizes agree and are at most
/// 131071 (what int32 holds of any int8 products).
std::int32_t integer_dot(std::span<const std::int8_t> a, std::span<const std::int8_t> w);

/// NORMATIVE. Integer GEMM, dequantised after each group (MixPE): for each m, n
///   acc = +0; for g ascending: isum = sum over the group of a_code * w_code (exact integer)
///     symmetric     acc = fma(float(isum), s_w[n][g], acc)
///     integer_zero  acc = fma(float(isum - z * asum), s_w[n][g], acc), asum = sum of a_code over
///     the group float_min     acc = fma(float(isum), s, acc), then acc = fma(float(asum), m, acc)
///     float_zero    the same with m = -(z * s), the product rounded to fp32
///   out = acc * s_a[m], one rounding.
/// Shapes: a [M, K] symmetric, per tensor or token (one scale a row); w [N, K] of any affine form
/// and granularity; out [M, N]. Errors: std::invalid_argument when shapes disagree, `a` is not as
/// said, or a group is so long that int32 could overflow
///   (group * 128 * 2^(8 - b) headroom: see the code; int8 x int8 symmetric: more than 131071).
/// Source: MixPE (arXiv 2411.16158) for the order; the rounding is ours.
void gemm_dequantise_after(const QuantizedMatrix& a, const QuantizedMatrix& w,
                           std::span<float> out);

/// NORMATIVE. fp32: acc = +0; for k ascending acc = fma(a, w, acc), one rounding a step. Errors:
/// std::invalid_argument when sizes and shape disagree. NaN and infinities propagate as IEEE says.
void gemm_fp32(std::span<const float> a, std::span<const float> w, GemmShape shape,
               std::span<float> out);

/// NORMATIVE. fp16 operands, fp32 accumulator: each operand rounded to fp16 (RNE; overflow gives
/// infinity), products exact in fp32. Each chunk of `chunk` consecutive k (the last may be shorter)
/// is summed from +0, k ascending, one rounding a sum; then total = total + chunk_sum, total from
/// +0, chunks ascending. chunk >= k is plain sequential. A weight-stationary array of R rows has
/// chunk = R, an output-stationary one chunk = k. Errors: std::invalid_argument when sizes and
/// shape disagree or chunk is 0.
void gemm_fp16(std::span<const float> a, std::span<const float> w, GemmShape shape,
               std::size_t chunk, std::span<float> out);

/// NORMATIVE. The baseline that dequantises before the product: w decoded by `dequantise` (one
/// rounding an element), then gemm_fp32. a [M, K] floats, M = a.size() / K.
void gemm_dequantise_before(std::span<const float> a, const QuantizedMatrix& w,
                            std::span<float> out);

/// Checks shared with the accelerated twins: throws unless gemm_dequantise_after accepts these
/// operands.
void check_integer_operands(const QuantizedMatrix& a, const QuantizedMatrix& w,
                            std::size_t out_size);

}  // namespace systole::quant
