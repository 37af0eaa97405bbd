// Products of block-scaled minifloats (MX, NVFP4, scaled FP8/FP6/FP4): exact inside a block, fp32
// across blocks; and plain dot units for FP16, BF16 and minifloats. Sources: OCP MX 1.0, NVIDIA
// NVFP4; accelerators.md 7.2-7.4. The standards leave the order of blocks open: ours is ascending.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "quant/coded_matrix.hpp"
#include "quant/kernels/gemm.hpp"

namespace systole::quant {

/// An element's value from its code: fp16, bf16, the minifloats, or the element of an MX or NVFP4
/// format (mxint8: two's complement times 2^-6). Errors: std::invalid_argument for other formats.
float element_value(Format format, std::uint16_t code);

/// NORMATIVE. Sum of products of elements, exact (an integer of up to 127 bits in the product's
/// unit; 32 products of E5M2 take 70), rounded once to fp32. Where an element is NaN or infinite:
/// the fp32 sum of the products, index ascending, as IEEE has it. Formats: minifloats and elements
/// of MX and NVFP4. Errors: std::invalid_argument on sizes and formats.
float block_dot(Format a_format, std::span<const std::uint16_t> a, Format w_format,
                std::span<const std::uint16_t> w);

/// NORMATIVE. For each m, n: acc = +0; for blocks ascending
///   acc = fma(block_dot, X_a[m][block] * X_w[n][block], acc), the product of scales rounded to
///   fp32;
/// out = acc * (t_a * t_w), t the tensor scales (NVFP4; 1 elsewhere). A block is what shares one
/// scale on both sides: the groups must be equal, or one operand has a single group a row. The last
/// block may be shorter. An E8M0 scale of NaN makes NaN. a [M, K], w [N, K], out [M, N]. Errors:
/// std::invalid_argument on shapes, groups and formats.
void block_scaled_gemm(const CodedMatrix& a, const CodedMatrix& w, std::span<float> out);

/// NORMATIVE. A plain dot unit: elements decoded (exact), products in fp32 (exact for fp16 and
/// minifloats; for bf16 unless beyond the range of fp32), sums in chunks exactly as gemm_fp16:
/// each chunk of `chunk` from +0, index ascending, then total = total + chunk sum. Any two of fp16,
/// bf16 and the minifloats. Errors: std::invalid_argument on sizes, formats, chunk 0.
float unit_dot(Format a_format, std::span<const std::uint16_t> a, Format w_format,
               std::span<const std::uint16_t> w, std::size_t chunk);
/// The same for every output: a [m, k], w [n, k], out [m, n].
void gemm_units(Format a_format, std::span<const std::uint16_t> a, Format w_format,
                std::span<const std::uint16_t> w, GemmShape shape, std::size_t chunk,
                std::span<float> out);

}  // namespace systole::quant
