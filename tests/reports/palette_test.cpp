// The pages' series colours can be told apart by every reader: as they are, and as protanopia,
// deuteranopia and tritanopia show them, in the light and in the dark scheme.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>

#include "reports/markup.hpp"
#include "reports/page.hpp"

namespace systole::reports {
namespace {

using Triple = std::array<double, 3>;

/// How linear RGB looks with one kind of cone missing: Machado, Oliveira and Fernandes, "A
/// Physiologically-based Model for Simulation of Color Vision Deficiency", 2009, severity 1.
struct Vision {
  const char* name;
  std::array<Triple, 3> matrix;
};
constexpr Vision kVisions[] = {{"all cones", {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}},
                               {"protanopia",
                                {{{0.152286, 1.052583, -0.204868},
                                  {0.114503, 0.786281, 0.099216},
                                  {-0.003882, -0.048116, 1.051998}}}},
                               {"deuteranopia",
                                {{{0.367322, 0.860646, -0.227968},
                                  {0.280085, 0.672501, 0.047413},
                                  {-0.011820, 0.042940, 0.968881}}}},
                               {"tritanopia",
                                {{{1.255528, -0.076749, -0.178779},
                                  {-0.078411, 0.930809, 0.147602},
                                  {0.004733, 0.691367, 0.303900}}}}};

Triple seen_with(const Vision& vision, const Triple& colour) {
  Triple seen{};
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) seen[i] += vision.matrix[i][j] * colour[j];
    seen[i] = std::clamp(seen[i], 0.0, 1.0);
  }
  return seen;
}

/// Linear RGB of "#rrggbb" (IEC 61966-2-1).
Triple linear_rgb(const std::string& code) {
  Triple colour{};
  for (std::size_t i = 0; i < 3; ++i) {
    const double c = std::stoi(code.substr(1 + 2 * i, 2), nullptr, 16) / 255.0;
    colour[i] = c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  }
  return colour;
}

/// CIE L*a*b* of linear RGB, white point D65.
Triple lab_of(const Triple& c) {
  const auto f = [](double t) {
    return t > 216.0 / 24389 ? std::cbrt(t) : (24389.0 / 27 * t + 16) / 116;
  };
  const double x = f((0.4124564 * c[0] + 0.3575761 * c[1] + 0.1804375 * c[2]) / 0.95047),
               y = f(0.2126729 * c[0] + 0.7151522 * c[1] + 0.0721750 * c[2]),
               z = f((0.0193339 * c[0] + 0.1191920 * c[1] + 0.9503041 * c[2]) / 1.08883);
  return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

/// CIEDE2000 (CIE 142-2001), as Sharma, Wu and Dalal, "The CIEDE2000 Color-Difference Formula",
/// 2005, write it out.
double difference(const Triple& p, const Triple& q) {
  constexpr double kPi = std::numbers::pi;
  const auto seventh = [](double c) {
    const double power = std::pow(c, 7);
    return std::sqrt(power / (power + std::pow(25.0, 7)));
  };
  const double mean_c = (std::hypot(p[1], p[2]) + std::hypot(q[1], q[2])) / 2;
  const double stretch = 1 + 0.5 * (1 - seventh(mean_c));
  const auto hue = [&](const Triple& of) {
    const double angle = std::atan2(of[2], stretch * of[1]);
    return angle < 0 ? angle + 2 * kPi : angle;
  };
  const double c1 = std::hypot(stretch * p[1], p[2]), c2 = std::hypot(stretch * q[1], q[2]);
  const double h1 = hue(p), h2 = hue(q);
  const bool grey = c1 * c2 == 0, near = std::abs(h1 - h2) <= kPi;
  const double turn = grey ? 0 : near ? h2 - h1 : h2 - h1 + (h2 > h1 ? -2 : 2) * kPi;
  const double l = (p[0] + q[0]) / 2, c = (c1 + c2) / 2;
  const double h = grey                ? h1 + h2
                   : near              ? (h1 + h2) / 2
                   : h1 + h2 < 2 * kPi ? (h1 + h2) / 2 + kPi
                                       : (h1 + h2) / 2 - kPi;
  const double t = 1 - 0.17 * std::cos(h - kPi / 6) + 0.24 * std::cos(2 * h) +
                   0.32 * std::cos(3 * h + kPi / 30) - 0.20 * std::cos(4 * h - 63 * kPi / 180);
  const double around = 30 * kPi / 180 * std::exp(-std::pow((h * 180 / kPi - 275) / 25, 2));
  const double in_l =
      (q[0] - p[0]) / (1 + 0.015 * std::pow(l - 50, 2) / std::sqrt(20 + std::pow(l - 50, 2)));
  const double in_c = (c2 - c1) / (1 + 0.045 * c);
  const double in_h = 2 * std::sqrt(c1 * c2) * std::sin(turn / 2) / (1 + 0.015 * c * t);
  return std::sqrt(in_l * in_l + in_c * in_c + in_h * in_h -
                   std::sin(2 * around) * 2 * seventh(c) * in_c * in_h);
}

/// "--sN:light-dark(#rrggbb,#rrggbb)" of the pages' style.
std::string colour_code(std::size_t series, bool dark) {
  const std::string start = "--s" + std::to_string(series) + ":light-dark(";
  const std::size_t at = kPageStyle.find(start);
  if (at == std::string_view::npos) return "#000000";
  return std::string(kPageStyle.substr(at + start.size() + (dark ? 8 : 0), 7));
}

TEST(Palette, TheDifferenceIsTheStandards) {
  // Pairs 1, 7, 17 and 25 of the test data of Sharma, Wu and Dalal.
  EXPECT_NEAR(difference({50, 2.6772, -79.7751}, {50, 0, -82.7485}), 2.0425, 1e-4);
  EXPECT_NEAR(difference({50, 0, 0}, {50, -1, 2}), 2.3669, 1e-4);
  EXPECT_NEAR(difference({50, 2.5, 0}, {73, 25, -18}), 27.1492, 1e-4);
  EXPECT_NEAR(difference({60.2574, -34.0099, 36.2677}, {60.4626, -34.1751, 39.4387}), 1.2644, 1e-4);
}

TEST(Palette, AnyTwoSeriesDifferForEveryReaderInBothSchemes) {
  for (const bool dark : {false, true}) {
    for (const Vision& vision : kVisions) {
      for (std::size_t a = 0; a < kSeriesColours; ++a) {
        for (std::size_t b = a + 1; b < kSeriesColours; ++b) {
          const auto seen = [&](std::size_t series) {
            return lab_of(seen_with(vision, linear_rgb(colour_code(series, dark))));
          };
          // Side by side in a bar 5 is seen without looking for it; a swatch is small and away.
          EXPECT_GE(difference(seen(a), seen(b)), 15)
              << colour_code(a, dark) << " and " << colour_code(b, dark) << " with " << vision.name;
        }
      }
    }
  }
}

}  // namespace
}  // namespace systole::reports
