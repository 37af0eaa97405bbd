#include "pe/design.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>

#include "pe/designs/fp16_mac.hpp"
#include "pe/designs/mixpe_w4a8.hpp"
#include "quant/float16.hpp"
#include "sim/core/error.hpp"

namespace systole::pe {
namespace {

using quant::Format;
using testing::AllOf;
using testing::HasSubstr;

template <class Action>
std::string config_error_of(Action action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no ConfigError";
}

TEST(ShiftAdd, EqualsTheMultiplyForEverySignedNibbleAndByte) {
  for (int w = -8; w <= 7; ++w) {
    for (int a = -128; a <= 127; ++a) {
      ASSERT_EQ(mixpe_w4a8::shift_add(static_cast<unsigned>(w) & 0xFu, true, a), w * a)
          << w << " x " << a;
    }
  }
}

TEST(ShiftAdd, EqualsTheMultiplyForEveryUnsignedNibbleAndByte) {
  for (unsigned w = 0; w <= 15; ++w) {
    for (int a = -128; a <= 127; ++a) {
      ASSERT_EQ(mixpe_w4a8::shift_add(w, false, a), static_cast<int>(w) * a) << w << " x " << a;
    }
  }
}

/// Every code of every format the design takes, all passes summed as the array sums them.
void expect_exact_products(const PeDesign& design) {
  for (const OperandPair& pair : design.pairs) {
    const int w_limit = 1 << (bits_of(pair.stationary) - 1);
    const int a_limit = 1 << (bits_of(pair.moving) - 1);
    for (int w = -w_limit; w < w_limit; ++w) {
      for (int a = -a_limit; a < a_limit; ++a) {
        AccumulatorWord sum = operand_word(0);
        for (unsigned pass = 0; pass < pair.passes; ++pass) {
          sum = design.multiply_accumulate(
              sum, design.slice(operand_word(w), pair.stationary, pass), operand_word(a));
        }
        ASSERT_EQ(static_cast<std::int32_t>(sum), w * a)
            << design.name << ": " << name_of(pair.stationary) << " " << w << " x "
            << name_of(pair.moving) << " " << a;
      }
    }
  }
}

TEST(IntegerDesigns, MultiplyEveryPairOfCodesExactly) {
  expect_exact_products(find_design("mixpe-w4a8"));
  expect_exact_products(find_design("int8-mac"));
}

TEST(IntegerDesigns, AccumulateUpToTheEndsOfInt32) {
  for (const char* name : {"mixpe-w4a8", "int8-mac"}) {
    const PeDesign& design = find_design(name);
    const StationarySlice seven = design.slice(operand_word(7), Format::int4, 0);
    // 7 * -128 = -896 lands exactly on INT32_MIN; and once more beyond zero.
    const AccumulatorWord near_end = static_cast<AccumulatorWord>(INT32_MIN + 896);
    EXPECT_EQ(
        static_cast<std::int32_t>(design.multiply_accumulate(near_end, seven, operand_word(-128))),
        INT32_MIN);
    EXPECT_EQ(static_cast<std::int32_t>(design.multiply_accumulate(operand_word(0), seven, 127)),
              889);
  }
}

TEST(MixPe, TakesFourBitWeightsInOnePassAndWiderOnesInTwo) {
  const PeDesign& design = find_design("mixpe-w4a8");
  EXPECT_EQ(design.passes(Format::int2, Format::int8), 1u);
  EXPECT_EQ(design.passes(Format::int4, Format::int8), 1u);
  EXPECT_EQ(design.passes(Format::int4, Format::int4), 1u);
  EXPECT_EQ(design.passes(Format::int5, Format::int8), 2u);
  EXPECT_EQ(design.passes(Format::int8, Format::int2), 2u);
  EXPECT_EQ(design.passes(Format::fp16, Format::int8), std::nullopt);
  EXPECT_EQ(design.pairs.size(), 49u);
}

TEST(MixPe, SlicesAWideWeightIntoAnUnsignedLowAndASignedHighNibble) {
  const PeDesign& design = find_design("mixpe-w4a8");
  // -93 = -6 * 16 + 3
  EXPECT_EQ(design.slice(operand_word(-93), Format::int8, 0), (StationarySlice{3, false, 0}));
  EXPECT_EQ(design.slice(operand_word(-93), Format::int8, 1), (StationarySlice{10, true, 4}));
  EXPECT_EQ(design.slice(operand_word(-2), Format::int3, 0), (StationarySlice{14, true, 0}));
}

TEST(Int8Mac, TakesEveryIntegerPairInOnePass) {
  const PeDesign& design = find_design("int8-mac");
  EXPECT_EQ(design.pairs.size(), 49u);
  for (const OperandPair& pair : design.pairs) EXPECT_EQ(pair.passes, 1u);
  EXPECT_EQ(design.passes(Format::int8, Format::int8), 1u);
  EXPECT_EQ(design.passes(Format::int8, Format::fp16), std::nullopt);
}

TEST(Fp16Mac, TakesFp16Only) {
  const PeDesign& design = find_design("fp16-mac");
  EXPECT_EQ(design.pairs, (std::vector<OperandPair>{{Format::fp16, Format::fp16, 1}}));
  EXPECT_EQ(design.accumulator, "fp32");
  EXPECT_THAT(config_error_of([&] { design.require_passes(Format::int4, Format::fp16); }),
              AllOf(HasSubstr("'fp16-mac' cannot multiply int4 (stationary) by fp16 (moving)"),
                    HasSubstr("it takes fp16 x fp16")));
}

TEST(Fp16Mac, ProductIsTheExactProductOfEveryCodeWithTellingOnes) {
  // Zeros, the ends of the subnormals and of the normals, one and its neighbours, an odd
  // significand, infinities, NaN.
  constexpr std::array<std::uint16_t, 14> kTelling = {0x0000, 0x8000, 0x0001, 0x03FF, 0x8400,
                                                      0x3C00, 0x3BFF, 0xBC01, 0x3555, 0x7BFF,
                                                      0xFBFF, 0x7C00, 0xFC00, 0x7E00};
  for (const std::uint16_t other : kTelling) {
    for (unsigned code = 0; code <= 0xFFFF; ++code) {
      const auto bits = static_cast<std::uint16_t>(code);
      // 11 x 11 bits and exponents within fp32's: native multiplication is exact too.
      const float expected =
          quant::Fp16::from_bits(bits).decode() * quant::Fp16::from_bits(other).decode();
      const float product = fp16_mac::product(bits, other);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(product)) << code << " x " << other;
      } else {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(product), std::bit_cast<std::uint32_t>(expected))
            << code << " x " << other;
      }
    }
  }
}

