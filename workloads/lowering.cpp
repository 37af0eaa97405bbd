#include "workloads/lowering.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "quant/kv/systems.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"
#include "workloads/kv_layout.hpp"
#include "workloads/shape.hpp"
#include "workloads/storage.hpp"
#include "workloads/timed_precision.hpp"

namespace systole::workloads {

using configs::ModelShape;
using configs::Recipe;
using configs::Target;
using quant::Format;
using quant::QuantSpec;

namespace {

constexpr std::uint64_t kTensorAlignment = 64;  // a burst of every shipped DRAM
constexpr std::uint64_t kLayerAlignment =
    1024 * 1024;  // a multiple of every shipped address-map period
constexpr std::uint64_t kMaxTokens = 1u << 20;
constexpr std::uint64_t kMostSequences = 1024;
constexpr std::uint64_t kFloatBytes = 4;
/// Routers are small and decide much: released checkpoints quantise none of them (assumed here).
constexpr Format kRouterFormat = Format::fp16;

/// What prefill attends to where the cache is coded.
constexpr Format kFreshFormat = Format::fp16;

std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return ceil_div(value, multiple) * multiple;
}

/// Hands out DRAM from address 0 upwards.
class AddressMap {
 public:
  explicit AddressMap(std::uint64_t base = 0) : next_(base) {}

  Region place(TrafficClass traffic, std::uint64_t bytes) {
    const Region region{traffic, round_up(next_, kTensorAlignment), bytes, 1, 0};
    next_ = region.address + bytes;
    return region;
  }
  std::uint64_t next() const { return next_; }
  void align(std::uint64_t bytes) { next_ = round_up(next_, bytes); }

