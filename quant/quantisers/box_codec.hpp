// One scale box at a time: parameters fitted to some values, then single values to codes and back.
// What GPTQ, clip searches and allocation need of a format, and encode() of whole matrices cannot
// give: the parameters stay while the values move.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/format.hpp"

namespace systole::quant {

/// What a box stores beside its codes.
struct BoxParameters {
  float scale = 0;
  float zero = 0;        ///< minimum, zero point or offset by the affine form
  std::uint8_t tag = 0;  ///< special value (BitMoD)
  friend bool operator==(const BoxParameters&, const BoxParameters&) = default;
};

/// Values to codes under given parameters. Integers: the definition of quantise.hpp, widened to
/// 1 ... 16 bits and to the roundings of the spec (half-way cases; `down`: towards zero). Grids and
/// minifloats: the nearest of scale * element + zero, a tie going to the lower value, whatever the
/// spec's rounding. IEEE formats: the value rounded, no parameters.
class BoxCodec {
 public:
  /// Errors: std::invalid_argument for formats where one value has no code of its own (pairs,
  /// vectors, GGUF) or whose entries are calibrated (lut): static_table() takes those.
  explicit BoxCodec(const QuantSpec& spec);
  /// A codec over given element values; element i has code i. NaN marks a code that is not used.
  BoxCodec(const QuantSpec& spec, std::span<const float> elements);

  /// Parameters that cover [low, high] (affine forms and offset grids), or
  /// [-max(|low|,|high|), +...].
  BoxParameters parameters(float low, float high, std::uint8_t tag = 0) const;
  std::uint16_t encode(float x, const BoxParameters& p) const;
  float decode(std::uint16_t code, const BoxParameters& p) const;
  float nearest(float x, const BoxParameters& p) const { return decode(encode(x, p), p); }

  const QuantSpec& spec() const { return spec_; }
  /// Tags that parameters() may be given: 1 but for formats with special values.
  std::size_t tags() const { return tables_.empty() ? 1 : tables_.size(); }
  /// Whether the range has two ends that move apart.
  bool two_sided() const;
  /// As a parameter is stored: rounded to spec.scale, never infinite.
  float stored(float value) const;
  /// The largest element magnitude: absmax divided by it is the natural scale.
  float largest_element(std::uint8_t tag = 0) const;

 private:
  struct Table {
    std::vector<float> elements;      ///< by code
    std::vector<float> sorted;        ///< ascending
    std::vector<std::uint16_t> code;  ///< of sorted[i]
    float largest = 0;
  };
  static Table table_of(std::span<const float> elements);
  BoxParameters integer_parameters(float low, float high) const;
  std::uint16_t integer_encode(float x, const BoxParameters& p) const;

  QuantSpec spec_;
  int low_ = 0, high_ = 0;  ///< integer codes
  std::vector<Table> tables_;
};

}  // namespace systole::quant
