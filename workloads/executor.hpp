// Functional execution: what the model computes under a recipe, bit for bit, without a cycle.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "configs/recipe.hpp"
#include "quant/kv/cache.hpp"
#include "quant/quantisers/quantise_weight.hpp"
#include "workloads/model.hpp"
#include "workloads/operand_matrix.hpp"

namespace systole::workloads {

class AttentionLayer;
class LinearInput;

/// Which positions' logits forward() returns.
enum class Logits : std::uint8_t { last, all };

/// Which kernels compute: the fastest this CPU has, or the normative ones. The bits are the same.
enum class Kernels : std::uint8_t { fast, reference };

/// Sees what flows through a forward pass: calibration and observations. Every callback may be
/// called for any number of rows; layers come in order.
class ForwardObserver {
 public:
  virtual ~ForwardObserver() = default;
  /// forward() of `tokens` tokens from position `start` begins, with weights of that format (of a
  /// run-time schedule; else the policy's own).
  virtual void pass(std::uint64_t tokens, std::uint64_t start, quant::Format weights);
  /// The input [rows, cols] of linear layers that share it, before the activation policy: `inputs`
  /// is "attn_qkv", "attn_output", "ffn_gate_up", "ffn_down" or (layer = number of layers) "head".
  virtual void linear_input(std::size_t layer, std::string_view inputs, std::span<const float> rows,
                            std::size_t cols);
  /// One linear layer's product [rows, channels]: `linear` is a name of kLinearNames or "head"
  /// (layer = number of layers).
  virtual void linear_product(std::size_t layer, std::string_view linear, LinearInput& input,
                              std::span<const float> product);
  /// Queries [rows, q_dim], keys [rows, kv_dim] before and after RoPE, values, of consecutive
  /// positions from `start`.
  virtual void attention(std::size_t layer, std::uint64_t start, std::span<const float> query_pre,
                         std::span<const float> query, std::span<const float> key_pre,
                         std::span<const float> key, std::span<const float> value);
  /// The residual stream [rows, hidden] before and after a block.
  virtual void block(std::size_t layer, std::span<const float> before,
                     std::span<const float> after);
};

/// What calibration found out about a model: calibration.hpp fills one.
class CalibrationData {
 public:
  virtual ~CalibrationData() = default;
  /// Of the inputs named as in ForwardObserver::linear_input; null when there are none.
  virtual const quant::LayerStatistics* inputs(std::size_t layer, std::string_view site) const = 0;
  /// Mean cosine of the residual stream before and after a block.
  virtual double block_cosine(std::size_t layer) const = 0;
  /// Of the cache of one layer under these policies.
  virtual quant::KvCalibration cache(std::size_t layer, const quant::TensorPolicy& key,
                                     const quant::TensorPolicy& value) const = 0;
};

/// Whether a recipe has parameters that only calibration finds.
bool needs_calibration(const configs::Recipe& recipe);

/// Bits that a model occupies under a recipe, all metadata included.
struct StoredModel {
  std::uint64_t weight_elements = 0;  ///< of the linear layers of the blocks
  std::uint64_t weight_bits = 0;
  std::uint64_t kv_elements = 0;  ///< of `kv_tokens` tokens, all layers, keys and values
  std::uint64_t kv_bits = 0;
  std::uint64_t kv_tokens = 0;
  double bits_per_weight() const;
  double bits_per_kv() const;
  double kv_bytes_per_token() const;
};

/// Runs a model under a recipe with the kernels of quant. Weights are quantised once, at
/// construction; the KV cache is inside and holds the tokens passed since reset(), in the recipe's
/// key and value formats.
///
/// Numbers: a token's values do not depend on how the tokens are split over forward() calls, on the
/// number of threads or on the CPU; the exception is an activation policy of one scale a tensor,
/// which spans the tokens of a call. Linear layers: see linear.hpp. Attention: attention.hpp, or
/// cached_attention.hpp where a key or value policy is more than one integer or float format. The
/// residual stream is fp32 unless the recipe gives `shortcut` a format. The embedding table is
/// rounded to embedding_format(recipe). Schedules: a map gives formats to layers or linear layers;
/// a phase or step schedule keeps one set of weights a format and chooses at each forward() (more
/// than one token: prefill); feedback chooses by the confidence of the last logits.
class FunctionalExecutor {
 public:
  /// `model` must outlive the executor. fp16_chunk: see quant::gemm_fp16; the rows of a
  /// weight-stationary array, 0 for one chunk. Errors: ConfigError for a recipe that
  /// configs::validate_policies() refuses.
  /// `calibration`: needed where needs_calibration(recipe); used during construction only.
  FunctionalExecutor(const LlamaModel& model, const configs::Recipe& recipe, unsigned threads = 1,
                     Kernels kernels = Kernels::fast, std::uint32_t fp16_chunk = 0,
                     const CalibrationData* calibration = nullptr);
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

  /// The weight of a linear layer, named as in ForwardObserver::linear_product, as the last
  /// forward() multiplied by it; made again at every call. Nothing where calibration shaped it.
  std::optional<OperandMatrix> weight(std::size_t layer, std::string_view linear) const;
  /// The attention of a layer; null where its cache is not a plain one.
  const AttentionLayer* plain_attention(std::size_t layer) const;

  /// For a `spec` schedule: compute with the draft's weights, or (as at first) the verifier's.
  void use_draft(bool draft);
  /// Tokens that the draft proposes at a time; 0 without a `spec` schedule.
  std::uint64_t draft_length() const;
  /// Cuts the cache back to `length` tokens, at most position().
  void cut(std::uint64_t length);

  /// Empties the cache.
  void reset();

  /// Input channels of each format, of weights in more than one (maps, classes): by layer and
  /// linear layer, bits ascending.
  std::vector<std::array<std::vector<quant::FormatShare>, 7>> format_shares() const;

  /// Weights as prepared, and a cache of `tokens` tokens in closed form.
  StoredModel stored(std::uint64_t tokens) const;
  /// Operations of the KV cache so far, all layers; zeros for plain caches.
  quant::OpCounts cache_operations() const;

  std::uint64_t position() const;  ///< tokens in the cache
  const configs::ModelShape& shape() const;
  const configs::Recipe& recipe() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace systole::workloads
