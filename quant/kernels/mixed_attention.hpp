// Decode attention of one head over a cache whose tokens are stored in several formats: sinks and a
// window in floating point, classes in different widths, outliers kept aside.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "quant/coded_matrix.hpp"
#include "quant/primitives/select.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {

/// Tokens of one format, decoded: what reaches the multipliers. Positions are already in the keys
/// (rotary), so the order of segments has no meaning beyond that of the sums.
struct KvSegment {
  std::size_t tokens = 0;
  std::vector<float> keys;    ///< [tokens][head_dim]
  std::vector<float> values;  ///< [tokens][head_dim]
  /// Outliers of each token, added to the dense part (which holds what is left there, usually a
  /// code near 0: KVQuant's dense-and-sparse); empty, or one row a token.
  std::vector<SparseRow> key_outliers;
  std::vector<SparseRow> value_outliers;
};
/// Segments of stored tokens [tokens][head_dim], decoded by their format's definition.
KvSegment kv_segment(const QuantizedMatrix& keys, const QuantizedMatrix& values);
KvSegment kv_segment(const CodedMatrix& keys, const CodedMatrix& values);
/// Floating-point tokens, each value rounded to `format` (fp32, fp16, bf16): a window or sinks.
KvSegment kv_segment(std::span<const float> keys, std::span<const float> values,
                     std::size_t head_dim, Format format);

/// NORMATIVE, fp32. Tokens are numbered through the segments in order.
///   score[t] = (dot of query and key, fma from +0, element ascending, then the key's outliers,
///   fma,
///              index ascending) * scale, rounded;
///   p = softmax(scores) (kernels/vector.hpp) over all tokens together;
///   out[i] = sum over tokens ascending of p[t] * value[t][i], fma from +0; a token's outliers are
///            added right after its dense part.
/// Returns p, which scores salience. query, out: [head_dim]; scale is usually float(1 /
/// sqrt(head_dim)). No tokens: out is +0. Errors: std::invalid_argument on sizes.
std::vector<float> mixed_attention(std::span<const float> query,
                                   std::span<const KvSegment> segments, float scale,
                                   std::span<float> out);

}  // namespace systole::quant
