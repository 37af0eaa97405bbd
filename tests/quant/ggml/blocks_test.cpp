// Block layouts and scale bytes against second computations written from their descriptions.
#include "quant/ggml/blocks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "quant/ggml/rows.hpp"
#include "quant/ggml/search.hpp"
#include "tests/quant/ggml/inputs.hpp"

namespace systole::quant {
namespace {

using ggml_test::Stream;

template <class Block>
Block random_block(Stream& s) {
  std::array<std::uint8_t, sizeof(Block)> bytes;
  for (std::uint8_t& b : bytes) b = static_cast<std::uint8_t>(s.next());
  Block block;
  std::memcpy(&block, bytes.data(), bytes.size());
  return block;
}

TEST(GgmlLayout, Q4_KIsReadAsTheDossierDescribesIt) {  // quantization.md D4
  Stream s(11);
  for (int round = 0; round < 200; ++round) {
    BlockQ4_K b = random_block<BlockQ4_K>(s);
    b.d = Fp16::encode(0.25f);  // powers of two: every product below is exact
    b.dmin = Fp16::encode(0.5f);
    std::array<float, 256> x;
    decode(b, x);
    for (std::size_t e = 0; e < 256; ++e) {
      const std::size_t j = e / 32;
      const auto& p = b.scales;
      const int scale = j < 4 ? p[j] & 63 : (p[j + 4] & 15) | ((p[j - 4] >> 6) << 4);
      const int min = j < 4 ? p[j + 4] & 63 : (p[j + 4] >> 4) | ((p[j] >> 6) << 4);
      const std::uint8_t byte = b.quants[32 * (e / 64) + e % 32];
      const int q = e % 64 < 32 ? byte & 15 : byte >> 4;
      ASSERT_EQ(x[e], 0.25 * scale * q - 0.5 * min) << "element " << e;
    }
  }
}

TEST(GgmlLayout, Q5_KHasTheFifthBitOfSubBlockJInBitJ) {
  Stream s(12);
  BlockQ5_K b = random_block<BlockQ5_K>(s);
  b.d = Fp16::encode(1.0f);
  b.dmin = Fp16::encode(0.0f);
  b.scales.fill(1);  // scales 0-3: 1; 4-7: low nibble 1
  std::array<float, 256> x;
  decode(b, x);
  for (std::size_t e = 0; e < 256; ++e) {
    const std::uint8_t byte = b.quants[32 * (e / 64) + e % 32];
    const int low = e % 64 < 32 ? byte & 15 : byte >> 4;
    const int high = (b.high[e % 32] >> (e / 32)) & 1;
    ASSERT_EQ(x[e], low + 16 * high) << "element " << e;
  }
}

TEST(GgmlLayout, Q6_KIsReadAsTheDossierDescribesIt) {
  Stream s(13);
  for (int round = 0; round < 200; ++round) {
    BlockQ6_K b = random_block<BlockQ6_K>(s);
    b.d = Fp16::encode(0.125f);
    std::array<float, 256> x;
    decode(b, x);
    for (std::size_t half = 0; half < 2; ++half) {
      const std::uint8_t* ql = b.low.data() + 64 * half;
      const std::uint8_t* qh = b.high.data() + 32 * half;
      const std::int8_t* scale = b.scales.data() + 8 * half;
      for (std::size_t l = 0; l < 32; ++l) {
        const std::size_t g = l / 16;
        const int q[4] = {
            (ql[l] & 15) + 16 * (qh[l] & 3), (ql[l + 32] & 15) + 16 * ((qh[l] >> 2) & 3),
            (ql[l] >> 4) + 16 * ((qh[l] >> 4) & 3), (ql[l + 32] >> 4) + 16 * ((qh[l] >> 6) & 3)};
        for (std::size_t part = 0; part < 4; ++part) {
          ASSERT_EQ(x[128 * half + 32 * part + l], 0.125 * scale[g + 2 * part] * (q[part] - 32));
        }
      }
    }
  }
}

TEST(GgmlLayout, ThePairsOfQ2_KAndQ3_KAreBitsOfTheSameByte32Apart) {
  BlockQ2_K two{};
  two.d = Fp16::encode(1.0f);
  two.scales.fill(0x01);
  two.quants[5] = 0b11'10'01'00;   // elements 5, 37, 69, 101
  two.quants[40] = 0b00'00'00'10;  // element 136
  std::array<float, 256> x;
  decode(two, x);
  EXPECT_EQ(std::vector<float>({x[5], x[37], x[69], x[101], x[136]}),
            std::vector<float>({0, 1, 2, 3, 2}));
  BlockQ3_K three{};
  three.d = Fp16::encode(1.0f);
  three.quants = two.quants;
  three.high[5] = 0b0000'0101;  // the high bit of elements 5 and 69 (5 + 32 * 2)
  // Scale 0 stored as 33 (1): low nibble 1, upper bits 2; all others 0, that is -32.
  three.scales[0] = 0x01;
  three.scales[8] = 0x02;
  decode(three, x);
  EXPECT_EQ(x[5], 1.0f * (0 + 4 - 4));  // sub-block 0
  EXPECT_EQ(x[37], -32.0f * (1 - 4));   // sub-block 2, no high bit
  EXPECT_EQ(x[69], -32.0f * (2 + 4 - 4));
  EXPECT_EQ(x[101], -32.0f * (3 - 4));
}

TEST(GgmlLayout, TernaryBytesHoldFiveTritsTheFirstOnTop) {
  BlockTQ1_0 b{};
  b.d = Fp16::encode(2.0f);
  // 2 1 0 2 1 in base 3 is 81*2 + 27 + 6 + 1 = 196; ceil(196 * 256 / 243) = 207.
  b.trits[3] = 207;
  std::array<float, 256> x;
  decode(b, x);
  EXPECT_EQ(std::vector<float>({x[3], x[35], x[67], x[99], x[131]}),
            std::vector<float>({2, 0, -2, 2, 0}));
  EXPECT_EQ(x[160], -2.0f);  // an empty byte: all trits 0
}

TEST(GgmlLayout, EveryTernaryVectorComesBackExactly) {
  Stream s(14);
  std::array<float, 256> x, back;
  for (int round = 0; round < 300; ++round) {
    for (float& v : x) v = static_cast<float>(s.below(3) - 1) * 0.375f;
    x[static_cast<std::size_t>(s.below(256))] = 0.375f;
    decode(encode_tq1_0(x), back);
    ASSERT_EQ(x, back);
    decode(encode_tq2_0(x), back);
    ASSERT_EQ(x, back);
  }
}

TEST(GgmlLayout, FifthBitsOfQ5_0AreInElementOrder) {
  BlockQ5_0 b{};
  b.d = Fp16::encode(1.0f);
  b.high = {0x02, 0x00, 0x01, 0x80};  // elements 1, 16, 31
  b.quants[15] = 0xF0;                // element 31: 15
  std::array<float, 32> x;
  decode(b, x);
  EXPECT_EQ(x[0], -16.0f);
  EXPECT_EQ(x[1], 0.0f);
  EXPECT_EQ(x[16], 0.0f);
  EXPECT_EQ(x[31], 15.0f);
}

TEST(GgmlLayout, Q8_1StoresTheSumOfItsCodesTimesTheUnroundedScale) {
  std::array<float, 32> x{};
  x[0] = 127.0f * 0.1f;
  x[1] = 1.0f;
  const BlockQ8_1 b = encode_q8_1(x);
  const float d = (127.0f * 0.1f) / 127.0f;
  EXPECT_EQ(b.sum, Fp16::encode(137.0f * d));  // codes 127 and 10
  EXPECT_EQ(b.d, Fp16::encode(d));
}

TEST(GgmlScales, E8m0HalfIsHalfThePowerAtEveryCode) {
  for (int e = 0; e < 256; ++e) {
    EXPECT_EQ(decode_e8m0_half(static_cast<std::uint8_t>(e)), std::ldexp(1.0f, e - 128));
  }
}

TEST(GgmlScales, Ue4m3IsHalvedAtEveryCodeAndItsNanCountsAsZero) {
  for (int code = 0; code < 128; ++code) {
    const int exponent = code >> 3, fraction = code & 7;
    const float value = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                                      : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
    const float expected = code == 0x7F ? 0.0f : value / 2;
    EXPECT_EQ(decode_ue4m3_half(static_cast<std::uint8_t>(code)), expected) << code;
    EXPECT_EQ(decode_ue4m3_half(static_cast<std::uint8_t>(code | 0x80)),
              code == 0x7F ? 240.0f : expected)
        << "bit 7 is ignored, but for the code 0x7F itself";
    if (code < 0x78) {  // exponent 15 is never written but as 448
      EXPECT_EQ(encode_ue4m3(value), code);
    }
  }
}

TEST(GgmlScales, Ue4m3RoundsHalfUpAndJumpsTo448) {
  EXPECT_EQ(encode_ue4m3(1.0625f), 0x39);  // half way from 1 to 1.125: up; even would be 0x38
  EXPECT_EQ(encode_ue4m3(1.1875f), 0x3A);  // half way, both rules
  EXPECT_EQ(encode_ue4m3(247.9f), 0x77);   // 240
  EXPECT_EQ(encode_ue4m3(248.0f), 0x7E);   // would be 256, which it does not use
  EXPECT_EQ(encode_ue4m3(1e9f), 0x7E);
  EXPECT_EQ(encode_ue4m3(0x1p-10f), 0x01);  // half of the least: up
  EXPECT_EQ(encode_ue4m3(0x1.fp-11f), 0x00);
  EXPECT_EQ(encode_ue4m3(0x1.fp-7f), 0x07);  // would round to the least normal, which it does not
  EXPECT_EQ(encode_ue4m3(-1.0f), 0x00);
  EXPECT_EQ(encode_ue4m3(std::numeric_limits<float>::quiet_NaN()), 0x00);
}

std::uint8_t mxfp4_exponent(float largest) {
  std::array<float, 32> x{};
  x[7] = -largest;
  return encode_mxfp4(x).e;
}

TEST(GgmlScales, Mxfp4TakesTheFloorOfARoundedLogarithm) {
  EXPECT_EQ(mxfp4_exponent(1.0f), 125);
  EXPECT_EQ(mxfp4_exponent(std::nextafter(1.0f, 0.0f)), 124);
  EXPECT_EQ(mxfp4_exponent(std::nextafter(4.0f, 0.0f)), 126);  // log2 rounds to below 2
  // log2 of the float below 8 is 3 - 8.6e-8 and rounds to 3; OCP's floor would give 2.
  EXPECT_EQ(mxfp4_exponent(std::nextafter(8.0f, 0.0f)), 128);
  EXPECT_EQ(mxfp4_exponent(std::nextafter(0x1p-2f, 0.0f)), 123);
  EXPECT_EQ(mxfp4_exponent(0x1p-149f), 0);
}

TEST(GgmlScales, AValueBetweenTwoFp4LevelsGoesTowardsZero) {
  std::array<float, 32> x{};
  x[0] = 6.0f;  // scale 1
  x[1] = 2.5f;
  x[2] = -2.5f;
  x[3] = 5.0f;
  x[4] = -0.25f;
  std::array<float, 32> back;
  decode(encode_mxfp4(x), back);
  EXPECT_EQ(std::vector<float>(back.begin(), back.begin() + 5),
            std::vector<float>({6.0f, 2.0f, -2.0f, 4.0f, 0.0f}));
  EXPECT_FALSE(std::signbit(back[4]));
}

TEST(GgmlSearch, NearestLevelIsTheBruteForceOneAndTheUpperInTheMiddle) {
  for (int i = -1300; i <= 1300; ++i) {
    const float x = static_cast<float>(i) * 0.1f;
    std::size_t best = 0;
    for (std::size_t l = 1; l < 16; ++l) {
      if (std::fabs(x - static_cast<float>(kIq4Levels[l])) <=
          std::fabs(x - static_cast<float>(kIq4Levels[best])))
        best = l;
    }
    EXPECT_EQ(ggml::nearest_level(x), best) << x;
  }
  EXPECT_EQ(ggml::nearest_level(7.0f), 9);  // between 1 and 13
}

TEST(GgmlSearch, NearestIntRoundsToEvenAndIsDefinedForAnything) {
  EXPECT_EQ(ggml::nearest_int(2.5f), 2);
  EXPECT_EQ(ggml::nearest_int(3.5f), 4);
  EXPECT_EQ(ggml::nearest_int(-2.5f), -2);
  EXPECT_EQ(ggml::nearest_int(-4194303.0f), -4194303);
  EXPECT_EQ(ggml::nearest_int(std::numeric_limits<float>::infinity()), -4194304);
  ggml::nearest_int(std::numeric_limits<float>::quiet_NaN());
}

class GgmlEveryType : public testing::TestWithParam<GgmlTypeInfo> {};

TEST_P(GgmlEveryType, ErrorsStayWithinAStepOfTheFormat) {
  const GgmlTypeInfo& info = GetParam();
  std::vector<float> x(200 * info.elements);
  Stream s(15);
  for (float& v : x) v = ggml_test::bell(s);
  const std::vector<float> back = decode_rows(info.type, encode_rows(info.type, x));
  double error = 0, power = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    error += (x[i] - back[i]) * (x[i] - back[i]);
    power += x[i] * x[i];
  }
  // 6.02 dB a stored bit is the rate of a uniform quantiser; two bits less bounds all the block
  // types. Floats: the relative error of p significant bits is at most 2^-p.
  const double bits = info.type == GgmlType::f32    ? 24
                      : info.type == GgmlType::f16  ? 11
                      : info.type == GgmlType::bf16 ? 8
                                                    : 8.0 * static_cast<double>(info.bytes) /
                                                          static_cast<double>(info.elements);
  const double decibels = 10 * std::log10(power / std::max(error, 1e-300));
  EXPECT_GT(decibels, 6.02 * (bits - 2));
}

TEST_P(GgmlEveryType, ZerosDecodeToZeros) {
  const std::vector<float> zeros(2 * GetParam().elements);
  EXPECT_THAT(decode_rows(GetParam().type, encode_rows(GetParam().type, zeros)),
              testing::Each(0.0f));
}

TEST_P(GgmlEveryType, NothingTrapsOnNonFiniteOrSubnormalValues) {
  Stream s(16);
  const float hard[] = {
      std::numeric_limits<float>::quiet_NaN(),  std::numeric_limits<float>::infinity(),
      -std::numeric_limits<float>::infinity(),  std::numeric_limits<float>::max(),
      std::numeric_limits<float>::denorm_min(), -0.0f};
  for (int round = 0; round < 50; ++round) {
    std::vector<float> x(GetParam().elements);
    for (float& v : x) v = s.one_in(3) ? hard[s.below(6)] : ggml_test::bell(s);
    if (round % 5 == 0) std::fill(x.begin(), x.end(), hard[round / 5 % 6]);
    decode_rows(GetParam().type, encode_rows(GetParam().type, x));
  }
}

TEST_P(GgmlEveryType, AnyBytesDecode) {
  Stream s(17);
  std::vector<std::uint8_t> bytes(50 * GetParam().bytes);
  for (std::uint8_t& b : bytes) b = static_cast<std::uint8_t>(s.next());
  EXPECT_EQ(decode_rows(GetParam().type, bytes).size(), 50 * GetParam().elements);
}

TEST_P(GgmlEveryType, PartsOfBlocksAreRefused) {
  const GgmlTypeInfo& info = GetParam();
  if (info.elements > 1) {
    EXPECT_THROW(encode_rows(info.type, std::vector<float>(info.elements + 1)),
                 std::invalid_argument);
  }
  EXPECT_THROW(decode_rows(info.type, std::vector<std::uint8_t>(info.bytes + 1)),
               std::invalid_argument);
  std::vector<float> out(info.elements + 1);
  EXPECT_THROW(decode_rows(info.type, std::vector<std::uint8_t>(info.bytes), out),
               std::invalid_argument);
  EXPECT_TRUE(encode_rows(info.type, {}).empty());
  EXPECT_TRUE(decode_rows(info.type, std::span<const std::uint8_t>()).empty());
}

INSTANTIATE_TEST_SUITE_P(Types, GgmlEveryType,
                         testing::ValuesIn(ggml_types().begin(), ggml_types().end()),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace systole::quant
