// Functional execution: what the model computes under a recipe, bit for bit, without a cycle.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "configs/recipe.hpp"
#include "workloads/model.hpp"

namespace systole::workloads {

/// Which positions' logits forward() returns.
enum class Logits : std::uint8_t { last, all };

/// Which kernels compute: the fastest this CPU has, or the normative ones. The bits are the same.
enum class Kernels : std::uint8_t { fast, reference };

/// Sees what flows through a forward pass: calibration and observations. Every callback may be
/// called for any number of rows; layers come in order.
class ForwardObserver {
 public:
  virtual ~ForwardObserver() = default;
  /// The input [rows, cols] of linear layers that share it, before the activation policy: `inputs` is
  /// "attn_qkv", "attn_output", "ffn_gate_up", "ffn_down" or (layer = number of layers) "head".
  virtual void linear_input(std::size_t layer, std::string_view inputs, std::span<const float> rows,
                            std::size_t cols);
  /// Queries [rows, q_dim], keys [rows, kv_dim] before and after RoPE, values, of consecutive
  /// positions from `start`.
  virtual void attention(std::size_t layer, std::uint64_t start, std::span<const float> query_pre,
                         std::span<const float> query, std::span<const float> key_pre,
                         std::span<const float> key, std::span<const float> value);
  /// The residual stream [rows, hidden] before and after a block.
  virtual void block(std::size_t layer, std::span<const float> before,
                     std::span<const float> after);
};

/// Runs a model under a recipe with the kernels of quant. Weights are quantised once, at
/// construction; the KV cache is inside and holds the tokens passed since reset(), in the recipe's
/// key and value formats.
///
/// Numbers: a token's values do not depend on how the tokens are split over forward() calls, on the
/// number of threads or on the CPU; the exception is an activation policy of one scale a tensor,
/// which spans the tokens of a call. A linear layer is gemm_dequantise_after where weight and
/// activation are integers and the recipe dequantises after; otherwise both are decoded, and it is
/// gemm_fp16 (activation fp16, weight fp16 or integer) or gemm_fp32. Attention: see attention.hpp.
/// The residual stream is fp32. The embedding table is rounded to embedding_format(recipe).
class FunctionalExecutor {
 public:
  /// `model` must outlive the executor. fp16_chunk: see quant::gemm_fp16; the rows of a
  /// weight-stationary array, 0 for one chunk. Errors: ConfigError for a recipe that
  /// configs::validate_policies() refuses.
  FunctionalExecutor(const LlamaModel& model, const configs::Recipe& recipe, unsigned threads = 1,
                     Kernels kernels = Kernels::fast, std::uint32_t fp16_chunk = 0);
  FunctionalExecutor(FunctionalExecutor&&) noexcept;
  FunctionalExecutor& operator=(FunctionalExecutor&&) noexcept;
  ~FunctionalExecutor();

  /// Computes `tokens` at positions start_position, start_position + 1, ... and returns logits [n,
  /// vocab] row-major, n = tokens.size() or 1. start_position <= position(): the cache is cut back
  /// to it first (a shared prefix is reused). Errors: SYSTOLE_CHECK for no token, a token outside
  /// the vocabulary, a gap, or beyond max_positions.
  std::vector<float> forward(std::span<const std::uint32_t> tokens, std::uint64_t start_position,
                             Logits logits = Logits::last);

  /// From now on tells `observer` (nullptr: nobody) what flows; it must outlive its use.
  void observe(ForwardObserver* observer);

  /// Empties the cache.
  void reset();

  std::uint64_t position() const;  ///< tokens in the cache
  const configs::ModelShape& shape() const;
  const configs::Recipe& recipe() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace systole::workloads
