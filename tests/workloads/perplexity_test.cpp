#include "workloads/perplexity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/workloads/refusal.hpp"
#include "tests/workloads/temporary_file.hpp"
#include "tests/workloads/tiny_model.hpp"

namespace systole::workloads {
namespace {

using namespace testing_tools;
using testing::ElementsAre;

TEST(SplitTexts, CutsAtTheDelimiterAndStripsWhiteSpace) {
  EXPECT_THAT(split_texts(" a b\n<x>\t\n<x>c<x>", "<x>"), ElementsAre("a b", "c"));
  EXPECT_THAT(split_texts("\n a<x> \n", ""), ElementsAre("a<x>"));
  EXPECT_THAT(split_texts("", "<x>"), ElementsAre());
  EXPECT_THAT(split_texts("<x><x>", "<x>"), ElementsAre());
}

TEST(ReadTexts, RefusesAFileWithoutText) {
  const TemporaryFile file(" \n<x>\n ");
  expect_refusal([&] { read_texts(file.path(), "<x>"); }, file.path(), "holds no text");
  expect_refusal([&] { read_texts("/nonexistent", "<x>"); }, "/nonexistent", "No such file");
}

struct Fixture {
  LlamaModel model = tiny_model(6);
  configs::Recipe recipe;
  FunctionalExecutor executor{model, recipe};
  const Tokenizer& tokenizer = *model.tokenizer;
};

TEST(Perplexity, IsTheExponentialOfTheMeanOverAllPredictedTokens) {
  Fixture f;
  const std::vector<std::string> texts = {"abc abc", "b"};
  double nll = 0;
  std::size_t count = 0;
  for (const std::string& text : texts) {
    const std::vector<std::uint32_t> ids = f.tokenizer.encode(text, true);
    const std::vector<float> logits = f.executor.forward(ids, 0, Logits::all);
    for (std::size_t i = 1; i < ids.size(); ++i, ++count) {
      double sum = 0;
      for (std::size_t v = 0; v < 270; ++v) sum += std::exp(double{logits[(i - 1) * 270 + v]});
      nll += std::log(sum) - double{logits[(i - 1) * 270 + ids[i]]};
    }
  }
  const Quality quality = perplexity(f.executor, f.tokenizer, texts);
  EXPECT_EQ(quality.texts, 2u);
  EXPECT_EQ(quality.tokens, count);
  EXPECT_NEAR(quality.nll, nll / static_cast<double>(count), 1e-9);
  EXPECT_NEAR(quality.perplexity, std::exp(nll / static_cast<double>(count)), 1e-6);
}

TEST(Perplexity, TruncatesEachTextToTheContext) {
  Fixture f;
  const std::vector<std::string> texts = {std::string(200, 'b')};
  EXPECT_EQ(perplexity(f.executor, f.tokenizer, texts).tokens,
            47u);  // 48 positions, the first is not predicted
  EXPECT_EQ(perplexity(f.executor, f.tokenizer, texts, 10).tokens, 9u);
  EXPECT_EQ(perplexity(f.executor, f.tokenizer, texts, 1000).tokens, 47u);
}

TEST(Perplexity, DoesNotDependOnTextsBeforeOrThreads) {
  Fixture f;
  const std::vector<std::string> texts = {"abc", "cab abc", "abcabc"};
  const double together = perplexity(f.executor, f.tokenizer, texts).nll;
  EXPECT_EQ(perplexity(f.executor, f.tokenizer, texts).nll, together);
  FunctionalExecutor threaded(f.model, f.recipe, 3);
  EXPECT_EQ(perplexity(threaded, f.tokenizer, texts).nll, together);
}

TEST(Perplexity, ReportsProgressAfterEachText) {
  Fixture f;
  std::vector<std::uint64_t> done;
  perplexity(f.executor, f.tokenizer, std::vector<std::string>{"a", "b", "c"}, 0,
             [&](std::uint64_t d, std::uint64_t all) {
               done.push_back(d);
               EXPECT_EQ(all, 3u);
             });
  EXPECT_THAT(done, ElementsAre(1, 2, 3));
}

TEST(Perplexity, RefusesToMeasureNothing) {
  Fixture f;
  expect_refusal([&] { perplexity(f.executor, f.tokenizer, {}); }, "no token to predict");
}

TEST(Perplexity, RefusesLogitsThatAreNotNumbers) {
  Fixture f;
  for (float& v : f.model.final_norm) v = 3e38f;
  FunctionalExecutor executor(f.model, f.recipe);
  expect_refusal([&] { perplexity(executor, f.tokenizer, std::vector<std::string>{"abc"}); },
                 "the logits of text 0");
}

TEST(Generate, TakesTheArgmaxOfEachStep) {
  Fixture f;
  const std::vector<std::uint32_t> prompt = f.tokenizer.encode("abc", true);
  const std::vector<std::uint32_t> found = generate(f.executor, f.tokenizer, prompt, 5);
  ASSERT_GE(found.size(), 1u);
  std::vector<std::uint32_t> ids = prompt;
  for (const std::uint32_t next : found) {
    const std::vector<float> logits = FunctionalExecutor(f.model, f.recipe).forward(ids, 0);
    EXPECT_EQ(next, std::max_element(logits.begin(), logits.end()) - logits.begin());
    ids.push_back(next);
  }
}

TEST(Generate, StopsAtTheCountAndAtTheLastPosition) {
  Fixture f;
  const std::vector<std::uint32_t> prompt = f.tokenizer.encode("abc", true);
  EXPECT_TRUE(generate(f.executor, f.tokenizer, prompt, 0).empty());
  EXPECT_LE(generate(f.executor, f.tokenizer, prompt, 3).size(), 3u);
  EXPECT_LE(generate(f.executor, f.tokenizer, prompt, 1000).size() + prompt.size(), 49u);
}

TEST(Generate, RefusesAPromptItCannotTake) {
  Fixture f;
  const std::vector<std::uint32_t> longer(49, 5), strange = {1, 270};
  expect_refusal([&] { generate(f.executor, f.tokenizer, {}, 5); }, "an empty prompt");
  expect_refusal([&] { generate(f.executor, f.tokenizer, longer, 5); }, "a prompt of 49 tokens",
                 "48 positions");
  expect_refusal([&] { generate(f.executor, f.tokenizer, strange, 5); }, "token 270");
}

}  // namespace
}  // namespace systole::workloads
