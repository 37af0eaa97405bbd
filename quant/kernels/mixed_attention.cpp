// Attention over segments. The contract is in the header.
#include "quant/kernels/mixed_attention.hpp"

#include <cmath>

#include "quant/check.hpp"
#include "quant/kernels/vector.hpp"

namespace systole::quant {

KvSegment kv_segment(const QuantizedMatrix& keys, const QuantizedMatrix& values) {
  require(keys.rows == values.rows && keys.cols == values.cols, "kv_segment: the shapes disagree");
  return {keys.rows, dequantise(keys), dequantise(values), {}, {}};
}

KvSegment kv_segment(const CodedMatrix& keys, const CodedMatrix& values) {
  require(keys.rows == values.rows && keys.cols == values.cols, "kv_segment: the shapes disagree");
  return {keys.rows, decode(keys), decode(values), {}, {}};
}

KvSegment kv_segment(std::span<const float> keys, std::span<const float> values,
                     std::size_t head_dim, Format format) {
  require(head_dim != 0 && keys.size() == values.size() && keys.size() % head_dim == 0,
          "kv_segment: the shapes disagree");
  KvSegment segment;
  segment.tokens = keys.size() / head_dim;
  segment.keys.assign(keys.begin(), keys.end());
  segment.values.assign(values.begin(), values.end());
  round_to(format, segment.keys);
  round_to(format, segment.values);
  return segment;
}

namespace {

void check(const KvSegment& s, std::size_t head_dim) {
  require(s.keys.size() == s.tokens * head_dim && s.values.size() == s.tokens * head_dim,
          "mixed_attention: a segment is not [tokens][head_dim]");
  require((s.key_outliers.empty() || s.key_outliers.size() == s.tokens) &&
              (s.value_outliers.empty() || s.value_outliers.size() == s.tokens),
          "mixed_attention: one row of outliers a token");
}

float score(std::span<const float> query, const KvSegment& s, std::size_t t) {
  float acc = 0.0f;
  for (std::size_t i = 0; i < query.size(); ++i) {
    acc = std::fma(query[i], s.keys[t * query.size() + i], acc);
  }
  return s.key_outliers.empty() ? acc : sparse_dot(s.key_outliers[t], query, acc);
}

void add_value(const KvSegment& s, std::size_t t, float p, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = std::fma(p, s.values[t * out.size() + i], out[i]);
  }
  if (s.value_outliers.empty()) return;
  const SparseRow& row = s.value_outliers[t];
  require(row.index.size() == row.value.size(), "mixed_attention: one value an index");
  for (std::size_t e = 0; e < row.index.size(); ++e) {
    require(row.index[e] < out.size(), "mixed_attention: an outlier beyond the head");
    out[row.index[e]] = std::fma(p, row.value[e], out[row.index[e]]);
  }
}

}  // namespace

std::vector<float> mixed_attention(std::span<const float> query,
                                   std::span<const KvSegment> segments, float scale,
                                   std::span<float> out) {
  require(!query.empty() && query.size() == out.size(),
          "mixed_attention: query and out must have one non-zero size");
  std::vector<float> p;
  for (const KvSegment& s : segments) {
    check(s, query.size());
    for (std::size_t t = 0; t < s.tokens; ++t) p.push_back(score(query, s, t) * scale);
  }
  softmax(p);
  for (float& v : out) v = 0.0f;
  std::size_t token = 0;
  for (const KvSegment& s : segments) {
    for (std::size_t t = 0; t < s.tokens; ++t) add_value(s, t, p[token++], out);
  }
  return p;
}

}  // namespace systole::quant
