// What every codec has in common: sizes and bytes from its layout, boxes in order.
#include "quant/formats/codec.hpp"

#include <algorithm>
#include <limits>

#include "quant/bit_stream.hpp"
#include "quant/check.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return a / b + (a % b != 0 ? 1 : 0); }
std::uint64_t to_byte(std::uint64_t bits) { return checked_sum(bits, 7) & ~std::uint64_t{7}; }

bool per_tensor(const CodecLayout& l, const QuantSpec& spec) {
  return !l.own_boxes && spec.granularity == Granularity::tensor;
}

/// Rows of parameters that are stored.
std::size_t lines_of(const CodecLayout& l, const CodedMatrix& m) {
  return per_tensor(l, m.spec) ? std::min<std::size_t>(m.rows, 1) : m.rows;
}

std::size_t codes_a_row(const CodecLayout& l, std::size_t cols) { return cols / l.codes.vector; }

void pack_row(std::span<const std::uint16_t> codes, const CodeLayout& l, BitWriter& out) {
  if (l.base == 0) {
    for (const std::uint16_t code : codes) out.write(code, l.word_bits);
  } else {
    for (std::size_t i = 0; i < codes.size(); i += l.symbols) {
      std::uint32_t word = 0;
      const std::size_t end = std::min<std::size_t>(i + l.symbols, codes.size());
      for (std::size_t j = end; j-- > i;) word = word * l.base + codes[j];
      out.write(word, l.word_bits);
    }
  }
  out.flush();
}

void unpack_row(BitReader& in, const CodeLayout& l, std::span<std::uint16_t> codes) {
  if (l.base == 0) {
    for (std::uint16_t& code : codes) code = static_cast<std::uint16_t>(in.read(l.word_bits));
  } else {
    std::uint32_t word = 0;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      if (i % l.symbols == 0) word = in.read(l.word_bits);
      codes[i] = static_cast<std::uint16_t>(word % l.base);
      word /= l.base;
    }
  }
  in.align();
}

std::uint32_t zero_field(const CodecLayout& l, float zero) {
  if (l.zero == ZeroKind::floating) return parameter_bits(l.zero_format, zero);
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(zero));
}

float zero_value(const CodecLayout& l, std::uint32_t field) {
  if (l.zero == ZeroKind::floating) return parameter_from_bits(l.zero_format, field);
  if (l.zero == ZeroKind::unsigned_integer) return static_cast<float>(field);
  const std::uint32_t sign = 1u << (l.zero_bits - 1);
  return static_cast<float>(static_cast<std::int32_t>((field ^ sign) - sign));
}

BoxParameters box_parameters(const CodecLayout& l, const CodedMatrix& m, std::size_t box) {
  BoxParameters p;
  for (unsigned k = 0; k < l.scales; ++k) {
    p.scale[k] = m.scales[box * l.scales + k];
    if (!m.zeros.empty()) p.zero[k] = m.zeros[box * l.scales + k];
  }
  if (!m.tags.empty()) p.tag = m.tags[box];
  p.table = m.table;
  if (l.table_by_box) p.table = p.table.subspan(box * l.table, l.table);
  return p;
}

}  // namespace

std::size_t Codec::box_length(std::size_t cols, const QuantSpec& spec) const {
  return group_length(cols, spec);
}

std::optional<IntegerGrid> Codec::integers(const QuantSpec&, std::uint8_t) const {
  return std::nullopt;
}

std::optional<std::vector<std::int32_t>> Codec::elements(const CodedMatrix& m, float& unit) const {
  std::vector<IntegerGrid> grids;  // by tag
  const unsigned tags = m.tags.empty() ? 1 : *std::ranges::max_element(m.tags) + 1u;
  for (unsigned tag = 0; tag < tags; ++tag) {
    const auto grid = integers(m.spec, static_cast<std::uint8_t>(tag));
    if (!grid) return std::nullopt;
    grids.push_back(*grid);
  }
  unit = grids.front().unit;
  std::vector<std::int32_t> out(m.rows * m.cols);
  for (std::size_t row = 0; row < m.rows; ++row) {
    for (std::size_t col = 0; col < m.cols; ++col) {
      const std::size_t i = row * m.cols + col;
      const auto& grid = grids[m.tags.empty() ? 0 : m.tags[row * m.groups + col / m.group]];
      require(m.codes[i] < grid.integers.size(), "element_integers: a code is out of range");
      out[i] = grid.integers[m.codes[i]];
    }
  }
  return out;
}

