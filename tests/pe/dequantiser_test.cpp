#include "pe/dequantiser.hpp"

#include <gtest/gtest.h>

#include <bit>

#include "quant/kernels/gemm.hpp"
#include "sim/core/error.hpp"
#include "sim/core/random.hpp"

namespace systole::pe {
namespace {

using quant::Affine;
using quant::Format;
using quant::Granularity;

TEST(Dequantiser, CountsOneOperationAGroupSumAndOneAnOutput) {
  EXPECT_EQ(dequantise_work(100, 4, Affine::symmetric), (DequantiseWork{400, 0, 100}));
  EXPECT_EQ(dequantise_work(100, 4, Affine::integer_zero), (DequantiseWork{400, 400, 100}));
  EXPECT_EQ(dequantise_work(100, 4, Affine::float_min), (DequantiseWork{800, 0, 100}));
  EXPECT_EQ(dequantise_work(100, 4, Affine::float_zero), (DequantiseWork{800, 0, 100}));
  EXPECT_EQ(dequantise_work(100, 0, Affine::symmetric), DequantiseWork{});
}

TEST(Dequantiser, TakesItsOperationsOverItsLanesPlusItsLatency) {
  const configs::DequantiserConfig unit{.lanes = 8, .latency_cycles = 4};
  EXPECT_EQ(dequantise_cycles(unit, {8, 0, 8}), 2u + 4);
  EXPECT_EQ(dequantise_cycles(unit, {8, 1, 8}), 3u + 4);  // one operation more: one cycle more
  EXPECT_EQ(dequantise_cycles(unit, {}), 0u);
  EXPECT_THROW(dequantise_cycles({.lanes = 0, .latency_cycles = 4}, {1, 0, 0}), InternalError);
}

TEST(Dequantiser, EveryCodeOfEveryFormatEntersTheArraySigned) {
  for (const Format format : {Format::int2, Format::int4, Format::int5, Format::int8}) {
    for (const Affine affine : {Affine::symmetric, Affine::float_min, Affine::integer_zero}) {
      const quant::QuantSpec spec{.format = format, .affine = affine};
      const int limit = 1 << (bits_of(format) - 1);
      const int lowest = affine == Affine::symmetric ? -limit : 0;
      for (int code = lowest; code < lowest + 2 * limit; ++code) {
        EXPECT_GE(code - array_offset(spec), -limit);
        EXPECT_LT(code - array_offset(spec), limit);
      }
    }
  }
}

std::vector<float> normal_values(Random& random, std::size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

TEST(Dequantiser, GivesTheBitsOfTheDefinitionForEveryAffineForm) {
  Random random(11);
  for (const Affine affine :
       {Affine::symmetric, Affine::float_min, Affine::integer_zero, Affine::float_zero}) {
    for (const std::size_t group : {std::size_t{0}, std::size_t{8}, std::size_t{32}}) {
      const std::size_t m = 5, n = 7, k = 64;
      const quant::QuantSpec weight_spec{
          .format = Format::int8,
          .granularity = group == 0 ? Granularity::channel : Granularity::group,
          .group = static_cast<std::uint32_t>(group),
          .affine = affine,
          .scale = Format::fp16};
      const auto w = quant::quantise(normal_values(random, n * k), n, k, weight_spec);
      const auto a = quant::quantise(normal_values(random, m * k), m, k,
                                     {.format = Format::int8, .granularity = Granularity::token});
      // The array's sums, from the words that enter it.
      const std::vector<OperandWord> a_words = operand_words(a);
      const std::vector<OperandWord> w_words = operand_words(w);
      std::vector<ResultWord> sums;
      for (std::size_t row = 0; row < m; ++row) {
        for (std::size_t col = 0; col < n; ++col) {
          for (std::size_t g = 0; g < w.groups; ++g) {
            std::int32_t sum = 0;
            for (std::size_t i = g * w.group; i < (g + 1) * w.group; ++i) {
              sum += static_cast<std::int16_t>(a_words[row * k + i]) *
                     static_cast<std::int16_t>(w_words[col * k + i]);
            }
            sums.push_back(result_of(sum));
          }
        }
      }
      std::vector<float> expected(m * n);
      quant::gemm_dequantise_after(a, w, expected);
      const std::vector<float> out = dequantise_sums(sums, a, w);
      ASSERT_EQ(out.size(), expected.size());
      for (std::size_t i = 0; i < out.size(); ++i) {
        EXPECT_EQ(std::bit_cast<std::uint32_t>(out[i]), std::bit_cast<std::uint32_t>(expected[i]))
            << "affine " << static_cast<int>(affine) << " group " << group << " output " << i;
      }
    }
  }
}

TEST(Dequantiser, RefusesSumsOfAnotherShape) {
  const auto a = quant::quantise(std::vector<float>(4, 1.0f), 1, 4, {.format = Format::int8});
  const auto w = quant::quantise(std::vector<float>(8, 1.0f), 2, 4, {.format = Format::int4});
  EXPECT_THROW(dequantise_sums(std::vector<ResultWord>(3), a, w), InternalError);
}

}  // namespace
}  // namespace systole::pe
