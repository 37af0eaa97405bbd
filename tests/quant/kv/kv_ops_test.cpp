#include <gtest/gtest.h>

#include "kv_samples.hpp"
#include "quant/kv/storage.hpp"

namespace systole::quant {
namespace {

using testing::calibrated;
using testing::kv_samples;
using testing::KvSamples;

constexpr KvShape kShape{4, 128, 8};
constexpr std::uint64_t kWidth = 512;

/// What one attend over `tokens` cached tokens costs.
OpCounts read_of(const KvPolicies& p, std::size_t tokens, const KvShape& shape = kShape) {
  const KvSamples s = kv_samples(shape, tokens, 51);
  KvCache cache = calibrated(shape, p, s);
  run(cache, shape, s, 0, tokens);
  const OpCounts before = cache.read_ops();
  EXPECT_EQ(before, OpCounts{});
  const std::size_t n = shape.query_heads * shape.head_dim;
  std::vector<float> out(n);
  cache.attend(std::span<const float>(s.query_pre).first(n),
               std::span<const float>(s.query_post).first(n), tokens - 1, out);
  return cache.read_ops();
}

// quantization.md §11.1, row by row: work an element of K and of V, read once for all query heads
// of the group.
TEST(KvOps, Fp16ReadsAndDoesNothingElse) {
  const OpCounts ops = read_of(plain_kv(Format::fp16), 10);
  OpCounts expected;
  expected.read_bytes = 10 * 2 * kWidth * 2;
  EXPECT_EQ(ops, expected);
}

TEST(KvOps, QServeUnpacksAndFoldsTheRestIntoTwoOperationsATokenAndHead) {
  const OpCounts ops = read_of(qserve(4), 10);
  EXPECT_EQ(ops.unpack, 10 * 2 * kWidth);
  EXPECT_EQ(ops.fma + ops.multiply, 2u * 10 * 2 * 4);
  EXPECT_EQ(ops.add + ops.lookup + ops.special + ops.gather, 0u);
  EXPECT_EQ(ops.read_bytes, 10u * 2 * (kWidth / 2 + 4 * 4));  // s, z: 4 bytes a token and head
}

TEST(KvOps, KiviIsOneUnpackAndOneFmaAnElement) {
  const OpCounts ops = read_of(kivi(2), 256);
  const std::uint64_t coded = 256 * kWidth + 128 * kWidth;  // keys, and values out of the window
  EXPECT_EQ(ops.unpack, coded);
  EXPECT_EQ(ops.fma, coded);
  EXPECT_EQ(ops.multiply + ops.add + ops.lookup + ops.special, 0u);
  EXPECT_EQ(ops.read_bytes, coded * 3 / 8 + 128 * kWidth * 2);
}

TEST(KvOps, KvQuantLooksUpRotatesAndAddsItsOutliers) {
  KvPolicies p = kvquant(4, true);
  p.key.tokens.clear();
  p.value.tokens.clear();
  const OpCounts ops = read_of(p, 10);
  EXPECT_EQ(ops.unpack, 10 * 2 * kWidth);
  EXPECT_EQ(ops.lookup, 10 * 2 * kWidth);
  EXPECT_EQ(ops.fma, 10 * 2 * kWidth);
  EXPECT_EQ(ops.multiply, 10 * 2 * kWidth);  // RoPE of keys: 2 multiplications,
  EXPECT_EQ(ops.add, 10 * kWidth);           // 1 addition an element,
  EXPECT_EQ(ops.special, 10u * 128);         // a sine and a cosine a pair
  EXPECT_EQ(ops.sparse_mac, 10u * 2 * 6);    // 3 above and 3 below of 512
}

TEST(KvOps, RotateKvAddsNineTimesAnElementAndGathersEachChannel) {
  KvPolicies p = rotatekv(2);
  p.key.tokens.clear();
  p.value.tokens.clear();
  const OpCounts ops = read_of(p, 10);
  EXPECT_EQ(ops.unpack, 10 * 2 * kWidth);
  EXPECT_EQ(ops.fma, 10 * 2 * kWidth);
  EXPECT_EQ(ops.add, 10 * kWidth * 9 + 10 * kWidth);  // FWHT-512, and RoPE's
  EXPECT_EQ(ops.multiply, 10 * 2 * kWidth);
  EXPECT_EQ(ops.gather, 10 * kWidth);
  EXPECT_EQ(ops.read_bytes, 10u * 2 * (kWidth / 4 + 2 * 4));  // scale and zero: 2 bytes of 128
}

TEST(KvOps, ZipCacheMultipliesValuesByTheirChannel) {
  const OpCounts ops = read_of(zipcache(), 100);
  EXPECT_EQ(ops.unpack, 100 * 2 * kWidth);
  EXPECT_EQ(ops.fma, 100 * 2 * kWidth);
  EXPECT_EQ(ops.multiply, 100 * kWidth);
  // Codes, the channel parameters of two classes, V's channels of two classes, two scalars a token.
  EXPECT_EQ(ops.read_bytes,
            2 * (60 * kWidth / 2 + 40 * kWidth / 4) + 2 * 4 * kWidth + 2 * 2 * kWidth + 100 * 4);
}

TEST(KvOps, TaDaAddsItsMean) {
  const OpCounts ops = read_of(tada(), 10);
  EXPECT_EQ(ops.fma, 10 * 2 * kWidth);
  EXPECT_EQ(ops.add, 10 * 2 * kWidth);
  EXPECT_EQ(ops.read_bytes, 10u * 2 * (kWidth / 2 + 4 * 4 + 128 * 2));
}

TEST(KvOps, VidKvTransformsItsEasyChannelsBack) {
  const OpCounts ops = read_of(vidkv(Contract::corrected), 128);
  const std::uint64_t easy = 128 * kWidth / 2;
  // 2.5 log2 64 = 15 operations an easy element, besides one multiplication for each sign.
  EXPECT_EQ(ops.multiply + ops.add, 15 * easy + easy + 128 * kWidth);
  EXPECT_EQ(ops.fma, easy);  // the two-bit class
  EXPECT_EQ(ops.gather, 128 * kWidth);
}

TEST(KvOps, BlocksOf32TakeOneFmaEach) {
  for (const Format f : {Format::q8_0, Format::q4_0}) {
    const OpCounts ops = read_of(plain_kv(f), 10);
    EXPECT_EQ(ops.unpack, 10 * 2 * kWidth);
    EXPECT_EQ(ops.fma, 10 * 2 * kWidth / 32);
    EXPECT_EQ(ops.read_bytes, 10 * 2 * kWidth / 32 * (f == Format::q8_0 ? 34 : 18));
  }
}

TEST(KvOps, A2AtsScoresItsCodebookOnceAHeadAndFetchesRows) {
  const KvShape shape{1, 32, 2};
  KvPolicies p = a2ats();
  for (TensorPolicy* t : {&p.key, &p.value}) t->tokens[0].codewords = 64;
  const OpCounts ops = read_of(p, 300, shape);
  EXPECT_EQ(ops.fma, 2u * 64 * 32);
  EXPECT_EQ(ops.lookup, 2u * (300 - 64 - 8));
  const std::uint64_t index = (300 * 6 + 7) / 8, codebook = 2 * 64 * 32;
  // Window, sinks and between 9 and 18 fetched rows of K and V.
  EXPECT_GE(ops.read_bytes, index + codebook + (72 + 9) * 2 * 64u);
  EXPECT_LE(ops.read_bytes, index + codebook + (72 + 18) * 2 * 64u);
}

// 11.2: two networks over the width; 2^b comparators an element.
TEST(KvOps, WritesCountSearchAndSelection) {
  const KvSamples s = kv_samples(kShape, 1, 52);
  KvPolicies p = kvquant(3, true);
  p.key.tokens.clear();
  p.value.tokens.clear();
  KvCache cache = calibrated(kShape, p, s);
  run(cache, kShape, s, 0, 1);
  const OpCounts& ops = cache.write_ops();
  // Keys: LUT search and selection; values: these and their minimum and maximum.
  EXPECT_EQ(ops.compare, 2 * kWidth * 8 + 2 * kWidth * 3 + 2 * kWidth);
  EXPECT_EQ(ops.write_bytes, 2 * kWidth * 3 / 8 + 2 * 6 * 4 + 4);
}

// KIVI: a key token is staged whole, then read again and written coded; each byte counted.
TEST(KvOps, StagedTokensAreWrittenReadAndWrittenAgain) {
  const KvSamples s = kv_samples(kShape, 128, 53);
  KvCache cache = calibrated(kShape, kivi(2), s);
  run(cache, kShape, s, 0, 128);
  EXPECT_EQ(cache.write_ops().read_bytes, 128 * kWidth * 2);
  EXPECT_EQ(cache.write_ops().write_bytes, 2 * 128 * kWidth * 2 + 128 * kWidth * 3 / 8);
}

// ZipCache rewrites everything at each refresh: a read of the cache and a write of it.
TEST(KvOps, RefreshReadsAndWritesTheCache) {
  const KvSamples s = kv_samples(kShape, 100, 54);
  KvCache cache = calibrated(kShape, zipcache(), s);
  run(cache, kShape, s, 0, 99);
  EXPECT_EQ(cache.maintenance_ops().write_bytes, 0u);
  run(cache, kShape, s, 99, 100);
  KvBits held = cache.stored_bits_of(KvTensor::key);
  held += cache.stored_bits_of(KvTensor::value);
  EXPECT_EQ(cache.maintenance_ops().write_bytes, (held.codes + held.metadata) / 8);
  // 100 whole tokens, and the class bits rounded up to bytes.
  EXPECT_EQ(cache.maintenance_ops().read_bytes, 2 * (100 * kWidth * 2 + 13));
}

}  // namespace
}  // namespace systole::quant