 private:
  std::uint64_t next_;
};

/// The three matrices of a SwiGLU.
struct FfnMap {
  Region gate, up, down;
};

/// Where the first layer keeps everything; layer i is `stride` x i further.
struct LayerMap {
  Region attn_norm, q, k, v, output, ffn_norm;
  Region router;                    ///< nothing in a dense model
  std::vector<FfnMap> ffns;         ///< one, or the experts'
  Region key_cache, value_cache;    ///< of the first sequence
  Region key_prefix, value_prefix;  ///< of all
  std::uint64_t stride = 0;
  std::uint64_t sequence_stride = 0;  ///< to the same of the next sequence
  std::uint64_t weight_bytes = 0;
};

/// Both sides of the cache in the layout of their codecs; null: as regions of plain tokens.
struct CacheLayouts {
  std::shared_ptr<const KvGeometry> key, value;
  std::shared_ptr<const KvGeometry> key_prefix,
      value_prefix;  ///< that all sequences share, or null
};

CacheLayouts cache_layouts(const ModelShape& shape, const Recipe& recipe, std::uint64_t tokens,
                           bool kv_study, std::uint64_t shared_prefix) {
  if (!kv_study && shared_prefix == 0 && plain_cache(recipe)) return {};
  const quant::KvShape heads{shape.kv_heads, shape.head_dim, shape.heads};
  CacheLayouts caches;
  const auto side = [&](quant::KvTensor tensor, Target target,
                        std::shared_ptr<const KvGeometry>& own,
                        std::shared_ptr<const KvGeometry>& prefix) {
    const std::string where = "recipe " + recipe.name + ": tensors." +
                              std::string(configs::kTargetNames[static_cast<std::size_t>(target)]);
    KvLayout layout = kv_layout(tensor, heads, quant::policy_of_layer(recipe[target], 0), where);
    if (shared_prefix > 0) {
      layout = with_pages(std::move(layout), where);
      prefix = std::make_shared<const KvGeometry>(layout, shared_prefix);
    }
    own = std::make_shared<const KvGeometry>(std::move(layout), tokens, shared_prefix);
  };
  side(quant::KvTensor::key, Target::key, caches.key, caches.key_prefix);
  side(quant::KvTensor::value, Target::value, caches.value, caches.value_prefix);
  if (kv_attended(caches.key->layout, tokens) != kv_attended(caches.value->layout, tokens)) {
    throw ConfigError("recipe " + recipe.name +
                      ": keys and values drop different tokens; expected one eviction for both");
  }
  return caches;
}

std::uint64_t cache_token_bytes(const ModelShape& shape, const QuantSpec& spec) {
  return shape.kv_heads * stored_bytes(spec, 1, shape.head_dim);
}

/// Tokens [first, last) of every KV head of a cache region that holds whole heads one after the
/// other.
Region cache_tokens_of(const ModelShape& shape, const QuantSpec& spec, const Region& cache,
                       std::uint64_t first, std::uint64_t last) {
  const std::uint64_t token = stored_bytes(spec, 1, shape.head_dim);
  return {TrafficClass::kv_cache, cache.address + first * token,
          (last - first) * token * shape.kv_heads, shape.kv_heads, cache.bytes / shape.kv_heads};
}

/// Layers [first, last) whose linear layers have the same formats.
struct LayerRun {
  std::uint32_t first = 0, last = 0;
};
std::vector<LayerRun> layer_runs(const ModelShape& shape, const WeightPrecision& weights) {
  const auto layers = static_cast<std::uint32_t>(shape.layers);
  if (!weights.differs_by_layer()) return {{0, layers}};
  std::vector<LayerRun> runs;
  const auto equal = [&](std::uint32_t a, std::uint32_t b) {
    for (std::size_t i = 0; i < kLinearNames.size(); ++i) {
      const auto linear = static_cast<LinearName>(i);
      const std::uint64_t k = linear_size(shape, linear).inputs;
      if (weights.read({a, linear}, k, {}) != weights.read({b, linear}, k, {})) return false;
    }
    return true;
  };
  for (std::uint32_t layer = 0; layer < layers; ++layer) {
    if (!runs.empty() && equal(runs.back().first, layer)) {
      runs.back().last = layer + 1;
    } else {
      runs.push_back({layer, layer + 1});
    }
  }
  return runs;
}

struct MemoryMap {
  Region embedding, head, final_norm;
  std::vector<LayerRun> runs;
  std::vector<LayerMap> layers;  ///< of each run, where the first layer of the model would lie
  std::uint64_t layer_stride = 0, sequence_stride = 0;
  std::uint64_t weight_bytes = 0;
  std::uint64_t end_of_layers = 0;
  CacheLayouts caches;
  std::uint64_t prompt = 0, sequences = 1, shared_prefix = 0;
  Region fresh_keys, fresh_values;  ///< of one layer's prefill, where the cache is coded
};

LayerMap map_layer(const ModelShape& shape, const Recipe& recipe, const WeightPrecision& weights,
                   std::uint32_t layer_index, std::uint64_t base, std::uint64_t cache_tokens,
                   const CacheLayouts& caches, std::uint64_t sequences) {
  AddressMap map(base);
  LayerMap layer;
  auto place = [&](std::uint64_t bytes) {
    layer.weight_bytes += bytes;
    return map.place(TrafficClass::weights, bytes);
  };
  auto linear = [&](LinearName name, std::optional<std::uint32_t> expert = std::nullopt) {
    const auto [n, k] = linear_size(shape, name);
    return place(weights.stored({layer_index, name, expert}, k).stored_bytes(n, k));
  };
  layer.attn_norm = place(shape.hidden * kFloatBytes);
  using enum LinearName;
  layer.q = linear(attn_q);
  layer.k = linear(attn_k);
  layer.v = linear(attn_v);
  layer.output = linear(attn_output);
  layer.ffn_norm = place(shape.hidden * kFloatBytes);
  if (shape.experts == 0) {
    layer.ffns.push_back({linear(ffn_gate), linear(ffn_up), linear(ffn_down)});
  } else {
    layer.router = place(stored_bytes({.format = kRouterFormat}, shape.experts, shape.hidden));
    for (std::uint32_t expert = 0; expert < shape.experts; ++expert) {
      layer.ffns.push_back(
          {linear(ffn_gate, expert), linear(ffn_up, expert), linear(ffn_down, expert)});
    }
  }
  const auto cache = [&](const std::shared_ptr<const KvGeometry>& geometry, Target target) {
    return map.place(
        TrafficClass::kv_cache,
        geometry ? geometry->bytes : cache_tokens * cache_token_bytes(shape, recipe[target]));
  };
  if (caches.key_prefix) {
    layer.key_prefix = cache(caches.key_prefix, Target::key);
    layer.value_prefix = cache(caches.value_prefix, Target::value);
    // In no DRAM row with a sequence's own, so that all sequences meet it alike.
    map.align(kLayerAlignment);
  }
  layer.key_cache = cache(caches.key, Target::key);
  layer.value_cache = cache(caches.value, Target::value);
  layer.sequence_stride = round_up(map.next() - layer.key_cache.address, kLayerAlignment);
  layer.stride =
      round_up(map.next() - base + (sequences - 1) * layer.sequence_stride, kLayerAlignment);
  return layer;
}

MemoryMap map_memory(const ModelShape& shape, const Recipe& recipe, const WeightPrecision& weights,
                     std::uint64_t cache_tokens, std::uint64_t prompt, bool kv_study,
                     std::uint64_t sequences, std::uint64_t shared_prefix) {
  AddressMap map;
  MemoryMap memory;
  memory.caches = cache_layouts(shape, recipe, cache_tokens, kv_study, shared_prefix);
  memory.prompt = prompt;
  memory.sequences = sequences;
  memory.shared_prefix = shared_prefix;
  auto place = [&](std::uint64_t bytes) {
    memory.weight_bytes += bytes;
    return map.place(TrafficClass::weights, bytes);
  };
  const Format embedding = embedding_format(recipe);
  memory.embedding = place(stored_bytes(QuantSpec{.format = embedding}, shape.vocab, shape.hidden));
  const bool shared = shape.tied_embedding && recipe[Target::head].format == embedding;
  memory.head = shared ? memory.embedding
                       : place(stored_bytes(recipe[Target::head], shape.vocab, shape.hidden));
  memory.final_norm = place(shape.hidden * kFloatBytes);
  const std::uint64_t base = round_up(map.next(), kLayerAlignment);
  // Every layer at the same distance: that of the largest.
  for (const LayerRun& run : layer_runs(shape, weights)) {
    memory.layers.push_back(
        map_layer(shape, recipe, weights, run.first, base, cache_tokens, memory.caches, sequences));
    memory.runs.push_back(run);
    memory.weight_bytes += (run.last - run.first) * memory.layers.back().weight_bytes;
    memory.layer_stride = std::max(memory.layer_stride, memory.layers.back().stride);
    memory.sequence_stride = std::max(memory.sequence_stride, memory.layers.back().sequence_stride);
  }
  memory.end_of_layers = base + shape.layers * memory.layer_stride;
  if (memory.caches.key) {
    AddressMap behind(memory.end_of_layers);
    const std::uint64_t bytes =
        prompt * shape.kv_heads * stored_bytes({.format = kFreshFormat}, 1, shape.head_dim);
    memory.fresh_keys = behind.place(TrafficClass::activations, bytes);
    memory.fresh_values = behind.place(TrafficClass::activations, bytes);
    memory.end_of_layers = round_up(behind.next(), kLayerAlignment);
  }
  return memory;
}

/// Writes the operations of one step: `tokens` new tokens of each of `sequences` sequences, each of
/// which ends a context of `context`. Cache operations are of one sequence.
class StepWriter {
 public:
  StepWriter(const ModelShape& shape, const Recipe& recipe, const WeightPrecision& weights,
             const MemoryMap& memory, std::uint64_t tokens, std::uint64_t context,
             std::uint64_t sequences, const ReadBy& by)
      : shape_(shape),
        recipe_(recipe),
        weights_(weights),
        memory_(memory),
        tokens_(tokens),
        context_(context),
        sequences_(sequences),
        all_(tokens * sequences),
        by_(by) {}

