// Formats that are a table: NF4 and NF3, calibrated look-up tables (lut) and vector codebooks.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "quant/check.hpp"
#include "quant/formats/codec.hpp"
#include "quant/formats/grid.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/formats/range.hpp"
#include "quant/primitives/codebook.hpp"

namespace systole::quant {
namespace {

/// QLoRA (arXiv 2305.14314), appendix E; bitsandbytes prints the same floats.
constexpr std::array<float, 16> kNf4 = {-1.0f,
                                        -0.6961928009986877f,
                                        -0.5250730514526367f,
                                        -0.39491748809814453f,
                                        -0.28444138169288635f,
                                        -0.18477343022823334f,
                                        -0.09105003625154495f,
                                        0.0f,
                                        0.07958029955625534f,
                                        0.16093020141124725f,
                                        0.24611230194568634f,
                                        0.33791524171829224f,
                                        0.44070982933044434f,
                                        0.5626170039176941f,
                                        0.7229568362236023f,
                                        1.0f};
/// The same construction for 8 values, as KVQuant (SqueezeAILab/KVQuant,
/// simquant_module_quantizer.py) and LoftQ have it: quantiles of the normal distribution at 5 steps
/// from 0.9677083 to 1/2 without the last, at 4 steps on the other side, and 0; over the largest.
/// The test computes them from the normal distribution.
constexpr std::array<float, 8> kNf3 = {-1.0f,
                                       -0.478629160115911f,
                                       -0.21714181782574396f,
                                       0.0f,
                                       0.1609301727049362f,
                                       0.33791519352165506f,
                                       0.5626169700752374f,
                                       1.0f};

void check_scale(const QuantSpec& spec) {
  require(is_parameter_format(spec.scale), "scales are stored as a float or an 8-bit scale format");
}

class NormalFloatCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    require(spec.affine == Affine::symmetric, "NF4 and NF3 have no zero point");
    check_scale(spec);
    CodecLayout l;
    l.codes.word_bits = bits_of(spec.format);
    l.scale = spec.scale;
    return l;
  }
  /// NORMATIVE. s = magnitude, as stored; code = nearest entry to x / s; value = s * entry.
  /// s = 0: the code of 0.
  BoxParameters parameters(std::span<const float> values, const QuantSpec& spec,
                           std::span<const float>) const override {
    require(spec.range != RangeRule::absmax_signed, "this format has a scale without a sign");
    BoxParameters p;
    p.scale[0] = store_parameter(spec.scale, magnitude_of(values, spec));
    return p;
  }
  void encode_box(std::span<const float> values, const BoxParameters& p, const QuantSpec& spec,
                  std::span<std::uint16_t> codes) const override {
    static const SortedGrid nf4(kNf4), nf3(kNf3);
    const SortedGrid& grid = spec.format == Format::nf4 ? nf4 : nf3;
    const float s = p.scale[0];
    for (std::size_t i = 0; i < codes.size(); ++i)
      codes[i] = grid.nearest(s == 0 ? 0.0f : values[i] / s, spec.rounding);
  }
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters& p,
                  const QuantSpec& spec, std::span<float> values) const override {
    for (std::size_t i = 0; i < codes.size(); ++i)
      values[i] =
          p.scale[0] * (spec.format == Format::nf4 ? kNf4[codes[i] & 15u] : kNf3[codes[i] & 7u]);
  }
};

