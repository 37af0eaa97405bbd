#include "quant/kv/systems.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "kv_samples.hpp"
#include "quant/kv/storage.hpp"
#include "quant/primitives/codebook.hpp"
#include "quant/primitives/transform.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

using testing::calibrated;
using testing::kv_samples;
using testing::KvSamples;
using testing::mean_square_error;

/// Smaller boundaries, so that a short run crosses them.
KvPolicies shortened(const KvSystem& system) {
  KvPolicies p = system.policies;
  for (TensorPolicy* t : {&p.key, &p.value}) {
    for (TokenPolicy& k : t->tokens) {
      if (k.kind == TokenKind::evict) {
        k.count = 32, k.block = 8, k.recent = 16, k.sinks = 4, k.representatives = 2;
      }
      if (k.kind == TokenKind::retrieve) k.count = 16, k.sinks = 2, k.ratio = 0.1;
      if (k.kind == TokenKind::window && k.count == 128) k.count = 64;
      if (k.kind == TokenKind::salient && k.refresh == 100) k.refresh = 25;
    }
    if (t->schedule.budget_bytes != 0) t->schedule.budget_bytes = 2000;
  }
  return p;
}

TEST(KvSystems, EveryOneGivesTheBitsOfItsDefinitionTokenAfterToken) {
  const KvShape shape{2, 32, 4};
  const KvSamples s = kv_samples(shape, 150, 21);
  for (const KvSystem& system : kv_systems()) {
    const KvPolicies p = shortened(system);
    KvCache fast = calibrated(shape, p, s);
    KvCache slow = fast;
    slow.use_reference(true);
    std::vector<float> a, b;
    run(fast, shape, s, 0, 150, &a);
    run(slow, shape, s, 0, 150, &b);
    EXPECT_EQ(a, b) << system.name;
    for (const float x : a) ASSERT_TRUE(std::isfinite(x)) << system.name;
    EXPECT_EQ(fast.read_ops(), slow.read_ops()) << system.name;
  }
}

TEST(KvSystems, ResetAndASecondRunGiveTheSameBits) {
  const KvShape shape{2, 24, 2};
  const KvSamples s = kv_samples(shape, 140, 22);
  for (const KvSystem& system : kv_systems()) {
    KvCache cache = calibrated(shape, shortened(system), s);
    std::vector<float> a, b;
    run(cache, shape, s, 0, 140, &a);
    const OpCounts writes = cache.write_ops();
    cache.reset();
    EXPECT_EQ(cache.tokens(), 0u);
    EXPECT_EQ(cache.stored_bits_of(KvTensor::key), KvBits{});
    run(cache, shape, s, 0, 140, &b);
    EXPECT_EQ(a, b) << system.name;
    EXPECT_EQ(cache.write_ops(), writes) << system.name;
  }
}

// Speculation rolls back: nothing that was appended and truncated again leaves a trace while it
// stayed in the window or in boxes of its own.
TEST(KvSystems, TruncationForgetsTokens) {
  const KvShape shape{2, 32, 4};
  const KvSamples s = kv_samples(shape, 90, 23);
  for (const char* name : {"fp16", "int8", "qserve_kv4", "kivi2", "kvquant_nuq3_1pct", "rotatekv2",
                           "tada", "fireq", "q8_0", "mxfp4"}) {
    KvCache straight = calibrated(shape, kv_system(name), s);
    KvCache back = straight;
    std::vector<float> a, b, ignored;
    run(straight, shape, s, 0, 90, &a);
    run(back, shape, s, 0, 60, &ignored);
    run(back, shape, s, 60, 70, &ignored);
    back.truncate(60);
    EXPECT_EQ(back.tokens(), 60u);
    run(back, shape, s, 60, 90, &b);
    EXPECT_TRUE(std::equal(b.begin(), b.end(), a.begin() + 60 * 128)) << name;
    EXPECT_EQ(back.stored().total(), straight.stored().total()) << name;
  }
}

