#include "workloads/cached_attention.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "quant/kernels/vector.hpp"
#include "quant/kv/systems.hpp"
#include "quant/quantise.hpp"
#include "sim/core/error.hpp"

namespace systole::workloads {

using configs::Recipe;
using configs::Target;

namespace {

quant::KvCache make_cache(const configs::ModelShape& shape, const Recipe& recipe,
                          std::uint32_t layer, quant::KvCalibration calibration) {
  try {
    return quant::KvCache({shape.kv_heads, shape.head_dim, shape.heads},
                          quant::policy_of_layer(recipe[Target::key], layer),
                          quant::policy_of_layer(recipe[Target::value], layer),
                          quant::rope_frequencies(shape.head_dim, shape.rope_theta),
                          std::move(calibration));
  } catch (const std::invalid_argument& error) {
    throw ConfigError(
        fmt::format("recipe {}: the KV cache of layer {}: {}", recipe.name, layer, error.what()));
  }
}

}  // namespace

CachedAttention::CachedAttention(const configs::ModelShape& shape, const Recipe& recipe,
                                 std::uint32_t layer, quant::KvCalibration calibration,
                                 bool reference)
    : q_dim_(shape.q_dim()),
      kv_dim_(shape.kv_dim()),
      hidden_(shape.hidden),
      query_(recipe[Target::query].format),
      cache_(make_cache(shape, recipe, layer, std::move(calibration))) {
  cache_.use_reference(reference);
  for (const quant::TokenPolicy& policy : recipe[Target::key].tokens) {
    if (policy.kind == quant::TokenKind::sink && policy.scorer == quant::Scorer::hidden_max) {
      hidden_sinks_ = policy.count;
    }
  }
}

bool CachedAttention::needed(const Recipe& recipe) {
  return !quant::is_plain(recipe[Target::key]) || !quant::is_plain(recipe[Target::value]);
}

void CachedAttention::forward(const AttentionInput& in, std::span<float> out) {
  const std::size_t tokens = in.query.size() / q_dim_;
  if (length_ == 0 && hidden_sinks_ != 0) {
    cache_.protect(quant::tokens_of_largest_elements(in.residual, hidden_, hidden_sinks_));
  }
  const auto row = [](std::span<const float> rows, std::size_t i, std::size_t width) {
    return rows.subspan(i * width, width);
  };
  for (std::size_t t = 0; t < tokens; ++t) {
    const std::uint64_t position = in.start + t;
    cache_.append(row(in.key_pre, t, kv_dim_), row(in.key, t, kv_dim_), row(in.value, t, kv_dim_),
                  position);
    std::vector<float> query(row(in.query, t, q_dim_).begin(), row(in.query, t, q_dim_).end());
    quant::round_to(query_, query);
    cache_.attend(row(in.query_pre, t, q_dim_), query, position, out.subspan(t * q_dim_, q_dim_));
  }
  length_ += tokens;
}

void CachedAttention::truncate(std::uint64_t length) {
  if (length == length_) return;
  if (length != 0) {
    throw ConfigError(
        "this KV cache cannot be cut back to a prefix: its codes depend on later tokens");
  }
  cache_.reset();
  length_ = 0;
}

}  // namespace systole::workloads