TEST(Fp16Mac, RoundsTheSumOnceToNearestEven) {
  const PeDesign& design = find_design("fp16-mac");
  const auto sum = [&](float accumulator, float w, float a) {
    const AccumulatorWord word =
        design.multiply_accumulate(std::bit_cast<AccumulatorWord>(accumulator),
                                   design.slice(quant::Fp16::encode(w).to_bits(), Format::fp16, 0),
                                   quant::Fp16::encode(a).to_bits());
    return std::bit_cast<float>(word);
  };
  EXPECT_EQ(sum(1.5f, 2.0f, -3.0f), -4.5f);
  EXPECT_EQ(sum(0x1p24f, 1.0f, 1.0f), 0x1p24f);                         // tie, even below
  EXPECT_EQ(sum(0x1.000002p24f, 1.0f, 1.0f), 0x1.000004p24f);           // tie, even above
  EXPECT_EQ(std::bit_cast<std::uint32_t>(sum(0.0f, -0.0f, 1.0f)), 0u);  // +0 + -0 = +0
}

TEST(Designs, HaveTheNamesThatTheEnergyTablesPrice) {
  std::vector<std::string> names;
  for (const PeDesign& design : all_designs()) {
    names.push_back(design.name);
    EXPECT_FALSE(design.summary.empty());
    EXPECT_FALSE(design.source.empty());
    EXPECT_NE(design.multiply_accumulate, nullptr);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"mixpe-w4a8", "int8-mac", "fp16-mac"}));
}

TEST(Designs, AnUnknownNameGetsTheNearestOne) {
  EXPECT_THAT(config_error_of([] { find_design("mixpe-w4a4"); }),
              AllOf(HasSubstr("mixpe-w4a4"), HasSubstr("did you mean 'mixpe-w4a8'")));
}

}  // namespace
}  // namespace systole::pe
