// Blocks are exact, scales and order as declared.
#include "quant/kernels/block_scaled_gemm.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "operands.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;

constexpr Format kElements[] = {Format::fp4_e2m1, Format::fp6_e2m3, Format::fp6_e3m2,
                                Format::fp8_e4m3, Format::fp8_e5m2, Format::mxint8};

CodedMatrix coded(Format format, std::size_t rows, std::size_t cols, std::size_t group,
                  std::vector<std::uint16_t> codes, std::vector<float> scales) {
  CodedMatrix m;
  m.rows = rows;
  m.cols = cols;
  m.spec.format = format;
  m.group = group;
  m.groups = (cols + group - 1) / group;
  m.codes = std::move(codes);
  m.scales = std::move(scales);
  return m;
}

std::vector<std::uint16_t> finite_codes(SplitMix& random, Format format, std::size_t n) {
  std::vector<std::uint16_t> codes;
  while (codes.size() < n) {
    const auto code = static_cast<std::uint16_t>(random.next() % (1u << bits_of(format)));
    if (std::isfinite(element_value(format, code))) codes.push_back(code);
  }
  return codes;
}

TEST(BlockDot, OfOnePairIsTheProductForEveryPairOfCodes) {
  for (const Format format : kElements) {
    const std::uint32_t count = 1u << bits_of(format);
    for (std::uint32_t i = 0; i < count; ++i) {
      for (std::uint32_t j = 0; j < count; ++j) {
        const auto a = static_cast<std::uint16_t>(i);
        const auto w = static_cast<std::uint16_t>(j);
        const float product = element_value(format, a) * element_value(format, w);  // exact
        ASSERT_TRUE(same_bits(block_dot(format, {&a, 1}, format, {&w, 1}), product + 0.0f));
      }
    }
  }
}

TEST(BlockDot, ReachesThePublishedLargestSums) {
  // accelerators.md 7.4: the largest product of each element format; 32 of them.
  const std::vector<std::pair<Format, float>> largest = {{Format::fp4_e2m1, 36.0f},
                                                         {Format::fp6_e2m3, 56.25f},
                                                         {Format::fp6_e3m2, 784.0f},
                                                         {Format::fp8_e4m3, 200704.0f},
                                                         {Format::fp8_e5m2, 57344.0f * 57344.0f}};
  for (const auto& row : largest) {
    std::uint16_t top = 0;
    for (std::uint16_t code = 0; code < 1u << bits_of(row.first); ++code) {
      const float v = element_value(row.first, code);
      if (std::isfinite(v) && v > element_value(row.first, top)) top = code;
    }
    const std::vector<std::uint16_t> block(32, top);
    EXPECT_EQ(block_dot(row.first, block, row.first, block), 32 * row.second);
  }
}

TEST(BlockDot, IsTheCorrectlyRoundedSum) {
  // Up to 42 bits for all but E5M2: every partial sum is a double.
  SYSTOLE_SEEDED(random);
  for (int i = 0; i < 20000; ++i) {
    const Format fa = kElements[random.next() % 4];
    const Format fw = kElements[random.next() % 4];
    const auto n = static_cast<std::size_t>(pick(random, 0, 33));
    const auto a = finite_codes(random, fa, n);
    const auto w = finite_codes(random, fw, n);
    double exact = 0;
    for (std::size_t k = 0; k < n; ++k) {
      exact += static_cast<double>(element_value(fa, a[k])) *
               static_cast<double>(element_value(fw, w[k]));
    }
    ASSERT_TRUE(same_bits(block_dot(fa, a, fw, w), static_cast<float>(exact + 0.0)));
  }
}

TEST(BlockDot, OfE5M2KeepsTheSmallestProductBesideTheLargest) {
  // 57344^2 - 57344^2 + 2^-32: 64 bits and a sign; no double holds the sum on the way.
  const std::vector<std::uint16_t> a{0x7B, 0x01, 0x7B};
  const std::vector<std::uint16_t> w{0x7B, 0x01, 0xFB};
  EXPECT_EQ(block_dot(Format::fp8_e5m2, a, Format::fp8_e5m2, w), 0x1p-32f);
}

