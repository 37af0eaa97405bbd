#include "workloads/observations.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "quant/bfloat16.hpp"
#include "quant/coded_matrix.hpp"
#include "quant/float16.hpp"
#include "quant/formats/flint.hpp"
#include "quant/formats/ovp.hpp"
#include "workloads/linear.hpp"

namespace systole::workloads {
namespace {

using quant::CodedMatrix;
using quant::Format;

/// What four bits of two's complement hold.
constexpr bool fits_nibble(std::int64_t code) { return code >= -8 && code <= 7; }

/// An operand as its codes enter a PE: 0 for a zero.
struct Ports {
  std::vector<std::uint32_t> words;  ///< [rows, cols]
  unsigned bits = 0;
  bool integer = false;  ///< two's complement, sign-extended
};

std::uint32_t port_of(const quant::ExponentInteger& element) {
  if (element.integer == 0) return 0;
  return static_cast<std::uint32_t>(element.exponent & 7) << 4 |
         static_cast<std::uint32_t>(element.integer & 15);
}

std::optional<Ports> ports_of(const OperandMatrix& matrix) {
  Ports ports;
  if (matrix.integers || (matrix.coded && quant::is_integer(matrix.coded->spec.format))) {
    const Format format =
        matrix.integers ? matrix.integers->spec.format : matrix.coded->spec.format;
    ports.bits = quant::bits_of(format);
    ports.integer = true;
    for (const std::uint16_t word : array_words(matrix, format)) {
      ports.words.push_back(static_cast<std::uint32_t>(static_cast<std::int16_t>(word)));
    }
  } else if (matrix.coded) {
    const CodedMatrix& coded = *matrix.coded;
    ports.bits = 7;
    if (quant::info_of(coded.spec.format).kind == quant::FormatClass::pair) {
      if (quant::bits_of(coded.spec.format) > 4) return std::nullopt;  // on several PEs
      for (const auto& element : quant::ovp_operands(coded))
        ports.words.push_back(port_of(element));
    } else if (quant::is_ant_grid(coded.spec.format)) {
      for (const std::uint16_t code : coded.codes) {
        ports.words.push_back(port_of(quant::ant_operand(code & 15u, coded.spec.format)));
      }
    }
  }
  if (ports.words.empty()) return std::nullopt;
  return ports;
}

std::optional<Ports> float_ports(const OperandMatrix& matrix, Format format) {
  if (format != Format::fp16 && format != Format::bf16) return std::nullopt;
  Ports ports;
  ports.bits = 16;
  for (const std::uint16_t word : array_words(matrix, format)) {
    ports.words.push_back((word & 0x7FFFu) == 0 ? 0u : word);
  }
  return ports;
}

struct ToggleCount {
  std::uint64_t pairs = 0, bits = 0, signs = 0;

  void add(std::uint32_t before, std::uint32_t now, const Ports& ports) {
    if (now == 0) return;
    const std::uint32_t mask = (std::uint32_t{1} << ports.bits) - 1;
    ++pairs;
    bits += static_cast<std::uint64_t>(std::popcount((before ^ now) & mask));
    if (ports.integer) signs += (before ^ now) >> 31;
  }
  std::optional<Toggles> mean() const {
    if (pairs == 0) return std::nullopt;
    const auto all = static_cast<double>(pairs);
    return Toggles{static_cast<double>(bits) / all, static_cast<double>(signs) / all};
  }
  ToggleCount& operator+=(const ToggleCount& other) {
    pairs += other.pairs;
    bits += other.bits;
    signs += other.signs;
    return *this;
  }
};

struct Counts {
  std::uint64_t elements = 0, zeros = 0, outliers = 0;
  ToggleCount along_k, across;
  std::optional<unsigned> bits;
  bool uniform = true;  ///< every matrix has ports, as wide as the others'

  /// `format`: of the values, where the matrix has no codes.
  void add(const OperandMatrix& matrix, Format format) {
    elements += matrix.rows * matrix.cols;
    add_values(matrix);
    std::optional<Ports> ports = ports_of(matrix);
    if (!ports && !matrix.coded) ports = float_ports(matrix, format);
    if (!ports || (bits && *bits != ports->bits)) {
      uniform = false;
      return;
    }
    bits = ports->bits;
    for (std::size_t r = 0; r < matrix.rows; ++r) {
      for (std::size_t c = 0; c < matrix.cols; ++c) {
        const std::size_t at = r * matrix.cols + c;
        if (c > 0) along_k.add(ports->words[at - 1], ports->words[at], *ports);
        if (r > 0) across.add(ports->words[at - matrix.cols], ports->words[at], *ports);
      }
    }
  }
  void operator+=(const Counts& other) {
    elements += other.elements;
    zeros += other.zeros;
    outliers += other.outliers;
    along_k += other.along_k;
    across += other.across;
    if (bits && other.bits && *bits != *other.bits) uniform = false;
    if (!bits) bits = other.bits;
    uniform = uniform && other.uniform;
  }
  OperandStatistics shares() const {
    OperandStatistics result;
    if (elements == 0) return result;
    const auto all = static_cast<double>(elements);
    result.zeros = static_cast<double>(zeros) / all;
    result.outliers = static_cast<double>(outliers) / all;
    if (uniform && bits) {
      result.code_bits = *bits;
      result.along_k = along_k.mean();
      result.across = across.mean();
    }
    return result;
  }

