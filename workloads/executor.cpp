#include "workloads/executor.hpp"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "quant/kernels/packed_gemm.hpp"
#include "quant/kernels/parallel.hpp"
#include "quant/kernels/vector.hpp"
#include "sim/core/error.hpp"
#include "workloads/attention.hpp"
#include "workloads/shape.hpp"

namespace systole::workloads {

using configs::ModelShape;
using configs::Recipe;
using configs::Target;
using quant::Format;
using quant::Path;
using quant::QuantizedMatrix;
using quant::QuantSpec;

namespace {

constexpr std::uint64_t kMostPositions = 1u << 20;  // the domain of quant::rope_angles

/// A vector that does not write zeros into what is about to be overwritten.
template <class T>
struct Unwritten : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = Unwritten<U>;
  };
  template <class U, class... Arguments>
  void construct(U* place, Arguments&&... arguments) {
    if constexpr (sizeof...(Arguments) == 0) {
      ::new (static_cast<void*>(place)) U;
    } else {
      ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
    }
  }
};
using Buffer = std::vector<float, Unwritten<float>>;

/// The input of one or more linear layers [rows, cols] as the activation policy has it; each form
/// made once, when first asked for.
class Activation {
 public:
  Activation(std::span<const float> values, std::size_t rows, std::size_t cols,
             const QuantSpec& spec)
      : values_(values), rows_(rows), cols_(cols), spec_(spec) {}

  const QuantizedMatrix& codes() {
    if (!codes_) codes_ = quant::quantise(values_, rows_, cols_, spec_);
    return *codes_;
  }
  std::span<const float> decoded() {
    if (!decoded_) {
      if (quant::is_integer(spec_.format)) {
        decoded_ = quant::dequantise(codes());
      } else {
        decoded_.emplace(values_.begin(), values_.end());
        quant::round_to(spec_.format, *decoded_);
      }
    }
    return *decoded_;
  }
  std::size_t rows() const { return rows_; }

 private:
  std::span<const float> values_;
  std::size_t rows_, cols_;
  const QuantSpec& spec_;
  std::optional<QuantizedMatrix> codes_;
  std::optional<std::vector<float>> decoded_;
};

/// One weight [n, k] under a recipe, ready to multiply.
class Linear {
 public:
  Linear(std::span<const float> weight, std::size_t n, std::size_t k, const QuantSpec& spec,
         const Recipe& recipe, Path path, std::size_t fp16_chunk) {
    const QuantSpec& activation = recipe[Target::activation];
    const bool after = recipe.dequantise == configs::Dequantise::after &&
                       quant::is_integer(spec.format) && quant::is_integer(activation.format);
    if (after) {
      integer_.emplace(quant::quantise(weight, n, k, spec), path);
      return;
    }
    const Format operands = uses_fp16(activation, spec) ? Format::fp16 : Format::fp32;
    real_.emplace(quant::fake_quantise(weight, n, k, spec), n, k, operands, path);
    chunk_ = fp16_chunk != 0 ? fp16_chunk : k;
  }

  std::size_t channels() const { return integer_ ? integer_->rows() : real_->rows(); }

  /// [rows, n].
  Buffer operator()(Activation& input, unsigned threads) const {
    Buffer out(input.rows() * channels());
    multiply(input, out, threads);
    return out;
  }
  void multiply(Activation& input, std::span<float> out, unsigned threads) const {
    if (integer_) {
      quant::gemm_dequantise_after(input.codes(), *integer_, out, threads);
    } else if (real_->operands() == Format::fp16) {
      quant::gemm_fp16(input.decoded(), *real_, input.rows(), chunk_, out, threads);
    } else {
      quant::gemm_fp32(input.decoded(), *real_, input.rows(), out, threads);
    }
  }

 private:
  std::optional<quant::PackedWeights> integer_;
  std::optional<quant::PackedFloatWeights> real_;
  std::size_t chunk_ = 0;
};

