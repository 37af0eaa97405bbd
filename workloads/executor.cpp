#include "workloads/executor.hpp"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "configs/validate.hpp"
#include "quant/kernels/parallel.hpp"
#include "quant/kernels/vector.hpp"
#include "quant/kv/storage.hpp"
#include "quant/kv/systems.hpp"
#include "quant/primitives/select.hpp"
#include "sim/core/error.hpp"
#include "workloads/attention.hpp"
#include "workloads/cached_attention.hpp"
#include "workloads/linear.hpp"
#include "workloads/precision.hpp"
#include "workloads/shape.hpp"

namespace systole::workloads {

using configs::ModelShape;
using configs::Recipe;
using configs::Target;
using quant::Format;
using quant::Path;
using quant::TensorPolicy;

namespace {

constexpr std::uint64_t kMostPositions = 1u << 20;  // the domain of quant::rope_angles

/// The linear layers of one block, prepared for one set of formats.
struct BlockWeights {
  Linear q, k, v, output, gate, up, down;
};

/// One block: a set of weights for each format of a run-time schedule, and its attention.
struct Layer {
  InputTransform qkv, output, gate_up, down;  ///< of the inputs of the layers so named
  std::vector<BlockWeights> weights;          ///< by variant
  std::optional<AttentionLayer> plain;
  std::optional<CachedAttention> cached;

  const InputTransform& input_of(LinearName linear) const {
    switch (linear) {
      case LinearName::attn_output:
        return output;
      case LinearName::ffn_gate:
      case LinearName::ffn_up:
        return gate_up;
      case LinearName::ffn_down:
        return down;
      default:
        return qkv;
    }
  }

  std::uint64_t length() const { return plain ? plain->length() : cached->length(); }
  void truncate(std::uint64_t length) {
    if (plain) plain->truncate(length);
    if (cached) cached->truncate(length);
  }
};

/// quant names the element that is not finite, not where in the model it arose.
template <class Work>
auto naming(const std::string& where, Work&& work) {
  try {
    return work();
  } catch (const std::domain_error& error) {
    throw ConfigError(
        fmt::format("{}: {}: the values overflow under this recipe", where, error.what()));
  } catch (const std::invalid_argument& error) {
    throw ConfigError(fmt::format("{}: {}", where, error.what()));
  }
}

/// The input of a block's linear layers: all tokens alike, or the first ones in another format.
class TokenInput {
 public:
  void add(std::span<const float> rows, std::size_t cols, const TensorPolicy& policy,
           const InputTransform& transform) {
    if (!rows.empty()) parts_.emplace_back(rows, rows.size() / cols, cols, policy, transform);
  }
  /// `seen` is told each part and what it gave.
  template <class Seen>
  Buffer through(const Linear& linear, unsigned threads, Seen&& seen) {
    std::size_t rows = 0;
    for (const LinearInput& part : parts_) rows += part.rows();
    Buffer out(rows * linear.channels());
    std::span<float> rest = out;
    for (LinearInput& part : parts_) {
      const std::size_t size = part.rows() * linear.channels();
      linear.multiply(part, rest.first(size), threads);
      seen(part, rest.first(size));
      rest = rest.subspan(size);
    }
    return out;
  }