  std::vector<Segment> segments() {
    std::vector<Segment> result;
    result.push_back({"embedding", 1, embedding()});
    for (std::size_t i = 0; i < memory_.runs.size(); ++i) {
      const LayerRun& run = memory_.runs[i];
      const std::string name = memory_.runs.size() == 1 ? "layer"
                               : run.first + 1 == run.last
                                   ? fmt::format("layer {}", run.first)
                                   : fmt::format("layers {}-{}", run.first, run.last - 1);
      result.push_back({name, run.last - run.first, layer(memory_.layers[i], run.first)});
    }
    result.push_back({"head", 1, head()});
    return result;
  }

 private:
  std::vector<Operation> embedding() {
    // A look-up reads one row a token; where the rows lie depends on the token ids, so the first
    // ones stand for all.
    const std::uint64_t row = memory_.embedding.bytes / shape_.vocab;
    Operation& look_up = vector("embedding", VectorOp::embedding, all_, shape_.hidden);
    look_up.stationary_region = memory_.embedding;
    look_up.stationary_region.bytes = std::min(all_ * row, memory_.embedding.bytes);
    look_up.input_bytes = all_ * sizeof(std::uint32_t);
    look_up.output_bytes = floats(all_, shape_.hidden);
    return std::exchange(operations_, {});
  }

  /// The operations of the first layer of a run.
  std::vector<Operation> layer(const LayerMap& map, std::uint32_t index) {
    layer_index_ = index;
    layer_offset_ = index * memory_.layer_stride;
    using enum LinearName;
    norm("attn_norm", all_, map.attn_norm);
    quantise_activation("attn_quantise", all_, shape_.hidden);
    linear(attn_q, map.q);
    linear(attn_k, map.k);
    linear(attn_v, map.v);
    rope();
    quantise_qkv();
    append("k_append", Target::key, map);
    append("v_append", Target::value, map);
    attention(map);
    quantise_activation("attn_out_quantise", all_, shape_.q_dim());
    linear(attn_output, map.output);
    residual("attn_residual");
    norm("ffn_norm", all_, map.ffn_norm);
    if (shape_.experts == 0) {
      feed_forward(map.ffns.front());
    } else {
      experts(map);
    }
    residual("ffn_residual");
    for (Operation& operation : operations_) {
      for (Region* region :
           {&operation.stationary_region, &operation.context_region, &operation.written_region}) {
        // Fresh keys and values have one place for all layers.
        if (memory_.caches.key && region->traffic == TrafficClass::activations) continue;
        region->address += layer_offset_;
      }
      for (std::optional<CacheRegion>* cache :
           {&operation.stationary_cache, &operation.context_cache, &operation.written_cache}) {
        if (!*cache) continue;
        (*cache)->address += layer_offset_;
        (*cache)->prefix_address += layer_offset_;
      }
    }
    return std::exchange(operations_, {});
  }

