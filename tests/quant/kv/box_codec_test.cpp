#include "quant/kv/box_codec.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "quant/float16.hpp"
#include "quant/kv/systems.hpp"
#include "quant/packing.hpp"
#include "quant/primitives/codebook.hpp"

namespace systole::quant {
namespace {

BoxRule rule_of(KvTensor tensor, const TensorPolicy& policy) {
  return make_plan(tensor, {2, 32, 2}, policy).rule;
}
BoxRule key_rule(const KvPolicies& p) { return rule_of(KvTensor::key, p.key); }

std::vector<int> codes_of(const std::vector<float>& x, const KvParameters& p, const BoxRule& rule,
                          const BoxTables& tables = {}) {
  std::vector<int> codes;
  for (const float v : x) codes.push_back(encode_in_box(v, p, rule, tables));
  return codes;
}
std::vector<float> decoded(const std::vector<int>& codes, const KvParameters& p,
                           const BoxRule& rule, const BoxTables& tables = {}) {
  std::vector<float> x;
  for (const int c : codes)
    x.push_back(decode_in_box(static_cast<std::uint16_t>(c), p, rule, tables));
  return x;
}

// quantization.md §13. The ties at codes 0.5 and 2.5 separate ties-to-even from half-up.
TEST(BoxCodec, EncodesTheKiviGoldenVector) {
  const std::vector<float> x = {-1, -.5f, 0, .25f, .5f, .75f, 1, 2};
  const BoxRule rule = key_rule(kivi(2));
  const KvParameters p = box_parameters(x, rule);
  EXPECT_EQ(p, (KvParameters{1.0f, -1.0f}));
  const std::vector<int> codes = codes_of(x, p, rule);
  EXPECT_EQ(codes, (std::vector<int>{0, 0, 1, 1, 2, 2, 2, 3}));
  EXPECT_EQ(decoded(codes, p, rule), (std::vector<float>{-1, -1, 0, 0, 1, 1, 1, 2}));
  const std::vector<std::int8_t> narrow(codes.begin(), codes.end());
  EXPECT_EQ(pack(narrow, 2), (std::vector<std::uint8_t>{0x50, 0xEA}));  // the word 0xEA50
}

// An encoder in fp32 flips codes near ties: trap 2. The second computation is in fp16 by hand.
TEST(BoxCodec, KiviEncodesInFp16AtEveryStep) {
  const auto h = [](float x) { return Fp16::encode(x).decode(); };
  const BoxRule reference = key_rule(kivi(2));
  BoxRule corrected = reference;
  corrected.contract = Contract::corrected;
  std::size_t differ = 0;
  for (int i = 0; i < 2000; ++i) {
    std::vector<float> x;
    for (int j = 0; j < 8; ++j)
      x.push_back(h(static_cast<float>(std::sin(0.7 * i + 1.3 * j)) * 3.0f));
    const KvParameters p = box_parameters(x, reference);
    const float lo = *std::min_element(x.begin(), x.end());
    const float hi = *std::max_element(x.begin(), x.end());
    ASSERT_EQ(p.zero, lo);
    ASSERT_EQ(p.scale, h(h(hi - lo) / 3.0f));
    for (const float v : x) {
      const float q = std::nearbyint(std::min(3.0f, std::max(0.0f, h(h(v - lo) / p.scale))));
      ASSERT_EQ(encode_in_box(v, p, reference, {}), static_cast<int>(q));
    }
    differ += codes_of(x, p, reference) != codes_of(x, box_parameters(x, corrected), corrected);
  }
  EXPECT_GT(differ, 0u);
}

TEST(BoxCodec, AConstantKiviGroupDecodesToItsMinimum) {
  for (const Contract c : {Contract::reference, Contract::corrected}) {
    BoxRule rule = key_rule(kivi(2));
    rule.contract = c;
    const std::vector<float> x(8, 0.75f);
    const KvParameters p = box_parameters(x, rule);
    EXPECT_EQ(decoded(codes_of(x, p, rule), p, rule), x);
  }
}

// quantization.md §13: scale and zero are fp16 before any code is computed; the zero is not rounded
// to an integer, so x = 0 does not decode to 0.
TEST(BoxCodec, EncodesTheQServeGoldenVectors) {
  const BoxRule rule = key_rule(qserve(4));
  const std::vector<float> a = {-1, 0, .1f, .5f, 1, 2};
  const KvParameters pa = box_parameters(a, rule);
  EXPECT_EQ(Fp16::encode(pa.scale).to_bits(), 0x3266);
  EXPECT_EQ(pa.zero, 5.0f);
  EXPECT_EQ(codes_of(a, pa, rule), (std::vector<int>{0, 5, 6, 8, 10, 15}));

  const std::vector<float> b = {-.7f, 0, .33f, 1.9f};
  const KvParameters pb = box_parameters(b, rule);
  EXPECT_EQ(Fp16::encode(pb.scale).to_bits(), 0x318C);
  EXPECT_EQ(Fp16::encode(pb.zero).to_bits(), 0x440A);
  EXPECT_EQ(pb.zero, 4.0390625f);
  EXPECT_EQ(codes_of(b, pb, rule), (std::vector<int>{0, 4, 6, 15}));
  EXPECT_NEAR(decode_in_box(4, pb, rule, {}), -0.00677f, 5e-6f);
}

// Trap 3: saturated to a byte, then cut to a nibble: what rounds to 16 becomes 0.
TEST(BoxCodec, QServeWrapsAtSixteenUnderTheReferenceContractOnly) {
  BoxRule rule = key_rule(qserve(4));
  const KvParameters p = {1.0f, 0.0f};
  EXPECT_EQ(encode_in_box(15.75f, p, rule, {}), 0);
  EXPECT_EQ(encode_in_box(300.0f, p, rule, {}), 15);  // 255 & 15
  EXPECT_EQ(encode_in_box(-3.0f, p, rule, {}), 0);
  rule.contract = Contract::corrected;
  EXPECT_EQ(encode_in_box(15.75f, p, rule, {}), 15);
}

// Trap 6: b^2 - 1 steps: 2 bits 3, 3 bits 8 (codes still end at 7), 4 bits 15.
TEST(BoxCodec, RotateKvDividesByItsOwnLevelCountUnderTheReferenceContract) {
  const std::vector<float> x = {-4, 4};
  for (const auto& [bits, steps] : {std::pair{2u, 3.0f}, {3u, 8.0f}, {4u, 15.0f}}) {
    BoxRule rule = key_rule(rotatekv(bits));
    rule.range = RangeRule::automatic;
    rule.scale = Format::fp32;
    rule.contract = Contract::reference;
    EXPECT_EQ(box_parameters(x, rule).scale, 8.0f / steps);
    rule.contract = Contract::corrected;
    EXPECT_EQ(box_parameters(x, rule).scale, 8.0f / static_cast<float>((1u << bits) - 1));
  }
  BoxRule rule = key_rule(rotatekv(3));
  rule.contract = Contract::reference;
  rule.scale = Format::fp32;
  const KvParameters p = box_parameters(x, rule);  // s = 1, z = 4
  EXPECT_EQ(codes_of({-4, 0, 3, 4}, p, rule), (std::vector<int>{0, 4, 7, 7}));
}

TEST(BoxCodec, RotateKvClipsTheRangeAtTwoBits) {
  BoxRule rule = key_rule(rotatekv(2));
  rule.scale = Format::fp32;
  const std::vector<float> x = {-1.5f, 0.0f, 1.5f};
  EXPECT_FLOAT_EQ(box_parameters(x, rule).scale, 0.8f);
  EXPECT_EQ(key_rule(rotatekv(3)).range, RangeRule::automatic);
}

// Trap 8: the ternary value comes back without its scale, which is stored together with a minimum
// that nothing reads.
TEST(BoxCodec, VidKvTernaryLosesItsScaleUnderTheReferenceContract) {
  const BoxRule reference = rule_of(KvTensor::value, vidkv(Contract::reference).value);
  const BoxRule corrected = rule_of(KvTensor::value, vidkv(Contract::corrected).value);
  EXPECT_EQ(reference.format, Format::ternary);
  EXPECT_EQ(reference.zero_bits, 16u);
  EXPECT_EQ(corrected.format, Format::ternary_b3);
  EXPECT_EQ(corrected.zero_bits, 0u);
  const std::vector<float> x = {-3, -.5f, 0, .5f, 6};  // meanabs 2, threshold 1
  const KvParameters p = box_parameters(x, reference);
  EXPECT_EQ(p.scale, 2.0f);
  const std::vector<int> codes = codes_of(x, p, reference);
  EXPECT_EQ(codes, (std::vector<int>{0, 1, 1, 1, 2}));
  EXPECT_EQ(decoded(codes, p, reference), (std::vector<float>{-1, 0, 0, 0, 1}));
  EXPECT_EQ(decoded(codes, p, corrected), (std::vector<float>{-2, 0, 0, 0, 2}));
}

// Trap 1: exactly between two entries the lower index wins; Q-Norm decodes with its own table.
TEST(BoxCodec, KvQuantTakesTheLowestIndexInATieAndDecodesWithTheSecondTable) {
  BoxRule rule = rule_of(KvTensor::value, kvquant(2, false, true).value);
  const std::vector<float> encode = {-1, -.5f, .5f, 1};
  const std::vector<float> decode = {-1.25f, -.75f, .25f, .75f};
  const BoxTables tables = {encode, decode};
  const KvParameters p = {2.0f, 1.0f};  // x = 2 L + 1
  EXPECT_EQ(codes_of({-1, -.5f, 1, 2.5f, 3}, p, rule, tables), (std::vector<int>{0, 0, 1, 2, 3}));
  EXPECT_EQ(decoded({0, 1, 2, 3}, p, rule, tables), (std::vector<float>{-1.5f, -.5f, 1.5f, 2.5f}));
}

// Trap 17: parameters are bf16, so s * 257 is rounded to 8 significant bits.
TEST(BoxCodec, PmKvqShrinkRoundsItsScaleToBf16) {
  const KvParameters p = {1.0078125f, -3.0f};  // 1 + 2^-7, the last place of bf16
  const KvParameters q = shrink_parameters(p, 8, Format::bf16);
  EXPECT_EQ(q.zero, -3.0f);
  EXPECT_EQ(q.scale, 260.0f);  // 259.0078 lies between 258 and 260
  EXPECT_EQ(shrink_parameters(p, 2, Format::bf16).scale,
            5.03125f);  // 5.039 between 5.03125 and 5.0625
  // quantization.md §13, the codes themselves.
  const std::vector<std::pair<unsigned, unsigned>> eight_to_four = {
      {0, 0},   {8, 0},   {9, 1},    {25, 1},   {26, 2},
      {127, 7}, {128, 8}, {246, 14}, {247, 15}, {255, 15}};
  for (const auto& [from, to] : eight_to_four) EXPECT_EQ(shrink_code(from, 4), to);
}

// Every code of every affine form decodes within half a step of what was encoded, where the
// parameters are exact and nothing is clipped.
RC_GTEST_PROP(BoxCodec, ErrorIsAtMostHalfAStep, ()) {
  const unsigned bits = *rc::gen::inRange(2u, 9u);
  const auto affine = *rc::gen::element(Affine::symmetric, Affine::float_min, Affine::integer_zero,
                                        Affine::float_zero);
  BoxRule rule;
  rule.format = static_cast<Format>(static_cast<unsigned>(Format::int2) + bits - 2);
  rule.bits = bits;
  rule.affine = affine;
  rule.scale = Format::fp32;
  const std::vector<int> raw =
      *rc::gen::container<std::vector<int>>(16, rc::gen::inRange(-1000, 1001));
  std::vector<float> x = {-1.0f, 1.0f};  // both signs: an integer zero lies within the codes
  for (const int v : raw) x.push_back(static_cast<float>(v) / 100.0f);
  const KvParameters p = box_parameters(x, rule);
  for (const float v : x) {
    const float y = decode_in_box(encode_in_box(v, p, rule, {}), p, rule, {});
    const float bound = affine == Affine::integer_zero ? 1.01f : 0.51f;
    RC_ASSERT(std::fabs(y - v) <= bound * p.scale + 1e-5f);
  }
}

}  // namespace
}  // namespace systole::quant
