// The shape of a Llama-architecture model: all that timing needs when there are no weights.
#pragma once

#include <cstdint>
#include <string>

namespace systole::configs {

/// RMSNorm, RoPE, grouped-query attention, SwiGLU (one, or experts that tokens are routed to), no
/// biases.
struct ModelShape {
  std::string name;
  std::string summary;
  std::string source;
  std::uint32_t layers = 0;
  std::uint32_t hidden = 0;
  std::uint32_t intermediate = 0;       ///< of an expert where there are some
  std::uint32_t experts = 0;            ///< 0: dense
  std::uint32_t experts_per_token = 0;  ///< of them
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;
  std::uint32_t head_dim = 0;  ///< 0 = hidden / heads
  std::uint32_t vocab = 0;
  std::uint32_t max_positions = 0;
  std::uint32_t sliding_window = 0;  ///< tokens that a token attends to, itself included; 0: all
  double rope_theta = 10000.0;
  double norm_epsilon = 1e-5;
  bool tied_embedding = false;

  std::uint64_t kv_dim() const { return std::uint64_t{kv_heads} * head_dim; }
  std::uint64_t q_dim() const { return std::uint64_t{heads} * head_dim; }
  /// Weights of the linear layers, head and embedding (tied ones once), and the norms.
  std::uint64_t parameters() const;

  friend bool operator==(const ModelShape&, const ModelShape&) = default;
};

}  // namespace systole::configs
