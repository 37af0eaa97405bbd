// Products of GGUF weight rows with quantised activations, in ggml's scalar order (its `_generic`
// kernels), which is the contract; ggml's vector kernels sum in other orders and differ in the last
// bits.
//
// NORMATIVE, for all: fp32, no fma, one rounding an operation, blocks ascending, sum from +0.
// Integer sums are exact in int32 (largest: Q6_K, 8 lanes of 32 * 127 * 32 * 128). `w` and `a` are
// a row of blocks; dw, da their scales as fp32 (fp16 decoded). Errors: std::invalid_argument unless
// both rows have the same number of elements. Source: ggml-org/ggml, src/ggml-cpu/quants.c,
// ggml_vec_dot_*.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "quant/format.hpp"
#include "quant/ggml/blocks.hpp"
#include "quant/ggml/types.hpp"

namespace systole::quant {

/// sum += (isum * dw) * da.
float dot_q4_0_q8_0(std::span<const BlockQ4_0> w, std::span<const BlockQ8_0> a);
/// sum += (dw * da) * isum + mw * sa; sa the activation block's stored sum.
float dot_q4_1_q8_1(std::span<const BlockQ4_1> w, std::span<const BlockQ8_1> a);
/// sum += (dw * da) * isum.
float dot_q5_0_q8_0(std::span<const BlockQ5_0> w, std::span<const BlockQ8_0> a);
/// As Q4_1.
float dot_q5_1_q8_1(std::span<const BlockQ5_1> w, std::span<const BlockQ8_1> a);
/// sum += isum * (dw * da).
float dot_q8_0_q8_0(std::span<const BlockQ8_0> w, std::span<const BlockQ8_0> a);
/// isum = sum of scale * (codes), msum = sum of min * (activation sums of 16), both integers;
/// sum += (da * dw) * isum - (da * dminw) * msum.
float dot_q2_k_q8_k(std::span<const BlockQ2_K> w, std::span<const BlockQ8_K> a);
/// Eight lanes: lane l has the elements i with i % 8 = l, scaled as integers and summed over the
/// block; lane_sum[l] += (dw * da) * lane; at the end sum += lane_sum[l], l ascending.
float dot_q3_k_q8_k(std::span<const BlockQ3_K> w, std::span<const BlockQ8_K> a);
/// Lanes as Q3_K; each block besides sum -= (dminw * da) * msum. So minima come before all lanes.
float dot_q4_k_q8_k(std::span<const BlockQ4_K> w, std::span<const BlockQ8_K> a);
/// As Q4_K.
float dot_q5_k_q8_k(std::span<const BlockQ5_K> w, std::span<const BlockQ8_K> a);
/// As Q3_K.
float dot_q6_k_q8_k(std::span<const BlockQ6_K> w, std::span<const BlockQ8_K> a);
/// sum += (da * dw) * isum.
float dot_iq4_nl_q8_0(std::span<const BlockIQ4_NL> w, std::span<const BlockQ8_0> a);
/// Each of the 8 sub-blocks: sum += ((dw * da) * scale) * isum.
float dot_iq4_xs_q8_k(std::span<const BlockIQ4_XS> w, std::span<const BlockQ8_K> a);
/// sum += isum * (dw * da).
float dot_tq1_0_q8_k(std::span<const BlockTQ1_0> w, std::span<const BlockQ8_K> a);
float dot_tq2_0_q8_k(std::span<const BlockTQ2_0> w, std::span<const BlockQ8_K> a);
/// Doubled E2M1 integers and half the scale: sum += (da * half) * isum.
float dot_mxfp4_q8_0(std::span<const BlockMXFP4> w, std::span<const BlockQ8_0> a);
/// Each of the 4 sub-blocks the same with the scale of its half of the two Q8_0 blocks.
float dot_nvfp4_q8_0(std::span<const BlockNVFP4> w, std::span<const BlockQ8_0> a);

/// NORMATIVE. out[m][n] = dot(weight row n, activation row m quantised to
/// info_of(weight).activation), rows of `k` elements. Weight: `n` rows of blocks; activations [m,
/// k] fp32, m = activations.size() / k; out [m, n]. Errors: std::invalid_argument when k is no
/// whole number of blocks of either type, sizes disagree, or the type is not a weight's (floats,
/// Q8_1, Q8_K).
void ggml_gemm(GgmlType weight, std::span<const std::uint8_t> bytes, std::size_t n, std::size_t k,
               std::span<const float> activations, std::span<float> out);
/// The same by a format of the catalogue.
void ggml_gemm(Format weight, std::span<const std::uint8_t> bytes, std::size_t n, std::size_t k,
               std::span<const float> activations, std::span<float> out);

}  // namespace systole::quant