// Prefill: many tokens at once, then each query sees only what came before it.
TEST(KvSystems, AQuerySeesOnlyTokensUpToItsPosition) {
  const KvShape shape{2, 32, 4};
  const KvSamples s = kv_samples(shape, 50, 24);
  for (const char* name : {"int8", "qserve_kv4", "fp16"}) {
    KvCache one = calibrated(shape, kv_system(name), s);
    KvCache all = one;
    std::vector<float> a, b(128);
    run(one, shape, s, 0, 50, &a);
    all.append(s.key_pre, s.key_post, s.value, 0);
    for (std::size_t t = 0; t < 50; ++t) {
      const std::span<const float> q(s.query_post);
      all.attend(std::span<const float>(s.query_pre).subspan(t * 128, 128), q.subspan(t * 128, 128),
                 t, b);
      ASSERT_TRUE(std::equal(b.begin(), b.end(), a.begin() + static_cast<std::ptrdiff_t>(t * 128)));
    }
  }
}

// Post-RoPE keys of an unrotated store are those of a rotated one: RoPE on read is RoPE on write.
TEST(KvSystems, RopeOnReadRotatesByTheTokensOwnPosition) {
  const KvShape shape{2, 32, 2};
  const KvSamples s = kv_samples(shape, 40, 25);
  KvPolicies p = plain_kv(Format::fp32);
  Transform rope;
  rope.op = TransformOp::rope;
  rope.where = Where::read;
  p.key.transforms = {rope};
  KvCache cache(shape, p.key, p.value, 10000.0);
  run(cache, shape, s, 0, 40);
  for (std::size_t t = 0; t < 40; ++t) {
    const std::vector<float> key = cache.decoded_key(t);
    for (std::size_t c = 0; c < 64; ++c) ASSERT_EQ(key[c], s.key_post[t * 64 + c]);
  }
}

// A4, by hand: FWHT over all heads, order, groups, and back.
TEST(KvSystems, RotateKvIsAHadamardOverHeadsAnOrderAndGroups) {
  const KvShape shape{4, 128, 4};
  const KvSamples s = kv_samples(shape, 30, 26);
  KvPolicies p = rotatekv(4);
  p.key.tokens.clear();
  KvCache cache = calibrated(shape, p, s);
  run(cache, shape, s, 0, 30);
  const std::vector<double> frequencies = rope_frequencies(128, 10000.0);
  const KvSampleRows rows{s.key_pre, s.key_post, s.value, {}, {}, {}, {}};
  const KvCalibration found = calibrate_kv(shape, p.key, p.value, rows, frequencies);
  ASSERT_EQ(found.key.order.size(), 512u);
  std::vector<float> row(s.key_pre.begin() + 29 * 512, s.key_pre.begin() + 30 * 512);
  fwht(row, 512);
  std::vector<float> ordered(512), back(512);
  permute(row, found.key.order, ordered);
  const BoxRule& rule = cache.plan(KvTensor::key).rule;
  for (std::size_t g = 0; g < 4; ++g) {
    const std::span<float> group = std::span<float>(ordered).subspan(g * 128, 128);
    const KvParameters b = box_parameters(group, rule);
    for (float& x : group) x = decode_in_box(encode_in_box(x, b, rule, {}), b, rule, {});
  }
  permute(ordered, inverse_permutation(found.key.order), back);
  fwht(back, 512);
  const RopeAngles angles = rope_angles(29, frequencies);
  for (std::size_t h = 0; h < 4; ++h) rope(std::span<float>(back).subspan(h * 128, 128), angles);
  EXPECT_EQ(cache.decoded_key(29), back);
  EXPECT_LT(mean_square_error(back, std::span<const float>(s.key_post).last(512)), 0.2);
}

