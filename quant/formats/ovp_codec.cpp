// ovp4_int, ovp4_flint, ovp8_int as codecs of a matrix. Codes are slots (ovp_slot says where an
// element's is); with even cols they are [rows][cols].
#include <algorithm>

#include "quant/bit_stream.hpp"
#include "quant/check.hpp"
#include "quant/formats/codec.hpp"
#include "quant/formats/ovp.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/formats/range.hpp"

namespace systole::quant {
namespace {

bool searches(const QuantSpec& spec) {
  return spec.range == RangeRule::automatic || spec.range == RangeRule::olive;
}

std::size_t lines_of(const CodedMatrix& m) {
  return m.spec.granularity == Granularity::tensor ? 1 : m.rows;
}

class OvpCodec final : public Codec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    require(is_parameter_format(spec.scale),
            "scales are stored as a float or an 8-bit scale format");
    require(spec.affine == Affine::symmetric, "outlier-victim pairs have no zero point");
    require(spec.range != RangeRule::absmax_signed, "this format has a scale without a sign");
    CodecLayout l;
    l.codes.word_bits = bits_of(spec.format);
    l.scale = spec.scale;
    return l;
  }

  /// NORMATIVE. s = alpha / largest normal, as stored. alpha: OliVe's search (automatic, olive),
  /// else the magnitude that the range rule gives. Then entries, victims and codes as ovp.hpp has
  /// them.
  void encode(std::span<const float> values, CodedMatrix& m) const override {
    const OvpType type = ovp_type(m.spec.format, m.spec.contract);
    const OvpRules rules = ovp_rules(m.spec);
    const bool tensor = m.spec.granularity == Granularity::tensor;
    const OvpShape shape{m.rows, m.cols, tensor ? values.size() : m.group};
    std::vector<float> scales;
    if (searches(m.spec)) {
      scales = olive_search(values, shape, type, rules, m.spec.scale).scales;
    } else {
      for (std::size_t i = 0; i < values.size(); i += shape.box) {
        const float alpha = magnitude_of(values.subspan(i, shape.box), m.spec);
        scales.push_back(
            store_parameter(m.spec.scale, alpha / static_cast<float>(type.largest_normal)));
      }
    }
    std::vector<float> entries(values.size());
    ovp_quantise(values, shape, scales, type, rules, entries);
    m.codes = ovp_encode_slots(entries, m.cols, type, rules);
    m.scales = tensor ? std::vector<float>(m.rows, scales.front()) : std::move(scales);
  }

  /// NORMATIVE. value = s * entry, one rounding.
  void decode(const CodedMatrix& m, std::span<float> out) const override {
    const auto operands = ovp_operands(m);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t box = i / m.cols * m.groups + i % m.cols / m.group;
      out[i] = m.scales[box] * static_cast<float>(operands[i].value());
    }
  }

  std::optional<std::vector<std::int32_t>> elements(const CodedMatrix& m,
                                                    float& unit) const override {
    unit = 1.0f;
    std::vector<std::int32_t> out;
    out.reserve(m.rows * m.cols);
    for (const ExponentInteger& x : ovp_operands(m))
      out.push_back(static_cast<std::int32_t>(x.value()));
    return out;
  }

  /// Codes: whole pairs, a byte or two each. The padding slots count as codes: they hold
  /// identifiers.
  StoredBits stored(std::uint64_t rows, std::uint64_t cols, const QuantSpec& spec) const override {
    StoredBits s = Codec::stored(rows, cols, spec);
    const std::uint64_t elements = checked_product(rows, cols);
    const std::uint64_t extra = ovp_rules(spec).flattened ? elements % 2 : cols % 2 * rows;
    s.codes = checked_product(checked_sum(elements, extra), bits_of(spec.format));
    s.padding = 0;
    return s;
  }
  void pack(const CodedMatrix& m, std::vector<std::uint8_t>& out) const override {
    out = ovp_pack(m.codes, bits_of(m.spec.format));
    BitWriter bits(out);
    for (std::size_t i = 0; i < lines_of(m) * m.groups; ++i)
      bits.write(parameter_bits(m.spec.scale, m.scales[i]), bits_of(m.spec.scale));
    bits.flush();
  }
  void unpack(std::span<const std::uint8_t> bytes, CodedMatrix& m) const override {
    const unsigned width = bits_of(m.spec.format);
    const std::size_t code_bytes = ovp_slots(m.rows, m.cols, ovp_rules(m.spec)) * width / 8;
    m.codes = ovp_unpack(bytes.first(code_bytes), width);
    BitReader bits(bytes.subspan(code_bytes));
    m.scales.resize(m.rows * m.groups);
    const std::size_t stored_scales = lines_of(m) * m.groups;
    for (std::size_t i = 0; i < m.scales.size(); ++i) {
      m.scales[i] = i < stored_scales
                        ? parameter_from_bits(m.spec.scale, bits.read(bits_of(m.spec.scale)))
                        : m.scales[i - m.groups];
    }
  }
};

}  // namespace

OvpRules ovp_rules(const QuantSpec& spec) {
  const float border = searches(spec) ? static_cast<float>(spec.range_value) : 0.0f;
  return ovp_rules(spec.format, spec.contract, border);
}

std::vector<ExponentInteger> ovp_operands(const CodedMatrix& m) {
  return ovp_decode_slots(m.codes, m.rows, m.cols, ovp_type(m.spec.format, m.spec.contract),
                          ovp_rules(m.spec));
}

const Codec* ovp_codec(Format) {
  static const OvpCodec codec;
  return &codec;
}

}  // namespace systole::quant
