// Conservation: a Program holds every multiply-accumulate and every byte of its model, once.
#include "workloads/lowering.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "configs/library.hpp"
#include "quant/quantise.hpp"
#include "tests/workloads/refusal.hpp"
#include "workloads/storage.hpp"

namespace systole::workloads {
namespace {

using configs::ModelShape;
using configs::Recipe;
using configs::Target;
using quant::Format;
using quant::Granularity;
using testing_tools::expect_refusal;

/// Weights may follow a schedule and activations may keep their first tokens apart; keys and values
/// lie as their codec says, in all layers alike; every other target is one spec.
bool is_timed(const Recipe& recipe) {
  for (std::size_t i = 0; i < configs::kTargetCount; ++i) {
    const auto target = static_cast<Target>(i);
    quant::TensorPolicy policy = recipe.policies[i];
    if (target == Target::activation) policy.tokens.clear();
    if (target == Target::key || target == Target::value) {
      const bool by_layer = policy.schedule.kind == quant::ScheduleKind::map;
      if (by_layer && !policy.schedule.entries.empty()) return false;
      if (policy.schedule.kind == quant::ScheduleKind::phase) return false;
      continue;
    }
    const bool plain_only = target == Target::shortcut || target == Target::embedding;
    if (plain_only ? !quant::is_plain(policy) : !quant::is_timed(policy)) return false;
    if (target != Target::weight && policy.schedule.kind != quant::ScheduleKind::fixed)
      return false;
  }
  return true;
}

constexpr std::uint64_t kMiB = 1u << 20;

/// Source: data.md §8.
ModelShape llama2_7b() {
  ModelShape s;
  s.name = "llama-2-7b";
  s.layers = 32;
  s.hidden = 4096;
  s.intermediate = 11008;
  s.heads = s.kv_heads = 32;
  s.vocab = 32000;
  s.max_positions = 4096;
  return s;
}
ModelShape llama3_8b() {
  ModelShape s = llama2_7b();
  s.name = "llama-3-8b";
  s.intermediate = 14336;
  s.kv_heads = 8;
  s.vocab = 128256;
  s.max_positions = 8192;
  return s;
}

Recipe all_in(Format format) {
  Recipe r;
  r.name = std::string(quant::name_of(format));
  for (auto& policy : r.policies) policy.format = format;
  return r;
}
Recipe w4a8() {
  Recipe r;
  r.name = "w4a8";
  r[Target::weight] = {.format = Format::int4,
                       .granularity = Granularity::group,
                       .group = 128,
                       .scale = Format::fp16};
  r[Target::head] = {
      .format = Format::int8, .granularity = Granularity::channel, .scale = Format::fp16};
  for (const Target t :
       {Target::activation, Target::query, Target::key, Target::value, Target::probability}) {
    r[t] = {.format = Format::int8, .granularity = Granularity::token};
  }
  return r;
}

Operation find(const Step& step, std::string_view name) {
  for (const Segment& segment : step.segments) {
    for (const Operation& operation : segment.operations) {
      if (operation.name == name) return operation;
    }
  }
  throw std::runtime_error("no operation " + std::string(name));
}

template <class Count>
std::uint64_t sum(const Step& step, Count count) {
  std::uint64_t total = 0;
  for (const Segment& segment : step.segments) {
    for (const Operation& operation : segment.operations)
      total += segment.repeats * count(operation);
  }
  return total;
}

std::vector<std::string> names(const Segment& segment) {
  std::vector<std::string> result;
  for (const Operation& operation : segment.operations) result.push_back(operation.name);
  return result;
}

TEST(Lowering, ListsTheOperationsOfAnIntegerRecipeInOrder) {
  const Program program = lower(llama2_7b(), w4a8(), 16, 1);
  const Step& step = program.steps.front();
  ASSERT_EQ(step.segments.size(), 3u);
  EXPECT_THAT(names(step.segments[0]), testing::ElementsAre("embedding"));
  EXPECT_THAT(
      names(step.segments[1]),
      testing::ElementsAre("attn_norm", "attn_quantise", "attn_q", "attn_k", "attn_v", "rope",
                           "qkv_quantise", "k_append", "v_append", "attention", "attn_out_quantise",
                           "attn_output", "attn_residual", "ffn_norm", "ffn_quantise", "ffn_gate",
                           "ffn_up", "swiglu", "ffn_down_quantise", "ffn_down", "ffn_residual"));
  EXPECT_EQ(step.segments[1].repeats, 32u);
  EXPECT_THAT(names(step.segments[2]),
              testing::ElementsAre("final_norm", "head_quantise", "classifier", "argmax"));
}

TEST(Lowering, QuantisesNothingForAFloatRecipe) {
  const Program program = lower(llama2_7b(), all_in(Format::fp16), 16, 1);
  for (const Segment& segment : program.steps.front().segments) {
    for (const Operation& operation : segment.operations)
      EXPECT_NE(operation.vector_op, VectorOp::quantise);
  }
}

TEST(Lowering, HasOnePrefillStepAndOneStepForEachDecodedToken) {
  const Program program = lower(llama2_7b(), w4a8(), 100, 3);
  ASSERT_EQ(program.steps.size(), 4u);
  EXPECT_EQ(program.steps[0].phase, Phase::prefill);
  EXPECT_EQ(program.steps[0].tokens, 100u);
  EXPECT_EQ(program.steps[0].context, 100u);
  for (std::uint64_t i = 1; i < 4; ++i) {
    EXPECT_EQ(program.steps[i].phase, Phase::decode);
    EXPECT_EQ(program.steps[i].tokens, 1u);
    EXPECT_EQ(program.steps[i].context, 100 + i);
    EXPECT_EQ(find(program.steps[i], "attention").n, 100 + i);
  }
}

TEST(Lowering, ConservesTheMultiplyAccumulatesOfLlama2) {
  const Program program = lower(llama2_7b(), w4a8(), 2048, 1);
  const std::uint64_t layer = 4 * 4096 * 4096 + 3 * std::uint64_t{4096} * 11008;
  EXPECT_EQ(layer, 202375168u);  // 202.4 M weights, and as many MACs a token
  auto linear = [](const Operation& op) {
    return op.kind == OpKind::gemm && op.name != "classifier" ? op.macs() : 0;
  };
  EXPECT_EQ(sum(program.steps[0], linear), 32 * layer * 2048);
  EXPECT_EQ(sum(program.steps[1], linear), 32 * layer);
  EXPECT_EQ(find(program.steps[0], "classifier").macs(), 32000u * 4096u);  // the last token only
  EXPECT_EQ(find(program.steps[0], "attention").macs(), std::uint64_t{2} * 2048 * 2048 * 4096);
  EXPECT_EQ(find(program.steps[1], "attention").macs(), 2u * 2049 * 4096);
}

TEST(Lowering, SharesKeysAmongTheQueryHeadsOfAGroup) {
  const Operation attention = find(lower(llama3_8b(), w4a8(), 64, 0).steps[0], "attention");
  EXPECT_EQ(attention.batch, 8u);
  EXPECT_EQ(attention.share, 4u);
  EXPECT_EQ(attention.k, 128u);
  EXPECT_EQ(attention.macs(), 2u * 64 * 64 * 4096);
}

TEST(Lowering, StoresEveryWeightOnceToTheByte) {
  const Program program = lower(llama2_7b(), w4a8(), 128, 0);
  // int4 codes and one fp16 scale in 128; int8 head with one fp16 scale a row; fp16 embedding; fp32
  // gains.
  const std::uint64_t linear = 202375168;
  const std::uint64_t layer = linear / 2 + linear / 128 * 2 + 2 * 4096 * 4;
  const std::uint64_t head = 32000ull * 4096 + 32000 * 2, embedding = 32000ull * 4096 * 2;
  EXPECT_EQ(program.weight_bytes, 32 * layer + head + embedding + 4096 * 4);
  EXPECT_EQ(program.kv_bytes_per_token, 32u * 2 * 32 * (128 + 4));
}

TEST(Lowering, StoresAHalfPrecisionModelInTwoBytesAParameter) {
  const ModelShape shape = llama2_7b();
  const Program program = lower(shape, all_in(Format::fp16), 128, 0);
  const std::uint64_t gains = (2 * 32 + 1) * 4096;  // stay fp32
  ModelShape resolved = shape;
  resolved.head_dim = 128;
  EXPECT_EQ(program.weight_bytes, 2 * resolved.parameters() + 2 * gains);
}

TEST(Lowering, SharesATiedEmbeddingOnlyWithAHeadOfItsFormat) {
  ModelShape shape = llama2_7b();
  shape.tied_embedding = true;
  const Step shared = lower(shape, all_in(Format::fp16), 8, 0).steps[0];
  EXPECT_EQ(find(shared, "classifier").stationary_region.address,
            find(shared, "embedding").stationary_region.address);
  const Step apart = lower(shape, w4a8(), 8, 0).steps[0];
  EXPECT_NE(find(apart, "classifier").stationary_region.address,
            find(apart, "embedding").stationary_region.address);
}

/// The bytes that a region covers, piece by piece.
std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges(const Region& region,
                                                            std::uint64_t shift) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> result;
  for (std::uint64_t i = 0; i < region.pieces; ++i) {
    const std::uint64_t first = region.address + shift + i * region.piece_stride;
    result.emplace_back(first, first + region.bytes / region.pieces);
  }
  return result;
}

TEST(Lowering, KeepsTensorsApartInMemory) {
  ModelShape shape = llama3_8b();
  shape.layers = 3;
  const Program program = lower(shape, w4a8(), 300, 7);
  EXPECT_EQ(program.layer_stride_bytes % kMiB, 0u);
  std::map<std::uint64_t, std::uint64_t> placed;  // begin -> end
  std::uint64_t weights = 0;
  auto place = [&](const Region& region, std::uint64_t shift) {
    for (const auto& [first, last] : ranges(region, shift)) {
      const auto next = placed.lower_bound(first);
      if (next != placed.end()) {
        EXPECT_LE(last, next->first);
      }
      if (next != placed.begin()) {
        EXPECT_LE(std::prev(next)->second, first);
      }
      placed[first] = last;
      EXPECT_LE(last, program.footprint_bytes);
    }
  };
  for (const Segment& segment :
       program.steps.back().segments) {  // the last step reads all of the cache
    for (std::uint64_t i = 0; i < segment.repeats; ++i) {
      for (const Operation& operation : segment.operations) {
        Region stationary = operation.stationary_region;
        if (operation.vector_op == VectorOp::embedding) {
          EXPECT_EQ(stationary.bytes, 4096u * 2);  // one row
          stationary.bytes *= shape.vocab;         // all of the table lies there
        }
        if (stationary.bytes > 0) place(stationary, i * program.layer_stride_bytes);
        if (stationary.traffic == TrafficClass::weights) weights += stationary.bytes;
        if (operation.context_region.bytes > 0)
          place(operation.context_region, i * program.layer_stride_bytes);
      }
    }
  }
  place(program.activation_region, 0);
  EXPECT_EQ(weights, program.weight_bytes);
  EXPECT_EQ(program.footprint_bytes,
            program.activation_region.address + program.activation_region.bytes);
}

TEST(Lowering, AppendsToTheCacheWhatAttentionThenReads) {
  const Program program = lower(llama3_8b(), w4a8(), 50, 9);
  std::uint64_t written = 0;
  for (const Step& step : program.steps) {
    const Operation attention = find(step, "attention");
    for (const auto& [append, read] : {std::pair{"k_append", &attention.stationary_region},
                                       std::pair{"v_append", &attention.context_region}}) {
      const Region region = find(step, append).written_region;
      EXPECT_EQ(region.traffic, TrafficClass::kv_cache);
      EXPECT_EQ(read->traffic, TrafficClass::kv_cache);
      EXPECT_EQ(region.pieces, read->pieces);
      EXPECT_EQ(region.piece_stride, read->piece_stride);
      // Each head's new tokens end where the read of that head ends.
      EXPECT_EQ(region.address + region.bytes / region.pieces,
                read->address + read->bytes / read->pieces);
      written += 32 * region.bytes;
    }
    EXPECT_EQ(32 * (attention.stationary_region.bytes + attention.context_region.bytes),
              step.context * program.kv_bytes_per_token);
    EXPECT_EQ(written, step.context * program.kv_bytes_per_token);
  }
}

TEST(Lowering, CountsActivationsAsTheyAreStored) {
  const Step step = lower(llama2_7b(), w4a8(), 10, 0).steps[0];
  EXPECT_EQ(find(step, "attn_norm").output_bytes, 10u * 4096 * 4);
  EXPECT_EQ(find(step, "attn_quantise").output_bytes, 10u * (4096 + 4));
  EXPECT_EQ(find(step, "attn_q").input_bytes, 10u * (4096 + 4));
  EXPECT_EQ(find(step, "attn_q").output_bytes, 10u * 4096 * 4);
  EXPECT_EQ(find(step, "attention").input_bytes, 10u * 32 * (128 + 4));
  EXPECT_EQ(find(step, "ffn_down").input_bytes, 10u * (11008 + 4));
  EXPECT_EQ(find(step, "swiglu").input_bytes, 2u * 10 * 11008 * 4);
  EXPECT_EQ(find(step, "classifier").input_bytes, 4096u + 4);
  const Step half = lower(llama2_7b(), all_in(Format::fp16), 10, 0).steps[0];
  EXPECT_EQ(find(half, "attn_norm").output_bytes, 10u * 4096 * 2);
  EXPECT_EQ(find(half, "attn_q").input_bytes, 10u * 4096 * 2);
}

TEST(Lowering, ChainsWhatOneOperationWritesToWhatTheNextReads) {
  // Single producers and consumers: the bytes agree whatever the formats.
  for (const Recipe& recipe : {w4a8(), all_in(Format::fp32), all_in(Format::fp16)}) {
    const Step step = lower(llama3_8b(), recipe, 12, 0).steps[0];
    auto chained = [&](const char* from, const char* to) {
      EXPECT_EQ(find(step, from).output_bytes, find(step, to).input_bytes)
          << recipe.name << ": " << from << " to " << to;
    };
    const bool integer = quant::is_integer(recipe[Target::activation].format);
    if (integer) {
      chained("attn_norm", "attn_quantise");
      chained("attention", "attn_out_quantise");
      chained("swiglu", "ffn_down_quantise");
    }
    chained(integer ? "attn_quantise" : "attn_norm", "attn_q");
    chained(integer ? "attn_out_quantise" : "attention", "attn_output");
    chained(integer ? "ffn_quantise" : "ffn_norm", "ffn_gate");
    chained(integer ? "ffn_down_quantise" : "swiglu", "ffn_down");
    chained("classifier", "argmax");
  }
}

TEST(Lowering, StoredBytesAreThoseOfQuant) {
  const quant::QuantSpec spec{
      .format = Format::int3, .granularity = Granularity::group, .group = 10};
  EXPECT_EQ(stored_bytes(spec, 3, 20), (quant::stored_bits(3, 20, spec) + 7) / 8);
}

TEST(Lowering, TakesEveryShippedModelUnderEveryPlainShippedRecipe) {
  std::vector<Recipe> timed;
  for (const std::string& name : configs::names(configs::Kind::recipe)) {
    const Recipe recipe = configs::load_recipe(name);
    const auto& schedule = recipe[Target::weight].schedule;
    const bool stated =
        std::ranges::any_of(schedule.entries, [](const auto& entry) { return entry.at > 0; });
    if (is_timed(recipe) && (needs_passes(recipe) || (needs_shares(recipe) && !stated))) {
      expect_refusal([&] { lower(llama2_7b(), recipe, 8, 1); }, "executed first");
    } else if (is_timed(recipe)) {
      timed.push_back(recipe);
    } else {
      expect_refusal([&] { lower(llama2_7b(), recipe, 8, 1); }, "not timed yet");
    }
  }
  EXPECT_GE(timed.size(), 90u);
  for (const std::string& model : configs::names(configs::Kind::model)) {
    const ModelShape shape = configs::load_model_shape(model);
    for (const Recipe& recipe : timed) {
      SCOPED_TRACE(model + " under " + recipe.name);
      EXPECT_NO_THROW(lower(shape, recipe, 64, 2));
    }
  }
}

quant::Schedule schedule_of(quant::ScheduleKind kind, std::vector<quant::ScheduleEntry> entries) {
  quant::Schedule schedule;
  schedule.kind = kind;
  schedule.entries = std::move(entries);
  return schedule;
}
const Operation& operation_of(const Segment& segment, const std::string& name) {
  return *std::ranges::find(segment.operations, name, &Operation::name);
}

TEST(Lowering, APhaseScheduleReadsFewerBitsInDecode) {
  Recipe recipe = w4a8();
  recipe[Target::weight].format = Format::int8;
  recipe[Target::weight].schedule = schedule_of(
      quant::ScheduleKind::phase, {{"prefill", 0, Format::int8}, {"decode", 0, Format::int4}});
  const Program program = lower(llama2_7b(), recipe, 8, 1);
  const Operation& prefill = operation_of(program.steps[0].segments[1], "attn_q");
  const Operation& decode = operation_of(program.steps[1].segments[1], "attn_q");
  EXPECT_EQ(prefill.stationary.format, Format::int8);
  EXPECT_EQ(decode.stationary.format, Format::int4);
  EXPECT_EQ(prefill.stationary_region.address, decode.stationary_region.address);
  EXPECT_LT(decode.stationary_region.bytes, prefill.stationary_region.bytes * 6 / 10);
}

TEST(Lowering, AStepScheduleChangesWithTheTokensDecoded) {
  Recipe recipe = w4a8();
  recipe[Target::weight].schedule =
      schedule_of(quant::ScheduleKind::step, {{"", 0, Format::int4}, {"", 2, Format::int2}});
  const Program program = lower(llama2_7b(), recipe, 4, 4);
  std::vector<Format> formats;
  for (const Step& step : program.steps) {
    formats.push_back(operation_of(step.segments[1], "ffn_up").stationary.format);
  }
  EXPECT_EQ(formats, (std::vector<Format>{Format::int4, Format::int4, Format::int4, Format::int2,
                                          Format::int2}));
}

TEST(Lowering, ListedLayersAreRunsOfTheirOwnWithEveryLayerOnce) {
  Recipe recipe = w4a8();
  recipe[Target::weight].schedule = schedule_of(
      quant::ScheduleKind::map, {{"0-3", 0, Format::int8}, {"ffn_down", 0, Format::int8}});
  const Program program = lower(llama2_7b(), recipe, 4, 0);
  const auto& segments = program.steps[0].segments;
  ASSERT_EQ(segments.size(), 4u);
  EXPECT_EQ(segments[1].name, "layers 0-3");
  EXPECT_EQ(segments[1].repeats, 4u);
  EXPECT_EQ(segments[2].repeats, 28u);
  EXPECT_EQ(operation_of(segments[1], "attn_q").stationary.format, Format::int8);
  EXPECT_EQ(operation_of(segments[2], "attn_q").stationary.format, Format::int4);
  EXPECT_EQ(operation_of(segments[2], "ffn_down").stationary.format, Format::int8);
  // The first layer of the second run lies behind the four of the first.
  EXPECT_GE(operation_of(segments[2], "attn_q").stationary_region.address,
            4 * program.layer_stride_bytes);
}

TEST(Lowering, RefusesWhatCannotBeLowered) {
  auto shape_refused = [](auto change, const auto&... parts) {
    ModelShape shape = llama2_7b();
    change(shape);
    expect_refusal([&] { lower(shape, w4a8(), 8, 1); }, "model llama-2-7b: ", parts...);
  };
  shape_refused([](ModelShape& s) { s.layers = 0; }, "layers is 0, expected 1 to");
  shape_refused(
      [](ModelShape& s) {
        s.hidden = 0;
        s.vocab = 0;
      },
      "hidden is 0", "vocab is 0");
  shape_refused([](ModelShape& s) { s.kv_heads = 5; }, "heads 32 is not a multiple of kv_heads 5");
  shape_refused([](ModelShape& s) { s.hidden = 4100; },
                "hidden 4100 is not a multiple of heads 32");
  shape_refused([](ModelShape& s) { s.head_dim = 127; }, "head_dim 127 is odd");
  shape_refused([](ModelShape& s) { s.intermediate = 4000000000u; }, "intermediate is 4000000000");
  shape_refused([](ModelShape& s) { s.rope_theta = -1; }, "rope_theta is -1");
  shape_refused([](ModelShape& s) { s.norm_epsilon = 0; }, "norm_epsilon is 0");
  shape_refused([](ModelShape& s) { s.max_positions = 8; },
                "8 prompt and 1 decoded tokens exceed its 8 positions");
  expect_refusal([] { lower(llama2_7b(), w4a8(), 0, 1); }, "a prompt of 0 tokens");
  ModelShape unbounded = llama2_7b();
  unbounded.max_positions = 0;
  expect_refusal([&] { lower(unbounded, w4a8(), UINT64_MAX, UINT64_MAX); },
                 "at most 1048576 together");
  EXPECT_NO_THROW(lower(unbounded, w4a8(), 5000, 0));

  auto recipe_refused = [](Target target, quant::QuantSpec spec, const char* part) {
    Recipe recipe = w4a8();
    recipe[target] = spec;
    expect_refusal([&] { lower(llama2_7b(), recipe, 8, 1); }, "recipe 'w4a8': tensors.", part);
  };
  recipe_refused(Target::key, {.format = Format::int8, .granularity = Granularity::tensor},
                 "key.granularity: found 'tensor'");
  recipe_refused(Target::activation,
                 {.format = Format::int8, .granularity = Granularity::group, .group = 32},
                 "expected token or tensor");
  recipe_refused(Target::weight,
                 {.format = Format::int4, .granularity = Granularity::group, .group = 0},
                 "expected the elements that share a scale");
  recipe_refused(Target::weight, {.format = Format::int4, .granularity = Granularity::token},
                 "weight.granularity: found 'token'");
  recipe_refused(Target::activation,
                 {.format = Format::int8,
                  .granularity = Granularity::token,
                  .affine = quant::Affine::integer_zero},
                 "expected symmetric");
}

}  // namespace
}  // namespace systole::workloads
