// What KVQuant calibrates offline: thresholds, look-up tables weighted by sensitivity, the Q-Norm
// correction; and dense-and-sparse splits, which weights use too. The cache that applies them is in
// quant/kv.
//
// Source: KVQuant (arXiv 2401.18079), SqueezeLLM (arXiv 2306.07629); quantization.md A1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/primitives/select.hpp"

namespace systole::quant {

struct KvQuantOptions {
  unsigned bits = 4;
  double sparsity = 0.01;    ///< share of values kept apart, half above and half below
  bool q_norm = false;       ///< a second table to decode with
  unsigned iterations = 50;  ///< of k-means
};

/// One layer's keys or values.
struct KvQuantTables {
  std::vector<float> table;         ///< [2^bits] in [-1, 1], ascending: encode with it
  std::vector<float> decode_table;  ///< Q-Norm's; equal to `table` without
  std::vector<float> low,
      high;  ///< keys: thresholds by channel; values: empty (per token, dynamic)
  std::size_t above = 0, below = 0;  ///< values: outliers a token on each side
  /// offset (high + low) / 2 and range (high - low) / 2 of a channel.
  float offset(std::size_t channel) const { return (high[channel] + low[channel]) * 0.5f; }
  float range(std::size_t channel) const { return (high[channel] - low[channel]) * 0.5f; }
};

/// Keys before RoPE [tokens][channels]: per channel the quantiles s/2 and 1 - s/2 (linear between
/// neighbours) are thresholds and, being the extremes of what is not an outlier, give offset and
/// range; k-means over all normalised values within them. `sensitivity` [tokens][channels] is the
/// diagonal of the Fisher information (squared gradients); empty: all 1. Errors:
/// std::invalid_argument for sizes, bits not 1 ... 8, sparsity not in [0, 1).
KvQuantTables kvquant_keys(std::span<const float> keys, std::size_t channels,
                           std::span<const float> sensitivity, const KvQuantOptions& options);
/// Values: per token the round(s/2 * channels) largest and as many smallest are outliers; offset
/// and range from the rest.
KvQuantTables kvquant_values(std::span<const float> values, std::size_t channels,
                             std::span<const float> sensitivity, const KvQuantOptions& options);

/// The table moved so that decoded values have the mean and standard deviation of the originals:
/// entry * (sigma1 / sigma2) + (mu1 - mu2 * sigma1 / sigma2). sigma2 = 0: unchanged.
std::vector<float> q_norm(std::span<const float> table, std::span<const float> original);

/// round(fraction * n * k) elements are kept apart; ties to the lower index. Errors:
/// std::invalid_argument for sizes or a fraction outside [0, 1].
DenseSparse split_outliers(std::span<const float> weight, std::size_t n, std::size_t k,
                           double fraction);
/// dense += sparse, in place.
void add_sparse(std::span<float> dense, const SparseMatrix& sparse);

}  // namespace systole::quant
