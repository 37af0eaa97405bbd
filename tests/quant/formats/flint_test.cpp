// flint, power-of-two and abfloat codes against the published tables, over all codes.
#include "quant/formats/flint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "quant/coded_matrix.hpp"
#include "quant/formats/abfloat.hpp"
#include "tests/quant/formats/accelerator_cases.hpp"

namespace systole::quant {
namespace {

using testing::ElementsAre;

std::vector<std::int32_t> by_code(Format format) {
  const auto& values = ant_values(format);
  return {values.begin(), values.end()};
}

// accelerators.md §5: 0xxx -> 0..7, 11xx -> 8 10 12 14, 101x -> 16 24, 1001 -> 32, 1000 -> 64.
TEST(Flint, UnsignedCodesDecodeToThePublishedTable) {
  EXPECT_THAT(by_code(Format::uflint4),
              ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 64, 32, 16, 24, 8, 10, 12, 14));
}

// Three bits of magnitude: 0 1 2 3 | 11x -> 4 6 | 101 -> 8 | 100 -> 16; the code 1000 is -0.
TEST(Flint, SignedCodesDecodeToThePublishedTable) {
  EXPECT_THAT(by_code(Format::flint4),
              ElementsAre(0, 1, 2, 3, 16, 8, 4, 6, 0, -1, -2, -3, -16, -8, -4, -6));
}

TEST(Flint, TheExponentIntegerViewIsTheOneOfTheDecoder) {
  // b3 = 1: <2 LZ + 1, b2b1b0>, and <6, 1> for 1000.
  EXPECT_EQ(flint_operand(0b0101, 4), (ExponentInteger{0, 5}));
  EXPECT_EQ(flint_operand(0b1111, 4), (ExponentInteger{1, 7}));
  EXPECT_EQ(flint_operand(0b1011, 4), (ExponentInteger{3, 3}));
  EXPECT_EQ(flint_operand(0b1001, 4), (ExponentInteger{5, 1}));
  EXPECT_EQ(flint_operand(0b1000, 4), (ExponentInteger{6, 1}));
  EXPECT_EQ(flint_operand(0b100, 3), (ExponentInteger{4, 1}));
}

TEST(Flint, BothViewsOfEveryCodeOfEveryWidthAreTheSameValue) {
  for (unsigned n = 2; n <= 8; ++n) {
    for (std::uint32_t code = 0; code < (1u << n); ++code) {
      EXPECT_EQ(flint_float_view(code, n), static_cast<float>(flint_operand(code, n).value()))
          << n << " bits, code " << code;
    }
  }
}

TEST(PowerOfTwo, CodesAreZeroAndThePowers) {
  EXPECT_THAT(by_code(Format::pot4),
              ElementsAre(0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64));
  EXPECT_THAT(by_code(Format::upot4),
              ElementsAre(0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384));
}

constexpr std::array kGrids = {Format::flint4, Format::uflint4, Format::pot4, Format::upot4};

TEST(AntGrid, EveryCodeComesBack) {
  for (const Format format : kGrids) {
    for (std::uint32_t code = 0; code < 16; ++code) {
      const bool minus_zero = code == 8 && ant_values(format)[8] == 0;
      EXPECT_EQ(ant_encode(static_cast<float>(ant_values(format)[code]), format),
                minus_zero ? 0 : code)
          << name_of(format);
    }
  }
}

TEST(AntGrid, MidpointsGoToTheLargerValueAndEverythingElseToTheNearest) {
  EXPECT_EQ(ant_values(Format::flint4)[ant_encode(12.0f, Format::flint4)], 16);
  EXPECT_EQ(ant_values(Format::flint4)[ant_encode(-12.0f, Format::flint4)],
            -8);  // larger, not away
  EXPECT_EQ(ant_values(Format::flint4)[ant_encode(-0.5f, Format::flint4)], 0);
  EXPECT_EQ(ant_values(Format::flint4)[ant_encode(-1e30f, Format::flint4)], -16);
  EXPECT_EQ(ant_values(Format::uflint4)[ant_encode(-3.0f, Format::uflint4)], 0);
}

TEST(AntGrid, CountingMidpointsIsTheScanForEveryFloatAroundThemAndAtRandom) {
  std::mt19937_64 random(cases::seed());
  for (const Format format : kGrids) {
    const auto check = [format](float x) {
      ASSERT_EQ(ant_encode(x, format), ant_encode_scan(x, format))
          << name_of(format) << " " << x << "; " << cases::repeat();
    };
    for (float middle = -16384; middle <= 16384; middle += 0.5f) {  // every midpoint is among them
      check(middle);
      check(std::nextafter(middle, 1e9f));
      check(std::nextafter(middle, -1e9f));
    }
    for (int i = 0; i < 200000; ++i) {
      const auto bits = static_cast<std::uint32_t>(random());
      const float x = std::bit_cast<float>(bits);
      if (std::isfinite(x)) check(x);
    }
  }
}

TEST(Abfloat, MagnitudesAreThePublishedOnes) {
  EXPECT_THAT(abfloat_magnitudes(kOutlierOfInt4), ElementsAre(12, 16, 24, 32, 48, 64, 96));
  EXPECT_THAT(abfloat_magnitudes(kOutlierOfFlint4), ElementsAre(24, 32, 48, 64, 96, 128, 192));
  const auto paper8 = abfloat_magnitudes(kOutlierOfInt8);
  EXPECT_EQ(paper8.size(), 127u);
  EXPECT_EQ(paper8[0], 144);
  EXPECT_EQ(paper8[1], 160);
  EXPECT_EQ(paper8[2], 176);
  EXPECT_EQ(paper8.back(), 7864320);  // 15 << 19
  const auto code8 = abfloat_magnitudes(kOutlierOfInt8Code);
  EXPECT_EQ(code8.size(), 127u);
  EXPECT_EQ(code8.front(), 33 * 4);
  EXPECT_EQ(code8.back(), 504 * 4);
}

TEST(Abfloat, EveryCodeOfEveryTypeComesBackAndTheTwoZerosDecodeToZero) {
  for (const Abfloat& type : {kOutlierOfInt4, kOutlierOfFlint4, kOutlierOfInt8, kOutlierOfInt8Code,
                              kOutlierOfUint4, kOutlierOfUflint4}) {
    for (std::uint32_t code = 0; code < 2 * type.sign_bit(); ++code) {
      const ExponentInteger x = abfloat_decode(code, type);
      if ((code & (type.sign_bit() - 1)) == 0) {
        EXPECT_EQ(x, ExponentInteger{});
        continue;
      }
      EXPECT_EQ(abfloat_encode(static_cast<std::int32_t>(x.value()), type), code);
    }
    EXPECT_EQ(type.smallest(), abfloat_magnitudes(type).front());
    EXPECT_EQ(type.largest(), abfloat_magnitudes(type).back());
  }
}

// §1.7: E2M1 operands are <2..5, +-2 or 3> beside int4 and <3..6, +-2 or 3> beside flint4.
TEST(Abfloat, OperandsHaveTheRangesOfTheDecoder) {
  std::set<int> exponents4, exponents_flint;
  for (std::uint32_t code = 1; code < 8; ++code) {
    exponents4.insert(abfloat_decode(code, kOutlierOfInt4).exponent);
    exponents_flint.insert(abfloat_decode(code, kOutlierOfFlint4).exponent);
    EXPECT_THAT(abfloat_decode(code, kOutlierOfInt4).integer, testing::AnyOf(2, 3));
    EXPECT_THAT(abfloat_decode(code | 8, kOutlierOfInt4).integer, testing::AnyOf(-2, -3));
  }
  EXPECT_THAT(exponents4, ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(exponents_flint, ElementsAre(3, 4, 5, 6));
}

TEST(Abfloat, ValuesOffTheGridAndTheMissingSmallestAreRefused) {
  for (const std::int32_t value : {0, 7, 8, 13, 20, 95, 97, 128, -8, -13}) {
    EXPECT_THROW(abfloat_encode(value, kOutlierOfInt4), std::invalid_argument) << value;
  }
}

TEST(Abfloat, TheBiasIsTheSmallestAboveTheNormalValues) {
  EXPECT_EQ(abfloat_bias(1, 7), 2u);
  EXPECT_EQ(abfloat_bias(1, 16), 3u);
  EXPECT_EQ(abfloat_bias(3, 127), 4u);
  // The released quantiser's unsigned grids follow the same rule.
  EXPECT_EQ(abfloat_bias(2, 15), 2u);
  EXPECT_EQ(abfloat_bias(2, 64), 4u);
}

TEST(AntCodec, AMatrixOfGridValuesSurvivesAndItsBytesComeBack) {
  for (const Format format : kGrids) {
    QuantSpec spec;
    spec.format = format;
    spec.granularity = Granularity::channel;
    std::vector<float> values;
    for (int row = 0; row < 3; ++row) {
      for (const std::int32_t v : ant_values(format))
        values.push_back(std::ldexp(static_cast<float>(v), row - 1));
      values.push_back(0.0f);  // 17 columns: a row does not fill its bytes
    }
    const CodedMatrix m = encode(values, 3, 17, spec);
    EXPECT_EQ(decode(m), values) << name_of(format);
    const auto bytes = pack(m);
    EXPECT_EQ(bytes.size(), 3u * 9 + 3 * 4);
    const CodedMatrix back = unpack(bytes, 3, 17, spec);
    EXPECT_EQ(back.codes, m.codes);
    EXPECT_EQ(back.scales, m.scales);
    float unit = 0;
    const auto integers = element_integers(m, unit);
    ASSERT_TRUE(integers);
    EXPECT_EQ(unit, 1.0f);
    EXPECT_EQ((*integers)[9], ant_values(format)[9]);
    EXPECT_EQ(integer_grid(spec)->integers, by_code(format));
  }
}

}  // namespace
}  // namespace systole::quant
