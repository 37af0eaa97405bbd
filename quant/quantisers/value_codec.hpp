// One scale box at a time: parameters fitted to some values, then single values to codes and back.
// What GPTQ, clip searches and allocation need of a format, and encode() of whole matrices cannot
// give: the parameters stay while the values move. The numbers are those of formats/codec.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/format.hpp"
#include "quant/formats/codec.hpp"

namespace systole::quant {

/// The codec of a spec as a function of single values.
class ValueCodec {
 public:
  /// `table`: entries of a calibrated table (lut), which must outlive the codec. Errors:
  /// std::invalid_argument for formats where one value has no code under its own box (pairs,
  /// vectors, MX and NVFP4, GGUF) and for what the format's codec refuses.
  explicit ValueCodec(const QuantSpec& spec, std::span<const float> table = {});

  const QuantSpec& spec() const { return spec_; }
  /// By the spec's own range rule. `values` is not empty.
  BoxParameters parameters(std::span<const float> values) const;
  /// Covering the values clamped to [low, high] (their whole range, or +- its largest magnitude).
  BoxParameters parameters(std::span<const float> values, float low, float high) const;

  std::uint16_t encode(float x, const BoxParameters& p) const;
  float decode(std::uint16_t code, const BoxParameters& p) const;
  float nearest(float x, const BoxParameters& p) const { return decode(encode(x, p), p); }
  /// out[i] = nearest(x[i]).
  void nearest(std::span<const float> x, const BoxParameters& p, std::span<float> out) const;

 private:
  QuantSpec spec_;      ///< as given
  QuantSpec covering_;  ///< the same, with the rule that takes the whole range
  std::span<const float> table_;
  const BoxCodec* codec_;
};

/// Whether ValueCodec takes the format.
bool has_value_codec(Format format);

}  // namespace systole::quant
