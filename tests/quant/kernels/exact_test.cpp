// The decomposition of floats and the one rounding back; accumulators that overflow.
#include "quant/kernels/exact.hpp"

#include <limits>

#include "operands.hpp"
#include "quant/kernels/overflow.hpp"

namespace systole::quant {
namespace {

using testing_operands::same_bits;

TEST(Parts, RebuildEveryFiniteHalf) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Fp16 h = Fp16::from_bits(static_cast<std::uint16_t>(bits));
    if (!is_finite(h)) continue;
    const Parts p = parts_of(h);
    ASSERT_EQ(std::ldexp(static_cast<float>(p.significand), p.exponent), h.decode());
    ASSERT_LT(std::abs(p.significand), 2048);
    const Parts f = parts_of(h.decode());
    ASSERT_EQ(std::ldexp(static_cast<float>(f.significand), f.exponent), h.decode());
  }
}

TEST(RoundScaled, RoundsAsTheConversionOfAWideIntegerDoes) {
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < testing_operands::kCases; ++i) {
    const auto v = static_cast<std::int64_t>(random.next()) >> (random.next() % 64);
    ASSERT_TRUE(same_bits(round_scaled(v, 0), static_cast<float>(v))) << v;
    ASSERT_TRUE(same_bits(round_scaled(Int128{v} << 40, -40), static_cast<float>(v))) << v;
  }
}

TEST(RoundScaled, RoundsOnceAtEveryExponentOfTheFormat) {
  // A double of 53 bits to float by the hardware: subnormals, overflow and ties included.
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < testing_operands::kCases; ++i) {
    const auto v = static_cast<std::int64_t>(random.next() >> 11) >> (random.next() % 53);
    const int exponent = testing_operands::pick(random, -220, 140);
    const double d = std::ldexp(static_cast<double>(v), exponent);
    ASSERT_TRUE(same_bits(round_scaled(v, exponent), static_cast<float>(d)))
        << v << " " << exponent;
    ASSERT_TRUE(
        same_bits(round_scaled(-Int128{v}, exponent), v == 0 ? 0.0f : static_cast<float>(-d)));
  }
}

TEST(RoundScaled, KeepsTiesThatAreOnlyNearlyTies) {
  const Int128 one = Int128{1} << 100;
  EXPECT_EQ(round_scaled(one + (one >> 24), -100), 1.0f);
  EXPECT_EQ(round_scaled(one + (one >> 24) + 1, -100), 1.0f + 0x1p-23f);
  EXPECT_EQ(round_scaled(1, -150), 0.0f);  // half the least subnormal: a tie, even is zero
  EXPECT_EQ(round_scaled(3, -151), std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(round_scaled(1, -1000), 0.0f);
  EXPECT_EQ(round_scaled(1, 128), std::numeric_limits<float>::infinity());
  EXPECT_EQ(round_scaled_fp16(65519, 0).to_bits(), 0x7BFFu);
  EXPECT_EQ(round_scaled_fp16(65520, 0).to_bits(), 0x7C00u);
  EXPECT_EQ(round_scaled_fp16(1, -25).to_bits(), 0u);
  EXPECT_EQ(round_scaled_fp16(3, -26).to_bits(), 1u);
}

TEST(Accumulate, WrapsSaturatesOrRefuses) {
  constexpr std::int32_t kMax = std::numeric_limits<std::int32_t>::max();
  constexpr std::int32_t kMin = std::numeric_limits<std::int32_t>::min();
  std::int32_t acc = kMax;
  accumulate(acc, 1, Overflow::wrap);
  EXPECT_EQ(acc, kMin);
  accumulate(acc, -2, Overflow::saturate);
  EXPECT_EQ(acc, kMin);
  acc = kMax - 1;
  accumulate(acc, 5, Overflow::saturate);
  EXPECT_EQ(acc, kMax);
  EXPECT_THROW(accumulate(acc, 1, Overflow::error), std::overflow_error);
  EXPECT_EQ(acc, kMax);
  accumulate(acc, -1, Overflow::error);
  EXPECT_EQ(acc, kMax - 1);
}

TEST(Accumulate, HoldsRegistersOfAnyWidth) {
  for (unsigned bits = 2; bits <= 16; ++bits) {
    const std::int64_t top = (std::int64_t{1} << (bits - 1)) - 1;
    for (const std::int64_t value : {top + 1, std::int64_t{3} * (top + 1), -top - 2, -3 * top}) {
      std::int64_t acc = 0;
      accumulate(acc, value, bits, Overflow::wrap);
      EXPECT_EQ((acc - value) % (2 * (top + 1)), 0);
      EXPECT_TRUE(acc <= top && acc >= -top - 1);
      acc = 0;
      accumulate(acc, value, bits, Overflow::saturate);
      EXPECT_EQ(acc, value > 0 ? top : -top - 1);
    }
  }
  std::int64_t acc = std::numeric_limits<std::int64_t>::max();
  accumulate(acc, 1, 64, Overflow::wrap);
  EXPECT_EQ(acc, std::numeric_limits<std::int64_t>::min());
  accumulate(acc, -1, 64, Overflow::saturate);
  EXPECT_EQ(acc, std::numeric_limits<std::int64_t>::min());
}

}  // namespace
}  // namespace systole::quant
