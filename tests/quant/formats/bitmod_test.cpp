// BitMoD's value sets, the choice of the special value, two-level scales and terms.
#include "quant/formats/bitmod.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "quant/coded_matrix.hpp"
#include "quant/float16.hpp"
#include "tests/quant/formats/accelerator_cases.hpp"

namespace systole::quant {
namespace {

/// The released lists, ascending: bitmod_quant/quant_utils/quant_weight.py (FP3_ER_POS ...), in the
/// order in which the released search tries them.
const std::vector<std::vector<float>>& published(Format format) {
  static const std::vector<std::vector<float>> three = {{-4, -2, -1, 0, 1, 2, 3, 4},
                                                        {-4, -3, -2, -1, 0, 1, 2, 4},
                                                        {-4, -2, -1, 0, 1, 2, 4, 6},
                                                        {-6, -4, -2, -1, 0, 1, 2, 4}};
  static const std::vector<std::vector<float>> four = {
      {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 10, 12},
      {-12, -10, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12},
      {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12, 16},
      {-16, -12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12}};
  return format == Format::bitmod3 ? three : four;
}
constexpr std::array kFormats = {Format::bitmod3, Format::bitmod4};

/// The nearest value as the released loop selects it: x <= mid[0], mid[i-1] < x <= mid[i], x >
/// last.
float released_nearest(float x, const std::vector<float>& list) {
  float out = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const bool above = i == 0 || x > (list[i - 1] + list[i]) / 2;
    const bool below = i + 1 == list.size() || x <= (list[i] + list[i + 1]) / 2;
    if (above && below) out += list[i];
  }
  return out;
}

TEST(Bitmod, CodesOfEveryTagAreThePublishedLists) {
  for (const Format format : kFormats) {
    for (unsigned tag = 0; tag < kBitmodTags; ++tag) {
      std::vector<float> values;
      for (std::uint32_t code = 0; code < (1u << bits_of(format)); ++code)
        values.push_back(static_cast<float>(bitmod_value(code, format, tag)));
      EXPECT_EQ(values[values.size() / 2], static_cast<float>(bitmod_special(format, tag)));  // -0
      std::ranges::sort(values);
      EXPECT_EQ(values, published(format)[tag]) << name_of(format) << " tag " << tag;
    }
  }
}

TEST(Bitmod, EveryCodeComesBackAndMidpointsGoDown) {
  for (const Format format : kFormats) {
    for (unsigned tag = 0; tag < kBitmodTags; ++tag) {
      for (std::uint32_t code = 0; code < (1u << bits_of(format)); ++code) {
        const auto x = static_cast<float>(bitmod_value(code, format, tag));
        EXPECT_EQ(bitmod_encode(x, format, tag), code);
      }
      for (float x = -20; x <= 20; x += 0.125f) {
        for (const float y : {x, std::nextafter(x, 100.0f), std::nextafter(x, -100.0f)}) {
          EXPECT_EQ(bitmod_value(bitmod_encode(y, format, tag), format, tag),
                    released_nearest(y, published(format)[tag]))
              << name_of(format) << " tag " << tag << " " << y;
        }
      }
    }
  }
  EXPECT_EQ(bitmod_value(bitmod_encode(3.0f, Format::bitmod3, 2), Format::bitmod3, 2), 2);
  EXPECT_EQ(bitmod_value(bitmod_encode(-3.0f, Format::bitmod3, 2), Format::bitmod3, 2), -4);
}

TEST(Bitmod, TheSpecialValueOfLeastErrorIsChosen) {
  // A value at each special point of the range of the others decides.
  const std::vector<float> near3 = {4, 3, 3, -1, 2, 3};
  EXPECT_EQ(bitmod_choose(near3, 4, Format::bitmod3).tag, 0);
  EXPECT_EQ(bitmod_choose(near3, 4, Format::bitmod3).error, 0.0);
  const std::vector<float> wide = {-6, 4, 2, 1, -1};
  EXPECT_EQ(bitmod_choose(wide, 6, Format::bitmod3).tag, 3);
  // Where the special value is not used the first of two equals wins.
  const std::vector<float> plain = {4, -4, 1};
  EXPECT_EQ(bitmod_choose(plain, 4, Format::bitmod3).tag, 0);
}

TEST(Bitmod, RandomGroupsAgreeWithTheReleasedRecipeInFp32) {
  const auto values = cases::heavy_tailed(128 * 400, 0.01, 4, 12);
  for (const Format format : kFormats) {
    for (std::size_t begin = 0; begin < values.size(); begin += 128) {
      const std::span<const float> group(values.data() + begin, 128);
      float absmax = 0;
      for (const float x : group) absmax = std::max(absmax, std::fabs(x));
      unsigned best_tag = 0;
      double best = 1e300;
      for (unsigned tag = 0; tag < kBitmodTags; ++tag) {
        const auto& list = published(format)[tag];
        const float s = std::clamp(absmax / std::max(-list.front(), list.back()), 1e-5f, 1e4f);
        double error = 0;
        for (const float x : group) {
          const float d = released_nearest(x / s, list) * s - x;
          error += static_cast<double>(d) * static_cast<double>(d);
        }
        if (error < best) {
          best = error;
          best_tag = tag;
        }
      }
      const BitmodChoice choice = bitmod_choose(group, absmax, format);
      ASSERT_EQ(choice.tag, best_tag) << cases::repeat();
      ASSERT_EQ(choice.error, best) << cases::repeat();
    }
  }
}

TEST(Bitmod, TheScaleIsClampedAndAGroupOfZerosIsZero) {
  EXPECT_EQ(bitmod_scale(0, Format::bitmod4, 0), 1e-5f);
  EXPECT_EQ(bitmod_scale(1e9f, Format::bitmod4, 0), 1e4f);
  QuantSpec spec;
  spec.format = Format::bitmod4;
  spec.granularity = Granularity::group;
  spec.group = 4;
  const std::vector<float> zeros(8, 0.0f);
  EXPECT_EQ(decode(encode(zeros, 1, 8, spec)), zeros);
}

TEST(Bitmod, TwoLevelScalesAreInt8UnderOneFp16Scale) {
  const std::vector<float> scales = {1.27f, 0.635f, 0.01f, 0.004f, 1.0f};
  const TwoLevelScales two = two_level_scales(scales);
  EXPECT_EQ(two.row, Fp16::encode(1.27f / 127.0f).decode());
  EXPECT_EQ(two.codes[0], 127);
  EXPECT_EQ(two.codes[2], 1);
  EXPECT_EQ(two.codes[3], 1);  // 0.4 steps would vanish
  EXPECT_EQ(two.codes[4], 100);
  EXPECT_EQ(two.scale(4), 100.0f * two.row);
}

TEST(Bitmod, AMatrixWithInt8ScalesStoresTenBitsAGroupAndSixteenARow) {
  QuantSpec spec;
  spec.format = Format::bitmod3;
  spec.granularity = Granularity::group;
  spec.group = 128;
  spec.scale = Format::int8;
  const std::size_t rows = 6, cols = 512;
  const auto values = cases::heavy_tailed(rows * cols, 0.01, 4, 9);
  const CodedMatrix m = encode(values, rows, cols, spec);
  const auto bytes = pack(m);
  // §4.1: 10 bits per 128 weights, and the row's own scale.
  EXPECT_EQ(bytes.size() * 8, rows * cols * 3 + rows * 4 * 10 + rows * 16);
  const CodedMatrix back = unpack(bytes, rows, cols, spec);
  EXPECT_EQ(back.codes, m.codes);
  EXPECT_EQ(back.scales, m.scales);
  EXPECT_EQ(back.tags, m.tags);
  EXPECT_EQ(decode(back), decode(m));
  // The second level costs little: within a tenth of the error with fp32 scales.
  QuantSpec plain = spec;
  plain.scale = Format::fp32;
  const auto error = [&values](const std::vector<float>& decoded) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double d = static_cast<double>(decoded[i]) - static_cast<double>(values[i]);
      sum += d * d;
    }
    return sum;
  };
  EXPECT_LT(error(decode(m)), 1.1 * error(decode(encode(values, rows, cols, plain))));
}

