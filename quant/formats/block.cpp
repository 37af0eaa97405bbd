// MX blocks of 32 elements under one power of two, and NVFP4 blocks of 16 under an E4M3 scale and
// one fp32 scale a tensor, in each published variant. Where cols is no whole number of blocks the
// last block of a row is shorter; its scale comes from the elements it has.
#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/check.hpp"
#include "quant/formats/codec.hpp"
#include "quant/formats/elements.hpp"
#include "quant/formats/minifloat.hpp"
#include "quant/formats/range.hpp"

namespace systole::quant {
namespace {

/// x * 2^-exponent as a float; what vanishes keeps its sign and is not 0, so that rounding towards
/// -infinity still sees it. Exact otherwise, as the result has no more digits than x.
float scaled_down(float x, int exponent) {
  const double y = std::ldexp(static_cast<double>(x), -exponent);
  const auto f = static_cast<float>(y);
  if (f == 0 && x != 0) return std::copysign(std::numeric_limits<float>::denorm_min(), x);
  return f;
}

/// Walks the blocks of a matrix: f(block index, first element, count).
template <class F>
void for_each_block(const CodedMatrix& m, F&& f) {
  for (std::size_t row = 0; row < m.rows; ++row) {
    for (std::size_t g = 0; g < m.groups; ++g) {
      const std::size_t first = g * m.group;
      f(row * m.groups + g, row * m.cols + first, std::min(m.group, m.cols - first));
    }
  }
}

class MxCodec final : public Codec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    require(spec.affine == Affine::symmetric, "MX blocks have no zero point");
    require(spec.scale_rule == ScaleRule::standard ||
                (spec.format == Format::mxfp4 && spec.scale_rule != ScaleRule::elements_first),
            "this scale rule is for another block format");
    CodecLayout l;
    l.codes.word_bits = element_of(spec.format).bits;
    l.scale = Format::e8m0;
    l.own_boxes = true;
    return l;
  }
  std::size_t box_length(std::size_t cols, const QuantSpec&) const override {
    return std::clamp<std::size_t>(cols, 1, 32);
  }

  /// NORMATIVE. standard (OCP MX 1.0, accelerators.md §7.2): X = 2^(floor(log2 amax) - emax), at
  /// least 2^-127, a block of zeros 2^-127; code = encode(x / X), exact division, saturating.
  /// enlarged and sigma: see block_scale and exponent_of. Ties by spec.rounding (OCP leaves them
  /// open: even here by default, away in Microsoft's library, down in FP-Quant's kernels).
  void encode(std::span<const float> values, CodedMatrix& m) const override {
    const ElementFormat& e = element_of(m.spec.format);
    m.codes.resize(values.size());
    m.scales.resize(m.rows * m.groups);
    for_each_block(m, [&](std::size_t block, std::size_t first, std::size_t count) {
      const std::span<const float> part = values.subspan(first, count);
      const E8M0 x = E8M0::of_exponent(exponent_of(part, m.spec, e));
      m.scales[block] = x.decode();
      const float s = block_scale(x.decode(), m.spec);
      for (std::size_t i = 0; i < count; ++i) {
        const float scaled = m.spec.scale_rule == ScaleRule::enlarged
                                 ? part[i] / s
                                 : scaled_down(part[i], x.exponent());
        m.codes[first + i] = e.encode(scaled, m.spec.rounding);
      }
    });
  }

  /// NORMATIVE. value = X * element (enlarged: the effective scale times the element), one
  /// rounding.
  void decode(const CodedMatrix& m, std::span<float> out) const override {
    const ElementFormat& e = element_of(m.spec.format);
    for_each_block(m, [&](std::size_t block, std::size_t first, std::size_t count) {
      const float s = block_scale(m.scales[block], m.spec);
      for (std::size_t i = 0; i < count; ++i)
        out[first + i] = s * e.value[m.codes[first + i] & 0xFFu];
    });
  }

  std::optional<IntegerGrid> integers(const QuantSpec& spec, std::uint8_t) const override {
    return grid_of(element_of(spec.format));
  }

