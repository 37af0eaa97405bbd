// Outlier channels that leave the function as it was.
#include "workloads/outliers.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/workloads/refusal.hpp"
#include "tests/workloads/tiny_model.hpp"
#include "workloads/executor.hpp"

namespace systole::workloads {
namespace {

using testing_tools::expect_refusal;
using testing_tools::tiny_model;

TEST(Outliers, APowerOfTwoLeavesEveryBitOfTheLogits) {
  const LlamaModel plain = tiny_model(4);
  LlamaModel changed = plain;
  const auto channels = inject_outliers(changed, 64.0);
  EXPECT_THAT(channels, ::testing::SizeIs(1));
  EXPECT_NE(changed.layers[0].attn_norm, plain.layers[0].attn_norm);
  const std::vector<std::uint32_t> ids = {1, 5, 9, 2};
  EXPECT_EQ(FunctionalExecutor(changed, configs::Recipe{}).forward(ids, 0),
            FunctionalExecutor(plain, configs::Recipe{}).forward(ids, 0));
}

TEST(Outliers, MakeTheInputsOfTheLinearLayersHeavyTailed) {
  struct Largest : ForwardObserver {
    void linear_input(std::size_t, std::string_view inputs, std::span<const float> rows,
                      std::size_t) override {
      if (inputs != "attn_qkv") return;
      for (const float x : rows) most = std::max(most, std::fabs(x));
    }
    float most = 0;
  };
  LlamaModel model = tiny_model(4);
  const auto largest = [&] {
    Largest observer;
    FunctionalExecutor executor(model, configs::Recipe{});
    executor.observe(&observer);
    const std::vector<std::uint32_t> ids = {1, 5, 9, 2};
    executor.forward(ids, 0);
    return observer.most;
  };
  const float before = largest();
  inject_outliers(model, 1024.0);
  EXPECT_GT(largest(), 4 * before);
}

TEST(Outliers, RefusesFactorsThatAreNone) {
  LlamaModel model = tiny_model(4);
  for (const double factor : {0.0, -2.0, std::nan(""), HUGE_VAL}) {
    expect_refusal([&] { inject_outliers(model, factor); }, "outlier factor");
  }
}

}  // namespace
}  // namespace systole::workloads