/// Two kinds of table. Shared (every rule but kmeans): one table of values in [-1, 1] for the
/// matrix, and a range and an offset a box (KVQuant); absmax, sigma and meanabs are symmetric and
/// have no offset. By box (kmeans): each box has a table of its own in the values' own units, and
/// no other parameter (any-precision, PMPD). Entries are stored as scales are. A table that nobody
/// calibrated comes from k-means of 50 steps over the normalised values.
class LutCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    check_scale(spec);
    const std::uint32_t entries = entry_count(spec);
    CodecLayout l;
    l.codes.word_bits = static_cast<unsigned>(std::bit_width(entries - 1));
    l.scale = spec.scale;
    l.table = entries;
    l.table_by_box = spec.range == RangeRule::kmeans;
    l.scales = l.table_by_box ? 0 : 1;
    require(spec.affine == Affine::symmetric || spec.affine == Affine::float_min,
            "a look-up table has an offset, not a zero point");
    if (has_offset(spec)) {
      l.zero = ZeroKind::floating;
      l.zero_format = is_ieee(spec.scale) ? spec.scale : Format::fp16;
      l.zero_bits = bits_of(l.zero_format);
    }
    return l;
  }

  /// NORMATIVE. offset = (max + min) / 2 and range = (max - min) / 2 of the extent, or offset 0 and
  /// range = magnitude (symmetric rules), each as stored.
  BoxParameters parameters(std::span<const float> values, const QuantSpec& spec,
                           std::span<const float> table) const override {
    BoxParameters p;
    p.table = table;
    if (spec.range == RangeRule::kmeans) return p;
    if (!has_offset(spec)) {
      p.scale[0] = store_parameter(spec.scale, magnitude_of(values, spec));
      return p;
    }
    const Range extent = extent_of(values, spec);
    p.scale[0] = store_parameter(spec.scale, (extent.max - extent.min) / 2.0f);
    p.zero[0] = store_parameter(layout(spec).zero_format, (extent.max + extent.min) / 2.0f);
    return p;
  }
  /// NORMATIVE. code = nearest entry to (x - offset) / range in fp32 (range 0: to 0), lowest code
  /// on a tie; value = fma(entry, range, offset). By box: nearest entry to x; value = entry.
  void encode_box(std::span<const float> values, const BoxParameters& p, const QuantSpec& spec,
                  std::span<std::uint16_t> codes) const override {
    const SortedGrid grid(p.table);
    const bool by_box = spec.range == RangeRule::kmeans;
    for (std::size_t i = 0; i < codes.size(); ++i)
      codes[i] = grid.nearest(by_box ? values[i] : normalised(values[i], p), spec.rounding);
  }
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters& p,
                  const QuantSpec& spec, std::span<float> values) const override {
    const bool by_box = spec.range == RangeRule::kmeans;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      require(codes[i] < p.table.size(), "lut: a code is beyond its table");
      const float entry = p.table[codes[i]];
      values[i] = by_box ? entry : std::fma(entry, p.scale[0], p.zero[0]);
    }
  }

  std::vector<float> table(std::span<const float> values, const CodedMatrix& m) const override {
    std::vector<float> entries = m.table;
    const std::uint32_t count = entry_count(m.spec);
    const bool by_box = m.spec.range == RangeRule::kmeans;
    const std::size_t expected = by_box ? count * m.rows * m.groups : count;
    if (entries.empty()) {
      entries = by_box ? tables_by_box(values, m) : kmeans_1d(normalised_all(values, m), {}, count);
    }
    require(entries.size() == expected, "lut: the table does not have `levels` entries (a box)");
    for (float& entry : entries) {
      require(std::isfinite(entry), "lut: an entry of the table is not finite");
      entry = store_parameter(m.spec.scale, entry);
    }
    return entries;
  }

 private:
  static std::uint32_t entry_count(const QuantSpec& spec) {
    const std::uint32_t count = spec.levels == 0 ? 16 : spec.levels;
    require(count >= 2 && count <= 65536, "lut: between 2 and 65536 entries");
    return count;
  }
  static bool has_offset(const QuantSpec& spec) {
    return spec.range != RangeRule::kmeans && spec.range != RangeRule::absmax &&
           spec.range != RangeRule::sigma && spec.range != RangeRule::meanabs;
  }
  static float normalised(float x, const BoxParameters& p) {
    return p.scale[0] == 0 ? 0.0f : (x - p.zero[0]) / p.scale[0];
  }
  std::vector<float> normalised_all(std::span<const float> values, const CodedMatrix& m) const {
    std::vector<float> out;
    out.reserve(values.size());
    const bool whole = m.spec.granularity == Granularity::tensor;
    const std::size_t box = whole ? values.size() : m.group;
    for (std::size_t i = 0; i < values.size(); i += box) {
      const auto part = values.subspan(i, box);
      const BoxParameters p = parameters(part, m.spec, {});
      for (const float x : part) out.push_back(normalised(x, p));
    }
    return out;
  }
  static std::vector<float> tables_by_box(std::span<const float> values, const CodedMatrix& m) {
    const std::uint32_t count = entry_count(m.spec);
    std::vector<float> out;
    if (m.spec.granularity == Granularity::tensor) {
      const auto one = kmeans_1d(values, {}, count);
      for (std::size_t i = 0; i < m.rows; ++i) out.insert(out.end(), one.begin(), one.end());
      return out;
    }
    for (std::size_t i = 0; i < values.size(); i += m.group) {
      const auto one = kmeans_1d(values.subspan(i, m.group), {}, count);
      out.insert(out.end(), one.begin(), one.end());
    }
    return out;
  }
};

