// Factors: what they are on paper, that folding them changes nothing, and that AWQ finds better
// scales than none.
#include "quant/quantisers/smooth.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "layers.hpp"
#include "quant/kernels/vector.hpp"
#include "quant/quantise.hpp"
#include "quant/quantisers/range_search.hpp"

namespace systole::quant {
namespace {

using testing_tools::Layer;
using testing_tools::make_layer;

std::vector<float> mean_abs(const Layer& layer) {
  std::vector<float> mean(layer.k, 0.0f);
  for (std::size_t i = 0; i < layer.input.size(); ++i)
    mean[i % layer.k] += std::fabs(layer.input[i]);
  for (float& m : mean) m /= static_cast<float>(layer.tokens);
  return mean;
}

std::vector<float> absmax(const std::vector<float>& rows, std::size_t k) {
  const std::span<const float> one[] = {rows};
  return column_absmax(one, k);
}

double product(const std::vector<float>& w, std::size_t row, const std::vector<float>& x,
               std::size_t token, std::size_t k) {
  double sum = 0;
  for (std::size_t j = 0; j < k; ++j) sum += double{w[row * k + j]} * double{x[token * k + j]};
  return sum;
}

TEST(SmoothQuant, FactorsAreTheRatioOfPowers) {
  const float x[] = {4, 9, 0, 16}, w[] = {1, 4, 5, 0};
  const std::vector<float> s = smoothquant_factors(x, w, 0.5, 0.5);
  EXPECT_FLOAT_EQ(s[0], 2.0f);
  EXPECT_FLOAT_EQ(s[1], 1.5f);
  EXPECT_EQ(s[2], 1.0f);  // an input that is always 0
  EXPECT_EQ(s[3], 1.0f);  // a column that is 0
}

TEST(SmoothQuant, FoldingKeepsTheOutputsAndLevelsTheInputs) {
  Layer layer = make_layer(1, 8, 32, 50, 4, 8);
  const std::vector<float> weight = layer.weight, input = layer.input;
  const std::span<const float> weights[] = {weight};
  const std::vector<float> s =
      smoothquant_factors(absmax(input, 32), column_absmax(weights, 32), 0.5, 0.5);
  std::vector<float> gain(32, 1.5f);
  divide(gain, s);  // where the division goes in a model
  EXPECT_FLOAT_EQ(gain[3] * s[3], 1.5f);
  multiply_columns(layer.weight, s);
  divide(layer.input, s);
  for (std::size_t t = 0; t < 50; ++t) {
    for (std::size_t r = 0; r < 8; ++r) {
      EXPECT_NEAR(product(layer.weight, r, layer.input, t, 32), product(weight, r, input, t, 32),
                  2e-5);
    }
  }
  const auto spread = [](const std::vector<float>& m) {
    return *std::max_element(m.begin(), m.end()) / *std::min_element(m.begin(), m.end());
  };
  EXPECT_LT(spread(absmax(layer.input, 32)), 0.5 * spread(absmax(input, 32)));
}

TEST(SmoothKey, FactorsAreTiedInPairsAndKeepTheScoresAfterRope) {
  constexpr std::size_t kHidden = 16, kDim = 8, kKeys = 16, kQueries = 32;  // 2 KV heads, 4 heads
  const Layer q = make_layer(2, kQueries, kHidden, 10), k = make_layer(3, kKeys, kHidden, 10);
  std::vector<float> wq = q.weight, wk = k.weight;
  std::vector<float> largest(kKeys);
  for (std::size_t c = 0; c < kKeys; ++c) largest[c] = 0.1f + static_cast<float>(c * c);
  const std::vector<float> factors = smooth_key_factors(largest, 0.5);
  for (std::size_t c = 0; c < kKeys; c += 2) {
    EXPECT_EQ(factors[c], factors[c + 1]);
    EXPECT_FLOAT_EQ(factors[c] * factors[c], largest[c + 1]);
  }
  fold_key_factors(wq, wk, factors, kDim, kHidden);
  const RopeAngles turn = rope_angles(5, rope_frequencies(kDim, 10000.0));
  const auto score = [&](const std::vector<float>& query, const std::vector<float>& key,
                         std::size_t head) {
    std::vector<float> a(kDim), b(kDim);
    for (std::size_t i = 0; i < kDim; ++i) {
      a[i] = static_cast<float>(product(query, head * kDim + i, q.input, 0, kHidden));
      b[i] = static_cast<float>(product(key, head / 2 * kDim + i, q.input, 1, kHidden));
    }
    rope(a, turn);  // the same factor on both of a pair commutes with the turn
    double sum = 0;
    for (std::size_t i = 0; i < kDim; ++i) sum += double{a[i]} * double{b[i]};
    return sum;
  };
  for (std::size_t head = 0; head < 4; ++head) {
    EXPECT_NEAR(score(wq, wk, head), score(q.weight, k.weight, head), 1e-4);
  }
}

TEST(Factors, OfPairsBalanceAndExpertsAreAsPublished) {
  const float keys[] = {3, 4, 0, 0, 6, 8, 1, 0};  // two tokens of two pairs
  const std::vector<float> pairs = pair_max_factors(keys, 4, 2.0);
  EXPECT_EQ(pairs, (std::vector<float>{5, 5, 0.5f, 0.5f}));  // divides by max / alpha
  const float queries[] = {8, 1, 2, 9}, key[] = {2, 1};      // two heads share one KV head of 2
  EXPECT_EQ(balance_factors(queries, key, 2),
            (std::vector<float>{0.5f, static_cast<float>(1.0 / 3)}));
  const std::vector<float> experts[] = {{1, 5}, {3, 2}};
  EXPECT_EQ(largest_factors(experts), (std::vector<float>{3, 5}));
}

QuantSpec int3_groups() {
  QuantSpec spec;
  spec.format = Format::int3;
  spec.granularity = Granularity::group;
  spec.group = 32;
  spec.affine = Affine::integer_zero;
  spec.scale = Format::fp16;
  return spec;
}

TEST(Awq, ProtectsSalientChannels) {
  const Layer layer = make_layer(4, 24, 64, 200, 4, 16);
  const std::span<const float> weights[] = {layer.weight};
  const AwqScales found =
      awq_scales(weights, 64, int3_groups(), mean_abs(layer), {layer.input, {}});
  EXPECT_GT(found.ratio, 0);
  EXPECT_LT(found.error, 0.6 * found.plain_error);
  EXPECT_GT(found.factors[16], 2 * found.factors[17]);  // a strong channel gets finer steps
  // The error it reports is that of the weight it stands for.
  std::vector<float> scaled = layer.weight;
  multiply_columns(scaled, found.factors);
  std::vector<float> rounded = round_by_boxes(scaled, 24, 64, int3_groups());
  divide(rounded, found.factors);
  const double direct = testing_tools::output_error(layer, rounded);
  EXPECT_NEAR(found.error, direct, 1e-6 * direct);
}

TEST(Awq, MeasuresTheSameOnRowsAndOnTheirOuterProducts) {
  const Layer layer = make_layer(5, 6, 32, 90);
  const std::vector<float> rounded = round_by_boxes(layer.weight, 6, 32, int3_groups());
  const double by_rows = output_error(layer.weight, rounded, 32, {layer.input, {}});
  const double by_sum = output_error(layer.weight, rounded, 32, {{}, layer.sum_xx});
  EXPECT_NEAR(by_rows, by_sum, 1e-9 * by_rows);
}

TEST(Awq, ClipsNeverRaiseTheErrorOfABox) {
  Layer layer = make_layer(6, 4, 64, 120);
  layer.weight[40] = 1.0f;  // ten deviations: worth clipping
  for (const bool rows : {true, false}) {
    const LayerInputs inputs = rows ? LayerInputs{layer.input, {}} : LayerInputs{{}, layer.sum_xx};
    const std::vector<float> clips = awq_clips(layer.weight, 4, 64, int3_groups(), inputs);
    ASSERT_EQ(clips.size(), 8u);
    EXPECT_LT(clips[1], 1.0f);
    EXPECT_GE(clips[1], 0.5f);
    const ValueCodec codec(int3_groups());
    for (std::size_t box = 0; box < 8; ++box) {
      std::vector<float> only(layer.weight.size(), 0.0f), plain = only, clipped = only;
      for (std::size_t i = box * 32; i < box * 32 + 32; ++i) only[i] = layer.weight[i];
      const std::span<const float> part = std::span(only).subspan(box * 32, 32);
      const BoxParameters whole = codec.parameters(part),
                          narrow = codec.parameters(part, -clips[box], clips[box]);
      for (std::size_t i = box * 32; i < box * 32 + 32; ++i) {
        plain[i] = codec.nearest(only[i], whole);
        clipped[i] = codec.nearest(only[i], narrow);
      }
      EXPECT_LE(output_error(only, clipped, 64, inputs),
                output_error(only, plain, 64, inputs) * (1 + 1e-12));
    }
  }
}

TEST(RoundByBoxes, IsFakeQuantiseForIntegers) {
  const Layer layer = make_layer(7, 6, 64, 10);
  for (const Granularity g : {Granularity::tensor, Granularity::channel, Granularity::group}) {
    QuantSpec spec = int3_groups();
    spec.granularity = g;
    EXPECT_EQ(round_by_boxes(layer.weight, 6, 64, spec), fake_quantise(layer.weight, 6, 64, spec));
  }
}

}  // namespace
}  // namespace systole::quant