TEST(KvSystems, RotateKvKeepsTheNamedTokensWhole) {
  const KvShape shape{2, 32, 2};
  const KvSamples s = kv_samples(shape, 40, 27);
  std::vector<float> hidden(40 * 16, 0.1f);
  hidden[7 * 16 + 3] = -9.0f;
  hidden[7 * 16 + 4] = 8.0f;
  hidden[30 * 16] = 7.0f;
  const auto owners = tokens_of_largest_elements(hidden, 16, 2);
  EXPECT_EQ(owners, (std::vector<std::uint64_t>{7, 30}));
  KvCache cache = calibrated(shape, rotatekv(2), s);
  cache.protect(owners);
  run(cache, shape, s, 0, 40);
  for (std::size_t t = 0; t < 40; ++t) EXPECT_EQ(cache.token(t).sink, t == 7 || t == 30) << t;
  EXPECT_EQ(cache.token(7).key_format, Format::fp16);
  EXPECT_EQ(cache.token(8).key_format, Format::int2);
}

// An outlier comes back as it was stored (fp32: exactly), everything else from its code.
TEST(KvSystems, KvQuantKeepsOutliersExactly) {
  const KvShape shape{4, 64, 4};
  KvSamples s = kv_samples(shape, 64, 28);
  s.value[20 * 256 + 17] = 40.0f;
  s.value[20 * 256 + 91] = -35.0f;
  KvCache cache = calibrated(shape, kvquant(3, true, false, true), s);
  run(cache, shape, s, 0, 64);
  const std::vector<float> value = cache.decoded_value(20);
  EXPECT_EQ(value[17], 40.0f);
  EXPECT_EQ(value[91], -35.0f);
  // 1 % of 256 on both sides: 2 and 2 kept of each token.
  EXPECT_EQ(cache.plan(KvTensor::value).sparse_side, 2u);
  EXPECT_EQ(cache.token(0).key_format, Format::fp16);  // the attention sink
  // The dense code at an outlier is that of the zero point.
  const KvSampleRows rows{s.key_pre, s.key_post, s.value, {}, {}, {}, {}};
  const KvPolicies p = kvquant(3, true, false, true);
  const auto found = calibrate_kv(shape, p.key, p.value, rows, rope_frequencies(64, 10000.0));
  EXPECT_EQ(cache.codes(KvTensor::value, 20)[17], nearest_entry(0.0f, found.value.encode_table));
}

// Q-Norm: what decodes has the mean and deviation of what was encoded.
TEST(KvSystems, QNormKeepsMeanAndDeviation) {
  const KvShape shape{2, 32, 2};
  const KvSamples s = kv_samples(shape, 200, 29);
  const auto spread = [&](bool q_norm) {
    KvPolicies p = kvquant(2, false, q_norm);
    p.value.tokens.clear();
    KvCache cache = calibrated(shape, p, s);
    run(cache, shape, s, 0, 200);
    double square = 0;
    for (std::size_t t = 0; t < 200; ++t)
      for (const float x : cache.decoded_value(t)) square += static_cast<double>(x) * x;
    return square / (200 * 64);
  };
  double truth = 0;
  for (const float x : s.value) truth += static_cast<double>(x) * x;
  truth /= 200 * 64;
  EXPECT_LT(spread(false), 0.97 * truth);  // centroids have less variance
  EXPECT_NEAR(spread(true), truth, 0.02 * truth);
}

// B5: codes start at 16 bits, and every shrink is the published map of the code before.
TEST(KvSystems, PmKvqShrinksInTheIntegerDomainAndChainsNewBlocks) {
  const KvShape shape{1, 128, 1};
  const KvSamples s = kv_samples(shape, 400, 30);
  KvPolicies p = pmkvq(128 * 128 * 2);  // one block of 128 tokens at 16 bits fits
  KvCache cache = calibrated(shape, p, s);
  run(cache, shape, s, 0, 129);  // a sink, then a whole window
  EXPECT_EQ(cache.token(0).key_format, Format::bf16);
  EXPECT_EQ(cache.token(1).key_format, Format::int16);
  const std::vector<std::uint16_t> wide = cache.codes(KvTensor::key, 5);
  run(cache, shape, s, 129, 257);  // two blocks: 8 bits
  EXPECT_EQ(cache.token(1).key_format, Format::int8);
  EXPECT_EQ(cache.token(200).key_format, Format::int8);
  const std::vector<std::uint16_t> narrow = cache.codes(KvTensor::key, 5);
  for (std::size_t c = 0; c < 128; ++c)
    ASSERT_EQ(narrow[c], std::min(255u, (wide[c] + 128u) / 257u));  // q / 257 half up
  const std::uint64_t before = cache.maintenance_ops().shift;
  run(cache, shape, s, 257, 385);  // 384 coded tokens at 8 bits exceed the budget: 4 bits
  EXPECT_EQ(cache.token(300).key_format, Format::int4);
  // The new block goes 16 > 8, then everything 8 > 4; keys and values.
  EXPECT_EQ(cache.maintenance_ops().shift - before, 2u * (128 * 128 + 384 * 128));
  EXPECT_LE(cache.stored_bits_of(KvTensor::key).codes, 8u * 128 * 128 * 2);
}

