// What the executor asks of calibration, answered from a calibration run.
#pragma once

#include <string_view>

#include "workloads/calibration.hpp"
#include "workloads/executor.hpp"

namespace systole::workloads {

class CalibratedModel final : public CalibrationData {
 public:
  /// `calibration` must be of a model of this shape. `seed`: of rotations and codebooks.
  CalibratedModel(const configs::ModelShape& shape, Calibration calibration, std::uint64_t seed);

  const quant::LayerStatistics* inputs(std::size_t layer, std::string_view site) const override;
  double block_cosine(std::size_t layer) const override;
  quant::KvCalibration cache(std::size_t layer, const quant::TensorPolicy& key,
                             const quant::TensorPolicy& value) const override;

 private:
  configs::ModelShape shape_;
  Calibration calibration_;
  std::uint64_t seed_;
};

/// The options that a recipe asks for: tokens, seed, and RSQ's token weights.
CalibrationOptions calibration_options(const configs::Recipe& recipe, unsigned threads);

}  // namespace systole::workloads