  /// The SwiGLU of a dense model.
  void feed_forward(const FfnMap& map) {
    using enum LinearName;
    quantise_activation("ffn_quantise", all_, shape_.hidden);
    linear(ffn_gate, map.gate);
    linear(ffn_up, map.up);
    swiglu(all_);
    quantise_activation("ffn_down_quantise", all_, shape_.intermediate);
    linear(ffn_down, map.down);
  }

  /// Mixture of experts, every token to `experts_per_token` of them. Which ones depends on the
  /// values, so the tokens are spread evenly (assumed; the loss that routers are trained with asks
  /// for it) over experts that lie evenly between the first and the last.
  void experts(const LayerMap& map) {
    using enum LinearName;
    Operation& route =
        vector("ffn_route", VectorOp::route, all_, std::uint64_t{shape_.experts} * shape_.hidden);
    route.stationary_region = map.router;
    route.input_bytes = before_quantise(Target::activation, all_, shape_.hidden);
    route.output_bytes = floats(all_, shape_.experts_per_token);
    quantise_activation("ffn_quantise", all_, shape_.hidden);
    const std::uint64_t visits = all_ * shape_.experts_per_token;
    const std::uint64_t active = std::min<std::uint64_t>(shape_.experts, visits);
    for (std::uint64_t i = 0; i < active; ++i) {
      const auto expert = static_cast<std::uint32_t>(i * shape_.experts / active);
      const std::uint64_t rows = visits * (i + 1) / active - visits * i / active;
      const FfnMap& ffn = map.ffns[expert];
      const std::size_t first = operations_.size();
      product(ffn_gate, expert, recipe_[Target::activation].spec(), rows, ffn.gate);
      product(ffn_up, expert, recipe_[Target::activation].spec(), rows, ffn.up);
      swiglu(rows);
      quantise_activation("ffn_down_quantise", rows, shape_.intermediate);
      product(ffn_down, expert, recipe_[Target::activation].spec(), rows, ffn.down);
      for (std::size_t o = first; o < operations_.size(); ++o) operations_[o].part = "expert";
    }
    Operation& combine = vector("ffn_combine", VectorOp::combine, visits, shape_.hidden);
    combine.input_bytes = floats(visits, shape_.hidden);
    combine.output_bytes = floats(all_, shape_.hidden);
  }

  std::vector<Operation> head() {
    norm("final_norm", sequences_, memory_.final_norm);
    quantise_activation("head_quantise", sequences_, shape_.hidden);
    Operation& classifier = add("classifier", OpKind::gemm);
    classifier.m = sequences_;
    classifier.n = shape_.vocab;
    classifier.k = shape_.hidden;
    classifier.moving = recipe_[Target::activation].spec();
    classifier.stationary = recipe_[Target::head].spec();
    classifier.stationary_region = memory_.head;
    classifier.input_bytes = stored_bytes(classifier.moving, sequences_, shape_.hidden);
    classifier.output_bytes = floats(sequences_, shape_.vocab);
    Operation& argmax = vector("argmax", VectorOp::argmax, sequences_, shape_.vocab);
    argmax.input_bytes = floats(sequences_, shape_.vocab);
    argmax.output_bytes = sequences_ * sizeof(std::uint32_t);
    return std::exchange(operations_, {});
  }

  static std::uint64_t floats(std::uint64_t rows, std::uint64_t width) {
    return rows * width * kFloatBytes;
  }

  /// What the producer of a value under `target` writes: the float format itself, or fp32 for a
  /// quantise to read.
  std::uint64_t before_quantise(Target target, std::uint64_t rows, std::uint64_t width) const {
    const QuantSpec& spec = recipe_[target];
    return quant::is_ieee(spec.format) ? stored_bytes(spec, rows, width) : floats(rows, width);
  }

  std::uint64_t per_head(Target target, std::uint64_t heads) const {
    return tokens_ * heads * stored_bytes(recipe_[target], 1, shape_.head_dim);
  }

  Operation& add(const char* name, OpKind kind) {
    Operation& operation = operations_.emplace_back();
    operation.name = name;
    operation.kind = kind;
    operation.dequantise = recipe_.dequantise;
    return operation;
  }

