// Products by table look-up: the signed sums of four activations are formed once and every weight
// bit plane picks one. Sources: T-MAC (EuroSys 2025), LUT Tensor Core (ISCA 2025);
// accelerators.md 6.7.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "quant/quantise.hpp"

namespace systole::quant {

inline constexpr std::size_t kLutGroup = 4;  ///< activations a table

/// The mirrored half table of four activations: entries[i], i < 8, is the sum over j of d_j a_j,
/// d_j = +1 where bit j of i is set, else -1 (so d_3 = -1); the other eight are
/// entry(i) = -entry(~i). `sum` is the plain sum of the four.
struct LutTable {
  std::array<std::int32_t, 8> entries{};
  std::int32_t sum = 0;
};
/// At most four activations; missing ones count 0.
LutTable lut_table(std::span<const std::int32_t> a);
/// Entry of any index 0 ... 15: bit 3 selects the negation.
std::int32_t lut_entry(const LutTable& table, unsigned index);

/// NORMATIVE. Sum of a[i] * w[i] by look-up. With the bits of w recoded to d = 2c - 1 and plane
/// weights p_b (2^b; top bit of a signed code negative):
///   2 * sum = sum over planes b ascending of p_b * L_b, + (sum of p_b) * (sum of a),
/// L_b the sum of the looked-up entries. int64, exact; equal to the dot product. Codes: low `bits`
/// bits of each byte, bits 1 ... 8. Errors: std::invalid_argument on sizes and bits.
std::int64_t lut_dot(std::span<const std::int8_t> a, std::span<const std::uint8_t> codes,
                     unsigned bits, bool is_signed);

/// GEMM by lut_dot: gemm_dequantise_after bit for bit (same shapes, epilogue and errors).
void gemm_lut(const QuantizedMatrix& a, const QuantizedMatrix& w, std::span<float> out);

/// NORMATIVE. T-MAC's eight-bit tables over float activations, weights integer codes:
/// for each run of `table_group` activations (a multiple of 4; the last may be shorter), ascending:
///   s = largest (|a0| + |a1| + |a2| + |a3|, ascending, fp32) of its fours, divided by 127;
///   entry = rne((((+-a0 +-a1) +-a2) +-a3) * (1 / s)) to int8, the sums fp32 (all entries are 0
///           when s is 0 or 1 / s overflows);
///   L = sum over fours and planes of p_b * entry, int32 exact;
///   acc = fma(float(L), s / 2, acc);
///   acc = fma(asum, (sum of p_b) / 2, acc), asum the fp32 sum of the run, ascending.
/// acc from +0. Scales and zeros of the weight are the caller's. NaN or infinite activations give
/// NaN. Errors: std::invalid_argument on sizes, bits, a table_group that is 0, no multiple of 4 or
/// above 65536. Source: microsoft/T-MAC, python/t_mac/intrins/lut_ctor.cc. Differs from it: the
/// ARM build computes all of this in fp16, the AVX2 build in fp32 with (|a0| + |a1|) + (|a2| +
/// |a3|) and another order for asum; the lossy averaging adder of the released kernels ("fast
/// aggregation") is not modelled.
float lut_dot_int8_tables(std::span<const float> a, std::span<const std::uint8_t> codes,
                          unsigned bits, bool is_signed, std::size_t table_group);

}  // namespace systole::quant