TEST(KvSystems, AgeTiersDemoteWholeBlocks) {
  const KvShape shape{2, 32, 2};
  const KvSamples s = kv_samples(shape, 160, 31);
  KvCache cache = calibrated(shape, age_tiers(), s);
  run(cache, shape, s, 0, 160);
  // The newest 20 % (32 tokens) bf16, the next 20 % fp8, the rest nvfp4; blocks of 16.
  for (std::size_t t = 0; t < 160; ++t) {
    const Format expected = t >= 128 ? Format::bf16 : (t >= 96 ? Format::fp8_e4m3 : Format::nvfp4);
    EXPECT_EQ(cache.token(t).key_format, expected) << t;
  }
}

TEST(KvSystems, ZipCacheKeepsTheShareOfEachRefreshAndItsLastTokensWhole) {
  const KvShape shape{2, 32, 4};
  const KvSamples s = kv_samples(shape, 230, 32);
  KvCache cache = calibrated(shape, zipcache(), s);
  std::vector<float> out;
  run(cache, shape, s, 0, 230, &out);
  for (std::size_t first : {0u, 100u}) {
    std::size_t salient = 0;
    for (std::size_t t = first; t < first + 100; ++t) {
      salient += cache.token(t).salient ? 1 : 0;
      EXPECT_EQ(cache.token(t).key_format, cache.token(t).salient ? Format::int4 : Format::int2);
    }
    EXPECT_EQ(salient, 60u);
  }
  EXPECT_EQ(cache.token(200).key_format, Format::fp16);
  EXPECT_GT(cache.maintenance_ops().write_bytes, 0u);
}

// A token that every query looks at is salient under both contracts; under the reference contract
// the second refresh asks one row only (trap 7), so its classes differ.
TEST(KvSystems, ZipCacheScoresDifferAfterTheFirstCompression) {
  const KvShape shape{2, 32, 4};
  const KvSamples s = kv_samples(shape, 200, 33);
  std::vector<std::set<std::size_t>> salient;
  for (const Contract c : {Contract::reference, Contract::corrected}) {
    KvPolicies p = zipcache();
    p.key.contract = p.value.contract = c;
    KvCache cache = calibrated(shape, p, s);
    std::vector<float> out;
    run(cache, shape, s, 0, 200, &out);
    std::set<std::size_t> chosen;
    for (std::size_t t = 100; t < 200; ++t)
      if (cache.token(t).salient) chosen.insert(t);
    EXPECT_EQ(chosen.size(), 60u);
    salient.push_back(chosen);
  }
  EXPECT_NE(salient[0], salient[1]);
}

// B2: half stays in fp16; with a query that always looks at one old token, that token stays.
TEST(KvSystems, MiKvKeepsWhatReceivesAttention) {
  const KvShape shape{1, 32, 1};
  KvSamples s = kv_samples(shape, 80, 34, 0);
  for (std::size_t t = 0; t < 80; ++t)
    for (std::size_t i = 0; i < 32; ++i) s.query_post[t * 32 + i] = 4 * s.key_post[3 * 32 + i];
  KvCache cache = calibrated(shape, mikv(), s);
  std::vector<float> out;
  run(cache, shape, s, 0, 80, &out);
  EXPECT_TRUE(cache.token(3).salient);
  EXPECT_EQ(cache.token(3).key_format, Format::fp16);
  std::size_t whole = 0;
  for (std::size_t t = 0; t < 80; ++t) whole += cache.token(t).key_format == Format::fp16 ? 1 : 0;
  EXPECT_EQ(whole, 40u);
  EXPECT_EQ(cache.token(79).key_format, Format::fp16);  // half of the budget is for the newest
}

