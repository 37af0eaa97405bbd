#include "workloads/precision.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "quant/ggml/mix.hpp"
#include "quant/ggml/types.hpp"
#include "quant/kernels/vector.hpp"
#include "quant/kv/calibrate.hpp"
#include "quant/quantisers/allocate.hpp"
#include "sim/core/error.hpp"

namespace systole::workloads {

using configs::Recipe;
using configs::Target;
using quant::Format;
using quant::MapUnit;
using quant::ScheduleEntry;
using quant::ScheduleKind;
using quant::Sensitivity;
using quant::TensorPolicy;

LinearSize linear_size(const configs::ModelShape& shape, LinearName linear) {
  switch (linear) {
    case LinearName::attn_q:
      return {shape.q_dim(), shape.hidden};
    case LinearName::attn_k:
    case LinearName::attn_v:
      return {shape.kv_dim(), shape.hidden};
    case LinearName::attn_output:
      return {shape.hidden, shape.q_dim()};
    case LinearName::ffn_gate:
    case LinearName::ffn_up:
      return {shape.intermediate, shape.hidden};
    case LinearName::ffn_down:
      return {shape.hidden, shape.intermediate};
  }
  return {};
}

std::string_view input_site(LinearName linear) {
  constexpr std::array<std::string_view, kLinearNames.size()> kSites = {
      "attn_qkv", "attn_qkv", "attn_qkv", "attn_output", "ffn_gate_up", "ffn_gate_up", "ffn_down"};
  return kSites[static_cast<std::size_t>(linear)];
}

const std::vector<float>& weight_of(const LayerWeights& w, LinearName linear) {
  const std::array<const std::vector<float>*, kLinearNames.size()> all = {
      &w.q, &w.k, &w.v, &w.output, &w.gate, &w.up, &w.down};
  return *all[static_cast<std::size_t>(linear)];
}

bool entry_matches(const std::string& match, std::uint32_t layer, std::string_view linear) {
  const std::size_t slash = match.find('/');
  const std::string_view whole = match;
  const std::string_view tail = slash == std::string::npos ? whole : whole.substr(slash + 1);
  const bool names_linear = std::ranges::find(kLinearNames, tail) != kLinearNames.end();
  const auto by_layer = quant::layer_matches(whole.substr(0, slash), layer);
  if (slash == std::string::npos) {
    if (names_linear) return tail == linear;
    if (by_layer) return *by_layer;
  } else if (names_linear && by_layer) {
    return tail == linear && *by_layer;
  }
  throw ConfigError(fmt::format(
      "tensors.weight.schedule: found match '{}'; expected a layer (3), a range (0-3), a linear "
      "layer ({}), or both (0-3/ffn_down)",
      match, fmt::join(kLinearNames, ", ")));
}

namespace {

constexpr std::size_t kConfidenceWindow = 10;  // PMPD: quantization.md E2

constexpr std::array<quant::TensorRole, 7> kRoles = {
    quant::TensorRole::attention_q, quant::TensorRole::attention_k,
    quant::TensorRole::attention_v, quant::TensorRole::attention_output,
    quant::TensorRole::ffn_gate,    quant::TensorRole::ffn_up,
    quant::TensorRole::ffn_down};

/// Formats as llama.cpp mixes them.
void mix_as_llama(const configs::ModelShape& shape, std::vector<TensorPolicy>& policies) {
  const auto mix = quant::mix_of(policies.front().format);
  if (!mix) {
    throw ConfigError(fmt::format(
        "tensors.weight.format: found '{}' under llama_mix; expected q2_k, q3_k, q4_k or q5_k",
        name_of(policies.front().format)));
  }
  const quant::MixModel model{shape.heads / shape.kv_heads, shape.tied_embedding};
  for (std::size_t i = 0; i < policies.size(); ++i) {
    const std::size_t linear = i % kLinearNames.size();
    policies[i].format =
        quant::mixed_type(*mix, kRoles[linear], i / kLinearNames.size(), shape.layers,
                          linear_size(shape, static_cast<LinearName>(linear)).inputs, model);
  }
}

/// Losses of one linear layer at each choice.
std::vector<double> linear_losses(const LlamaModel& model, std::uint32_t layer, LinearName name,
                                  const TensorPolicy& policy, std::span<const Format> choices,
                                  const CalibrationData* calibration) {
  const std::vector<float>& weight = weight_of(model.layers[layer], name);
  quant::UnitData unit;
  unit.weight = weight;
  unit.k = linear_size(model.shape, name).inputs;
  if (calibration != nullptr) {
    if (const auto* statistics = calibration->inputs(layer, input_site(name))) {
      unit.sum_xx = statistics->hessian;
      unit.tokens = statistics->tokens;
    }
    unit.cosine = calibration->block_cosine(layer);
  }
  unit.damp = policy.quantiser.damp;
  return quant::unit_losses(policy.schedule.sensitivity, unit, choices, policy);
}

void allocate_by_sensitivity(const LlamaModel& model, const CalibrationData* calibration,
                             std::vector<TensorPolicy>& policies) {
  const quant::Schedule schedule = policies.front().schedule;
  std::vector<Format> choices;
  for (const ScheduleEntry& entry : schedule.entries) choices.push_back(entry.format);
  std::ranges::sort(choices, {}, [](Format f) { return quant::bits_of(f); });
  std::vector<double> bits;
  for (const Format f : choices) bits.push_back(quant::bits_of(f));

  const bool by_layer = schedule.unit == MapUnit::layer;
  std::vector<quant::AllocationUnit> units;
  for (std::uint32_t layer = 0; layer < model.shape.layers; ++layer) {
    for (std::size_t i = 0; i < kLinearNames.size(); ++i) {
      const auto name = static_cast<LinearName>(i);
      const auto losses = linear_losses(model, layer, name, policies.front(), choices, calibration);
      if (!by_layer || i == 0) units.push_back({0, std::vector<double>(choices.size(), 0.0)});
      units.back().elements += static_cast<double>(weight_of(model.layers[layer], name).size());
      for (std::size_t c = 0; c < losses.size(); ++c) units.back().losses[c] += losses[c];
    }
  }
  const quant::Allocation found = quant::allocate(units, bits, schedule.mean_bits);
  for (std::size_t i = 0; i < policies.size(); ++i) {
    policies[i].format = choices[found.choice[by_layer ? i / kLinearNames.size() : i]];
  }
}

}  // namespace

std::vector<TensorPolicy> weight_policies(const LlamaModel& model, const Recipe& recipe,
                                          const CalibrationData* calibration) {
  std::vector<TensorPolicy> policies(model.shape.layers * kLinearNames.size(),
                                     recipe[Target::weight]);
  const quant::Schedule& schedule = recipe[Target::weight].schedule;
  if (schedule.kind != ScheduleKind::map) return policies;
  switch (schedule.unit) {
    case MapUnit::expert:
      throw ConfigError(
          "tensors.weight.schedule.unit: found 'expert'; expected another unit: this "
          "model has no experts");
    case MapUnit::group:
    case MapUnit::column:
    case MapUnit::channel:
      return policies;
    case MapUnit::layer:
    case MapUnit::linear:
      break;
  }
  if (schedule.sensitivity == Sensitivity::llama_mix) {
    mix_as_llama(model.shape, policies);
  } else if (schedule.sensitivity != Sensitivity::listed) {
    allocate_by_sensitivity(model, calibration, policies);
  } else {
    for (std::size_t i = 0; i < policies.size(); ++i) {
      const auto layer = static_cast<std::uint32_t>(i / kLinearNames.size());
      for (const ScheduleEntry& entry : schedule.entries) {
        if (entry_matches(entry.match, layer, kLinearNames[i % kLinearNames.size()])) {
          policies[i].format = entry.format;
        }
      }
    }
  }
  for (TensorPolicy& policy : policies) policy.schedule = {};
  return policies;
}

bool needs_calibration(const Recipe& recipe) {
  const TensorPolicy& w = recipe[Target::weight];
  const bool factors = std::ranges::any_of(
      w.transforms, [](const quant::Transform& t) { return t.factors != quant::FactorRule::none; });
  const Sensitivity s = w.schedule.sensitivity;
  const bool ranked = w.schedule.kind == ScheduleKind::map && s != Sensitivity::listed &&
                      s != Sensitivity::weight_mse && s != Sensitivity::zd &&
                      s != Sensitivity::sqnr && s != Sensitivity::llama_mix;
  return factors || ranked || w.quantiser.method == quant::Method::gptq ||
         w.range == quant::RangeRule::output_mse ||
         w.outliers.kind == quant::OutlierKind::channel_class ||
         quant::kv_needs_calibration(recipe[Target::key]) ||
         quant::kv_needs_calibration(recipe[Target::value]);
}

void fit_to_row(TensorPolicy& policy, std::size_t cols) {
  if (info_of(policy.format).kind == quant::FormatClass::gguf) {
    policy.format = quant::gguf_fallback(policy.format, cols);
  }
}

PrecisionSchedule::PrecisionSchedule(const Recipe& recipe)
    : kind_(recipe[Target::weight].schedule.kind), confidence_(kConfidenceWindow) {
  const std::string path = "recipe " + recipe.name + ": tensors.weight.schedule: ";
  const quant::Schedule& schedule = recipe[Target::weight].schedule;
  std::array<std::string_view, 2> names;
  switch (kind_) {
    case ScheduleKind::fixed:
    case ScheduleKind::map:
      return;
    case ScheduleKind::denoise:
      throw ConfigError(
          path + "found 'denoise'; expected another kind: a language model has no denoising steps");
    case ScheduleKind::age:
    case ScheduleKind::budget:
      throw ConfigError(path + "found a schedule of the KV cache; expected it on key or value");
    case ScheduleKind::phase:
      names = {"prefill", "decode"};
      break;
    case ScheduleKind::spec:
      names = {"verify", "draft"};
      break;
    case ScheduleKind::step:
    case ScheduleKind::feedback:
      break;
  }
  entries_ = schedule.entries;
  if (kind_ == ScheduleKind::phase || kind_ == ScheduleKind::spec) {
    const auto index = [&](const ScheduleEntry& e) {
      return std::ranges::find(names, e.match) - names.begin();
    };
    const bool known = entries_.size() == 2 && index(entries_[0]) + index(entries_[1]) == 1;
    if (!known) {
      throw ConfigError(
          fmt::format("{}expected two entries, matching {} and {}", path, names[0], names[1]));
    }
    std::ranges::sort(entries_, {}, index);
  } else {
    std::ranges::stable_sort(entries_, {}, &ScheduleEntry::at);
  }
  for (const ScheduleEntry& entry : entries_) formats_.push_back(entry.format);
}

void PrecisionSchedule::apply(std::size_t variant, TensorPolicy& policy) const {
  if (formats_.empty()) return;
  policy.format = formats_[variant];
  policy.schedule = {};
}

void PrecisionSchedule::begin(std::size_t tokens, std::uint64_t start) {
  const bool prefill = tokens > 1 || start == 0;
  steps_ = prefill ? 0 : steps_ + 1;
  if (kind_ == ScheduleKind::phase) now_ = prefill ? 0 : 1;
  if (kind_ == ScheduleKind::step) {
    now_ = 0;
    const std::uint64_t done = steps_ == 0 ? 0 : steps_ - 1;
    while (!prefill && now_ + 1 < entries_.size() &&
           static_cast<double>(done) >= entries_[now_ + 1].at)
      ++now_;
  }
  if (kind_ == ScheduleKind::feedback && prefill) {
    now_ = 0;
    confidence_ = quant::RunningWindow(kConfidenceWindow);
  }
}

void PrecisionSchedule::end(std::span<const float> logits) {
  if (kind_ != ScheduleKind::feedback) return;
  std::vector<float> probabilities(logits.begin(), logits.end());
  quant::softmax(probabilities);
  confidence_.add(quant::confidence(probabilities));
  if (confidence_.count() == kConfidenceWindow && now_ + 1 < entries_.size() &&
      static_cast<double>(confidence_.mean()) >= entries_[now_ + 1].at) {
    ++now_;
  }
}

std::uint64_t PrecisionSchedule::draft_length() const {
  constexpr std::uint64_t kUsualLength = 4;
  if (kind_ != ScheduleKind::spec) return 0;
  const double at = entries_[1].at;
  return at >= 1 ? static_cast<std::uint64_t>(at) : kUsualLength;
}

void PrecisionSchedule::use_draft(bool draft) {
  if (kind_ == ScheduleKind::spec) now_ = draft ? 1 : 0;
}

}  // namespace systole::workloads