 private:
  std::vector<LinearInput> parts_;
};

/// Rows [*, cols] as a policy stores them.
void store_as(const TensorPolicy& policy, std::vector<float>& rows, std::size_t cols) {
  if (is_ieee(policy.format)) return quant::round_to(policy.format, rows);
  rows = quant::fake_quantise(rows, rows.size() / cols, cols, policy);
}

}  // namespace

void ForwardObserver::pass(std::uint64_t, std::uint64_t, quant::Format) {}
void ForwardObserver::linear_input(std::size_t, std::string_view, std::span<const float>,
                                   std::size_t) {}
void ForwardObserver::linear_product(std::size_t, std::string_view, LinearInput&,
                                     std::span<const float>) {}
void ForwardObserver::attention(std::size_t, std::uint64_t, std::span<const float>,
                                std::span<const float>, std::span<const float>,
                                std::span<const float>, std::span<const float>) {}
void ForwardObserver::block(std::size_t, std::span<const float>, std::span<const float>) {}

double StoredModel::bits_per_weight() const {
  return static_cast<double>(weight_bits) / static_cast<double>(weight_elements);
}
double StoredModel::bits_per_kv() const {
  return kv_elements == 0 ? 0 : static_cast<double>(kv_bits) / static_cast<double>(kv_elements);
}
double StoredModel::kv_bytes_per_token() const {
  return kv_tokens == 0 ? 0 : static_cast<double>(kv_bits) / 8.0 / static_cast<double>(kv_tokens);
}

namespace {

/// A coded cache keeps and attends to every token; within a sliding window that is the model.
configs::ModelShape shape_for(configs::ModelShape shape, const Recipe& recipe) {
  const std::uint32_t window = shape.sliding_window;
  if (window != 0 && CachedAttention::needed(recipe) &&
      (shape.max_positions == 0 || shape.max_positions > window)) {
    shape.max_positions = window;
  }
  return shape;
}

}  // namespace

struct FunctionalExecutor::State {
  State(const LlamaModel& m, const Recipe& r, unsigned t, Kernels kernels, std::size_t chunk,
        const CalibrationData* calibration)
      : model(m),
        shape(shape_for(m.shape, r)),
        given(r),
        recipe(r),
        threads(t == 0 ? 1 : t),
        fp16_chunk(chunk),
        reference(kernels == Kernels::reference),
        path(reference ? Path::reference : quant::best_path()),
        schedule(r) {
    configs::validate_policies(recipe);
    TensorPolicy& activation = recipe[Target::activation];
    if (!activation.tokens.empty()) {
      early_tokens = activation.tokens.front().count;
      early = activation;
      early.format = activation.tokens.front().high;
      activation.tokens.clear();
      early.tokens.clear();
    }
    if (calibration == nullptr && needs_calibration(recipe)) {
      throw ConfigError("recipe " + recipe.name +
                        ": has calibrated parameters; expected a calibration text");
    }
    SYSTOLE_CHECK(model.layers.size() == shape.layers, "as many layers as the shape says");
    calibrated = calibration != nullptr;
    policies = weight_policies(model, recipe, calibration);
    for (std::uint32_t i = 0; i < shape.layers; ++i) add_layer(i, calibration);
    prepare_head(calibration);
    if (TensorPolicy own = recipe[Target::embedding]; !is_ieee(own.format)) {
      fit_to_row(own, shape.hidden);
      embedding = quant::fake_quantise(model.embedding, shape.vocab, shape.hidden, own);
    }
    frequencies = quant::rope_frequencies(shape.head_dim, shape.rope_theta);
  }

  void add_layer(std::uint32_t index, const CalibrationData* calibration) {
    const LayerWeights& w = model.layers[index];
    const auto statistics = [&](std::string_view site) {
      return calibration == nullptr ? nullptr : calibration->inputs(index, site);
    };
    const auto transform = [&](std::string_view site, std::size_t k,
                               std::initializer_list<const std::vector<float>*> weights) {
      std::vector<std::span<const float>> spans;
      for (const std::vector<float>* weight : weights) spans.emplace_back(*weight);
      return input_transform(recipe, spans, k, statistics(site));
    };
    Layer layer;
    layer.qkv = transform("attn_qkv", shape.hidden, {&w.q, &w.k, &w.v});
    layer.output = transform("attn_output", shape.q_dim(), {&w.output});
    layer.gate_up = transform("ffn_gate_up", shape.hidden, {&w.gate, &w.up});
    layer.down = transform("ffn_down", shape.intermediate, {&w.down});
    for (std::size_t variant = 0; variant < schedule.variants(); ++variant) {
      const auto linear = [&](LinearName name) {
        const LinearSize size = linear_size(shape, name);
        const std::size_t n = size.outputs, k = size.inputs;  // plain names: captured below
        const std::vector<float>& values = weight_of(w, name);
        SYSTOLE_CHECK(values.size() == n * k, "a weight does not have the size its shape implies");
        const std::string where =
            fmt::format("layer {}, {}", index, kLinearNames[static_cast<std::size_t>(name)]);
        return naming(where, [&] {
          return Linear(values, n, k, policy_of(index, name, variant, k), recipe,
                        layer.input_of(name), statistics(input_site(name)), path, fp16_chunk);
        });
      };
      using enum LinearName;
      layer.weights.push_back({linear(attn_q), linear(attn_k), linear(attn_v), linear(attn_output),
                               linear(ffn_gate), linear(ffn_up), linear(ffn_down)});
    }
    if (CachedAttention::needed(recipe)) {
      quant::KvCalibration cache;
      if (calibration != nullptr) {
        cache = calibration->cache(index, quant::policy_of_layer(recipe[Target::key], index),
                                   quant::policy_of_layer(recipe[Target::value], index));
      }
      layer.cached.emplace(shape, recipe, index, std::move(cache), reference);
    } else {
      layer.plain.emplace(shape, recipe, fp16_chunk, reference);
    }
    layers.push_back(std::move(layer));
  }

