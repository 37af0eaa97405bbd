// bitmod3 and bitmod4 as codecs of a matrix: a special value a group, and group scales that may be
// INT8 under one fp16 scale a row (scale: int8).
#include <algorithm>

#include "quant/bit_stream.hpp"
#include "quant/check.hpp"
#include "quant/formats/bitmod.hpp"
#include "quant/formats/codec.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/formats/range.hpp"

namespace systole::quant {
namespace {

bool two_level(const QuantSpec& spec) { return spec.scale == Format::int8; }

/// One level of scales: boxes do not depend on each other.
class BitmodCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    require(is_parameter_format(spec.scale), "BitMoD's scales are a float, an 8-bit scale or int8");
    require(spec.affine == Affine::symmetric, "BitMoD has no zero point");
    require(spec.range != RangeRule::absmax_signed, "this format has a scale without a sign");
    CodecLayout l;
    l.codes.word_bits = bits_of(spec.format);
    l.scale = spec.scale;
    l.tag_bits = 2;
    return l;
  }
  /// NORMATIVE. bitmod_choose for the magnitude of the range rule.
  BoxParameters parameters(std::span<const float> values, const QuantSpec& spec,
                           std::span<const float>) const override {
    const BitmodChoice choice =
        bitmod_choose(values, magnitude_of(values, spec), spec.format, spec.scale);
    BoxParameters p;
    p.scale[0] = choice.scale;
    p.tag = choice.tag;
    return p;
  }
  /// NORMATIVE. bitmod_encode of x / s; s = 0 (a stored scale that underflowed): code 0.
  void encode_box(std::span<const float> values, const BoxParameters& p, const QuantSpec& spec,
                  std::span<std::uint16_t> codes) const override {
    const float s = p.scale[0];
    for (std::size_t i = 0; i < codes.size(); ++i) {
      codes[i] =
          s == 0 ? 0 : static_cast<std::uint16_t>(bitmod_encode(values[i] / s, spec.format, p.tag));
    }
  }
  /// NORMATIVE. value = s * integer, one rounding.
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters& p,
                  const QuantSpec& spec, std::span<float> values) const override {
    for (std::size_t i = 0; i < codes.size(); ++i)
      values[i] = p.scale[0] * static_cast<float>(bitmod_value(codes[i], spec.format, p.tag));
  }
  std::optional<IntegerGrid> integers(const QuantSpec& spec, std::uint8_t tag) const override {
    IntegerGrid grid;
    for (std::uint32_t code = 0; code < (1u << bits_of(spec.format)); ++code)
      grid.integers.push_back(bitmod_value(code, spec.format, tag));
    return grid;
  }
};

const BitmodCodec& one_level() {
  static const BitmodCodec codec;
  return codec;
}

