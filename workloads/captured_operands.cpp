#include "workloads/captured_operands.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/core/error.hpp"
#include "workloads/linear.hpp"

namespace systole::workloads {

CapturedOperands::CapturedOperands(FunctionalExecutor& executor, std::vector<std::uint32_t> prompt)
    : executor_(executor), prompt_(std::move(prompt)) {
  executor_.reset();
  executor_.observe(this);
}

CapturedOperands::~CapturedOperands() {
  executor_.observe(nullptr);
  executor_.reset();
}

std::string CapturedOperands::describe() const {
  return fmt::format("{} under {}, {} tokens of text and what it says next", executor_.shape().name,
                     executor_.recipe().name, prompt_.size());
}

void CapturedOperands::begin(std::size_t step, std::uint64_t tokens) {
  linear_.clear();
  queries_.assign(executor_.shape().layers, {});
  contexts_.assign(executor_.shape().layers, {});
  at_hand_.reset();
  head_at_hand_.reset();
  if (step == 0) {
    SYSTOLE_CHECK(tokens == prompt_.size(), "the first step computes the prompt");
    logits_ = executor_.forward(prompt_, 0);
    return;
  }
  SYSTOLE_CHECK(tokens == 1 && !logits_.empty(), "a later step computes one token");
  const auto next = std::max_element(logits_.begin(), logits_.end()) - logits_.begin();
  const auto token = static_cast<std::uint32_t>(next);
  logits_ = executor_.forward({&token, 1}, executor_.position());
}

void CapturedOperands::linear_input(std::size_t layer, std::string_view inputs,
                                    std::span<const float> rows, std::size_t) {
  shared_inputs_.clear();
  if (inputs == "attn_output") contexts_[layer].assign(rows.begin(), rows.end());
}

void CapturedOperands::linear_product(std::size_t layer, std::string_view linear,
                                      LinearInput& input, std::span<const float> product) {
  auto& shared = shared_inputs_[&input];
  if (!shared) shared = std::make_shared<const OperandMatrix>(input.operand());
  linear_[{layer, std::string(linear)}].push_back({shared, {product.begin(), product.end()}});
}

void CapturedOperands::attention(std::size_t layer, std::uint64_t, std::span<const float>,
                                 std::span<const float> query, std::span<const float>,
                                 std::span<const float>, std::span<const float>) {
  queries_[layer].assign(query.begin(), query.end());
}

const ProductOperands* CapturedOperands::find(const ProductName& name, quant::Format stationary,
                                              quant::Format moving) {
  const auto key = std::pair(name, std::pair(stationary, moving));
  if (at_hand_ != key) {
    at_hand_ = key;
    operands_ = {};
    name.product == Product::linear ? take_linear(name, moving) : take_attention(name);
    if (operands_.moving_matrix && operands_.stationary_matrix) {
      const OperandMatrix &a = *operands_.moving_matrix, &w = *operands_.stationary_matrix;
      operands_.m = a.rows;
      operands_.n = w.rows;
      operands_.k = w.cols;
      operands_.moving = array_words(a, moving);
      operands_.stationary = array_words(w, stationary);
    }
  }
  return operands_.moving.empty() || operands_.stationary.empty() ? nullptr : &operands_;
}

void CapturedOperands::take_linear(const ProductName& name, quant::Format moving) {
  // A Program calls the head by what it does.
  const std::string linear = name.operation == "classifier" ? "head" : name.operation;
  const auto found = linear_.find(std::pair(std::size_t{name.layer}, linear));
  if (found == linear_.end()) return;
  std::optional<OperandMatrix> weight = executor_.weight(name.layer, linear);
  if (!weight) return;
  const auto& parts = found->second;
  const auto part = std::ranges::find_if(parts, [&](const Linear& of) {
    const auto& codes = of.input->integers;
    return parts.size() == 1 || (codes && codes->spec.format == moving);
  });
  if (part == parts.end()) return;
  operands_.moving_matrix = part->input;
  operands_.stationary_matrix = std::make_shared<const OperandMatrix>(*std::move(weight));
  operands_.outputs = part->output;
}

void CapturedOperands::take_attention(const ProductName& name) {
  const AttentionLayer* layer = executor_.plain_attention(name.layer);
  if (layer == nullptr) return;
  if (head_at_hand_ != std::pair(name.layer, name.head)) {
    head_ = layer->operands(queries_.at(name.layer), name.head);
    head_at_hand_ = {name.layer, name.head};
  }
  if (name.product == Product::scores) {
    operands_.moving_matrix = std::make_shared<const OperandMatrix>(head_.query);
    operands_.stationary_matrix = std::make_shared<const OperandMatrix>(head_.key);
    return;
  }
  operands_.moving_matrix = std::make_shared<const OperandMatrix>(head_.probability);
  operands_.stationary_matrix = std::make_shared<const OperandMatrix>(head_.value);
  const std::size_t dim = executor_.shape().head_dim, width = executor_.shape().q_dim();
  const std::size_t share = executor_.shape().heads / executor_.shape().kv_heads;
  const std::vector<float>& contexts = contexts_.at(name.layer);
  for (std::size_t row = 0; row < head_.probability.rows; ++row) {
    const auto first =
        contexts.begin() +
        static_cast<std::ptrdiff_t>(row / share * width + (name.head * share + row % share) * dim);
    operands_.outputs.insert(operands_.outputs.end(), first,
                             first + static_cast<std::ptrdiff_t>(dim));
  }
}

}  // namespace systole::workloads
