// A quantisation recipe: which tensor is stored and computed in which format, and where
// dequantisation happens.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "quant/format.hpp"

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
};
inline constexpr std::size_t kTargetCount = 7;
inline constexpr std::array<std::string_view, kTargetCount> kTargetNames = {
    "weight", "head", "activation", "query", "key", "value", "probability"};

/// Where a quantised weight becomes a real number (axis C).
enum class Dequantise : std::uint8_t {
  after,   ///< integer products summed within a group, one scale-add per group and output (MixPE
           ///< §3.1)
  before,  ///< every weight element is scaled before the multiply, in fp32 or fp16
};
inline constexpr std::array<std::string_view, 2> kDequantiseNames = {"after", "before"};

struct Recipe {
  std::string name;
  std::string summary;
  std::string source;
  std::array<quant::QuantSpec, kTargetCount> policies{};  ///< indexed by Target; default fp32
  Dequantise dequantise = Dequantise::after;

  const quant::QuantSpec& operator[](Target t) const {
    return policies[static_cast<std::size_t>(t)];
  }
  quant::QuantSpec& operator[](Target t) { return policies[static_cast<std::size_t>(t)]; }

  friend bool operator==(const Recipe&, const Recipe&) = default;
};

}  // namespace systole::configs