 private:
  void add_values(const OperandMatrix& matrix) {
    const auto zero_values = [&](const std::vector<float>& values) {
      for (const float value : values) zeros += value == 0.0f ? 1 : 0;
    };
    if (matrix.integers) {
      for (const std::uint16_t word : array_words(matrix, matrix.integers->spec.format)) {
        const auto code = static_cast<std::int16_t>(word);
        zeros += code == 0 ? 1 : 0;
        outliers += fits_nibble(code) ? 0 : 1;
      }
      return;
    }
    if (!matrix.coded) return zero_values(matrix.values);
    float unit = 1.0f;
    const auto integers = quant::element_integers(*matrix.coded, unit);
    outliers += matrix.sparse.value.size();
    if (!integers) return zero_values(matrix.values);
    const quant::QuantSpec& spec = matrix.coded->spec;
    const bool pairs = quant::info_of(spec.format).kind == quant::FormatClass::pair;
    const std::int32_t largest =
        pairs ? quant::ovp_type(spec.format, spec.contract).largest_normal : 0;
    for (const std::int32_t value : *integers) {
      zeros += value == 0 ? 1 : 0;
      outliers += (pairs ? std::abs(value) > largest : !fits_nibble(value)) ? 1 : 0;
    }
  }
};

struct LinearCounts {
  Counts weight, activation, decoded_weight;
};

/// The matrix as values of a float format, without codes.
OperandMatrix decoded(const OperandMatrix& matrix) {
  OperandMatrix values;
  values.rows = matrix.rows;
  values.cols = matrix.cols;
  values.values = matrix.values.empty() && matrix.integers ? quant::dequantise(*matrix.integers)
                                                           : matrix.values;
  return values;
}

class ProductCounter : public ForwardObserver {
 public:
  ProductCounter(const FunctionalExecutor& executor) : executor_(executor) {}

  void linear_input(std::size_t, std::string_view, std::span<const float>, std::size_t) override {
    inputs_.reset();
  }
  void linear_product(std::size_t layer, std::string_view linear, LinearInput& input,
                      std::span<const float>) override {
    const configs::Recipe& recipe = executor_.recipe();
    if (!inputs_) {
      inputs_.emplace().add(input.operand(), recipe[configs::Target::activation].format);
      const bool in_block = layer < executor_.shape().layers;
      if (in_block) mean.activation += *inputs_;
    }
    LinearCounts& counts = by_name[linear == "head" ? "classifier" : std::string(linear)];
    counts.activation += *inputs_;
    if (const auto weight = executor_.weight(layer, linear)) {
      const auto target = linear == "head" ? configs::Target::head : configs::Target::weight;
      Counts one;
      one.add(*weight, recipe[target].format);
      counts.weight += one;
      const Format inputs = recipe[configs::Target::activation].format;
      if (quant::is_ieee(inputs) && !quant::is_ieee(recipe[target].format)) {
        counts.decoded_weight.add(decoded(*weight), inputs);
      }
      if (linear != "head") mean.weight += one;
    }
  }

  std::map<std::string, LinearCounts> by_name;
  LinearCounts mean;

 private:
  const FunctionalExecutor& executor_;
  std::optional<Counts> inputs_;  ///< of the layers that share an input
};

}  // namespace

Observations observe(FunctionalExecutor& executor, std::span<const std::uint32_t> tokens) {
  ProductCounter counter(executor);
  executor.observe(&counter);
  executor.forward(tokens, 0);
  executor.observe(nullptr);
  executor.reset();
  Observations seen;
  seen.weight = counter.mean.weight.shares();
  seen.activation = counter.mean.activation.shares();
  for (const auto& [name, counts] : counter.by_name) {
    LinearObservations& linear = seen.linear[name];
    linear.weight = counts.weight.shares();
    linear.activation = counts.activation.shares();
    if (counts.decoded_weight.elements > 0) {
      linear.decoded_weight = counts.decoded_weight.shares();
    }
  }
  seen.source = fmt::format("{} under {}, {} tokens", executor.shape().name, executor.recipe().name,
                            tokens.size());
  return seen;
}

}  // namespace systole::workloads
