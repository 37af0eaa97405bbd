#include "quant/kv/cache.hpp"

#include <gtest/gtest.h>

#include "kv_samples.hpp"
#include "quant/kernels/gemm.hpp"
#include "quant/kv/systems.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

using testing::kv_samples;
using testing::KvSamples;
using testing::mean_square_error;

constexpr double kTheta = 10000.0;

// Plain attention written again, in the order the header says.
std::vector<float> attention(const KvShape& shape, const KvSamples& s, std::size_t token) {
  const std::size_t dim = shape.head_dim, share = shape.query_heads / shape.kv_heads;
  std::vector<float> out(shape.query_heads * dim, 0.0f);
  for (std::size_t h = 0; h < shape.query_heads; ++h) {
    std::vector<float> p;
    for (std::size_t t = 0; t <= token; ++t) {
      float sum = 0;
      for (std::size_t i = 0; i < dim; ++i)
        sum = std::fma(s.query_post[(token * shape.query_heads + h) * dim + i],
                       s.key_post[(t * shape.kv_heads + h / share) * dim + i], sum);
      p.push_back(sum * (1.0f / std::sqrt(static_cast<float>(dim))));
    }
    softmax(p);
    for (std::size_t t = 0; t <= token; ++t)
      for (std::size_t j = 0; j < dim; ++j)
        out[h * dim + j] =
            std::fma(p[t], s.value[(t * shape.kv_heads + h / share) * dim + j], out[h * dim + j]);
  }
  return out;
}

TEST(KvCache, AnFp32CacheIsPlainAttentionToTheBit) {
  const KvShape shape{2, 24, 6};
  const KvSamples s = kv_samples(shape, 40, 1);
  const KvPolicies p = plain_kv(Format::fp32);
  KvCache cache(shape, p.key, p.value, kTheta);
  std::vector<float> out;
  run(cache, shape, s, 0, 40, &out);
  for (std::size_t t = 0; t < 40; ++t) {
    const std::vector<float> expected = attention(shape, s, t);
    EXPECT_EQ(
        std::vector<float>(out.begin() + static_cast<std::ptrdiff_t>(t * expected.size()),
                           out.begin() + static_cast<std::ptrdiff_t>((t + 1) * expected.size())),
        expected);
  }
}

// A2: the key window is flushed all at once when it holds 128 tokens, the value window keeps
// exactly the 128 newest.
TEST(KvCache, KiviFlushesKeysInBlocksAndSlidesValues) {
  const KvShape shape{2, 32, 4};
  const KvSamples s = kv_samples(shape, 300, 2);
  const KvPolicies p = kivi(2);
  KvCache cache(shape, p.key, p.value, kTheta);
  run(cache, shape, s, 0, 127);
  EXPECT_EQ(cache.token(0).key_format, Format::fp16);
  run(cache, shape, s, 127, 128);
  EXPECT_EQ(cache.token(0).key_format, Format::int2);
  EXPECT_EQ(cache.token(127).key_format, Format::int2);
  EXPECT_EQ(cache.token(0).value_format, Format::fp16);
  run(cache, shape, s, 128, 300);
  EXPECT_EQ(cache.token(255).key_format, Format::int2);
  EXPECT_EQ(cache.token(256).key_format, Format::fp16);
  EXPECT_EQ(cache.token(171).value_format, Format::int2);
  EXPECT_EQ(cache.token(172).value_format, Format::fp16);
}

// The codes of one key channel over 32 tokens, and of 32 channels of one value, by an encoder
// written again from A2.
TEST(KvCache, KiviGroupsKeysAlongTokensAndValuesAlongChannels) {
  const KvShape shape{2, 64, 2};
  const KvSamples s = kv_samples(shape, 256, 3);
  const KvPolicies p = kivi(4);
  KvCache cache(shape, p.key, p.value, kTheta);
  run(cache, shape, s, 0, 256);
  const auto h = [](float x) { return round_to(Format::fp16, x); };
  const auto expect_group = [&](const std::vector<float>& raw, const std::vector<float>& decoded) {
    std::vector<float> x;
    for (const float v : raw) x.push_back(h(v));
    const float lo = *std::min_element(x.begin(), x.end());
    const float step = h(h(*std::max_element(x.begin(), x.end()) - lo) / 15.0f);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float q = std::nearbyint(std::clamp(h(h(x[i] - lo) / step), 0.0f, 15.0f));
      ASSERT_EQ(decoded[i], std::fma(q, step, lo));
    }
  };
  for (std::size_t c : {0u, 5u, 127u}) {
    std::vector<float> raw, decoded;
    for (std::size_t t = 96; t < 128; ++t) {
      raw.push_back(s.key_post[t * 128 + c]);
      decoded.push_back(cache.decoded_key(t)[c]);
    }
    expect_group(raw, decoded);
  }
  const std::vector<float> value = cache.decoded_value(100);
  for (std::size_t g : {0u, 3u}) {
    expect_group({s.value.begin() + 100 * 128 + 32 * static_cast<std::ptrdiff_t>(g),
                  s.value.begin() + 100 * 128 + 32 * static_cast<std::ptrdiff_t>(g + 1)},
                 {value.begin() + 32 * static_cast<std::ptrdiff_t>(g),
                  value.begin() + 32 * static_cast<std::ptrdiff_t>(g + 1)});
  }
}

}  // namespace
}  // namespace systole::quant
