// A dense quantised product plus the exact share of the outliers that were taken out of the matrix.
// Sources: GOBO (MICRO 2020) for weights of two populations; KVQuant (arXiv 2401.18079) and
// SqueezeLLM (arXiv 2306.07629) for dense-and-sparse.
#pragma once

#include <span>

#include "quant/coded_matrix.hpp"
#include "quant/primitives/select.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {

/// Takes out the elements with |w| > threshold; NaN stays in the dense part. Errors:
/// std::invalid_argument on sizes.
DenseSparse split_outliers(std::span<const float> weight, std::size_t rows, std::size_t cols,
                           float threshold);

/// NORMATIVE. out = gemm_dequantise_before(a, w), then for each row m the sparse part: out[m][n] =
/// fma(value, a[m][index], out[m][n]), entries of row n in index order (sparse_gemv). fp32. a [M,
/// K], sparse [N, K], out [M, N]. The dense part must decode to 0 at outliers for the sum to be the
/// product of the unsplit weight. Errors: std::invalid_argument on shapes.
void dense_sparse_gemm(std::span<const float> a, const QuantizedMatrix& w,
                       const SparseMatrix& sparse, std::span<float> out);
/// The same for any format (GOBO: lut), decoded, then gemm_fp32.
void dense_sparse_gemm(std::span<const float> a, const CodedMatrix& w, const SparseMatrix& sparse,
                       std::span<float> out);

}  // namespace systole::quant
