// Integers of 1 to 16 bits: the same numbers as quantise(), every range rule, rounding, zero width
// and scale format.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>

#include "quant/coded_matrix.hpp"
#include "quant/float16.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/formats/range.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

using testing::ElementsAre;

QuantSpec token(Format format, Affine affine = Affine::symmetric) {
  QuantSpec s;
  s.format = format;
  s.granularity = Granularity::token;
  s.affine = affine;
  return s;
}

std::vector<float> random_values(std::size_t count) {
  const auto raw =
      *rc::gen::container<std::vector<int>>(count, rc::gen::inRange(-1'000'000, 1'000'000));
  const auto shift = *rc::gen::inRange(-30, 10);
  std::vector<float> x;
  for (const int v : raw) x.push_back(std::ldexp(static_cast<float>(v), shift));
  return x;
}

TEST(IntegerCodec, GivesTheBitsOfQuantiseForInt2ToInt8) {
  EXPECT_TRUE(rc::check("encode and decode are quantise and dequantise", [] {
    QuantSpec s;
    s.format = static_cast<Format>(
        *rc::gen::inRange(static_cast<int>(Format::int2), static_cast<int>(Format::int8) + 1));
    s.affine = *rc::gen::element(Affine::symmetric, Affine::float_min, Affine::integer_zero,
                                 Affine::float_zero);
    s.granularity = *rc::gen::element(Granularity::tensor, Granularity::channel, Granularity::token,
                                      Granularity::group);
    s.group = *rc::gen::inRange<std::uint32_t>(1, 9);
    s.scale = *rc::gen::element(Format::fp32, Format::fp16, Format::bf16);
    const auto rows = *rc::gen::inRange<std::size_t>(1, 5);
    const auto cols = *rc::gen::inRange<std::size_t>(1, 25);
    const auto x = random_values(rows * cols);
    const QuantizedMatrix q = quantise(x, rows, cols, s);
    const CodedMatrix m = encode(x, rows, cols, s);
    RC_ASSERT(m.scales == q.scales);
    RC_ASSERT(m.zeros == q.zeros);
    RC_ASSERT(m.group == q.group);
    const std::uint16_t mask = static_cast<std::uint16_t>((1u << bits_of(s.format)) - 1);
    for (std::size_t i = 0; i < x.size(); ++i)
      RC_ASSERT(m.codes[i] == (static_cast<std::uint16_t>(q.codes[i]) & mask));
    RC_ASSERT(decode(m) == dequantise(q));
  }));
}

TEST(IntegerCodec, KeepsEveryRoundingRuleThroughQuantise) {
  EXPECT_TRUE(rc::check("quantise with other rules is the codec's", [] {
    QuantSpec s = token(Format::int4, *rc::gen::element(Affine::symmetric, Affine::float_min,
                                                        Affine::integer_zero));
    s.rounding =
        *rc::gen::element(Rounding::away, Rounding::half_up, Rounding::down, Rounding::floor);
    s.range = *rc::gen::element(RangeRule::automatic, RangeRule::clip);
    s.range_value = 0.5;
    const auto x = random_values(16);
    RC_ASSERT(dequantise(quantise(x, 2, 8, s)) == decode(encode(x, 2, 8, s)));
  }));
}

TEST(IntegerCodec, RoundsTiesAsAsked) {
  const std::vector<float> x = {7, 0.5f, 1.5f, -0.5f, -1.5f, 0.75f, -0.75f};  // s = 1
  const auto with = [&x](Rounding r) {
    QuantSpec s = token(Format::int4);
    s.rounding = r;
    return decode(encode(x, 1, x.size(), s));
  };
  EXPECT_THAT(with(Rounding::even), ElementsAre(7, 0, 2, 0, -2, 1, -1));
  EXPECT_THAT(with(Rounding::away), ElementsAre(7, 1, 2, -1, -2, 1, -1));
  EXPECT_THAT(with(Rounding::half_up), ElementsAre(7, 1, 2, 0, -1, 1, -1));
  EXPECT_THAT(with(Rounding::down), ElementsAre(7, 0, 1, 0, -1, 1, -1));
  EXPECT_THAT(with(Rounding::floor), ElementsAre(7, 0, 1, -1, -2, 0, -1));
}

