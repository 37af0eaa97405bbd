// The integer quantisers: tables worked out by hand, properties of the header, storage to the byte.
#include "quant/quantise.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>

#include "quant/float16.hpp"

namespace systole::quant {
namespace {

QuantSpec spec(Format format, Granularity granularity, Affine affine = Affine::symmetric,
               std::uint32_t group = 0, Format scale = Format::fp32) {
  QuantSpec s;
  s.format = format;
  s.granularity = granularity;
  s.group = group;
  s.affine = affine;
  s.scale = scale;
  return s;
}

std::vector<int> codes(const QuantizedMatrix& m) {
  std::vector<int> out;
  for (std::size_t r = 0; r < m.rows; ++r) {
    for (std::size_t c = 0; c < m.cols; ++c) out.push_back(m.code(r, c));
  }
  return out;
}

using testing::ElementsAre;

TEST(Quantise, SymmetricRoundsTiesToEvenAndUsesTheWholeRange) {
  const std::vector<float> x{127, -127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 0.49f};  // s = 1
  const auto q = quantise(x, 1, 8, spec(Format::int8, Granularity::token));
  EXPECT_THAT(q.scales, ElementsAre(1.0f));
  EXPECT_THAT(codes(q), ElementsAre(127, -127, 0, 2, 2, 0, -2, 0));
}

TEST(Quantise, SymmetricSaturatesWhenTheStoredScaleRoundedDown) {
  // absmax/7 = 1.0001 rounds to 1 in bf16; 7.0007 / 1 rounds to 7 still. With 7.9/7 = 1.1286 ->
  // bf16 1.125: 7.9/1.125 = 7.02.
  const std::vector<float> x{7.9f, -7.9f, 1.0f};
  const auto q =
      quantise(x, 1, 3, spec(Format::int4, Granularity::token, Affine::symmetric, 0, Format::bf16));
  EXPECT_THAT(q.scales, ElementsAre(1.125f));
  EXPECT_THAT(codes(q), ElementsAre(7, -7, 1));
  // int8 in fp16: 1000/127 = 7.8740 -> 7.875; codes follow the stored scale, not the exact one.
  const std::vector<float> y{1000.0f, 499.95f};
  const auto p =
      quantise(y, 1, 2, spec(Format::int8, Granularity::token, Affine::symmetric, 0, Format::fp16));
  EXPECT_THAT(p.scales, ElementsAre(7.875f));
  EXPECT_THAT(codes(p), ElementsAre(127, 63));  // 63.486 (63.494 with the exact scale)
}

TEST(Quantise, Int2SymmetricHasThreeLevels) {
  const std::vector<float> x{-1.0f, -0.5f, -0.51f, 0.5f, 0.51f, 1.0f};
  EXPECT_THAT(codes(quantise(x, 1, 6, spec(Format::int2, Granularity::token))),
              ElementsAre(-1, 0, -1, 0, 1, 1));
}

TEST(Quantise, FloatMinMapsTheMinimumToZeroAndTheMaximumToTheTop) {
  const std::vector<float> x{-1,   -0.5f, 0, 0.25f,
                             0.5f, 0.75f, 1, 2};  // KIVI's example: s = 1, m = -1
  const auto q = quantise(x, 1, 8, spec(Format::int2, Granularity::token, Affine::float_min));
  EXPECT_THAT(q.scales, ElementsAre(1.0f));
  EXPECT_THAT(q.zeros, ElementsAre(-1.0f));
  EXPECT_THAT(codes(q),
              ElementsAre(0, 0, 1, 1, 2, 2, 2, 3));  // 0.5 -> 0 and 1.5 -> 2: ties to even
  EXPECT_THAT(dequantise(q), ElementsAre(-1, -1, 0, 0, 1, 1, 1, 2));
}

TEST(Quantise, IntegerZeroRoundsAndClampsItsZeroPoint) {
  const std::vector<float> x{-1.0f, 0.0f, 2.0f, 0.5f};  // s = 1 at 2 bits, z = 1
  const auto q = quantise(x, 1, 4, spec(Format::int2, Granularity::token, Affine::integer_zero));
  EXPECT_THAT(q.zeros, ElementsAre(1.0f));
  EXPECT_THAT(codes(q), ElementsAre(0, 1, 3, 1));
  EXPECT_THAT(dequantise(q), ElementsAre(-1.0f, 0.0f, 2.0f, 0.0f));
  const std::vector<float> positive{4.0f, 7.0f};  // -min/s = -4 clamps to 0, so 7 saturates at 3
  const auto p =
      quantise(positive, 1, 2, spec(Format::int2, Granularity::token, Affine::integer_zero));
  EXPECT_THAT(p.zeros, ElementsAre(0.0f));
  EXPECT_THAT(codes(p), ElementsAre(3, 3));
}

TEST(Quantise, FloatZeroKeepsItsZeroPointUnrounded) {
  const std::vector<float> x{-0.5f, 0.0f, 2.5f};  // s = 1, z = 0.5
  const auto q = quantise(x, 1, 3, spec(Format::int2, Granularity::token, Affine::float_zero));
  EXPECT_THAT(q.zeros, ElementsAre(0.5f));
  EXPECT_THAT(codes(q), ElementsAre(0, 0, 3));
  EXPECT_THAT(dequantise(q), ElementsAre(-0.5f, -0.5f, 2.5f));  // zero is not exact in this form
}

TEST(Quantise, EightBitAffineCodesReachTwoHundredAndFiftyFive) {
  const std::vector<float> x{0.0f, 255.0f, 200.0f};
  const auto q = quantise(x, 1, 3, spec(Format::int8, Granularity::token, Affine::integer_zero));
  EXPECT_THAT(codes(q), ElementsAre(0, 255, 200));
}

TEST(Quantise, AConstantRowDecodesToItselfOnlyWithAFloatMinimum) {
  const std::vector<float> x{3.0f, 3.0f};
  EXPECT_THAT(
      dequantise(quantise(x, 1, 2, spec(Format::int4, Granularity::token, Affine::float_min))),
      ElementsAre(3.0f, 3.0f));
  EXPECT_THAT(
      dequantise(quantise(x, 1, 2, spec(Format::int4, Granularity::token, Affine::integer_zero))),
      ElementsAre(0.0f, 0.0f));
  EXPECT_THAT(
      dequantise(quantise(x, 1, 2, spec(Format::int4, Granularity::token, Affine::float_zero))),
      ElementsAre(0.0f, 0.0f));
  EXPECT_THAT(dequantise(quantise(std::vector<float>{0, -0.0f}, 1, 2,
                                  spec(Format::int4, Granularity::token))),
              ElementsAre(0.0f, 0.0f));
}

TEST(Quantise, GranularityDecidesWhatSharesAScale) {
  const std::vector<float> x{7, 1, 14, 1, 21, 1, 28, 1};  // [2, 4]
  EXPECT_THAT(quantise(x, 2, 4, spec(Format::int4, Granularity::tensor)).scales, ElementsAre(4, 4));
  EXPECT_THAT(quantise(x, 2, 4, spec(Format::int4, Granularity::channel)).scales,
              ElementsAre(2, 4));
  EXPECT_THAT(quantise(x, 2, 4, spec(Format::int4, Granularity::token)).scales, ElementsAre(2, 4));
  EXPECT_THAT(
      quantise(x, 2, 4, spec(Format::int4, Granularity::group, Affine::symmetric, 2)).scales,
      ElementsAre(1, 2, 3, 4));
  const auto fallback =
      quantise(x, 2, 4, spec(Format::int4, Granularity::group, Affine::symmetric, 3));
  EXPECT_THAT(fallback.scales, ElementsAre(2, 4));  // 4 is no multiple of 3: one group a row
  EXPECT_EQ(fallback.group, 4u);
  EXPECT_EQ(fallback.groups, 1u);
}

TEST(Quantise, ScalesBeyondTheirFormatSaturateAndTinyOnesBecomeZero) {
  const std::vector<float> huge{3e38f, -3e38f};
  const auto q = quantise(
      huge, 1, 2, spec(Format::int4, Granularity::token, Affine::symmetric, 0, Format::fp16));
  EXPECT_THAT(q.scales, ElementsAre(65504.0f));
  EXPECT_THAT(codes(q), ElementsAre(7, -7));
  const auto wide = quantise(huge, 1, 2, spec(Format::int4, Granularity::token, Affine::float_min));
  EXPECT_TRUE(std::isfinite(wide.scales[0]));  // max - min overflows fp32
  const auto tiny =
      quantise(std::vector<float>{1e-9f, -1e-9f}, 1, 2,
               spec(Format::int4, Granularity::token, Affine::symmetric, 0, Format::fp16));
  EXPECT_THAT(tiny.scales, ElementsAre(0.0f));
  EXPECT_THAT(codes(tiny), ElementsAre(0, 0));
}

TEST(Quantise, RefusesWhatItCannotQuantise) {
  const std::vector<float> x{1, 2, std::numeric_limits<float>::quiet_NaN(), 4};
  EXPECT_THAT([&] { quantise(x, 2, 2, spec(Format::int8, Granularity::token)); },
              testing::ThrowsMessage<std::domain_error>(testing::HasSubstr("row 1, column 0")));
  const std::vector<float> ok{1, 2, 3, 4};
  EXPECT_THROW(quantise(ok, 2, 3, spec(Format::int8, Granularity::token)), std::invalid_argument);
  EXPECT_THROW(quantise(ok, 2, 2, spec(Format::fp16, Granularity::token)), std::invalid_argument);
  EXPECT_THROW(quantise(ok, 2, 2, spec(Format::int8, Granularity::group)), std::invalid_argument);
  EXPECT_THROW(quantise(ok, 2, 2,
                        spec(Format::int8, Granularity::token, Affine::symmetric, 0, Format::int8)),
               std::invalid_argument);
}

TEST(Quantise, AcceptsEmptyMatrices) {
  EXPECT_TRUE(quantise({}, 0, 5, spec(Format::int8, Granularity::tensor)).codes.empty());
  EXPECT_TRUE(quantise({}, 5, 0, spec(Format::int8, Granularity::token)).codes.empty());
  EXPECT_TRUE(dequantise(quantise({}, 5, 0, spec(Format::int8, Granularity::token))).empty());
}

TEST(Quantise, SymmetricErrorIsAtMostHalfAStepForAnyData) {
  EXPECT_TRUE(rc::check("|x - decode| <= s/2 and codes stay in range", [] {
    const auto format = static_cast<Format>(*rc::gen::inRange(3, 10));
    const auto cols = *rc::gen::inRange<std::size_t>(1, 70);
    const auto raw =
        *rc::gen::container<std::vector<int>>(cols, rc::gen::inRange(-1'000'000, 1'000'000));
    std::vector<float> x;
    for (const int v : raw) x.push_back(static_cast<float>(v) * 1e-3f);
    const auto q = quantise(x, 1, cols, spec(format, Granularity::token));
    const auto back = dequantise(q);
    const int top = symmetric_max(format);
    for (std::size_t i = 0; i < cols; ++i) {
      RC_ASSERT(q.code(0, i) >= -top && q.code(0, i) <= top);
      RC_ASSERT(std::fabs(back[i] - x[i]) <= q.scales[0] * 0.5f * 1.0001f);
    }
  }));
}

TEST(Quantise, AffineErrorIsAtMostAStepWhenTheRangeHoldsZero) {
  EXPECT_TRUE(rc::check("|x - decode| <= s", [] {
    const auto format = static_cast<Format>(*rc::gen::inRange(3, 10));
    const auto affine =
        *rc::gen::element(Affine::float_min, Affine::integer_zero, Affine::float_zero);
    const auto cols = *rc::gen::inRange<std::size_t>(2, 70);
    const auto raw = *rc::gen::container<std::vector<int>>(cols, rc::gen::inRange(-1000, 1000));
    std::vector<float> x;
    for (const int v : raw) x.push_back(static_cast<float>(v));
    x[0] = -1.0f;
    x[1] = 2.0f;
    const auto q = quantise(x, 1, cols, spec(format, Granularity::token, affine));
    const auto back = dequantise(q);
    for (std::size_t i = 0; i < cols; ++i) {
      RC_ASSERT(q.code(0, i) >= 0 && q.code(0, i) <= asymmetric_max(format));
      RC_ASSERT(std::fabs(back[i] - x[i]) <= q.scales[0] * 1.001f);
    }
  }));
}

TEST(Quantise, FakeQuantiseIsQuantiseThenDequantise) {
  const std::vector<float> x{0.1f, 0.2f, 0.3f, -0.4f};
  const auto s = spec(Format::int4, Granularity::token);
  EXPECT_EQ(fake_quantise(x, 2, 2, s), dequantise(quantise(x, 2, 2, s)));
  EXPECT_EQ(fake_quantise(x, 2, 2, spec(Format::fp16, Granularity::tensor))[0],
            Fp16::encode(0.1f).decode());
  EXPECT_EQ(fake_quantise(x, 2, 2, spec(Format::fp32, Granularity::tensor)), x);
}

// Storage, worked out by hand.
TEST(StoredBits, CountsCodesScalesZerosAndRowPadding) {
  EXPECT_EQ(stored_bits(3, 5, spec(Format::fp16, Granularity::tensor)), 3 * 5 * 16u);
  EXPECT_EQ(stored_bits(4096, 4096, spec(Format::int8, Granularity::tensor)),
            4096ull * 4096 * 8 + 32);
  // 5 codes of 3 bits = 15 bits -> 2 bytes a row; one fp16 scale a row.
  EXPECT_EQ(stored_bits(
                7, 5, spec(Format::int3, Granularity::channel, Affine::symmetric, 0, Format::fp16)),
            7 * (16 + 16u));
  // W4 g128 with fp16 scales: 4.125 bits a weight.
  EXPECT_EQ(
      stored_bits(4096, 4096,
                  spec(Format::int4, Granularity::group, Affine::symmetric, 128, Format::fp16)),
      4096ull * 4096 * 4125 / 1000);
  // KIVI 2-bit g32, fp16 scale and minimum: 3 bits a weight.
  EXPECT_EQ(
      stored_bits(64, 4096,
                  spec(Format::int2, Granularity::group, Affine::float_min, 32, Format::fp16)),
      64ull * 4096 * 3);
  // Integer zeros are as wide as a code: 3 groups of 4-bit zeros = 12 bits -> 2 bytes a row.
  EXPECT_EQ(
      stored_bits(2, 96,
                  spec(Format::int4, Granularity::group, Affine::integer_zero, 32, Format::fp16)),
      2 * (96 * 4 + 3 * 16 + 16u));
  // No multiple of the group: one scale a row.
  EXPECT_EQ(stored_bits(2, 97, spec(Format::int8, Granularity::group, Affine::symmetric, 32)),
            2 * (97 * 8 + 32u));
  EXPECT_EQ(stored_bits(0, 97, spec(Format::int8, Granularity::token)), 0u);
}

TEST(StoredBits, RefusesSizesBeyondSixtyFourBits) {
  EXPECT_THROW(stored_bits(1ull << 40, 1ull << 30, spec(Format::fp32, Granularity::tensor)),
               std::overflow_error);
  EXPECT_THROW(stored_bits(1ull << 40, 1ull << 30, spec(Format::int8, Granularity::token)),
               std::overflow_error);
}

}  // namespace
}  // namespace systole::quant
