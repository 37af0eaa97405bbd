// Formats of few levels and odd steps: half (QuEST), sign, ternary.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "quant/check.hpp"
#include "quant/formats/codec.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/formats/range.hpp"
#include "quant/formats/rounding.hpp"

namespace systole::quant {
namespace {

void check_scale(const QuantSpec& spec) {
  require(is_parameter_format(spec.scale), "scales are stored as a float or an 8-bit scale format");
  require(spec.range != RangeRule::absmax_signed, "this format has a scale without a sign");
}

/// F5: x = s (q + 1/2), q from -L/2 to L/2 - 1, so there is no zero. L = `levels` (16 where 0), a
/// power of two; the code is q + L/2.
class HalfCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    check_scale(spec);
    require(spec.affine == Affine::symmetric, "half has no zero point");
    CodecLayout l;
    l.codes.word_bits = static_cast<unsigned>(std::bit_width(levels(spec))) - 1;
    l.scale = spec.scale;
    return l;
  }
  /// NORMATIVE. s = 2 alpha / (L - 1), as stored. alpha = c_b times the root mean square of the box
  /// (automatic, sigma with range_value 0; c_b minimises the squared error of a Gaussian),
  /// range_value times it (sigma), or the magnitude of another rule. Source: QuEST (arXiv
  /// 2502.05003), IST-DASLab/QuEST base_linear.py; its epsilon of 1e-8 is left out.
  BoxParameters parameters(std::span<const float> values, const QuantSpec& spec,
                           std::span<const float>) const override {
    const std::uint32_t count = levels(spec);
    float alpha = 0;
    if (spec.range == RangeRule::automatic ||
        (spec.range == RangeRule::sigma && spec.range_value == 0)) {
      alpha = gaussian_clip(count) * root_mean_square(values);
    } else {
      alpha = magnitude_of(values, spec);
    }
    BoxParameters p;
    p.scale[0] = store_parameter(spec.scale, 2.0f * alpha / static_cast<float>(count - 1));
    return p;
  }
  /// NORMATIVE. q = clamp(round(x / s + 1/2) - 1), the sum in fp32 as the source has it; s = 0: q =
  /// 0.
  void encode_box(std::span<const float> values, const BoxParameters& p, const QuantSpec& spec,
                  std::span<std::uint16_t> codes) const override {
    const auto half = static_cast<float>(levels(spec) / 2);
    const float s = p.scale[0];
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const float q = s == 0 ? 0.0f : round_value(values[i] / s + 0.5f, spec.rounding) - 1.0f;
      codes[i] = static_cast<std::uint16_t>(std::clamp(q, -half, half - 1.0f) + half);
    }
  }
  /// NORMATIVE. value = s * (q + 1/2), the sum exact.
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters& p,
                  const QuantSpec& spec, std::span<float> values) const override {
    const auto half = static_cast<float>(levels(spec) / 2);
    for (std::size_t i = 0; i < codes.size(); ++i)
      values[i] = p.scale[0] * (static_cast<float>(codes[i]) - half + 0.5f);
  }
  std::optional<IntegerGrid> integers(const QuantSpec& spec, std::uint8_t) const override {
    IntegerGrid grid;
    grid.unit = 0.5f;
    const auto count = static_cast<std::int32_t>(levels(spec));
    for (std::int32_t code = 0; code < count; ++code) grid.integers.push_back(2 * code - count + 1);
    return grid;
  }

 private:
  static std::uint32_t levels(const QuantSpec& spec) {
    const std::uint32_t count = spec.levels == 0 ? 16 : spec.levels;
    require(std::has_single_bit(count) && count >= 2 && count <= 256,
            "half: 2 to 256 levels, a power of two");
    return count;
  }
  static float gaussian_clip(
      std::uint32_t levels) {  // quantization.md D3, full digits from the code
    constexpr std::array<float, 8> by_bits = {
        0.7978845587140913f, 1.4935346200015913f, 2.051068354131873f,  2.513930578568423f,
        2.9160938834961225f, 3.276597282593217f,  3.6010497188221655f, 3.884938678807525f};
    return by_bits[static_cast<std::size_t>(std::countr_zero(levels)) - 1];
  }
};