StoredBits Codec::stored(std::uint64_t rows, std::uint64_t cols, const QuantSpec& spec) const {
  const CodecLayout l = layout(spec);
  const std::uint64_t box = box_length(cols, spec);
  const std::uint64_t lines = per_tensor(l, spec) ? 1 : rows;
  const std::uint64_t boxes = ceil_div(cols, box);
  const auto padded = [&](std::uint64_t line, std::uint64_t count, std::uint64_t& part,
                          StoredBits& s) {
    part = checked_sum(part, checked_product(line, count));
    s.padding = checked_sum(s.padding, checked_product(line, to_byte(count) - count));
  };
  StoredBits s;
  const std::uint64_t words = ceil_div(ceil_div(cols, l.codes.vector), l.codes.symbols);
  padded(rows, checked_product(words, l.codes.word_bits), s.codes, s);
  const std::uint64_t parameters = checked_product(boxes, l.scales);
  s.scales = checked_product(checked_product(lines, parameters), bits_of(l.scale));
  if (l.zero != ZeroKind::none) padded(lines, checked_product(parameters, l.zero_bits), s.zeros, s);
  padded(lines, checked_product(boxes, l.tag_bits), s.tags, s);
  if (l.tensor_scale) s.scales = checked_sum(s.scales, 32);
  s.codebook = checked_product(l.table, bits_of(l.scale));
  if (l.table_by_box) s.codebook = checked_product(s.codebook, checked_product(lines, boxes));
  return s;
}

void Codec::pack(const CodedMatrix& m, std::vector<std::uint8_t>& out) const {
  const CodecLayout l = layout(m.spec);
  BitWriter bits(out);
  const std::size_t codes = codes_a_row(l, m.cols);
  for (std::size_t row = 0; row < m.rows; ++row)
    pack_row(std::span(m.codes).subspan(row * codes, codes), l.codes, bits);
  const std::size_t lines = lines_of(l, m);
  const std::size_t parameters = m.groups * l.scales;
  const unsigned scale_bits = bits_of(l.scale);
  for (std::size_t i = 0; i < lines * parameters; ++i)
    bits.write(parameter_bits(l.scale, m.scales[i]), scale_bits);
  if (l.zero != ZeroKind::none) {
    for (std::size_t line = 0; line < lines; ++line, bits.flush()) {
      for (std::size_t i = 0; i < parameters; ++i)
        bits.write(zero_field(l, m.zeros[line * parameters + i]), l.zero_bits);
    }
  }
  if (l.tag_bits != 0) {
    for (std::size_t line = 0; line < lines; ++line, bits.flush()) {
      for (std::size_t i = 0; i < m.groups; ++i)
        bits.write(m.tags[line * m.groups + i], l.tag_bits);
    }
  }
  if (l.tensor_scale) bits.write(parameter_bits(Format::fp32, m.tensor_scale), 32);
  const std::size_t entries = l.table_by_box ? l.table * lines * m.groups : l.table;
  for (std::size_t i = 0; i < entries; ++i)
    bits.write(parameter_bits(l.scale, m.table[i]), scale_bits);
  bits.flush();
}