  TensorPolicy policy_of(std::size_t layer, LinearName name, std::size_t variant,
                         std::size_t k) const {
    TensorPolicy policy = policies[layer * kLinearNames.size() + static_cast<std::size_t>(name)];
    schedule.apply(variant, policy);
    fit_to_row(policy, k);
    return policy;
  }

  std::optional<OperandMatrix> weight(std::size_t index, std::string_view linear) const {
    if (calibrated) return std::nullopt;
    if (index == layers.size()) {
      SYSTOLE_CHECK(linear == "head", "the linear layer behind the last block is the head");
      TensorPolicy policy = recipe[Target::head];
      fit_to_row(policy, shape.hidden);
      return weight_operand(model.classifier(), shape.vocab, shape.hidden, policy, recipe, {});
    }
    const auto at = std::ranges::find(kLinearNames, linear);
    SYSTOLE_CHECK(at != kLinearNames.end(), "a linear layer by its name");
    const auto name = static_cast<LinearName>(at - kLinearNames.begin());
    const LayerWeights& w = model.layers.at(index);
    const Layer& layer = layers[index];
    const std::size_t k = linear_size(shape, name).inputs;
    const std::vector<float>& values = weight_of(w, name);
    return weight_operand(values, values.size() / k, k, policy_of(index, name, schedule.now(), k),
                          recipe, layer.input_of(name));
  }

  void prepare_head(const CalibrationData* calibration) {
    TensorPolicy policy = recipe[Target::head];
    fit_to_row(policy, shape.hidden);
    const std::vector<float>& weight = model.classifier();
    SYSTOLE_CHECK(weight.size() == std::size_t{shape.vocab} * shape.hidden,
                  "a weight does not have the size its shape implies");
    head.emplace(weight, shape.vocab, shape.hidden, policy, recipe, InputTransform{},
                 calibration == nullptr ? nullptr : calibration->inputs(shape.layers, "head"), path,
                 fp16_chunk);
  }

  std::uint64_t position() const { return layers.front().length(); }

  std::vector<float> embed(std::span<const std::uint32_t> tokens) const {
    std::vector<float> rows;
    rows.reserve(tokens.size() * shape.hidden);
    for (const std::uint32_t token : tokens) {
      SYSTOLE_CHECK(token < shape.vocab, fmt::format("token {} of {}", token, shape.vocab));
      const std::vector<float>& table = embedding.empty() ? model.embedding : embedding;
      const auto first =
          table.begin() + static_cast<std::ptrdiff_t>(std::uint64_t{token} * shape.hidden);
      rows.insert(rows.end(), first, first + shape.hidden);
    }
    if (embedding.empty()) quant::round_to(embedding_format(recipe), rows);
    return rows;
  }