  Operation& vector(const char* name, VectorOp op, std::uint64_t rows, std::uint64_t width) {
    Operation& operation = add(name, OpKind::vector);
    operation.vector_op = op;
    operation.rows = rows;
    operation.width = width;
    return operation;
  }

  /// A linear layer over all tokens of the step; those that the activation policy stores in another
  /// format pass apart.
  void linear(LinearName name, const Region& region) {
    QuantSpec spec = recipe_[Target::activation].spec();
    const std::uint64_t first = early_tokens() * sequences_;
    if (first > 0) {
      QuantSpec early = spec;
      early.format = recipe_[Target::activation].tokens.front().high;
      product(name, std::nullopt, early, first, region);
      if (first < all_) operations_.back().part = fmt::format("first {} tokens", first);
    }
    if (first < all_) product(name, std::nullopt, spec, all_ - first, region);
  }

  /// Tokens of this step that a token policy of the activations keeps in its high format.
  std::uint64_t early_tokens() const {
    const auto& policies = recipe_[Target::activation].tokens;
    const std::uint64_t start = context_ - tokens_;
    if (policies.empty() || start >= policies.front().count) return 0;
    return std::min(tokens_, policies.front().count - start);
  }

  void product(LinearName name, std::optional<std::uint32_t> expert, const QuantSpec& moving,
               std::uint64_t m, const Region& region) {
    const auto [n, k] = linear_size(shape_, name);
    // A schedule may read less than is stored.
    const TimedWeight weight = weights_.read({layer_index_, name, expert}, k, by_);
    Operation& operation = add(kLinearNames[static_cast<std::size_t>(name)].data(), OpKind::gemm);
    operation.m = m;
    operation.n = n;
    operation.k = k;
    operation.moving = moving;
    operation.stationary = weight.spec;
    operation.weight_parts = weight.parts(n);
    operation.stationary_region = region;
    operation.stationary_region.bytes = weight.stored_bytes(n, k);
    operation.input_bytes = stored_bytes(moving, m, k);
    operation.output_bytes = floats(m, n);
  }

  void norm(const char* name, std::uint64_t rows, const Region& gain) {
    Operation& operation = vector(name, VectorOp::rms_norm, rows, shape_.hidden);
    operation.stationary_region = gain;
    operation.input_bytes = floats(rows, shape_.hidden);
    operation.output_bytes = before_quantise(Target::activation, rows, shape_.hidden);
  }

  void quantise_activation(const char* name, std::uint64_t rows, std::uint64_t width) {
    const QuantSpec& spec = recipe_[Target::activation];
    if (quant::is_ieee(spec.format)) return;
    Operation& operation = vector(name, VectorOp::quantise, rows, width);
    operation.moving = spec;
    operation.input_bytes = floats(rows, width);
    operation.output_bytes = stored_bytes(spec, rows, width);
  }

  void rope() {
    Operation& operation = vector("rope", VectorOp::rope, all_, shape_.q_dim() + shape_.kv_dim());
    operation.input_bytes = floats(all_, operation.width);
    operation.output_bytes =
        before_quantise(Target::query, all_, shape_.q_dim()) +
        (memory_.caches.key ? floats(all_, shape_.kv_dim())
                            : before_quantise(Target::key, all_, shape_.kv_dim()));
  }

  void quantise_qkv() {
    std::uint64_t width = 0, stored = 0;
    auto take = [&](Target target, std::uint64_t heads) {
      const bool cached = target != Target::query && memory_.caches.key;
      if (cached || quant::is_ieee(recipe_[target].format)) return;
      width += heads * shape_.head_dim;
      stored += sequences_ * per_head(target, heads);
    };
    take(Target::query, shape_.heads);
    take(Target::key, shape_.kv_heads);
    take(Target::value, shape_.kv_heads);
    if (width == 0) return;
    Operation& operation = vector("qkv_quantise", VectorOp::quantise, all_, width);
    operation.input_bytes = floats(all_, width);
    operation.output_bytes = stored;
  }

  /// The step that computes what all sequences begin with.
  bool of_prefix() const { return memory_.shared_prefix > 0 && context_ == memory_.shared_prefix; }

  const std::shared_ptr<const KvGeometry>& layout_of(Target target) const {
    const CacheLayouts& caches = memory_.caches;
    if (of_prefix()) return target == Target::key ? caches.key_prefix : caches.value_prefix;
    return target == Target::key ? caches.key : caches.value;
  }

