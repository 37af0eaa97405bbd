// Attention over a cache of any system: the adapter between the executor and quant's KvCache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "configs/model.hpp"
#include "configs/recipe.hpp"
#include "quant/kv/cache.hpp"

namespace systole::workloads {

/// What one layer's new tokens bring: all [tokens, q_dim or kv_dim], before and after RoPE.
struct AttentionInput {
  std::uint64_t start = 0;
  std::span<const float> query_pre, query, key_pre, key, value;
  std::span<const float> residual;  ///< [tokens, hidden], what the block reads
};

/// One layer. Each token is appended and attends before the next one comes, so that it sees the
/// cache as a decoding machine would have it (quantise, then attend: quantization.md §12 trap 16).
/// Queries are rounded to the query policy's float format; probabilities are fp32, or rounded by
/// the cache's own rule.
class CachedAttention {
 public:
  /// `layer` chooses the entry of a map schedule. Errors: ConfigError naming the policy that cannot
  /// be done for this shape.
  CachedAttention(const configs::ModelShape& shape, const configs::Recipe& recipe,
                  std::uint32_t layer, quant::KvCalibration calibration, bool reference);

  /// Whether the recipe's cache needs this class: a key or value policy that is not plain.
  static bool needed(const configs::Recipe& recipe);

  void forward(const AttentionInput& input, std::span<float> out);

  /// Forgets every token from `length` on; only 0 or the present length: codes depend on what came
  /// after. Errors: ConfigError for another length.
  void truncate(std::uint64_t length);
  std::uint64_t length() const { return length_; }
  const quant::KvCache& cache() const { return cache_; }

 private:
  std::size_t q_dim_, kv_dim_, hidden_;
  quant::Format query_;
  std::size_t hidden_sinks_ = 0;
  quant::KvCache cache_;
  std::uint64_t length_ = 0;
};

}  // namespace systole::workloads
