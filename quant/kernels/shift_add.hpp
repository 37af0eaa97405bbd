// MixPE's multiplier-free products: a weight of few bits gates shifted copies of the activation.
// Source: MixPE (arXiv 2411.16158); accelerators.md 3.1. The adder order inside a product is not
// published; integers make it immaterial.
#pragma once

#include <cstdint>
#include <span>

#include "quant/float16.hpp"
#include "quant/kernels/overflow.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {

/// NORMATIVE. a * q as sum over k of b_k (a << k), b_k the bits of `code` (its low `bits` bits, 1
/// ... 8); when `is_signed` the top bit counts -2^(bits-1) (two's complement). Exact for |a| <=
/// 2^23. Equal to the multiplication for every code. Errors: std::invalid_argument for bits out of
/// range.
std::int32_t shift_add_product(std::int32_t a, std::uint32_t code, unsigned bits, bool is_signed);

/// NORMATIVE. Sum of the products, int32 accumulator, index ascending, each product one addition
/// under `overflow`. a: int8; codes: low `bits` bits of each byte. Errors: std::invalid_argument
/// when the sizes differ; std::overflow_error by the policy.
std::int32_t shift_add_dot(std::span<const std::int8_t> a, std::span<const std::uint8_t> codes,
                           unsigned bits, bool is_signed, Overflow overflow);

/// W4A8 GEMM by shift_add_product: gemm_dequantise_after bit for bit (same shapes, epilogue and
/// errors).
void gemm_shift_add(const QuantizedMatrix& a, const QuantizedMatrix& w, std::span<float> out);

/// NORMATIVE. W4A16: the activation's 11-bit significand times the code by shift and add (15 bits),
/// sign by XOR, exponent passed through, then aligned to and added into an fp32 accumulator, index
/// ascending from +0, one rounding (to nearest, ties to even) an addition. Equal to acc = fma(a, q,
/// acc). An infinite or NaN activation enters as the IEEE product a * q. Dequantisation (scale,
/// zero) is the caller's, after. Errors as shift_add_dot.
float shift_add_dot_fp16(std::span<const Fp16> a, std::span<const std::uint8_t> codes,
                         unsigned bits, bool is_signed);

}  // namespace systole::quant
