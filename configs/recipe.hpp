// A quantisation recipe: which tensor is stored and computed in which format, and where
// dequantisation happens.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "quant/policy.hpp"

namespace systole::configs {

/// The tensors that a recipe gives a policy to (quantization.md §2.1, axis T).
enum class Target : std::uint8_t {
  weight,       ///< the seven linear layers of a block: q, k, v, o, gate, up, down
  head,         ///< the classifier; the embedding look-up stays in the stored format
  activation,   ///< inputs of the linear layers and of the head
  query,        ///< rotated queries, moving operand of the scores
  key,          ///< rotated keys in the cache
  value,        ///< values in the cache
  probability,  ///< softmax output, moving operand of the context product
  embedding,    ///< the embedding table (not given: as the head has it, fp16 for an integer head)
  shortcut,     ///< the residual stream
};
inline constexpr std::size_t kTargetCount = 9;
inline constexpr std::array<std::string_view, kTargetCount> kTargetNames = {
    "weight", "head",        "activation", "query",   "key",
    "value",  "probability", "embedding",  "shortcut"};

/// Where a quantised weight becomes a real number (axis C).
enum class Dequantise : std::uint8_t {
  after,   ///< integer products summed within a group, one scale-add per group and output (MixPE
           ///< §3.1)
  before,  ///< every weight element is scaled before the multiply, in fp32 or fp16
};
inline constexpr std::array<std::string_view, 2> kDequantiseNames = {"after", "before"};

/// Which text calibrates what has to be calibrated (GPTQ, AWQ, KVQuant ...).
struct Calibration {
  std::uint32_t tokens = 4096;  ///< taken from the calibration text
  std::uint32_t seed = 1;       ///< of random rotations, codebooks and probe rows
  friend bool operator==(const Calibration&, const Calibration&) = default;
};

struct Recipe {
  std::string name;
  std::string summary;
  std::string source;
  std::array<quant::TensorPolicy, kTargetCount> policies{};  ///< indexed by Target; default fp32
  Dequantise dequantise = Dequantise::after;
  Calibration calibration;

  const quant::TensorPolicy& operator[](Target t) const {
    return policies[static_cast<std::size_t>(t)];
  }
  quant::TensorPolicy& operator[](Target t) { return policies[static_cast<std::size_t>(t)]; }

  friend bool operator==(const Recipe&, const Recipe&) = default;
};

/// Whether every policy is plain (quant::is_plain): what the timed machine models.
bool is_plain(const Recipe& recipe);

}  // namespace systole::configs
