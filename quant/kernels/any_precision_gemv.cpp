// Nested planes and the vector product over the leading ones. The contracts are in the header.
#include "quant/kernels/any_precision_gemv.hpp"

#include <cmath>

#include "quant/check.hpp"

namespace systole::quant {

PlaneNested nest_planes(std::span<const std::uint8_t> codes, std::size_t rows, std::size_t cols,
                        unsigned bits) {
  require(cols == 0 ? codes.empty() : codes.size() % cols == 0 && codes.size() / cols == rows,
          "nest_planes: the codes are not [rows][cols]");
  require(bits >= 1 && bits <= 8, "nest_planes: 1 to 8 bits");
  PlaneNested w;
  w.rows = rows;
  w.cols = cols;
  w.bits = bits;
  w.planes.assign(bits * rows * w.row_words(), 0);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const std::uint64_t code = codes[i];
    require(code >> bits == 0, "nest_planes: a code does not fit");
    const std::size_t row = i / cols;
    const std::size_t col = i % cols;
    for (unsigned p = 0; p < bits; ++p) {
      w.planes[(p * rows + row) * w.row_words() + col / 64] |= ((code >> (bits - 1 - p)) & 1u)
                                                               << (col % 64);
    }
  }
  return w;
}

std::uint32_t leading_code(const PlaneNested& w, std::size_t row, std::size_t col, unsigned bits) {
  std::uint32_t code = 0;
  for (unsigned p = 0; p < bits; ++p) {
    const std::uint64_t word = w.planes[(p * w.rows + row) * w.row_words() + col / 64];
    code = code << 1 | static_cast<std::uint32_t>((word >> (col % 64)) & 1u);
  }
  return code;
}

void any_precision_gemv(const PlaneNested& w, unsigned bits, std::span<const float> x,
                        std::span<float> out) {
  require(bits >= 1 && bits <= w.bits, "any_precision: not as many planes are stored");
  require(w.luts[bits].size() == w.rows << bits, "any_precision: no table for this precision");
  require(w.planes.size() >= bits * w.rows * w.row_words(), "any_precision: planes are missing");
  require(x.size() == w.cols && out.size() == w.rows, "any_precision: the shapes disagree");
  for (std::size_t n = 0; n < w.rows; ++n) {
    float acc = 0.0f;
    for (std::size_t k = 0; k < w.cols; ++k) {
      acc = std::fma(x[k], w.luts[bits][(n << bits) + leading_code(w, n, k, bits)], acc);
    }
    out[n] = acc;
  }
}

}  // namespace systole::quant
