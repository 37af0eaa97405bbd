// Layers to quantise: weights and correlated inputs with a few strong channels, as real ones have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "quant/quantisers/symmetric.hpp"
#include "sim/core/random.hpp"

namespace systole::quant::testing_tools {

struct Layer {
  std::size_t n, k, tokens;
  std::vector<float> weight;   ///< [n][k]
  std::vector<float> input;    ///< [tokens][k]
  std::vector<double> sum_xx;  ///< [k][k]
};

/// Inputs are mixtures of `factors` shared signals plus independent noise; every `strong`-th
/// channel is 20 times as large (0: none).
inline Layer make_layer(std::uint64_t seed, std::size_t n, std::size_t k, std::size_t tokens,
                        std::size_t factors = 4, std::size_t strong = 0) {
  Random random(seed);
  Layer layer{n, k, tokens, {}, {}, {}};
  layer.weight.resize(n * k);
  for (float& w : layer.weight) w = static_cast<float>(random.normal() * 0.1);
  std::vector<double> mixing(factors * k);
  for (double& m : mixing) m = random.normal();
  layer.input.resize(tokens * k);
  for (std::size_t t = 0; t < tokens; ++t) {
    std::vector<double> signal(factors);
    for (double& s : signal) s = random.normal();
    for (std::size_t j = 0; j < k; ++j) {
      double x = 0.3 * random.normal();
      for (std::size_t f = 0; f < factors; ++f) x += signal[f] * mixing[f * k + j];
      if (strong != 0 && j % strong == 0) x *= 20;
      layer.input[t * k + j] = static_cast<float>(x);
    }
  }
  layer.sum_xx.assign(k * k, 0.0);
  accumulate_outer(layer.input, k, layer.sum_xx, 0, k);
  mirror_upper(layer.sum_xx, k);
  return layer;
}

/// sum over tokens and outputs of ((w - q) x)^2, computed directly.
inline double output_error(const Layer& layer, const std::vector<float>& values) {
  double total = 0;
  for (std::size_t t = 0; t < layer.tokens; ++t) {
    for (std::size_t r = 0; r < layer.n; ++r) {
      double sum = 0;
      for (std::size_t j = 0; j < layer.k; ++j) {
        sum += (double{layer.weight[r * layer.k + j]} - double{values[r * layer.k + j]}) *
               double{layer.input[t * layer.k + j]};
      }
      total += sum * sum;
    }
  }
  return total;
}

}  // namespace systole::quant::testing_tools
