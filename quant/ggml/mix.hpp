// Which format each tensor of a llama model gets in llama.cpp's mixed files ("Q4_K_M" and its
// like): the tensors found to matter most are stored with more bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "quant/format.hpp"

namespace systole::quant {

enum class Mix : std::uint8_t { q2_k, q3_k_m, q4_k_m, q5_k_m };
inline constexpr std::array<std::string_view, 4> kMixNames = {"q2_k", "q3_k_m", "q4_k_m", "q5_k_m"};

/// The mix whose usual format that is: Q4_K_M for q4_k; nothing for other formats.
std::optional<Mix> mix_of(Format format);

/// What a tensor is in the model. `vector` is any of one dimension (norms, biases).
enum class TensorRole : std::uint8_t {
  token_embedding,
  output,
  attention_q,
  attention_k,
  attention_v,
  attention_output,
  ffn_gate,
  ffn_up,
  ffn_down,
  vector
};

/// What the map depends on besides the tensor.
struct MixModel {
  std::size_t query_heads_per_kv_head = 1;
  bool tied_embeddings = false;  ///< the embedding is also the output matrix
};

/// Layers that get more bits: the first and the last eighth, and every third between. `layer` <
/// `layers`. Divisions truncate.
constexpr bool use_more_bits(std::size_t layer, std::size_t layers) {
  const std::size_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

/// The format of one tensor, whose rows have `cols` elements:
///   default           q2_k Q2_K, q3_k_m Q3_K, q4_k_m Q4_K, q5_k_m Q5_K
///   output            Q6_K, and Q8_0 when cols % 256 != 0; the embedding too when it is tied
///   attention_v       q2_k: Q4_K with 4 or more query heads a KV head, else Q3_K; q3_k_m: Q5_K in
///                     layers 0 and 1, else Q4_K; q4_k_m and q5_k_m: Q6_K where use_more_bits;
///                     then, with 80 layers and shared KV heads (the 70B model), Q5_K for Q3_K or
///                     Q4_K
///   attention_output  q2_k: Q3_K; q3_k_m: Q4_K
///   ffn_down          q2_k: Q3_K; q3_k_m: Q5_K in the first sixteenth of the layers, else Q4_K;
///                     q4_k_m and q5_k_m: Q6_K where use_more_bits
///   vector            fp32, not quantised
/// then gguf_fallback(_, cols). Without an importance matrix; dense models (no experts).
/// Errors: std::invalid_argument unless layer < layers (ignored for embedding, output and vector).
/// Source: ggml-org/llama.cpp, src/llama-quant.cpp (commit 007dbbf3), llama_tensor_get_type_impl
/// and tensor_allows_quantization; the 70B rule: the model type of 80 layers with fewer KV than
/// query heads in its llama loader.
Format mixed_type(Mix mix, TensorRole role, std::size_t layer, std::size_t layers, std::size_t cols,
                  const MixModel& model = {});

}  // namespace systole::quant