/// F6: x = mu +- alpha, mu the mean, alpha the mean magnitude of the values (not of their distance
/// from mu: so PTQ1.61 and SliM have it). Without mu (VidKV) the format is int1.
/// What an exact x = mu becomes (quantization.md §12 trap 18): corrected: +alpha, in one bit;
/// reference: mu itself, as sign(0) = 0 in the released code, which takes a third code and two
/// bits.
class SignCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    check_scale(spec);
    CodecLayout l;
    l.codes.word_bits = follows_code(spec.contract) ? 2 : 1;
    l.scale = spec.scale;
    require(spec.affine == Affine::symmetric || spec.affine == Affine::float_min,
            "sign: mu is a float");
    l.zero = ZeroKind::floating;
    l.zero_format = is_ieee(spec.scale) ? spec.scale : Format::fp16;
    l.zero_bits = bits_of(l.zero_format);
    return l;
  }
  BoxParameters parameters(std::span<const float> values, const QuantSpec& spec,
                           std::span<const float>) const override {
    BoxParameters p;
    const bool usual = spec.range == RangeRule::automatic;
    p.scale[0] = store_parameter(spec.scale, usual ? mean_abs(values) : magnitude_of(values, spec));
    p.zero[0] = store_parameter(layout(spec).zero_format, mean(values));
    return p;
  }
  /// NORMATIVE. code = 1 where x > mu, 0 where x < mu, mu as stored; x = mu: 1, or 2 (reference).
  void encode_box(std::span<const float> values, const BoxParameters& p, const QuantSpec& spec,
                  std::span<std::uint16_t> codes) const override {
    const std::uint16_t equal = follows_code(spec.contract) ? 2 : 1;
    for (std::size_t i = 0; i < codes.size(); ++i)
      codes[i] = values[i] == p.zero[0] ? equal : (values[i] > p.zero[0] ? 1 : 0);
  }
  /// NORMATIVE. mu + alpha, mu - alpha, mu: one fp32 addition.
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters& p, const QuantSpec&,
                  std::span<float> values) const override {
    const std::array<float, 3> value = {p.zero[0] - p.scale[0], p.zero[0] + p.scale[0], p.zero[0]};
    for (std::size_t i = 0; i < codes.size(); ++i) {
      require(codes[i] < 3, "sign: a code is beyond 2");
      values[i] = value[codes[i]];
    }
  }
  std::optional<IntegerGrid> integers(const QuantSpec& spec, std::uint8_t) const override {
    IntegerGrid grid;
    grid.integers = {-1, 1};
    if (follows_code(spec.contract)) grid.integers.push_back(0);
    return grid;
  }
};

/// F7: codes 0, 1, 2 are -1, 0, +1 times alpha; two bits each, or five in a byte (ternary_b3).
class TernaryCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    check_scale(spec);
    require(spec.affine == Affine::symmetric, "ternary has no zero point");
    CodecLayout l;
    l.codes.word_bits = 2;
    if (spec.format == Format::ternary_b3) l.codes = radix_layout(3);
    l.scale = spec.scale;
    return l;
  }
  /// NORMATIVE. automatic (VidKV): alpha = mean |x|, threshold alpha / 2. meanabs with a
  /// range_value r (ternary weight networks, arXiv 1605.04711, and U-Net: r = 0.7): threshold r
  /// mean |x|, alpha the mean of the magnitudes above it. Other rules: alpha = magnitude, threshold
  /// alpha / 2. The threshold comes from the unrounded mean or magnitude. zero[0] carries it to
  /// encode_box and is not stored.
  BoxParameters parameters(std::span<const float> values, const QuantSpec& spec,
                           std::span<const float>) const override {
    BoxParameters p;
    if (spec.range == RangeRule::meanabs && spec.range_value != 0) {
      p.zero[0] = static_cast<float>(spec.range_value) * mean_abs(values);
      p.scale[0] = store_parameter(spec.scale, mean_above(values, p.zero[0]));
      return p;
    }
    const float alpha =
        spec.range == RangeRule::automatic ? mean_abs(values) : magnitude_of(values, spec);
    p.zero[0] = 0.5f * alpha;
    p.scale[0] = store_parameter(spec.scale, alpha);
    return p;
  }
  /// NORMATIVE. +1 where x > threshold, -1 where x < -threshold, else 0.
  void encode_box(std::span<const float> values, const BoxParameters& p, const QuantSpec&,
                  std::span<std::uint16_t> codes) const override {
    const float t = p.zero[0];
    for (std::size_t i = 0; i < codes.size(); ++i)
      codes[i] = values[i] > t ? 2 : (values[i] < -t ? 0 : 1);
  }
  /// NORMATIVE. alpha times -1, 0 or 1; reference: without alpha, as VidKV's released decoder
  /// (quantization.md A6, §12 trap 8).
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters& p,
                  const QuantSpec& spec, std::span<float> values) const override {
    const float alpha = follows_code(spec.contract) ? 1.0f : p.scale[0];
    for (std::size_t i = 0; i < codes.size(); ++i)
      values[i] = alpha * static_cast<float>(static_cast<std::int32_t>(codes[i]) - 1);
  }
  std::optional<IntegerGrid> integers(const QuantSpec&, std::uint8_t) const override {
    IntegerGrid grid;
    grid.integers = {-1, 0, 1};
    return grid;
  }

 private:
  static float mean_above(std::span<const float> values, float threshold) {
    float sum = 0;
    std::size_t count = 0;
    for (const float x : values) {
      if (std::fabs(x) > threshold) {
        sum += std::fabs(x);
        ++count;
      }
    }
    return count == 0 ? 0.0f : sum / static_cast<float>(count);
  }
};

}  // namespace

const Codec* few_levels_codec(Format format) {
  static const HalfCodec half;
  static const SignCodec sign;
  static const TernaryCodec ternary;
  if (format == Format::half) return &half;
  if (format == Format::sign) return &sign;
  return &ternary;
}

}  // namespace systole::quant
