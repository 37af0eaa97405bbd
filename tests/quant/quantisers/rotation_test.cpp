// Rotations: orthogonal, folded on both sides without changing a product. The whole model is in
// tests/workloads/calibration_test.cpp.
#include "quant/quantisers/rotation.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "layers.hpp"
#include "quant/primitives/transform.hpp"

namespace systole::quant {
namespace {

using testing_tools::make_layer;

TEST(Rotation, KeepsLengthsAndAngles) {
  for (const Rotation& rotation :
       {Rotation::hadamard(48, 16), Rotation::hadamard(48, 16, 7), Rotation::hadamard(64, 64, 3),
        Rotation::hadamard(5, 1), Rotation::random(33, 9)}) {
    const std::size_t n = rotation.size();
    const auto layer = make_layer(n, 1, n, 2);
    std::vector<double> a(layer.input.begin(),
                          layer.input.begin() + static_cast<std::ptrdiff_t>(n));
    std::vector<double> b(layer.input.begin() + static_cast<std::ptrdiff_t>(n), layer.input.end());
    double before = 0, after = 0;
    for (std::size_t i = 0; i < n; ++i) before += a[i] * b[i];
    rotation.apply(a);
    rotation.apply(b);
    for (std::size_t i = 0; i < n; ++i) after += a[i] * b[i];
    EXPECT_NEAR(after, before, 1e-5 * static_cast<double>(n));  // the dense matrix is of floats
  }
}

TEST(Rotation, TheHadamardIsTheWalshHadamardTransformOfTheKernels) {
  std::vector<double> x = {1, 2, 3, 4};
  Rotation::hadamard(4, 4).apply(x);
  EXPECT_EQ(x, (std::vector<double>{5, -1, -2, 0}));  // quantization.md section 13
  const auto layer = make_layer(1, 1, 256, 1);
  std::vector<float> fast = layer.input;
  std::vector<double> exact(fast.begin(), fast.end());
  fwht(fast, 64);
  Rotation::hadamard(256, 64).apply(exact);
  for (std::size_t i = 0; i < 256; ++i) EXPECT_NEAR(fast[i], exact[i], 2e-6);
}

TEST(Rotation, TurnedInputsOfATurnedWeightGiveTheSameOutputs) {
  const auto layer = make_layer(2, 6, 32, 4);
  std::vector<float> weight = layer.weight;
  const Rotation rotation = Rotation::hadamard(32, 32, 5);
  rotate_inputs(weight, rotation);
  for (std::size_t t = 0; t < 4; ++t) {
    std::vector<double> x(32);
    for (std::size_t j = 0; j < 32; ++j) x[j] = double{layer.input[t * 32 + j]};
    std::vector<double> turned = x;
    rotation.apply(turned);
    for (std::size_t r = 0; r < 6; ++r) {
      double before = 0, after = 0;
      for (std::size_t j = 0; j < 32; ++j) {
        before += double{layer.weight[r * 32 + j]} * x[j];
        after += double{weight[r * 32 + j]} * turned[j];
      }
      EXPECT_NEAR(after, before, 1e-6);
    }
  }
}

TEST(Rotation, TurnedOutputsAreTheOutputsTurned) {
  const auto layer = make_layer(3, 16, 8, 1);  // two heads of 8 outputs
  std::vector<float> weight = layer.weight;
  const Rotation rotation = Rotation::hadamard(8, 8, 11);
  rotate_outputs(weight, 8, rotation);
  std::vector<double> before(16, 0.0), after(16, 0.0);
  for (std::size_t r = 0; r < 16; ++r) {
    for (std::size_t j = 0; j < 8; ++j) {
      before[r] += double{layer.weight[r * 8 + j]} * double{layer.input[j]};
      after[r] += double{weight[r * 8 + j]} * double{layer.input[j]};
    }
  }
  rotation.apply(std::span(before).subspan(0, 8));
  rotation.apply(std::span(before).subspan(8, 8));
  for (std::size_t r = 0; r < 16; ++r) EXPECT_NEAR(after[r], before[r], 1e-6);
}

TEST(Rotation, FlattensAnOutlierChannel) {
  auto layer = make_layer(4, 4, 64, 1);
  for (std::size_t r = 0; r < 4; ++r) layer.weight[r * 64 + 10] = 5.0f;
  std::vector<float> weight = layer.weight;
  rotate_inputs(weight, Rotation::hadamard(64, 64, 1));
  for (const float w : weight) EXPECT_LT(std::fabs(w), 1.5f);  // 5 / 8 and what was there
}

}  // namespace
}  // namespace systole::quant