void Codec::unpack(std::span<const std::uint8_t> bytes, CodedMatrix& m) const {
  const CodecLayout l = layout(m.spec);
  BitReader bits(bytes);
  const std::size_t codes = codes_a_row(l, m.cols);
  m.codes.resize(m.rows * codes);
  for (std::size_t row = 0; row < m.rows; ++row)
    unpack_row(bits, l.codes, std::span(m.codes).subspan(row * codes, codes));
  const std::size_t lines = lines_of(l, m);
  const std::size_t parameters = m.groups * l.scales;
  const unsigned scale_bits = bits_of(l.scale);
  m.scales.resize(m.rows * parameters);
  for (std::size_t i = 0; i < lines * parameters; ++i)
    m.scales[i] = parameter_from_bits(l.scale, bits.read(scale_bits));
  if (l.zero != ZeroKind::none) {
    m.zeros.resize(m.scales.size());
    for (std::size_t line = 0; line < lines; ++line, bits.align()) {
      for (std::size_t i = 0; i < parameters; ++i)
        m.zeros[line * parameters + i] = zero_value(l, bits.read(l.zero_bits));
    }
  }
  if (l.tag_bits != 0) {
    m.tags.resize(m.rows * m.groups);
    for (std::size_t line = 0; line < lines; ++line, bits.align()) {
      for (std::size_t i = 0; i < m.groups; ++i)
        m.tags[line * m.groups + i] = static_cast<std::uint8_t>(bits.read(l.tag_bits));
    }
  }
  if (l.tensor_scale) m.tensor_scale = parameter_from_bits(Format::fp32, bits.read(32));
  m.table.resize(l.table_by_box ? l.table * m.rows * m.groups : l.table);
  const std::size_t entries = l.table_by_box ? l.table * lines * m.groups : l.table;
  for (std::size_t i = 0; i < entries; ++i)
    m.table[i] = parameter_from_bits(l.scale, bits.read(scale_bits));
  // Per-tensor parameters lie in memory once and are repeated a row.
  for (std::size_t row = lines; row < m.rows; ++row) {
    for (std::size_t i = 0; i < parameters; ++i) {
      m.scales[row * parameters + i] = m.scales[i];
      if (!m.zeros.empty()) m.zeros[row * parameters + i] = m.zeros[i];
    }
    for (std::size_t i = 0; i < m.groups && l.tag_bits != 0; ++i)
      m.tags[row * m.groups + i] = m.tags[i];
    for (std::size_t i = 0; i < l.table * m.groups && l.table_by_box; ++i)
      m.table[row * l.table * m.groups + i] = m.table[i];
  }
}

std::vector<float> BoxCodec::table(std::span<const float>, const CodedMatrix& m) const {
  require(m.table.empty(), "this format has no table to calibrate");
  return {};
}

void BoxCodec::encode(std::span<const float> values, CodedMatrix& m) const {
  const CodecLayout l = layout(m.spec);
  const bool whole = per_tensor(l, m.spec);
  m.table = table(values, m);
  m.codes.resize(m.rows * codes_a_row(l, m.cols));
  m.scales.resize(m.rows * m.groups * l.scales);
  if (l.zero != ZeroKind::none) m.zeros.resize(m.scales.size());
  if (l.tag_bits != 0) m.tags.resize(m.rows * m.groups);
  const auto table_of = [&](std::size_t box) {
    const std::span<const float> all(m.table);
    return l.table_by_box ? all.subspan(box * l.table, l.table) : all;
  };
  BoxParameters p;
  if (whole) p = parameters(values, m.spec, table_of(0));
  for (std::size_t box = 0; box < m.rows * m.groups; ++box) {
    const std::size_t row = box / m.groups;
    const std::size_t first = (box % m.groups) * m.group;
    const std::size_t count = std::min(m.group, m.cols - first);
    const std::span<const float> part = values.subspan(row * m.cols + first, count);
    if (!whole) p = parameters(part, m.spec, table_of(box));
    for (unsigned k = 0; k < l.scales; ++k) {
      m.scales[box * l.scales + k] = p.scale[k];
      if (!m.zeros.empty()) m.zeros[box * l.scales + k] = p.zero[k];
    }
    if (!m.tags.empty()) m.tags[box] = p.tag;
    const std::size_t v = l.codes.vector;
    encode_box(part, p, m.spec, std::span(m.codes).subspan((row * m.cols + first) / v, count / v));
  }
}

void BoxCodec::decode(const CodedMatrix& m, std::span<float> out) const {
  const CodecLayout l = layout(m.spec);
  const std::size_t v = l.codes.vector;
  for (std::size_t box = 0; box < m.rows * m.groups; ++box) {
    const std::size_t row = box / m.groups;
    const std::size_t first = (box % m.groups) * m.group;
    const std::size_t count = std::min(m.group, m.cols - first);
    decode_box(std::span(m.codes).subspan((row * m.cols + first) / v, count / v),
               box_parameters(l, m, box), m.spec, out.subspan(row * m.cols + first, count));
  }
}

}  // namespace systole::quant
