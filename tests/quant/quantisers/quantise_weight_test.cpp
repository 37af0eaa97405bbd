// Whole policies on one layer: each axis does what it says, and the pieces fit together.
#include "quant/quantisers/quantise_weight.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "layers.hpp"
#include "quant/quantise.hpp"
#include "quant/quantisers/qoq.hpp"

namespace systole::quant {
namespace {

using testing_tools::Layer;
using testing_tools::make_layer;

LayerStatistics statistics_of(const Layer& layer) {
  LayerStatistics s;
  s.cols = layer.k;
  s.hessian = layer.sum_xx;
  s.sample = layer.input;
  s.tokens = layer.tokens;
  s.mean_abs.resize(layer.k);
  s.absmax.resize(layer.k);
  for (std::size_t i = 0; i < layer.input.size(); ++i) {
    const float magnitude = std::fabs(layer.input[i]);
    s.mean_abs[i % layer.k] += magnitude / static_cast<float>(layer.tokens);
    s.absmax[i % layer.k] = std::max(s.absmax[i % layer.k], magnitude);
  }
  return s;
}

TensorPolicy int_policy(Format format, std::uint32_t group, Affine affine = Affine::symmetric) {
  TensorPolicy policy;
  policy.format = format;
  policy.granularity = group == 0 ? Granularity::channel : Granularity::group;
  policy.group = group;
  policy.affine = affine;
  policy.scale = Format::fp16;
  return policy;
}

/// sum over tokens and outputs of (w x - values T(x / s))^2: what the layer is off by.
double layer_error(const Layer& layer, const QuantisedWeight& q) {
  std::vector<float> input = layer.input;
  apply_input(q, input, layer.k);
  double total = 0;
  for (std::size_t t = 0; t < layer.tokens; ++t) {
    for (std::size_t r = 0; r < layer.n; ++r) {
      double sum = 0;
      for (std::size_t j = 0; j < layer.k; ++j) {
        sum += double{layer.weight[r * layer.k + j]} * double{layer.input[t * layer.k + j]} -
               double{q.values[r * layer.k + j]} * double{input[t * layer.k + j]};
      }
      total += sum * sum;
    }
  }
  return total;
}

struct Weights : testing::Test {
  Layer layer = make_layer(21, 24, 128, 300, 4, 16);
  LayerStatistics statistics = statistics_of(layer);
  QuantisedWeight run(const TensorPolicy& policy) const {
    return quantise_weight(layer.weight, layer.n, layer.k, policy, &statistics);
  }
  /// The codes decode to the values, in their order.
  void expect_codes(const QuantisedWeight& q) const {
    ASSERT_TRUE(q.codes.has_value());
    const std::vector<float> decoded = decode(*q.codes);
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      const std::size_t j = i % layer.k;
      const std::size_t column = q.column_order.empty() ? j : q.column_order[j];
      ASSERT_EQ(decoded[i], q.values[i - j + column]);
    }
  }
};

TEST_F(Weights, RoundToNearestAsTheWholeMatrixDoes) {
  const TensorPolicy policies[] = {
      int_policy(Format::int4, 32),     int_policy(Format::int3, 0, Affine::integer_zero),
      int_policy(Format::fp4_e2m1, 32), int_policy(Format::nf4, 64),
      int_policy(Format::mxfp4, 0),     int_policy(Format::nvfp4, 0),
      int_policy(Format::ternary, 32),  int_policy(Format::half, 0)};
  for (const TensorPolicy& policy : policies) {
    const QuantisedWeight q = quantise_weight(layer.weight, layer.n, layer.k, policy, nullptr);
    EXPECT_EQ(q.values, decode(encode(layer.weight, layer.n, layer.k, policy))) << describe(policy);
    expect_codes(q);
    double error = 0;
    for (std::size_t i = 0; i < q.values.size(); ++i) {
      error += std::pow(double{layer.weight[i]} - double{q.values[i]}, 2);
    }
    EXPECT_NEAR(q.squared_error, error, 1e-9 * error);
    EXPECT_GE(q.stored_bits, bits_of(policy.format));
  }
  // 4 bits, an fp16 scale for 32.
  EXPECT_DOUBLE_EQ(run(policies[0]).stored_bits, 4.5);
}

TEST_F(Weights, GptqBeatsRoundingInEveryKindOfFormat) {
  for (TensorPolicy policy :
       {int_policy(Format::int3, 32), int_policy(Format::int3, 32, Affine::integer_zero),
        int_policy(Format::fp4_e2m1, 32), int_policy(Format::nf3, 32), int_policy(Format::mxfp4, 0),
        int_policy(Format::nvfp4, 0), int_policy(Format::half, 0)}) {
    const double rtn = layer_error(layer, run(policy));
    policy.quantiser.method = Method::gptq;
    for (const bool act_order : {false, true}) {
      policy.quantiser.act_order = act_order;
      const QuantisedWeight q = run(policy);
      expect_codes(q);
      EXPECT_LT(layer_error(layer, q), 0.6 * rtn) << describe(policy) << act_order;
    }
  }
}

TEST_F(Weights, TheReleasedSymmetricGptqUsesAllCodes) {
  TensorPolicy policy = int_policy(Format::int4, 0);
  policy.quantiser.method = Method::gptq;
  policy.contract = Contract::reference;
  const QuantisedWeight q = run(policy);
  expect_codes(q);
  EXPECT_EQ(q.codes->spec.affine, Affine::integer_zero);
  for (std::size_t r = 0; r < layer.n; ++r) EXPECT_EQ(q.codes->zeros[r], 8.0f);  // trap 13
}

TEST_F(Weights, AwqAndItsClipsLowerTheOutputError) {
  TensorPolicy policy = int_policy(Format::int3, 32, Affine::integer_zero);
  const double rtn = layer_error(layer, run(policy));
  policy.transforms.push_back(
      {.op = TransformOp::diag, .where = Where::fold, .factors = FactorRule::awq});
  const QuantisedWeight scaled = run(policy);
  ASSERT_EQ(scaled.input_scale.size(), layer.k);
  EXPECT_LT(layer_error(layer, scaled), 0.7 * rtn);
  policy.range = RangeRule::output_mse;
  const QuantisedWeight clipped = run(policy);
  expect_codes(clipped);
  EXPECT_LT(layer_error(layer, clipped), layer_error(layer, scaled) * 1.05);
  // Shared factors are taken as given.
  const QuantisedWeight given =
      quantise_weight(layer.weight, layer.n, layer.k, policy, &statistics, scaled.input_scale);
  EXPECT_EQ(given.values, clipped.values);
}

TEST_F(Weights, TransformsPreserveTheLayer) {
  TensorPolicy policy = int_policy(Format::int16, 0);  // fine enough to see the algebra alone
  policy.scale = Format::fp32;
  double power = 0;
  for (std::size_t t = 0; t < layer.tokens; ++t) {
    for (std::size_t r = 0; r < layer.n; ++r) {
      double sum = 0;
      for (std::size_t j = 0; j < layer.k; ++j) {
        sum += double{layer.weight[r * layer.k + j]} * double{layer.input[t * layer.k + j]};
      }
      power += sum * sum;
    }
  }
  const Transform smooth{
      .op = TransformOp::diag, .where = Where::fold, .factors = FactorRule::smoothquant};
  const Transform had{.op = TransformOp::had, .where = Where::fold, .size = 32};
  const Transform rot{.op = TransformOp::rot, .where = Where::write};
  for (const std::vector<Transform>& chain :
       {std::vector<Transform>{}, {smooth}, {had}, {smooth, had}, {smooth, rot}}) {
    policy.transforms = chain;
    for (const Method method : {Method::rtn, Method::gptq}) {
      policy.quantiser.method = method;
      EXPECT_LT(layer_error(layer, run(policy)), 1e-7 * power) << chain.size();
    }
  }
  policy.transforms = {had, smooth};
  EXPECT_THROW(run(policy), std::invalid_argument);
  policy.transforms = {{.op = TransformOp::fft, .where = Where::write}};
  EXPECT_THROW(run(policy), std::invalid_argument);
  policy.transforms = {{.op = TransformOp::had, .where = Where::read}};
  EXPECT_THROW(run(policy), std::invalid_argument);
}

TEST_F(Weights, TheHessianFollowsTheTransform) {
  // GPTQ after a Hadamard with a Hessian that did not turn would be no better than rounding.
  TensorPolicy policy = int_policy(Format::int3, 32);
  policy.transforms = {{.op = TransformOp::had, .where = Where::fold, .size = 128}};
  const double rtn = layer_error(layer, run(policy));
  policy.quantiser.method = Method::gptq;
  EXPECT_LT(layer_error(layer, run(policy)), 0.6 * rtn);
}

TEST_F(Weights, OutliersKeptApartAreExactToTheirStore) {
  TensorPolicy policy = int_policy(Format::int3, 0);
  const double plain = run(policy).squared_error;
  policy.outliers.kind = OutlierKind::dense_sparse;
  policy.outliers.fraction = 0.01;
  const QuantisedWeight q = run(policy);
  EXPECT_EQ(q.sparse.value.size(), 31u);  // 1 % of 3072, rounded
  EXPECT_LT(q.squared_error, plain);
  for (std::size_t r = 0; r < layer.n; ++r) {
    for (std::size_t i = q.sparse.row_start[r]; i < q.sparse.row_start[r + 1]; ++i) {
      const std::size_t at = r * layer.k + q.sparse.index[i];
      EXPECT_NEAR(q.values[at], layer.weight[at], 5e-4 * std::fabs(layer.weight[at]));
    }
  }
}

TEST_F(Weights, ChannelClassesKeepTheStrongestInputs) {
  TensorPolicy policy = int_policy(Format::sign, 0, Affine::float_min);
  const double plain = layer_error(layer, run(policy));
  policy.outliers.kind = OutlierKind::channel_class;
  policy.outliers.fraction = 0.2;
  policy.outliers.high = Format::int4;
  const QuantisedWeight rtn = run(policy);
  EXPECT_FALSE(rtn.codes.has_value());
  EXPECT_LT(layer_error(layer, rtn), 0.5 * plain);
  policy.quantiser.method = Method::gptq;
  EXPECT_LT(layer_error(layer, run(policy)), 0.6 * layer_error(layer, rtn));
}

TEST_F(Weights, AProtectiveRangeBoundsTheCodes) {
  TensorPolicy policy = int_policy(Format::int8, 0);
  policy.outliers.kind = OutlierKind::protect;

  policy.outliers.high_bound = 119;
  const QuantisedWeight q = run(policy);
  int most = 0;
  for (const std::uint16_t code : q.codes->codes) {
    most = std::max(most, std::abs(static_cast<int>(static_cast<std::int8_t>(code))));
  }
  EXPECT_EQ(most, 119);
}

TEST_F(Weights, SplitHalvesHaveTheirOwnScales) {
  Layer halves = layer;
  for (std::size_t i = 0; i < halves.weight.size(); ++i) {
    if (i % 128 >= 64) halves.weight[i] *= 0.01f;
  }
  TensorPolicy policy = int_policy(Format::int4, 0);
  const auto error = [&](std::size_t from) {
    const QuantisedWeight q = quantise_weight(halves.weight, 24, 128, policy, nullptr);
    double sum = 0;
    for (std::size_t i = 0; i < q.values.size(); ++i) {
      if (i % 128 >= from) sum += std::pow(double{halves.weight[i]} - double{q.values[i]}, 2);
    }
    return sum;
  };
  const double together = error(64);
  policy.outliers.kind = OutlierKind::split;
  EXPECT_LT(error(64), 0.05 * together);
}

TEST_F(Weights, NestedScalesAreWhatTheyAreStoredAs) {
  TensorPolicy policy = int_policy(Format::int4, 32);
  policy.levels = {{.box = {0, 0}, .scale = Format::fp32},
                   {.box = {1, 32}, .scale = Format::fp8_e4m3}};
  const QuantisedWeight fireq = run(policy);
  expect_codes(fireq);
  float largest = 0;
  for (const float s : fireq.codes->scales) largest = std::max(largest, s);
  const int exponent = std::min(14, static_cast<int>(std::floor(std::log2(448.0 / largest))));
  for (const float s : fireq.codes->scales) {  // E4M3 under one power of two: 3 mantissa bits
    const float scaled = std::ldexp(s, exponent);
    int e = 0;
    const float mantissa = std::frexp(scaled, &e);
    EXPECT_EQ(mantissa * 16, std::floor(mantissa * 16)) << scaled;
    EXPECT_LE(scaled, 448.0f);
  }
  policy.levels = {{.box = {1, 0}, .scale = Format::fp16}, {.box = {1, 32}, .scale = Format::int8}};
  const QuantisedWeight vs = run(policy);
  for (std::size_t r = 0; r < layer.n; ++r) {
    float most = 0;
    for (std::size_t g = 0; g < 4; ++g) most = std::max(most, vs.codes->scales[r * 4 + g]);
    for (std::size_t g = 0; g < 4; ++g) {
      const double q = double{vs.codes->scales[r * 4 + g]} / double{most} * 127;
      EXPECT_NEAR(q, std::round(q), 1e-3);
    }
  }
  EXPECT_DOUBLE_EQ(vs.stored_bits, 4 + 8.0 / 32 + 16.0 / 128);
}

TEST_F(Weights, QoqIsTheProgressiveQuantiser) {
  TensorPolicy policy = int_policy(Format::int4, 64);
  policy.quantiser.method = Method::qoq;
  policy.outliers.kind = OutlierKind::protect;
  policy.outliers.high_bound = 119;
  const QuantisedWeight plain = quantise_weight(layer.weight, 24, 128, policy, nullptr);
  EXPECT_EQ(plain.values, qoq_quantise(layer.weight, 24, 128, 64).values());
  EXPECT_LT(layer_error(layer, run(policy)), 0.6 * layer_error(layer, plain));  // with calibration
}

TEST_F(Weights, MapsSpendBitsWhereTheyMatter) {
  TensorPolicy policy = int_policy(Format::int3, 16, Affine::integer_zero);
  policy.quantiser.method = Method::gptq;
  const double uniform = layer_error(layer, run(policy));
  policy.schedule.kind = ScheduleKind::map;
  policy.schedule.unit = MapUnit::group;
  policy.schedule.mean_bits = 3;
  for (const Sensitivity s : {Sensitivity::hessian, Sensitivity::output_mse,
                              Sensitivity::weight_mse, Sensitivity::sqnr}) {
    policy.schedule.sensitivity = s;
    const QuantisedWeight q = run(policy);
    EXPECT_LT(layer_error(layer, q), 1.6 * uniform) << static_cast<int>(s);
    EXPECT_LE(q.stored_bits, 3 + (16 + 3) / 16.0 + 1) << static_cast<int>(s);
  }
  policy.schedule.unit = MapUnit::column;
  policy.schedule.sensitivity = Sensitivity::baq;
  EXPECT_GT(run(policy).stored_bits, 3);
}

TEST_F(Weights, RefusesWhatItLacks) {
  TensorPolicy policy = int_policy(Format::int4, 32);
  const auto bare = [&](const TensorPolicy& p) {
    return quantise_weight(layer.weight, layer.n, layer.k, p, nullptr);
  };
  policy.quantiser.method = Method::gptq;
  EXPECT_THROW(bare(policy), std::invalid_argument);
  policy.format = Format::ovp4_int;
  policy.granularity = Granularity::channel;
  EXPECT_THROW(run(policy), std::invalid_argument);  // a pair has no single-value codes
  policy = int_policy(Format::int4, 32);
  policy.range = RangeRule::output_mse;
  EXPECT_THROW(bare(policy), std::invalid_argument);
  policy.range = RangeRule::automatic;
  policy.outliers.kind = OutlierKind::top_channels;
  EXPECT_THROW(run(policy), std::invalid_argument);
  policy.outliers.kind = OutlierKind::none;
  std::vector<float> bad = layer.weight;
  bad[7] = INFINITY;
  EXPECT_THROW(quantise_weight(bad, layer.n, layer.k, policy, nullptr), std::domain_error);
  EXPECT_THROW(quantise_weight(layer.weight, 3, layer.k, policy, nullptr), std::invalid_argument);
  LayerStatistics other = statistics;
  other.cols = 7;
  policy.quantiser.method = Method::gptq;
  EXPECT_THROW(quantise_weight(layer.weight, layer.n, layer.k, policy, &other),
               std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
