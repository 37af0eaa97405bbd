// MX and NVFP4 blocks: values worked out by hand and by a second computation in double, and each
// published variant where it differs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>

#include "quant/coded_matrix.hpp"
#include "quant/formats/minifloat.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

using testing::Each;
using testing::ElementsAre;

QuantSpec block(Format format, ScaleRule rule = ScaleRule::standard,
                Rounding rounding = Rounding::even) {
  QuantSpec s;
  s.format = format;
  s.scale_rule = rule;
  s.rounding = rounding;
  return s;
}

std::vector<float> filled(std::vector<float> first, std::size_t size) {
  first.resize(size, 0.0f);
  return first;
}

TEST(MxBlocks, ShareThePowerOfTwoThatFitsTheLargestElement) {
  // amax 5: floor(log2 5) = 2, minus emax 2: X = 1. Ties to even: 2.5 -> 2, 0.25 -> 0, 0.75 -> 1.
  const auto x = filled({5, -2.5f, 0.25f, 0.75f, 3.5f, -6.5f}, 32);
  const auto m = encode(x, 1, 32, block(Format::mxfp4));
  EXPECT_THAT(m.scales, ElementsAre(1.0f));
  const auto y = decode(m);
  EXPECT_THAT(std::vector<float>(y.begin(), y.begin() + 6), ElementsAre(4, -2, 0, 1, 4, -6));
  // Away (Microsoft's library) and down (FP-Quant) decide the same ties otherwise.
  const auto away = decode(encode(x, 1, 32, block(Format::mxfp4, {}, Rounding::away)));
  EXPECT_THAT(std::vector<float>(away.begin(), away.begin() + 6),
              ElementsAre(6, -3, 0.5f, 1, 4, -6));
  const auto down = decode(encode(x, 1, 32, block(Format::mxfp4, {}, Rounding::down)));
  EXPECT_THAT(std::vector<float>(down.begin(), down.begin() + 6),
              ElementsAre(4, -2, 0, 0.5f, 3, -6));
}

TEST(MxBlocks, SaturateWhatLiesBeyondTheLargestElement) {
  const auto y = decode(encode(filled({7.9f}, 32), 1, 32, block(Format::mxfp4)));
  EXPECT_EQ(y[0], 6.0f);  // X = 1: 7.9 is beyond 6
  const auto z = decode(encode(filled({1.99f, -1.999f}, 32), 1, 32, block(Format::mxint8)));
  EXPECT_EQ(z[0], 127.0f / 64);
  EXPECT_EQ(z[1], -127.0f / 64);
}

TEST(MxBlocks, EnlargedScaleOfFpQuantKeepsTheLargestElement) {
  const auto m = encode(filled({7.9f, 1}, 32), 1, 32,
                        block(Format::mxfp4, ScaleRule::enlarged, Rounding::down));
  EXPECT_THAT(m.scales, ElementsAre(1.0f));  // stored: X
  const auto y = decode(m);                  // 7.9 * 3/4 = 5.925 -> 6; 1 * 3/4 = 0.75 -> 0.5 (down)
  EXPECT_EQ(y[0], 6.0f * (1.0f / 0.75f));
  EXPECT_EQ(y[1], 0.5f * (1.0f / 0.75f));
}

TEST(MxBlocks, SigmaScaleFollowsTheDeviationOfTheBlock) {
  // Half +3, half -3: sigma 3, times 3/4 = 2.25: X = 2; elements 1.5.
  std::vector<float> x(32, 3.0f);
  for (std::size_t i = 0; i < 32; i += 2) x[i] = -3.0f;
  const auto m = encode(x, 1, 32, block(Format::mxfp4, ScaleRule::sigma));
  EXPECT_THAT(m.scales, ElementsAre(2.0f));
  EXPECT_EQ(decode(m), x);
  // A constant block has sigma 0: 1e-8 is what is left, 2^-27.
  const auto c =
      encode(std::vector<float>(32, 1.0f), 1, 32, block(Format::mxfp4, ScaleRule::sigma));
  EXPECT_THAT(c.scales, ElementsAre(0x1p-27f));
  EXPECT_THROW(encode(x, 1, 32, block(Format::mxfp8_e4m3, ScaleRule::sigma)),
               std::invalid_argument);
}

