// The matrix products of gemm.hpp at speed, with the same bits: weights packed once for one
// instruction set chosen at run time, register- and cache-blocked, over any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "quant/kernels/gemm.hpp"
#include "quant/kernels/path.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {

/// A matrix [rows][cols] of element integers that fit a signed byte: what FP4, small tables, power
/// of two types and outlier-victim pairs decode to. value = integer * unit * scale.
struct GridMatrix {
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t group = 0;              ///< elements along cols that share a scale
  std::size_t groups = 0;             ///< scales a row; the last may cover fewer elements
  float unit = 1.0f;                  ///< a power of two between 2^-60 and 2^60
  std::vector<std::int8_t> integers;  ///< [rows][cols]
  std::vector<float> scales;          ///< [rows][groups]
};

/// NORMATIVE. gemm_dequantise_after on element integers: for each m, n
///   acc = +0; for g ascending: isum = sum over the group of a * w (exact integer)
///     acc = fma(float(isum) * unit, s_w[n][g], acc), unit = a.unit * w.unit (the product is exact)
///   out = acc * s_a[m], one rounding. A row without groups gives 0.
/// a [M, K] with at most one scale a row, w [N, K], out [M, N]. Errors: std::invalid_argument when
/// shapes disagree, a unit is no power of two between 2^-60 and 2^60, or a group is longer than
/// 131071 (what int32 holds of any int8 products).
void gemm_grid(const GridMatrix& a, const GridMatrix& w, std::span<float> out);

/// A weight [N, K] repacked for one path, whichever integer form it has: QuantizedMatrix of any
/// format, granularity and affine form, or GridMatrix. Stored are 4 bits an element where the
/// elements are at most 4 bits wide, take at most 16 values, or are pairs along K of which one is
/// an outlier only where the other is 0 (at most 15 outliers and 15 other values); else 8.
class PackedWeights {
 public:
  /// Errors: std::invalid_argument when `path` is not available on this CPU.
  explicit PackedWeights(QuantizedMatrix weights, Path path = best_path());
  explicit PackedWeights(GridMatrix weights, Path path = best_path());
  PackedWeights(PackedWeights&&) noexcept;
  PackedWeights& operator=(PackedWeights&&) noexcept;
  ~PackedWeights();

  std::size_t rows() const;
  std::size_t cols() const;
  Path path() const;
  const QuantSpec& spec() const;     ///< of a QuantizedMatrix; default for a GridMatrix
  unsigned stored_bits() const;      ///< an element: 4 or 8; 0 where nothing is packed
  std::size_t stored_bytes() const;  ///< of all codes and group parameters

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// gemm_dequantise_after(a, w, out), bit for bit, on `threads` threads (0 counts as 1; static
/// partition over the pool of parallel.hpp). Errors: as there; w packed from a GridMatrix.
void gemm_dequantise_after(const QuantizedMatrix& a, const PackedWeights& w, std::span<float> out,
                           unsigned threads = 1);
/// The same against the corner [columns][a.cols] of a weight: what attention under a causal mask
/// needs. Errors: std::invalid_argument unless w was packed for a path other than the reference, is
/// symmetric and has one group, and out is [a.rows, columns].
void gemm_dequantise_after_corner(const QuantizedMatrix& a, const PackedWeights& w,
                                  std::size_t columns, std::span<float> out, unsigned threads = 1);
/// gemm_grid(a, w, out), bit for bit. Errors: as there; w packed from a QuantizedMatrix.
void gemm_grid(const GridMatrix& a, const PackedWeights& w, std::span<float> out,
               unsigned threads = 1);

/// A weight [N, K] of floats for gemm_fp32 or, rounded to fp16 when packed, for gemm_fp16.
class PackedFloatWeights {
 public:
  /// operands: Format::fp32 for gemm_fp32, Format::fp16 for gemm_fp16. Errors:
  /// std::invalid_argument for another format, for weights that are not [n, k] or a path that this
  /// CPU lacks.
  PackedFloatWeights(std::span<const float> weights, std::size_t n, std::size_t k,
                     Format operands = Format::fp32, Path path = best_path());
  PackedFloatWeights(PackedFloatWeights&&) noexcept;
  PackedFloatWeights& operator=(PackedFloatWeights&&) noexcept;
  ~PackedFloatWeights();

  std::size_t rows() const;
  std::size_t cols() const;
  Path path() const;
  Format operands() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// gemm_fp32 bit for bit. a [m, k], out [m, n]; w packed for Format::fp32.
void gemm_fp32(std::span<const float> a, const PackedFloatWeights& w, std::size_t m,
               std::span<float> out, unsigned threads = 1);
/// gemm_fp16 bit for bit. a [m, k] (rounded to fp16 here), out [m, n]; w packed for Format::fp16;
/// chunk as there.
void gemm_fp16(std::span<const float> a, const PackedFloatWeights& w, std::size_t m,
               std::size_t chunk, std::span<float> out, unsigned threads = 1);

}  // namespace systole::quant
