// Private to the quantisers: a weight matrix cut into column parts, each with its own format, and
// the boxes of every row, as one codec that rounding and GPTQ can both drive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "quant/coded_matrix.hpp"
#include "quant/quantisers/gptq.hpp"
#include "quant/quantisers/value_codec.hpp"

namespace systole::quant {

/// Columns that share a spec; position i of a part is column columns[i], and boxes are runs of
/// positions.
struct WeightPart {
  std::vector<std::uint32_t> columns;
  QuantSpec spec;
};

/// Finds the parameters of one box: row, position of its first column in the part, values.
using FitBox = std::function<BoxParameters(std::size_t row, std::size_t first,
                                           std::span<const float> values, const ValueCodec& codec)>;

class WeightBoxes final : public GptqCodec {
 public:
  /// `fit` empty: find_scale(). Parts must cover every column once. Errors: std::invalid_argument.
  WeightBoxes(std::size_t n, std::size_t k, std::vector<WeightPart> parts, FitBox fit = {});

  /// Fits every box to `weight` [n][k], for good: GPTQ's fit() then changes nothing.
  void fit_all(std::span<const float> weight);
  /// After fit_all(): changes the scales of a part, [n][boxes], in place.
  void adjust_scales(std::size_t part, const std::function<void(std::span<float>)>& change);
  /// Codes of every element of `weight`. Formats without single-value codes are encoded whole.
  void encode_all(std::span<const float> weight);
  /// Whether GPTQ can drive all parts.
  bool has_values() const;

  // GptqCodec. Ranges follow the corrected weights only while there is one part of single-value
  // codes whose boxes were not fitted beforehand; its columns must be in the order of quantisation.
  std::size_t group() const override;
  void fit(std::size_t row, std::size_t group, std::span<const float> values,
           std::span<const std::uint32_t> columns) override;
  float quantise(std::size_t row, std::size_t group, std::uint32_t column, float w) override;

  /// The parts as matrices [n][columns of the part].
  std::vector<CodedMatrix> take();
  /// Decoded [n][k] in column order, by the formats' decode().
  std::vector<float> values() const;

 private:
  struct Part {
    std::vector<std::uint32_t> columns;
    CodedMatrix coded;
    std::optional<ValueCodec> codec;
    std::vector<BoxParameters> boxes;  ///< [n][coded.groups], while there is a codec
    /// MX and NVFP4: elements at scale 1 with their codes, ascending.
    std::vector<std::pair<float, std::uint16_t>> elements;
  };
  void fit_box(Part& part, std::size_t row, std::size_t box, std::span<const float> values);
  void encode_part(Part& part, std::span<const float> weight);
  static void store_parameters(Part& part);
  std::vector<float> part_of(std::span<const float> weight, const Part& part) const;

  std::size_t n_, k_;
  FitBox fit_;
  bool fixed_ = false;
  std::vector<Part> parts_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> place_;  ///< by column: part, position
};

}  // namespace systole::quant
