// Products by hand, their order, and ggml_gemm's bookkeeping. Bits against ggml: golden_test.cpp.
#include "quant/ggml/dot.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "quant/ggml/rows.hpp"
#include "tests/quant/ggml/inputs.hpp"

namespace systole::quant {
namespace {

using ggml_test::Stream;

std::array<float, 32> ramp() {  // x_j = (j - 12) / 8
  std::array<float, 32> x{};
  for (std::size_t j = 0; j < 32; ++j) x[j] = (static_cast<float>(j) - 12.0f) / 8.0f;
  return x;
}

TEST(GgmlDot, Q4_0GivesTheGoldenIntegerDotTimesBothStoredScales) {
  const BlockQ4_0 w = encode_q4_0(ramp());
  const BlockQ8_0 a = encode_q8_0(ramp());
  // -8824: quantization.md, section 13.
  EXPECT_EQ(dot_q4_0_q8_0({&w, 1}, {&a, 1}), -8824.0f * w.d.decode() * a.d.decode());
}

TEST(GgmlDot, Q4_0RoundsAfterEachBlockAndEachScale) {
  // Two blocks of isum 1 whose terms are 2^24 and 1: the second is lost in the fp32 sum.
  std::array<BlockQ4_0, 2> w{};
  std::array<BlockQ8_0, 2> a{};
  for (std::size_t b = 0; b < 2; ++b) {
    w[b].quants.fill(0x88);
    w[b].quants[0] = 0x89;
    w[b].d = Fp16::encode(b == 0 ? 4096.0f : 1.0f);
    a[b].quants.fill(0);
    a[b].quants[0] = 1;
    a[b].d = Fp16::encode(b == 0 ? 4096.0f : 1.0f);
  }
  EXPECT_EQ(dot_q4_0_q8_0(w, a), 16777216.0f);
}

TEST(GgmlDot, Q4_KSubtractsMinimaBeforeItsLanes) {
  // Lanes of 2^24 and minima of 1: sum = -1, then + 2^24 - exact only in that order.
  std::array<BlockQ4_K, 1> w{};
  std::array<BlockQ8_K, 1> a{};
  w[0].d = Fp16::encode(4096.0f);
  w[0].dmin = Fp16::encode(1.0f);
  w[0].scales[0] = 1;  // scale of sub-block 0
  w[0].scales[4] = 1;  // min of sub-block 0
  w[0].quants[0] = 1;
  w[0].quants[1] = 1;
  a[0].d = 1.0f;
  a[0].quants[0] = 64;
  a[0].quants[1] = 64;
  a[0].sums[0] = 1;
  EXPECT_EQ(dot_q4_k_q8_k(w, a), 524287.0f);  // 4096 * 64 twice, less 1
}

TEST(GgmlDot, RowsOfDifferentLengthAreRefused) {
  EXPECT_THROW(dot_q4_0_q8_0(std::vector<BlockQ4_0>(2), std::vector<BlockQ8_0>(1)),
               std::invalid_argument);
  EXPECT_THROW(dot_q6_k_q8_k(std::vector<BlockQ6_K>(1), std::vector<BlockQ8_K>(2)),
               std::invalid_argument);
  EXPECT_THROW(dot_nvfp4_q8_0(std::vector<BlockNVFP4>(1), std::vector<BlockQ8_0>(1)),
               std::invalid_argument);
  EXPECT_EQ(dot_nvfp4_q8_0(std::vector<BlockNVFP4>(1), std::vector<BlockQ8_0>(2)), 0.0f);
}

class GgmlGemm : public testing::TestWithParam<GgmlTypeInfo> {};

TEST_P(GgmlGemm, IsCloseToTheProductOfTheDecodedOperands) {
  const GgmlTypeInfo& info = GetParam();
  const std::size_t m = 3, n = 5, k = 512;
  Stream s(21);
  std::vector<float> w(n * k), a(m * k);
  for (float& v : w) v = ggml_test::bell(s);
  for (float& v : a) v = ggml_test::bell(s);
  const std::vector<std::uint8_t> bytes = encode_rows(info.type, w);
  std::vector<float> out(m * n, -1.0f);
  ggml_gemm(info.type, bytes, n, k, a, out);
  const std::vector<float> dw = decode_rows(info.type, bytes);
  const std::vector<float> da = decode_rows(info.activation, encode_rows(info.activation, a));
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double sum = 0, magnitude = 0;
      for (std::size_t e = 0; e < k; ++e) {
        const double term = double{da[i * k + e]} * double{dw[j * k + e]};
        sum += term;
        magnitude += std::fabs(term);
      }
      // fp32 sums of at most 64 terms, and Q8_1's sum rounded to fp16 (11 bits).
      EXPECT_NEAR(out[i * n + j], sum, magnitude * 0x1p-11) << i << " " << j;
    }
  }
}

TEST_P(GgmlGemm, RefusesShapesThatDoNotAgree) {
  const GgmlType type = GetParam().type;
  const std::size_t k = 256;
  const std::vector<std::uint8_t> bytes(2 * ggml_row_bytes(type, k));
  const std::vector<float> a(3 * k);
  std::vector<float> out(6);
  EXPECT_NO_THROW(ggml_gemm(type, bytes, 2, k, a, out));
  EXPECT_THROW(ggml_gemm(type, bytes, 3, k, a, out), std::invalid_argument);
  EXPECT_THROW(ggml_gemm(type, bytes, 2, k, std::span(a).first(k + 1), out), std::invalid_argument);
  EXPECT_THROW(ggml_gemm(type, bytes, 2, k, a, std::span(out).first(5)), std::invalid_argument);
  EXPECT_THROW(ggml_gemm(type, bytes, 2, 24, a, out), std::invalid_argument);
  EXPECT_THROW(ggml_gemm(type, {}, 0, 0, {}, {}), std::invalid_argument);
  EXPECT_NO_THROW(ggml_gemm(type, {}, 0, k, a, {}));
}

std::vector<GgmlTypeInfo> weight_types() {
  std::vector<GgmlTypeInfo> types;
  for (const GgmlTypeInfo& info : ggml_types()) {
    const bool weight =
        info.elements > 1 && info.type != GgmlType::q8_1 && info.type != GgmlType::q8_k;
    if (weight) types.push_back(info);
  }
  return types;
}
INSTANTIATE_TEST_SUITE_P(Types, GgmlGemm, testing::ValuesIn(weight_types()),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(GgmlGemmTypes, FloatsAndActivationTypesAreNoWeights) {
  std::vector<float> out(1);
  const std::vector<float> a(256);
  for (const GgmlType type :
       {GgmlType::f32, GgmlType::f16, GgmlType::bf16, GgmlType::q8_1, GgmlType::q8_k}) {
    const std::vector<std::uint8_t> bytes(ggml_row_bytes(type, 256));
    EXPECT_THROW(ggml_gemm(type, bytes, 1, 256, a, out), std::invalid_argument);
  }
  EXPECT_THROW(ggml_gemm(Format::int4, std::vector<std::uint8_t>(144), 1, 256, a, out),
               std::invalid_argument);
  EXPECT_NO_THROW(ggml_gemm(Format::q4_k, std::vector<std::uint8_t>(144), 1, 256, a, out));
}

}  // namespace
}  // namespace systole::quant
