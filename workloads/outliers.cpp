#include "workloads/outliers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "sim/core/error.hpp"
#include "sim/core/random.hpp"

namespace systole::workloads {
namespace {

constexpr std::uint32_t kHiddenPerOutlier = 128;

void divide_columns(std::vector<float>& weight, std::size_t cols,
                    const std::vector<std::uint32_t>& channels, float factor) {
  for (std::size_t row = 0; row < weight.size(); row += cols) {
    for (const std::uint32_t c : channels) weight[row + c] /= factor;
  }
}

}  // namespace

std::vector<std::uint32_t> inject_outliers(LlamaModel& model, double factor, std::uint64_t seed) {
  if (!(std::isfinite(factor) && factor > 0)) {
    throw ConfigError(
        fmt::format("outlier factor: found {}; expected a finite number above 0", factor));
  }
  const std::uint32_t hidden = model.shape.hidden;
  const std::size_t count = std::max(1u, hidden / kHiddenPerOutlier);
  Random random(seed);
  std::set<std::uint32_t> chosen;
  while (chosen.size() < count)
    chosen.insert(static_cast<std::uint32_t>(random.uniform(0, hidden - 1)));
  const std::vector<std::uint32_t> channels(chosen.begin(), chosen.end());
  const auto by = static_cast<float>(factor);
  for (LayerWeights& layer : model.layers) {
    for (const std::uint32_t c : channels) {
      layer.attn_norm[c] *= by;
      layer.ffn_norm[c] *= by;
    }
    for (auto* weight : {&layer.q, &layer.k, &layer.v, &layer.gate, &layer.up}) {
      divide_columns(*weight, hidden, channels, by);
    }
  }
  return channels;
}

}  // namespace systole::workloads
