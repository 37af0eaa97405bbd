#include "workloads/linear.hpp"

#include <algorithm>
#include <cmath>

#include "quant/kernels/element_grid.hpp"
#include "sim/core/error.hpp"
#include "workloads/attention.hpp"

namespace systole::workloads {

using configs::Recipe;
using configs::Target;
using quant::CodedMatrix;
using quant::Format;
using quant::GridMatrix;
using quant::QuantizedMatrix;
using quant::QuantSpec;
using quant::TensorPolicy;

InputTransform input_transform(const Recipe& recipe,
                               std::span<const std::span<const float>> weights, std::size_t k,
                               const quant::LayerStatistics* statistics) {
  const TensorPolicy& policy = recipe[Target::weight];
  InputTransform result;
  result.rule.input_scale = quant::shared_input_scale(weights, k, policy, statistics);
  for (const quant::Transform& t : policy.transforms) {
    const bool turns = t.op == quant::TransformOp::had || t.op == quant::TransformOp::rot;
    if (turns && t.where == quant::Where::fold) result.rule.input_transforms.push_back(t);
  }
  return result;
}

LinearInput::LinearInput(std::span<const float> values, std::size_t rows, std::size_t cols,
                         const TensorPolicy& policy, const InputTransform& transform)
    : values_(values), rows_(rows), cols_(cols), policy_(policy) {
  if (transform.identity()) return;
  changed_.assign(values.begin(), values.end());
  quant::apply_input(transform.rule, changed_, cols);
  values_ = changed_;
}

const QuantizedMatrix& LinearInput::codes() {
  if (!codes_) codes_ = quant::quantise(values_, rows_, cols_, policy_);
  return *codes_;
}

const CodedMatrix& LinearInput::coded() {
  if (!coded_) coded_ = quant::encode(values_, rows_, cols_, policy_);
  return *coded_;
}

const GridMatrix& LinearInput::grid() {
  if (!grid_) grid_ = quant::to_grid(coded());
  SYSTOLE_CHECK(grid_.has_value(), "an input without element integers");
  return *grid_;
}

std::span<const float> LinearInput::decoded() {
  if (decoded_) return *decoded_;
  if (is_ieee(policy_.format)) {
    if (policy_.format == Format::fp32) return values_;
    decoded_.emplace(values_.begin(), values_.end());
    quant::round_to(policy_.format, *decoded_);
  } else if (quant::is_plain(policy_)) {
    decoded_ = quant::dequantise(codes());
  } else {
    decoded_ = quant::decode(coded());
  }
  return *decoded_;
}

OperandMatrix LinearInput::operand() {
  OperandMatrix operand;
  operand.rows = rows_;
  operand.cols = cols_;
  if (is_ieee(policy_.format)) {
    const std::span<const float> values = decoded();
    operand.values.assign(values.begin(), values.end());
  } else if (quant::is_plain(policy_) && is_integer(policy_.format)) {
    operand.integers = codes();
  } else {
    operand.coded = coded();
    operand.values = quant::decode(*operand.coded);
  }
  return operand;
}

OperandMatrix weight_operand(std::span<const float> weight, std::size_t n, std::size_t k,
                             const TensorPolicy& policy, const Recipe& recipe,
                             const InputTransform& transform) {
  OperandMatrix operand;
  operand.rows = n;
  operand.cols = k;
  if (quant::is_plain(policy) && quant::is_plain(recipe[Target::activation])) {
    if (is_integer(policy.format)) {
      operand.integers = quant::quantise(weight, n, k, policy);
    } else {
      operand.values = quant::fake_quantise(weight, n, k, policy);
    }
    return operand;
  }
  quant::QuantisedWeight w =
      quant::quantise_weight(weight, n, k, policy, nullptr, transform.rule.input_scale);
  operand.values = std::move(w.values);
  if (w.column_order.empty()) {
    operand.coded = std::move(w.codes);
    operand.sparse = std::move(w.sparse);
  }
  return operand;
}

bool row_grid(const QuantSpec& activation) {
  return activation.granularity != quant::Granularity::group &&
         info_of(activation.format).kind != quant::FormatClass::block &&
         quant::always_has_grid(activation);
}

Linear::Linear(std::span<const float> weight, std::size_t n, std::size_t k,
               const TensorPolicy& policy, const Recipe& recipe, const InputTransform& transform,
               const quant::LayerStatistics* statistics, quant::Path path, std::size_t fp16_chunk)
    : rows_(n), chunk_(fp16_chunk != 0 ? fp16_chunk : k) {
  if (quant::is_plain(policy) && quant::is_plain(recipe[Target::activation])) {
    prepare_plain(weight, n, k, policy, recipe, path);
  } else {
    prepare_general(weight, n, k, policy, recipe, transform, statistics, path);
  }
}

void Linear::prepare_plain(std::span<const float> weight, std::size_t n, std::size_t k,
                           const QuantSpec& spec, const Recipe& recipe, quant::Path path) {
  const QuantSpec& activation = recipe[Target::activation];
  stored_bits_ = quant::stored_bits(n, k, spec);
  if (recipe.dequantise == configs::Dequantise::after && is_integer(spec.format) &&
      is_integer(activation.format)) {
    integer_.emplace(quant::quantise(weight, n, k, spec), path);
    return;
  }
  const Format operands = uses_fp16(activation, spec) ? Format::fp16 : Format::fp32;
  real_.emplace(quant::fake_quantise(weight, n, k, spec), n, k, operands, path);
}

void Linear::prepare_general(std::span<const float> weight, std::size_t n, std::size_t k,
                             const TensorPolicy& policy, const Recipe& recipe,
                             const InputTransform& transform,
                             const quant::LayerStatistics* statistics, quant::Path path) {
  const TensorPolicy& activation = recipe[Target::activation];
  const quant::QuantisedWeight w =
      quant::quantise_weight(weight, n, k, policy, statistics, transform.rule.input_scale);
  stored_bits_ = static_cast<std::uint64_t>(
      std::llround(w.stored_bits * static_cast<double>(n) * static_cast<double>(k)));
  format_shares_ = w.shares;
  const bool as_coded = w.codes && w.column_order.empty() && w.sparse.value.empty();
  if (recipe.dequantise == configs::Dequantise::after && row_grid(activation) && as_coded) {
    if (std::optional<GridMatrix> grid = quant::to_grid(*w.codes)) {
      grid_.emplace(std::move(*grid), path);
      return;
    }
  }
  const Format operands = uses_fp16(activation, policy) ? Format::fp16 : Format::fp32;
  real_.emplace(w.values, n, k, operands, path);
}

Buffer Linear::operator()(LinearInput& input, unsigned threads) const {
  Buffer out(input.rows() * rows_);
  multiply(input, out, threads);
  return out;
}

void Linear::multiply(LinearInput& input, std::span<float> out, unsigned threads) const {
  if (integer_) {
    quant::gemm_dequantise_after(input.codes(), *integer_, out, threads);
  } else if (grid_) {
    quant::gemm_grid(input.grid(), *grid_, out, threads);
  } else if (real_->operands() == Format::fp16) {
    quant::gemm_fp16(input.decoded(), *real_, input.rows(), chunk_, out, threads);
  } else {
    quant::gemm_fp32(input.decoded(), *real_, input.rows(), out, threads);
  }
}

}  // namespace systole::workloads