struct Layer {
  Linear q, k, v, output, gate, up, down;
  AttentionLayer attention;
};

/// quant names the element that is not finite, not where in the model it arose.
template <class Work>
auto naming(const std::string& where, Work&& work) {
  try {
    return work();
  } catch (const std::domain_error& error) {
    throw ConfigError(
        fmt::format("{}: {}: the values overflow under this recipe", where, error.what()));
  }
}

}  // namespace

void ForwardObserver::linear_input(std::size_t, std::string_view, std::span<const float>,
                                   std::size_t) {}
void ForwardObserver::attention(std::size_t, std::uint64_t, std::span<const float>,
                                std::span<const float>, std::span<const float>,
                                std::span<const float>, std::span<const float>) {}
void ForwardObserver::block(std::size_t, std::span<const float>, std::span<const float>) {}

struct FunctionalExecutor::State {
  State(const LlamaModel& m, const Recipe& r, unsigned t, Kernels kernels, std::size_t fp16_chunk)
      : model(m), shape(m.shape), recipe(r), threads(t == 0 ? 1 : t) {
    validate_recipe(recipe);
    const bool reference = kernels == Kernels::reference;
    const Path path = reference ? Path::reference : quant::best_path();
    const QuantSpec& weight = recipe[Target::weight];
    auto linear = [&](const std::vector<float>& values, std::size_t n, std::size_t k,
                      const QuantSpec& spec) {
      SYSTOLE_CHECK(values.size() == n * k, "a weight does not have the size its shape implies");
      return Linear(values, n, k, spec, recipe, path, fp16_chunk);
    };
    SYSTOLE_CHECK(model.layers.size() == shape.layers, "as many layers as the shape says");
    for (const LayerWeights& w : model.layers) {
      layers.push_back({linear(w.q, shape.q_dim(), shape.hidden, weight),
                        linear(w.k, shape.kv_dim(), shape.hidden, weight),
                        linear(w.v, shape.kv_dim(), shape.hidden, weight),
                        linear(w.output, shape.hidden, shape.q_dim(), weight),
                        linear(w.gate, shape.intermediate, shape.hidden, weight),
                        linear(w.up, shape.intermediate, shape.hidden, weight),
                        linear(w.down, shape.hidden, shape.intermediate, weight),
                        AttentionLayer(shape, recipe, fp16_chunk, reference)});
    }
    head.emplace(linear(model.classifier(), shape.vocab, shape.hidden, recipe[Target::head]));
    frequencies = quant::rope_frequencies(shape.head_dim, shape.rope_theta);
  }

  std::uint64_t position() const { return layers.front().attention.length(); }

