// exp, log, sine and cosine of our own: the same bits on every machine. The C library picks FMA
// variants of its transcendental functions by CPU, which changes bits, so no kernel may call them.
//
// Only IEEE additions, multiplications, divisions and bit casts, in the order written
// (-ffp-contract=off), so a vectorised copy has the same bits. Everything is computed in double and
// rounded to float once, hence correctly rounded except where the true value lies within the double
// error of a tie (measured in tests/quant/elementary_test.cpp).
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace systole::quant::elementary {

/// Rounds to the nearest integer, ties to even, for |x| < 2^51, without a libm call.
constexpr double round_to_integer(double x) {
  constexpr double kShift = 0x1.8p52;
  return (x + kShift) - kShift;
}

/// 2^k for an integer -1022 <= k <= 1023 given as a double. Its bits come from k + 1.5 * 2^52,
/// whose low bits are k's: no conversion, which few vector instruction sets have.
constexpr double power_of_two(double k) {
  return std::bit_cast<double>((std::bit_cast<std::uint64_t>(k + 0x1.8p52) + 1023) << 52);
}

/// e^x. Domain |x| <= 700 (no double overflow or subnormal). Relative error below 2^-50.
/// Source: argument reduction by Cody and Waite with fdlibm's split of ln 2 (32 + 53 bits); Taylor
/// polynomial of degree 13 on |r| <= ln 2 / 2, truncation r^14/14! < 4.2e-18, in Estrin's order,
/// a chain a third as long as Horner's.
constexpr double exp(double x) {
  constexpr double kLog2E = 0x1.71547652b82fep+0;
  constexpr double kLn2High = 0x1.62e42feep-1;
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  const double k = round_to_integer(x * kLog2E);
  const double r = (x - k * kLn2High) - k * kLn2Low;
  const double r2 = r * r;
  const double r4 = r2 * r2;
  const double r8 = r4 * r4;
  const double p01 = r + 1.0;
  const double p23 = r * (1.0 / 6.0) + 0.5;
  const double p45 = r * (1.0 / 120.0) + 1.0 / 24.0;
  const double p67 = r * (1.0 / 5040.0) + 1.0 / 720.0;
  const double p89 = r * (1.0 / 362880.0) + 1.0 / 40320.0;
  const double pab = r * (1.0 / 39916800.0) + 1.0 / 3628800.0;
  const double pcd = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
  const double p03 = p23 * r2 + p01;
  const double p47 = p67 * r2 + p45;
  const double p8b = pab * r2 + p89;
  const double p8d = pcd * r4 + p8b;
  const double p = p8d * r8 + (p47 * r4 + p03);
  return p * power_of_two(k);
}

/// e^x as a float: one rounding of the double above. Overflow gives +inf, underflow goes through
/// the subnormals to +0; exp(-inf) = +0, exp(+inf) = +inf, exp(NaN) = NaN (quiet).
constexpr float exp(float x) {
  // Clamped, not branched, so that loops over it vectorise. Beyond the limits the rounding to float
  // gives the right end by itself: e^89 is above the largest float, e^-104 below half the smallest.
  const float above = x < -104.0f ? -104.0f : x;
  const float inside = above > 89.0f ? 89.0f : above;
  return static_cast<float>(exp(static_cast<double>(inside)));
}

/// Natural logarithm of a positive, finite, normal double. Relative error below 2^-48.
/// m in [sqrt(1/2), sqrt(2)), x = m 2^k, log m = 2 artanh(s), s = (m-1)/(m+1), |s| <= 0.1716;
/// series to s^23.
constexpr double log(double x) {
  constexpr double kLn2High = 0x1.62e42feep-1;
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
  std::int64_t k = static_cast<std::int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u);
  if (m > 0x1.6a09e667f3bcdp+0) {  // sqrt(2)
    m *= 0.5;
    ++k;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double p = 1.0 / 23.0;
  for (int n = 21; n >= 3; n -= 2) p = p * z + 1.0 / static_cast<double>(n);
  const double log_m = 2.0 * s + 2.0 * s * (z * p);
  const double kd = static_cast<double>(k);
  return kd * kLn2High + (log_m + kd * kLn2Low);
}

struct SinCos {
  float sin = 0.0f;
  float cos = 1.0f;
};

/// Sine and cosine of an angle in radians, |angle| <= 2^20 (a context of a million positions), as
/// floats: each one rounding of a double with absolute error below 2^-50. Beyond that domain (or
/// NaN): both NaN. Source: reduction by pi/2 in three parts of 33, 33 and 53 bits (fdlibm's
/// constants; k < 2^20 makes the first two products exact), Taylor polynomials to r^17 and r^18 on
/// |r| <= pi/4 + 2^-33.
constexpr SinCos sincos(double angle) {
  constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
  constexpr double kPart1 = 0x1.921fb544p+0;
  constexpr double kPart2 = 0x1.0b4611a6p-34;
  constexpr double kPart3 = 0x1.3198a2e037073p-69;
  if (!(angle <= 0x1p20 && angle >= -0x1p20)) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    return {nan, nan};
  }
  const double k = round_to_integer(angle * kTwoOverPi);
  const double r = ((angle - k * kPart1) - k * kPart2) - k * kPart3;
  const double z = r * r;

  double s = 1.0 / 355687428096000.0;  // 1/17!
  s = s * z - 1.0 / 1307674368000.0;
  s = s * z + 1.0 / 6227020800.0;
  s = s * z - 1.0 / 39916800.0;
  s = s * z + 1.0 / 362880.0;
  s = s * z - 1.0 / 5040.0;
  s = s * z + 1.0 / 120.0;
  s = s * z - 1.0 / 6.0;
  const double sine = r + r * (z * s);

  double c = -1.0 / 6402373705728000.0;  // 1/18!
  c = c * z + 1.0 / 20922789888000.0;
  c = c * z - 1.0 / 87178291200.0;
  c = c * z + 1.0 / 479001600.0;
  c = c * z - 1.0 / 3628800.0;
  c = c * z + 1.0 / 40320.0;
  c = c * z - 1.0 / 720.0;
  c = c * z + 1.0 / 24.0;
  c = c * z - 0.5;
  const double cosine = 1.0 + z * c;

  switch (static_cast<std::int64_t>(k) & 3) {
    case 0:
      return {static_cast<float>(sine), static_cast<float>(cosine)};
    case 1:
      return {static_cast<float>(cosine), static_cast<float>(-sine)};
    case 2:
      return {static_cast<float>(-sine), static_cast<float>(-cosine)};
    default:
      return {static_cast<float>(-cosine), static_cast<float>(sine)};
  }
}

/// base^exponent for a positive normal base: exp(exponent * log(base)), |exponent * log(base)| <=
/// 700. Relative error about 2^-48 * max(1, |exponent * log(base)|). This is the definition of
/// RoPE's theta^(-2i/d), not an approximation of another.
constexpr double pow(double base, double exponent) { return exp(exponent * log(base)); }

}  // namespace systole::quant::elementary
