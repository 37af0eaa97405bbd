// GPTQ against the definition it is an algorithm for (optimal brain quantisation with explicit
// inverses), and the methods built on it.
#include "quant/quantisers/gptq.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "layers.hpp"
#include "quant/quantise.hpp"
#include "quant/quantisers/symmetric.hpp"

namespace systole::quant {
namespace {

using testing_tools::Layer;
using testing_tools::make_layer;
using testing_tools::output_error;

QuantSpec weights(Format format, std::uint32_t group, Affine affine = Affine::symmetric) {
  QuantSpec spec;
  spec.format = format;
  spec.granularity = group == 0 ? Granularity::channel : Granularity::group;
  spec.group = group;
  spec.affine = affine;
  spec.scale = Format::fp16;
  return spec;
}

GptqResult run(const Layer& layer, const QuantSpec& spec, const GptqOptions& options = {}) {
  BoxGptqCodec codec(ValueCodec(spec), layer.n, layer.k, spec.group);
  return gptq(layer.weight, layer.n, layer.k, layer.sum_xx, layer.tokens, codec, options);
}

/// Gauss-Jordan with pivoting, nothing shared with the code under test.
std::vector<double> inverse(std::vector<double> a, std::size_t n) {
  std::vector<double> b(n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) b[i * n + i] = 1;
  for (std::size_t c = 0; c < n; ++c) {
    std::size_t pivot = c;
    for (std::size_t r = c; r < n; ++r) {
      if (std::fabs(a[r * n + c]) > std::fabs(a[pivot * n + c])) pivot = r;
    }
    for (std::size_t j = 0; j < n; ++j) {
      std::swap(a[c * n + j], a[pivot * n + j]);
      std::swap(b[c * n + j], b[pivot * n + j]);
    }
    const double d = a[c * n + c];
    for (std::size_t j = 0; j < n; ++j) a[c * n + j] /= d, b[c * n + j] /= d;
    for (std::size_t r = 0; r < n; ++r) {
      if (r == c) continue;
      const double f = a[r * n + c];
      for (std::size_t j = 0; j < n; ++j) {
        a[r * n + j] -= f * a[c * n + j];
        b[r * n + j] -= f * b[c * n + j];
      }
    }
  }
  return b;
}

TEST(Symmetric, TheFactorIsTheUpperCholeskyFactorOfTheInverse) {
  for (const std::size_t n : {1u, 2u, 7u, 40u}) {
    const Layer layer = make_layer(n, 1, n, 3 * n + 2);
    const std::vector<double> u = inverse_factor(layer.sum_xx, n);
    const std::vector<double> h_inverse = inverse(layer.sum_xx, n);
    const std::vector<double> diagonal = inverse_diagonal(u, n);
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_GT(u[i * n + i], 0);
      EXPECT_NEAR(diagonal[i], h_inverse[i * n + i], 1e-9 * h_inverse[i * n + i]);
      for (std::size_t j = 0; j < n; ++j) {
        EXPECT_TRUE(j >= i || u[i * n + j] == 0.0);
        double product = 0;
        for (std::size_t t = 0; t < n; ++t) product += u[t * n + i] * u[t * n + j];
        EXPECT_NEAR(product, h_inverse[i * n + j], 1e-9 * std::fabs(h_inverse[i * n + i]) + 1e-12);
      }
    }
  }
  const double indefinite[] = {1, 2, 2, 1};
  EXPECT_THROW(inverse_factor(indefinite, 2), std::domain_error);
}

TEST(Symmetric, TheQuadraticErrorIsTheOutputError) {
  const Layer layer = make_layer(3, 5, 24, 60);
  const std::vector<float> rounded =
      fake_quantise(layer.weight, layer.n, layer.k, weights(Format::int3, 0));
  const double direct = output_error(layer, rounded);
  EXPECT_NEAR(quadratic_error(layer.weight, rounded, layer.sum_xx, layer.k), direct, 1e-6 * direct);
}

/// Optimal brain quantisation in a given column order: after each column the remaining weights move
/// to the least-squares optimum, from the explicit inverse of what is left of the damped H.
std::vector<float> brain_quantisation(const Layer& layer, const QuantSpec& spec, double damp,
                                      const std::vector<std::uint32_t>& order) {
  const std::size_t k = layer.k;
  std::vector<double> h(layer.sum_xx);
  double trace = 0;
  for (double& x : h) x *= 2.0 / static_cast<double>(layer.tokens);
  for (std::size_t j = 0; j < k; ++j) trace += h[j * k + j];
  for (std::size_t j = 0; j < k; ++j) h[j * k + j] += damp * trace / static_cast<double>(k);
  const ValueCodec codec(spec);
  std::vector<float> values(layer.n * k);
  for (std::size_t r = 0; r < layer.n; ++r) {
    std::vector<double> w(layer.weight.begin() + static_cast<std::ptrdiff_t>(r * k),
                          layer.weight.begin() + static_cast<std::ptrdiff_t>((r + 1) * k));
    const BoxParameters p = codec.parameters(std::vector<float>(w.begin(), w.end()));
    for (std::size_t step = 0; step < k; ++step) {
      const std::size_t left = k - step;
      std::vector<double> sub(left * left);
      for (std::size_t i = 0; i < left; ++i) {
        for (std::size_t j = 0; j < left; ++j) {
          sub[i * left + j] = h[order[step + i] * k + order[step + j]];
        }
      }
      const std::vector<double> sub_inverse = inverse(sub, left);
      const std::uint32_t column = order[step];
      const float q = codec.nearest(static_cast<float>(w[column]), p);
      values[r * k + column] = q;
      const double error = (w[column] - double{q}) / sub_inverse[0];
      for (std::size_t i = 1; i < left; ++i) w[order[step + i]] -= error * sub_inverse[i];
    }
  }
  return values;
}

TEST(Gptq, EqualsOptimalBrainQuantisationInItsColumnOrder) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    const Layer layer = make_layer(seed, 6, 20, 80);
    const QuantSpec spec = weights(Format::int3, 0);
    for (const bool act_order : {false, true}) {
      GptqOptions options;
      options.act_order = act_order;
      options.block = 7;  // several blocks, the last one short
      const GptqResult result = run(layer, spec, options);
      std::vector<std::uint32_t> order(layer.k);
      std::iota(order.begin(), order.end(), 0u);
      if (act_order) {
        std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
          return layer.sum_xx[a * layer.k + a] > layer.sum_xx[b * layer.k + b];
        });
        EXPECT_EQ(result.order, order);
      }
      EXPECT_EQ(result.values, brain_quantisation(layer, spec, options.damp, order));
    }
  }
}

