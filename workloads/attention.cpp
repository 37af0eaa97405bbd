#include "workloads/attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "quant/clones.hpp"
#include "quant/kernels/gemm.hpp"
#include "quant/kernels/packed_gemm.hpp"
#include "quant/kernels/parallel.hpp"
#include "quant/kernels/vector.hpp"
#include "sim/core/error.hpp"
#include "workloads/buffer.hpp"

namespace systole::workloads {

using configs::Target;
using quant::Format;
using quant::QuantizedMatrix;
using quant::QuantSpec;

namespace {

constexpr std::size_t kFirstCapacity = 64;
constexpr std::size_t kExactTokens = 131071;  // int8 products that an int32 sum holds exactly
constexpr std::size_t kWorthThreads =
    1u << 18;  // multiply-accumulates below which waking threads costs more
constexpr std::size_t kWorthPacking = 8;  // query tokens from which packing the cache pays
constexpr std::size_t kQueryBlock = 64;   // query tokens whose scores are held at once

// The compiler vectorises these over their independent outputs, once for each instruction set,
// chosen at run time. Each output keeps the order and the fused steps of the normative kernel, so
// the bits are equal.

/// out[t] = sum over i of a[i] * b[i][t], i ascending in chunks of `chunk`; partial: [count] of
/// scratch.
SYSTOLE_FUSED_CLONES
void weighted_rows(const float* a, const float* b, std::size_t stride, std::size_t depth,
                   std::size_t chunk, std::size_t count, float* __restrict partial,
                   float* __restrict out) {
  for (std::size_t t = 0; t < count; ++t) out[t] = 0.0f;
  for (std::size_t first = 0; first < depth; first += chunk) {
    const std::size_t last = std::min(first + chunk, depth);
    for (std::size_t t = 0; t < count; ++t) partial[t] = 0.0f;
    for (std::size_t i = first; i < last; ++i) {
      const float weight = a[i];
      const float* row = b + i * stride;
      for (std::size_t t = 0; t < count; ++t) partial[t] = std::fma(weight, row[t], partial[t]);
    }
    // The first chunk is kept as it is: a fused sum may be -0, which +0 would turn.
    for (std::size_t t = 0; t < count; ++t) out[t] = first == 0 ? partial[t] : out[t] + partial[t];
  }
}

/// out[t] = sum over i of a[i] * b[i][t], exact.
SYSTOLE_FUSED_CLONES
void weighted_code_rows(const std::int8_t* a, const std::int8_t* b, std::size_t stride,
                        std::size_t depth, std::size_t count, std::int32_t* __restrict out) {
  for (std::size_t t = 0; t < count; ++t) out[t] = 0;
  for (std::size_t i = 0; i < depth; ++i) {
    const std::int32_t weight = a[i];
    const std::int8_t* row = b + i * stride;
    for (std::size_t t = 0; t < count; ++t) out[t] += weight * row[t];
  }
}

SYSTOLE_FUSED_CLONES
void scale_by(const float* x, float factor, std::size_t count, float* __restrict out) {
  for (std::size_t t = 0; t < count; ++t) out[t] = x[t] * factor;
}

SYSTOLE_FUSED_CLONES
void multiply_by(const float* __restrict factors, std::size_t count, float* __restrict x) {
  for (std::size_t t = 0; t < count; ++t) x[t] *= factors[t];
}

bool both_integer(const QuantSpec& a, const QuantSpec& b) {
  return quant::is_integer(a.format) && quant::is_integer(b.format);
}

/// Decoded values of [rows, cols], rounded to fp16 on top where the product takes fp16 operands.
std::vector<float> operand(std::span<const float> values, std::size_t rows, std::size_t cols,
                           const QuantSpec& spec, bool fp16) {
  std::vector<float> result = quant::fake_quantise(values, rows, cols, spec);
  if (fp16) quant::round_to(Format::fp16, result);
  return result;
}

}  // namespace

bool uses_fp16(const QuantSpec& moving, const QuantSpec& stationary) {
  return moving.format == Format::fp16 &&
         (stationary.format == Format::fp16 || quant::is_integer(stationary.format));
}

/// Scratch of one query head.
struct AttentionLayer::Workspace {
  std::vector<float> row;          ///< scores, then probabilities, [context]
  std::vector<float> partial;      ///< [max(context, head_dim)]
  std::vector<std::int32_t> sums;  ///< likewise
};

AttentionLayer::AttentionLayer(const configs::ModelShape& shape, const configs::Recipe& recipe,
                               std::size_t fp16_chunk, bool reference)
    : head_dim_(shape.head_dim),
      share_(shape.heads / shape.kv_heads),
      kv_heads_(shape.kv_heads),
      window_(shape.sliding_window),
      query_(recipe[Target::query]),
      key_(recipe[Target::key]),
      value_(recipe[Target::value]),
      probability_(recipe[Target::probability]),
      integer_scores_(both_integer(query_, key_)),
      integer_context_(both_integer(probability_, value_)),
      fp16_scores_(uses_fp16(query_, key_)),
      fp16_context_(uses_fp16(probability_, value_)),
      fp16_chunk_(fp16_chunk),
      reference_(reference),
      heads_(shape.kv_heads) {}

void AttentionLayer::hide(std::span<float> scores) const {
  if (window_ == 0 || scores.size() <= window_) return;
  std::ranges::fill(scores.first(scores.size() - window_), -std::numeric_limits<float>::infinity());
}

void AttentionLayer::grow(std::size_t tokens) {
  if (length_ + tokens <= capacity_) return;
  const std::size_t capacity = std::max({length_ + tokens, 2 * capacity_, kFirstCapacity});
  // Keys lie transposed, so that a new capacity is a new stride.
  auto restride = [&](auto& keys) {
    std::remove_reference_t<decltype(keys)> wider(head_dim_ * capacity);
    for (std::size_t i = 0; i < head_dim_ && length_ > 0; ++i) {
      std::copy_n(keys.data() + i * capacity_, length_, wider.data() + i * capacity);
    }
    keys = std::move(wider);
  };
  for (Head& head : heads_) {
    if (integer_scores_) {
      restride(head.key_codes);
      head.key_scales.resize(capacity);
    } else {
      restride(head.keys);
    }
    if (integer_context_) {
      head.value_codes.resize(capacity * head_dim_);
      head.value_scales.resize(capacity);
    } else {
      head.values.resize(capacity * head_dim_);
    }
  }
  capacity_ = capacity;
}

void AttentionLayer::append_keys(std::span<const float> keys, std::size_t tokens) {
  const std::size_t rows = tokens * kv_heads_;
  auto scatter = [&](const auto& source, auto member) {
    for (std::size_t row = 0; row < rows; ++row) {
      auto& target = heads_[row % kv_heads_].*member;
      const std::size_t t = length_ + row / kv_heads_;
      for (std::size_t i = 0; i < head_dim_; ++i)
        target[i * capacity_ + t] = source[row * head_dim_ + i];
    }
  };
  if (!integer_scores_)
    return scatter(operand(keys, rows, head_dim_, key_, fp16_scores_), &Head::keys);
  const QuantizedMatrix codes = quant::quantise(keys, rows, head_dim_, key_);
  scatter(codes.codes, &Head::key_codes);
  for (std::size_t row = 0; row < rows; ++row) {
    heads_[row % kv_heads_].key_scales[length_ + row / kv_heads_] = codes.scale(row, 0);
  }
}

void AttentionLayer::append_values(std::span<const float> values, std::size_t tokens) {
  const std::size_t rows = tokens * kv_heads_;
  auto scatter = [&](const auto& source, auto member) {
    for (std::size_t row = 0; row < rows; ++row) {
      auto& target = heads_[row % kv_heads_].*member;
      std::copy_n(source.data() + row * head_dim_, head_dim_,
                  target.data() + (length_ + row / kv_heads_) * head_dim_);
    }
  };
  if (!integer_context_)
    return scatter(operand(values, rows, head_dim_, value_, fp16_context_), &Head::values);
  const QuantizedMatrix codes = quant::quantise(values, rows, head_dim_, value_);
  scatter(codes.codes, &Head::value_codes);
  for (std::size_t row = 0; row < rows; ++row) {
    heads_[row % kv_heads_].value_scales[length_ + row / kv_heads_] = codes.scale(row, 0);
  }
}

void AttentionLayer::append(std::span<const float> keys, std::span<const float> values) {
  const std::size_t width = kv_heads_ * head_dim_;
  SYSTOLE_CHECK(keys.size() == values.size() && keys.size() % width == 0,
                "keys and values are not whole tokens");
  const std::size_t tokens = keys.size() / width;
  if (length_ + tokens > kExactTokens)
    throw ConfigError("a context beyond 131071 tokens cannot be computed exactly");
  grow(tokens);
  append_keys(keys, tokens);
  append_values(values, tokens);
  length_ += tokens;
}

void AttentionLayer::scores(const Head& head, std::span<const float> query,
                            const std::int8_t* codes, float scale, Workspace& work) const {
  const std::size_t context = work.row.size();
  if (integer_scores_) {
    weighted_code_rows(codes, head.key_codes.data(), capacity_, head_dim_, context,
                       work.sums.data());
    for (std::size_t t = 0; t < context; ++t) {
      work.row[t] = (static_cast<float>(work.sums[t]) * head.key_scales[t]) * scale;
    }
    return;
  }
  const std::size_t chunk = fp16_scores_ && fp16_chunk_ != 0 ? fp16_chunk_ : head_dim_;
  weighted_rows(query.data(), head.keys.data(), capacity_, head_dim_, chunk, context,
                work.partial.data(), work.row.data());
}

void AttentionLayer::reference_scores(const Head& head, std::span<const float> query,
                                      const std::int8_t* codes, float scale,
                                      Workspace& work) const {
  const std::size_t context = work.row.size();
  if (integer_scores_) {
    QuantizedMatrix a{1, head_dim_, query_, head_dim_, 1, {codes, codes + head_dim_}, {scale}, {}};
    QuantizedMatrix w{context, head_dim_, key_, head_dim_, 1, {}, {}, {}};
    for (std::size_t t = 0; t < context; ++t) {
      for (std::size_t i = 0; i < head_dim_; ++i)
        w.codes.push_back(head.key_codes[i * capacity_ + t]);
      w.scales.push_back(head.key_scales[t]);
    }
    return quant::gemm_dequantise_after(a, w, work.row);
  }
  std::vector<float> keys;
  for (std::size_t t = 0; t < context; ++t) {
    for (std::size_t i = 0; i < head_dim_; ++i) keys.push_back(head.keys[i * capacity_ + t]);
  }
  const quant::GemmShape shape{1, context, head_dim_};
  if (!fp16_scores_) return quant::gemm_fp32(query, keys, shape, work.row);
  quant::gemm_fp16(query, keys, shape, fp16_chunk_ != 0 ? fp16_chunk_ : head_dim_, work.row);
}

void AttentionLayer::context(const Head& head, Workspace& work, std::span<float> out) const {
  const std::size_t context = work.row.size();
  if (integer_context_) {
    multiply_by(head.value_scales.data(), context, work.row.data());
    const QuantizedMatrix codes = quant::quantise(work.row, 1, context, probability_);
    weighted_code_rows(codes.codes.data(), head.value_codes.data(), head_dim_, context, head_dim_,
                       work.sums.data());
    for (std::size_t j = 0; j < head_dim_; ++j)
      out[j] = static_cast<float>(work.sums[j]) * codes.scale(0, 0);
    return;
  }
  const std::vector<float> weights = operand(work.row, 1, context, probability_, fp16_context_);
  const std::size_t chunk = fp16_context_ && fp16_chunk_ != 0 ? fp16_chunk_ : context;
  weighted_rows(weights.data(), head.values.data(), head_dim_, context, chunk, head_dim_,
                work.partial.data(), out.data());
}

void AttentionLayer::reference_context(const Head& head, Workspace& work,
                                       std::span<float> out) const {
  const std::size_t context = work.row.size();
  if (integer_context_) {
    for (std::size_t t = 0; t < context; ++t) work.row[t] *= head.value_scales[t];
    const QuantizedMatrix a = quant::quantise(work.row, 1, context, probability_);
    // The scales of V are folded into the probabilities, so its codes count as they are.
    QuantizedMatrix w{
        head_dim_, context, value_, context, 1, {}, std::vector<float>(head_dim_, 1.0f), {}};
    for (std::size_t j = 0; j < head_dim_; ++j) {
      for (std::size_t t = 0; t < context; ++t)
        w.codes.push_back(head.value_codes[t * head_dim_ + j]);
    }
    return quant::gemm_dequantise_after(a, w, out);
  }
  const std::vector<float> weights = operand(work.row, 1, context, probability_, fp16_context_);
  std::vector<float> values;
  for (std::size_t j = 0; j < head_dim_; ++j) {
    for (std::size_t t = 0; t < context; ++t) values.push_back(head.values[t * head_dim_ + j]);
  }
  const quant::GemmShape shape{1, head_dim_, context};
  if (!fp16_context_) return quant::gemm_fp32(weights, values, shape, out);
  quant::gemm_fp16(weights, values, shape, fp16_chunk_ != 0 ? fp16_chunk_ : context, out);
}

quant::PackedWeights AttentionLayer::packed_keys(const Head& head) const {
  QuantizedMatrix m{length_, head_dim_, key_, head_dim_, 1, {}, {}, {}};
  m.codes.resize(length_ * head_dim_);
  for (std::size_t i = 0; i < head_dim_; ++i) {
    for (std::size_t t = 0; t < length_; ++t) {
      m.codes[t * head_dim_ + i] = head.key_codes[i * capacity_ + t];
    }
  }
  m.scales.assign(head.key_scales.data(), head.key_scales.data() + length_);
  return quant::PackedWeights(std::move(m));
}

quant::PackedWeights AttentionLayer::packed_values(const Head& head) const {
  QuantizedMatrix m{head_dim_, length_, value_, length_, 1, {}, {}, {}};
  m.codes.resize(head_dim_ * length_);
  for (std::size_t t = 0; t < length_; ++t) {
    for (std::size_t j = 0; j < head_dim_; ++j) {
      m.codes[j * length_ + t] = head.value_codes[t * head_dim_ + j];
    }
  }
  m.scales.assign(head_dim_, 1.0f);  // the probabilities carry the scales of V
  return quant::PackedWeights(std::move(m));
}

// Many query tokens at once: the whole cache of a head as two packed weights. Scores of later
// tokens are computed and not looked at; their probability codes are 0, which no integer sum
// notices.
void AttentionLayer::attend_blocks(const QuantizedMatrix& queries, float inverse_root,
                                   std::span<float> out, unsigned threads) const {
  const std::size_t heads = kv_heads_ * share_, tokens = queries.rows / heads;
  std::vector<std::optional<quant::PackedWeights>> keys(kv_heads_), values(kv_heads_);
  quant::parallel_strided(threads, kv_heads_, [&](std::size_t kv) {
    keys[kv].emplace(packed_keys(heads_[kv]));
    values[kv].emplace(packed_values(heads_[kv]));
  });
  quant::parallel_strided(threads, heads, [&](std::size_t h) {
    const Head& head = heads_[h / share_];
    Buffer scores(std::min(tokens, kQueryBlock) * length_), row;
    Buffer context(std::min(tokens, kQueryBlock) * head_dim_);
    for (std::size_t first = 0; first < tokens; first += kQueryBlock) {
      const std::size_t block = std::min(kQueryBlock, tokens - first);
      QuantizedMatrix q{block, head_dim_, query_, head_dim_, 1, {}, {}, {}};
      // Nobody in this block looks beyond its last token.
      const std::size_t seen = length_ - tokens + first + block;
      QuantizedMatrix p{block, seen, probability_, seen, 1, {}, {}, {}};
      for (std::size_t m = first; m < first + block; ++m) {
        const std::int8_t* codes = queries.codes.data() + (m * heads + h) * head_dim_;
        q.codes.insert(q.codes.end(), codes, codes + head_dim_);
        q.scales.push_back(queries.scale(m * heads + h, 0));
      }
      quant::gemm_dequantise_after_corner(q, *keys[h / share_], seen,
                                          std::span(scores).first(block * seen));
      p.codes.resize(block * seen);
      for (std::size_t m = 0; m < block; ++m) {
        const float* line = scores.data() + m * seen;
        row.resize(length_ - tokens + first + m + 1);
        scale_by(line, inverse_root, row.size(), row.data());
        hide(row);
        quant::softmax(row);
        multiply_by(head.value_scales.data(), row.size(), row.data());
        const QuantizedMatrix codes = quant::quantise(row, 1, row.size(), probability_);
        std::ranges::copy(codes.codes, p.codes.data() + m * seen);
        p.scales.push_back(codes.scale(0, 0));
      }
      quant::gemm_dequantise_after_corner(p, *values[h / share_], head_dim_,
                                          std::span(context).first(block * head_dim_));
      for (std::size_t m = 0; m < block; ++m) {
        std::copy_n(context.data() + m * head_dim_, head_dim_,
                    out.data() + ((first + m) * heads + h) * head_dim_);
      }
    }
  });
}

OperandMatrix AttentionLayer::cached(const Head& head, bool keys) const {
  const bool integer = keys ? integer_scores_ : integer_context_;
  OperandMatrix operand;
  operand.rows = keys ? length_ : head_dim_;
  operand.cols = keys ? head_dim_ : length_;
  // Element (row, col) of a key is (token, i), stored transposed; of a value (j, token).
  const auto place = [&](std::size_t row, std::size_t col) {
    return keys ? col * capacity_ + row : col * head_dim_ + row;
  };
  if (integer) {
    const QuantSpec& spec = keys ? key_ : value_;
    quant::QuantizedMatrix& m = operand.integers.emplace();
    m = {operand.rows, operand.cols, spec, operand.cols, 1, {}, {}, {}};
    // The probabilities carry the scales of V.
    m.scales.assign(operand.rows, 1.0f);
    if (keys) std::copy_n(head.key_scales.begin(), length_, m.scales.begin());
  }
  for (std::size_t r = 0; r < operand.rows; ++r) {
    for (std::size_t c = 0; c < operand.cols; ++c) {
      if (integer) {
        operand.integers->codes.push_back((keys ? head.key_codes : head.value_codes)[place(r, c)]);
      } else {
        operand.values.push_back((keys ? head.keys : head.values)[place(r, c)]);
      }
    }
  }
  return operand;
}

AttentionOperands AttentionLayer::operands(std::span<const float> queries,
                                           std::size_t kv_head) const {
  const std::size_t heads = kv_heads_ * share_, tokens = queries.size() / (heads * head_dim_);
  const std::size_t rows = tokens * share_;
  SYSTOLE_CHECK(tokens <= length_, "queries without their keys");
  const Head& head = heads_[kv_head];
  std::vector<float> own;  // the rows of this head
  for (std::size_t m = 0; m < tokens; ++m) {
    const auto first =
        queries.subspan((m * heads + kv_head * share_) * head_dim_, share_ * head_dim_);
    own.insert(own.end(), first.begin(), first.end());
  }
  AttentionOperands result;
  result.key = cached(head, true);
  result.value = cached(head, false);
  OperandMatrix& query = result.query;
  query.rows = rows;
  query.cols = head_dim_;
  if (integer_scores_) {
    query.integers = quant::quantise(own, rows, head_dim_, query_);
  } else {
    query.values = operand(own, rows, head_dim_, query_, fp16_scores_);
  }
  OperandMatrix& probability = result.probability;
  probability.rows = rows;
  probability.cols = length_;
  if (integer_context_) {
    probability.integers =
        quant::QuantizedMatrix{rows, length_, probability_, length_, 1, {}, {}, {}};
  }
  const float inverse_root = 1.0f / std::sqrt(static_cast<float>(head_dim_));
  Workspace work;
  work.partial.resize(std::max(length_, head_dim_));
  work.sums.resize(std::max(length_, head_dim_));
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t seen = length_ - tokens + r / share_ + 1;
    work.row.resize(seen);
    scores(head,
           integer_scores_ ? std::span<const float>()
                           : std::span<const float>(query.values).subspan(r * head_dim_, head_dim_),
           integer_scores_ ? query.integers->codes.data() + r * head_dim_ : nullptr,
           integer_scores_ ? query.integers->scale(r, 0) : 1.0f, work);
    for (float& score : work.row) score *= inverse_root;
    hide(work.row);
    quant::softmax(work.row);
    if (integer_context_) {
      multiply_by(head.value_scales.data(), seen, work.row.data());
      quant::QuantizedMatrix& p = *probability.integers;
      const QuantizedMatrix codes = quant::quantise(work.row, 1, seen, probability_);
      p.codes.insert(p.codes.end(), codes.codes.begin(), codes.codes.end());
      p.codes.resize((r + 1) * length_);
      p.scales.push_back(codes.scale(0, 0));
    } else {
      const auto p = operand(work.row, 1, seen, probability_, fp16_context_);
      probability.values.insert(probability.values.end(), p.begin(), p.end());
      probability.values.resize((r + 1) * length_);
    }
  }
  return result;
}