  CacheRegion cache_region(Target target, const LayerMap& map, std::uint64_t before) const {
    const bool key = target == Target::key;
    const CacheLayouts& caches = memory_.caches;
    const std::uint64_t staging = caches.key->staging_bytes() + caches.value->staging_bytes();
    CacheRegion region;
    region.geometry = layout_of(target);
    region.before = before;
    region.after = context_;
    region.staging_bytes = shape_.layers * staging;
    region.decoded = !takes_codes(target);
    region.prompt = memory_.prompt;
    if (of_prefix()) {
      region.address = (key ? map.key_prefix : map.value_prefix).address;
      return region;
    }
    region.address = (key ? map.key_cache : map.value_cache).address;
    region.streams = region.geometry->streams();
    region.all_streams =
        shape_.layers * memory_.sequences * (caches.key->streams() + caches.value->streams());
    if (memory_.shared_prefix > 0) {
      region.prefix = key ? caches.key_prefix : caches.value_prefix;
      region.prefix_address = (key ? map.key_prefix : map.value_prefix).address;
    }
    return region;
  }

  /// What the array sees of a coded cache: integer codes beside an integer operand, whose scales go
  /// to the epilogue; otherwise what decodes, in the format of the other operand.
  bool takes_codes(Target target) const {
    const Target moving = target == Target::key ? Target::query : Target::probability;
    return plain_cache(recipe_) && quant::is_integer(recipe_[target].format) &&
           quant::is_integer(recipe_[moving].format);
  }
  const QuantSpec& seen_by_array(Target target) const {
    const Target moving = target == Target::key ? Target::query : Target::probability;
    return takes_codes(target) ? recipe_[target].spec() : recipe_[moving].spec();
  }

  /// Tokens of this step from the prompt's fp16 keys or values, a piece a head.
  Region fresh(Target target) const {
    Region region = target == Target::key ? memory_.fresh_keys : memory_.fresh_values;
    region.pieces = shape_.kv_heads;
    region.piece_stride = region.bytes / region.pieces;
    return region;
  }

  /// A coded cache takes the tokens; in prefill their fp16 form is kept for the attention.
  void append_coded(const char* name, Target target, const LayerMap& map) {
    Operation& operation = vector(name, VectorOp::kv_append, tokens_, shape_.kv_dim());
    operation.moving = {.format = kFreshFormat};
    operation.written_cache = cache_region(target, map, context_ - tokens_);
    if (prefill()) operation.written_region = fresh(target);
    operation.input_bytes = floats(tokens_, shape_.kv_dim());
  }

  /// The first step of a program: nothing is in the cache before it.
  bool prefill() const { return context_ == tokens_; }

  void append(const char* name, Target target, const LayerMap& map) {
    if (layout_of(target)) return append_coded(name, target, map);
    const Region& cache = target == Target::key ? map.key_cache : map.value_cache;
    const std::uint64_t token = cache_token_bytes(shape_, recipe_[target]);
    Operation& operation = vector(name, VectorOp::kv_append, tokens_, shape_.kv_dim());
    operation.moving = recipe_[target];
    operation.written_region =
        cache_tokens_of(shape_, recipe_[target], cache, context_ - tokens_, context_);
    // rope and quantise write in the cache's format already; a float value comes from attn_v as
    // fp32.
    const bool rounds = target == Target::value && quant::is_ieee(operation.moving.format);
    operation.input_bytes = rounds ? floats(tokens_, shape_.kv_dim()) : tokens_ * token;
    operation.output_bytes = tokens_ * token;
  }

  void attention(const LayerMap& map) {
    Operation& operation = add("attention", OpKind::attention);
    // A decode step passes over what its window shows; in a longer one the schedule hides the rest.
    const std::uint64_t window = shape_.sliding_window;
    const std::uint64_t met = window == 0 ? context_ : std::min(context_, window + tokens_ - 1);
    operation.m = tokens_;
    operation.n = met;
    operation.k = shape_.head_dim;
    if (tokens_ > 1 && met > window) operation.window = window;
    operation.batch = shape_.kv_heads;
    operation.share = shape_.heads / shape_.kv_heads;
    operation.moving = recipe_[Target::query];
    operation.stationary = recipe_[Target::key];
    operation.moving_context = recipe_[Target::probability];
    operation.stationary_context = recipe_[Target::value];
    auto read = [&](const Region& cache, Target target) {
      return cache_tokens_of(shape_, recipe_[target], cache, context_ - met, context_);
    };
    if (!memory_.caches.key) {
      operation.stationary_region = read(map.key_cache, Target::key);
      operation.context_region = read(map.value_cache, Target::value);
    } else {
      operation.stationary = seen_by_array(Target::key);
      operation.stationary_context = seen_by_array(Target::value);
      if (prefill()) {
        operation.stationary_region = fresh(Target::key);
        operation.context_region = fresh(Target::value);
      } else {
        operation.n = kv_attended(memory_.caches.key->layout, context_);
        operation.stationary_cache = cache_region(Target::key, map, context_);
        operation.context_cache = cache_region(Target::value, map, context_);
      }
      // Keys and values of a policy are chosen by one scoring.
      for (const auto& side : {memory_.caches.key, memory_.caches.value}) {
        const std::uint64_t scored = kv_scored_rows(side->layout, tokens_, context_, prefill());
        operation.scored_rows = std::max(operation.scored_rows, scored * operation.share);
        operation.scores_own = !prefill() && tokens_ == 1 && side->layout.score_every == 1;
      }
    }
    operation.input_bytes = per_head(Target::query, shape_.heads);
    operation.output_bytes = before_quantise(Target::activation, tokens_, shape_.q_dim());
  }