 private:
  /// What multiplies an element. enlarged (FP-Quant, inference_lib's mxfp4 kernel): X / (3/4) in
  /// fp32, so that a largest element between 6 X and 8 X is not cut; the 4/3 is a constant of the
  /// tensor and is not stored.
  static float block_scale(float x, const QuantSpec& spec) {
    return spec.scale_rule == ScaleRule::enlarged ? x / 0.75f : x;
  }

  /// sigma ("quest" mode of FP-Quant): floor(log2(g * sigma + 1e-8)), sigma the standard deviation
  /// sqrt(mean(x^2) - mean(x)^2) of the block (fp32 sums in index order; a negative difference
  /// counts as 0), g = range_value, 3/4 where that is 0.
  static int exponent_of(std::span<const float> values, const QuantSpec& spec,
                         const ElementFormat& e) {
    if (spec.scale_rule == ScaleRule::sigma) {
      float squares = 0, sum = 0;
      for (const float x : values) {
        squares += x * x;
        sum += x;
      }
      const auto n = static_cast<float>(values.size());
      const float m = sum / n;
      const float deviation = std::sqrt(std::max(squares / n - m * m, 0.0f));
      const float g = spec.range_value == 0 ? 0.75f : static_cast<float>(spec.range_value);
      const float scale = g * deviation + 1e-8f;
      return std::isfinite(scale) ? floor_log2(scale) : 127;
    }
    const float magnitude = absmax(values);
    return magnitude == 0 ? -127 : floor_log2(magnitude) - e.emax;
  }
};

class NvCodec final : public Codec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    require(spec.affine == Affine::symmetric, "NVFP4 blocks have no zero point");
    require(spec.scale_rule == ScaleRule::standard || spec.scale_rule == ScaleRule::elements_first,
            "this scale rule is for another block format");
    CodecLayout l;
    l.codes.word_bits = 4;
    l.scale = Format::fp8_e4m3;
    l.own_boxes = true;
    l.tensor_scale = true;
    return l;
  }
  std::size_t box_length(std::size_t cols, const QuantSpec&) const override {
    return std::clamp<std::size_t>(cols, 1, 16);
  }

  /// NORMATIVE (accelerators.md §7.3), fp32 with IEEE division. t = amax_tensor / 2688;
  /// b' = amax_block / (6 t); b = E4M3(b'), ties to even. standard: code = E2M1(x / (b t));
  /// elements_first (the BitMoD fork): code = E2M1(x / (b' t)), and b is rounded after. Products
  /// with t are rounded to fp32 first. A scale of 0 gives codes 0.
  void encode(std::span<const float> values, CodedMatrix& m) const override {
    m.codes.resize(values.size());
    m.scales.resize(m.rows * m.groups);
    m.tensor_scale = absmax(values) / 2688.0f;
    const float t = m.tensor_scale;
    for_each_block(m, [&](std::size_t block, std::size_t first, std::size_t count) {
      const std::span<const float> part = values.subspan(first, count);
      const float six = 6.0f * t;
      const float unrounded = six == 0 ? 0.0f : absmax(part) / six;
      m.scales[block] = E4M3::encode(unrounded).decode();
      const float b = m.spec.scale_rule == ScaleRule::standard ? m.scales[block] : unrounded;
      const float s = b * t;
      for (std::size_t i = 0; i < count; ++i)
        m.codes[first + i] =
            s == 0 ? std::uint16_t{0} : E2M1::encode(part[i] / s, m.spec.rounding).to_bits();
    });
  }
  /// NORMATIVE. value = (b * t) * element, b * t rounded to fp32 first.
  void decode(const CodedMatrix& m, std::span<float> out) const override {
    const ElementFormat& e = element_of(Format::nvfp4);
    for_each_block(m, [&](std::size_t block, std::size_t first, std::size_t count) {
      const float s = m.scales[block] * m.tensor_scale;
      for (std::size_t i = 0; i < count; ++i)
        out[first + i] = s * e.value[m.codes[first + i] & 15u];
    });
  }
  std::optional<IntegerGrid> integers(const QuantSpec&, std::uint8_t) const override {
    return grid_of(element_of(Format::nvfp4));
  }
};

}  // namespace

const Codec* block_codec(Format format) {
  static const MxCodec mx;
  static const NvCodec nv;
  if (format == Format::nvfp4) return &nv;
  return &mx;
}

}  // namespace systole::quant
