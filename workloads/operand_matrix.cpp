#include "workloads/operand_matrix.hpp"

#include "quant/bfloat16.hpp"
#include "quant/float16.hpp"
#include "quant/formats/bitmod.hpp"

namespace systole::workloads {
namespace {

using quant::CodedMatrix;
using quant::Format;
using quant::FormatClass;

std::uint16_t word_of(int code) { return static_cast<std::uint16_t>(code); }

std::vector<std::uint16_t> integer_words(const quant::QuantizedMatrix& matrix) {
  const int middle = quant::middle_code(matrix.spec);
  std::vector<std::uint16_t> words;
  words.reserve(matrix.codes.size());
  for (std::size_t r = 0; r < matrix.rows; ++r) {
    for (std::size_t c = 0; c < matrix.cols; ++c) {
      words.push_back(word_of(matrix.code(r, c) - middle));
    }
  }
  return words;
}

/// The bits of an integer code as the number it is in the array.
std::uint16_t integer_word(std::uint16_t code, const quant::QuantSpec& spec) {
  const unsigned unused = 16 - quant::bits_of(spec.format);
  if (spec.affine != quant::Affine::symmetric) return word_of(code - quant::middle_code(spec));
  return word_of(static_cast<std::int16_t>(static_cast<std::uint16_t>(code << unused)) >> unused);
}

std::vector<std::uint16_t> coded_words(const CodedMatrix& matrix) {
  if (matrix.codes.size() != matrix.rows * matrix.cols) return {};  // vectors, blocks, odd pairs
  const quant::QuantSpec& spec = matrix.spec;
  std::vector<std::uint16_t> words = matrix.codes;
  if (quant::is_integer(spec.format)) {
    for (std::uint16_t& word : words) word = integer_word(word, spec);
  } else if (spec.format == Format::bitmod3 || spec.format == Format::bitmod4) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::size_t group = i / matrix.cols * matrix.groups + i % matrix.cols / matrix.group;
      words[i] = word_of(quant::bitmod_value(words[i], spec.format, matrix.tags.at(group)));
    }
  }
  return words;
}

/// Outliers of a dictionary format: a float in units of the scale instead of an entry.
void put_outliers(const OperandMatrix& matrix, std::vector<std::uint16_t>& words) {
  const CodedMatrix& coded = *matrix.coded;
  for (std::size_t r = 0; r < matrix.sparse.rows; ++r) {
    for (std::uint32_t i = matrix.sparse.row_start[r]; i < matrix.sparse.row_start[r + 1]; ++i) {
      const std::size_t c = matrix.sparse.index[i];
      const float scale = coded.scales[r * coded.groups + c / coded.group];
      const float value = matrix.values[r * matrix.cols + c];
      words[r * matrix.cols + c] =
          quant::Fp16::encode(scale == 0.0f ? 0.0f : value / scale).to_bits();
    }
  }
}

std::vector<std::uint16_t> float_words(const OperandMatrix& matrix, Format as) {
  const std::vector<float> decoded = matrix.values.empty() && matrix.integers
                                         ? quant::dequantise(*matrix.integers)
                                         : std::vector<float>();
  const std::vector<float>& values = decoded.empty() ? matrix.values : decoded;
  std::vector<std::uint16_t> words;
  words.reserve(values.size());
  for (const float value : values) {
    words.push_back(as == Format::fp16 ? quant::Fp16::encode(value).to_bits()
                                       : quant::Bf16::encode(value).to_bits());
  }
  return words;
}

}  // namespace

std::vector<std::uint16_t> array_words(const OperandMatrix& matrix, Format as) {
  if (as == Format::fp16 || as == Format::bf16) return float_words(matrix, as);
  if (matrix.integers && matrix.integers->spec.format == as) return integer_words(*matrix.integers);
  if (!matrix.coded || matrix.coded->spec.format != as) return {};
  const bool outliers = !matrix.sparse.value.empty();
  if (outliers && as != Format::nf3) return {};
  std::vector<std::uint16_t> words = coded_words(*matrix.coded);
  if (outliers && !words.empty()) put_outliers(matrix, words);
  return words;
}

}  // namespace systole::workloads
