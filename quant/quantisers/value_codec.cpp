// Boxes of single values. The contract is in the header.
#include "quant/quantisers/value_codec.hpp"

#include <algorithm>

#include "quant/check.hpp"

namespace systole::quant {
namespace {

const BoxCodec* box_codec(Format format) {
  if (!has_codec(format) || info_of(format).kind == FormatClass::vector ||
      info_of(format).kind == FormatClass::pair) {
    return nullptr;
  }
  return dynamic_cast<const BoxCodec*>(&codec_of(format));
}

}  // namespace

bool has_value_codec(Format format) { return box_codec(format) != nullptr; }

ValueCodec::ValueCodec(const QuantSpec& spec, std::span<const float> table)
    : spec_(spec), covering_(spec), table_(table), codec_(box_codec(spec.format)) {
  require(codec_ != nullptr, "this format has no code for a single value in a box of its own");
  codec_->layout(spec);  // refuses what the format cannot do
  covering_.range = spec.affine == Affine::symmetric ? RangeRule::absmax : RangeRule::minmax;
  covering_.range_value = 0;
}

BoxParameters ValueCodec::parameters(std::span<const float> values) const {
  return codec_->parameters(values, spec_, table_);
}

BoxParameters ValueCodec::parameters(std::span<const float> values, float low, float high) const {
  std::vector<float> clamped(values.begin(), values.end());
  for (float& x : clamped) x = std::clamp(x, low, high);
  return codec_->parameters(clamped, covering_, table_);
}

std::uint16_t ValueCodec::encode(float x, const BoxParameters& p) const {
  std::uint16_t code = 0;
  codec_->encode_box({&x, 1}, p, spec_, {&code, 1});
  return code;
}

float ValueCodec::decode(std::uint16_t code, const BoxParameters& p) const {
  float x = 0;
  codec_->decode_box({&code, 1}, p, spec_, {&x, 1});
  return x;
}

void ValueCodec::nearest(std::span<const float> x, const BoxParameters& p,
                         std::span<float> out) const {
  require(x.size() == out.size(), "nearest: sizes disagree");
  std::vector<std::uint16_t> codes(x.size());
  codec_->encode_box(x, p, spec_, codes);
  codec_->decode_box(codes, p, spec_, out);
}

}  // namespace systole::quant
