// Orderings that the papers report, on keys with channel outliers. What is measured is the error of
// the attention output against an fp32 cache, and the error of decoded keys.
#include <gtest/gtest.h>

#include "kv_samples.hpp"
#include "quant/kv/storage.hpp"

namespace systole::quant {
namespace {

using testing::calibrated;
using testing::kv_samples;
using testing::KvSamples;
using testing::mean_square_error;

constexpr KvShape kShape{4, 64, 8};

double output_error(const KvPolicies& p, const KvSamples& s, const KvShape& shape = kShape) {
  KvCache cache = calibrated(shape, p, s);
  KvCache exact(shape, plain_kv(Format::fp32).key, plain_kv(Format::fp32).value, 10000.0);
  std::vector<float> a, b;
  run(cache, shape, s, 0, s.tokens, &a);
  run(exact, shape, s, 0, s.tokens, &b);
  return mean_square_error(a, b);
}

double key_error(const KvPolicies& p, const KvSamples& s, const KvShape& shape = kShape) {
  KvCache cache = calibrated(shape, p, s);
  run(cache, shape, s, 0, s.tokens);
  double sum = 0;
  for (std::size_t t = 0; t < s.tokens; ++t)
    sum += mean_square_error(
        cache.decoded_key(t),
        std::span<const float>(s.key_post).subspan(t * shape.width(), shape.width()));
  return sum / static_cast<double>(s.tokens);
}

/// Uniform integers with the box given; keys only.
KvPolicies uniform_keys(unsigned bits, std::vector<std::uint32_t> box, ParameterSource source,
                        bool pre_rope) {
  KvPolicies p = plain_kv(Format::fp16);
  p.key = kivi(bits).key;
  p.key.affine = Affine::float_zero;
  p.key.contract = Contract::corrected;
  p.key.tokens.clear();
  p.key.levels[0].box = std::move(box);
  p.key.levels[0].parameters = source;
  if (pre_rope) p.key.transforms = kvquant(bits, false).key.transforms;
  return p;
}

KvPolicies keys_only(KvPolicies p) {
  p.value = plain_kv(Format::fp16).value;
  p.key.tokens.clear();
  return p;
}

// 480 tokens, so that half a per cent of a channel is two samples.
// R4: keys by token >> by channel > + before RoPE > + non-uniform > + 1 % outliers, 3 bits.
TEST(KvAccuracy, KvQuantAblationHasThePublishedOrder) {
  const KvSamples s = kv_samples(kShape, 480, 61, 4, 10.0f);
  const double by_token = key_error(uniform_keys(3, {1, 0, 0}, ParameterSource::dynamic, false), s);
  const double by_channel = key_error(uniform_keys(3, {0, 1, 1}, ParameterSource::fixed, false), s);
  const double before_rope = key_error(uniform_keys(3, {0, 1, 1}, ParameterSource::fixed, true), s);
  const double non_uniform = key_error(keys_only(kvquant(3, false)), s);
  const double sparse = key_error(keys_only(kvquant(3, true)), s);
  EXPECT_GT(by_token, 2 * by_channel);
  EXPECT_GT(by_channel, before_rope);
  EXPECT_GT(before_rope, non_uniform);
  EXPECT_GT(non_uniform, sparse);
}

// KIVI's observation: keys by channel, values by token.
TEST(KvAccuracy, KiviKeysByChannelBeatKeysByToken) {
  const KvSamples s = kv_samples(kShape, 192, 62);
  KvPolicies by_token = kivi(2);
  by_token.key = by_token.value;
  EXPECT_LT(output_error(kivi(2), s), 0.5 * output_error(by_token, s));
}

TEST(KvAccuracy, MoreBitsAreNeverWorse) {
  const KvSamples s = kv_samples(kShape, 192, 63);
  EXPECT_LT(output_error(kivi(4), s), output_error(kivi(2), s));
  EXPECT_LT(output_error(qserve(8), s), output_error(qserve(4), s));
  EXPECT_LT(output_error(kvquant(4, true), s), output_error(kvquant(3, true), s));
  EXPECT_LT(output_error(kvquant(3, true), s), output_error(kvquant(2, true), s));
  EXPECT_LT(output_error(rotatekv(4), s), output_error(rotatekv(3), s));
  EXPECT_LT(output_error(rotatekv(3), s), output_error(rotatekv(2), s));
  EXPECT_LT(output_error(plain_kv(Format::q8_0), s), output_error(plain_kv(Format::q4_0), s));
  EXPECT_LT(output_error(plain_kv(Format::fp16), s), output_error(plain_kv(Format::q8_0), s));
}

// R6 in small: groups of plain 2-bit integers, rotated over heads, and in order of the channels.
TEST(KvAccuracy, RotationHelpsKeysWithOutliers) {
  const KvSamples s = kv_samples(kShape, 96, 64, 3, 12.0f);
  KvPolicies rotated = keys_only(rotatekv(2));
  KvPolicies unordered = rotated, plain = rotated;
  std::erase_if(unordered.key.transforms,
                [](const Transform& t) { return t.op == TransformOp::perm; });
  std::erase_if(plain.key.transforms, [](const Transform& t) { return t.op != TransformOp::rope; });
  EXPECT_LT(key_error(unordered, s), key_error(plain, s));
  EXPECT_LT(key_error(rotated, s), key_error(unordered, s));
}

// SmoothAttention: outlier channels of keys are halved in the exponent, queries pay for it.
TEST(KvAccuracy, SmoothAttentionHelpsFourBitKeys) {
  const KvSamples s = kv_samples(kShape, 96, 65, 3, 12.0f);
  KvPolicies bare = qserve(4);
  bare.key.transforms.clear();
  EXPECT_LT(output_error(qserve(4), s), output_error(bare, s));
}

TEST(KvAccuracy, FireQFactorsHelpFourBitKeys) {
  const KvSamples s = kv_samples(kShape, 96, 66, 3, 12.0f);
  KvPolicies bare = fireq();
  bare.key.transforms.clear();
  bare.key.outliers = {};
  EXPECT_LT(output_error(fireq(), s), output_error(bare, s));
}

// The balancer of MiKV does the same for its low class.
TEST(KvAccuracy, MiKvRetainingBeatsEvicting) {
  const KvSamples s = kv_samples(kShape, 160, 67);
  KvPolicies evict = plain_kv(Format::fp16);
  TokenPolicy t;
  t.kind = TokenKind::evict;
  t.scorer = Scorer::accumulated;
  t.count = 40;
  t.recent = 40;
  t.block = 1;
  evict.key.tokens = evict.value.tokens = {t};
  EXPECT_LT(output_error(mikv(), s), 0.5 * output_error(evict, s));
}

TEST(KvAccuracy, EnoughBudgetForPmKvqIsNearlyExact) {
  const KvSamples s = kv_samples(kShape, 192, 68);
  const double wide = output_error(pmkvq(1u << 20), s), narrow = output_error(pmkvq(8192), s);
  EXPECT_LT(wide, 1e-3);
  EXPECT_GT(narrow, wide);
}

}  // namespace
}  // namespace systole::quant