/// Either kind of scale. With two levels, each row's fp16 scale is an entry of CodedMatrix::table
/// and CodedMatrix::scales are the products. In memory: codes, row scales, group codes (8 bits),
/// tags.
class AnyBitmodCodec final : public Codec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    if (!two_level(spec)) return one_level().layout(spec);
    require(spec.granularity != Granularity::tensor, "int8 scales are relative to their row");
    return one_level().layout(with_float_scale(spec));
  }

  /// NORMATIVE for int8 scales: tags and group scales as with fp32 ones, two_level_scales of each
  /// row, then the codes from the scales as stored.
  void encode(std::span<const float> values, CodedMatrix& m) const override {
    if (!two_level(m.spec)) return one_level().encode(values, m);
    require(m.table.empty(), "BitMoD has no table to calibrate");
    m.codes.resize(values.size());
    for (std::size_t row = 0; row < m.rows; ++row) encode_row(values, row, m);
  }
  void decode(const CodedMatrix& m, std::span<float> out) const override {
    if (!two_level(m.spec)) return one_level().decode(m, out);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t box = i / m.cols * m.groups + i % m.cols / m.group;
      out[i] =
          m.scales[box] * static_cast<float>(bitmod_value(m.codes[i], m.spec.format, m.tags[box]));
    }
  }
  std::optional<IntegerGrid> integers(const QuantSpec& spec, std::uint8_t tag) const override {
    return one_level().integers(spec, tag);
  }

  StoredBits stored(std::uint64_t rows, std::uint64_t cols, const QuantSpec& spec) const override {
    if (!two_level(spec)) return one_level().stored(rows, cols, spec);
    StoredBits s = one_level().stored(rows, cols, with_float_scale(spec));
    const std::uint64_t groups = s.scales / bits_of(Format::fp32);
    s.scales = checked_sum(checked_product(groups, 8), checked_product(rows, 16));
    return s;
  }
  void pack(const CodedMatrix& m, std::vector<std::uint8_t>& out) const override {
    if (!two_level(m.spec)) return one_level().pack(m, out);
    BitWriter bits(out);
    const unsigned width = bits_of(m.spec.format);
    for (std::size_t row = 0; row < m.rows; ++row, bits.flush()) {
      for (std::size_t col = 0; col < m.cols; ++col) bits.write(m.codes[row * m.cols + col], width);
    }
    for (const float row_scale : m.table) bits.write(parameter_bits(Format::fp16, row_scale), 16);
    for (std::size_t i = 0; i < m.scales.size(); ++i)  // the quotient is exact but for its rounding
      bits.write(static_cast<std::uint32_t>(m.scales[i] / m.table[i / m.groups] + 0.5f), 8);
    for (std::size_t row = 0; row < m.rows; ++row, bits.flush()) {
      for (std::size_t g = 0; g < m.groups; ++g) bits.write(m.tags[row * m.groups + g], 2);
    }
  }
  void unpack(std::span<const std::uint8_t> bytes, CodedMatrix& m) const override {
    if (!two_level(m.spec)) return one_level().unpack(bytes, m);
    BitReader bits(bytes);
    const unsigned width = bits_of(m.spec.format);
    m.codes.resize(m.rows * m.cols);
    for (std::size_t row = 0; row < m.rows; ++row, bits.align()) {
      for (std::size_t col = 0; col < m.cols; ++col)
        m.codes[row * m.cols + col] = static_cast<std::uint16_t>(bits.read(width));
    }
    m.table.resize(m.rows);
    for (float& row_scale : m.table) row_scale = parameter_from_bits(Format::fp16, bits.read(16));
    m.scales.resize(m.rows * m.groups);
    for (std::size_t i = 0; i < m.scales.size(); ++i)
      m.scales[i] = static_cast<float>(bits.read(8)) * m.table[i / m.groups];
    m.tags.resize(m.scales.size());
    for (std::size_t row = 0; row < m.rows; ++row, bits.align()) {
      for (std::size_t g = 0; g < m.groups; ++g)
        m.tags[row * m.groups + g] = static_cast<std::uint8_t>(bits.read(2));
    }
  }

 private:
  static QuantSpec with_float_scale(QuantSpec spec) {
    spec.scale = Format::fp32;
    return spec;
  }

  static void encode_row(std::span<const float> values, std::size_t row, CodedMatrix& m) {
    std::vector<BitmodChoice> choices;
    std::vector<float> scales;
    for (std::size_t g = 0; g < m.groups; ++g) {
      const auto part = values.subspan(row * m.cols + g * m.group, m.group);
      choices.push_back(bitmod_choose(part, magnitude_of(part, m.spec), m.spec.format));
      scales.push_back(choices.back().scale);
    }
    const TwoLevelScales stored = two_level_scales(scales);
    m.table.push_back(stored.row);
    for (std::size_t g = 0; g < m.groups; ++g) {
      BoxParameters p;
      p.scale[0] = stored.scale(g);
      p.tag = choices[g].tag;
      m.scales.push_back(p.scale[0]);
      m.tags.push_back(p.tag);
      const std::size_t first = row * m.cols + g * m.group;
      one_level().encode_box(values.subspan(first, m.group), p, m.spec,
                             std::span(m.codes).subspan(first, m.group));
    }
  }
};

}  // namespace

const Codec* bitmod_codec(Format) {
  static const AnyBitmodCodec codec;
  return &codec;
}

}  // namespace systole::quant
