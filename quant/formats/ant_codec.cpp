// flint4, uflint4, pot4, upot4 as codecs of a matrix.
#include <algorithm>

#include "quant/check.hpp"
#include "quant/formats/codec.hpp"
#include "quant/formats/flint.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/formats/range.hpp"

namespace systole::quant {
namespace {

class AntCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    require(is_parameter_format(spec.scale),
            "scales are stored as a float or an 8-bit scale format");
    require(spec.affine == Affine::symmetric, "ANT's grids have no zero point");
    require(spec.range != RangeRule::absmax_signed, "this format has a scale without a sign");
    CodecLayout l;
    l.codes.word_bits = 4;
    l.scale = spec.scale;
    return l;
  }
  /// NORMATIVE. s = magnitude / largest value, as stored; of an unsigned grid the magnitude is that
  /// of the values with negative ones taken as 0.
  BoxParameters parameters(std::span<const float> values, const QuantSpec& spec,
                           std::span<const float>) const override {
    float magnitude = 0;
    if (spec.format == Format::uflint4 || spec.format == Format::upot4) {
      std::vector<float> positive(values.begin(), values.end());
      for (float& x : positive) x = std::max(x, 0.0f);
      magnitude = magnitude_of(positive, spec);
    } else {
      magnitude = magnitude_of(values, spec);
    }
    BoxParameters p;
    p.scale[0] =
        store_parameter(spec.scale, magnitude / static_cast<float>(ant_largest(spec.format)));
    return p;
  }
  /// NORMATIVE. The nearest value to x / s, ties to the larger (spec.rounding has no say); s = 0:
  /// 0.
  void encode_box(std::span<const float> values, const BoxParameters& p, const QuantSpec& spec,
                  std::span<std::uint16_t> codes) const override {
    const float s = p.scale[0];
    for (std::size_t i = 0; i < codes.size(); ++i) {
      codes[i] = s == 0 ? 0 : static_cast<std::uint16_t>(ant_encode(values[i] / s, spec.format));
    }
  }
  /// NORMATIVE. value = s * integer, one rounding.
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters& p,
                  const QuantSpec& spec, std::span<float> values) const override {
    const auto& grid = ant_values(spec.format);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      require(codes[i] < grid.size(), "a code has more than 4 bits");
      values[i] = p.scale[0] * static_cast<float>(grid[codes[i]]);
    }
  }
  std::optional<IntegerGrid> integers(const QuantSpec& spec, std::uint8_t) const override {
    const auto& grid = ant_values(spec.format);
    return IntegerGrid{{grid.begin(), grid.end()}, 1.0f};
  }
};

}  // namespace

const Codec* ant_codec(Format) {
  static const AntCodec codec;
  return &codec;
}

}  // namespace systole::quant
