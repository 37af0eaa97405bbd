// Dense and sparse parts of one product. The contracts are in the header.
#include "quant/kernels/dense_sparse_gemm.hpp"

#include <cmath>
#include <limits>

#include "quant/check.hpp"
#include "quant/kernels/gemm.hpp"

namespace systole::quant {

DenseSparse split_outliers(std::span<const float> weight, std::size_t rows, std::size_t cols,
                           float threshold) {
  require(cols == 0 ? weight.empty() : weight.size() % cols == 0 && weight.size() / cols == rows,
          "split_outliers: the weight is not [rows][cols]");
  require(weight.size() <= std::numeric_limits<std::uint32_t>::max(), "split_outliers: too large");
  DenseSparse parts;
  parts.dense.assign(weight.begin(), weight.end());
  parts.sparse.rows = rows;
  parts.sparse.cols = cols;
  parts.sparse.row_start.push_back(0);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t k = 0; k < cols; ++k) {
      float& element = parts.dense[r * cols + k];
      if (!(std::fabs(element) > threshold)) continue;
      parts.sparse.index.push_back(static_cast<std::uint32_t>(k));
      parts.sparse.value.push_back(element);
      element = 0.0f;
    }
    parts.sparse.row_start.push_back(static_cast<std::uint32_t>(parts.sparse.index.size()));
  }
  return parts;
}

namespace {

void add_sparse(std::span<const float> a, const SparseMatrix& sparse, std::span<float> out) {
  if (sparse.cols == 0 || sparse.rows == 0) return;
  for (std::size_t m = 0; m < a.size() / sparse.cols; ++m) {
    sparse_gemv(sparse, a.subspan(m * sparse.cols, sparse.cols),
                out.subspan(m * sparse.rows, sparse.rows));
  }
}

}  // namespace

void dense_sparse_gemm(std::span<const float> a, const QuantizedMatrix& w,
                       const SparseMatrix& sparse, std::span<float> out) {
  require(sparse.rows == w.rows && sparse.cols == w.cols,
          "dense_sparse: the parts differ in shape");
  gemm_dequantise_before(a, w, out);
  add_sparse(a, sparse, out);
}

void dense_sparse_gemm(std::span<const float> a, const CodedMatrix& w, const SparseMatrix& sparse,
                       std::span<float> out) {
  require(sparse.rows == w.rows && sparse.cols == w.cols,
          "dense_sparse: the parts differ in shape");
  require(w.cols != 0 && a.size() % w.cols == 0, "dense_sparse: the activation is not [m, k]");
  gemm_fp32(a, decode(w), {a.size() / w.cols, w.rows, w.cols}, out);
  add_sparse(a, sparse, out);
}

}  // namespace systole::quant