TEST(MxBlocks, ZeroAndTheSmallestValuesTakeTheSmallestScale) {
  const auto zero = encode(std::vector<float>(32, -0.0f), 1, 32, block(Format::mxfp4));
  EXPECT_THAT(zero.scales, ElementsAre(0x1p-127f));
  EXPECT_THAT(decode(zero), Each(0.0f));
  const float tiny = std::numeric_limits<float>::denorm_min();
  const auto m = encode(filled({tiny}, 32), 1, 32, block(Format::mxfp8_e5m2));
  EXPECT_THAT(m.scales, ElementsAre(0x1p-127f));
  EXPECT_THAT(decode(m), Each(0.0f));  // 2^-149 / 2^-127 = 2^-22 is below half of E5M2's 2^-16
  const float huge = std::numeric_limits<float>::max();
  EXPECT_EQ(decode(encode(filled({huge}, 32), 1, 32, block(Format::mxint8)))[0],
            127.0f / 64 * 0x1p127f);
  // Elements far below the scale keep their direction when rounding is towards -infinity.
  const auto f = encode(filled({huge, -tiny}, 32), 1, 32,
                        block(Format::mxfp4, ScaleRule::standard, Rounding::floor));
  EXPECT_EQ(E2M1::from_bits(static_cast<std::uint8_t>(f.codes[1])).decode(), -0.5f);
}

/// The rule of accelerators.md §7.2 in double, with frexp and ldexp: shares no code with the codec.
template <class F>
void check_mx(Format format, int emax) {
  EXPECT_TRUE(rc::check("every element is the nearest one at the block's power of two", [&] {
    const auto cols = *rc::gen::inRange<std::size_t>(1, 70);
    const auto raw = *rc::gen::container<std::vector<int>>(cols, rc::gen::inRange(-5000, 5000));
    const auto shift = *rc::gen::inRange(-140, 100);
    std::vector<float> x;
    for (const int v : raw) x.push_back(std::ldexp(static_cast<float>(v), shift));
    const auto m = encode(x, 1, cols, block(format));
    const auto y = decode(m);
    RC_ASSERT(m.groups == (cols + 31) / 32);
    for (std::size_t g = 0; g < m.groups; ++g) {
      const std::size_t end = std::min(cols, g * 32 + 32);  // the last block is shorter
      double amax = 0;
      for (std::size_t i = g * 32; i < end; ++i)
        amax = std::max(amax, std::fabs(static_cast<double>(x[i])));
      int exponent = 0;
      std::frexp(amax, &exponent);
      const int e = amax == 0 ? -127 : std::max(exponent - 1 - emax, -127);
      RC_ASSERT(static_cast<double>(m.scales[g]) == std::ldexp(1.0, e));
      for (std::size_t i = g * 32; i < end; ++i) {
        const double target = static_cast<double>(x[i]);
        const double error = std::fabs(static_cast<double>(y[i]) - target);
        for (unsigned code = 0; code < (1u << F::kBits); ++code) {
          const F f = F::from_bits(static_cast<std::uint8_t>(code));
          if (f.is_nan() || f.is_infinite()) continue;
          const double candidate = std::ldexp(static_cast<double>(f.decode()), e);
          RC_ASSERT(error <= std::fabs(candidate - target));
        }
      }
    }
  }));
}

TEST(MxBlocks, ChooseTheNearestElementInEveryElementFormat) {
  check_mx<E2M1>(Format::mxfp4, 2);
  check_mx<E3M2>(Format::mxfp6_e3m2, 4);
  check_mx<E2M3>(Format::mxfp6_e2m3, 2);
  check_mx<E4M3>(Format::mxfp8_e4m3, 8);
  check_mx<E5M2>(Format::mxfp8_e5m2, 15);
}

