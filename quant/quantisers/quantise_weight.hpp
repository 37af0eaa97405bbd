// A weight matrix under a whole policy: transforms, ranges, nested scales, outliers, mixed formats
// and the method that rounds. The entry point of everything in this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "quant/coded_matrix.hpp"
#include "quant/policy.hpp"
#include "quant/primitives/select.hpp"

namespace systole::quant {

/// What calibration knows of a linear layer's input.
struct LayerStatistics {
  std::size_t cols = 0;
  std::vector<double>
      hessian;  ///< [cols][cols] sum over tokens of x x^T (RSQ: r_t x x^T); may be empty
  std::vector<float> mean_abs, absmax;  ///< [cols]
  std::vector<float> sample;            ///< [*][cols] some input rows; may be empty
  std::uint64_t tokens = 0;
  friend bool operator==(const LayerStatistics&, const LayerStatistics&) = default;
};

/// A quantised weight. The layer is y = values * T(x / input_scale), T the input_transforms in
/// order; apply_input() is that input. Where the transforms are empty, values stand for the weight
/// itself.
/// Columns of a weight in one format.
struct FormatShare {
  Format format = Format::fp32;
  std::uint64_t columns = 0;
  friend bool operator==(const FormatShare&, const FormatShare&) = default;
};

struct QuantisedWeight {
  /// Codes, columns in column_order; nothing where the weight is in more than one format (classes,
  /// maps, BAQ) or in a form that CodedMatrix has not (QoQ, and nested scales only by their result:
  /// `scales` are then those of the inner level times the outer).
  std::optional<CodedMatrix> codes;
  std::vector<float> values;  ///< [n][k] decoded, natural column order, sparse outliers included
  std::vector<std::uint32_t> column_order;  ///< column_order[i] is stored i-th; empty: natural
  std::vector<float> input_scale;           ///< [k] the input is divided by it; empty: 1
  std::vector<Transform> input_transforms;  ///< HAD and ROT of the divided input, in order
  SparseMatrix sparse;                      ///< DS: what is added to the decoded dense part
  double squared_error = 0;                 ///< sum (w' - value)^2, w' the transformed weight
  double stored_bits = 0;                   ///< a weight, all metadata included
  std::vector<FormatShare> shares;          ///< by bits; empty: one format, or none of ours (BAQ)
};

/// Quantises weight [n][k].
///
/// transforms (where fold or write; DIAG before HAD and ROT): DIAG smoothquant (alpha; needs
/// absmax)
///   and awq (needs mean_abs, and sample or hessian); `input_scale`, when given, is taken instead
///   of searching, so that weights that share an input share factors. HAD of fwht_size(k, size),
///   ROT random_rotation(k, 1); PERM hessian is act-order. Others, and other places, are refused.
/// quantiser: rtn; gptq (hessian; ranges follow the corrected weights unless boxes are fixed by
///   nested scales, output_mse, several parts or a block format; contract reference: ranges stale
///   within a block, and symmetric integers as the released code has them: s = 2 absmax / (2^b -
///   1), zero 2^(b-1), codes 0 ... 2^b - 1, quantization.md §12 trap 13); bitmod (the format
///   chooses the special value; rtn otherwise); qoq (group; PROT high bound of 120 or contract
///   reference: zero after the scale).
/// range: as find_scale(), and output_mse (awq_clips; sample or hessian).
/// levels: two of them nest. Outer scale: int8 inner - row maximum / 127 in the outer's format;
///   fp8_e4m3 or ue4m3 inner - outer box of the whole tensor: the largest power of two 2^0 ... 2^14
///   that keeps the largest scale within 448 (FireQ), else row maximum / 448. Zeros stay.
/// outliers: dense_sparse (fraction; the sparse part is w minus what the dense code decodes to, in
///   fp16 where value_bits is 16), channel_class (fraction of the inputs of largest absmax in
///   `high`; integers there take integer_zero where the policy's own format has no affine form),
///   protect (codes within high_bound, symmetric integers), split (`point`), clip (nothing beyond
///   the range rule). top_channels and constant are not for weights.
/// schedule MAP: unit group with a sensitivity - hessian: SliM-LLM at mean_bits; weight_mse,
///   output_mse, sqnr: the allocator over the formats of `entries` (none: one bit below, at and
///   above mean_bits) - and unit column with baq. Other units are the caller's, who asks with the
///   format.
/// Errors: std::invalid_argument for sizes, statistics that a rule needs and that are missing, and
/// combinations that have no meaning; std::domain_error for values that are not finite.
QuantisedWeight quantise_weight(std::span<const float> weight, std::size_t n, std::size_t k,
                                const TensorPolicy& policy, const LayerStatistics* statistics,
                                std::span<const float> input_scale = {});

/// What the coded weight must be multiplied with: rows [*][k] in place.
void apply_input(const QuantisedWeight& weight, std::span<float> rows, std::size_t k);

/// The factors a policy's DIAG gives to the weights that share an input (empty: no DIAG).
std::vector<float> shared_input_scale(std::span<const std::span<const float>> weights,
                                      std::size_t k, const TensorPolicy& policy,
                                      const LayerStatistics* statistics);

}  // namespace systole::quant