// B3: first and recent tokens stay, the budget is kept to the block, and one block that receives
// all attention survives.
TEST(KvSystems, KvCrushEvictsBlocksAndKeepsRepresentatives) {
  const KvShape shape{1, 32, 1};
  KvSamples s = kv_samples(shape, 200, 35, 0);
  for (std::size_t t = 0; t < 200; ++t)
    for (std::size_t i = 0; i < 32; ++i)
      s.query_post[t * 32 + i] = t < 20 ? 0.1f : 3 * s.key_post[18 * 32 + i];
  for (const Anchor anchor :
       {Anchor::random, Anchor::zeros, Anchor::ones, Anchor::mean, Anchor::alternating}) {
    KvPolicies p = kvcrush();
    for (TensorPolicy* t : {&p.key, &p.value}) {
      TokenPolicy& k = t->tokens[0];
      k.count = 32, k.block = 8, k.recent = 16, k.sinks = 4, k.representatives = 2;
      k.anchor = anchor;
    }
    KvCache cache = calibrated(shape, p, s);
    std::vector<float> out;
    run(cache, shape, s, 0, 200, &out);
    EXPECT_EQ(cache.tokens(), 4u + 16 + 32 + (200 - 20) % 8);
    std::set<std::uint64_t> held;
    for (std::size_t t = 0; t < cache.tokens(); ++t) held.insert(cache.token(t).position);
    for (std::uint64_t t : {0u, 3u, 18u, 184u, 199u}) EXPECT_TRUE(held.count(t)) << t;
  }
}

// B4: a key that the query points at is fetched from far away; the recent window and the first
// tokens are read anyway.
TEST(KvSystems, A2AtsFetchesTheKeysItsIndexRanksHighest) {
  const KvShape shape{1, 32, 1};
  KvSamples s = kv_samples(shape, 300, 36, 0);
  KvPolicies p = a2ats();
  for (TensorPolicy* t : {&p.key, &p.value}) t->tokens[0].codewords = 300;
  // As many codewords as keys: the index is exact up to its metric.
  KvCache cache = calibrated(shape, p, s);
  run(cache, shape, s, 0, 300);
  const RopeAngles far = rope_angles(2048, rope_frequencies(32, 10000.0));
  std::vector<float> query(s.key_pre.begin() + 100 * 32, s.key_pre.begin() + 101 * 32);
  rope_inverse(query, far);  // rotated to the constant position it is key 100
  std::vector<float> out(32);
  cache.attend(query, query, 299, out);
  EXPECT_EQ(cache.fetched().size(), 9u);  // 3 % of 300
  EXPECT_TRUE(std::count(cache.fetched().begin(), cache.fetched().end(), 100u) == 1);
  for (const std::uint64_t t : cache.fetched()) EXPECT_TRUE(t >= 8 && t < 300 - 64);
  EXPECT_EQ(cache.backing_bytes(), 300u * 2 * 64);
}

// With every token fetched retrieval is exact attention over an fp16 cache.
TEST(KvSystems, A2AtsWithARatioOfOneReadsEverything) {
  const KvShape shape{2, 32, 4};
  const KvSamples s = kv_samples(shape, 120, 37);
  KvPolicies p = a2ats();
  for (TensorPolicy* t : {&p.key, &p.value}) t->tokens[0].ratio = 1.0, t->tokens[0].codewords = 16;
  KvPolicies plain = plain_kv(Format::fp16);
  Transform rope;
  rope.op = TransformOp::rope;
  rope.where = Where::read;
  plain.key.transforms = {rope};
  KvCache a = calibrated(shape, p, s), b = calibrated(shape, plain, s);
  std::vector<float> x, y;
  run(a, shape, s, 0, 120, &x);
  run(b, shape, s, 0, 120, &y);
  EXPECT_EQ(x, y);
}

