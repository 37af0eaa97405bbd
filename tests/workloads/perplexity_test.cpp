#include "workloads/perplexity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

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

/// KL by the definition, with the library's functions and no trick.
double kl_by_definition(std::span<const float> p_logits, std::span<const float> q_logits) {
  std::vector<double> p, q;
  double p_sum = 0, q_sum = 0;
  for (std::size_t i = 0; i < p_logits.size(); ++i) {
    p_sum += p.emplace_back(std::exp(double{p_logits[i]}));
    q_sum += q.emplace_back(std::exp(double{q_logits[i]}));
  }
  double kl = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    kl += p[i] / p_sum * std::log(p[i] / p_sum / (q[i] / q_sum));
  }
  return kl;
}

TEST(KlDivergence, IsZeroOfEqualDistributionsAndNeverLess) {
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal(0, 4);
  for (const std::size_t count : {1u, 2u, 7u, 270u}) {
    for (int trial = 0; trial < 50; ++trial) {
      std::vector<float> a(count), b(count), shifted(count);
      for (std::size_t i = 0; i < count; ++i) {
        a[i] = normal(random);
        b[i] = normal(random);
        shifted[i] = a[i] + 2;  // the same distribution
      }
      EXPECT_EQ(kl_divergence(a, a), 0.0);
      EXPECT_NEAR(kl_divergence(a, shifted), 0.0, 1e-6);
      EXPECT_GE(kl_divergence(a, b), 0.0);
      EXPECT_NEAR(kl_divergence(a, b), kl_by_definition(a, b), 1e-9 * (1 + kl_divergence(a, b)));
    }
  }
}

TEST(KlDivergence, KnowsTheCaseOfTwoTokensAndTokensThatNeverCome) {
  const std::vector<float> even = {0, 0}, three_to_one = {std::log(3.0f), 0};
  // 1/2 ln(1/2 / 3/4) + 1/2 ln(1/2 / 1/4), and the other way round: it is not symmetric.
  EXPECT_NEAR(kl_divergence(even, three_to_one), 0.5 * std::log(4.0 / 3), 1e-7);
  EXPECT_NEAR(kl_divergence(three_to_one, even),
              std::log(2.0) - 0.75 * std::log(4.0 / 3) - 0.25 * std::log(4.0), 1e-7);
  const std::vector<float> never = {0, -2000};
  EXPECT_EQ(kl_divergence(never, even), kl_divergence(never, even));
  EXPECT_NEAR(kl_divergence(never, even), std::log(2.0), 1e-9);
  EXPECT_NEAR(kl_divergence(even, never), 0.5 * 2000 - std::log(2.0), 1e-6);
}

TEST(Perplexity, MeansTheDivergenceOverTheSameTokens) {
  Fixture f;
  const std::vector<std::string> texts = {"abc abc", "b"};
  configs::Recipe coarse;
  coarse[configs::Target::weight].format = quant::Format::int4;
  coarse[configs::Target::weight].granularity = quant::Granularity::channel;
  coarse.dequantise = configs::Dequantise::before;
  FunctionalExecutor quantised(f.model, coarse);
  double kl = 0;
  std::size_t count = 0;
  for (const std::string& text : texts) {
    const std::vector<std::uint32_t> ids = f.tokenizer.encode(text, true);
    const auto expected = f.executor.forward(ids, 0, Logits::all);
    const auto logits = quantised.forward(ids, 0, Logits::all);
    for (std::size_t i = 0; i + 1 < ids.size(); ++i, ++count) {
      kl += kl_by_definition(std::span(expected).subspan(i * 270, 270),
                             std::span(logits).subspan(i * 270, 270));
    }
  }
  const Quality quality = perplexity(quantised, f.tokenizer, texts, 0, {}, &f.executor);
  ASSERT_TRUE(quality.kl);
  EXPECT_GT(*quality.kl, 0);
  EXPECT_NEAR(*quality.kl, kl / static_cast<double>(count), 1e-9);
  EXPECT_EQ(quality.nll, perplexity(quantised, f.tokenizer, texts).nll);
  EXPECT_FALSE(perplexity(quantised, f.tokenizer, texts).kl);

  FunctionalExecutor same(f.model, f.recipe);
  EXPECT_EQ(perplexity(same, f.tokenizer, texts, 0, {}, &f.executor).kl, 0.0);
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
