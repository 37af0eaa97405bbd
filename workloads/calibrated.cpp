#include "workloads/calibrated.hpp"

#include <algorithm>

#include "quant/kernels/vector.hpp"
#include "quant/kv/calibrate.hpp"
#include "sim/core/error.hpp"

namespace systole::workloads {

using configs::Target;

CalibratedModel::CalibratedModel(const configs::ModelShape& shape, Calibration calibration,
                                 std::uint64_t seed)
    : shape_(shape), calibration_(std::move(calibration)), seed_(seed) {
  SYSTOLE_CHECK(calibration_.layers.size() == shape_.layers, "a calibration of another model");
}

const quant::LayerStatistics* CalibratedModel::inputs(std::size_t layer,
                                                      std::string_view site) const {
  if (site == "head") return &calibration_.head;
  const auto at = std::ranges::find(kSiteNames, site);
  SYSTOLE_CHECK(at != kSiteNames.end() && layer < calibration_.layers.size(), "no such input");
  return &calibration_.layers[layer].sites[static_cast<std::size_t>(at - kSiteNames.begin())];
}

double CalibratedModel::block_cosine(std::size_t layer) const {
  return calibration_.layers.at(layer).cosine;
}

quant::KvCalibration CalibratedModel::cache(std::size_t layer, const quant::TensorPolicy& key,
                                            const quant::TensorPolicy& value) const {
  if (!quant::kv_needs_calibration(key) && !quant::kv_needs_calibration(value)) return {};
  const LayerCalibration& c = calibration_.layers.at(layer);
  // The sensitivity of a channel counts for each of its samples.
  std::vector<float> key_weights;
  key_weights.reserve(c.keys.size());
  while (key_weights.size() < c.keys.size()) {
    key_weights.insert(key_weights.end(), c.key_sensitivity.begin(), c.key_sensitivity.end());
  }
  const quant::KvSampleRows samples{.key_pre = c.keys_before,
                                    .key_post = c.keys,
                                    .value = c.values,
                                    .query_pre = c.queries_before,
                                    .query_post = c.queries,
                                    .key_weights = key_weights,
                                    .value_weights = {}};
  return quant::calibrate_kv({shape_.kv_heads, shape_.head_dim, shape_.heads}, key, value, samples,
                             quant::rope_frequencies(shape_.head_dim, shape_.rope_theta), seed_);
}

CalibrationOptions calibration_options(const configs::Recipe& recipe, unsigned threads) {
  CalibrationOptions options;
  options.tokens = recipe.calibration.tokens;
  options.seed = recipe.calibration.seed;
  options.weighting = recipe[Target::weight].quantiser.weighting;
  options.threads = threads;
  return options;
}

}  // namespace systole::workloads
