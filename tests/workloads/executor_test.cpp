// The executor's bits: those of the normative kernels, whatever the threads, the CPU and the way a
// text is cut.
#include "workloads/executor.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "quant/kernels/gemm.hpp"
#include "quant/kernels/vector.hpp"
#include "tests/workloads/refusal.hpp"
#include "tests/workloads/tiny_model.hpp"
#include "workloads/perplexity.hpp"
#include "workloads/shape.hpp"

namespace systole::workloads {
namespace {

using namespace testing_tools;
using configs::Dequantise;
using configs::Recipe;
using configs::Target;
using quant::Affine;
using quant::Format;
using quant::Granularity;
using quant::QuantSpec;

constexpr QuantSpec kToken8{.format = Format::int8, .granularity = Granularity::token};

Recipe named(std::string name) {
  Recipe recipe;
  recipe.name = std::move(name);
  return recipe;
}

Recipe floats(Format format) {
  Recipe recipe = named(std::string(quant::name_of(format)));
  for (QuantSpec& policy : recipe.policies) policy.format = format;
  return recipe;
}

Recipe weight_only(Format format, Affine affine, Format activation) {
  Recipe recipe = floats(activation);
  recipe.name = "weights " + std::string(quant::name_of(format)) + ", the rest " +
                std::string(quant::name_of(activation));
  recipe[Target::weight] = {
      .format = format, .granularity = Granularity::group, .group = 8, .affine = affine};
  recipe.dequantise = Dequantise::before;
  return recipe;
}

Recipe integer(Format weight, Affine affine = Affine::symmetric) {
  Recipe recipe = named("a8 with weights " + std::string(quant::name_of(weight)));
  recipe[Target::weight] = {.format = weight,
                            .granularity = Granularity::group,
                            .group = 16,
                            .affine = affine,
                            .scale = Format::fp16};
  recipe[Target::head] = {.format = Format::int8, .granularity = Granularity::channel};
  for (const Target t :
       {Target::activation, Target::query, Target::key, Target::value, Target::probability}) {
    recipe[t] = kToken8;
  }
  return recipe;
}

Recipe integer_before() {
  Recipe recipe = integer(Format::int4);
  recipe.name = "w4a8 dequantised before";
  recipe.dequantise = Dequantise::before;
  return recipe;
}

/// An int4 cache read by a float attention.
Recipe kv_only(Format moving) {
  Recipe recipe = floats(moving);
  recipe.name = "int4 cache, the rest " + std::string(quant::name_of(moving));
  recipe[Target::key] =
      recipe[Target::value] = {.format = Format::int4, .granularity = Granularity::token};
  return recipe;
}

std::vector<Recipe> all_recipes() {
  return {floats(Format::fp32),
          floats(Format::fp16),
          floats(Format::bf16),
          weight_only(Format::int4, Affine::symmetric, Format::fp32),
          weight_only(Format::int3, Affine::float_min, Format::fp16),
          integer(Format::int8),
          integer(Format::int4),
          integer(Format::int2, Affine::integer_zero),
          integer(Format::int5, Affine::float_zero),
          integer_before(),
          kv_only(Format::fp32),
          kv_only(Format::fp16)};
}

std::vector<std::uint32_t> some_tokens(std::size_t count, std::uint64_t seed = 9) {
  Random random(seed);
  std::vector<std::uint32_t> ids;
  for (std::size_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::uint32_t>(random.uniform(0, 269)));
  return ids;
}

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> result;
  for (const float v : values) result.push_back(std::bit_cast<std::uint32_t>(v));
  return result;
}

class Executor : public testing::TestWithParam<std::size_t> {
 protected:
  Recipe recipe = all_recipes()[GetParam()];
};

TEST_P(Executor, HasTheBitsOfTheReferenceOnAnyNumberOfThreads) {
  const LlamaModel model = tiny_model(4);
  const std::vector<std::uint32_t> ids = some_tokens(37);
  FunctionalExecutor reference(model, recipe, 1, Kernels::reference);
  const auto expected = bits(reference.forward(ids, 0, Logits::all));
  for (const unsigned threads : {1u, 2u, 3u}) {
    FunctionalExecutor fast(model, recipe, threads);
    EXPECT_EQ(bits(fast.forward(ids, 0, Logits::all)), expected)
        << recipe.name << ", " << threads << " threads";
  }
}

TEST_P(Executor, HasTheBitsOfTheReferenceWithPartialSumsInChunks) {
  const LlamaModel model = tiny_model(4);
  const std::vector<std::uint32_t> ids = some_tokens(20);
  FunctionalExecutor reference(model, recipe, 1, Kernels::reference, 7);
  FunctionalExecutor fast(model, recipe, 1, Kernels::fast, 7);
  EXPECT_EQ(bits(fast.forward(ids, 0, Logits::all)), bits(reference.forward(ids, 0, Logits::all)))
      << recipe.name;
}

TEST_P(Executor, ComputesATokenAlikeHoweverTheTextIsCut) {
  const LlamaModel model = tiny_model(4);
  const std::vector<std::uint32_t> ids = some_tokens(30);
  FunctionalExecutor whole(model, recipe);
  const std::vector<float> expected = whole.forward(ids, 0, Logits::all);
  FunctionalExecutor pieces(model, recipe);
  std::vector<float> found;
  for (std::size_t first = 0; first < ids.size();) {
    const std::size_t count = std::min<std::size_t>(ids.size() - first, first < 15 ? 4 : 1);
    const auto logits = pieces.forward(std::span(ids).subspan(first, count), first, Logits::all);
    found.insert(found.end(), logits.begin(), logits.end());
    first += count;
  }
  EXPECT_EQ(bits(found), bits(expected)) << recipe.name;
}

TEST_P(Executor, GivesTheLastRowWhenOnlyTheLastIsAskedFor) {
  const LlamaModel model = tiny_model(4);
  const std::vector<std::uint32_t> ids = some_tokens(11);
  FunctionalExecutor executor(model, recipe);
  const std::vector<float> all = executor.forward(ids, 0, Logits::all);
  const std::vector<float> last = executor.forward(ids, 0, Logits::last);
  ASSERT_EQ(last.size(), 270u);
  EXPECT_EQ(bits(last), bits({all.end() - 270, all.end()}));
}

TEST_P(Executor, ReusesASharedPrefixAndForgetsTheRest) {
  const LlamaModel model = tiny_model(4);
  const std::vector<std::uint32_t> ids = some_tokens(24), other = some_tokens(24, 10);
  FunctionalExecutor executor(model, recipe), fresh(model, recipe);
  executor.forward(ids, 0);
  EXPECT_EQ(executor.position(), 24u);
  executor.forward(std::span(other).subspan(0, 10), 5);
  EXPECT_EQ(executor.position(), 15u);
  executor.reset();
  EXPECT_EQ(executor.position(), 0u);
  EXPECT_EQ(bits(executor.forward(ids, 0)), bits(fresh.forward(ids, 0)));
}

INSTANTIATE_TEST_SUITE_P(Recipes, Executor, testing::Range<std::size_t>(0, all_recipes().size()),
                         [](const auto& instance) {
                           std::string name;
                           const Recipe recipe = all_recipes()[instance.param];
                           for (const char c : recipe.name)
                             name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name + "_" + std::to_string(instance.param);
                         });

/// The forward pass again, straight from the definitions, one token at a time and without a cache
/// of codes.
std::vector<float> by_definition(const LlamaModel& model, std::span<const std::uint32_t> ids) {
  const configs::ModelShape& s = model.shape;
  const std::size_t d = s.head_dim, share = s.heads / s.kv_heads;
  const std::vector<double> frequencies = quant::rope_frequencies(d, s.rope_theta);
  auto linear = [](const std::vector<float>& w, const std::vector<float>& x) {
    std::vector<float> out(w.size() / x.size());
    quant::gemm_fp32(x, w, {1, out.size(), x.size()}, out);
    return out;
  };
  auto norm = [&](const std::vector<float>& x, const std::vector<float>& gain) {
    std::vector<float> out(x.size());
    quant::rms_norm(x, gain, static_cast<float>(s.norm_epsilon), out);
    return out;
  };
  std::vector<std::vector<std::vector<float>>> keys(s.layers), values(s.layers);
  std::vector<float> x;
  for (std::size_t p = 0; p < ids.size(); ++p) {
    x.assign(model.embedding.begin() + static_cast<std::ptrdiff_t>(ids[p] * s.hidden),
             model.embedding.begin() + static_cast<std::ptrdiff_t>((ids[p] + 1) * s.hidden));
    for (std::size_t l = 0; l < s.layers; ++l) {
      const LayerWeights& w = model.layers[l];
      std::vector<float> h = norm(x, w.attn_norm);
      std::vector<float> q = linear(w.q, h), k = linear(w.k, h);
      const quant::RopeAngles angles = quant::rope_angles(p, frequencies);
      for (std::size_t i = 0; i < q.size(); i += d) quant::rope(std::span(q).subspan(i, d), angles);
      for (std::size_t i = 0; i < k.size(); i += d) quant::rope(std::span(k).subspan(i, d), angles);
      keys[l].push_back(k);
      values[l].push_back(linear(w.v, h));
      std::vector<float> context(q.size(), 0.0f);
      for (std::size_t head = 0; head < s.heads; ++head) {
        const std::size_t at = head * d, kv = head / share * d;
        std::vector<float> scores;
        for (std::size_t t = 0; t <= p; ++t) {
          float score = 0;
          for (std::size_t i = 0; i < d; ++i)
            score = std::fma(q[at + i], keys[l][t][kv + i], score);
          scores.push_back(score * (1.0f / std::sqrt(static_cast<float>(d))));
        }
        for (std::size_t t = 0; s.sliding_window != 0 && t + s.sliding_window <= p; ++t) {
          scores[t] = -std::numeric_limits<float>::infinity();
        }
        quant::softmax(scores);
        for (std::size_t j = 0; j < d; ++j) {
          for (std::size_t t = 0; t <= p; ++t)
            context[at + j] = std::fma(scores[t], values[l][t][kv + j], context[at + j]);
        }
      }
      const std::vector<float> attended = linear(w.output, context);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = x[i] + attended[i];
      h = norm(x, w.ffn_norm);
      std::vector<float> gate = linear(w.gate, h);
      const std::vector<float> up = linear(w.up, h);
      quant::swiglu(gate, up, gate);
      const std::vector<float> down = linear(w.down, gate);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = x[i] + down[i];
    }
  }
  return linear(model.classifier(), norm(x, model.final_norm));
}

TEST(ExecutorDefinition, ComputesTheLlamaForwardPassBitForBit) {
  TinyShape untied;
  untied.tied = false;
  for (const TinyShape& shape : {TinyShape{}, untied}) {
    const LlamaModel model = tiny_model(8, shape);
    const std::vector<std::uint32_t> ids = some_tokens(19);
    FunctionalExecutor executor(model, floats(Format::fp32));
    EXPECT_EQ(bits(executor.forward(ids, 0)), bits(by_definition(model, ids)));
  }
}

TEST(ExecutorDefinition, ASlidingWindowHidesWhatLiesBehindIt) {
  const std::vector<std::uint32_t> ids = some_tokens(19);
  for (const std::uint32_t window : {1u, 2u, 7u, 18u, 19u, 20u}) {
    LlamaModel model = tiny_model(8);
    model.shape.sliding_window = window;
    FunctionalExecutor executor(model, floats(Format::fp32));
    EXPECT_EQ(bits(executor.forward(ids, 0)), bits(by_definition(model, ids))) << window;
  }
}

TEST(SlidingWindow, IsAlikeInEveryPathAndHoweverTheTextIsCut) {
  const std::vector<std::uint32_t> ids = some_tokens(41);
  LlamaModel model = tiny_model(4);
  model.shape.sliding_window = 9;
  Recipe integer = named("integer attention");
  for (const Target t : {Target::query, Target::key, Target::value, Target::probability})
    integer[t] = kToken8;
  for (const Recipe& recipe : {floats(Format::fp32), floats(Format::fp16), integer}) {
    FunctionalExecutor fast(model, recipe, 3), reference(model, recipe, 1, Kernels::reference),
        one_by_one(model, recipe);
    const std::vector<float> expected = reference.forward(ids, 0, Logits::all);
    EXPECT_EQ(bits(fast.forward(ids, 0, Logits::all)), bits(expected)) << recipe.name;
    std::vector<float> found;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto row = one_by_one.forward(std::span(ids).subspan(i, 1), i, Logits::all);
      found.insert(found.end(), row.begin(), row.end());
    }
    EXPECT_EQ(bits(found), bits(expected)) << recipe.name;
  }
}