  std::vector<float> embed(std::span<const std::uint32_t> tokens) const {
    std::vector<float> rows;
    rows.reserve(tokens.size() * shape.hidden);
    for (const std::uint32_t token : tokens) {
      SYSTOLE_CHECK(token < shape.vocab, fmt::format("token {} of {}", token, shape.vocab));
      const auto first = model.embedding.begin() +
                         static_cast<std::ptrdiff_t>(std::uint64_t{token} * shape.hidden);
      rows.insert(rows.end(), first, first + shape.hidden);
    }
    quant::round_to(embedding_format(recipe), rows);
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

  Activation input(std::span<const float> rows, std::size_t cols) const {
    return {rows, rows.size() / cols, cols, recipe[Target::activation]};
  }

  static void add(std::span<float> residual, std::span<const float> change) {
    for (std::size_t i = 0; i < residual.size(); ++i) residual[i] += change[i];
  }

  void attention_block(std::size_t index, std::vector<float>& residual, std::uint64_t start) {
    Layer& layer = layers[index];
    const LayerWeights& weights = model.layers[index];
    const Buffer norm = normalised(residual, weights.attn_norm);
    if (observer) observer->linear_input(index, "attn_qkv", norm, shape.hidden);
    Activation x = input(norm, shape.hidden);
    Buffer q = layer.q(x, threads), k = layer.k(x, threads);
    const Buffer v = layer.v(x, threads);
    Buffer q_pre, k_pre;
    if (observer) q_pre = q, k_pre = k;
    rotate(q, shape.q_dim(), start);
    rotate(k, shape.kv_dim(), start);
    if (observer) observer->attention(index, start, q_pre, q, k_pre, k, v);
    layer.attention.append(k, v);
    Buffer context(q.size());
    layer.attention.attend(q, context, threads);
    if (observer) observer->linear_input(index, "attn_output", context, shape.q_dim());
    Activation y = input(context, shape.q_dim());
    add(residual, layer.output(y, threads));
  }

  void ffn_block(std::size_t index, std::vector<float>& residual) const {
    const Layer& layer = layers[index];
    const LayerWeights& weights = model.layers[index];
    const Buffer norm = normalised(residual, weights.ffn_norm);
    if (observer) observer->linear_input(index, "ffn_gate_up", norm, shape.hidden);
    Activation x = input(norm, shape.hidden);
    Buffer gate = layer.gate(x, threads);
    const Buffer up = layer.up(x, threads);
    gated(gate, up);
    if (observer) observer->linear_input(index, "ffn_down", gate, shape.intermediate);
    Activation y = input(gate, shape.intermediate);
    add(residual, layer.down(y, threads));
  }

  std::vector<float> forward(std::span<const std::uint32_t> tokens, std::uint64_t start,
                             Logits logits) {
    for (std::uint64_t p = angles.size(); p < start + tokens.size(); ++p) {
      angles.push_back(quant::rope_angles(p, frequencies));
    }
    std::vector<float> residual = embed(tokens);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      naming(fmt::format("model {}, recipe {}, layer {}", shape.name, recipe.name, i), [&] {
        const std::vector<float> before = observer ? residual : std::vector<float>();
        attention_block(i, residual, start);
        ffn_block(i, residual);
        if (observer) observer->block(i, before, residual);
      });
    }
    if (logits == Logits::last) residual.erase(residual.begin(), residual.end() - shape.hidden);
    const Buffer norm = normalised(residual, model.final_norm);
    if (observer) observer->linear_input(layers.size(), "head", norm, shape.hidden);
    Activation x = input(norm, shape.hidden);
    return naming(fmt::format("model {}, recipe {}, classifier", shape.name, recipe.name), [&] {
      std::vector<float> out(x.rows() * head->channels());
      head->multiply(x, out, threads);
      return out;
    });
  }

  const LlamaModel& model;
  ModelShape shape;
  Recipe recipe;
  unsigned threads;
  ForwardObserver* observer = nullptr;
  std::vector<Layer> layers;
  std::optional<Linear> head;
  std::vector<double> frequencies;
  std::vector<quant::RopeAngles> angles;  ///< by position, as far as computed
};

FunctionalExecutor::FunctionalExecutor(const LlamaModel& model, const Recipe& recipe,
                                       unsigned threads, Kernels kernels, std::uint32_t fp16_chunk)
    : state_(naming(fmt::format("model {}, recipe {}", model.shape.name, recipe.name), [&] {
        return std::make_unique<State>(model, recipe, threads, kernels, fp16_chunk);
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
  for (Layer& layer : state.layers) layer.attention.truncate(start_position);
  return state.forward(tokens, start_position, logits);
}

void FunctionalExecutor::observe(ForwardObserver* observer) { state_->observer = observer; }

void FunctionalExecutor::reset() {
  for (Layer& layer : state_->layers) layer.attention.truncate(0);
}

std::uint64_t FunctionalExecutor::position() const { return state_->position(); }
const ModelShape& FunctionalExecutor::shape() const { return state_->shape; }
const Recipe& FunctionalExecutor::recipe() const { return state_->recipe; }

}  // namespace systole::workloads