void AttentionLayer::attend(std::span<const float> queries, std::span<float> out,
                            unsigned threads) const {
  const std::size_t heads = kv_heads_ * share_, width = heads * head_dim_;
  SYSTOLE_CHECK(queries.size() == out.size() && queries.size() % width == 0,
                "queries are not whole tokens");
  const std::size_t tokens = queries.size() / width;
  SYSTOLE_CHECK(tokens <= length_, "queries without their keys");

  QuantizedMatrix codes;
  std::vector<float> decoded;
  if (integer_scores_) {
    codes = quant::quantise(queries, tokens * heads, head_dim_, query_);
  } else {
    decoded = operand(queries, tokens * heads, head_dim_, query_, fp16_scores_);
  }
  const float inverse_root = 1.0f / std::sqrt(static_cast<float>(head_dim_));
  const bool worth = 2 * tokens * length_ * width >= kWorthThreads;
  if (integer_scores_ && integer_context_ && !reference_ && tokens >= kWorthPacking &&
      quant::best_path() != quant::Path::reference) {
    return attend_blocks(codes, inverse_root, out, worth ? threads : 1);
  }
  quant::parallel_strided(worth ? threads : 1, heads, [&](std::size_t h) {
    const Head& head = heads_[h / share_];
    Workspace work;
    work.partial.resize(std::max(length_, head_dim_));
    work.sums.resize(std::max(length_, head_dim_));
    for (std::size_t m = 0; m < tokens; ++m) {
      const std::size_t row = m * heads + h;
      work.row.resize(length_ - tokens + m + 1);
      const std::int8_t* query_codes =
          integer_scores_ ? codes.codes.data() + row * head_dim_ : nullptr;
      const float query_scale = integer_scores_ ? codes.scale(row, 0) : 1.0f;
      const std::span<const float> query =
          integer_scores_ ? std::span<const float>()
                          : std::span<const float>(decoded).subspan(row * head_dim_, head_dim_);
      const std::span<float> result = out.subspan(row * head_dim_, head_dim_);
      reference_ ? reference_scores(head, query, query_codes, query_scale, work)
                 : scores(head, query, query_codes, query_scale, work);
      for (float& score : work.row) score *= inverse_root;
      hide(work.row);
      quant::softmax(work.row);
      reference_ ? reference_context(head, work, result) : context(head, work, result);
    }
  });
}

}  // namespace systole::workloads
