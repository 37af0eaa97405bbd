// Second-order weight quantisation: GPTQ and what is built on its error propagation (RSQ's token
// weights, SliM-LLM's group widths, BAQ's levels by column).
//
// Sources: GPTQ arXiv 2210.17323 (IST-DASLab/gptq), RSQ 2503.01820, SliM-LLM 2405.14917, BAQ
// 2506.05664, as quantization.md C1, C3, C5, C6 states them. All sums in double, one order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "quant/format.hpp"
#include "quant/quantisers/value_codec.hpp"

namespace systole::quant {

struct GptqOptions {
  double damp = 0.01;          ///< share of the mean diagonal of H added to it
  std::size_t block = 128;     ///< columns whose errors are applied to later ones together; values
                               ///< do not depend on it
  bool act_order = false;      ///< columns by descending diag(H), ties by index
  bool static_groups = false;  ///< groups are of the original column order and the original weights
  /// Contract of the released code: a group's range is taken from weights that lack the errors of
  /// earlier columns of the same block. Then values do depend on `block`.
  bool stale_ranges = false;
};

/// The format as GPTQ sees it: boxes along a row, fitted when their first column is reached.
class GptqCodec {
 public:
  virtual ~GptqCodec();
  /// Elements along K that share a box; 0: the whole row.
  virtual std::size_t group() const = 0;
  /// Fits the box (row, group) to the values of its columns; `columns`: their original indices.
  virtual void fit(std::size_t row, std::size_t group, std::span<const float> values,
                   std::span<const std::uint32_t> columns) = 0;
  /// What w becomes. `column` is the original index. Rows may come in any order, columns of a row
  /// in the order of quantisation.
  virtual float quantise(std::size_t row, std::size_t group, std::uint32_t column, float w) = 0;
};

struct GptqResult {
  std::vector<float> values;         ///< [n][k], original column order
  std::vector<std::uint32_t> order;  ///< order[i] is the i-th column quantised; empty: natural
  double loss = 0;  ///< sum of ((w - q) / U_jj)^2: the output error, H scaled by 2 / tokens
  std::size_t dead_columns = 0;  ///< inputs that were never other than 0; their weights become 0
};

/// The H that GPTQ uses: 2 / tokens times the sum of x x^T, dead columns 1 on the diagonal, damped.
struct GptqHessian {
  std::vector<double> h;             ///< [k][k], before damping
  std::vector<double> factor;        ///< inverse_factor() of the damped H in the order of columns
  std::vector<std::uint32_t> order;  ///< empty: natural
  std::vector<bool> dead;
};
GptqHessian prepare_hessian(std::span<const double> sum_xx, std::uint64_t tokens, std::size_t k,
                            const GptqOptions& options);

/// Quantises weight [n][k]. sum_xx [k][k]: sum over tokens of x x^T (RSQ: of r_t x x^T).
/// Errors: std::invalid_argument when sizes disagree, std::domain_error when the damped H is not
/// positive definite or a weight is not finite.
GptqResult gptq(std::span<const float> weight, std::size_t n, std::size_t k,
                std::span<const double> sum_xx, std::uint64_t tokens, GptqCodec& codec,
                const GptqOptions& options = {});
GptqResult gptq(std::span<const float> weight, std::size_t n, std::size_t k,
                const GptqHessian& hessian, GptqCodec& codec, const GptqOptions& options = {});

/// Boxes of a ValueCodec, range rule and all. What was fitted and coded stays readable.
class BoxGptqCodec final : public GptqCodec {
 public:
  /// `group` 0: whole rows. Errors: std::invalid_argument when group does not divide k.
  BoxGptqCodec(ValueCodec codec, std::size_t n, std::size_t k, std::size_t group);
  std::size_t group() const override { return group_; }
  void fit(std::size_t row, std::size_t group, std::span<const float> values,
           std::span<const std::uint32_t> columns) override;
  float quantise(std::size_t row, std::size_t group, std::uint32_t column, float w) override;

  /// Parameters fixed beforehand: [n][k / group]; fit() then does nothing.
  void set_parameters(std::vector<BoxParameters> parameters);
  const std::vector<BoxParameters>& parameters() const { return parameters_; }
  const std::vector<std::uint16_t>& codes() const { return codes_; }  ///< [n][k], original order

 private:
  ValueCodec codec_;
  std::size_t k_, group_, groups_;
  bool fixed_ = false;
  std::vector<BoxParameters> parameters_;
  std::vector<std::uint16_t> codes_;
};

// --- RSQ ---------------------------------------------------------------------------------------

/// Token weights r_t from attention received (summed over heads and queries): min-max normalised to
/// [least, 1], then scaled to sum to the number of tokens. The Hessian takes r_t x x^T, as the
/// released code multiplies inputs by sqrt(r_t). All equal scores: all 1.
std::vector<float> rsq_token_weights(std::span<const double> attention_received,
                                     double least = 0.0);

// --- SliM-LLM ------------------------------------------------------------------------------------

/// Salience of each group of columns: sum over rows and columns of w^2 / [H^-1]_jj^2.
std::vector<double> slim_salience(std::span<const float> weight, std::size_t n, std::size_t k,
                                  const GptqHessian& hessian, std::size_t group);

struct SlimResult {
  std::vector<std::uint8_t> bits;  ///< by group: N - 1, N or N + 1
  std::size_t moved = 0;           ///< groups moved down, and as many up
  GptqResult weight;
  double stored_bits = 0;  ///< mean, with scale and zero and 2 bits of map a group
};
/// N-bit weights whose k least salient groups have N - 1 bits and whose k most salient have N + 1;
/// k is the one of least output error of rounding to nearest, tried from 0 to half the groups; then
/// GPTQ with the widths found. One-bit groups are mean +- mean magnitude; the others integer_zero.
/// The element mask of the paper's calibration loss (z-score > 2) is not modelled: it weights a
/// gradient-free search for scales that is here the range rule of `spec`.
/// Errors: std::invalid_argument unless 2 <= bits <= 7 and group divides k.
SlimResult slim(std::span<const float> weight, std::size_t n, std::size_t k,
                std::span<const double> sum_xx, std::uint64_t tokens, unsigned bits,
                std::size_t group, const QuantSpec& spec, const GptqOptions& options = {});

// --- BAQ -----------------------------------------------------------------------------------------

/// Levels of each column: max(1, round((loss_j / G)^(1/1.95) * 2^mean_bits)), G the geometric mean
/// of the losses (the paper writes it mean * ratio, ratio = geometric / arithmetic mean). Columns
/// without loss get one level and stay out of G.
std::vector<std::uint32_t> baq_levels(std::span<const double> losses, double mean_bits);
/// loss_j = mean squared range of the rows / U_jj^2: what one unit of squared step costs in column
/// j.
std::vector<double> baq_losses(std::span<const float> weight, std::size_t n, std::size_t k,
                               const GptqHessian& hessian);
struct BaqResult {
  std::vector<std::uint32_t> levels;  ///< by column
  GptqResult weight;
  double ideal_bits = 0;   ///< mean log2 of the levels, by column
  double packed_bits = 0;  ///< mean of their ceilings
};
/// GPTQ with L_j uniform levels in column j over the range of the row; one level is the middle.
BaqResult baq(std::span<const float> weight, std::size_t n, std::size_t k,
              std::span<const double> sum_xx, std::uint64_t tokens, double mean_bits,
              const GptqOptions& options = {});

}  // namespace systole::quant
