// The normative matrix products. Short on purpose: these are the definitions. The contract is in
// the header.
#include "quant/kernels/gemm.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "quant/check.hpp"

namespace systole::quant {

namespace {

bool is_product(std::size_t size, std::size_t a, std::size_t b) {
  if (a == 0 || b == 0) return size == 0;
  return size % a == 0 && size / a == b;
}

void check_float_operands(std::span<const float> a, std::span<const float> w, GemmShape shape,
                          std::span<const float> out) {
  require(is_product(a.size(), shape.m, shape.k), "gemm: the activation is not [m, k]");
  require(is_product(w.size(), shape.n, shape.k), "gemm: the weight is not [n, k]");
  require(is_product(out.size(), shape.m, shape.n), "gemm: out is not [m, n]");
}

}  // namespace

void check_integer_operands(const QuantizedMatrix& a, const QuantizedMatrix& w,
                            std::size_t out_size) {
  require(a.cols == w.cols, "gemm: activation and weight differ in k");
  require(is_product(out_size, a.rows, w.rows), "gemm: out is not [m, n]");
  require(a.spec.affine == Affine::symmetric, "gemm: the activation must be symmetric");
  require(a.groups <= 1, "gemm: the activation must have one scale a row (tensor or token)");
  const unsigned weight_bits =
      bits_of(w.spec.format) - (w.spec.affine == Affine::symmetric ? 1 : 0);
  const std::size_t largest_product = std::size_t{1} << (bits_of(a.spec.format) - 1 + weight_bits);
  require(w.group <= std::size_t{INT32_MAX} / largest_product,
          "gemm: a group too long for an int32 sum");
}

std::int32_t integer_dot(std::span<const std::int8_t> a, std::span<const std::int8_t> w) {
  require(a.size() == w.size(), "integer_dot: the operands differ in length");
  require(a.size() <= 131071, "integer_dot: too long for an int32 sum");
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * w[i];
  return sum;
}

void gemm_dequantise_after(const QuantizedMatrix& a, const QuantizedMatrix& w,
                           std::span<float> out) {
  check_integer_operands(a, w, out.size());
  for (std::size_t m = 0; m < a.rows; ++m) {
    for (std::size_t n = 0; n < w.rows; ++n) {
      float acc = 0.0f;
      for (std::size_t g = 0; g < w.groups; ++g) {
        std::int32_t isum = 0;
        std::int32_t asum = 0;
        for (std::size_t k = g * w.group; k < (g + 1) * w.group; ++k) {
          isum += a.code(m, k) * w.code(n, k);
          asum += a.code(m, k);
        }
        const float s = w.scale(n, g);
        const float z = w.zero(n, g);
        if (w.spec.affine == Affine::integer_zero) isum -= static_cast<std::int32_t>(z) * asum;
        acc = std::fma(static_cast<float>(isum), s, acc);
        if (w.spec.affine == Affine::float_min) acc = std::fma(static_cast<float>(asum), z, acc);
        if (w.spec.affine == Affine::float_zero) {
          acc = std::fma(static_cast<float>(asum), -(z * s), acc);
        }
      }
      out[m * w.rows + n] = w.groups == 0 ? 0.0f : acc * a.scale(m, 0);
    }
  }
}

void gemm_fp32(std::span<const float> a, std::span<const float> w, GemmShape shape,
               std::span<float> out) {
  check_float_operands(a, w, shape, out);
  for (std::size_t m = 0; m < shape.m; ++m) {
    for (std::size_t n = 0; n < shape.n; ++n) {
      float acc = 0.0f;
      for (std::size_t k = 0; k < shape.k; ++k) {
        acc = std::fma(a[m * shape.k + k], w[n * shape.k + k], acc);
      }
      out[m * shape.n + n] = acc;
    }
  }
}

void gemm_fp16(std::span<const float> a, std::span<const float> w, GemmShape shape,
               std::size_t chunk, std::span<float> out) {
  check_float_operands(a, w, shape, out);
  require(chunk != 0, "gemm_fp16: a chunk has at least one product");
  std::vector<float> ah(a.begin(), a.end());
  std::vector<float> wh(w.begin(), w.end());
  round_to(Format::fp16, ah);
  round_to(Format::fp16, wh);
  for (std::size_t m = 0; m < shape.m; ++m) {
    for (std::size_t n = 0; n < shape.n; ++n) {
      float total = 0.0f;
      for (std::size_t begin = 0; begin < shape.k; begin += std::min(chunk, shape.k - begin)) {
        const std::size_t end = begin + std::min(chunk, shape.k - begin);
        float sum = 0.0f;
        for (std::size_t k = begin; k < end; ++k) sum += ah[m * shape.k + k] * wh[n * shape.k + k];
        total += sum;
      }
      out[m * shape.n + n] = total;
    }
  }
}

void gemm_dequantise_before(std::span<const float> a, const QuantizedMatrix& w,
                            std::span<float> out) {
  require(w.cols == 0 ? a.empty() : a.size() % w.cols == 0, "gemm: the activation is not [m, k]");
  const std::size_t m = w.cols == 0 ? (w.rows == 0 ? 0 : out.size() / w.rows) : a.size() / w.cols;
  gemm_fp32(a, dequantise(w), {m, w.rows, w.cols}, out);
}

}  // namespace systole::quant
