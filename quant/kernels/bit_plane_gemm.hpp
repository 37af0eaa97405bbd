// Products of bit planes: AND and population count, as ABQ-LLM's binary matrix engine does them.
// Source: ABQ-LLM (arXiv 2408.08554), bytedance/ABQ-LLM engine; accelerators.md 6.3,
// quantization.md C10.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/kernels/overflow.hpp"

namespace systole::quant {

/// A matrix [rows][cols] of integer codes as planes: bit i of element k of a row is bit k % 64 of
/// word k / 64 of plane i; plane 0 is the least significant (the engine stores the most significant
/// first, in 32-bit words). Signed: two's complement, the top plane counts -2^(bits-1). Unused bits
/// are 0.
struct BitPlanes {
  std::size_t rows = 0;
  std::size_t cols = 0;
  unsigned bits = 0;
  bool is_signed = false;
  std::vector<std::uint64_t> words;  ///< [bits][rows][row_words()]

  std::size_t row_words() const { return (cols + 63) / 64; }
  std::span<const std::uint64_t> row(unsigned plane, std::size_t r) const {
    return std::span(words).subspan((plane * rows + r) * row_words(), row_words());
  }
  /// What bit `plane` of a code counts.
  std::int64_t weight(unsigned plane) const {
    const std::int64_t power = std::int64_t{1} << plane;
    return is_signed && plane + 1 == bits ? -power : power;
  }
};

/// Errors: std::invalid_argument when codes.size() != rows * cols, bits is not 1 ... 8 or a code
/// does not fit.
BitPlanes to_bit_planes(std::span<const std::int16_t> codes, std::size_t rows, std::size_t cols,
                        unsigned bits, bool is_signed);
std::vector<std::int16_t> from_bit_planes(const BitPlanes& planes);

/// NORMATIVE. Row m of a times row n of w: sum over planes i of a ascending, then j of w ascending,
/// of sgn 2^(i+j) popcount(a_i AND w_j), sgn negative when exactly one of the two is a top plane of
/// a signed operand. int32 accumulator, one addition a pair of planes under `overflow`. Equal to
/// the integer dot product whenever nothing overflows (and modulo 2^32 with wrap). Errors:
/// std::invalid_argument when cols differ or a row does not exist.
std::int32_t bit_plane_dot(const BitPlanes& a, std::size_t m, const BitPlanes& w, std::size_t n,
                           Overflow overflow);

/// NORMATIVE. out[m][n] = (float(dot) * w_scales[n] rounded) * a_scales[m] rounded: weight scales
/// by output channel, activation scales by token, after the sum. The bits of gemm_dequantise_after
/// for one symmetric group. out [M, N]. Errors: std::invalid_argument on sizes.
void bit_plane_gemm(const BitPlanes& a, std::span<const float> a_scales, const BitPlanes& w,
                    std::span<const float> w_scales, std::span<float> out,
                    Overflow overflow = Overflow::error);

}  // namespace systole::quant
