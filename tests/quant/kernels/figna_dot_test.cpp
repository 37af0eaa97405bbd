// Aligned mantissas: exact when wide, bounded when narrow, bit-serial and bit-parallel alike.
#include "quant/kernels/figna_dot.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "operands.hpp"
#include "quant/kernels/gemm.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;
using testing::ElementsAre;

std::vector<Fp16> any_finite(SplitMix& random, std::size_t n) {
  std::vector<Fp16> a;
  while (a.size() < n) {
    const Fp16 h = Fp16::from_bits(static_cast<std::uint16_t>(random.next()));
    if ((h.to_bits() & 0x7C00u) != 0x7C00u) a.push_back(h);
  }
  return a;
}

TEST(Align, ShiftsToTheLargestExponentAndCutsOrRounds) {
  // 1 + 2^-10 beside 3 * 2^-12: with 11 bits the unit is 2^-10.
  const auto a = halves(std::vector<float>{1.0f + 0x1p-10f, 0x1.8p-11f, -0x1.8p-11f, 0x1p-11f});
  EXPECT_THAT(align(a, 11, Alignment::truncate).mantissas, ElementsAre(1025, 0, 0, 0));
  EXPECT_THAT(align(a, 11, Alignment::nearest).mantissas,
              ElementsAre(1025, 1, -1, 0));  // tie: even
  EXPECT_THAT(align(a, 13, Alignment::truncate).mantissas, ElementsAre(4100, 3, -3, 2));
  EXPECT_EQ(align(a, 13, Alignment::truncate).exponent, -12);
  // Eight bits: 2047 / 8 = 255.875 carries and saturates.
  EXPECT_THAT(align(halves(std::vector<float>{2047.0f}), 8, Alignment::nearest).mantissas,
              ElementsAre(255));
  EXPECT_THROW(align(halves(std::vector<float>{std::nanf("")}), 13, Alignment::truncate),
               std::invalid_argument);
  EXPECT_THROW(align(a, 0, Alignment::truncate), std::invalid_argument);
}

TEST(FignaDot, WithFortyBitsIsTheCorrectlyRoundedSumInAMillionRandomCases) {
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < kCases; ++i) {
    const auto n = static_cast<std::size_t>(pick(random, 0, 6));
    const auto a = any_finite(random, n);
    const auto q = integers<std::int16_t>(random, n, -8, 7);
    double exact = 0;  // 40 + 4 + 3 bits: every partial sum is a double
    for (std::size_t k = 0; k < n; ++k) exact += static_cast<double>(a[k].decode()) * q[k];
    const float expected = exact == 0 ? 0.0f : static_cast<float>(exact);
    for (const Alignment alignment : {Alignment::truncate, Alignment::nearest}) {
      ASSERT_TRUE(same_bits(figna_dot(align(a, kExactMantissa, alignment), q), expected));
    }
  }
}

TEST(IfpuDot, HasTheBitsOfFignaDotInAMillionRandomCases) {
  SYSTOLE_SEEDED(random);
  for (std::uint64_t i = 0; i < kCases; ++i) {
    const auto n = static_cast<std::size_t>(pick(random, 0, 6));
    const auto bits = static_cast<unsigned>(pick(random, 1, 9));
    const auto a = align(any_finite(random, n), static_cast<unsigned>(pick(random, 1, 48)),
                         Alignment::truncate);
    const auto q = integers<std::int16_t>(random, n, -(1 << (bits - 1)), (1 << (bits - 1)) - 1);
    ASSERT_TRUE(same_bits(ifpu_dot(a, q, bits), figna_dot(a, q)));
  }
  EXPECT_THROW(ifpu_dot({0, {1}}, std::vector<std::int16_t>{8}, 4), std::invalid_argument);
}

TEST(FignaDot, ErrsByAtMostAUnitAnElement) {
  SYSTOLE_SEEDED(random);
  for (const unsigned bits : {8u, 11u, 13u}) {
    for (int i = 0; i < 500; ++i) {
      const auto a = halves(normals(random, 64));
      const auto q = integers<std::int16_t>(random, 64, -8, 7);
      double exact = 0;
      double weight = 0;
      for (std::size_t k = 0; k < 64; ++k) {
        exact += static_cast<double>(a[k].decode()) * q[k];
        weight += std::abs(q[k]);
      }
      const auto cut = align(a, bits, Alignment::truncate);
      const auto rounded = align(a, bits, Alignment::nearest);
      const double unit = std::ldexp(1.0, cut.exponent);
      EXPECT_NEAR(figna_dot(cut, q), exact, unit * weight + 1e-4);
      EXPECT_NEAR(figna_dot(rounded, q), exact, unit * weight + 1e-4);
    }
  }
}

TEST(FignaGemm, OfSmallIntegersHasTheBitsOfTheIntegerGemm) {
  SYSTOLE_SEEDED(random);
  for (const Shape& s : kShapes) {
    for (const Affine affine : {Affine::symmetric, Affine::integer_zero}) {
      auto a = activations(random, s.m, s.k);
      a.scales.assign(s.m, 1.0f);
      std::vector<float> values(a.codes.begin(), a.codes.end());
      const auto w = weights(random, s.n, s.k, Format::int4, 64, affine);
      std::vector<float> expected(s.m * s.n);
      std::vector<float> actual(s.m * s.n);
      gemm_dequantise_after(a, w, expected);
      figna_gemm(halves(values), w, kFignaMantissa, Alignment::truncate, actual);
      EXPECT_TRUE(same_bits(actual, expected));
    }
  }
}

TEST(FignaGemm, TurnsANanIntoOneRowOfThem) {
  SYSTOLE_SEEDED(random);
  const auto w = weights(random, 2, 8, Format::int4, 4);
  std::vector<float> values(16, 1.0f);
  values[3] = std::numeric_limits<float>::infinity();
  std::vector<float> out(4);
  figna_gemm(halves(values), w, 13, Alignment::truncate, out);
  EXPECT_TRUE(std::isnan(out[0]) && std::isnan(out[1]));
  EXPECT_FALSE(std::isnan(out[2]) || std::isnan(out[3]));
  EXPECT_THROW(figna_gemm(halves(values), weights(random, 2, 8, Format::int4, 4, Affine::float_min),
                          13, Alignment::truncate, out),
               std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
