// A linear layer under a recipe: the weight prepared once, its input through the activation policy,
// and the one product that fits both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "configs/recipe.hpp"
#include "quant/coded_matrix.hpp"
#include "quant/kernels/packed_gemm.hpp"
#include "quant/quantisers/quantise_weight.hpp"
#include "workloads/buffer.hpp"
#include "workloads/operand_matrix.hpp"

namespace systole::workloads {

/// What happens to the input of the layers that share it, undone in their weights, so that the
/// product is the same in exact arithmetic: divisors, which stand for factors folded into whatever
/// makes the input, then rotations (quant::apply_input).
struct InputTransform {
  quant::QuantisedWeight rule;  ///< only its input_scale and input_transforms

  bool identity() const { return rule.input_scale.empty() && rule.input_transforms.empty(); }
};

/// The transform that the weight policy folds (diag by smoothquant or awq, had, rot) for the
/// `weights` [*, k] that read one input. Errors: std::invalid_argument when factors need statistics
/// and there are none.
InputTransform input_transform(const configs::Recipe& recipe,
                               std::span<const std::span<const float>> weights, std::size_t k,
                               const quant::LayerStatistics* statistics);

/// The input of one or more linear layers [rows, cols] as the activation policy has it; each form
/// made once, when first asked for.
class LinearInput {
 public:
  /// `values` must outlive the object unless the transform changes them.
  LinearInput(std::span<const float> values, std::size_t rows, std::size_t cols,
              const quant::TensorPolicy& policy, const InputTransform& transform);

  const quant::QuantizedMatrix& codes();  ///< plain integer policies
  const quant::CodedMatrix& coded();      ///< every other policy that is no IEEE format
  const quant::GridMatrix& grid();        ///< policies that row_grid() says yes to
  std::span<const float> decoded();       ///< any policy
  OperandMatrix operand();                ///< codes where the policy has them, else decoded values
  std::size_t rows() const { return rows_; }

 private:
  std::vector<float> changed_;
  std::span<const float> values_;
  std::size_t rows_, cols_;
  const quant::TensorPolicy& policy_;
  std::optional<quant::QuantizedMatrix> codes_;
  std::optional<quant::CodedMatrix> coded_;
  std::optional<quant::GridMatrix> grid_;
  std::optional<std::vector<float>> decoded_;
};

/// Whether inputs under this policy are element integers with one scale a row, whatever their
/// values.
bool row_grid(const quant::QuantSpec& activation);

/// The weight [n, k] that a Linear of these parameters multiplies by, made again.
OperandMatrix weight_operand(std::span<const float> weight, std::size_t n, std::size_t k,
                             const quant::TensorPolicy& policy, const configs::Recipe& recipe,
                             const InputTransform& transform);

/// One weight [n, k].
///
/// The product, by what the policies are: integers after (gemm_dequantise_after) for plain integer
/// policies and `dequantise: after`; element integers after (gemm_grid) for other policies with
/// element integers on both sides and `dequantise: after`; gemm_fp16 for fp16 inputs and fp16 or
/// integer weights; else gemm_fp32 on decoded operands.
class Linear {
 public:
  /// `policy` is the weight's (of this layer, see policy_of). statistics: what calibrated methods
  /// need; may be null.
  Linear(std::span<const float> weight, std::size_t n, std::size_t k,
         const quant::TensorPolicy& policy, const configs::Recipe& recipe,
         const InputTransform& transform, const quant::LayerStatistics* statistics,
         quant::Path path, std::size_t fp16_chunk);

  /// out [rows, n].
  void multiply(LinearInput& input, std::span<float> out, unsigned threads) const;
  Buffer operator()(LinearInput& input, unsigned threads) const;
  std::size_t channels() const { return rows_; }

  std::uint64_t stored_bits() const { return stored_bits_; }
  /// Input channels of each format, where there is more than one.
  const std::vector<quant::FormatShare>& format_shares() const { return format_shares_; }

 private:
  void prepare_plain(std::span<const float> weight, std::size_t n, std::size_t k,
                     const quant::QuantSpec& spec, const configs::Recipe& recipe, quant::Path path);
  void prepare_general(std::span<const float> weight, std::size_t n, std::size_t k,
                       const quant::TensorPolicy& policy, const configs::Recipe& recipe,
                       const InputTransform& transform, const quant::LayerStatistics* statistics,
                       quant::Path path);

  std::optional<quant::PackedWeights> integer_;
  std::optional<quant::PackedWeights> grid_;
  std::optional<quant::PackedFloatWeights> real_;
  std::size_t rows_ = 0;
  std::size_t chunk_ = 0;
  std::uint64_t stored_bits_ = 0;
  std::vector<quant::FormatShare> format_shares_;
};

}  // namespace systole::workloads
