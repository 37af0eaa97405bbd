// What a model's activations are like: statistics for offline quantisers, collected by running the
// model in fp32 through the functional executor.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/policy.hpp"
#include "quant/quantisers/quantise_weight.hpp"
#include "workloads/model.hpp"

namespace systole::workloads {

struct CalibrationOptions {
  std::uint64_t tokens = 4096;      ///< used at most
  std::uint64_t window = 0;         ///< of a sequence; 0: the model's positions
  std::uint64_t seed = 0;           ///< order in which sequences are taken
  std::uint32_t sample_rows = 128;  ///< inputs kept of each site, evenly spread
  std::uint32_t kv_tokens =
      512;  ///< tokens whose keys, values and queries are kept, the first ones
  quant::TokenWeighting weighting = quant::TokenWeighting::uniform;  ///< of sum x x^T
  unsigned threads = 1;  ///< changes no bit of the result
  /// Called after each sequence with (tokens done, tokens in all).
  std::function<void(std::uint64_t, std::uint64_t)> progress = {};
};

/// Inputs of the linear layers that share one.
enum class Site : std::uint8_t { attn_qkv, attn_output, ffn_gate_up, ffn_down };
inline constexpr std::array<std::string_view, 4> kSiteNames = {"attn_qkv", "attn_output",
                                                               "ffn_gate_up", "ffn_down"};

struct LayerCalibration {
  std::array<quant::LayerStatistics, 4> sites;  ///< by Site
  /// Of the first kv_tokens tokens: [tokens][q_dim or kv_dim], before and after RoPE.
  std::vector<float> queries_before, queries, keys_before, keys, values;
  /// Mean squared query (rotated) that meets a key channel [kv_dim], over the heads that share it
  /// and averaged in rotary pairs. To first order a key error d moves a score by q d, so this
  /// stands in for the diagonal Fisher information of keys. It approximates: it leaves out the
  /// softmax and everything behind it, and is the same for all tokens.
  std::vector<float> key_sensitivity;
  /// Attention that each of the first kv_tokens tokens received, summed over heads and queries.
  std::vector<double> attention_received;
  double cosine = 0;  ///< mean over tokens of cos(block input, block output): LIM is -cosine
};

/// How the cache file served.
enum class CacheUse : std::uint8_t { none, read, written, not_written };

struct Calibration {
  std::vector<LayerCalibration> layers;
  quant::LayerStatistics head;  ///< input of the classifier
  std::uint64_t tokens = 0;
  CacheUse cache = CacheUse::none;
};

/// Token sequences of texts: each with the beginning-of-text token, cut to the window, in an order
/// shuffled by the seed, until `tokens` are together. Errors: ConfigError when there is no
/// tokeniser or no token.
std::vector<std::vector<std::uint32_t>> calibration_sequences(const LlamaModel& model,
                                                              std::span<const std::string> texts,
                                                              const CalibrationOptions& options);

/// Runs the sequences, each from an empty cache, and collects. sum x x^T is in double, tokens in
/// order; with weighting rsq each token counts r_t, the attention it received in this layer summed
/// over heads and queries, min-max normalised and scaled to a mean of 1 in its sequence
/// (quant::rsq_token_weights), rows being multiplied by sqrt(r_t) in fp32. Memory: four matrices
/// [cols][cols] of doubles a layer. Gradients are not computed: Fisher information proper and
/// Taylor scores must come from outside. Errors: ConfigError for no token; as FunctionalExecutor.
Calibration calibrate(const LlamaModel& model,
                      std::span<const std::vector<std::uint32_t>> sequences,
                      const CalibrationOptions& options = {});

/// The same through a cache file at `path` (empty: none). The file holds a digest of the weights,
/// the sequences and the options that matter; one that does not match, is damaged or is not ours is
/// recomputed and replaced (written beside it and renamed). A file that cannot be written is no
/// error: see Calibration::cache.
Calibration calibrate(const LlamaModel& model,
                      std::span<const std::vector<std::uint32_t>> sequences,
                      const CalibrationOptions& options, const std::string& path);

}  // namespace systole::workloads