// The mean is subtracted at full precision of bf16 and added back: with equal heads nothing is left
// to quantise.
TEST(KvSystems, TaDaOfEqualHeadsIsItsMean) {
  const KvShape shape{4, 32, 4};
  KvSamples s = kv_samples(shape, 10, 38);
  for (std::size_t i = 0; i < s.value.size(); ++i) {
    s.value[i] = round_to(Format::bf16, s.value[i / 128 * 128 + i % 32]);
    s.key_post[i] = round_to(Format::bf16, s.key_post[i / 128 * 128 + i % 32]);
  }
  KvCache cache = calibrated(shape, tada(), s);
  run(cache, shape, s, 0, 10);
  for (std::size_t t = 0; t < 10; ++t)
    for (std::size_t c = 0; c < 128; ++c)
      ASSERT_EQ(cache.decoded_value(t)[c], s.value[t * 128 + c]);
}

// Trap 8 costs accuracy: a ternary value without its scale.
TEST(KvSystems, VidKvCorrectedDecodesBetterThanTheReleasedCode) {
  const KvShape shape{2, 32, 2};
  KvSamples s = kv_samples(shape, 128, 39, 4);
  for (float& v : s.value) v *= 4;  // a scale that {-1, 0, 1} does not have by chance
  std::vector<double> key_error, value_error;
  for (const Contract c : {Contract::reference, Contract::corrected}) {
    KvCache cache = calibrated(shape, vidkv(c), s);
    run(cache, shape, s, 0, 128);
    double key = 0, value = 0;
    for (std::size_t t = 0; t < 128; ++t) {
      key += mean_square_error(cache.decoded_key(t),
                               std::span<const float>(s.key_post).subspan(t * 64, 64));
      value += mean_square_error(cache.decoded_value(t),
                                 std::span<const float>(s.value).subspan(t * 64, 64));
    }
    key_error.push_back(key / 128);
    value_error.push_back(value / 128);
  }
  EXPECT_EQ(calibrated(shape, vidkv(Contract::corrected), s).plan(KvTensor::key).low_channels, 16u);
  double power = 0;
  for (const float v : s.key_post) power += static_cast<double>(v) * v;
  power /= static_cast<double>(s.key_post.size());
  EXPECT_LT(key_error[1], 0.5 * power);
  EXPECT_LT(value_error[1], value_error[0]);
}

TEST(KvSystems, VidKvKeepsNamedTokensAtTwoBits) {
  const KvShape shape{1, 32, 1};
  const KvSamples s = kv_samples(shape, 128, 40);
  KvCache cache = calibrated(shape, vidkv(Contract::corrected), s);
  cache.protect({3, 50, 51});
  run(cache, shape, s, 0, 128);
  EXPECT_EQ(cache.token(50).value_format, Format::int2);
  EXPECT_EQ(cache.token(49).value_format, Format::ternary_b3);
}

// Folding factors into queries and keys leaves fp32 scores what they were.
TEST(KvSystems, FoldedAndQuerySideFactorsCancel) {
  const KvShape shape{2, 32, 4};
  const KvSamples s = kv_samples(shape, 60, 41);
  std::vector<float> plain, factored;
  KvCache bare(shape, plain_kv(Format::fp32).key, plain_kv(Format::fp32).value, 10000.0);
  run(bare, shape, s, 0, 60, &plain);
  for (const char* name : {"qserve_kv4", "mikv", "fireq"}) {
    KvPolicies p = plain_kv(Format::fp32);
    p.key.transforms = kv_system(name).key.transforms;
    if (std::string_view(name) == "fireq") p.key.outliers = kv_system(name).key.outliers;
    factored.clear();
    KvCache cache = calibrated(shape, p, s);
    run(cache, shape, s, 0, 60, &factored);
    EXPECT_NE(plain, factored) << name;
    EXPECT_LT(mean_square_error(plain, factored), 1e-9) << name;
  }
  KvPolicies rotated = plain_kv(Format::fp32);
  rotated.value.transforms = rotatekv(2).value.transforms;
  Transform had;
  had.where = Where::query;
  rotated.key.transforms = {had};
  factored.clear();
  KvCache cache = calibrated(shape, rotated, s);
  run(cache, shape, s, 0, 60, &factored);
  EXPECT_LT(mean_square_error(plain, factored), 1e-9);
}

