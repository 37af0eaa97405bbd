// One stored weight read at several precisions: bit planes, most significant first, of which a
// lower precision reads only the leading ones. Sources: any-precision LLM
// (SNU-ARC/any-precision-llm), PMPD (arXiv 2410.13461); quantization.md E2.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace systole::quant {

/// Codes of up to 8 bits [rows][cols]. Bit k % 64 of word k / 64 of a plane's row is element k
/// (the released kernels permute bytes within a warp's 32-bit words; the values are the same).
struct PlaneNested {
  std::size_t rows = 0;
  std::size_t cols = 0;
  unsigned bits = 0;                       ///< of the full codes
  std::vector<std::uint64_t> planes;       ///< [bits][rows][(cols + 63) / 64], plane 0 the MSB
  std::array<std::vector<float>, 9> luts;  ///< luts[b]: [rows][2^b]; empty where b is not offered

  std::size_t row_words() const { return (cols + 63) / 64; }
};
/// Stores codes as planes, without tables. Errors: std::invalid_argument on sizes, bits not 1 ...
/// 8, codes of more bits.
PlaneNested nest_planes(std::span<const std::uint8_t> codes, std::size_t rows, std::size_t cols,
                        unsigned bits);

/// The code of one element from its `bits` leading planes: full code >> (stored bits - bits).
std::uint32_t leading_code(const PlaneNested& w, std::size_t row, std::size_t col, unsigned bits);

/// NORMATIVE. out[n] = sum over k ascending of x[k] * luts[bits][n][leading code], fma from +0,
/// fp32. Planes `bits` and beyond are not read. x [K], out [N]. Errors: std::invalid_argument on
/// sizes and for a precision without a table.
void any_precision_gemv(const PlaneNested& w, unsigned bits, std::span<const float> x,
                        std::span<float> out);

}  // namespace systole::quant
