// The operands that a model's own run gives the products of a Program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "workloads/attention.hpp"
#include "workloads/executor.hpp"
#include "workloads/operand_source.hpp"

namespace systole::workloads {

/// Runs a model step by step, the prompt first, then the token that it finds most likely, and hands
/// out what the products of the step at hand multiply. Held are the codes and outputs of one step's
/// linear layers and the words of one product; weights are quantised again when asked for.
class CapturedOperands final : public OperandSource, private ForwardObserver {
 public:
  /// The prompt must be as long as the first step. `executor` must outlive the object, which uses
  /// its cache; whoever observes it otherwise must wait.
  CapturedOperands(FunctionalExecutor& executor, std::vector<std::uint32_t> prompt);
  ~CapturedOperands() override;

  void begin(std::size_t step, std::uint64_t tokens) override;
  const ProductOperands* find(const ProductName& name, quant::Format stationary,
                              quant::Format moving) override;
  std::string describe() const override;

 private:
  struct Linear {
    std::shared_ptr<const OperandMatrix> input;
    std::vector<float> output;
  };
  void linear_input(std::size_t layer, std::string_view inputs, std::span<const float> rows,
                    std::size_t cols) override;
  void linear_product(std::size_t layer, std::string_view linear, LinearInput& input,
                      std::span<const float> product) override;
  void attention(std::size_t layer, std::uint64_t start, std::span<const float> query_pre,
                 std::span<const float> query, std::span<const float> key_pre,
                 std::span<const float> key, std::span<const float> value) override;
  void take_linear(const ProductName& name, quant::Format moving);
  void take_attention(const ProductName& name);

  FunctionalExecutor& executor_;
  std::vector<std::uint32_t> prompt_;
  std::vector<float> logits_;  ///< of the last token
  /// By layer and name; several where tokens pass apart.
  std::map<std::pair<std::size_t, std::string>, std::vector<Linear>, std::less<>> linear_;
  /// Of the layers that read the same.
  std::map<const LinearInput*, std::shared_ptr<const OperandMatrix>> shared_inputs_;
  std::vector<std::vector<float>> queries_, contexts_;  ///< [layer], of attention
  std::optional<std::pair<ProductName, std::pair<quant::Format, quant::Format>>> at_hand_;
  ProductOperands operands_;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> head_at_hand_;  ///< layer, KV head
  AttentionOperands head_;
};

}  // namespace systole::workloads