  Buffer normalised(std::span<const float> rows, const std::vector<float>& gain) const {
    Buffer out(rows.size());
    quant::parallel_ranges(threads_for(rows.size()), rows.size() / shape.hidden,
                           [&](std::size_t begin, std::size_t end) {
                             for (std::size_t i = begin; i < end; ++i) {
                               quant::rms_norm(
                                   rows.subspan(i * shape.hidden, shape.hidden), gain,
                                   static_cast<float>(shape.norm_epsilon),
                                   std::span(out).subspan(i * shape.hidden, shape.hidden));
                             }
                           });
    return out;
  }

  void gated(std::span<float> gate, std::span<const float> up) const {
    quant::parallel_ranges(threads_for(gate.size()), gate.size(),
                           [&](std::size_t begin, std::size_t end) {
                             const std::span<float> part = gate.subspan(begin, end - begin);
                             quant::swiglu(part, up.subspan(begin, end - begin), part);
                           });
  }

  /// Threads for work on that many elements; waking one costs as much as some ten thousand.
  unsigned threads_for(std::size_t elements) const {
    constexpr std::size_t kWorthThreads = 1u << 15;
    return elements < kWorthThreads ? 1 : threads;
  }

  /// Turns every head of every token [tokens, width].
  void rotate(std::span<float> rows, std::size_t width, std::uint64_t start) const {
    for (std::size_t first = 0; first < rows.size(); first += shape.head_dim) {
      quant::rope(rows.subspan(first, shape.head_dim), angles[start + first / width]);
    }
  }

  /// Rows of the tokens from position `start` on.
  TokenInput input(std::span<const float> rows, std::size_t cols, const InputTransform& transform,
                   std::uint64_t start) const {
    const std::uint64_t count = rows.size() / cols;
    const std::uint64_t first = start < early_tokens ? std::min(count, early_tokens - start) : 0;
    TokenInput result;
    result.add(rows.first(first * cols), cols, early, transform);
    result.add(rows.subspan(first * cols), cols, recipe[Target::activation], transform);
    return result;
  }

  Buffer product(std::size_t index, LinearName name, const Linear& weight, TokenInput& x) const {
    return x.through(weight, threads, [&](LinearInput& part, std::span<const float> out) {
      if (!observer) return;
      observer->linear_product(index, kLinearNames[static_cast<std::size_t>(name)], part, out);
    });
  }

  void add(std::vector<float>& residual, std::span<const float> change) const {
    for (std::size_t i = 0; i < residual.size(); ++i) residual[i] += change[i];
    store_as(recipe[Target::shortcut], residual, shape.hidden);
  }

  void attention_block(std::size_t index, std::vector<float>& residual, std::uint64_t start) {
    Layer& layer = layers[index];
    const BlockWeights& weights = layer.weights[schedule.now()];
    const Buffer norm = normalised(residual, model.layers[index].attn_norm);
    if (observer) observer->linear_input(index, "attn_qkv", norm, shape.hidden);
    TokenInput x = input(norm, shape.hidden, layer.qkv, start);
    Buffer q = product(index, LinearName::attn_q, weights.q, x);
    Buffer k = product(index, LinearName::attn_k, weights.k, x);
    const Buffer v = product(index, LinearName::attn_v, weights.v, x);
    Buffer q_pre, k_pre;
    if (observer || layer.cached) q_pre = q, k_pre = k;
    rotate(q, shape.q_dim(), start);
    rotate(k, shape.kv_dim(), start);
    if (observer) observer->attention(index, start, q_pre, q, k_pre, k, v);
    Buffer context(q.size());
    if (layer.cached) {
      layer.cached->forward({start, q_pre, q, k_pre, k, v, residual}, context);
    } else {
      layer.plain->append(k, v);
      layer.plain->attend(q, context, threads);
    }
    if (observer) observer->linear_input(index, "attn_output", context, shape.q_dim());
    TokenInput y = input(context, shape.q_dim(), layer.output, start);
    add(residual, product(index, LinearName::attn_output, weights.output, y));
  }