TEST(BlockDot, PropagatesNanAndInfinity) {
  const std::vector<std::uint16_t> infinity{0x7C, 0x3C};
  const std::vector<std::uint16_t> minus{0xFC, 0x3C};
  const std::vector<std::uint16_t> one{0x3C, 0x3C};
  const std::vector<std::uint16_t> zero{0x00, 0x00};
  const auto dot = [](const auto& a, const auto& w) {
    return block_dot(Format::fp8_e5m2, a, Format::fp8_e5m2, w);
  };
  EXPECT_EQ(dot(infinity, one), std::numeric_limits<float>::infinity());
  EXPECT_EQ(dot(minus, one), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(dot(infinity, zero)));
  EXPECT_TRUE(std::isnan(block_dot(Format::fp8_e4m3, std::vector<std::uint16_t>{0x7F},
                                   Format::fp8_e4m3, std::vector<std::uint16_t>{0x00})));
  EXPECT_THROW(block_dot(Format::int8, one, Format::int8, one), std::invalid_argument);
}

TEST(BlockScaledGemm, FusesOneStepABlockInAscendingOrder) {
  SYSTOLE_SEEDED(random);
  for (const Shape& s : kShapes) {
    const std::size_t groups = (s.k + 31) / 32;
    const auto scales = [&](std::size_t rows) {
      std::vector<float> x(rows * groups);
      for (float& v : x) v = std::ldexp(1.0f, pick(random, -6, 6));
      return x;
    };
    const auto a = coded(Format::mxfp8_e4m3, s.m, s.k, 32,
                         finite_codes(random, Format::fp8_e4m3, s.m * s.k), scales(s.m));
    const auto w = coded(Format::mxfp4, s.n, s.k, 32,
                         finite_codes(random, Format::mxfp4, s.n * s.k), scales(s.n));
    std::vector<float> out(s.m * s.n);
    block_scaled_gemm(a, w, out);
    for (std::size_t m = 0; m < s.m; ++m) {
      for (std::size_t n = 0; n < s.n; ++n) {
        float acc = 0;
        for (std::size_t g = 0; g < groups; ++g) {
          double sum = 0;
          for (std::size_t k = 32 * g; k < std::min(s.k, 32 * g + 32); ++k) {
            sum += static_cast<double>(element_value(Format::fp8_e4m3, a.codes[m * s.k + k])) *
                   static_cast<double>(element_value(Format::mxfp4, w.codes[n * s.k + k]));
          }
          acc = std::fma(static_cast<float>(sum),
                         a.scales[m * groups + g] * w.scales[n * groups + g], acc);
        }
        ASSERT_TRUE(same_bits(out[m * s.n + n], acc));
      }
    }
  }
}

TEST(BlockScaledGemm, AppliesTensorScalesLastAndOneRowScaleToEveryBlock) {
  auto a =
      coded(Format::nvfp4, 1, 32, 16, std::vector<std::uint16_t>(32, 2), {2.0f, 4.0f});  // ones
  auto w =
      coded(Format::fp8_e4m3, 1, 32, 32, std::vector<std::uint16_t>(32, 0x38), {3.0f});  // ones
  a.tensor_scale = 0.1f;
  std::vector<float> out(1);
  block_scaled_gemm(a, w, out);
  EXPECT_EQ(out[0], (16 * 6.0f + 16 * 12.0f) * 0.1f);
  w.group = 8, w.groups = 4, w.scales.assign(4, 1.0f);
  EXPECT_THROW(block_scaled_gemm(a, w, out), std::invalid_argument);
  a.scales.pop_back();
  EXPECT_THROW(block_scaled_gemm(a, w, out), std::invalid_argument);
}