TEST(IntegerCodec, EveryCodeOfEveryWidthDecodesToItsInteger) {
  for (std::size_t f = 0; f < kFormatCount; ++f) {
    const auto format = static_cast<Format>(f);
    if (info_of(format).kind != FormatClass::integer) continue;
    const bool is_unsigned = name_of(format).starts_with("uint");
    const unsigned bits = bits_of(format);
    CodedMatrix m;
    m.spec = token(format);
    m.rows = m.groups = 1;
    m.cols = m.group = std::size_t{1} << bits;
    m.scales = {0.5f};
    for (std::uint32_t code = 0; code < m.cols; ++code)
      m.codes.push_back(static_cast<std::uint16_t>(code));
    const auto values = decode(m);
    const auto grid = integer_grid(m.spec);
    ASSERT_TRUE(grid);
    for (std::uint32_t code = 0; code < m.cols; ++code) {
      auto q = static_cast<std::int64_t>(code);
      if (!is_unsigned && code >= m.cols / 2) q -= static_cast<std::int64_t>(m.cols);
      if (format == Format::int1) q = code == 1 ? 1 : -1;
      ASSERT_EQ(values[code], 0.5f * static_cast<float>(q)) << name_of(format) << ' ' << code;
      ASSERT_EQ(grid->integers[code], q);
    }
    // And encoding what was decoded gives the code back, but for the code that is never used.
    m.spec.scale = Format::fp32;
    const auto again = encode(values, 1, m.cols, m.spec);
    if (format == Format::int1) continue;
    const float s = again.scales[0];
    const auto decoded = decode(again);
    for (std::uint32_t code = 0; code < m.cols; ++code) {
      if (!is_unsigned && code == m.cols / 2) continue;
      const float expected = std::nearbyint(values[code] / s);
      const float top = static_cast<float>(is_unsigned ? m.cols - 1 : m.cols / 2 - 1);
      ASSERT_EQ(decoded[code], s * std::clamp(expected, is_unsigned ? 0.0f : -top, top))
          << name_of(format) << ' ' << code;
    }
  }
}

TEST(IntegerCodec, OneBitIsTheSignTimesTheMeanMagnitude) {
  const std::vector<float> x = {1, -2, 0, -0.0f, 5};
  const auto m = encode(x, 1, 5, token(Format::int1));
  EXPECT_THAT(m.scales, ElementsAre(8.0f / 5));
  EXPECT_THAT(m.codes, ElementsAre(1, 0, 1, 1, 1));  // zero of either sign is +1
}

TEST(IntegerCodec, UnsignedCodesCutNegativeValuesOff) {
  const std::vector<float> x = {-3, 0, 7.5f, 15};
  EXPECT_THAT(encode(x, 1, 4, token(Format::uint4)).codes, ElementsAre(0, 0, 8, 15));
  const std::vector<float> negative = {-3, -1};
  EXPECT_THAT(decode(encode(negative, 1, 2, token(Format::uint4))), ElementsAre(0, 0));
}

TEST(IntegerCodec, AbsmaxSignedUsesTheWholeRangeAsQ40) {
  // quantization.md §13: x_j = (j - 12) / 8, signed maximum 2.375, d = -0.296875.
  std::vector<float> x;
  for (int j = 0; j < 32; ++j) x.push_back(static_cast<float>(j - 12) / 8);
  QuantSpec s = token(Format::int4);
  s.range = RangeRule::absmax_signed;
  s.scale = Format::fp16;
  const auto m = encode(x, 1, 32, s);
  EXPECT_THAT(m.scales, ElementsAre(-0.296875f));
  EXPECT_EQ(m.codes[31], 8);  // -8: the value itself
  EXPECT_EQ(decode(m)[31], 2.375f);
  EXPECT_EQ(m.codes[0], 5);  // -1.5 / -0.296875 = 5.05
}

TEST(IntegerCodec, ClipAndPercentileShrinkTheRange) {
  const std::vector<float> x = {-10, 1, 2, 3, 4};
  QuantSpec s = token(Format::int4);
  s.range = RangeRule::clip;
  s.range_value = 0.5;
  EXPECT_THAT(encode(x, 1, 5, s).scales, ElementsAre(5.0f / 7));
  EXPECT_EQ(encode(x, 1, 5, s).codes[0], 9);  // -7: saturated
  s.range = RangeRule::percentile;
  s.range_value = 75;  // magnitudes 1 2 3 4 10: h = 3
  EXPECT_THAT(encode(x, 1, 5, s).scales, ElementsAre(4.0f / 7));
  s.range_value = 90;  // h = 3.6: 4 + 0.6 * 6
  EXPECT_THAT(encode(x, 1, 5, s).scales, ElementsAre(7.6f / 7));
  s.range_value = 100;
  EXPECT_THAT(encode(x, 1, 5, s).scales, ElementsAre(10.0f / 7));
  s = token(Format::int4, Affine::float_min);
  s.range = RangeRule::clip;
  s.range_value = 0.5;
  EXPECT_THAT(encode(x, 1, 5, s).zeros, ElementsAre(-5.0f));
  s.range = RangeRule::absmax;
  EXPECT_THAT(encode(x, 1, 5, s).scales, ElementsAre(20.0f / 15));
  s.range = RangeRule::mse;
  EXPECT_THROW(encode(x, 1, 5, s), std::invalid_argument);
}

