// Fixed-point steps, and the multiplication that is an addition.
#include "quant/kernels/fixed_point.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "operands.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(ShiftRight, RoundsTiesAsEachRuleSays) {
  //  -2.5, -1.5, -0.5, 0.5, 1.5, 2.5 and what is nearly a tie
  const auto all = [](Rounding r) {
    std::vector<std::int64_t> v;
    for (const std::int64_t x : {-10, -6, -2, 2, 6, 10, 7, -7, 1, -1})
      v.push_back(shift_right(x, 2, r));
    return v;
  };
  using testing::ElementsAre;
  EXPECT_THAT(all(Rounding::even), ElementsAre(-2, -2, 0, 0, 2, 2, 2, -2, 0, 0));
  EXPECT_THAT(all(Rounding::away), ElementsAre(-3, -2, -1, 1, 2, 3, 2, -2, 0, 0));
  EXPECT_THAT(all(Rounding::half_up), ElementsAre(-2, -1, 0, 1, 2, 3, 2, -2, 0, 0));
  EXPECT_THAT(all(Rounding::down), ElementsAre(-2, -1, 0, 0, 1, 2, 2, -2, 0, 0));
  EXPECT_THAT(all(Rounding::floor), ElementsAre(-3, -2, -1, 0, 1, 2, 1, -2, 0, -1));
  EXPECT_EQ(shift_right(-5, 0, Rounding::floor), -5);
  EXPECT_EQ(shift_right(std::numeric_limits<std::int64_t>::min(), 62, Rounding::even), -2);
}

TEST(FixedEncode, SaturatesAndRounds) {
  const FixedFormat q34{3, 4};  // 8 bits: -8 ... 7.9375
  EXPECT_EQ(fixed_encode(100.0f, q34, Rounding::even), 127);
  EXPECT_EQ(fixed_encode(-100.0f, q34, Rounding::even), -128);
  EXPECT_EQ(fixed_encode(std::numeric_limits<float>::max(), q34, Rounding::even), 127);
  EXPECT_EQ(fixed_encode(1.0f / 32, q34, Rounding::even), 0);
  EXPECT_EQ(fixed_encode(1.0f / 32, q34, Rounding::away), 1);
  EXPECT_EQ(fixed_encode(-0x1p-149f, q34, Rounding::floor), -1);
  EXPECT_EQ(fixed_decode(-128, q34), -8.0f);
  for (int code = -128; code <= 127; ++code) {
    EXPECT_EQ(fixed_encode(fixed_decode(code, q34), q34, Rounding::even), code);
  }
  EXPECT_THROW(fixed_encode(kInfinity, q34, Rounding::even), std::invalid_argument);
  EXPECT_THROW(fixed_encode(1.0f, {31, 31}, Rounding::even), std::invalid_argument);
}

TEST(FixedMac, EqualsExactArithmeticInAMillionRandomCases) {
  SYSTOLE_SEEDED(random);
  const FixedFormat operand{3, 4};
  const FixedFormat wide{15, 8};  // all 8 fraction bits of the product: nothing is rounded
  for (std::uint64_t i = 0; i < kCases; ++i) {
    const auto n = static_cast<std::size_t>(pick(random, 0, 5));
    const auto a = integers<std::int32_t>(random, n, -128, 127);
    const auto b = integers<std::int32_t>(random, n, -128, 127);
    std::int32_t expected = 0;
    for (std::size_t k = 0; k < n; ++k) expected += a[k] * b[k];
    ASSERT_EQ(fixed_dot(a, operand, b, operand, wide, Rounding::floor, Overflow::error), expected);
  }
}

