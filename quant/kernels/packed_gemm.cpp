// Path selection and the reference path of the packed products.
#include "quant/kernels/packed_gemm.hpp"

#include <algorithm>
#include <utility>

#include "quant/check.hpp"

namespace systole::quant {

std::string_view name_of(Path path) {
  switch (path) {
    case Path::reference:
      return "reference";
    case Path::avx2:
      return "avx2";
    case Path::avx512_vnni:
      return "avx512_vnni";
  }
  return "unknown";
}

std::vector<Path> available_paths() { return {Path::reference}; }
Path best_path() { return available_paths().back(); }

struct PackedWeights::Impl {
  QuantizedMatrix matrix;
};

PackedWeights::PackedWeights(QuantizedMatrix weights, Path) : impl_(new Impl{std::move(weights)}) {}
PackedWeights::PackedWeights(PackedWeights&&) noexcept = default;
PackedWeights& PackedWeights::operator=(PackedWeights&&) noexcept = default;
PackedWeights::~PackedWeights() = default;
std::size_t PackedWeights::rows() const { return impl_->matrix.rows; }
std::size_t PackedWeights::cols() const { return impl_->matrix.cols; }
Path PackedWeights::path() const { return Path::reference; }
const QuantSpec& PackedWeights::spec() const { return impl_->matrix.spec; }

void gemm_dequantise_after(const QuantizedMatrix& a, const PackedWeights& w, std::span<float> out,
                           unsigned) {
  gemm_dequantise_after(a, w.impl().matrix, out);
}

struct PackedFloatWeights::Impl {
  std::vector<float> values;
  std::size_t n = 0;
  std::size_t k = 0;
  Format operands = Format::fp32;
};

PackedFloatWeights::PackedFloatWeights(std::span<const float> weights, std::size_t n, std::size_t k,
                                       Format operands, Path)
    : impl_(new Impl{{weights.begin(), weights.end()}, n, k, operands}) {}
PackedFloatWeights::PackedFloatWeights(PackedFloatWeights&&) noexcept = default;
PackedFloatWeights& PackedFloatWeights::operator=(PackedFloatWeights&&) noexcept = default;
PackedFloatWeights::~PackedFloatWeights() = default;
std::size_t PackedFloatWeights::rows() const { return impl_->n; }
std::size_t PackedFloatWeights::cols() const { return impl_->k; }
Path PackedFloatWeights::path() const { return Path::reference; }
Format PackedFloatWeights::operands() const { return impl_->operands; }

void gemm_fp32(std::span<const float> a, const PackedFloatWeights& w, std::size_t m,
               std::span<float> out, unsigned) {
  gemm_fp32(a, w.impl().values, {m, w.rows(), w.cols()}, out);
}
void gemm_fp16(std::span<const float> a, const PackedFloatWeights& w, std::size_t m,
               std::size_t chunk, std::span<float> out, unsigned) {
  gemm_fp16(a, w.impl().values, {m, w.rows(), w.cols()}, chunk, out);
}

}  // namespace systole::quant
