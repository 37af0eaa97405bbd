// Private: the loop and epilogue of gemm_dequantise_after (gemm.hpp) around any way to form the
// integer sum of a group, so that every formulation with the same sums has the same bits.
#pragma once

#include <cmath>
#include <span>

#include "quant/kernels/gemm.hpp"

namespace systole::quant {

/// `sum(m, n, begin, end)` is the exact integer sum over k in [begin, end) of a_code * w_code.
template <class Sum>
void integer_gemm(const QuantizedMatrix& a, const QuantizedMatrix& w, std::span<float> out,
                  Sum sum) {
  check_integer_operands(a, w, out.size());
  for (std::size_t m = 0; m < a.rows; ++m) {
    for (std::size_t n = 0; n < w.rows; ++n) {
      float acc = 0.0f;
      for (std::size_t g = 0; g < w.groups; ++g) {
        const std::size_t begin = g * w.group;
        std::int32_t asum = 0;
        for (std::size_t k = begin; k < begin + w.group; ++k) asum += a.code(m, k);
        std::int32_t isum = sum(m, n, begin, begin + w.group);
        const float s = w.scale(n, g);
        const float z = w.zero(n, g);
        if (w.spec.affine == Affine::integer_zero) isum -= static_cast<std::int32_t>(z) * asum;
        acc = std::fma(static_cast<float>(isum), s, acc);
        if (w.spec.affine == Affine::float_min) acc = std::fma(static_cast<float>(asum), z, acc);
        if (w.spec.affine == Affine::float_zero)
          acc = std::fma(static_cast<float>(asum), -(z * s), acc);
      }
      out[m * w.rows + n] = w.groups == 0 ? 0.0f : acc * a.scale(m, 0);
    }
  }
}

}  // namespace systole::quant