/// F12: one code for `vector_length` elements along cols. The search is over all codewords, as
/// there is no closed form: 2^12 distances a vector.
class CodebookCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    check_scale(spec);
    require(spec.affine == Affine::symmetric, "a codebook has no zero point");
    require(spec.vector_length >= 1, "codebook: vector_length is not given");
    const std::uint32_t words = codeword_count(spec);
    CodecLayout l;
    l.codes.word_bits = static_cast<unsigned>(std::bit_width(words - 1));
    l.codes.vector = spec.vector_length;
    l.scale = spec.scale;
    l.scales = 0;
    l.own_boxes = true;
    l.table = static_cast<std::size_t>(checked_product(words, spec.vector_length));
    return l;
  }
  std::size_t box_length(std::size_t cols, const QuantSpec& spec) const override {
    return cols == 0 ? spec.vector_length : cols;
  }
  BoxParameters parameters(std::span<const float>, const QuantSpec&,
                           std::span<const float> table) const override {
    BoxParameters p;
    p.table = table;
    return p;
  }
  /// NORMATIVE. nearest_codeword of primitives/codebook.hpp; value = the codeword, as stored.
  void encode_box(std::span<const float> values, const BoxParameters& p, const QuantSpec& spec,
                  std::span<std::uint16_t> codes) const override {
    const std::size_t v = spec.vector_length;
    for (std::size_t i = 0; i < codes.size(); ++i)
      codes[i] = static_cast<std::uint16_t>(nearest_codeword(values.subspan(i * v, v), p.table));
  }
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters& p,
                  const QuantSpec& spec, std::span<float> values) const override {
    const std::size_t v = spec.vector_length;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      require((codes[i] + std::size_t{1}) * v <= p.table.size(),
              "codebook: a code is beyond its table");
      std::ranges::copy(p.table.subspan(codes[i] * v, v),
                        values.begin() + static_cast<std::ptrdiff_t>(i * v));
    }
  }
  std::vector<float> table(std::span<const float>, const CodedMatrix& m) const override {
    const std::uint64_t size = checked_product(codeword_count(m.spec), m.spec.vector_length);
    require(m.table.size() == size, "codebook: the table is not [codewords][vector_length]");
    std::vector<float> out = m.table;
    for (float& x : out) {
      require(std::isfinite(x), "codebook: a codeword is not finite");
      x = store_parameter(m.spec.scale, x);
    }
    return out;
  }

 private:
  static std::uint32_t codeword_count(const QuantSpec& spec) {
    const std::uint32_t count = spec.levels == 0 ? 4096 : spec.levels;
    require(count >= 2 && count <= 65536, "codebook: between 2 and 65536 codewords");
    return count;
  }
};

}  // namespace

const Codec* lut_codec(Format format) {
  static const NormalFloatCodec normal;
  static const LutCodec lut;
  if (format == Format::lut) return &lut;
  return &normal;
}

const Codec* codebook_codec(Format) {
  static const CodebookCodec codec;
  return &codec;
}

}  // namespace systole::quant
