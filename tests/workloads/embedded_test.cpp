// The model we ship against golden.json, which an implementation of its own (numpy) computed from
// the same files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "quant/format.hpp"
#include "workloads/executor.hpp"
#include "workloads/model.hpp"
#include "workloads/perplexity.hpp"

namespace systole::workloads {
namespace {

using configs::Recipe;
using configs::Target;
using nlohmann::json;
using quant::Format;
using quant::Granularity;

const std::string kFolder = SYSTOLE_SOURCE_DIR "/workloads/embedded/";

struct Embedded : testing::Test {
  LlamaModel model = load_model(kFolder + "systole-kjv-3m.gguf");
  json golden = json::parse(std::ifstream(kFolder + "golden.json"));
  Recipe recipe;  // fp32

  std::vector<std::uint32_t> prompt() const { return golden["prompt"]["ids"]; }
  Quality on_eval_text(const Recipe& r) const {
    FunctionalExecutor executor(model, r);
    return perplexity(executor, *model.tokenizer,
                      read_texts(kFolder + "eval.txt", "<|endoftext|>"));
  }
};

TEST_F(Embedded, TokenisesThePromptAsRecorded) {
  EXPECT_EQ(model.tokenizer->encode(golden["prompt"]["text"].get<std::string>(), true), prompt());
}

TEST_F(Embedded, HasTheRecordedLogits) {
  FunctionalExecutor executor(model, recipe);
  const std::vector<float> logits = executor.forward(prompt(), 0);
  std::vector<std::uint32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return logits[a] > logits[b]; });
  std::size_t rank = 0;
  for (const json& entry : golden["prompt"]["top5"]) {
    EXPECT_EQ(order[rank], entry["id"].get<std::uint32_t>());
    EXPECT_NEAR(logits[order[rank]], entry["logit"].get<double>(), 1e-4);
    ++rank;
  }
  EXPECT_NEAR(std::accumulate(logits.begin(), logits.end(), 0.0),
              golden["prompt"]["logits_sum"].get<double>(), 1e-2);
}

TEST_F(Embedded, ContinuesThePromptAsRecorded) {
  FunctionalExecutor executor(model, recipe);
  const std::vector<std::uint32_t> expected = golden["greedy"]["ids"];
  EXPECT_EQ(generate(executor, *model.tokenizer, prompt(), expected.size()), expected);
}

TEST_F(Embedded, HasTheRecordedPerplexity) {
  const Quality quality = on_eval_text(recipe);
  EXPECT_EQ(quality.tokens, golden["eval"]["tokens"].get<std::uint64_t>());
  EXPECT_NEAR(quality.nll, golden["eval"]["nll"].get<double>(), 2e-5);
}

TEST_F(Embedded, ReactsToWeightPrecisionAsRecorded) {
  for (const json& row : golden["sensitivity"]["table"]) {
    const int bits = row["bits"];
    const std::uint32_t group = row["group"];
    Recipe rounded = recipe;
    rounded.dequantise = configs::Dequantise::before;
    rounded[Target::weight] = {
        .format = quant::parse_format("int" + std::to_string(bits)).value(),
        .granularity = group == 0 ? Granularity::channel : Granularity::group,
        .group = group};
    EXPECT_NEAR(on_eval_text(rounded).nll, row["nll"].get<double>(), 5e-4) << row["scheme"];
  }
}

}  // namespace
}  // namespace systole::workloads
