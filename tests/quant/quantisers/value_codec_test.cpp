// Boxes of single values against quantise(), hand-made cases and brute force.
#include "quant/quantisers/value_codec.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>

#include "quant/quantise.hpp"
#include "quant/quantisers/range_search.hpp"
#include "sim/core/random.hpp"

namespace systole::quant {
namespace {

QuantSpec integer(Format format, Affine affine, Format scale = Format::fp16) {
  QuantSpec spec;
  spec.format = format;
  spec.granularity = Granularity::channel;
  spec.affine = affine;
  spec.scale = scale;
  return spec;
}

std::vector<float> normal_values(std::uint64_t seed, std::size_t count) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random.normal());
  return values;
}

TEST(ValueCodec, HasTheBitsOfQuantiseInEveryIntegerFormatAndAffineForm) {
  for (int f = static_cast<int>(Format::int2); f <= static_cast<int>(Format::int8); ++f) {
    for (const Affine affine :
         {Affine::symmetric, Affine::float_min, Affine::integer_zero, Affine::float_zero}) {
      for (const Format scale : {Format::fp32, Format::fp16, Format::bf16}) {
        const QuantSpec spec = integer(static_cast<Format>(f), affine, scale);
        const std::vector<float> x = normal_values(static_cast<std::uint64_t>(f), 64);
        const std::vector<float> expected = fake_quantise(x, 1, 64, spec);
        const ValueCodec codec(spec);
        const BoxParameters p = find_scale(x, codec);
        for (std::size_t i = 0; i < x.size(); ++i) {
          EXPECT_EQ(codec.nearest(x[i], p), expected[i]) << describe(spec) << " " << i;
        }
      }
    }
  }
}

TEST(ValueCodec, DecidesHalfWayCasesAsTheSpecSays) {
  // scale 1 for all: absmax 7. -2.5 and 2.5 separate all five roundings, 3.5 even from down.
  const std::vector<float> x = {7.0f, 2.5f, -2.5f, 3.5f, -0.75f};
  const std::vector<std::pair<Rounding, std::vector<float>>> cases = {
      {Rounding::even, {7, 2, -2, 4, -1}},
      {Rounding::away, {7, 3, -3, 4, -1}},
      {Rounding::half_up, {7, 3, -2, 4, -1}},
      {Rounding::down, {7, 2, -2, 3, -1}},
      {Rounding::floor, {7, 2, -3, 3, -1}}};
  for (const auto& entry : cases) {
    QuantSpec spec = integer(Format::int4, Affine::symmetric);
    spec.rounding = entry.first;
    const ValueCodec codec(spec);
    const BoxParameters p = find_scale(x, codec);
    EXPECT_EQ(p.scale[0], 1.0f);
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_EQ(codec.nearest(x[i], p), entry.second[i]) << static_cast<int>(entry.first) << i;
    }
  }
}

TEST(ValueCodec, FindsTheNearestElementOfAGrid) {
  const QuantSpec spec = integer(Format::fp4_e2m1, Affine::symmetric, Format::fp32);
  const std::vector<float> elements = {0,    .5f, 1,     1.5f, 2,  3,  4, 6,
                                       -.5f, -1,  -1.5f, -2,   -3, -4, -6};
  const ValueCodec codec(spec);
  const std::vector<float> x = normal_values(5, 2000);
  const BoxParameters p = find_scale(x, codec);
  for (const float v : x) {
    double least = 1e9;
    for (const float e : elements) {
      least = std::min(least, std::fabs(double{v} - double{e * p.scale[0]}));
    }
    EXPECT_NEAR(std::fabs(double{v} - double{codec.nearest(v, p)}), least, 1e-6);
  }
}

TEST(ValueCodec, RefusesFormatsWithoutSingleValues) {
  for (const Format f : {Format::mxfp4, Format::codebook, Format::ovp4_int, Format::q4_0}) {
    EXPECT_FALSE(has_value_codec(f));
    EXPECT_THROW(ValueCodec(integer(f, Affine::symmetric)), std::invalid_argument);
  }
}

