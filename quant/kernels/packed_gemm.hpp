// The matrix products of gemm.hpp at speed, with the same bits: weights packed once for one
// instruction set chosen at run time, register- and cache-blocked, over any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "quant/kernels/gemm.hpp"
#include "quant/kernels/path.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {

/// A weight [N, K] for gemm_dequantise_after, repacked for one path. Accelerated are symmetric
/// weights of any integer format and granularity, and integer_zero ones of up to 7 bits (their zero
/// point folds into the codes); the others run the reference (see path()).
class PackedWeights {
 public:
  /// Errors: std::invalid_argument when `path` is not available on this CPU.
  explicit PackedWeights(QuantizedMatrix weights, Path path = best_path());
  PackedWeights(PackedWeights&&) noexcept;
  PackedWeights& operator=(PackedWeights&&) noexcept;
  ~PackedWeights();

  std::size_t rows() const;
  std::size_t cols() const;
  Path path() const;  ///< what runs: `reference` where nothing faster exists, whatever was asked
  const QuantSpec& spec() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// gemm_dequantise_after(a, w, out), bit for bit, on `threads` threads (0 counts as 1; static
/// partition). Threads are started for the call (tens of microseconds each): more than one pays
/// from some ten million multiply-accumulates on.
void gemm_dequantise_after(const QuantizedMatrix& a, const PackedWeights& w, std::span<float> out,
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
