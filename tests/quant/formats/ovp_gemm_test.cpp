// The exponent-integer product against an exact computation with plain integers.
#include "quant/kernels/ovp_gemm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "quant/kernels/gemm.hpp"
#include "quant/quantise.hpp"
#include "tests/quant/formats/accelerator_cases.hpp"

namespace systole::quant {
namespace {

QuantSpec spec_of(Format format, Granularity granularity, std::uint32_t group = 0) {
  QuantSpec spec;
  spec.format = format;
  spec.granularity = granularity;
  spec.group = group;
  return spec;
}

TEST(Accumulate, WrapsSaturatesOrRefuses) {
  constexpr std::int32_t kMax = std::numeric_limits<std::int32_t>::max();
  constexpr std::int32_t kMin = std::numeric_limits<std::int32_t>::min();
  EXPECT_EQ(accumulate(kMax - 7, {3, 1}, Overflow::wrap), kMin);
  EXPECT_EQ(accumulate(kMax - 7, {3, 1}, Overflow::saturate), kMax);
  EXPECT_EQ(accumulate(kMin, {0, -1}, Overflow::saturate), kMin);
  EXPECT_EQ(accumulate(kMin, {0, -1}, Overflow::wrap), kMax);
  EXPECT_THROW(accumulate(kMax - 7, {3, 1}, Overflow::error), std::overflow_error);
  EXPECT_EQ(accumulate(kMax - 8, {3, 1}, Overflow::error), kMax);
}

// The last sum that fits, and the first that does not: §1.7's constant.
TEST(ExponentIntegerDot, IsSafeUpToTheWorstCaseLength) {
  const std::vector<ExponentInteger> worst(58255, ExponentInteger{6, 3});  // 192
  const std::span<const ExponentInteger> all(worst);
  EXPECT_EQ(exponent_integer_dot(all.first(58254), all.first(58254)), 58254 * 36864);
  EXPECT_THROW(exponent_integer_dot(all, all), std::overflow_error);
  EXPECT_EQ(exponent_integer_dot(all, all, Overflow::saturate),
            std::numeric_limits<std::int32_t>::max());
}

TEST(OvpGemm, IsTheExactIntegerSumOfEachGroupThenFusedIntoTheRow) {
  struct Case {
    Format a, w;
    Granularity granularity;
    std::uint32_t group;
    std::size_t k;
  };
  for (const Case c : {Case{Format::ovp4_int, Format::ovp4_int, Granularity::channel, 0, 64},
                       Case{Format::ovp4_flint, Format::ovp4_int, Granularity::group, 32, 96},
                       Case{Format::ovp8_int, Format::ovp4_flint, Granularity::tensor, 0, 33},
                       Case{Format::flint4, Format::pot4, Granularity::group, 16, 48},
                       Case{Format::int8, Format::ovp4_int, Granularity::channel, 0, 31},
                       Case{Format::int8, Format::bitmod4, Granularity::group, 16, 64}}) {
    const std::size_t m = 3, n = 5;
    const CodedMatrix a = encode(cases::heavy_tailed(m * c.k, 0.03, 5, 30, 1), m, c.k,
                                 spec_of(c.a, Granularity::token));
    const CodedMatrix w = encode(cases::heavy_tailed(n * c.k, 0.03, 5, 30, 2), n, c.k,
                                 spec_of(c.w, c.granularity, c.group));
    std::vector<float> out(m * n);
    ovp_gemm(a, w, out);
    float unit = 0;
    const auto ai = element_integers(a, unit);
    const auto wi = element_integers(w, unit);
    ASSERT_TRUE(ai && wi);
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        float acc = 0;
        for (std::size_t g = 0; g < w.groups; ++g) {
          std::int64_t sum = 0;
          for (std::size_t k = g * w.group; k < (g + 1) * w.group; ++k)
            sum += std::int64_t{(*ai)[i * c.k + k]} * (*wi)[j * c.k + k];
          acc = std::fma(static_cast<float>(sum), w.scales[j * w.groups + g], acc);
        }
        EXPECT_EQ(out[i * n + j], acc * a.scales[i]) << name_of(c.a) << " x " << name_of(c.w);
      }
    }
  }
}

TEST(OvpGemm, OfPlainIntegersIsTheIntegerGemm) {
  const std::size_t m = 4, n = 6, k = 64;
  const auto x = cases::heavy_tailed(m * k, 0, 1, 2, 3), y = cases::heavy_tailed(n * k, 0, 1, 2, 4);
  const auto as = spec_of(Format::int8, Granularity::token);
  const auto ws = spec_of(Format::int4, Granularity::group, 32);
  std::vector<float> expected(m * n), actual(m * n);
  gemm_dequantise_after(quantise(x, m, k, as), quantise(y, n, k, ws), expected);
  ovp_gemm(encode(x, m, k, as), encode(y, n, k, ws), actual);
  EXPECT_EQ(actual, expected);
}

TEST(OvpGemm, RefusesOperandsThatAreNotAsSaid) {
  const std::vector<float> x(64, 1.0f);
  std::vector<float> out(1);
  const auto w = encode(x, 1, 64, spec_of(Format::ovp4_int, Granularity::channel));
  EXPECT_THROW(
      ovp_gemm(encode(x, 1, 64, spec_of(Format::ovp4_int, Granularity::group, 32)), w, out),
      std::invalid_argument);
  EXPECT_THROW(ovp_gemm(encode(x, 2, 32, spec_of(Format::ovp4_int, Granularity::token)), w, out),
               std::invalid_argument);
  QuantSpec affine = spec_of(Format::int4, Granularity::channel);
  affine.affine = Affine::integer_zero;
  EXPECT_THROW(ovp_gemm(w, encode(x, 1, 64, affine), out), std::invalid_argument);
  EXPECT_THROW(ovp_gemm(w, encode(x, 1, 64, spec_of(Format::half, Granularity::channel)), out),
               std::invalid_argument);
  std::vector<float> wrong(2);
  EXPECT_THROW(ovp_gemm(w, w, wrong), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
