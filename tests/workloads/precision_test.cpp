// Maps of formats over layers and linear layers.
#include "workloads/precision.hpp"

#include <gmock/gmock.h>

#include "configs/library.hpp"
#include "quant/ggml/mix.hpp"
#include "tests/workloads/refusal.hpp"

namespace systole::workloads {
namespace {

using configs::Recipe;
using configs::Target;
using quant::Format;
using testing_tools::expect_refusal;

/// Llama-2-7B's shape, without weights: what maps by name and rule need.
LlamaModel shape_only() {
  LlamaModel model;
  model.shape = configs::load_model_shape("llama-2-7b");
  return model;
}

Format format_of(const std::vector<quant::TensorPolicy>& policies, std::size_t layer,
                 LinearName name) {
  return policies[layer * kLinearNames.size() + static_cast<std::size_t>(name)].format;
}

TEST(WeightPolicies, MixAsLlamaCppDoes) {
  const LlamaModel model = shape_only();
  const auto m = weight_policies(model, configs::load_recipe("gguf-q4-k-m"), nullptr);
  EXPECT_EQ(format_of(m, 0, LinearName::ffn_down), Format::q6_k);  // of the first eighth
  EXPECT_EQ(format_of(m, 5, LinearName::ffn_down), Format::q4_k);
  EXPECT_EQ(format_of(m, 6, LinearName::ffn_down), Format::q6_k);  // every third between
  EXPECT_EQ(format_of(m, 0, LinearName::attn_output), Format::q4_k);
  // Q3_K_M: Q5_K in the first sixteenth of ffn_down, else Q4_K; Q5_K in layers 0 and 1 of attn_v.
  const auto s = weight_policies(model, configs::load_recipe("gguf-q3-k-m"), nullptr);
  EXPECT_EQ(format_of(s, 1, LinearName::ffn_down), Format::q5_k);
  EXPECT_EQ(format_of(s, 2, LinearName::ffn_down), Format::q4_k);
  EXPECT_EQ(format_of(s, 1, LinearName::attn_v), Format::q5_k);
  EXPECT_EQ(format_of(s, 2, LinearName::attn_q), Format::q3_k);
}

TEST(WeightPolicies, TakeTheLastListedEntryThatFits) {
  Recipe recipe = configs::load_recipe("w4-g32");
  quant::Schedule& map = recipe[Target::weight].schedule;
  map.kind = quant::ScheduleKind::map;
  map.entries = {
      {"0-3", 0, Format::int8}, {"ffn_down", 0, Format::int6}, {"2/ffn_down", 0, Format::int5}};
  const auto p = weight_policies(shape_only(), recipe, nullptr);
  EXPECT_EQ(format_of(p, 3, LinearName::attn_q), Format::int8);
  EXPECT_EQ(format_of(p, 4, LinearName::attn_q), Format::int4);
  EXPECT_EQ(format_of(p, 3, LinearName::ffn_down), Format::int6);
  EXPECT_EQ(format_of(p, 2, LinearName::ffn_down), Format::int5);
  map.entries = {{"attn_x", 0, Format::int8}};
  expect_refusal([&] { weight_policies(shape_only(), recipe, nullptr); }, "found match 'attn_x'");
}

TEST(WeightPolicies, RefuseAMixOfAFormatThatHasNone) {
  Recipe recipe = configs::load_recipe("gguf-q4-k-m");
  recipe[Target::weight].format = Format::q6_k;
  expect_refusal([&] { weight_policies(shape_only(), recipe, nullptr); }, "under llama_mix");
}

}  // namespace
}  // namespace systole::workloads