TEST(MxBlocks, Int8ElementsAreSixtyFourths) {
  const auto m =
      encode(filled({1.0f, -0.5f, 0.0078125f, 0.0234375f}, 32), 1, 32, block(Format::mxint8));
  EXPECT_EQ(m.scales[0], 1.0f);
  EXPECT_EQ(m.codes[0], 64);
  EXPECT_EQ(m.codes[1], 0xE0);
  EXPECT_EQ(m.codes[2], 0);  // half a step: ties to even
  EXPECT_EQ(m.codes[3], 2);  // one and a half
  const auto grid = integer_grid(block(Format::mxint8));
  ASSERT_TRUE(grid);
  EXPECT_EQ(grid->integers[0x80], -128);
  EXPECT_EQ(grid->unit, 0x1p-6f);
}

TEST(MxBlocks, StoreTheBitsThatAreQuoted) {
  EXPECT_EQ(stored_bits(64, 4096, block(Format::mxfp4)), 64u * 4096 * 425 / 100);
  EXPECT_EQ(stored_bits(64, 4096, block(Format::mxfp6_e2m3)), 64u * 4096 * 625 / 100);
  EXPECT_EQ(stored_bits(64, 4096, block(Format::mxfp8_e4m3)), 64u * 4096 * 825 / 100);
  EXPECT_EQ(stored_bits(64, 4096, block(Format::mxint8)), 64u * 4096 * 825 / 100);
  EXPECT_EQ(stored_bits(64, 4096, block(Format::nvfp4)), 64u * 4096 * 45 / 10 + 32);
  // Forty elements: a whole block and one of eight.
  EXPECT_EQ(stored_bits(1, 40, block(Format::mxfp4)), 40u * 4 + 2 * 8);
}

TEST(NvFp4, ScalesABlockByE4M3AndTheTensorByAFloat) {
  // Tensor maximum 2688: t = 1. Block maximum 30: 30 / 6 = 5 is an E4M3 value; elements x / 5.
  auto x = filled({2688}, 32);
  x[16] = 30;
  x[17] = 15;
  x[18] = -7.5f;
  const auto m = encode(x, 1, 32, block(Format::nvfp4));
  EXPECT_EQ(m.tensor_scale, 1.0f);
  EXPECT_THAT(m.scales, ElementsAre(448.0f, 5.0f));
  const auto y = decode(m);
  EXPECT_EQ(y[0], 2688.0f);
  EXPECT_EQ(y[16], 30.0f);
  EXPECT_EQ(y[17], 15.0f);
  EXPECT_EQ(y[18], -7.5f);
}

TEST(NvFp4, ElementsFirstUsesTheUnroundedScaleForTheCodes) {
  // Block maximum 31: b' = 5.1667, E4M3 gives 5. x = 24.5: over 5 it is 4.9 (-> 4), over 5.1667
  // it is 4.742 (-> 4). x = 25.5: 5.1 (-> 6) against 4.935 (-> 4).
  auto x = filled({2688}, 32);
  x[16] = 31;
  x[17] = 24.5f;
  x[18] = 25.5f;
  const auto standard = encode(x, 1, 32, block(Format::nvfp4));
  const auto first = encode(x, 1, 32, block(Format::nvfp4, ScaleRule::elements_first));
  EXPECT_EQ(standard.scales[1], 5.0f);
  EXPECT_EQ(first.scales[1], 5.0f);
  EXPECT_EQ(decode(standard)[17], 20.0f);
  EXPECT_EQ(decode(first)[17], 20.0f);
  EXPECT_EQ(decode(standard)[18], 30.0f);
  EXPECT_EQ(decode(first)[18], 20.0f);
  EXPECT_THROW(encode(x, 1, 32, block(Format::nvfp4, ScaleRule::sigma)), std::invalid_argument);
}

TEST(NvFp4, ZeroTensorsAndBlocksDecodeToZero) {
  EXPECT_THAT(decode(encode(std::vector<float>(40, 0.0f), 1, 40, block(Format::nvfp4))),
              Each(0.0f));
  auto x = filled({1e30f}, 32);
  x[20] = 1e-30f;  // its block scale is far below 2^-9: it underflows to 0
  EXPECT_EQ(decode(encode(x, 1, 32, block(Format::nvfp4)))[20], 0.0f);
}

}  // namespace
}  // namespace systole::quant
