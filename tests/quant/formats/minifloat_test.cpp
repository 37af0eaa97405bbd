// Every code of the small floats, and their encoders against a search over all values in double.
#include "quant/formats/minifloat.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "quant/float16.hpp"
#include "quant/ggml/blocks.hpp"

namespace systole::quant {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr std::array kRoundings = {Rounding::even, Rounding::away, Rounding::half_up,
                                   Rounding::down, Rounding::floor};

/// accelerators.md §7.1, row by row.
template <class F>
struct Row;
template <>
struct Row<E4M3> {
  static constexpr int e = 4, m = 3, bias = 7, emax = 8;
  static constexpr double max = 448, min_normal = 0x1p-6, min_subnormal = 0x1p-9;
};
template <>
struct Row<E5M2> {
  static constexpr int e = 5, m = 2, bias = 15, emax = 15;
  static constexpr double max = 57344, min_normal = 0x1p-14, min_subnormal = 0x1p-16;
};
template <>
struct Row<E3M2> {
  static constexpr int e = 3, m = 2, bias = 3, emax = 4;
  static constexpr double max = 28, min_normal = 0x1p-2, min_subnormal = 0x1p-4;
};
template <>
struct Row<E2M3> {
  static constexpr int e = 2, m = 3, bias = 1, emax = 2;
  static constexpr double max = 7.5, min_normal = 1, min_subnormal = 0x1p-3;
};
template <>
struct Row<E2M1> {
  static constexpr int e = 2, m = 1, bias = 1, emax = 2;
  static constexpr double max = 6, min_normal = 1, min_subnormal = 0.5;
};

template <class F>
class Minifloats : public testing::Test {};
using Signed = testing::Types<E4M3, E5M2, E3M2, E2M3, E2M1>;
TYPED_TEST_SUITE(Minifloats, Signed);

/// Value of a magnitude code by the textbook formula, in double.
template <class F>
double magnitude(unsigned code) {
  using R = Row<F>;
  const int field = static_cast<int>(code >> R::m);
  const double fraction = static_cast<double>(code & ((1u << R::m) - 1)) / (1 << R::m);
  return field == 0 ? std::ldexp(fraction, 1 - R::bias) : std::ldexp(1 + fraction, field - R::bias);
}

TYPED_TEST(Minifloats, DecodeEveryCodeAsThePublishedTableHasIt) {
  using F = TypeParam;
  using R = Row<F>;
  EXPECT_EQ(F::kEmax, R::emax);
  EXPECT_EQ(static_cast<double>(F::largest().decode()), R::max);
  EXPECT_EQ(static_cast<double>(F::from_bits(1).decode()), R::min_subnormal);
  EXPECT_EQ(static_cast<double>(F::from_bits(1u << R::m).decode()), R::min_normal);
  for (unsigned code = 0; code < (1u << F::kBits); ++code) {
    const F f = F::from_bits(static_cast<std::uint8_t>(code));
    const unsigned low = code & F::kMagnitudeMask;
    const bool negative = code > F::kMagnitudeMask;
    ASSERT_EQ(f.to_bits(), code);
    if (f.is_nan()) {
      EXPECT_TRUE(std::isnan(f.decode()));
      continue;
    }
    if (f.is_infinite()) {
      EXPECT_EQ(f.decode(), negative ? -kInf : kInf);
      continue;
    }
    const double value = magnitude<F>(low) * (negative ? -1 : 1);
    ASSERT_EQ(static_cast<double>(f.decode()), value) << code;
    ASSERT_EQ(std::signbit(f.decode()), negative) << code;
    ASSERT_EQ(std::ldexp(static_cast<double>(f.to_integer()), F::kUnitExponent), value) << code;
  }
}

TEST(MinifloatSpecials, AreWhereThePublishedTableHasThem) {
  int nan_e4m3 = 0, nan_e5m2 = 0, inf_e5m2 = 0;
  for (unsigned c = 0; c < 256; ++c) {
    nan_e4m3 += E4M3::from_bits(static_cast<std::uint8_t>(c)).is_nan() ? 1 : 0;
    nan_e5m2 += E5M2::from_bits(static_cast<std::uint8_t>(c)).is_nan() ? 1 : 0;
    inf_e5m2 += E5M2::from_bits(static_cast<std::uint8_t>(c)).is_infinite() ? 1 : 0;
  }
  EXPECT_EQ(nan_e4m3, 2);  // S.1111.111 only
  EXPECT_TRUE(E4M3::from_bits(0x7F).is_nan());
  EXPECT_TRUE(E4M3::from_bits(0xFF).is_nan());
  EXPECT_EQ(nan_e5m2, 6);
  EXPECT_EQ(inf_e5m2, 2);
  for (unsigned c = 0; c < 64; ++c) {
    EXPECT_FALSE(E3M2::from_bits(static_cast<std::uint8_t>(c)).is_nan());
    EXPECT_FALSE(E2M3::from_bits(static_cast<std::uint8_t>(c)).is_nan());
  }
}

/// The code that a search over all finite magnitudes in double chooses: a second computation that
/// shares nothing with the encoder. Magnitudes beyond the largest: the grid is continued by one
/// step.
template <class F>
unsigned searched(double x, Rounding rounding) {
  const double v = std::fabs(x);
  const bool minus = std::signbit(x);
  const unsigned sign = minus ? 1u << F::kSignShift : 0u;
  unsigned low = 0;
  while (low < F::kLargest && magnitude<F>(low + 1) <= v) ++low;
  const double below = magnitude<F>(low);
  if (v == below || low == F::kLargest) return sign | low;
  const double above = magnitude<F>(low + 1);
  const double half = (below + above) / 2;
  bool up = v > half;
  if (v == half) {
    up = (rounding == Rounding::even && (low & 1) != 0) || rounding == Rounding::away ||
         (rounding == Rounding::half_up && !minus);
  }
  if (rounding == Rounding::floor) up = minus;
  return sign | (low + (up ? 1 : 0));
}

TYPED_TEST(Minifloats, EncodeEveryHalfPrecisionValueToTheNearestCode) {
  using F = TypeParam;
  for (const Rounding r : kRoundings) {
    for (unsigned bits = 0; bits < 65536; ++bits) {
      const float x = Fp16::from_bits(static_cast<std::uint16_t>(bits)).decode();
      if (!std::isfinite(x)) continue;
      ASSERT_EQ(F::encode(x, r).to_bits(), searched<F>(static_cast<double>(x), r))
          << x << " rule " << static_cast<int>(r);
    }
  }
}

TYPED_TEST(Minifloats, EncodeTiesAndTheFloatsBesideThem) {
  using F = TypeParam;
  for (const Rounding r : kRoundings) {
    for (unsigned code = 0; code < F::kLargest; ++code) {
      const auto tie = static_cast<float>((magnitude<F>(code) + magnitude<F>(code + 1)) / 2);
      for (const float x : {tie, std::nextafter(tie, 0.0f), std::nextafter(tie, 1e9f)}) {
        ASSERT_EQ(F::encode(x, r).to_bits(), searched<F>(static_cast<double>(x), r)) << x;
        ASSERT_EQ(F::encode(-x, r).to_bits(), searched<F>(-static_cast<double>(x), r)) << -x;
      }
    }
  }
}

TYPED_TEST(Minifloats, EncodeFloatsOfEveryExponentAndSaturate) {
  using F = TypeParam;
  for (std::uint32_t bits = 0; bits < 0x7F800000u; bits += 104729) {
    const float x = std::bit_cast<float>(bits);
    ASSERT_EQ(F::encode(x).to_bits(), searched<F>(static_cast<double>(x), Rounding::even)) << x;
    ASSERT_EQ(F::encode(-x, Rounding::floor).to_bits(),
              searched<F>(-static_cast<double>(x), Rounding::floor));
  }
  const float denormal = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(F::encode(denormal).to_bits(), 0);
  EXPECT_EQ(F::encode(-0.0f).to_bits(), 1u << F::kSignShift);
  EXPECT_EQ(F::encode(-denormal, Rounding::floor).to_bits(), (1u << F::kSignShift) | 1u);
  EXPECT_EQ(F::encode(kInf), F::largest());
  EXPECT_EQ(F::encode(std::numeric_limits<float>::max()), F::largest());
}

TYPED_TEST(Minifloats, EncodingADecodedCodeGivesItBack) {
  using F = TypeParam;
  for (unsigned code = 0; code < (1u << F::kBits); ++code) {
    const F f = F::from_bits(static_cast<std::uint8_t>(code));
    if (f.is_nan()) continue;
    for (const Rounding r : kRoundings)
      ASSERT_EQ(F::encode(f.decode(), r, Beyond::propagate), f) << code;
  }
}

TEST(MinifloatOverflow, PropagatesToInfinityOrNan) {
  // 61440 is half way between 57344 and 65536: ties to even go to infinity as in IEEE.
  EXPECT_TRUE(E5M2::encode(61440.0f, Rounding::even, Beyond::propagate).is_infinite());
  EXPECT_EQ(E5M2::encode(61439.0f, Rounding::even, Beyond::propagate), E5M2::largest());
  EXPECT_EQ(E5M2::encode(61440.0f), E5M2::largest());
  // 464 is half way between 448 (even mantissa) and the code that is NaN.
  EXPECT_EQ(E4M3::encode(464.0f, Rounding::even, Beyond::propagate), E4M3::largest());
  EXPECT_TRUE(E4M3::encode(464.1f, Rounding::even, Beyond::propagate).is_nan());
  EXPECT_TRUE(E4M3::encode(kInf, Rounding::even, Beyond::propagate).is_nan());
  EXPECT_EQ(E2M1::encode(100.0f, Rounding::even, Beyond::propagate), E2M1::largest());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(E4M3::encode(nan).is_nan());
  EXPECT_TRUE(E5M2::encode(-nan).is_nan());
}

TEST(E2M1, TiesAreEvenOrGoDownAsThePublishedPathsDiffer) {
  // quantization.md §12 trap 9: round to nearest even, and a strict greater-than.
  const std::vector<float> ties = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
  const std::vector<float> even = {0, 1, 1, 2, 2, 4, 4};
  const std::vector<float> down = {0, 0.5f, 1, 1.5f, 2, 3, 4};
  for (std::size_t i = 0; i < ties.size(); ++i) {
    EXPECT_EQ(E2M1::encode(ties[i]).decode(), even[i]);
    EXPECT_EQ(E2M1::encode(-ties[i]).decode(), -even[i]);
    EXPECT_EQ(E2M1::encode(ties[i], Rounding::down).decode(), down[i]);
    EXPECT_EQ(E2M1::encode(-ties[i], Rounding::down).decode(), -down[i]);
  }
}

TEST(E2M1, HasTheValuesThatGgmlTabulatesDoubled) {
  for (unsigned code = 0; code < 16; ++code) {
    const float value = E2M1::from_bits(static_cast<std::uint8_t>(code)).decode();
    EXPECT_EQ(2 * value, static_cast<float>(kE2m1Doubled[code])) << code;
  }
}

TEST(UnsignedE4M3, IsE4M3WithoutASign) {
  for (unsigned code = 0; code < 128; ++code) {
    const auto u = UE4M3::from_bits(static_cast<std::uint8_t>(code));
    const auto s = E4M3::from_bits(static_cast<std::uint8_t>(code));
    if (s.is_nan()) {
      EXPECT_TRUE(u.is_nan());
    } else {
      EXPECT_EQ(u.decode(), s.decode());
      EXPECT_EQ(UE4M3::encode(s.decode()), u);
    }
  }
  EXPECT_EQ(UE4M3::encode(-3.0f).to_bits(), 0);
  EXPECT_EQ(UE4M3::encode(1e9f).decode(), 448.0f);
}

TEST(E8M0, IsAPowerOfTwoForEveryCode) {
  for (int code = 0; code < 255; ++code) {
    const auto e = E8M0::from_bits(static_cast<std::uint8_t>(code));
    EXPECT_EQ(e.decode(), std::ldexp(1.0f, code - 127));
    EXPECT_EQ(E8M0::encode(e.decode()), e);
    EXPECT_EQ(E8M0::of_exponent(code - 127), e);
    // 1.5 is the tie; the float below goes down, the one above up.
    if (code >= 1 && code < 254) {
      const float tie = 1.5f * e.decode();
      EXPECT_EQ(E8M0::encode(std::nextafter(tie, 0.0f)).to_bits(), code);
      EXPECT_EQ(E8M0::encode(std::nextafter(tie, kInf)).to_bits(), code + 1);
      EXPECT_EQ(E8M0::encode(tie).to_bits(), code + (code & 1));
      EXPECT_EQ(E8M0::encode(tie, Rounding::away).to_bits(), code + 1);
      EXPECT_EQ(E8M0::encode(tie, Rounding::down).to_bits(), code);
      EXPECT_EQ(E8M0::encode(std::nextafter(2 * e.decode(), 0.0f), Rounding::floor).to_bits(),
                code);
    }
  }
  EXPECT_TRUE(E8M0::from_bits(0xFF).is_nan());
  EXPECT_TRUE(std::isnan(E8M0::from_bits(0xFF).decode()));
  EXPECT_EQ(E8M0::encode(0.0f).to_bits(), 0);
  EXPECT_EQ(E8M0::encode(-1.0f).to_bits(), 0);
  EXPECT_TRUE(E8M0::encode(std::numeric_limits<float>::quiet_NaN()).is_nan());
  EXPECT_TRUE(E8M0::of_exponent(128).is_nan());
  EXPECT_EQ(E8M0::of_exponent(-200).to_bits(), 0);
}

/// Digits of the largest product and signed bits for one and 32 products, by trying all code pairs.
template <class F>
void check_widths(double largest, int unit, unsigned one, unsigned block) {
  EXPECT_EQ(product_unit_exponent<F>(), unit);
  EXPECT_EQ(accumulator_bits<F>(1), one);
  EXPECT_EQ(accumulator_bits<F>(32), block);
  EXPECT_EQ(accumulator_bits<F>(16), block - 1);
  double most = 0;
  for (unsigned a = 0; a < (1u << F::kBits); ++a) {
    for (unsigned b = 0; b < (1u << F::kBits); ++b) {
      const F x = F::from_bits(static_cast<std::uint8_t>(a));
      const F y = F::from_bits(static_cast<std::uint8_t>(b));
      if (x.is_nan() || y.is_nan() || x.is_infinite() || y.is_infinite()) continue;
      const double product = static_cast<double>(x.decode()) * static_cast<double>(y.decode());
      const double units = std::ldexp(product, -unit);
      ASSERT_EQ(units, std::nearbyint(units)) << "a product is no multiple of the unit";
      ASSERT_LT(std::fabs(units), std::ldexp(1.0, static_cast<int>(one) - 1));
      most = std::max(most, std::fabs(product));
    }
  }
  EXPECT_EQ(most, largest);
  EXPECT_GE(std::ldexp(most, -unit), std::ldexp(1.0, static_cast<int>(one) - 2));  // and no wider
}

TEST(AccumulatorWidths, AreThePublishedOnesOverAllCodePairs) {
  // accelerators.md §7.4: unit, largest product, bits for one product and for a sum of 32.
  check_widths<E2M1>(36, -2, 9, 14);
  check_widths<E2M3>(56.25, -6, 13, 18);
  check_widths<E3M2>(784, -8, 19, 24);
  check_widths<E4M3>(200704, -18, 37, 42);
  check_widths<E5M2>(3288334336.0, -32, 65, 70);
  EXPECT_EQ(mxint8_accumulator_bits(1), 16u);
  EXPECT_EQ(mxint8_accumulator_bits(1, false), 15u);
  EXPECT_EQ(mxint8_accumulator_bits(32), 21u);
  static_assert(accumulator_bits<E2M1>(16) == 13);  // NVFP4: one less than the block of 32
}

}  // namespace
}  // namespace systole::quant