TEST(IntegerCodec, AWiderIntegerZeroReachesBeyondTheCodes) {
  // RotateKV: z = round(-min / s) in int8; with values of one sign a 2-bit zero cannot reach it.
  const std::vector<float> x = {6, 7, 8, 9};
  QuantSpec s = token(Format::int2, Affine::integer_zero);
  EXPECT_THAT(decode(encode(x, 1, 4, s)), ElementsAre(3, 3, 3, 3));
  s.zero_bits = 8;
  EXPECT_THAT(encode(x, 1, 4, s).zeros, ElementsAre(-6.0f));
  EXPECT_THAT(decode(encode(x, 1, 4, s)), ElementsAre(6, 7, 8, 9));
}

TEST(IntegerCodec, StoresScalesInEveryScaleFormat) {
  const std::vector<float> x = {7 * 0.3f, -1};
  QuantSpec s = token(Format::int4);
  const auto scale_as = [&](Format f) {
    s.scale = f;
    return encode(x, 1, 2, s).scales[0];
  };
  EXPECT_EQ(scale_as(Format::fp32), 7 * 0.3f / 7);
  EXPECT_EQ(scale_as(Format::fp16), Fp16::encode(7 * 0.3f / 7).decode());
  EXPECT_EQ(scale_as(Format::e8m0), 0.25f);
  EXPECT_EQ(scale_as(Format::fp8_e4m3), 0.3125f);  // 1.25 * 2^-2 is nearer than 1.125 * 2^-2
  EXPECT_EQ(scale_as(Format::ue4m3), 0.3125f);
  s.scale = Format::int8;
  EXPECT_THROW(encode(x, 1, 2, s), std::invalid_argument);
  EXPECT_EQ(store_parameter(Format::fp8_e4m3, 1e-6f), 0x1p-9f);  // never 0: FireQ's floor
  EXPECT_EQ(store_parameter(Format::fp8_e4m3, -1e-6f), -0x1p-9f);
  EXPECT_EQ(store_parameter(Format::fp8_e4m3, 0.0f), 0.0f);
  EXPECT_EQ(store_parameter(Format::ue4m3, 1e6f), 448.0f);
}

TEST(IntegerCodec, LevelsThatAreNoPowerOfTwo) {
  QuantSpec s = token(Format::base5);
  const std::vector<float> x = {-2, -1, 0, 1, 2, 1.5f};  // ABQ W2*: s = range / 4
  const auto m = encode(x, 1, 6, s);
  EXPECT_THAT(m.scales, ElementsAre(1.0f));
  EXPECT_THAT(m.codes, ElementsAre(0, 1, 2, 3, 4, 4));
  EXPECT_THAT(decode(m), ElementsAre(-2, -1, 0, 1, 2, 2));
  s = token(Format::levels, Affine::float_min);
  s.levels = 6;
  const std::vector<float> y = {1, 2, 3, 4, 5, 6};
  EXPECT_THAT(encode(y, 1, 6, s).codes, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(decode(encode(y, 1, 6, s)), ElementsAre(1, 2, 3, 4, 5, 6));
  s.levels = 1;
  EXPECT_THROW(encode(y, 1, 6, s), std::invalid_argument);
}

TEST(IntegerCodec, MatchesThePublishedExamples) {
  // quantization.md §13. KIVI 2 bits, group of 8.
  const std::vector<float> kivi = {-1, -.5f, 0, .25f, .5f, .75f, 1, 2};
  QuantSpec s = token(Format::int2, Affine::float_min);
  s.scale = Format::fp16;
  const auto m = encode(kivi, 1, 8, s);
  EXPECT_THAT(m.codes, ElementsAre(0, 0, 1, 1, 2, 2, 2, 3));
  EXPECT_THAT(decode(m), ElementsAre(-1, -1, 0, 0, 1, 1, 1, 2));
  const auto bytes = pack(m);
  EXPECT_EQ(bytes[0], 0x50);  // the word 0xEA50
  EXPECT_EQ(bytes[1], 0xEA);
  // QServe KV4: scale and unrounded zero in fp16.
  s = token(Format::int4, Affine::float_zero);
  s.scale = Format::fp16;
  const auto first = encode(std::vector<float>{-1, 0, .1f, .5f, 1, 2}, 1, 6, s);
  EXPECT_EQ(Fp16::encode(first.scales[0]).to_bits(), 0x3266);
  EXPECT_EQ(first.zeros[0], 5.0f);
  EXPECT_THAT(first.codes, ElementsAre(0, 5, 6, 8, 10, 15));
  const auto second = encode(std::vector<float>{-.7f, 0, .33f, 1.9f}, 1, 4, s);
  EXPECT_EQ(Fp16::encode(second.scales[0]).to_bits(), 0x318C);
  EXPECT_EQ(Fp16::encode(second.zeros[0]).to_bits(), 0x440A);
  EXPECT_THAT(second.codes, ElementsAre(0, 4, 6, 15));
  EXPECT_NEAR(decode(second)[1], -0.00677f, 5e-6f);  // zero is not exact
}

}  // namespace
}  // namespace systole::quant
