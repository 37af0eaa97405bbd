// The shipped recipes against what they stand for: the KV-cache systems as data, the axes as
// listed.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "configs/library.hpp"
#include "quant/axes.hpp"
#include "quant/kv/systems.hpp"

namespace systole::configs {
namespace {

/// Systems whose recipe has another name: formats that are no method of their own.
std::string recipe_of(std::string_view system) {
  static const std::set<std::string_view> kFormats = {"fp8", "mxfp4", "nvfp4", "q8_0", "q4_0"};
  std::string name = kFormats.contains(system) ? "kv-" + std::string(system) : std::string(system);
  std::ranges::replace(name, '_', '-');
  return name;
}

TEST(Recipes, AreTheCacheSystemsAsData) {
  // fp16, int8 and int4 caches are plain: kv8 and kv4 also quantise queries and probabilities.
  const std::set<std::string_view> plain = {"fp16", "bf16", "fp32", "int8", "int4"};
  for (const quant::KvSystem& system : quant::kv_systems()) {
    if (plain.contains(system.name)) continue;
    SCOPED_TRACE(system.name);
    const Recipe recipe = load_recipe(recipe_of(system.name));
    EXPECT_EQ(recipe[Target::key], system.policies.key);
    EXPECT_EQ(recipe[Target::value], system.policies.value);
  }
}

template <class E>
void expect_listed(std::string_view axis) {
  std::vector<std::string_view> listed;
  for (const quant::AxisValue& v : quant::axis_catalogue()) {
    if (v.axis == axis) listed.push_back(v.name);
  }
  const auto& names = enum_names(E{});
  EXPECT_EQ(listed, std::vector<std::string_view>(names.begin(), names.end())) << axis;
}

TEST(Axes, ListEveryValueOfEveryEnumerationInItsOrder) {
  using namespace quant;
  expect_listed<Granularity>("granularity");
  expect_listed<Affine>("affine");
  expect_listed<RangeRule>("range");
  expect_listed<Rounding>("rounding");
  expect_listed<ScaleRule>("scale_rule");
  expect_listed<Contract>("contract");
  expect_listed<ParameterSource>("levels.param");
  expect_listed<TransformOp>("transforms.op");
  expect_listed<TransformAxis>("transforms.axis");
  expect_listed<Where>("transforms.where");
  expect_listed<FactorRule>("transforms.factors");
  expect_listed<OutlierKind>("outliers.kind");
  expect_listed<TokenKind>("tokens.kind");
  expect_listed<Flush>("tokens.flush");
  expect_listed<Scorer>("tokens.scorer");
  expect_listed<Keep>("tokens.keep");
  expect_listed<Anchor>("tokens.anchor");
  expect_listed<ScheduleKind>("schedule.kind");
  expect_listed<MapUnit>("schedule.unit");
  expect_listed<Sensitivity>("schedule.sensitivity");
  expect_listed<BitOrder>("layout.order");
  expect_listed<Interleave>("layout.interleave");
  expect_listed<Metadata>("layout.metadata");
  expect_listed<Method>("quantiser.method");
  expect_listed<TokenWeighting>("quantiser.weighting");
  expect_listed<Dequantise>("compute.dequantise");
}

// --- what does not go together (quantization.md §2.5) --------------------------------------------
std::string refusal(const std::string& tensors) {
  try {
    (void)read_text<Recipe>("name: r\nsummary: s\nsource: t\ntensors:\n" + tensors, "r.yaml", {});
  } catch (const std::exception& error) {
    return error.what();
  }
  return "accepted";
}

struct Composition {
  const char* what;
  const char* tensors;
  const char* message;
};
class Compositions : public ::testing::TestWithParam<Composition> {};
TEST_P(Compositions, AreRefusedWithTheirReason) {
  EXPECT_THAT(refusal(GetParam().tensors), ::testing::HasSubstr(GetParam().message))
      << GetParam().what;
}
INSTANTIATE_TEST_SUITE_P(
    Validator, Compositions,
    ::testing::Values(
        Composition{"a box over tokens needs a staging window",
                    "  - {target: key, format: int2, affine: float_min, levels: [{box: [32, 1, 1], "
                    "param: streaming}]}\n",
                    "expected a window whose count is a multiple"},
        Composition{"a window of another size",
                    "  - {target: key, format: int2, affine: float_min, levels: [{box: [32, 1, 1], "
                    "param: streaming}], tokens: [{kind: window, count: 100}]}\n",
                    "expected a window whose count is a multiple"},
        Composition{"all tokens in one dynamic box",
                    "  - {target: key, format: int4, levels: [{box: [0, 1, 1]}]}\n",
                    "over all tokens"},
        Composition{"a Hadamard over heads cannot move to the query",
                    "  - {target: key, format: int4, levels: [{box: [1, 1, 0]}], transforms: [{op: "
                    "had, axis: heads_channel, where: query}]}\n",
                    "found 'query' over heads"},
        Composition{"nor can one on rotated keys be folded",
                    "  - {target: key, format: int4, levels: [{box: [1, 1, 0]}], transforms: [{op: "
                    "had, where: fold}]}\n",
                    "found 'fold' on keys rotated by RoPE"},
        Composition{
            "values over heads cannot be folded",
            "  - {target: value, format: int4, levels: [{box: [1, 1, 0]}], transforms: [{op: "
            "had, axis: heads_channel, where: fold}]}\n",
            "each head has its own probabilities"},
        Composition{"key factors fold only when tied in rotary pairs",
                    "  - {target: key, format: int4, levels: [{box: [1, 1, 0]}], transforms: [{op: "
                    "diag, where: fold, factors: smooth_key}]}\n",
                    "rope_pair_tied"},
        Composition{"dense-and-sparse needs a zero-point code",
                    "  - {target: value, format: half, level_count: 4, levels: [{box: [1, 0, 0]}], "
                    "outliers: {kind: dense_sparse, fraction: 0.01}}\n",
                    "zero-point code"},
        Composition{"a scorer needs probabilities",
                    "  - {target: key, format: int4, levels: [{box: [1, 1, 0]}], tokens: [{kind: "
                    "salient, ratio: 0.5, probe: 0}]}\n",
                    "a scorer needs attention probabilities"},
        Composition{
            "a transform on one side only",
            "  - {target: weight, format: int4, granularity: channel, transforms: [{op: had, "
            "where: fold}]}\n",
            "is on one side only"},
        Composition{"tokens are of the cache",
                    "  - {target: activation, format: int8, granularity: token, tokens: [{kind: "
                    "window, count: 8}]}\n",
                    "expected it on key or value, or one sink policy on activation"},
        Composition{"scale formats are no operands", "  - {target: weight, format: e8m0}\n",
                    "is for scales"},
        Composition{
            "an inner box divides the outer one",
            "  - {target: weight, format: int4, levels: [{box: [1, 100]}, {box: [1, 64]}]}\n",
            "expected a divisor"},
        Composition{
            "a Hadamard has a power of two of points",
            "  - {target: value, format: int4, levels: [{box: [1, 1, 0]}], transforms: [{op: "
            "had, where: read, size: 48}]}\n",
            "expected a power of two"}),
    [](const auto& rule) { return "rule_" + std::to_string(rule.index); });

}  // namespace
}  // namespace systole::configs
