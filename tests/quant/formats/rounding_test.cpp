// round_value against the C library's rounding in double, on a dense sweep and on every tie.
#include "quant/formats/rounding.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace systole::quant {
namespace {

double expected(double x, Rounding rounding) {
  switch (rounding) {
    case Rounding::even:
      return std::nearbyint(x);
    case Rounding::away:
      return std::round(x);
    case Rounding::half_up:
      return std::floor(x + 0.5);  // exact in double for the floats below
    case Rounding::down:
      return x < 0 ? -std::ceil(-x - 0.5) : std::ceil(x - 0.5);
    case Rounding::floor:
      return std::floor(x);
  }
  return 0;
}

constexpr std::array kAll = {Rounding::even, Rounding::away, Rounding::half_up, Rounding::down,
                             Rounding::floor};

TEST(RoundValue, AgreesWithTheLibraryOnTiesAndTheirNeighbours) {
  for (const Rounding r : kAll) {
    for (int twice = -131072; twice <= 131072; ++twice) {
      const float x = static_cast<float>(twice) * 0.5f;
      for (const float y : {x, std::nextafter(x, 1e9f), std::nextafter(x, -1e9f)}) {
        ASSERT_EQ(static_cast<double>(round_value(y, r)), expected(static_cast<double>(y), r))
            << y << " rule " << static_cast<int>(r);
      }
    }
  }
}

TEST(RoundValue, AgreesOnFloatsOfEveryExponentAndLeavesLargeOnesAlone) {
  for (const Rounding r : kAll) {
    for (std::uint32_t bits = 0; bits < 0x7F800000u; bits += 9973) {
      for (const std::uint32_t sign : {0u, 0x80000000u}) {
        const float x = std::bit_cast<float>(bits | sign);
        const float y = round_value(x, r);
        if (std::fabs(x) >= 0x1p22f) {
          ASSERT_EQ(y, x);
        } else {
          ASSERT_EQ(static_cast<double>(y), expected(static_cast<double>(x), r)) << x;
        }
      }
    }
  }
}

TEST(FloorLog2, IsTheExponentEvenOfSubnormals) {
  for (int e = -149; e <= 127; ++e) {
    EXPECT_EQ(exact_power_of_two(e), std::ldexp(1.0f, e));
    EXPECT_EQ(floor_log2(exact_power_of_two(e)), e);
    EXPECT_EQ(floor_log2(-exact_power_of_two(e)), e);
    if (e == 127 || e == -149) continue;
    EXPECT_EQ(floor_log2(std::nextafter(exact_power_of_two(e + 1), 0.0f)), e);
  }
}

}  // namespace
}  // namespace systole::quant
