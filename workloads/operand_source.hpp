// The operands of a program's products, for whoever steps an array through them and need not know
// where they come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "quant/format.hpp"
#include "workloads/operand_matrix.hpp"

namespace systole::workloads {

/// linear: a linear layer; scores, context: the two products of attention, of one KV head.
enum class Product : std::uint8_t { linear, scores, context };

/// A product of the step at hand.
struct ProductName {
  std::uint64_t layer = 0;  ///< of the model; its number of layers: behind the last one
  std::string operation;    ///< as in the Program
  Product product = Product::linear;
  std::uint64_t head = 0;
  friend auto operator<=>(const ProductName&, const ProductName&) = default;
};

/// moving [m, k] times stationary [n, k]. Rows of attention's moving operands: the query heads of a
/// token, then the next token's; masked probabilities are 0.
struct ProductOperands {
  std::uint64_t m = 0, n = 0, k = 0;
  std::vector<std::uint16_t> moving, stationary;  ///< see array_words
  std::shared_ptr<const OperandMatrix> moving_matrix, stationary_matrix;
  std::vector<float> outputs;  ///< [m, n] as the functional run computed them; empty: not known
};

class OperandSource {
 public:
  virtual ~OperandSource() = default;
  /// Computes the next step: `tokens` of them behind those before (0: the first step).
  virtual void begin(std::size_t step, std::uint64_t tokens) = 0;
  /// Of the step at hand, valid until the next call; null where the functional run has no such
  /// words for this product in these formats.
  virtual const ProductOperands* find(const ProductName& name, quant::Format stationary,
                                      quant::Format moving) = 0;
  /// Which run they are of.
  virtual std::string describe() const = 0;
};

}  // namespace systole::workloads
