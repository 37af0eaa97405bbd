// Real models against the numbers measured independently of this code (data.md §3.2 and §3.3).
// Skips, saying so, where the shared data are absent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "workloads/executor.hpp"
#include "workloads/model.hpp"
#include "workloads/perplexity.hpp"

namespace systole::workloads {
namespace {

using configs::Recipe;
using configs::Target;
using quant::Format;
using quant::Granularity;

const std::string kData = SYSTOLE_SHARED_DIR "/data";

#define SKIP_WITHOUT(path)            \
  if (!std::filesystem::exists(path)) \
  GTEST_SKIP() << "SHARED DATA ABSENT: " << (path) << "; this golden was not checked"

LlamaModel stories260k() {
  return load_model(kData + "/llm/stories260K/stories260K.bin",
                    kData + "/llm/stories260K/tok512.bin");
}
LlamaModel babyllama105() {
  return load_model(kData + "/llm/babyllama105/model5000.bin",
                    kData + "/llm/babyllama105/tok105.vocab");
}

Recipe fp32() {
  Recipe recipe;
  recipe.name = "fp32";
  return recipe;
}
Recipe weight_only(Format format, Granularity granularity, std::uint32_t group = 0) {
  Recipe recipe = fp32();
  recipe.name = "weight-only";
  recipe[Target::weight] = {.format = format, .granularity = granularity, .group = group};
  recipe.dequantise = configs::Dequantise::before;
  return recipe;
}

Quality eval50(const LlamaModel& model, const Recipe& recipe, std::size_t stories = 50) {
  std::vector<std::string> texts =
      read_texts(kData + "/text/tinystories/eval50.txt", "<|endoftext|>");
  EXPECT_EQ(texts.size(), 50u);
  texts.resize(stories);
  FunctionalExecutor executor(model, recipe);
  return perplexity(executor, *model.tokenizer, texts);
}

struct Top {
  std::uint32_t id;
  double logit;
};

void expect_logits(const std::vector<float>& logits, const std::vector<Top>& top, double sum,
                   double norm) {
  std::vector<std::uint32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return logits[a] > logits[b]; });
  for (std::size_t i = 0; i < top.size(); ++i) {
    EXPECT_EQ(order[i], top[i].id);
    EXPECT_NEAR(logits[order[i]], top[i].logit, 1e-4);  // printed with four decimals
  }
  double total = 0, squares = 0;
  for (const float v : logits) {
    total += v;
    squares += double{v} * v;
  }
  EXPECT_NEAR(total, sum, 2e-3);
  EXPECT_NEAR(std::sqrt(squares), norm, 2e-4);
}

TEST(Golden, Stories260KHasThePublishedTokensAndTopLogits) {
  SKIP_WITHOUT(kData + "/llm/stories260K/stories260K.bin");
  const LlamaModel model = stories260k();
  const std::vector<std::uint32_t> ids = model.tokenizer->encode("Once upon a time", true);
  EXPECT_THAT(ids, testing::ElementsAre(1, 403, 407, 261, 378));
  FunctionalExecutor executor(model, fp32());
  expect_logits(executor.forward(ids, 0),
                {{432, 17.7994}, {383, 14.2813}, {322, 9.7097}, {353, 9.5873}, {323, 9.1342}},
                -2256.8516, 179.5142);
}

TEST(Golden, Stories260KTellsTheSameStoryGreedily) {
  SKIP_WITHOUT(kData + "/llm/stories260K/stories260K.bin");
  const LlamaModel model = stories260k();
  FunctionalExecutor executor(model, fp32());
  const std::vector<std::uint32_t> prompt = {model.tokenizer->bos()};
  const std::string text =
      model.tokenizer->decode(generate(executor, *model.tokenizer, prompt, 120));
  EXPECT_THAT(
      text,
      testing::StartsWith(
          "Once upon a time, there was a little girl named Lily. She loved to play outside in "
          "the park. One day, she saw a big, red ball. She wanted to play with it, but it was "
          "too high."));
}

TEST(Golden, Stories260KPerplexityOnEval50) {
  SKIP_WITHOUT(kData + "/llm/stories260K/stories260K.bin");
  const Quality quality = eval50(stories260k(), fp32());
  EXPECT_EQ(quality.tokens, 16993u);
  EXPECT_NEAR(quality.nll, 1.31801, 0.0001);
  EXPECT_NEAR(quality.perplexity, 3.7360, 0.0005);
}

TEST(Golden, Stories260KPerplexityOnTheSampleStories) {
  SKIP_WITHOUT(kData + "/llm/stories260K/stories260K.bin");
  const LlamaModel model = stories260k();
  FunctionalExecutor executor(model, fp32());
  const Quality quality =
      perplexity(executor, *model.tokenizer,
                 read_texts(kData + "/text/tinystories/tinystories_sample.txt", "<|endoftext|>"));
  EXPECT_EQ(quality.tokens, 1804u);
  EXPECT_NEAR(quality.perplexity, 3.5482, 0.0005);
}