TEST(FixedMac, RoundsEachProductAndSaturatesEachSum) {
  const FixedFormat q12{1, 2};  // four bits: -2 ... 1.75
  const std::vector<std::int32_t> a{7, 7, -8};
  const std::vector<std::int32_t> b{7, 1, 7};
  // 1.75^2 = 3.06 saturates at 1.75; + 0.4375 (1.75/4 -> code 2 by rounding) stays; - 3.5 -> -1.75.
  EXPECT_EQ(fixed_dot(a, q12, b, q12, q12, Rounding::even, Overflow::saturate), 7 - 14);
  EXPECT_THROW(fixed_dot(a, q12, b, q12, q12, Rounding::even, Overflow::error),
               std::overflow_error);
  // 49/4 = 12.25 -> 12 wraps to -4; + 7/4 -> 2: -2; - 14: -16 wraps to 0.
  EXPECT_EQ(fixed_dot(a, q12, b, q12, q12, Rounding::even, Overflow::wrap), 0);
  std::int32_t acc = 0;
  EXPECT_THROW(fixed_mac(acc, q12, 8, q12, 0, q12, Rounding::even, Overflow::wrap),
               std::invalid_argument);
  const FixedFormat fine{0, 31};
  fixed_mac(acc, fine, 1, q12, 1, q12, Rounding::even, Overflow::error);  // 1/16
  EXPECT_EQ(acc, 1 << 27);
}

TEST(FpmaMultiply, IsMitchellsApproximationForEveryPairOfMantissas) {
  // (1 + x)(1 + y) becomes 1 + x + y, or 2 (x + y) past a carry: never above, at most 1/9 below.
  double worst = 0;
  for (std::uint32_t x = 0; x < 1024; ++x) {
    for (std::uint32_t y = 0; y < 1024; ++y) {
      const Fp16 a = Fp16::from_bits(static_cast<std::uint16_t>(0x3C00u | x));
      const Fp16 b = Fp16::from_bits(static_cast<std::uint16_t>(0xBC00u | y));
      const double exact = static_cast<double>(a.decode()) * static_cast<double>(b.decode());
      const double actual = static_cast<double>(fpma_multiply(a, b).decode());
      ASSERT_GE(actual, exact);  // negative: never above in magnitude
      worst = std::max(worst, 1 - actual / exact);
      if (x == 0 || y == 0) {
        ASSERT_EQ(actual, exact);
      }
      const double m = (x + y) / 1024.0;
      ASSERT_EQ(actual, m < 1 ? -(1 + m) : -2 * m);
    }
  }
  EXPECT_DOUBLE_EQ(worst, 1.0 / 9.0);  // at x = y = 1/2
}

TEST(FpmaMultiply, DefinesTheEndsOfTheRange) {
  const auto f = [](float a, float b) {
    return fpma_multiply(Fp16::encode(a), Fp16::encode(b)).decode();
  };
  EXPECT_TRUE(same_bits(f(0.0f, -2.0f), -0.0f));
  EXPECT_TRUE(same_bits(f(0x1p-24f, 1024.0f), 0.0f));  // subnormal operands count as zero
  EXPECT_TRUE(same_bits(f(0x1p-10f, 0x1p-10f), 0.0f));
  EXPECT_EQ(f(0x1p-7f, 0x1p-7f), 0x1p-14f);
  EXPECT_EQ(f(-256.0f, 256.0f), -kInfinity);
  EXPECT_EQ(f(32768.0f, 1.5f), 49152.0f);
  EXPECT_TRUE(std::isnan(f(kInfinity, 0.0f)));
  EXPECT_EQ(f(kInfinity, -1.0f), -kInfinity);
  EXPECT_EQ(fpma_multiply(Fp16::encode(1.5f), Fp16::encode(1.5f), 64).to_bits(),
            Fp16::encode(2.0f).to_bits() + 64);
  EXPECT_THROW(fpma_multiply(Fp16(), Fp16(), 1 << 20), std::invalid_argument);
  const auto a = halves(std::vector<float>{2, 3});
  const auto b = halves(std::vector<float>{4, 1});
  EXPECT_EQ(fpma_dot(a, b), 11.0f);
  EXPECT_THROW(fpma_dot(a, std::span(b).first(1)), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
