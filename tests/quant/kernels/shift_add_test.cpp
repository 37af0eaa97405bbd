// Shift and add is the multiplication, code by code and dot by dot.
#include "quant/kernels/shift_add.hpp"

#include <limits>

#include "operands.hpp"
#include "quant/kernels/gemm.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;

/// The number that the low `bits` bits of a byte stand for.
int number(std::uint32_t code, unsigned bits, bool is_signed) {
  const int value = static_cast<int>(code & ((1u << bits) - 1));
  return is_signed && (value >> (bits - 1)) != 0 ? value - (1 << bits) : value;
}

TEST(ShiftAddProduct, EqualsTheMultiplicationOfEveryPair) {
  for (const bool is_signed : {false, true}) {
    for (unsigned bits = 1; bits <= 8; ++bits) {
      for (std::uint32_t code = 0; code < (1u << bits); ++code) {
        for (int a = -128; a <= 127; ++a) {
          ASSERT_EQ(shift_add_product(a, code, bits, is_signed), a * number(code, bits, is_signed));
        }
      }
    }
  }
  EXPECT_THROW(shift_add_product(1, 0, 0, true), std::invalid_argument);
  EXPECT_THROW(shift_add_product(1, 0, 9, true), std::invalid_argument);
}

TEST(ShiftAddDot, EqualsTheDotProductInAMillionRandomCases) {
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < kCases; ++i) {
    const auto n = static_cast<std::size_t>(pick(random, 0, 9));
    const bool is_signed = random.next() % 2 == 0;
    const auto bits = static_cast<unsigned>(pick(random, 1, 8));
    const auto a = integers<std::int8_t>(random, n, -128, 127);
    const auto codes = integers<std::uint8_t>(random, n, 0, (1 << bits) - 1);
    std::int32_t expected = 0;
    for (std::size_t k = 0; k < n; ++k) expected += a[k] * number(codes[k], bits, is_signed);
    ASSERT_EQ(shift_add_dot(a, codes, bits, is_signed, Overflow::error), expected);
  }
}

TEST(AfterGroupDequantisation, SubtractsTheZeroOnceAGroupExactly) {
  // accelerators.md 3.1: sum a (q - z) = sum a q - z sum a.
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < kCases; ++i) {
    const auto n = static_cast<std::size_t>(pick(random, 1, 9));
    const auto a = integers<std::int8_t>(random, n, -128, 127);
    const auto codes = integers<std::uint8_t>(random, n, 0, 15);
    const int z = pick(random, 0, 15);
    std::int32_t before = 0;
    std::int32_t asum = 0;
    for (std::size_t k = 0; k < n; ++k) {
      before += a[k] * (codes[k] - z);
      asum += a[k];
    }
    ASSERT_EQ(shift_add_dot(a, codes, 4, false, Overflow::error) - z * asum, before);
  }
}

TEST(ShiftAddDot, FitsTheWidthsOfItsSource) {
  // |a q| <= 1024 (12 bits signed), 1920 unsigned; a group of 128 fits 19 bits.
  EXPECT_EQ(shift_add_product(-128, 8, 4, true), 1024);
  EXPECT_EQ(shift_add_product(-128, 15, 4, false), -1920);
  const std::vector<std::int8_t> a(128, -128);
  EXPECT_EQ(shift_add_dot(a, std::vector<std::uint8_t>(128, 15), 4, false, Overflow::error),
            -245760);
  EXPECT_LT(245760, 1 << 18);
}

TEST(ShiftAddDot, ObeysItsOverflowPolicy) {
  const std::size_t n = 66000;  // 66000 * 127 * 255 = 2137410000 < 2^31; 128 * 255 * 66000 is not
  const std::vector<std::uint8_t> codes(n, 255);
  const std::vector<std::int8_t> a(n, -128);
  const std::int64_t exact = std::int64_t{-128} * 255 * 66000;
  EXPECT_EQ(shift_add_dot(a, codes, 8, false, Overflow::saturate),
            std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(shift_add_dot(a, codes, 8, false, Overflow::wrap), static_cast<std::int32_t>(exact));
  EXPECT_THROW(shift_add_dot(a, codes, 8, false, Overflow::error), std::overflow_error);
}

TEST(GemmShiftAdd, HasTheBitsOfTheMultiplyingGemm) {
  SYSTOLE_SEEDED(random);
  for (const Shape& s : kShapes) {
    for (const Affine affine :
         {Affine::symmetric, Affine::float_min, Affine::integer_zero, Affine::float_zero}) {
      for (const Format format : {Format::int2, Format::int4, Format::int8}) {
        const auto a = activations(random, s.m, s.k);
        const auto w = weights(random, s.n, s.k, format, 32, affine);
        std::vector<float> expected(s.m * s.n);
        std::vector<float> actual(s.m * s.n);
        gemm_dequantise_after(a, w, expected);
        gemm_shift_add(a, w, actual);
        EXPECT_TRUE(same_bits(actual, expected));
      }
    }
  }
}

TEST(ShiftAddDotFp16, EqualsAFusedMultiplyAddForEveryActivationAndCode) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Fp16 h = Fp16::from_bits(static_cast<std::uint16_t>(bits));
    for (std::uint8_t code = 0; code < 16; ++code) {
      const float expected = std::fma(h.decode(), static_cast<float>(number(code, 4, true)), 0.0f);
      ASSERT_TRUE(same_bits(shift_add_dot_fp16({&h, 1}, {&code, 1}, 4, true), expected));
    }
  }
}

TEST(ShiftAddDotFp16, AccumulatesInOrderWithOneRoundingAStep) {
  SYSTOLE_SEEDED(random);
  for (int i = 0; i < 20000; ++i) {
    const auto n = static_cast<std::size_t>(pick(random, 0, 33));
    std::vector<Fp16> a;
    for (std::size_t k = 0; k < n; ++k) {
      a.push_back(Fp16::from_bits(static_cast<std::uint16_t>(random.next() & 0xBFFF)));
    }
    const auto codes = integers<std::uint8_t>(random, n, 0, 15);
    float acc = 0.0f;
    for (std::size_t k = 0; k < n; ++k) {
      acc = std::fma(a[k].decode(), static_cast<float>(number(codes[k], 4, true)), acc);
    }
    ASSERT_TRUE(same_bits(shift_add_dot_fp16(a, codes, 4, true), acc));
  }
}

}  // namespace
}  // namespace systole::quant
