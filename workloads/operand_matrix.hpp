// A matrix of a product as the functional run has it, and as the words that enter an array.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "quant/coded_matrix.hpp"
#include "quant/primitives/select.hpp"
#include "quant/quantise.hpp"

namespace systole::workloads {

/// One operand [rows, cols] along the reduction, in the one form that its policy gives it.
struct OperandMatrix {
  std::size_t rows = 0, cols = 0;
  std::optional<quant::QuantizedMatrix> integers;  ///< plain integer policies
  std::optional<quant::CodedMatrix> coded;         ///< other formats with codes
  std::vector<float> values;   ///< decoded; may be empty where `integers` is there
  quant::SparseMatrix sparse;  ///< outliers beside `coded`, in what they add to it
};

/// The words [rows, cols] of an operand that enters in format `as`: its codes where that is their
/// own format (two's complement sign-extended, the middle of affine codes subtracted, BitMoD codes
/// as their integers, sparse outliers of a dictionary as fp16 in units of its scale), or the
/// decoded values where `as` is a float of 16 bits. Empty where the operand has no such words.
std::vector<std::uint16_t> array_words(const OperandMatrix& matrix, quant::Format as);

}  // namespace systole::workloads
