// Attention over a KV cache in the formats of a recipe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "configs/model.hpp"
#include "configs/recipe.hpp"
#include "quant/kernels/packed_gemm.hpp"
#include "quant/quantise.hpp"
#include "workloads/operand_matrix.hpp"

namespace systole::workloads {

/// What one KV head multiplies: queries [tokens * share, head_dim] with keys [length, head_dim],
/// and probabilities [tokens * share, length] with values [head_dim, length]; a token's query heads
/// are neighbouring rows, probabilities of later tokens 0.
struct AttentionOperands {
  OperandMatrix query, key, probability, value;
};

/// The cache of one layer and the attention that reads it.
///
/// Numbers, for a query token at position p, a head, and t = 0..p:
///   scores_t  query and key integers: (float(isum) * s_k[t]) * s_q, isum exact; else both decoded
///   (rounded), products
///             summed as gemm_fp32 or gemm_fp16 does; then * (1 / sqrt(head_dim)), and fp32
///             softmax; in a model with a sliding window of W tokens, t <= p - W have no score
///             (-infinity, so that their probability is 0).
///   context_j probability and value integers: p'_t = p_t * s_v[t] quantised over t, float(sum of
///   codes) * s_p';
///             else p_t and v_t decoded (rounded), summed with t ascending.
/// gemm_fp16's order is taken where the moving operand is fp16 and the stationary one fp16 or an
/// integer, gemm_fp32's otherwise; they differ only by `chunk`. Every token is quantised per
/// (token, head), when it comes, on its own.
class AttentionLayer {
 public:
  /// fp16_chunk: see gemm_fp16; 0 sums all of k in one chunk. `reference`: the normative kernels
  /// instead of the vectorised loops, bit for bit the same.
  AttentionLayer(const configs::ModelShape& shape, const configs::Recipe& recipe,
                 std::size_t fp16_chunk, bool reference);

  /// Appends rotated keys and values [tokens, kv_dim].
  void append(std::span<const float> keys, std::span<const float> values);

  /// out [tokens, q_dim] for rotated queries [tokens, q_dim], whose last token is the last one in
  /// the cache.
  void attend(std::span<const float> queries, std::span<float> out, unsigned threads) const;

  /// The operands of the last attend(), whose queries these were.
  AttentionOperands operands(std::span<const float> queries, std::size_t kv_head) const;

  /// Forgets every token from `length` on.
  void truncate(std::size_t length) { length_ = length; }
  std::size_t length() const { return length_; }

 private:
  /// One KV head. Keys are stored transposed so that scores of neighbouring tokens are computed
  /// side by side.
  struct Head {
    std::vector<float> keys;  ///< [head_dim][capacity], decoded; empty when scores are integer
    std::vector<float>
        values;  ///< [capacity][head_dim], decoded; empty when the context is integer
    std::vector<std::int8_t> key_codes;           ///< [head_dim][capacity]
    std::vector<std::int8_t> value_codes;         ///< [capacity][head_dim]
    std::vector<float> key_scales, value_scales;  ///< [capacity]
  };
  struct Workspace;

  /// Takes the scores from a token's row that its sliding window hides.
  void hide(std::span<float> scores) const;
  void grow(std::size_t tokens);
  void append_keys(std::span<const float> keys, std::size_t tokens);
  void append_values(std::span<const float> values, std::size_t tokens);
  void scores(const Head& head, std::span<const float> query, const std::int8_t* codes, float scale,
              Workspace& work) const;
  void context(const Head& head, Workspace& work, std::span<float> out) const;
  OperandMatrix cached(const Head& head, bool keys) const;
  void reference_scores(const Head& head, std::span<const float> query, const std::int8_t* codes,
                        float scale, Workspace& work) const;
  void reference_context(const Head& head, Workspace& work, std::span<float> out) const;

  quant::PackedWeights packed_keys(const Head& head) const;
  quant::PackedWeights packed_values(const Head& head) const;
  void attend_blocks(const quant::QuantizedMatrix& queries, float inverse_root,
                     std::span<float> out, unsigned threads) const;

  std::size_t head_dim_, share_, kv_heads_, window_;
  quant::QuantSpec query_, key_, value_, probability_;
  bool integer_scores_, integer_context_;
  bool fp16_scores_, fp16_context_;
  std::size_t fp16_chunk_;
  bool reference_;
  std::vector<Head> heads_;
  std::size_t capacity_ = 0;
  std::size_t length_ = 0;
};

/// Whether a product of these operands is computed as gemm_fp16 has it.
bool uses_fp16(const quant::QuantSpec& moving, const quant::QuantSpec& stationary);

}  // namespace systole::workloads
