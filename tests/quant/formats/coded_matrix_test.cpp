// What holds for every format with a codec: bytes, sizes, element integers, refusals.
#include "quant/coded_matrix.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>

#include "quant/formats/codec.hpp"
#include "quant/quantise.hpp"
#include "quant/storage.hpp"

namespace systole::quant {
namespace {

/// A spec that the format accepts; what it does not say is drawn.
QuantSpec any_spec(Format format) {
  QuantSpec s;
  s.format = format;
  s.granularity = *rc::gen::element(Granularity::tensor, Granularity::channel, Granularity::token,
                                    Granularity::group);
  s.group = 8;
  s.scale = *rc::gen::element(Format::fp32, Format::fp16, Format::bf16, Format::e8m0, Format::ue4m3,
                              Format::fp8_e4m3);
  if (info_of(format).kind == FormatClass::pair)  // OliVe's search rounds scales to floats only
    s.scale = *rc::gen::element(Format::fp32, Format::fp16, Format::bf16);
  const bool uniform = info_of(format).kind == FormatClass::integer || format == Format::levels;
  if (uniform) {
    s.affine = *rc::gen::element(Affine::symmetric, Affine::float_min, Affine::integer_zero,
                                 Affine::float_zero);
    s.zero_bits = *rc::gen::element(0u, 8u, 16u);
  }
  if (format == Format::levels) s.levels = *rc::gen::inRange(2u, 300u);
  if (format == Format::lut) s.range = *rc::gen::element(RangeRule::automatic, RangeRule::kmeans);
  if (format == Format::fixed) {
    s.integer_bits = *rc::gen::inRange(0u, 5u);
    s.fraction_bits = *rc::gen::inRange(1u, 9u);
  }
  if (format == Format::codebook) {
    s.vector_length = 4;
    s.levels = 16;
  }
  return s;
}

struct Case {
  std::vector<float> values;
  std::size_t rows = 0, cols = 0;
  CodedMatrix coded;
};

/// A matrix that the format takes: whole blocks for GGUF and codebooks, pairs for pairs.
Case draw(Format format) {
  Case c;
  c.rows = *rc::gen::inRange<std::size_t>(1, 5);
  c.cols = *rc::gen::inRange<std::size_t>(1, 50);
  const FormatClass kind = info_of(format).kind;
  if (kind == FormatClass::pair) c.cols *= 2;
  if (kind == FormatClass::vector) c.cols *= 4;
  if (kind == FormatClass::gguf) c.cols = 256;
  for (std::size_t i = 0; i < c.rows * c.cols; ++i)
    c.values.push_back(static_cast<float>(*rc::gen::inRange(-4000, 4001)) * 1e-3f);
  std::vector<float> table;
  if (format == Format::codebook) {
    for (int i = 0; i < 64; ++i) table.push_back(static_cast<float>(i % 9 - 4));
  }
  c.coded = encode(c.values, c.rows, c.cols, any_spec(format), table);
  return c;
}

class EveryFormat : public testing::TestWithParam<Format> {};

TEST_P(EveryFormat, ComesBackFromItsBytes) {
  ASSERT_TRUE(has_codec(GetParam()));
  if (GetParam() == Format::fp32) GTEST_SKIP() << "fp32 has no code";
  EXPECT_TRUE(rc::check("unpack(pack(m)) decodes as m", [] {
    const Case c = draw(GetParam());
    const auto bytes = pack(c.coded);
    RC_ASSERT(bytes.size() * 8 == stored_bits(c.rows, c.cols, c.coded.spec));
    const CodedMatrix back = unpack(bytes, c.rows, c.cols, c.coded.spec);
    RC_ASSERT(back.codes == c.coded.codes);
    RC_ASSERT(back.scales == c.coded.scales);
    RC_ASSERT(back.zeros == c.coded.zeros);
    RC_ASSERT(back.tags == c.coded.tags);
    RC_ASSERT(back.table == c.coded.table);
    RC_ASSERT(back.bytes == c.coded.bytes);
    RC_ASSERT(decode(back) == decode(c.coded));
    RC_ASSERT(pack(back) == bytes);
  }));
}

TEST_P(EveryFormat, DecodesToItsElementIntegersTimesTheScale) {
  ASSERT_TRUE(has_codec(GetParam()));
  if (GetParam() == Format::fp32) GTEST_SKIP() << "fp32 has no code";
  EXPECT_TRUE(rc::check("symmetric: value = scale * unit * integer", [] {
    const Case c = draw(GetParam());
    float unit = 0;
    const auto integers = element_integers(c.coded, unit);
    const auto values = decode(c.coded);
    if (!integers || c.coded.spec.affine != Affine::symmetric || !c.coded.zeros.empty()) return;
    RC_ASSERT(std::exp2(std::round(std::log2(unit))) == unit);
    const std::size_t boxes = c.coded.scales.size() / c.rows;
    for (std::size_t i = 0; i < values.size(); ++i) {
      float s = c.coded.tensor_scale;
      if (boxes != 0) s *= c.coded.scales[i / c.cols * boxes + i % c.cols / c.coded.group];
      RC_ASSERT(values[i] == s * (unit * static_cast<float>((*integers)[i])));
    }
  }));
}

TEST_P(EveryFormat, RefusesNonFiniteValuesByTheirPlace) {
  const Format f = GetParam();
  ASSERT_TRUE(has_codec(f));
  if (f == Format::fp32) GTEST_SKIP() << "fp32 has no code";
  std::vector<float> x(512, 1.0f), table(64, 1.0f);
  x[257] = std::numeric_limits<float>::infinity();
  QuantSpec s;
  s.format = f;
  s.levels = f == Format::codebook ? 16 : (f == Format::levels ? 5 : 0);
  s.fraction_bits = 3;
  s.vector_length = 4;
  if (f != Format::codebook) table.clear();
  EXPECT_THAT([&] { encode(x, 2, 256, s, table); },
              testing::ThrowsMessage<std::domain_error>(testing::HasSubstr("row 1, column 1")));
  x[257] = 0;
  EXPECT_NO_THROW(encode(x, 2, 256, s, table));
  EXPECT_THROW(encode(x, 2, 255, s, table), std::invalid_argument);
  const auto bytes = pack(encode(x, 2, 256, s, table));
  EXPECT_THROW(unpack(std::span(bytes).first(bytes.size() - 1), 2, 256, s), std::invalid_argument);
  EXPECT_TRUE(decode(encode({}, 0, 256, s, table)).empty());
  EXPECT_TRUE(pack(encode({}, 0, 256, s, table)).empty());
}

INSTANTIATE_TEST_SUITE_P(Formats, EveryFormat, testing::ValuesIn(kAllFormats),
                         [](const auto& format) { return std::string(name_of(format.param)); });

TEST(CodedMatrix, NamesTheFormatThatHasNoCodec) {
  for (const Format f : kAllFormats) {
    if (has_codec(f)) continue;
    QuantSpec s;
    s.format = f;
    EXPECT_THAT(
        [&] { encode(std::vector<float>(4), 1, 4, s); },
        testing::ThrowsMessage<std::invalid_argument>(testing::HasSubstr(std::string(name_of(f)))));
  }
  EXPECT_THROW(encode(std::vector<float>(4), 1, 4, QuantSpec{}), std::invalid_argument);  // fp32
}

TEST(CodedMatrix, HalfPrecisionFormatsKeepTheirBits) {
  QuantSpec s;
  s.format = Format::bf16;
  const std::vector<float> x = {1.0f, -0.0f, 3.14159f};
  const auto m = encode(x, 1, 3, s);
  EXPECT_THAT(m.codes, testing::ElementsAre(0x3F80, 0x8000, 0x4049));
  EXPECT_EQ(decode(m)[2], 3.140625f);
  EXPECT_TRUE(m.scales.empty());
}

TEST(CodedMatrix, ChannelsOfDifferentTablesDoNotMix) {  // per-tensor tables lie in memory once
  QuantSpec s;
  s.format = Format::lut;
  s.levels = 4;
  s.range = RangeRule::kmeans;
  const std::vector<float> x = {1, 2, 3, 4, 4, 3, 2, 1};
  const auto m = encode(x, 2, 4, s);
  EXPECT_EQ(decode(m), x);
  EXPECT_EQ(stored_bits(2, 4, s), 2u * 8 + 4 * 32);
  EXPECT_EQ(decode(unpack(pack(m), 2, 4, s)), x);
}

TEST(FakeQuantise, TakesEveryFormat) {
  QuantSpec s;
  s.format = Format::mxfp4;
  const std::vector<float> x(32, 0.6f);
  EXPECT_EQ(fake_quantise(x, 1, 32, s), decode(encode(x, 1, 32, s)));
}

}  // namespace
}  // namespace systole::quant