TEST(Bitmod, AMatrixWithFloatScalesComesBackFromItsBytesForEveryTag) {
  for (const Format format : kFormats) {
    QuantSpec spec;
    spec.format = format;
    spec.granularity = Granularity::group;
    spec.group = 16;
    spec.scale = Format::fp16;
    std::vector<float> values;
    for (unsigned tag = 0; tag < kBitmodTags; ++tag) {
      auto list = published(format)[tag];
      list.resize(16, 1.0f);
      values.insert(values.end(), list.begin(), list.end());
    }
    const CodedMatrix m = encode(values, 2, 32, spec);
    EXPECT_THAT(m.tags, testing::ElementsAre(0, 1, 2, 3));
    EXPECT_EQ(decode(m), values);
    const CodedMatrix back = unpack(pack(m), 2, 32, spec);
    EXPECT_EQ(back.codes, m.codes);
    EXPECT_EQ(back.tags, m.tags);
    float unit = 0;
    const auto integers = element_integers(m, unit);
    ASSERT_TRUE(integers);
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(static_cast<float>((*integers)[i]), values[i]);
  }
}

std::int32_t sum_of(std::span<const BitTerm> terms) {
  return std::accumulate(terms.begin(), terms.end(), 0,
                         [](std::int32_t sum, const BitTerm& t) { return sum + t.value(); });
}

TEST(BitTerms, BoothTermsOfEveryIntegerAddUpToIt) {
  for (unsigned bits = 2; bits <= 10; ++bits) {
    const std::int32_t half = 1 << (bits - 1);
    for (std::int32_t v = -half; v < half; ++v) {
      const auto terms = booth_terms(v, bits);
      EXPECT_EQ(terms.size(), booth_term_count(bits));
      EXPECT_EQ(sum_of(terms), v) << bits << " bits";
      for (const BitTerm& t : terms) {
        EXPECT_LE(t.mantissa, 1);
        EXPECT_LE(t.exponent, 1);
      }
    }
    EXPECT_THROW(booth_terms(half, bits), std::invalid_argument);
  }
  // §4.2: INT8 = 4 terms, INT6 = 3, INT5 = 3.
  EXPECT_EQ(booth_term_count(8), 4u);
  EXPECT_EQ(booth_term_count(6), 3u);
  EXPECT_EQ(booth_term_count(5), 3u);
}

TEST(BitTerms, TwoTermsMakeEveryValueOfEveryBitmodGrid) {
  for (const Format format : kFormats) {
    for (unsigned tag = 0; tag < kBitmodTags; ++tag) {
      for (std::uint32_t code = 0; code < (1u << bits_of(format)); ++code) {
        const std::int32_t v = bitmod_value(code, format, tag);
        EXPECT_EQ(sum_of(leading_one_terms(v)), v);
      }
    }
  }
  EXPECT_THROW(leading_one_terms(7), std::invalid_argument);
  EXPECT_THROW(leading_one_terms(64), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