TEST(Gptq, ItsLossIsTheOutputErrorItLeaves) {
  // With no damping the sum of ((w - q) / U_jj)^2 is exactly tr(D H D^T).
  const Layer layer = make_layer(9, 8, 32, 200);
  GptqOptions options;
  options.damp = 0;
  const GptqResult result = run(layer, weights(Format::int3, 8), options);
  const double expected = output_error(layer, result.values) * 2 / 200;
  EXPECT_NEAR(result.loss, expected, 1e-6 * expected);
}

TEST(Gptq, BeatsRoundingToNearestOnCorrelatedInputs) {
  for (const std::uint32_t group : {0u, 16u, 32u}) {
    for (const bool act_order : {false, true}) {
      for (const bool static_groups : {false, true}) {
        const Layer layer = make_layer(4, 24, 64, 300, 4, 16);
        const QuantSpec spec = weights(Format::int3, group, Affine::integer_zero);
        GptqOptions options;
        options.act_order = act_order;
        options.static_groups = static_groups;
        const double rtn = output_error(layer, fake_quantise(layer.weight, layer.n, layer.k, spec));
        EXPECT_LT(output_error(layer, run(layer, spec, options).values), 0.5 * rtn)
            << group << act_order << static_groups;
      }
    }
  }
}

TEST(Gptq, IsRoundingToNearestWhenInputsAreUncorrelated) {
  Layer layer = make_layer(5, 10, 32, 10);
  std::fill(layer.sum_xx.begin(), layer.sum_xx.end(), 0.0);
  for (std::size_t j = 0; j < 32; ++j) layer.sum_xx[j * 33] = 1.0 + static_cast<double>(j);
  const QuantSpec spec = weights(Format::int4, 16);
  const std::vector<float> rtn = fake_quantise(layer.weight, 10, 32, spec);
  EXPECT_EQ(run(layer, spec).values, rtn);
  GptqOptions options;
  options.act_order = options.static_groups = true;
  EXPECT_EQ(run(layer, spec, options).values, rtn);
}

TEST(Gptq, DoesNotDependOnTheBlockUnlessRangesAreStale) {
  const Layer layer = make_layer(6, 8, 48, 200);
  const QuantSpec spec = weights(Format::int3, 16);
  GptqOptions options;
  options.block = 1;
  const std::vector<float> expected = run(layer, spec, options).values;
  for (const std::size_t block : {5u, 16u, 48u, 1000u}) {
    options.block = block;
    EXPECT_EQ(run(layer, spec, options).values, expected) << block;
  }
  options.stale_ranges = true;  // a group of 16 inside a block of 48: its range lacks corrections
  options.block = 48;
  EXPECT_NE(run(layer, spec, options).values, expected);
  options.block = 16;  // a group that starts with its block: nothing is stale
  EXPECT_EQ(run(layer, spec, options).values, expected);
}

