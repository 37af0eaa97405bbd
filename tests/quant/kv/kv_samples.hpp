// Keys, values and queries as a small model has them: seeded, with channel outliers in the keys.
#pragma once

#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "quant/kernels/vector.hpp"
#include "quant/kv/cache.hpp"
#include "quant/kv/calibrate.hpp"
#include "quant/kv/systems.hpp"

namespace systole::quant::testing {

struct KvSamples {
  std::size_t tokens = 0;
  std::vector<float> key_pre, key_post, value, query_pre, query_post;
};

/// Keys: a fixed offset a channel plus noise; `outliers` rotary pairs of each head are `strength`
/// times as large (what makes keys by channel better than by token). Values: noise. Queries: near
/// one of the keys, so that attention is not flat.
inline KvSamples kv_samples(const KvShape& shape, std::size_t tokens, unsigned seed,
                            std::size_t outliers = 2, float strength = 8.0f,
                            double theta = 10000.0) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const std::size_t dim = shape.head_dim, width = shape.width();
  const std::size_t query_width = shape.query_heads * dim;
  std::vector<float> offset(width), gain(width, 1.0f);
  for (std::size_t h = 0; h < shape.kv_heads; ++h) {
    for (std::size_t i = 0; i < dim; ++i) offset[h * dim + i] = 0.5f * normal(random);
    for (std::size_t o = 0; o < outliers; ++o) {
      const std::size_t pair = random() % (dim / 2);
      gain[h * dim + 2 * pair] = gain[h * dim + 2 * pair + 1] = strength;
    }
  }
  KvSamples s;
  s.tokens = tokens;
  for (std::size_t i = 0; i < tokens * width; ++i) {
    const std::size_t c = i % width;
    s.key_pre.push_back(gain[c] * (offset[c] + 0.4f * normal(random)));
    s.value.push_back(normal(random));
  }
  for (std::size_t i = 0; i < tokens * query_width; ++i) s.query_pre.push_back(normal(random));
  const std::vector<double> frequencies = rope_frequencies(dim, theta);
  s.key_post = s.key_pre;
  s.query_post = s.query_pre;
  for (std::size_t t = 0; t < tokens; ++t) {
    const RopeAngles angles = rope_angles(t, frequencies);
    for (std::size_t h = 0; h < shape.kv_heads; ++h)
      rope(std::span<float>(s.key_post).subspan(t * width + h * dim, dim), angles);
    for (std::size_t h = 0; h < shape.query_heads; ++h)
      rope(std::span<float>(s.query_post).subspan(t * query_width + h * dim, dim), angles);
  }
  return s;
}

/// Appends tokens [first, last) of the samples one by one; attends after each when `out` is given.
inline void run(KvCache& cache, const KvShape& shape, const KvSamples& s, std::size_t first,
                std::size_t last, std::vector<float>* out = nullptr) {
  const std::size_t width = shape.width(), queries = shape.query_heads * shape.head_dim;
  const auto row = [](const std::vector<float>& v, std::size_t t, std::size_t n) {
    return std::span<const float>(v).subspan(t * n, n);
  };
  for (std::size_t t = first; t < last; ++t) {
    cache.append(row(s.key_pre, t, width), row(s.key_post, t, width), row(s.value, t, width), t);
    if (out == nullptr) continue;
    out->resize(out->size() + queries);
    cache.attend(row(s.query_pre, t, queries), row(s.query_post, t, queries), t,
                 std::span<float>(*out).last(queries));
  }
}

/// A cache of these policies, calibrated on the samples.
inline KvCache calibrated(const KvShape& shape, const KvPolicies& p, const KvSamples& s,
                          double theta = 10000.0) {
  const std::vector<double> frequencies = rope_frequencies(shape.head_dim, theta);
  const KvSampleRows rows{s.key_pre, s.key_post, s.value, s.query_pre, s.query_post, {}, {}};
  return KvCache(shape, p.key, p.value, frequencies,
                 calibrate_kv(shape, p.key, p.value, rows, frequencies));
}

inline double mean_square_error(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return sum / static_cast<double>(a.size());
}

}  // namespace systole::quant::testing