  void ffn_block(std::size_t index, std::vector<float>& residual, std::uint64_t start) const {
    const Layer& layer = layers[index];
    const BlockWeights& weights = layer.weights[schedule.now()];
    const Buffer norm = normalised(residual, model.layers[index].ffn_norm);
    if (observer) observer->linear_input(index, "ffn_gate_up", norm, shape.hidden);
    TokenInput x = input(norm, shape.hidden, layer.gate_up, start);
    Buffer gate = product(index, LinearName::ffn_gate, weights.gate, x);
    const Buffer up = product(index, LinearName::ffn_up, weights.up, x);
    gated(gate, up);
    if (observer) observer->linear_input(index, "ffn_down", gate, shape.intermediate);
    TokenInput y = input(gate, shape.intermediate, layer.down, start);
    add(residual, product(index, LinearName::ffn_down, weights.down, y));
  }

  std::vector<float> forward(std::span<const std::uint32_t> tokens, std::uint64_t start,
                             Logits logits) {
    schedule.begin(tokens.size(), start);
    if (observer) {
      TensorPolicy weights = recipe[Target::weight];
      schedule.apply(schedule.now(), weights);
      observer->pass(tokens.size(), start, weights.format);
    }
    for (std::uint64_t p = angles.size(); p < start + tokens.size(); ++p) {
      angles.push_back(quant::rope_angles(p, frequencies));
    }
    std::vector<float> residual = embed(tokens);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      naming(fmt::format("model {}, recipe {}, layer {}", shape.name, recipe.name, i), [&] {
        const std::vector<float> before = observer ? residual : std::vector<float>();
        attention_block(i, residual, start);
        ffn_block(i, residual, start);
        if (observer) observer->block(i, before, residual);
      });
    }
    if (logits == Logits::last) residual.erase(residual.begin(), residual.end() - shape.hidden);
    const Buffer norm = normalised(residual, model.final_norm);
    if (observer) observer->linear_input(layers.size(), "head", norm, shape.hidden);
    const InputTransform none;
    LinearInput x(norm, norm.size() / shape.hidden, shape.hidden, recipe[Target::activation], none);
    std::vector<float> result(x.rows() * head->channels());
    naming(fmt::format("model {}, recipe {}, classifier", shape.name, recipe.name),
           [&] { head->multiply(x, result, threads); });
    if (observer) observer->linear_product(layers.size(), "head", x, result);
    schedule.end(std::span<const float>(result).last(shape.vocab));
    return result;
  }

  const LlamaModel& model;
  ModelShape shape;
  Recipe given;
  Recipe recipe;  ///< as computed: without the activations' token policy, which is in `early`
  std::uint64_t early_tokens = 0;
  TensorPolicy early;
  unsigned threads;
  std::size_t fp16_chunk;
  bool reference;
  Path path;
  PrecisionSchedule schedule;
  bool calibrated = false;
  std::vector<TensorPolicy> policies;  ///< [layer][LinearName]
  ForwardObserver* observer = nullptr;
  std::vector<Layer> layers;
  std::optional<Linear> head;
  std::vector<float> embedding;  ///< [vocab, hidden] decoded; empty: the model's, rounded as read
  std::vector<double> frequencies;
  std::vector<quant::RopeAngles> angles;  ///< by position, as far as computed
};

FunctionalExecutor::FunctionalExecutor(const LlamaModel& model, const Recipe& recipe,
                                       unsigned threads, Kernels kernels, std::uint32_t fp16_chunk,
                                       const CalibrationData* calibration)
    : state_(naming(fmt::format("model {}, recipe {}", model.shape.name, recipe.name), [&] {
        return std::make_unique<State>(model, recipe, threads, kernels, fp16_chunk, calibration);
      })) {}

FunctionalExecutor::FunctionalExecutor(FunctionalExecutor&&) noexcept = default;
FunctionalExecutor& FunctionalExecutor::operator=(FunctionalExecutor&&) noexcept = default;
FunctionalExecutor::~FunctionalExecutor() = default;

