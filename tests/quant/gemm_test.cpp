// The definitions themselves: small products worked out by hand, and what each rule distinguishes.
#include "quant/kernels/gemm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "quant/float16.hpp"

namespace systole::quant {
namespace {

using testing::ElementsAre;

QuantizedMatrix matrix(std::size_t rows, std::size_t cols, std::vector<std::int8_t> codes,
                       std::vector<float> scales, Format format = Format::int8,
                       Affine affine = Affine::symmetric, std::vector<float> zeros = {}) {
  QuantizedMatrix m;
  m.rows = rows;
  m.cols = cols;
  m.spec.format = format;
  m.spec.affine = affine;
  m.groups = rows == 0 ? 0 : scales.size() / rows;
  m.group = m.groups == 0 ? cols : cols / m.groups;
  m.spec.granularity = m.groups > 1 ? Granularity::group : Granularity::token;
  m.spec.group = static_cast<std::uint32_t>(m.group);
  m.codes = std::move(codes);
  m.scales = std::move(scales);
  m.zeros = std::move(zeros);
  return m;
}

TEST(GemmDequantiseAfter, ScalesEachGroupsIntegerSum) {
  const auto a = matrix(1, 4, {1, 2, 3, 4}, {0.5f});
  const auto w = matrix(2, 4, {1, 1, 1, 1, -1, 2, 0, 7}, {2.0f, 4.0f, 1.0f, 0.25f});
  std::vector<float> out(2);
  gemm_dequantise_after(a, w, out);
  EXPECT_THAT(out, ElementsAre((3 * 2.0f + 7 * 4.0f) * 0.5f, (3 * 1.0f + 28 * 0.25f) * 0.5f));
}

TEST(GemmDequantiseAfter, FusesTheGroupScaleIntoTheAccumulator) {
  // 3 * 0.1f is not a float: with acc = -float(3 * 0.1f) a fused step leaves the rounding error, a
  // split one zero.
  const auto a = matrix(1, 2, {1, 1}, {1.0f});
  const float third = 0.1f;
  const float product = 3.0f * third;
  const auto w = matrix(1, 2, {1, 3}, {-product, third});
  std::vector<float> out(1);
  gemm_dequantise_after(a, w, out);
  EXPECT_EQ(out[0], std::fma(3.0f, third, -product));
  EXPECT_NE(out[0], 0.0f);
}

TEST(GemmDequantiseAfter, RoundsTheIntegerSumOnceWhenItExceedsTwentyFourBits) {
  // 2^24 + 1 is a tie and goes to even; the row scale is one more rounding.
  const std::size_t k = 1057;  // 127 * 127 * 1040 = 16774160; the rest makes 16777217
  std::vector<std::int8_t> ac(k, 127);
  std::vector<std::int8_t> wc(k, 0);
  for (std::size_t i = 0; i < 1040; ++i) wc[i] = 127;
  ac[1040] = 127, wc[1040] = 24;  // 3048
  ac[1041] = 9, wc[1041] = 1;     // 16774160 + 3048 + 9 = 16777217
  std::vector<float> out(1);
  gemm_dequantise_after(matrix(1, k, ac, {1.0f}), matrix(1, k, wc, {1.0f}), out);
  EXPECT_EQ(out[0], 16777216.0f);
}

TEST(GemmDequantiseAfter, CorrectsZeroPointsByTheSumOfActivations) {
  const auto a = matrix(1, 2, {3, -1}, {1.0f});
  std::vector<float> out(1);
  gemm_dequantise_after(a, matrix(1, 2, {5, 9}, {0.5f}, Format::int4, Affine::integer_zero, {7.0f}),
                        out);
  EXPECT_EQ(out[0], 0.5f * (3 * (5 - 7) - (9 - 7)));
  gemm_dequantise_after(a, matrix(1, 2, {5, 9}, {0.5f}, Format::int4, Affine::float_zero, {7.25f}),
                        out);
  EXPECT_EQ(out[0], 0.5f * (3 * 5 - 9) - 2 * 7.25f * 0.5f);
  gemm_dequantise_after(a, matrix(1, 2, {5, 9}, {0.5f}, Format::int4, Affine::float_min, {-1.5f}),
                        out);
  EXPECT_EQ(out[0], 0.5f * (3 * 5 - 9) + 2 * -1.5f);
}

TEST(GemmDequantiseAfter, TakesUnsignedEightBitWeights) {
  std::vector<float> out(1);
  gemm_dequantise_after(matrix(1, 1, {-127}, {1.0f}),
                        matrix(1, 1, {static_cast<std::int8_t>(255)}, {1.0f}, Format::int8,
                               Affine::integer_zero, {0.0f}),
                        out);
  EXPECT_EQ(out[0], -127.0f * 255.0f);
}

TEST(GemmDequantiseAfter, RefusesWhatItDoesNotDefine) {
  std::vector<float> out(1);
  const auto a = matrix(1, 2, {1, 1}, {1.0f});
  EXPECT_THROW(gemm_dequantise_after(a, matrix(1, 3, {1, 1, 1}, {1.0f}), out),
               std::invalid_argument);
  EXPECT_THROW(gemm_dequantise_after(a, matrix(2, 2, {1, 1, 1, 1}, {1.0f, 1.0f}), out),
               std::invalid_argument);
  EXPECT_THROW(gemm_dequantise_after(matrix(1, 2, {1, 1}, {1.0f, 1.0f}), a, out),
               std::invalid_argument);
  EXPECT_THROW(gemm_dequantise_after(
                   matrix(1, 2, {1, 1}, {1.0f}, Format::int8, Affine::float_min, {0.0f}), a, out),
               std::invalid_argument);
  const std::size_t k = 131072;
  EXPECT_THROW(gemm_dequantise_after(matrix(1, k, std::vector<std::int8_t>(k), {1.0f}),
                                     matrix(1, k, std::vector<std::int8_t>(k), {1.0f}), out),
               std::invalid_argument);
}

TEST(GemmDequantiseAfter, IsExactAtTheLongestGroup) {
  const std::size_t k = 131071;
  std::vector<float> out(1);
  gemm_dequantise_after(matrix(1, k, std::vector<std::int8_t>(k, -127), {1.0f}),
                        matrix(1, k, std::vector<std::int8_t>(k, 127), {1.0f}), out);
  EXPECT_EQ(out[0], static_cast<float>(-127ll * 127 * 131071));
}

TEST(IntegerDot, IsExactAndChecksItsLength) {
  const std::vector<std::int8_t> a{-128, 127, 1};
  const std::vector<std::int8_t> b{-128, -127, 5};
  EXPECT_EQ(integer_dot(a, b), 16384 - 16129 + 5);
  EXPECT_EQ(integer_dot({}, {}), 0);
  const std::vector<std::int8_t> lowest(131071, -128);
  EXPECT_EQ(integer_dot(lowest, lowest), 2147467264);
  EXPECT_THROW(integer_dot(a, std::vector<std::int8_t>(2)), std::invalid_argument);
  EXPECT_THROW(integer_dot(std::vector<std::int8_t>(131072), std::vector<std::int8_t>(131072)),
               std::invalid_argument);
}

TEST(GemmFp32, FusesTheProductIntoTheSum) {
  const std::vector<float> a{1.0f, 3.0f};
  const float product = 3.0f * 0.1f;
  const std::vector<float> w{-product, 0.1f};
  std::vector<float> out(1);
  gemm_fp32(a, w, {1, 1, 2}, out);
  // The rounding error of the product is left; rounded on its own it would give zero.
  EXPECT_EQ(out[0], std::fma(3.0f, 0.1f, -product));
  EXPECT_NE(out[0], 0.0f);
}

TEST(GemmFp32, AddsInAscendingK) {
  const std::vector<float> a{1e8f, 1.0f, -1e8f};
  const std::vector<float> w{1.0f, 1.0f, 1.0f};
  std::vector<float> out(1);
  gemm_fp32(a, w, {1, 1, 3}, out);
  EXPECT_EQ(out[0], 0.0f);  // descending or pairwise orders give 1 or another value
}

TEST(GemmFp32, LaysOutRowsOfActivationsByRowsOfWeights) {
  const std::vector<float> a{1, 2, 3, 4};
  const std::vector<float> w{1, 10, 100, 1000, 0, 1};
  std::vector<float> out(6);
  gemm_fp32(a, w, {2, 3, 2}, out);
  EXPECT_THAT(out, ElementsAre(21, 2100, 2, 43, 4300, 4));
}

TEST(GemmFp32, AnEmptySumIsPlusZero) {
  std::vector<float> out(2, 5.0f);
  gemm_fp32({}, {}, {1, 2, 0}, out);
  EXPECT_THAT(out, ElementsAre(0.0f, 0.0f));
  EXPECT_THROW(gemm_fp32({}, {}, {1, 2, 1}, out), std::invalid_argument);
}

TEST(GemmFp16, RoundsOperandsAndSumsChunkByChunk) {
  // 2^24 + 1 + 1: one by one the ones vanish; summed first in a chunk of their own they survive.
  const std::vector<float> a{4096.0f, 1.0f, 1.0f};
  const std::vector<float> w{4096.0f, 1.0f, 1.0f};
  std::vector<float> out(1);
  gemm_fp16(a, w, {1, 1, 3}, 3, out);
  EXPECT_EQ(out[0], 16777216.0f);
  const std::vector<float> a4{4096.0f, 0.0f, 1.0f, 1.0f};
  gemm_fp16(a4, std::vector<float>{4096.0f, 1.0f, 1.0f, 1.0f}, {1, 1, 4}, 2, out);
  EXPECT_EQ(out[0], 16777218.0f);
  gemm_fp16(std::vector<float>{0.1f}, std::vector<float>{3.0f}, {1, 1, 1}, 1, out);
  EXPECT_EQ(out[0], Fp16::encode(0.1f).decode() * 3.0f);
  EXPECT_THROW(gemm_fp16(a, w, {1, 1, 3}, 0, out), std::invalid_argument);
}

TEST(GemmFp16, AnOperandThatOverflowsBecomesInfinite) {
  std::vector<float> out(1);
  gemm_fp16(std::vector<float>{70000.0f}, std::vector<float>{1.0f}, {1, 1, 1}, 1, out);
  EXPECT_EQ(out[0], std::numeric_limits<float>::infinity());
}

TEST(GemmDequantiseBefore, IsFp32OfTheDecodedWeights) {
  const std::vector<float> a{0.3f, -0.7f, 1.1f, 2.0f};
  const auto w = matrix(3, 2, {1, -2, 3, 4, 5, -6}, {0.1f, 0.2f, 0.3f});
  std::vector<float> out(6);
  std::vector<float> expected(6);
  gemm_dequantise_before(a, w, out);
  gemm_fp32(a, dequantise(w), {2, 3, 2}, expected);
  EXPECT_EQ(out, expected);
}

}  // namespace
}  // namespace systole::quant
