// QoQ: the protective ranges exhaustively, the packed arithmetic against wide integers.
#include "quant/quantisers/qoq.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "layers.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

using testing_tools::Layer;
using testing_tools::make_layer;

/// Whether some group within [-bound, bound] decodes to what no byte holds. Scale and zero depend
/// on the extremes alone, so all pairs of extremes and all values between them are all groups.
bool overflows(int bound, QoqZero zero) {
  for (int low = -bound; low <= bound; ++low) {
    for (int high = low; high <= bound; ++high) {
      const std::int8_t ends[] = {static_cast<std::int8_t>(low), static_cast<std::int8_t>(high)};
      const QoqGroup group = qoq_group(ends, zero);
      for (int value = low; value <= high; ++value) {
        const int wide = qoq_decode_wide(qoq_encode(value, group, zero), group, zero);
        if (wide < -128 || wide > 127) return true;
      }
    }
  }
  return false;
}

TEST(Qoq, TheProtectiveRangesAreTheLargestThatNeverOverflow) {
  EXPECT_FALSE(overflows(119, QoqZero::before_scale));
  EXPECT_TRUE(overflows(120, QoqZero::before_scale));
  EXPECT_FALSE(overflows(120, QoqZero::after_scale));
  EXPECT_TRUE(overflows(121, QoqZero::after_scale));
}

TEST(Qoq, ViolatingTheRangeWrapsAsTheGoldenVectorSays) {
  // quantization.md section 13: extremes (-119, 120), scale 16, zero 7: 120 becomes 128.
  const std::int8_t ends[] = {-119, 120};
  const QoqGroup group = qoq_group(ends, QoqZero::before_scale);
  EXPECT_EQ(group.scale, 16);
  EXPECT_EQ(group.zero, 7);
  const std::uint8_t code = qoq_encode(120, group, QoqZero::before_scale);
  EXPECT_EQ(code, 15);
  EXPECT_EQ(qoq_decode_wide(code, group, QoqZero::before_scale), 128);
  EXPECT_EQ(qoq_decode_packed(code, group, QoqZero::before_scale) & 0xFF, 0x80u);  // -128
}

TEST(Qoq, ThePackedArithmeticIsTheWideOneForEveryGroupAndCode) {
  for (const QoqZero zero : {QoqZero::before_scale, QoqZero::after_scale}) {
    const int bound = protective_bound(zero);
    for (int low = -bound; low <= bound; low += 3) {
      for (int high = low; high <= bound; ++high) {
        const std::int8_t ends[] = {static_cast<std::int8_t>(low), static_cast<std::int8_t>(high)};
        const QoqGroup group = qoq_group(ends, zero);
        for (std::uint32_t first = 0; first < 16; ++first) {
          const std::uint32_t codes = first | (15 - first) << 8 | (first ^ 5) << 16 | first << 24;
          const std::uint32_t packed = qoq_decode_packed(codes, group, zero);
          for (unsigned b = 0; b < 4; ++b) {
            const int wide =
                qoq_decode_wide(static_cast<std::uint8_t>(codes >> (8 * b) & 15), group, zero);
            ASSERT_EQ(packed >> (8 * b) & 0xFF, static_cast<std::uint32_t>(wide) & 0xFF);
          }
        }
      }
    }
  }
}

TEST(Qoq, WeightsStayWithinHalfAStepOfBothLevels) {
  const Layer layer = make_layer(1, 8, 256, 1);
  for (const QoqZero zero : {QoqZero::before_scale, QoqZero::after_scale}) {
    const QoqWeight w = qoq_quantise(layer.weight, 8, 256, 128, zero);
    const std::vector<float> values = w.values();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float scale = w.scales[i / 256];
      const int step = w.groups[i / 128].scale;
      // Rounding to the group's step, its zero to the step (before_scale), the range / 15 down by
      // up to half a unit on each of 15 codes.
      EXPECT_LE(std::fabs(values[i] - layer.weight[i]),
                scale * (1.0f * static_cast<float>(step) + 8.5f));
    }
    EXPECT_DOUBLE_EQ(qoq_quantise(layer.weight, 8, 256, 128, zero).stored_bits(),
                     4 + 16.0 / 128 + 16.0 / 256);
  }
  // The published size: 4.129 bits at 4096 inputs.
  QoqWeight shape;
  shape.k = 4096;
  shape.group = 128;
  EXPECT_NEAR(shape.stored_bits(), 4.129, 5e-4);
  QoqChannelWeight channels;
  channels.k = 4096;
  EXPECT_NEAR(channels.stored_bits(), 4.008, 5e-4);
}

TEST(Qoq, GptqLowersTheOutputErrorOfBothLevels) {
  const Layer layer = make_layer(2, 16, 128, 400, 4, 16);
  for (const bool act_order : {false, true}) {
    GptqOptions options;
    options.act_order = options.static_groups = act_order;
    const GptqHessian hessian = prepare_hessian(layer.sum_xx, layer.tokens, 128, options);
    const QoqWeight better = qoq_gptq(layer.weight, 16, 128, 64, hessian, options);
    const QoqWeight plain = qoq_quantise(layer.weight, 16, 128, 64);
    EXPECT_LT(output_error(layer, better.values()), 0.5 * output_error(layer, plain.values()));
  }
}

TEST(Qoq, ActivationsAreCodedAndScaledByDifferentNumbers) {
  // absmax 3: codes by 127/3 = 42.33333206 (fp32); scale fp16(3/127) = 0.023620605.
  const float x[] = {3.0f, -1.5f, 0.0118f, 0.7f};
  const QoqToken token = qoq_activation(x);
  EXPECT_EQ(token.codes, (std::vector<std::int8_t>{127, -64, 0, 30}));  // -63.5 goes to even
  EXPECT_EQ(token.scale, round_to(Format::fp16, 3.0f / 127.0f));
  EXPECT_NE(token.scale, 3.0f / 127.0f);
  EXPECT_EQ(token.sum, round_to(Format::fp16, 3.0f - 1.5f + 0.0118f + 0.7f));
  const float zeros[] = {0, 0};
  EXPECT_EQ(qoq_activation(zeros).scale, 0.0f);
}

TEST(Qoq, BothKernelsComeNearTheRealProduct) {
  const Layer layer = make_layer(3, 4, 128, 3);
  const QoqWeight groups = qoq_quantise(layer.weight, 4, 128, 64);
  const QoqChannelWeight channels = qoq_quantise_channels(layer.weight, 4, 128);
  for (std::size_t t = 0; t < 3; ++t) {
    const std::span<const float> x = std::span(layer.input).subspan(t * 128, 128);
    const QoqToken token = qoq_activation(x);
    for (std::size_t r = 0; r < 4; ++r) {
      double by_group = 0, by_channel = 0, size = 0;
      for (std::size_t j = 0; j < 128; ++j) {
        const double a = double{token.scale} * token.codes[j];
        by_group += double{groups.values()[r * 128 + j]} * a;
        const double w = double{channels.scales[r]} * channels.codes[r * 128 + j];
        by_channel += w * a - double{channels.scaled_zeros[r]} * double{x[j]};
        size += std::fabs(double{layer.weight[r * 128 + j]} * double{x[j]});
      }
      EXPECT_NEAR(qoq_dot(groups, r, token), by_group, 2e-3 * size);
      EXPECT_NEAR(qoq_dot(channels, r, token), by_channel, 2e-3 * size);
    }
  }
}

}  // namespace
}  // namespace systole::quant