TEST(SlidingWindow, WhatItHidesDoesNotMatter) {
  TinyShape one;
  one.layers = 1;
  LlamaModel model = tiny_model(4, one);
  model.shape.sliding_window = 5;
  std::vector<std::uint32_t> ids = some_tokens(20), other = ids;
  for (std::size_t t = 0; t < 15; ++t) other[t] = (other[t] + 7) % 250;  // behind the last token's
  FunctionalExecutor a(model, floats(Format::fp32)), b(model, floats(Format::fp32));
  EXPECT_EQ(bits(a.forward(ids, 0)), bits(b.forward(other, 0)));
  other[15] = (other[15] + 7) % 250;
  EXPECT_NE(bits(a.forward(ids, 0)), bits(b.forward(other, 0)));
}

TEST(ExecutorDefinition, ComputesIntegerAttentionAsTheContractSaysIt) {
  // One layer; linear layers stay fp32, so that only the attention differs from by_definition().
  TinyShape one;
  one.layers = 1;
  const LlamaModel model = tiny_model(12, one);
  Recipe recipe = named("integer attention");
  for (const Target t : {Target::query, Target::key, Target::value, Target::probability})
    recipe[t] = kToken8;
  const configs::ModelShape& s = model.shape;
  const LayerWeights& w = model.layers[0];
  const std::vector<std::uint32_t> ids = some_tokens(9);
  const std::size_t d = s.head_dim;
  const std::vector<double> frequencies = quant::rope_frequencies(d, s.rope_theta);
  auto linear = [](const std::vector<float>& weight, const std::vector<float>& x) {
    std::vector<float> out(weight.size() / x.size());
    quant::gemm_fp32(x, weight, {1, out.size(), x.size()}, out);
    return out;
  };
  std::vector<quant::QuantizedMatrix> keys, values;
  std::vector<float> q, x;
  for (std::size_t p = 0; p < ids.size(); ++p) {
    x.assign(model.embedding.begin() + static_cast<std::ptrdiff_t>(ids[p] * s.hidden),
             model.embedding.begin() + static_cast<std::ptrdiff_t>((ids[p] + 1) * s.hidden));
    std::vector<float> h(x.size());
    quant::rms_norm(x, w.attn_norm, static_cast<float>(s.norm_epsilon), h);
    q = linear(w.q, h);
    std::vector<float> k = linear(w.k, h);
    const quant::RopeAngles angles = quant::rope_angles(p, frequencies);
    for (std::size_t i = 0; i < q.size(); i += d) quant::rope(std::span(q).subspan(i, d), angles);
    for (std::size_t i = 0; i < k.size(); i += d) quant::rope(std::span(k).subspan(i, d), angles);
    keys.push_back(quant::quantise(k, s.kv_heads, d, kToken8));
    values.push_back(quant::quantise(linear(w.v, h), s.kv_heads, d, kToken8));
  }
  const quant::QuantizedMatrix query = quant::quantise(q, s.heads, d, kToken8);
  std::vector<float> context(q.size());
  for (std::size_t head = 0; head < s.heads; ++head) {
    const std::size_t kv = head / (s.heads / s.kv_heads);
    std::vector<float> p;
    for (std::size_t t = 0; t < ids.size(); ++t) {
      int sum = 0;
      for (std::size_t i = 0; i < d; ++i) sum += query.code(head, i) * keys[t].code(kv, i);
      const float score = (static_cast<float>(sum) * keys[t].scale(kv, 0)) * query.scale(head, 0);
      p.push_back(score * (1.0f / std::sqrt(static_cast<float>(d))));
    }
    quant::softmax(p);
    for (std::size_t t = 0; t < p.size(); ++t) p[t] = p[t] * values[t].scale(kv, 0);
    const quant::QuantizedMatrix folded = quant::quantise(p, 1, p.size(), kToken8);
    for (std::size_t j = 0; j < d; ++j) {
      int sum = 0;
      for (std::size_t t = 0; t < p.size(); ++t) sum += folded.code(0, t) * values[t].code(kv, j);
      context[head * d + j] = static_cast<float>(sum) * folded.scale(0, 0);
    }
  }
  const std::vector<float> attended = linear(w.output, context);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = x[i] + attended[i];
  std::vector<float> h(x.size());
  quant::rms_norm(x, w.ffn_norm, static_cast<float>(s.norm_epsilon), h);
  std::vector<float> gate = linear(w.gate, h);
  quant::swiglu(gate, linear(w.up, h), gate);
  const std::vector<float> down = linear(w.down, gate);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = x[i] + down[i];
  quant::rms_norm(x, model.final_norm, static_cast<float>(s.norm_epsilon), h);

  FunctionalExecutor executor(model, recipe);
  EXPECT_EQ(bits(executor.forward(ids, 0)), bits(linear(model.embedding, h)));
}

