// Checks sizes and values, then leaves the work to the format's codec.
#include "quant/coded_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "quant/check.hpp"
#include "quant/formats/codec.hpp"

namespace systole::quant {
namespace {

void check_finite(std::span<const float> values, std::size_t cols) {
  const auto bad = std::ranges::find_if_not(values, [](float x) { return std::isfinite(x); });
  if (bad == values.end()) return;
  const auto index = static_cast<std::size_t>(bad - values.begin());
  throw std::domain_error("cannot encode row " + std::to_string(index / cols) + ", column " +
                          std::to_string(index % cols) + ": the value is not finite");
}

CodedMatrix shaped(const Codec& codec, std::size_t rows, std::size_t cols, const QuantSpec& spec) {
  const CodecLayout layout = codec.layout(spec);
  require(cols % layout.codes.vector == 0, "cols is no whole number of vectors");
  CodedMatrix m;
  m.rows = rows;
  m.cols = cols;
  m.spec = spec;
  m.group = codec.box_length(cols, spec);
  m.groups = cols == 0 ? 0 : (cols + m.group - 1) / m.group;
  require(m.group % layout.codes.vector == 0, "a scale box is no whole number of vectors");
  return m;
}

}  // namespace

CodedMatrix encode(std::span<const float> values, std::size_t rows, std::size_t cols,
                   const QuantSpec& spec, std::span<const float> table) {
  require(cols == 0 ? values.empty() : values.size() / cols == rows && values.size() % cols == 0,
          "encode: values is not [rows, cols]");
  const Codec& codec = codec_of(spec.format);
  CodedMatrix m = shaped(codec, rows, cols, spec);
  m.table.assign(table.begin(), table.end());
  if (values.empty()) return m;
  check_finite(values, cols);
  codec.encode(values, m);
  return m;
}

std::vector<float> decode(const CodedMatrix& m) {
  std::vector<float> out(m.rows * m.cols);
  if (!out.empty()) codec_of(m.spec.format).decode(m, out);
  return out;
}

std::vector<std::uint8_t> pack(const CodedMatrix& m) {
  std::vector<std::uint8_t> out;
  if (m.rows != 0 && m.cols != 0) codec_of(m.spec.format).pack(m, out);
  return out;
}

CodedMatrix unpack(std::span<const std::uint8_t> bytes, std::size_t rows, std::size_t cols,
                   const QuantSpec& spec) {
  const Codec& codec = codec_of(spec.format);
  CodedMatrix m = shaped(codec, rows, cols, spec);
  if (rows == 0 || cols == 0) {
    require(bytes.empty(), "unpack: an empty matrix has no bytes");
    return m;
  }
  const std::uint64_t bits = codec.stored(rows, cols, spec).total();
  require(bits % 8 == 0 && bytes.size() == bits / 8,
          "unpack: not as many bytes as the format takes");
  codec.unpack(bytes, m);
  return m;
}

std::optional<IntegerGrid> integer_grid(const QuantSpec& spec, std::uint8_t tag) {
  return has_codec(spec.format) ? codec_of(spec.format).integers(spec, tag) : std::nullopt;
}

std::optional<std::vector<std::int32_t>> element_integers(const CodedMatrix& m, float& unit) {
  return codec_of(m.spec.format).elements(m, unit);
}

}  // namespace systole::quant
