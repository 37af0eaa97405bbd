#include "workloads/observations.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <optional>
#include <vector>

#include "quant/coded_matrix.hpp"
#include "quant/formats/ovp.hpp"
#include "quant/quantise.hpp"

namespace systole::workloads {
namespace {

using configs::Target;

/// What four bits of two's complement hold.
constexpr bool fits_nibble(std::int64_t code) { return code >= -8 && code <= 7; }

struct Counts {
  std::uint64_t elements = 0, zeros = 0, outliers = 0;

  void add(std::span<const float> values, std::size_t cols, const quant::QuantSpec& spec) {
    elements += values.size();
    if (quant::is_ieee(spec.format)) {
      for (const float value : values) zeros += value == 0.0f ? 1 : 0;
      return;
    }
    const std::size_t rows = values.size() / cols;
    if (quant::is_integer(spec.format) && spec.affine == quant::Affine::symmetric) {
      for (const int code : quant::quantise(values, rows, cols, spec).codes) {
        zeros += code == 0 ? 1 : 0;
        outliers += fits_nibble(code) ? 0 : 1;
      }
      return;
    }
    const quant::CodedMatrix coded = quant::encode(values, rows, cols, spec);
    float unit = 1.0f;
    const auto integers = quant::element_integers(coded, unit);
    if (!integers) {
      for (const float value : quant::decode(coded)) zeros += value == 0.0f ? 1 : 0;
      return;
    }
    const bool pairs = quant::info_of(spec.format).kind == quant::FormatClass::pair;
    const std::int32_t largest =
        pairs ? quant::ovp_type(spec.format, spec.contract).largest_normal : 0;
    for (const std::int32_t value : *integers) {
      zeros += value == 0 ? 1 : 0;
      outliers += (pairs ? std::abs(value) > largest : !fits_nibble(value)) ? 1 : 0;
    }
  }
  OperandStatistics shares() const {
    if (elements == 0) return {};
    const auto all = static_cast<double>(elements);
    return {static_cast<double>(zeros) / all, static_cast<double>(outliers) / all};
  }
};

class InputCounter : public ForwardObserver {
 public:
  explicit InputCounter(const quant::QuantSpec& spec) : spec_(spec) {}
  void linear_input(std::size_t, std::string_view, std::span<const float> rows,
                    std::size_t cols) override {
    counts.add(rows, cols, spec_);
  }
  Counts counts;

 private:
  const quant::QuantSpec& spec_;
};

}  // namespace

Observations observe(FunctionalExecutor& executor, const LlamaModel& model,
                     std::span<const std::uint32_t> tokens) {
  const configs::Recipe& recipe = executor.recipe();
  InputCounter inputs(recipe[Target::activation]);
  executor.observe(&inputs);
  executor.forward(tokens, 0);
  executor.observe(nullptr);
  executor.reset();
  Counts weights;
  const configs::ModelShape& shape = executor.shape();
  const quant::QuantSpec& spec = recipe[Target::weight];
  for (const LayerWeights& layer : model.layers) {
    for (const auto* weight : {&layer.q, &layer.k, &layer.v, &layer.gate, &layer.up}) {
      weights.add(*weight, shape.hidden, spec);
    }
    weights.add(layer.output, shape.q_dim(), spec);
    weights.add(layer.down, shape.intermediate, spec);
  }
  return {weights.shares(), inputs.counts.shares(),
          fmt::format("{} under {}, {} tokens", shape.name, recipe.name, tokens.size())};
}

}  // namespace systole::workloads
