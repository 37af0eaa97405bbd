// Bit planes and their products. The contracts are in the header.
#include "quant/kernels/bit_plane_gemm.hpp"

#include <bit>
#include <cmath>

#include "quant/check.hpp"

namespace systole::quant {

BitPlanes to_bit_planes(std::span<const std::int16_t> codes, std::size_t rows, std::size_t cols,
                        unsigned bits, bool is_signed) {
  require(cols == 0 ? codes.empty() : codes.size() % cols == 0 && codes.size() / cols == rows,
          "bit planes: the codes are not [rows][cols]");
  require(bits >= 1 && bits <= 8, "bit planes: 1 to 8 bits");
  const int lowest = is_signed ? -(1 << (bits - 1)) : 0;
  const int highest = is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
  BitPlanes planes{rows, cols, bits, is_signed, {}};
  planes.words.assign(bits * rows * planes.row_words(), 0);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t k = 0; k < cols; ++k) {
      const int code = codes[r * cols + k];
      require(code >= lowest && code <= highest, "bit planes: a code does not fit");
      for (unsigned b = 0; b < bits; ++b) {
        const std::uint64_t bit = (static_cast<unsigned>(code) >> b) & 1u;
        planes.words[(b * rows + r) * planes.row_words() + k / 64] |= bit << (k % 64);
      }
    }
  }
  return planes;
}

std::vector<std::int16_t> from_bit_planes(const BitPlanes& planes) {
  std::vector<std::int16_t> codes(planes.rows * planes.cols);
  for (std::size_t r = 0; r < planes.rows; ++r) {
    for (std::size_t k = 0; k < planes.cols; ++k) {
      std::int64_t code = 0;
      for (unsigned b = 0; b < planes.bits; ++b) {
        if (((planes.row(b, r)[k / 64] >> (k % 64)) & 1u) != 0) code += planes.weight(b);
      }
      codes[r * planes.cols + k] = static_cast<std::int16_t>(code);
    }
  }
  return codes;
}

std::int32_t bit_plane_dot(const BitPlanes& a, std::size_t m, const BitPlanes& w, std::size_t n,
                           Overflow overflow) {
  require(a.cols == w.cols, "bit_plane_dot: the operands differ in k");
  require(m < a.rows && n < w.rows, "bit_plane_dot: no such row");
  std::int32_t acc = 0;
  for (unsigned i = 0; i < a.bits; ++i) {
    for (unsigned j = 0; j < w.bits; ++j) {
      const std::span<const std::uint64_t> a_words = a.row(i, m);
      const std::span<const std::uint64_t> w_words = w.row(j, n);
      std::int64_t count = 0;
      for (std::size_t k = 0; k < a_words.size(); ++k)
        count += std::popcount(a_words[k] & w_words[k]);
      accumulate(acc, a.weight(i) * w.weight(j) * count, overflow);
    }
  }
  return acc;
}

void bit_plane_gemm(const BitPlanes& a, std::span<const float> a_scales, const BitPlanes& w,
                    std::span<const float> w_scales, std::span<float> out, Overflow overflow) {
  require(a_scales.size() == a.rows && w_scales.size() == w.rows,
          "bit_plane_gemm: one scale a row");
  require(out.size() == a.rows * w.rows, "bit_plane_gemm: out is not [m, n]");
  for (std::size_t m = 0; m < a.rows; ++m) {
    for (std::size_t n = 0; n < w.rows; ++n) {
      const auto sum = static_cast<float>(bit_plane_dot(a, m, w, n, overflow));
      out[m * w.rows + n] = std::fma(sum, w_scales[n], 0.0f) * a_scales[m];
    }
  }
}

}  // namespace systole::quant