TEST(BlockScaledGemm, IsTheProductOfTheDecodedOperandsForEveryBlockFormat) {
  SYSTOLE_SEEDED(random);
  const std::size_t k = 75;  // the last block is shorter
  for (const Format format :
       {Format::mxfp4, Format::mxfp6_e3m2, Format::mxfp6_e2m3, Format::mxfp8_e4m3,
        Format::mxfp8_e5m2, Format::mxint8, Format::nvfp4}) {
    QuantSpec spec;
    spec.format = format;
    const CodedMatrix a = encode(normals(random, 2 * k), 2, k, spec);
    const CodedMatrix w = encode(normals(random, 3 * k), 3, k, spec);
    const auto x = decode(a);
    const auto y = decode(w);
    std::vector<float> out(6);
    block_scaled_gemm(a, w, out);
    for (std::size_t i = 0; i < 6; ++i) {
      double exact = 0;
      double magnitude = 0;
      for (std::size_t j = 0; j < k; ++j) {
        const double product =
            static_cast<double>(x[i / 3 * k + j]) * static_cast<double>(y[i % 3 * k + j]);
        exact += product;
        magnitude += std::fabs(product);
      }
      EXPECT_NEAR(out[i], exact, 1e-6 * magnitude) << name_of(format);
    }
  }
}

TEST(BlockScaledGemm, PassesANanScaleOn) {
  const auto a = coded(Format::mxfp4, 1, 32, 32, std::vector<std::uint16_t>(32, 0),
                       {std::numeric_limits<float>::quiet_NaN()});
  std::vector<float> out(1);
  block_scaled_gemm(a, a, out);
  EXPECT_TRUE(std::isnan(out[0]));
}

TEST(UnitDot, OfHalvesHasTheBitsOfGemmFp16) {
  SYSTOLE_SEEDED(random);
  for (const Shape& s : kShapes) {
    for (const std::size_t chunk : {std::size_t{1}, std::size_t{16}, s.k + 1}) {
      auto a = normals(random, s.m * s.k);
      auto w = normals(random, s.n * s.k);
      if (s.k > 60) a[0] = std::numeric_limits<float>::infinity();
      std::vector<std::uint16_t> a_codes;
      std::vector<std::uint16_t> w_codes;
      for (const float v : a) a_codes.push_back(Fp16::encode(v).to_bits());
      for (const float v : w) w_codes.push_back(Fp16::encode(v).to_bits());
      std::vector<float> expected(s.m * s.n);
      std::vector<float> actual(s.m * s.n);
      gemm_fp16(a, w, {s.m, s.n, s.k}, chunk, expected);
      gemm_units(Format::fp16, a_codes, Format::fp16, w_codes, {s.m, s.n, s.k}, chunk, actual);
      EXPECT_TRUE(same_bits(actual, expected));
    }
  }
  EXPECT_THROW(unit_dot(Format::fp16, {}, Format::fp16, {}, 0), std::invalid_argument);
}

TEST(UnitDot, OfBfloat16RoundsEachSum) {
  // 256 + 2^-16 * ...: products exact, sums in fp32.
  const std::vector<std::uint16_t> a{0x4380, 0x3F80, 0x3F80};  // 256, 1, 1
  const std::vector<std::uint16_t> w{0x4780, 0x3F80, 0x3F80};  // 65536, 1, 1
  EXPECT_EQ(unit_dot(Format::bf16, a, Format::bf16, w, 3), 16777216.0f);
  EXPECT_EQ(unit_dot(Format::bf16, a, Format::bf16, w, 1), 16777216.0f);
  const std::vector<std::uint16_t> reversed_a{0x3F80, 0x3F80, 0x4380};
  const std::vector<std::uint16_t> reversed_w{0x3F80, 0x3F80, 0x4780};
  EXPECT_EQ(unit_dot(Format::bf16, reversed_a, Format::bf16, reversed_w, 3), 16777218.0f);
}

}  // namespace
}  // namespace systole::quant
