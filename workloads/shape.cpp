#include "workloads/shape.hpp"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "configs/validate.hpp"
#include "sim/core/error.hpp"

namespace systole::workloads {

using configs::ModelShape;
using configs::Recipe;
using configs::Target;

namespace {

// Beyond these no model of the field goes (data.md §8: 126 layers, 16384, 53248, 262144); within
// them every product this folder forms fits 64 bits: 2^20 tokens x 2^20 x 2^20 = 2^60 MACs, 2^45
// bytes a layer.
constexpr std::uint64_t kMaxLayers = 1u << 12;
constexpr std::uint64_t kMaxDimension = 1u << 20;
constexpr std::uint64_t kMaxExperts = 1u << 12;
constexpr std::uint64_t kMaxVocab = 1u << 22;

void raise(const std::string& where, const std::vector<std::string>& faults) {
  if (faults.empty()) return;
  throw ConfigError(fmt::format("{}: {}", where, fmt::join(faults, "\n" + where + ": ")));
}

}  // namespace

ModelShape validated(ModelShape shape, const std::string& where) {
  std::vector<std::string> faults;
  auto in_range = [&](const char* name, std::uint64_t value, std::uint64_t most) {
    if (value >= 1 && value <= most) return true;
    faults.push_back(fmt::format("{} is {}, expected 1 to {}", name, value, most));
    return false;
  };
  in_range("layers", shape.layers, kMaxLayers);
  const bool hidden_ok = in_range("hidden", shape.hidden, kMaxDimension);
  in_range("intermediate", shape.intermediate, kMaxDimension);
  if (shape.experts != 0 || shape.experts_per_token != 0) {
    in_range("experts_per_token", shape.experts_per_token, shape.experts);
    in_range("experts", shape.experts, kMaxExperts);
  }
  const bool heads_ok = in_range("heads", shape.heads, kMaxDimension);
  const bool kv_ok = in_range("kv_heads", shape.kv_heads, kMaxDimension);
  in_range("vocab", shape.vocab, kMaxVocab);
  if (shape.max_positions > kMaxDimension * 16)
    in_range("max_positions", shape.max_positions, kMaxDimension * 16);
  if (heads_ok && kv_ok && shape.heads % shape.kv_heads != 0) {
    faults.push_back(
        fmt::format("heads {} is not a multiple of kv_heads {}", shape.heads, shape.kv_heads));
  }
  if (shape.head_dim == 0 && hidden_ok && heads_ok) {
    if (shape.hidden % shape.heads != 0) {
      faults.push_back(
          fmt::format("hidden {} is not a multiple of heads {}, and no head_dim is given",
                      shape.hidden, shape.heads));
    } else {
      shape.head_dim = shape.hidden / shape.heads;
    }
  }
  if (shape.head_dim % 2 != 0) {
    faults.push_back(
        fmt::format("head_dim {} is odd; rotary embedding turns pairs", shape.head_dim));
  }
  if (heads_ok && shape.head_dim != 0) in_range("heads x head_dim", shape.q_dim(), kMaxDimension);
  if (!(std::isfinite(shape.rope_theta) && shape.rope_theta >= 1)) {
    faults.push_back(fmt::format("rope_theta is {}, expected at least 1", shape.rope_theta));
  }
  if (!(std::isfinite(shape.norm_epsilon) && shape.norm_epsilon > 0)) {
    faults.push_back(
        fmt::format("norm_epsilon is {}, expected a positive number", shape.norm_epsilon));
  }
  raise(where, faults);
  return shape;
}

void require_timed(const Recipe& recipe) {
  configs::validate_policies(recipe);
  std::vector<std::string> faults;
  for (std::size_t i = 0; i < configs::kTargetCount; ++i) {
    const auto target = static_cast<Target>(i);
    quant::TensorPolicy policy = recipe.policies[i];
    if (target == Target::activation) policy.tokens.clear();  // the first ones in another format
    const bool classes = policy.outliers.kind == quant::OutlierKind::channel_class;
    const bool scheduled = policy.schedule.kind != quant::ScheduleKind::fixed;
    if (target == Target::key || target == Target::value) {
      // In the layout of its codec, see kv_layout.
      const bool by_layer = policy.schedule.kind == quant::ScheduleKind::map;
      if (!(by_layer && !policy.schedule.entries.empty()) &&
          policy.schedule.kind != quant::ScheduleKind::phase) {
        continue;
      }
    }
    const bool simple = target == Target::shortcut || target == Target::embedding;
    if (simple && quant::is_plain(policy)) continue;
    if (!simple && quant::is_timed(policy) &&
        (target == Target::weight || !(scheduled || classes))) {
      continue;
    }
    faults.push_back(
        fmt::format("tensors.{}: {} with this policy is not timed yet; expected codes of a fixed "
                    "width with one "
                    "scale a tensor, channel, token or group, and schedules and channel classes on "
                    "weights only, by "
                    "listed layers or experts, groups by sensitivity, phase, step, feedback or "
                    "spec (`systole eval` executes it)",
                    configs::kTargetNames[i], name_of(policy.format)));
  }
  raise("recipe " + recipe.name, faults);
}

bool plain_cache(const Recipe& recipe) {
  for (const Target target : {Target::key, Target::value}) {
    const quant::TensorPolicy& policy = recipe[target];
    if (!quant::is_timed(policy) || policy.outliers.kind != quant::OutlierKind::none ||
        policy.schedule.kind != quant::ScheduleKind::fixed) {
      return false;
    }
  }
  return true;
}

quant::Format embedding_format(const Recipe& recipe) {
  const quant::Format own = recipe[Target::embedding].format;
  if (own != quant::Format::fp32) return own;
  const quant::Format head = recipe[Target::head].format;
  return quant::is_ieee(head) ? head : quant::Format::fp16;
}

}  // namespace systole::workloads