TEST(ExecutorErrors, ARecipeItCannotComputeIsRefused) {
  const LlamaModel model = tiny_model(4);
  Recipe recipe = integer(Format::int8);
  recipe[Target::value].granularity = Granularity::tensor;
  expect_refusal([&] { FunctionalExecutor(model, recipe); },
                 "recipe 'a8 with weights int8': tensors.value.granularity: found 'tensor'");
}

TEST(ExecutorErrors, ValuesThatOverflowNameModelRecipeAndLayer) {
  LlamaModel model = tiny_model(4);
  LayerWeights& layer = model.layers[1];
  for (std::size_t i = 0; i < layer.gate.size();
       ++i) {  // some gates open whatever the input's sign
    layer.gate[i] = i / model.shape.hidden % 2 == 0 ? 1e38f : -1e38f;
    layer.up[i] = 1e38f;
  }
  Recipe recipe = integer(Format::int8);
  recipe[Target::weight].scale =
      Format::fp32;  // an fp16 scale would be clipped to its largest value
  FunctionalExecutor executor(model, recipe);
  const std::vector<std::uint32_t> ids = {5};
  expect_refusal([&] { executor.forward(ids, 0); },
                 "model tiny, recipe a8 with weights int8, layer 1", "overflow");
}

TEST(ExecutorErrors, MisuseIsOurDefect) {
  const LlamaModel model = tiny_model(4);
  FunctionalExecutor executor(model, floats(Format::fp32));
  const std::vector<std::uint32_t> ids = {5}, strange = {270}, many(49, 1);
  EXPECT_THROW(executor.forward({}, 0), InternalError);
  EXPECT_THROW(executor.forward(ids, 1), InternalError);
  EXPECT_THROW(executor.forward(strange, 0), InternalError);
  EXPECT_THROW(executor.forward(many, 0), InternalError);
}

TEST(EmbeddingFormat, IsTheHeadsWhereThatIsAFloat) {
  EXPECT_EQ(embedding_format(floats(Format::fp32)), Format::fp32);
  EXPECT_EQ(embedding_format(floats(Format::bf16)), Format::bf16);
  EXPECT_EQ(embedding_format(integer(Format::int8)), Format::fp16);
}

}  // namespace
}  // namespace systole::workloads