TEST(RangeSearch, TheSignedExtremeOfQ4_0UsesTheMostNegativeCode) {
  // quantization.md section 13: x_j = (j - 12) / 8, d = -0.296875; bytes low nibble first.
  std::vector<float> x(32);
  for (std::size_t j = 0; j < 32; ++j) x[j] = (static_cast<float>(j) - 12.0f) / 8.0f;
  QuantSpec spec = integer(Format::int4, Affine::symmetric, Format::fp32);
  spec.range = RangeRule::absmax_signed;
  spec.rounding = Rounding::half_up;  // trunc(x / d + 8.5) of a positive number
  const ValueCodec codec(spec);
  const BoxParameters p = find_scale(x, codec);
  EXPECT_EQ(p.scale[0], -0.296875f);
  const int bytes[] = {0x6d, 0x6d, 0x5c, 0x5c, 0x5b, 0x4b, 0x4b, 0x3a,
                       0x3a, 0x39, 0x29, 0x28, 0x18, 0x18, 0x07, 0x07};
  for (std::size_t j = 0; j < 16; ++j) {
    EXPECT_EQ((codec.encode(x[j], p) + 8) & 15, bytes[j] & 15) << j;
    EXPECT_EQ((codec.encode(x[j + 16], p) + 8) & 15, bytes[j] >> 4) << j;
  }
}

TEST(RangeSearch, ClipAndPercentileLimitTheRange) {
  std::vector<float> x(100);
  for (std::size_t i = 0; i < 100; ++i)
    x[i] = static_cast<float>(i + 1) * (i % 2 == 0 ? 1.f : -1.f);
  QuantSpec spec = integer(Format::int8, Affine::symmetric, Format::fp32);
  spec.range = RangeRule::clip;
  spec.range_value = 0.5;
  EXPECT_EQ(find_scale(x, spec).scale[0], 50.0f / 127.0f);
  spec.range = RangeRule::percentile;
  spec.range_value = 99;  // of the magnitudes 1 ... 100, between 99 and 100 (h = 98.01)
  EXPECT_EQ(find_scale(x, spec).scale[0], 99.01f / 127.0f);
  spec.range_value = 100;
  EXPECT_EQ(find_scale(x, spec).scale[0], 100.0f / 127.0f);
  spec.affine = Affine::float_min;
  spec.range_value = 50;
  const BoxParameters p = find_scale(x, spec);
  EXPECT_EQ(p.zero[0], -50.5f);
  EXPECT_EQ(p.scale[0], 101.0f / 255.0f);
  for (const double bad : {-1.0, 100.5}) {
    spec.range_value = bad;
    EXPECT_THROW(find_scale(x, spec), std::invalid_argument);
  }
  for (const RangeRule rule : {RangeRule::kmeans, RangeRule::olive, RangeRule::output_mse}) {
    spec.range = rule;
    EXPECT_THROW(find_scale(x, spec), std::invalid_argument);
  }
}

TEST(RangeSearch, TheGridSearchIsTheBestOfItsCandidatesAndNoWorseThanTheWholeRange) {
  std::vector<float> x = normal_values(11, 128);
  x[17] = 9.0f;  // an outlier that is worth clipping at 3 bits
  QuantSpec spec = integer(Format::int3, Affine::symmetric, Format::fp32);
  const ValueCodec codec(spec);
  const MseSearch search{100, 0.8, 2.0};
  const BoxParameters found = search_scale(x, codec, search);
  double least = 1e300;
  float least_scale = 0;
  for (int i = 0; i < 100; ++i) {  // an independent scan
    const double limit = 9.0 * (1.0 - i * 0.8 / 100);
    const float scale = static_cast<float>(limit) / 3.0f;
    double error = 0;
    for (const float v : x) {
      const float q = std::min(3.0f, std::max(-3.0f, std::nearbyint(v / scale)));
      error += std::pow(double{v} - double{q * scale}, 2);
    }
    if (error < least) least = error, least_scale = scale;
  }
  EXPECT_EQ(found.scale[0], least_scale);
  EXPECT_LT(found.scale[0], 3.0f);
}

RC_GTEST_PROP(RangeSearch, KeepsTheErrorOfASymmetricCodeWithinHalfAStep, ()) {
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  const auto bits = *rc::gen::inRange(2, 17);
  const std::vector<float> x = normal_values(seed, 33);
  const Format format = bits <= 8 ? static_cast<Format>(static_cast<int>(Format::int2) + bits - 2)
                                  : static_cast<Format>(static_cast<int>(Format::int9) + bits - 9);
  const ValueCodec codec(integer(format, Affine::symmetric, Format::fp32));
  const BoxParameters p = find_scale(x, codec);
  for (const float v : x) {
    // Half a step, and the rounding of v / scale and of code * scale (each half an ulp of v).
    RC_ASSERT(std::fabs(double{v} - codec.nearest(v, p)) <=
              0.5 * p.scale[0] + std::fabs(double{v}) * 0x1p-23);
  }
}

}  // namespace
}  // namespace systole::quant