TEST(Golden, BabyLlama105HasThePublishedTokensAndTopLogits) {
  SKIP_WITHOUT(kData + "/llm/babyllama105/model5000.bin");
  const LlamaModel model = babyllama105();
  const std::vector<std::uint32_t> ids = model.tokenizer->encode("Once upon a time", true);
  EXPECT_THAT(ids,
              testing::ElementsAre(1, 3, 34, 9, 22, 4, 3, 18, 20, 7, 9, 3, 5, 3, 6, 10, 16, 4));
  FunctionalExecutor executor(model, fp32());
  expect_logits(executor.forward(ids, 0),
                {{25, 10.0346}, {3, 6.1894}, {19, 3.1794}, {36, 2.5249}, {60, 1.8332}}, -365.7278,
                50.6882);
}

TEST(Golden, BabyLlama105PerplexityOnEval50) {
  SKIP_WITHOUT(kData + "/llm/babyllama105/model5000.bin");
  const Quality quality = eval50(babyllama105(), fp32());
  EXPECT_EQ(quality.tokens, 12750u);
  EXPECT_NEAR(quality.perplexity, 1.8518, 0.0005);
}

/// Rows of data.md §3.3: round to nearest on the seven linear tensors, first 20 stories.
struct Precision {
  const char* label;
  Format format;
  Granularity granularity;
  std::uint32_t group;
  double stories, baby;
};
constexpr Precision kPrecisions[] = {
    {"as stored", Format::fp32, Granularity::tensor, 0, 3.798, 1.8855},
    {"INT8 per row", Format::int8, Granularity::channel, 0, 3.793, 1.8860},
    {"INT6 per row", Format::int6, Granularity::channel, 0, 3.824, 1.8924},
    {"INT4 g32", Format::int4, Granularity::group, 32, 4.487, 1.9833},
    {"INT4 per row", Format::int4, Granularity::channel, 0, 4.528, 2.0682},
    {"INT3 g32", Format::int3, Granularity::group, 32, 15.89, 2.831}};

TEST(Golden, Stories260KReactsToWeightPrecisionAsMeasured) {
  SKIP_WITHOUT(kData + "/llm/stories260K/stories260K.bin");
  const LlamaModel model = stories260k();
  for (const Precision& p : kPrecisions) {
    const double found =
        eval50(model, weight_only(p.format, p.granularity, p.group), 20).perplexity;
    EXPECT_NEAR(found / p.stories, 1.0, 0.005) << p.label << ": " << found;
  }
}

TEST(Golden, BabyLlama105ReactsToWeightPrecisionAsMeasured) {
  SKIP_WITHOUT(kData + "/llm/babyllama105/model5000.bin");
  const LlamaModel model = babyllama105();
  for (const Precision& p : kPrecisions) {
    const double found =
        eval50(model, weight_only(p.format, p.granularity, p.group), 20).perplexity;
    EXPECT_NEAR(found / p.baby, 1.0, 0.005) << p.label << ": " << found;
  }
}

TEST(Golden, IntegerInferenceCostsLittleAtW8A8) {
  SKIP_WITHOUT(kData + "/llm/stories260K/stories260K.bin");
  const LlamaModel model = stories260k();
  Recipe recipe = fp32();
  recipe.name = "w8a8";
  recipe[Target::weight] =
      recipe[Target::head] = {.format = Format::int8, .granularity = Granularity::channel};
  for (const Target t :
       {Target::activation, Target::query, Target::key, Target::value, Target::probability}) {
    recipe[t] = {.format = Format::int8, .granularity = Granularity::token};
  }
  const double exact = eval50(model, fp32(), 20).perplexity;
  const double integer = eval50(model, recipe, 20).perplexity;
  EXPECT_NEAR(integer / exact, 1.0, 0.02);
}

TEST(Golden, Llama2TokenizerEncodesAndDecodesALongText) {
  const std::string path = kData + "/tokenizers/llama2/tokenizer.bin";
  const std::string text_path = kData + "/text/tinyshakespeare/input.txt";
  SKIP_WITHOUT(path);
  SKIP_WITHOUT(text_path);
  const Tokenizer tokenizer = read_llama2c_tokenizer(path);
  EXPECT_EQ(tokenizer.size(), 32000u);
  // "I believe the meaning of life is" of llama2.c test_all.py.
  EXPECT_THAT(tokenizer.encode("I believe the meaning of life is", true),
              testing::ElementsAre(1, 306, 4658, 278, 6593, 310, 2834, 338));
  const std::string text =
      read_texts(text_path, "").front();  // 1.1 MB: quadratic merging would not end
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, true)), text);
}

}  // namespace
}  // namespace systole::workloads