  void residual(const char* name) {
    Operation& operation = vector(name, VectorOp::residual_add, all_, shape_.hidden);
    operation.input_bytes = 2 * floats(all_, shape_.hidden);
    operation.output_bytes = floats(all_, shape_.hidden);
  }

  void swiglu(std::uint64_t rows) {
    Operation& operation = vector("swiglu", VectorOp::swiglu, rows, shape_.intermediate);
    operation.input_bytes = 2 * floats(rows, shape_.intermediate);
    operation.output_bytes = before_quantise(Target::activation, rows, shape_.intermediate);
  }

  const ModelShape& shape_;
  const Recipe& recipe_;
  const WeightPrecision& weights_;
  const MemoryMap& memory_;
  std::uint64_t tokens_;
  std::uint64_t context_;
  std::uint64_t sequences_;
  std::uint64_t all_;  ///< tokens of all sequences, which pass together but for the cache
  ReadBy by_;
  std::uint32_t layer_index_ = 0;
  std::uint64_t layer_offset_ = 0;
  std::vector<Operation> operations_;
};

void check_tokens(const ModelShape& shape, std::uint64_t prefill, std::uint64_t decode,
                  bool beyond) {
  const std::string where = "model " + shape.name;
  if (prefill == 0) {
    throw ConfigError(where +
                      ": a prompt of 0 tokens; expected at least 1 (the beginning-of-text token)");
  }
  if (prefill > kMaxTokens || decode > kMaxTokens - prefill) {
    throw ConfigError(fmt::format("{}: {} prompt and {} decoded tokens; at most {} together", where,
                                  prefill, decode, kMaxTokens));
  }
  if (!beyond && shape.max_positions != 0 && prefill + decode > shape.max_positions) {
    throw ConfigError(fmt::format("{}: {} prompt and {} decoded tokens exceed its {} positions",
                                  where, prefill, decode, shape.max_positions));
  }
}

}  // namespace

namespace {

void check_sequences(std::uint64_t sequences, bool decided, const Recipe& recipe) {
  if (sequences == 0 || sequences > kMostSequences) {
    throw ConfigError(fmt::format("{} sequences; expected 1 to {}", sequences, kMostSequences));
  }
  if (sequences > 1 && decided) {
    throw ConfigError(
        fmt::format("recipe {} decides its steps by one sequence's tokens; expected "
                    "1 sequence, found {}",
                    recipe.name, sequences));
  }
}

}  // namespace

namespace {

void check_prefix(std::uint64_t shared, std::uint64_t prompt, std::uint64_t decode,
                  std::uint64_t sequences) {
  if (shared == 0) return;
  if (shared > prompt) {
    throw ConfigError(
        fmt::format("a shared prefix of {} tokens; the prompt has {}", shared, prompt));
  }
  if (sequences < 2) {
    throw ConfigError(fmt::format(
        "a shared prefix of {} tokens and {} sequence; expected at least 2 that share it", shared,
        sequences));
  }
  if (shared == prompt && decode == 0) {
    throw ConfigError(
        fmt::format("a shared prefix of {} tokens is the whole prompt and nothing is decoded: the "
                    "sequences never differ; expected a longer prompt or decoded tokens",
                    shared));
  }
}

}  // namespace