TEST(Gptq, GivesDeadColumnsNoWeight) {
  Layer layer = make_layer(7, 4, 16, 100);
  for (std::size_t t = 0; t < layer.tokens; ++t) layer.input[t * 16 + 5] = 0;
  layer.sum_xx.assign(16 * 16, 0.0);
  accumulate_outer(layer.input, 16, layer.sum_xx, 0, 16);
  mirror_upper(layer.sum_xx, 16);
  const GptqResult result = run(layer, weights(Format::int4, 0));
  EXPECT_EQ(result.dead_columns, 1u);
  for (std::size_t r = 0; r < 4; ++r) EXPECT_EQ(result.values[r * 16 + 5], 0.0f);
}

TEST(Gptq, RefusesWhatItCannotQuantise) {
  const Layer layer = make_layer(8, 2, 8, 20);
  BoxGptqCodec codec(ValueCodec(weights(Format::int4, 0)), 2, 8, 0);
  std::vector<float> bad = layer.weight;
  bad[3] = std::nanf("");
  EXPECT_THROW(gptq(bad, 2, 8, layer.sum_xx, 20, codec), std::domain_error);
  EXPECT_THROW(gptq(layer.weight, 3, 8, layer.sum_xx, 20, codec), std::invalid_argument);
  EXPECT_THROW(gptq(layer.weight, 2, 8, layer.sum_xx, 0, codec), std::invalid_argument);
  EXPECT_THROW(BoxGptqCodec(ValueCodec(weights(Format::int4, 3)), 2, 8, 3), std::invalid_argument);
}

TEST(Rsq, WeightsSumToTheTokensAndFollowTheAttention) {
  const double received[] = {4.0, 1.0, 2.0, 1.0};
  const std::vector<float> w = rsq_token_weights(received);
  EXPECT_FLOAT_EQ(w[0], 3.0f);  // min-max: 1, 0, 1/3, 0; times 4 / (4/3)
  EXPECT_FLOAT_EQ(w[1], 0.0f);
  EXPECT_FLOAT_EQ(w[2], 1.0f);
  const double same[] = {2.0, 2.0};
  EXPECT_EQ(rsq_token_weights(same), (std::vector<float>{1, 1}));
}

TEST(Slim, KeepsTheMeanWidthAndBeatsUniformWidthsWhereGroupsDiffer) {
  Layer layer = make_layer(10, 24, 64, 300);
  for (std::size_t t = 0; t < layer.tokens; ++t) {  // two groups of 16 matter ten times as much
    for (std::size_t j = 16; j < 48; ++j) layer.input[t * 64 + j] *= 10;
  }
  layer.sum_xx.assign(64 * 64, 0.0);
  accumulate_outer(layer.input, 64, layer.sum_xx, 0, 64);
  mirror_upper(layer.sum_xx, 64);
  for (const unsigned bits : {2u, 3u}) {
    const QuantSpec spec =
        weights(static_cast<Format>(static_cast<unsigned>(Format::int2) + bits - 2), 16,
                Affine::integer_zero);
    const SlimResult mixed =
        slim(layer.weight, layer.n, layer.k, layer.sum_xx, layer.tokens, bits, 16, spec);
    EXPECT_EQ(std::accumulate(mixed.bits.begin(), mixed.bits.end(), 0u), 4 * bits);
    EXPECT_EQ(mixed.moved, 2u);
    EXPECT_EQ(mixed.bits[0], bits - 1);
    EXPECT_EQ(mixed.bits[1], bits + 1);
    EXPECT_LT(output_error(layer, mixed.weight.values),
              output_error(layer, run(layer, spec).values));
  }
}

TEST(Baq, LevelsFollowTheLossesAndKeepTheMeanBits) {
  // Losses apart by 2^1.95 a step: one bit a step; geometric mean in the middle.
  const double step = std::pow(2.0, 1.95);
  const double losses[] = {1.0, step, step * step, 0.0};
  EXPECT_EQ(baq_levels(losses, 2.0), (std::vector<std::uint32_t>{2, 4, 8, 1}));
  const double equal[] = {3.0, 3.0};
  EXPECT_EQ(baq_levels(equal, std::log2(3.0)), (std::vector<std::uint32_t>{3, 3}));
}

TEST(Baq, BeatsUniformLevelsAtTheSameMeanBits) {
  const Layer layer = make_layer(12, 24, 64, 300, 4, 8);
  const BaqResult mixed = baq(layer.weight, 24, 64, layer.sum_xx, layer.tokens, 2.0);
  EXPECT_NEAR(mixed.ideal_bits, 2.0, 0.1);
  EXPECT_GE(mixed.packed_bits, mixed.ideal_bits);
  QuantSpec spec = weights(Format::int2, 0, Affine::float_min);
  spec.scale = Format::fp32;
  EXPECT_LT(output_error(layer, mixed.weight.values),
            0.5 * output_error(layer, run(layer, spec).values));
}

}  // namespace
}  // namespace systole::quant
