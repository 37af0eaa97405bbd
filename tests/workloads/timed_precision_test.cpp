// Precision that changes within a program: along the reduction, by expert, token and step.
#include "workloads/timed_precision.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "configs/library.hpp"
#include "sim/core/random.hpp"
#include "tests/workloads/refusal.hpp"
#include "tests/workloads/tiny_model.hpp"
#include "workloads/calibrated.hpp"
#include "workloads/lowering.hpp"
#include "workloads/perplexity.hpp"
#include "workloads/storage.hpp"

namespace systole::workloads {
namespace {

using configs::Recipe;
using configs::Target;
using quant::Format;
using quant::FormatShare;
using quant::ScheduleKind;
using testing::ElementsAre;
using testing_tools::expect_refusal;

TEST(Apportion, SumsToTheWholeAndIsOffByLessThanOne) {
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    std::vector<double> parts(static_cast<std::size_t>(random.uniform(1, 6)));
    for (double& part : parts) part = static_cast<double>(random.uniform(0, 1000));
    parts[0] += 1;
    const double sum = std::accumulate(parts.begin(), parts.end(), 0.0);
    const auto whole = static_cast<std::uint64_t>(random.uniform(0, 300));
    const auto units = apportion(whole, parts);
    EXPECT_EQ(std::accumulate(units.begin(), units.end(), std::uint64_t{0}), whole);
    for (std::size_t p = 0; p < parts.size(); ++p) {
      EXPECT_LT(
          std::abs(static_cast<double>(units[p]) - static_cast<double>(whole) * parts[p] / sum),
          1.0 + 1e-9);
    }
  }
  EXPECT_THAT(apportion(10, std::vector<double>{1, 1, 1}), ElementsAre(4, 3, 3));
}

const Operation& operation_of(const Step& step, const std::string& name) {
  for (const Segment& segment : step.segments) {
    for (const Operation& op : segment.operations) {
      if (op.name == name) return op;
    }
  }
  throw std::runtime_error("no operation " + name);
}

TEST(TimedPrecision, GroupsOfAWeightPassInThePartsThatTheRecipeStates) {
  const Recipe recipe = configs::load_recipe("slim-w2a8-g128");
  const auto shape = configs::load_model_shape("llama-2-7b");
  const Program program = lower(shape, recipe, 8, 1);
  std::uint64_t stored = 0;
  for (const Operation& op : program.steps[0].segments.at(1).operations) {
    if (op.kind != OpKind::gemm) continue;
    ASSERT_EQ(op.weight_parts.size(), 3u) << op.name;
    std::uint64_t k = 0, bytes = 0;
    for (const WeightPart& part : op.weight_parts) {
      EXPECT_EQ(part.k % 128, 0u);
      EXPECT_EQ(part.bytes, stored_bytes(part.spec, op.n, part.k));
      k += part.k;
      bytes += part.bytes;
    }
    EXPECT_EQ(k, op.k);
    EXPECT_EQ(bytes, op.stationary_region.bytes);
    EXPECT_EQ(op.stationary.format, Format::int2);  // of most groups
    stored += bytes;
  }
  // As many groups at 1 bit as at 3: two bits on average, scale and zero of 18 bits a group.
  const double bits = 8.0 * static_cast<double>(stored) / (4.0 * 4096 * 4096 + 3.0 * 4096 * 11008);
  EXPECT_NEAR(bits, 2 + 18.0 / 128, 0.03);
}

TEST(TimedPrecision, WhatARunDecidesTakesThePlaceOfWhatIsStated) {
  const Recipe recipe = configs::load_recipe("slim-w2a8-g128");
  const auto shape = configs::load_model_shape("smollm2-135m");
  PrecisionDecisions decisions;
  decisions.shares.resize(shape.layers);
  const std::uint64_t k = shape.intermediate;
  decisions.shares[3][static_cast<std::size_t>(LinearName::ffn_down)] = {{Format::int2, k - 256},
                                                                         {Format::int3, 256}};
  const Program program = lower(shape, recipe, 8, 0, &decisions);
  // Layer 3 differs from its neighbours.
  std::vector<std::string> names;
  for (const Segment& segment : program.steps[0].segments) names.push_back(segment.name);
  EXPECT_THAT(names, ElementsAre("embedding", "layers 0-2", "layer 3", "layers 4-29", "head"));
  const auto& mapped = program.steps[0].segments[2].operations;
  const auto down = std::ranges::find(mapped, "ffn_down", &Operation::name);
  ASSERT_EQ(down->weight_parts.size(), 2u);
  EXPECT_EQ(down->weight_parts[1].k, 256u);
  EXPECT_TRUE(operation_of(program.steps[0], "ffn_gate").weight_parts.empty());
}

TEST(TimedPrecision, ARunTellsTheGroupsThatItQuantised) {
  testing_tools::TinyShape tiny;
  tiny.hidden = 128;
  tiny.intermediate = 256;
  LlamaModel model = testing_tools::tiny_model(5, tiny);
  // Channels that matter much, and others that hardly do.
  for (LayerWeights& layer : model.layers) {
    for (std::size_t i = 0; i < layer.q.size(); ++i) {
      const std::size_t column = i % model.shape.hidden;
      layer.q[i] *= column < 16 ? 8.0f : column < 48 ? 0.05f : 1.0f;
    }
  }
  Recipe recipe = configs::load_recipe("slim-w2a8-g128");
  quant::TensorPolicy& weight = recipe[Target::weight];
  weight.group = 16;
  weight.schedule.entries.clear();
  CalibrationOptions options = calibration_options(recipe, 1);
  std::vector<std::uint32_t> ids(24);
  std::iota(ids.begin(), ids.end(), 3u);
  const CalibratedModel calibrated(model.shape, calibrate(model, {{ids}}, options), 1);
  FunctionalExecutor executor(model, recipe, 1, Kernels::fast, 0, &calibrated);
  expect_refusal([&] { lower(model.shape, recipe, 8, 1); }, "depends on the weights");
  const PrecisionDecisions found = decide_precision(executor, *model.tokenizer, ids, 2);
  ASSERT_EQ(found.shares.size(), 2u);
  bool mixed = false;
  for (const auto& layer : found.shares) {
    for (std::size_t i = 0; i < layer.size(); ++i) {
      if (layer[i].empty()) continue;
      mixed = true;
      // N - 1 and N + 1 bits in equal number.
      ASSERT_EQ(layer[i].size(), 3u);
      EXPECT_EQ(layer[i][0].columns, layer[i][2].columns);
      std::uint64_t k = 0;
      for (const FormatShare& share : layer[i]) k += share.columns;
      EXPECT_EQ(k, i == 6 ? 256u : 128u);
    }
  }
  EXPECT_TRUE(mixed);
  EXPECT_NO_THROW(lower(model.shape, recipe, 8, 1, &found));
}

TEST(TimedPrecision, AFeedbackScheduleIsTimedAsItWasRun) {
  const LlamaModel model = testing_tools::tiny_model(7);
  Recipe recipe = configs::load_recipe("flexquant-w8w4a16");
  quant::TensorPolicy& weight = recipe[Target::weight];
  weight.group = 16;
  weight.schedule.entries[1].at = 1e-4;  // reached as soon as there are enough logits
  const std::vector<std::uint32_t> prompt = {1, 40, 41, 42};
  expect_refusal([&] { lower(model.shape, recipe, 4, 20); }, "depends on the tokens");
  FunctionalExecutor executor(model, recipe);
  const PrecisionDecisions found = decide_precision(executor, *model.tokenizer, prompt, 20);
  ASSERT_GE(found.passes.size(), 12u) << "the text ended too early for the test";
  EXPECT_EQ(found.passes.front().format, Format::int8);
  EXPECT_EQ(found.passes.back().format, Format::int4);
  const Program program = lower(model.shape, recipe, 4, 20, &found);
  ASSERT_EQ(program.steps.size(), 1 + found.passes.size());
  for (std::size_t i = 0; i < found.passes.size(); ++i) {
    const Operation& op = operation_of(program.steps[i + 1], "attn_q");
    EXPECT_EQ(op.stationary.format, found.passes[i].format) << i;
    EXPECT_EQ(op.stationary_region.bytes, stored_bytes(op.stationary, op.n, op.k));
    EXPECT_EQ(program.steps[i + 1].context, 4 + i + 1);
  }
}

TEST(TimedPrecision, ADraftIsComputedAgainByItsVerifier) {
  const LlamaModel model = testing_tools::tiny_model(9);
  Recipe recipe = configs::load_recipe("specmquant-w8w4a16");
  recipe[Target::weight].group = 16;
  const std::vector<std::uint32_t> prompt = {1, 40, 41, 42, 43};
  FunctionalExecutor executor(model, recipe);
  DraftTally tally;
  const auto text = generate(executor, *model.tokenizer, prompt, 13, &tally);
  ASSERT_EQ(text.size(), 13u) << "the text ended too early for the test";
  const PrecisionDecisions found = decide_precision(executor, *model.tokenizer, prompt, 12);
  std::uint64_t kept = 0, verified = 0;
  for (const PrecisionDecisions::Pass& pass : found.passes) {
    if (pass.format == Format::int4) {
      EXPECT_EQ(pass.tokens, 1u);
      EXPECT_EQ(pass.kept, 0u);
    } else {
      EXPECT_GE(pass.kept, 1u);
      verified += pass.tokens > 1 ? 1 : 0;
    }
    kept += pass.kept;
  }
  EXPECT_EQ(verified, tally.rounds);
  EXPECT_GE(kept, 12u);
  const Program program = lower(model.shape, recipe, 5, 12, &found);
  std::uint64_t length = 5;
  for (std::size_t i = 1; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    EXPECT_EQ(step.context, length + step.tokens);
    EXPECT_EQ(operation_of(step, "attention").n, step.context);
    length += step.kept;
  }
}

TEST(TimedPrecision, TheFirstTokensPassApart) {
  const Recipe recipe = configs::load_recipe("w4a4-first-a8");
  const auto shape = configs::load_model_shape("smollm2-135m");
  const Program program = lower(shape, recipe, 10, 2);
  std::vector<const Operation*> q;
  for (const Operation& op : program.steps[0].segments[1].operations) {
    if (op.name == "attn_q") q.push_back(&op);
  }
  ASSERT_EQ(q.size(), 2u);
  EXPECT_EQ(q[0]->m, 4u);
  EXPECT_EQ(q[0]->moving.format, Format::int8);
  EXPECT_EQ(q[0]->part, "first 4 tokens");
  EXPECT_EQ(q[1]->m, 6u);
  EXPECT_EQ(q[1]->moving.format, Format::int4);
  EXPECT_EQ(operation_of(program.steps[1], "attn_q").moving.format, Format::int4);
  // A prompt shorter than the window is all of the high format, and so are the tokens after it.
  const Program brief = lower(shape, recipe, 3, 2);
  EXPECT_EQ(operation_of(brief.steps[0], "attn_q").m, 3u);
  EXPECT_EQ(operation_of(brief.steps[1], "attn_q").moving.format, Format::int8);
  EXPECT_EQ(operation_of(brief.steps[2], "attn_q").moving.format, Format::int4);
}

/// The residual stream behind every block.
struct Blocks : ForwardObserver {
  void block(std::size_t, std::span<const float>, std::span<const float> after) override {
    rows.emplace_back(after.begin(), after.end());
  }
  std::vector<std::vector<float>> rows;
};
std::vector<std::vector<float>> blocks_of(const LlamaModel& model, const Recipe& recipe,
                                          std::span<const std::uint32_t> tokens) {
  FunctionalExecutor executor(model, recipe);
  Blocks seen;
  executor.observe(&seen);
  executor.forward(tokens, 0);
  return seen.rows;
}

TEST(TimedPrecision, TheFirstTokensAreComputedInTheirFormat) {
  const LlamaModel model = testing_tools::tiny_model(11);
  Recipe mixed = configs::load_recipe("w4a4-first-a8");
  mixed[Target::weight].group = 16;
  Recipe high = mixed;
  high[Target::activation].tokens.clear();
  high[Target::activation].format = Format::int8;
  std::vector<std::uint32_t> tokens(12);
  std::iota(tokens.begin(), tokens.end(), 30u);
  const auto a = blocks_of(model, mixed, tokens), b = blocks_of(model, high, tokens);
  const std::size_t first = 4 * model.shape.hidden;
  for (std::size_t layer = 0; layer < a.size(); ++layer) {
    const auto head = [&](const std::vector<float>& v) {
      return std::vector<float>(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(first));
    };
    EXPECT_EQ(head(a[layer]), head(b[layer])) << "layer " << layer;
    EXPECT_NE(a[layer], b[layer]) << "layer " << layer;
  }
  // However the text is cut.
  FunctionalExecutor whole(model, mixed), cut(model, mixed);
  const auto expected = whole.forward(tokens, 0);
  cut.forward(std::span(tokens).first(3), 0);
  cut.forward(std::span(tokens).subspan(3, 4), 3);
  EXPECT_EQ(cut.forward(std::span(tokens).subspan(7), 7), expected);
}

TEST(TimedPrecision, EveryTokenVisitsItsExperts) {
  const auto shape = configs::load_model_shape("mixtral-8x7b");
  EXPECT_EQ(shape.parameters(), 46702792704u);  // published: 46.7 B
  const Recipe recipe = configs::load_recipe("experts-w8w4a8");
  for (const std::uint64_t tokens : {1, 3, 4, 5, 64, 97}) {
    SCOPED_TRACE(tokens);
    const Program program = lower(shape, recipe, tokens, 1);
    std::map<std::string, std::uint64_t> rows, products;
    std::uint64_t wide = 0;
    for (const Operation& op : program.steps[0].segments.at(1).operations) {
      if (op.part != "expert" || op.kind != OpKind::gemm) continue;
      rows[op.name] += op.m;
      ++products[op.name];
      wide += op.stationary.format == Format::int8 ? 1 : 0;
      EXPECT_EQ(op.stationary_region.bytes, stored_bytes(op.stationary, op.n, op.k));
    }
    const std::uint64_t active = std::min<std::uint64_t>(8, 2 * tokens);
    EXPECT_EQ(products.size(), 3u);
    for (const auto& [name, count] : products) EXPECT_EQ(count, active) << name;
    for (const auto& [name, m] : rows) EXPECT_EQ(m, 2 * tokens) << name;
    // Two of eight experts are wide; a single token visits two that lie half the layer apart.
    EXPECT_EQ(wide, tokens == 1 ? 3u : active == 8 ? 6u : wide);
  }
  const LlamaModel tiny = testing_tools::tiny_model(1);
  expect_refusal([&] { FunctionalExecutor(tiny, recipe); }, "no experts");
}

TEST(TimedPrecision, ExpertsOfAModelAreStoredOnce) {
  const auto shape = configs::load_model_shape("qwen3-30b-a3b");
  const Recipe recipe = configs::load_recipe("fp16");
  const Program program = lower(shape, recipe, 4, 1);
  // Weights as stored, norms in fp32.
  const std::uint64_t norms = (2 * std::uint64_t{shape.layers} + 1) * shape.hidden;
  EXPECT_EQ(program.weight_bytes, 2 * (shape.parameters() - norms) + 4 * norms);
}

}  // namespace
}  // namespace systole::workloads
