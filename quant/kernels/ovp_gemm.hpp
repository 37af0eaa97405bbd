// The matrix product of exponent-integer operands: outlier-victim pairs (OliVe) and flint, power of
// two or integers (ANT), as their PEs compute it.
// Source: accelerators.md §1.7, §5; the dequantisation order is that of gemm_dequantise_after.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/coded_matrix.hpp"
#include "quant/formats/exponent_integer.hpp"
#include "quant/kernels/overflow.hpp"

namespace systole::quant {

/// NORMATIVE. acc + product in an int32 accumulator. The product is exact; a sum outside int32
/// wraps (modulo 2^32), saturates, or is an error. Errors: std::overflow_error under
/// Overflow::error.
std::int32_t accumulate(std::int32_t acc, ExponentInteger product, Overflow overflow);

/// NORMATIVE. acc = 0; for k ascending acc = accumulate(acc, multiply(a[k], w[k])). With wrap the
/// order does not matter, and with error the result is exact. Errors: std::invalid_argument when
/// the sizes differ; std::overflow_error as above.
std::int32_t exponent_integer_dot(std::span<const ExponentInteger> a,
                                  std::span<const ExponentInteger> w,
                                  Overflow overflow = Overflow::error);

/// The operands [rows, cols] of a matrix: pairs through their decoder, flint and power of two as
/// <e, i>, other integer grids as <0, i>. Errors: std::invalid_argument for formats without
/// integers or with a unit other than 1.
std::vector<ExponentInteger> operands_of(const CodedMatrix& matrix);

/// NORMATIVE. For each m, n: acc = +0; for g ascending: isum = exponent_integer_dot over the scale
/// group g of w; acc = fma(float(isum), s_w[n][g], acc); out = acc * s_a[m], one rounding. Shapes:
/// a [M, K] with one scale a row (tensor or token), w [N, K] of any granularity, both symmetric;
/// out [M, N]. Errors: std::invalid_argument when shapes disagree or an operand is not as said;
/// std::overflow_error where a group's sum leaves int32 under Overflow::error.
void ovp_gemm(const CodedMatrix& a, const CodedMatrix& w, std::span<float> out,
              Overflow overflow = Overflow::error);

}  // namespace systole::quant
