// Attention over segments is attention over the concatenation of what they decode to.
#include "quant/kernels/mixed_attention.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "operands.hpp"
#include "quant/kernels/vector.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;

TEST(MixedAttention, OfTwoTokensIsWorkedOutByHand) {
  const KvSegment s{2, {1, 0, 0, 1}, {10, 20, 30, 40}, {}, {}};
  std::vector<float> out(2);
  // Equal scores: each token counts one half.
  const auto p = mixed_attention(std::vector<float>{3, 3}, std::span(&s, 1), 0.5f, out);
  EXPECT_THAT(p, testing::ElementsAre(0.5f, 0.5f));
  EXPECT_THAT(out, testing::ElementsAre(20.0f, 30.0f));
}

TEST(MixedAttention, DoesNotSeeWhereSegmentsEnd) {
  SYSTOLE_SEEDED(random);
  const std::size_t d = 16;
  const auto keys = normals(random, 40 * d);
  const auto values = normals(random, 40 * d);
  const auto query = normals(random, d);
  const std::vector<KvSegment> whole = {kv_segment(keys, values, d, Format::fp32)};
  std::vector<KvSegment> parts;
  std::size_t begin = 0;
  for (const std::size_t count : {1u, 7u, 0u, 32u}) {
    parts.push_back(kv_segment(std::span(keys).subspan(begin * d, count * d),
                               std::span(values).subspan(begin * d, count * d), d, Format::fp32));
    begin += count;
  }
  std::vector<float> expected(d);
  std::vector<float> actual(d);
  const auto p = mixed_attention(query, whole, 0.25f, expected);
  EXPECT_EQ(mixed_attention(query, parts, 0.25f, actual), p);
  EXPECT_TRUE(same_bits(actual, expected));
}

TEST(MixedAttention, IsExactAttentionOverDecodedTokensOfEveryClass) {
  SYSTOLE_SEEDED(random);
  const std::size_t d = 32;
  const auto tokens = [&](std::size_t n) { return normals(random, n * d); };
  const auto quantised = [&](std::size_t n, Format format) {
    QuantSpec spec;
    spec.format = format;
    spec.granularity = Granularity::token;
    spec.affine = Affine::float_min;
    return quantise(tokens(n), n, d, spec);
  };
  std::vector<KvSegment> segments;
  segments.push_back(kv_segment(tokens(2), tokens(2), d, Format::fp32));  // sinks
  segments.push_back(
      kv_segment(quantised(9, Format::int4), quantised(9, Format::int4)));  // salient
  segments.push_back(
      kv_segment(quantised(20, Format::int2), quantised(20, Format::int2)));  // others
  segments.push_back(kv_segment(tokens(8), tokens(8), d, Format::fp16));      // window
  for (std::size_t t = 0; t < 20; ++t) {  // outliers of the coarse class: the dense part there is 0
    segments[2].keys[t * d + 3] = 0.0f;
    segments[2].key_outliers.push_back({{3}, {8.0f}});
    segments[2].values[t * d + 5] = 0.0f;
    segments[2].values[t * d + 6] = 0.0f;
    segments[2].value_outliers.push_back({{5, 6}, {-4.0f, 2.0f}});
  }
  const auto query = normals(random, d);
  const float scale = 1.0f / std::sqrt(32.0f);
  std::vector<float> out(d);
  const auto p = mixed_attention(query, segments, scale, out);

  std::vector<double> weight;
  std::vector<double> sums(d + 1, 0.0);
  for (const KvSegment& s : segments) {
    for (std::size_t t = 0; t < s.tokens; ++t) {
      double dot = 0;
      for (std::size_t i = 0; i < d; ++i) {
        double key = static_cast<double>(s.keys[t * d + i]);
        if (!s.key_outliers.empty() && i == 3) key = 8.0;
        dot += static_cast<double>(query[i]) * key;
      }
      const double e = std::exp(dot * static_cast<double>(scale));
      weight.push_back(e);
      sums[d] += e;
      for (std::size_t i = 0; i < d; ++i) {
        double value = static_cast<double>(s.values[t * d + i]);
        if (!s.value_outliers.empty() && i == 5) value = -4.0;
        if (!s.value_outliers.empty() && i == 6) value = 2.0;
        sums[i] += e * value;
      }
    }
  }
  ASSERT_EQ(p.size(), 39u);
  for (std::size_t t = 0; t < p.size(); ++t) EXPECT_NEAR(p[t], weight[t] / sums[d], 1e-6);
  for (std::size_t i = 0; i < d; ++i) EXPECT_NEAR(out[i], sums[i] / sums[d], 1e-5);
}

TEST(MixedAttention, RefusesAndPropagates) {
  std::vector<float> out(2, 9.0f);
  EXPECT_TRUE(mixed_attention(std::vector<float>{1, 2}, {}, 1.0f, out).empty());
  EXPECT_THAT(out, testing::ElementsAre(0.0f, 0.0f));
  KvSegment s{1, {1, std::nanf("")}, {1, 1}, {}, {}};
  mixed_attention(std::vector<float>{1, 2}, std::span(&s, 1), 1.0f, out);
  EXPECT_TRUE(std::isnan(out[0]));
  s.keys = {1};
  EXPECT_THROW(mixed_attention(std::vector<float>{1, 2}, std::span(&s, 1), 1.0f, out),
               std::invalid_argument);
  s = {1, {1, 1}, {1, 1}, {}, {{{2}, {1.0f}}}};
  EXPECT_THROW(mixed_attention(std::vector<float>{1, 2}, std::span(&s, 1), 1.0f, out),
               std::invalid_argument);
  EXPECT_THROW(mixed_attention({}, {}, 1.0f, {}), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