std::vector<float> FunctionalExecutor::forward(std::span<const std::uint32_t> tokens,
                                               std::uint64_t start_position, Logits logits) {
  State& state = *state_;
  const std::uint64_t limit =
      state.shape.max_positions != 0 ? state.shape.max_positions : kMostPositions;
  SYSTOLE_CHECK(!tokens.empty(), "forward() of no token");
  SYSTOLE_CHECK(start_position <= state.position(), "a gap between the cache and the tokens");
  SYSTOLE_CHECK(start_position + tokens.size() <= std::min(limit, kMostPositions),
                fmt::format("position {} of {}", start_position + tokens.size(), limit));
  for (Layer& layer : state.layers) layer.truncate(start_position);
  return state.forward(tokens, start_position, logits);
}

void FunctionalExecutor::observe(ForwardObserver* observer) { state_->observer = observer; }

std::optional<OperandMatrix> FunctionalExecutor::weight(std::size_t layer,
                                                        std::string_view linear) const {
  return state_->weight(layer, linear);
}
const AttentionLayer* FunctionalExecutor::plain_attention(std::size_t layer) const {
  const auto& plain = state_->layers.at(layer).plain;
  return plain ? &*plain : nullptr;
}

std::uint64_t FunctionalExecutor::draft_length() const { return state_->schedule.draft_length(); }
void FunctionalExecutor::cut(std::uint64_t length) {
  SYSTOLE_CHECK(length <= position(), "a cache is cut, not grown");
  for (Layer& layer : state_->layers) layer.truncate(length);
}
void FunctionalExecutor::use_draft(bool draft) { state_->schedule.use_draft(draft); }

std::vector<std::array<std::vector<quant::FormatShare>, 7>> FunctionalExecutor::format_shares()
    const {
  std::vector<std::array<std::vector<quant::FormatShare>, 7>> result;
  for (const Layer& layer : state_->layers) {
    const BlockWeights& w = layer.weights.front();
    result.push_back({w.q.format_shares(), w.k.format_shares(), w.v.format_shares(),
                      w.output.format_shares(), w.gate.format_shares(), w.up.format_shares(),
                      w.down.format_shares()});
  }
  return result;
}

StoredModel FunctionalExecutor::stored(std::uint64_t tokens) const {
  const State& s = *state_;
  StoredModel result;
  const quant::KvShape kv{s.shape.kv_heads, s.shape.head_dim, s.shape.heads};
  for (std::uint32_t i = 0; i < s.layers.size(); ++i) {
    // Every set of weights of a run-time schedule is resident.
    for (const BlockWeights& w : s.layers[i].weights) {
      for (const Linear* l : {&w.q, &w.k, &w.v, &w.output, &w.gate, &w.up, &w.down}) {
        result.weight_bits += l->stored_bits();
      }
    }
    const LayerWeights& w = s.model.layers[i];
    for (const auto* values : {&w.q, &w.k, &w.v, &w.output, &w.gate, &w.up, &w.down}) {
      result.weight_elements += values->size();
    }
    const TensorPolicy key = quant::policy_of_layer(s.recipe[Target::key], i);
    const TensorPolicy value = quant::policy_of_layer(s.recipe[Target::value], i);
    if (s.layers[i].cached) {
      result.kv_bits += static_cast<std::uint64_t>(quant::kv_stored_bits(kv, key, value, tokens));
    } else {
      for (const TensorPolicy* policy : {&key, &value}) {
        result.kv_bits +=
            tokens * s.shape.kv_heads * quant::stored_bits(1, s.shape.head_dim, *policy);
      }
    }
    result.kv_elements += 2 * tokens * s.shape.kv_dim();
  }
  result.kv_tokens = tokens;
  return result;
}

quant::OpCounts FunctionalExecutor::cache_operations() const {
  quant::OpCounts sum;
  for (const Layer& layer : state_->layers) {
    if (!layer.cached) continue;
    sum += layer.cached->cache().write_ops();
    sum += layer.cached->cache().read_ops();
    sum += layer.cached->cache().maintenance_ops();
  }
  return sum;
}

void FunctionalExecutor::reset() {
  for (Layer& layer : state_->layers) layer.truncate(0);
}

std::uint64_t FunctionalExecutor::position() const { return state_->position(); }
const ModelShape& FunctionalExecutor::shape() const { return state_->shape; }
const Recipe& FunctionalExecutor::recipe() const { return state_->given; }

}  // namespace systole::workloads
