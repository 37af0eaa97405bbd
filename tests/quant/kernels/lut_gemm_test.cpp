// Look-up with recoded weights is the integer product; eight-bit tables err by at most half a step.
#include "quant/kernels/lut_gemm.hpp"

#include <limits>

#include "operands.hpp"
#include "quant/kernels/gemm.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;

int number(std::uint32_t code, unsigned bits, bool is_signed) {
  const int value = static_cast<int>(code & ((1u << bits) - 1));
  return is_signed && (value >> (bits - 1)) != 0 ? value - (1 << bits) : value;
}

TEST(LutTable, HoldsEverySignedSumInHalfItsEntries) {
  const std::vector<std::int32_t> a{1, 10, 100, 1000};
  const LutTable table = lut_table(a);
  for (unsigned i = 0; i < 16; ++i) {
    int sum = 0;
    for (unsigned j = 0; j < 4; ++j) sum += ((i >> j) & 1u) != 0 ? a[j] : -a[j];
    EXPECT_EQ(lut_entry(table, i), sum);
    EXPECT_EQ(lut_entry(table, ~i & 15u), -sum);  // the mirror
  }
  EXPECT_EQ(table.sum, 1111);
  EXPECT_THROW(lut_table(std::vector<std::int32_t>(5)), std::invalid_argument);
}

TEST(LutDot, EqualsTheDotProductInAMillionRandomCases) {
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < kCases; ++i) {
    const auto n = static_cast<std::size_t>(pick(random, 0, 9));
    const bool is_signed = random.next() % 2 == 0;
    const auto bits = static_cast<unsigned>(pick(random, 1, 8));
    const auto a = integers<std::int8_t>(random, n, -128, 127);
    const auto codes = integers<std::uint8_t>(random, n, 0, 255);  // bits above `bits` are ignored
    std::int64_t expected = 0;
    for (std::size_t k = 0; k < n; ++k) expected += a[k] * number(codes[k], bits, is_signed);
    ASSERT_EQ(lut_dot(a, codes, bits, is_signed), expected);
  }
  EXPECT_THROW(lut_dot({}, {}, 0, true), std::invalid_argument);
}

TEST(GemmLut, HasTheBitsOfTheMultiplyingGemm) {
  SYSTOLE_SEEDED(random);
  for (const Shape& s : kShapes) {
    for (const Affine affine :
         {Affine::symmetric, Affine::float_min, Affine::integer_zero, Affine::float_zero}) {
      for (const Format format : {Format::int2, Format::int3, Format::int8}) {
        const auto a = activations(random, s.m, s.k);
        const auto w = weights(random, s.n, s.k, format, 64, affine);
        std::vector<float> expected(s.m * s.n);
        std::vector<float> actual(s.m * s.n);
        gemm_dequantise_after(a, w, expected);
        gemm_lut(a, w, actual);
        EXPECT_TRUE(same_bits(actual, expected));
      }
    }
  }
}

TEST(LutDotInt8Tables, IsExactWhereTheTablesAre) {
  // Largest four-sum 127: s = 1, every entry an integer.
  const std::vector<float> a{100, -20, 4, 3, 0, 1, -2, 50};
  const std::vector<std::uint8_t> codes{1, 7, 0, 15, 8, 9, 3, 2};
  for (const bool is_signed : {false, true}) {
    float expected = 0;
    for (std::size_t k = 0; k < 8; ++k)
      expected += a[k] * static_cast<float>(number(codes[k], 4, is_signed));
    EXPECT_EQ(lut_dot_int8_tables(a, codes, 4, is_signed, 8), expected);
  }
}

TEST(LutDotInt8Tables, ErrsByAtMostHalfAStepAPlaneAndFour) {
  SYSTOLE_SEEDED(random);
  for (int i = 0; i < 2000; ++i) {
    const auto n = static_cast<std::size_t>(pick(random, 1, 70));
    const auto a = normals(random, n);
    const auto codes = integers<std::uint8_t>(random, n, 0, 15);
    double expected = 0;
    double largest = 0;
    for (std::size_t k = 0; k < n; ++k) {
      expected += static_cast<double>(a[k]) * number(codes[k], 4, true);
      largest = std::max(largest, std::fabs(static_cast<double>(a[k])) * 4);
    }
    // Each entry is off by half of s <= largest / 127; the planes weigh 15 and half of that counts.
    const double bound = 0.5 * 15 * 0.5 * (largest / 127) * static_cast<double>((n + 3) / 4) + 1e-4;
    EXPECT_NEAR(lut_dot_int8_tables(a, codes, 4, true, 32), expected, bound);
  }
}

TEST(LutDotInt8Tables, RefusesAndPropagates) {
  const std::vector<float> a{1.0f, std::numeric_limits<float>::infinity()};
  const std::vector<std::uint8_t> codes{1, 0};
  EXPECT_TRUE(std::isnan(lut_dot_int8_tables(a, codes, 4, true, 4)));
  EXPECT_THROW(lut_dot_int8_tables(a, codes, 4, true, 6), std::invalid_argument);
  EXPECT_THROW(lut_dot_int8_tables(a, codes, 4, true, 0), std::invalid_argument);
  const std::vector<float> zeros{0.0f, -0.0f};
  EXPECT_EQ(lut_dot_int8_tables(zeros, codes, 4, true, 4), 0.0f);
}

}  // namespace
}  // namespace systole::quant