TEST(KvSystems, APolicyOfALayerFollowsItsMap) {
  TensorPolicy p = tada().key;
  p.schedule.entries = {{"0-1", 0, Format::int5}, {"3", 0, Format::int2}, {"ffn", 0, Format::int8}};
  EXPECT_EQ(policy_of_layer(p, 0).format, Format::int5);
  EXPECT_EQ(policy_of_layer(p, 1).format, Format::int5);
  EXPECT_EQ(policy_of_layer(p, 2).format, Format::int4);
  EXPECT_EQ(policy_of_layer(p, 3).format, Format::int2);
}

TEST(KvSystems, WhatCannotBeDoneIsRefused) {
  const KvShape shape{2, 32, 4};
  const KvPolicies k = kivi(2);
  TensorPolicy bad = k.key;
  bad.tokens[0].count = 100;  // no whole number of boxes
  EXPECT_THROW(KvCache(shape, bad, k.value, 10000.0), std::invalid_argument);
  bad = qserve(4).key;
  bad.transforms[0].rope_pair_tied = false;
  EXPECT_THROW(KvCache(shape, bad, k.value, 10000.0), std::invalid_argument);
  bad = rotatekv(2).key;
  bad.transforms[0].where = Where::query;  // RoPE intervenes
  EXPECT_THROW(KvCache(shape, bad, k.value, 10000.0), std::invalid_argument);
  EXPECT_THROW(KvCache(shape, kvquant(2, false).key, k.value, 10000.0), std::invalid_argument);
  EXPECT_THROW(KvCache(shape, a2ats().key, k.value, 10000.0), std::invalid_argument);
  EXPECT_THROW(KvCache({2, 31, 4}, k.key, k.value, 10000.0), std::invalid_argument);
  EXPECT_THROW(KvCache({3, 32, 4}, k.key, k.value, 10000.0), std::invalid_argument);
  EXPECT_THROW(kv_system("saq"), std::invalid_argument);
  KvCache cache(shape, k.key, k.value, 10000.0);
  std::vector<float> row(64, 0.5f), out(128);
  EXPECT_THROW(cache.attend(out, out, 0, out), std::invalid_argument);  // nothing to see
  EXPECT_THROW(cache.append(row, row, std::span<const float>(row).first(32), 0),
               std::invalid_argument);
  row[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(cache.append(row, row, row, 0), std::domain_error);
  row[5] = 0;
  cache.append(row, row, row, 7);
  EXPECT_THROW(cache.append(row, row, row, 7), std::invalid_argument);
}

// Adversarial sizes: heads of 2 to 40 channels, any grouping, constant and huge rows.
RC_GTEST_PROP(KvSystems, SurviveAnyShapeAndValue, ()) {
  const std::size_t heads = *rc::gen::inRange<std::size_t>(1, 4);
  const KvShape shape{heads, 2 * *rc::gen::inRange<std::size_t>(1, 21),
                      heads * *rc::gen::inRange<std::size_t>(1, 4)};
  const auto& systems = kv_systems();
  const KvSystem& system = systems[*rc::gen::inRange<std::size_t>(0, systems.size())];
  const float strength = *rc::gen::element(0.0f, 1e-20f, 1.0f, 1e4f);
  const auto tokens = *rc::gen::inRange<std::size_t>(1, 80);
  KvSamples s = kv_samples(shape, tokens, *rc::gen::inRange(0u, 1000u));
  for (float& v : s.value) v *= strength;
  for (float& v : s.key_post) v *= strength;
  for (float& v : s.key_pre) v *= strength;
  KvCache cache = calibrated(shape, shortened(system), s);
  std::vector<float> out;
  run(cache, shape, s, 0, tokens, &out);
  for (const float x : out) RC_ASSERT(std::isfinite(x));
  RC_ASSERT(cache.stored().total() > 0u);
}

}  // namespace
}  // namespace systole::quant