Program lower(const ModelShape& given, const Recipe& recipe, std::uint64_t prefill_tokens,
              std::uint64_t decode_tokens, const PrecisionDecisions* decisions, bool kv_study,
              std::uint64_t sequences, std::uint64_t shared_prefix) {
  const ModelShape shape = validated(given, "model " + given.name);
  require_timed(recipe);
  check_tokens(shape, prefill_tokens, decode_tokens, kv_study);
  const WeightPrecision weights(recipe, decisions);
  std::vector<PrecisionDecisions::Pass> passes(decode_tokens, {1, 1, {}});
  const bool decided = needs_passes(recipe);
  check_sequences(sequences, decided, recipe);
  check_prefix(shared_prefix, prefill_tokens, decode_tokens, sequences);
  if (decided) passes = decisions->passes;
  std::uint64_t longest = prefill_tokens, length = prefill_tokens;
  for (const PrecisionDecisions::Pass& pass : passes) {
    longest = std::max(longest, length + pass.tokens);
    length += pass.kept;
  }
  const std::uint64_t window = shape.sliding_window;
  if (window != 0 && longest > window && (kv_study || !plain_cache(recipe))) {
    throw ConfigError(fmt::format(
        "model {} has a sliding window of {} tokens, and recipe {} a coded KV cache, which keeps "
        "what lies behind it; expected at most {} tokens or a cache of plain tokens, found {}",
        shape.name, window, recipe.name, window, longest));
  }
  const MemoryMap memory = map_memory(shape, recipe, weights, longest, prefill_tokens, kv_study,
                                      sequences, shared_prefix);

  Program program;
  program.sequences = sequences;
  program.shared_prefix = shared_prefix;
  program.sequence_stride_bytes = memory.sequence_stride;
  program.model = shape.name;
  program.recipe = recipe.name;
  program.weight_bytes = memory.weight_bytes;
  const auto in_window = [&](std::uint64_t appended) {
    return window == 0 ? appended : std::min(appended, window);
  };
  // Held by one sequence of so many tokens, all layers.
  const auto kv_bytes = [&](std::uint64_t appended) {
    const std::uint64_t tokens = in_window(appended);
    const auto side = [&](const std::shared_ptr<const KvGeometry>& geometry, Target target) {
      return geometry ? bytes_for(Bits(kv_stored(geometry->layout, tokens).total())).count()
                      : tokens * cache_token_bytes(shape, recipe[target]);
    };
    return shape.layers *
           (side(memory.caches.key, Target::key) + side(memory.caches.value, Target::value));
  };
  program.kv_bytes_per_token = kv_bytes(length) / in_window(length);
  program.kv_bytes = sequences * kv_bytes(length);
  if (shape.max_positions != 0 && longest > shape.max_positions) {
    program.note = fmt::format(
        "{} tokens where the model has {} positions: the time of a longer context, not its quality",
        longest, shape.max_positions);
  }
  if (window != 0 && longest > window) {
    program.note += fmt::format(
        "{}a sliding window of {} tokens: what lies behind it is neither read nor counted as held; "
        "its addresses are not used again",
        program.note.empty() ? "" : "; ", window);
  }
  program.layer_stride_bytes = memory.layer_stride;
  program.layers = shape.layers;

  program.steps.reserve(2 + passes.size());
  // What comes before the end of the prompts needs no logits.
  const bool headless = shared_prefix > 0 && shared_prefix < prefill_tokens;
  auto add_step = [&](Phase phase, const PrecisionDecisions::Pass& pass, std::uint64_t context,
                      const ReadBy& by) {
    // Prompts pass one after the other, decode steps of all sequences together.
    const bool together = phase == Phase::decode;
    const bool once = together || context == shared_prefix;
    StepWriter writer(shape, recipe, weights, memory, pass.tokens, context,
                      together ? sequences : 1, by);
    const std::uint64_t stays = context - pass.tokens + pass.kept;
    program.steps.push_back({phase, pass.tokens, pass.kept, context, writer.segments(),
                             (context == shared_prefix ? 1 : sequences) * kv_bytes(stays),
                             once ? 1 : sequences});
    if (headless && context == shared_prefix) program.steps.back().segments.pop_back();
  };
  if (shared_prefix > 0) {
    add_step(Phase::prefill, {shared_prefix, shared_prefix, {}}, shared_prefix, {});
  }
  if (const std::uint64_t rest = prefill_tokens - shared_prefix; rest > 0) {
    add_step(Phase::prefill, {rest, rest, {}}, prefill_tokens, {});
  }
  std::uint64_t kept = 0;
  for (const PrecisionDecisions::Pass& pass : passes) {
    const auto read = decided ? std::optional(pass.format) : std::nullopt;
    add_step(Phase::decode, pass, prefill_tokens + kept + pass.tokens, {kept, read});
    kept += pass.kept;
  }

  // The prefill step has the largest operands unless a draft is longer than the prompt.
  std::uint64_t largest = 0;
  for (const Step& step : program.steps) {
    for (const Segment& segment : step.segments) {
      for (const Operation& operation : segment.operations) {
        largest = std::max({largest, operation.input_bytes, operation.output_bytes});
      }
    }
  }
  program.activation_region = {TrafficClass::activations, memory.end_of_layers, 2 * largest};
  program.footprint_bytes = memory.end_of_layers + 2 * largest;
  return program;
}

void without_prefill(Program& program) {
  std::erase_if(program.steps, [](const Step& step) { return step.phase == Phase::prefill; });
  if (program.steps.empty()) {
    throw ConfigError("decode: found 0 and the prompt cached; expected 1 or more");
  }
}

}  // namespace systole::workloads
