// Program: a model lowered to a list of operations with shapes, formats and places in memory. The
// functional executor and the timed machine run the same Program; neither knows of the other.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "configs/recipe.hpp"
#include "quant/format.hpp"
#include "sim/core/kv_layout.hpp"
#include "sim/core/traffic.hpp"

namespace systole::workloads {

enum class OpKind : std::uint8_t { gemm, attention, vector };

/// Work of the vector unit, `rows` x `width` elements.
enum class VectorOp : std::uint8_t {
  none,
  embedding,
  rms_norm,
  rope,
  softmax,
  swiglu,
  residual_add,
  route,
  combine,
  quantise,
  kv_append,
  argmax
};

/// Bytes in DRAM: `pieces` equal parts of bytes / pieces each, the starts `piece_stride` apart. A
/// weight is one piece; a cache region has one piece a KV head, whose tokens are contiguous.
struct Region {
  TrafficClass traffic = TrafficClass::weights;
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
  std::uint64_t pieces = 1;
  std::uint64_t piece_stride = 0;
};

/// The cached keys or values of one layer in the layout of their codec.
struct CacheRegion {
  std::shared_ptr<const KvGeometry> geometry;
  std::uint64_t address = 0;
  std::uint64_t before = 0, after = 0;  ///< tokens appended when the operation begins and ends
  std::uint64_t staging_bytes = 0;      ///< of sinks and windows, both sides, all layers
  bool decoded = true;                  ///< before the array; otherwise it takes the codes
  std::uint64_t prompt = 0;             ///< tokens of the first append
  /// Bursts that it keeps open at most, and those of both sides, all layers and sequences.
  std::uint64_t streams = 0, all_streams = 0;
  /// Of a sequence that begins as others do: the cache of these tokens, which they share, where it
  /// lies in the layer, whose tokens are the first `geometry` has no room for; null: no such.
  std::shared_ptr<const KvGeometry> prefix;
  std::uint64_t prefix_address = 0;
  bool last = false;  ///< the last sequence: it writes in place what the others have copied
};

/// A stretch of a product's reduction whose weights are of one format (SliM-LLM: groups of input
/// channels by salience; PTQ1.61: outlier channels). The channels of a format are stored together
/// and pass together.
struct WeightPart {
  quant::QuantSpec spec;
  std::uint64_t k = 0;      ///< elements of the reduction
  std::uint64_t bytes = 0;  ///< of the weight region
};

/// One operation. Which fields matter depends on `kind`:
///  gemm       out[m, n] = in[m, k] * stationary[k, n]; `stationary` is a weight.
///  attention  for each of `batch` KV heads: scores[m * share, n] = q[m * share, k] * K[k, n],
///             masked softmax over n, context[m * share, k] = p[m * share, n] * V[n, k].
///             m = tokens of this step, n = context length, k = head_dim, share = query heads
///             per KV head. All n columns are computed, none skipped as masked. With a `window` a
///             token meets at most so many, itself the last.
///  vector     `rows` x `width` elements of `vector_op`.
struct Operation {
  std::string name;  ///< "attn_q", "attention", "rms_norm", ...
  std::string part;  ///< which tokens or expert, where it is not all: "first 4 tokens"
  OpKind kind = OpKind::vector;
  std::uint64_t m = 0, n = 0, k = 0;
  std::uint64_t batch = 1, share = 1;
  std::uint64_t window = 0;             ///< attention: 0 where it hides nothing of these n
  quant::QuantSpec moving;              ///< gemm: activation; attention: query
  quant::QuantSpec stationary;          ///< gemm: weight; attention: key
  quant::QuantSpec moving_context;      ///< attention: probability
  quant::QuantSpec stationary_context;  ///< attention: value
  /// gemm whose weight changes its format along the reduction: the parts in the order stored, whose
  /// k and bytes sum to the whole. Empty: `stationary` throughout.
  std::vector<WeightPart> weight_parts;
  configs::Dequantise dequantise = configs::Dequantise::after;
  VectorOp vector_op = VectorOp::none;
  std::uint64_t rows = 0, width = 0;
  /// gemm: the weight, codes and metadata; attention: K of this layer; embedding: the rows read;
  /// rms_norm: its gain.
  Region stationary_region;
  Region context_region;  ///< attention: V of this layer
  Region written_region;  ///< kv_append: what is written to the cache; otherwise empty
  /// Of a cache in a codec's layout, in place of the regions: K, V, and what kv_append writes.
  /// Attention then has n = the tokens that a query meets. Prefill attends to keys and values as
  /// they come, before coding: those are regions.
  std::optional<CacheRegion> stationary_cache, context_cache, written_cache;
  /// attention: query rows of a head whose normalised probabilities a token policy needs besides,
  /// and whether these are the step's own, whose scores may be kept.
  std::uint64_t scored_rows = 0;
  bool scores_own = false;
  std::uint64_t input_bytes =
      0;  ///< moving operand(s) as stored on chip or, when they do not fit, in DRAM
  std::uint64_t output_bytes = 0;  ///< result as the next operation reads it

  /// Multiply-accumulates of the whole operation (both products for attention).
  std::uint64_t macs() const;
};

/// A run of operations that repeats (the layers). Instances differ only in their addresses, which
/// are equal modulo `layer_stride_bytes` of the Program, a multiple of every address-map period.
struct Segment {
  std::string name;  ///< "embedding", "layer", "head"
  std::uint64_t repeats = 1;
  std::vector<Operation> operations;  ///< of the first instance
};

enum class Phase : std::uint8_t { prefill, decode };
constexpr std::string_view name_of(Phase p) { return p == Phase::prefill ? "prefill" : "decode"; }

/// One pass through the model: the prefill of all prompt tokens, or one decode step.
struct Step {
  Phase phase = Phase::prefill;
  std::uint64_t tokens = 0;   ///< computed in this step
  std::uint64_t kept = 0;     ///< of them, what stays: a speculative draft's are computed again
  std::uint64_t context = 0;  ///< tokens in the cache at its end
  std::vector<Segment> segments;
  std::uint64_t kv_bytes = 0;  ///< held at its end, all layers and sequences
  std::uint64_t rounds = 1;    ///< once for each of so many sequences, one after the other
};

/// What the cache holds of a sequence is its own: kv_append and attention are written for the first
/// one, and done for every sequence of the step, `sequence_stride_bytes` further in DRAM.
constexpr bool of_one_sequence(const Operation& op) {
  return op.kind == OpKind::attention || op.vector_op == VectorOp::kv_append;
}

struct Program {
  std::string model, recipe;
  std::vector<Step> steps;
  std::uint64_t sequences = 1;      ///< `kv_bytes` are of all, as if they shared nothing
  std::uint64_t shared_prefix = 0;  ///< tokens that all begin with, computed and kept once
  std::uint64_t sequence_stride_bytes = 0;
  std::uint64_t weight_bytes = 0;        ///< stored bytes of all weights, metadata included
  std::uint64_t kv_bytes_per_token = 0;  ///< all layers, metadata included; the mean of a codec's
  std::uint64_t kv_bytes = 0;            ///< held at the end, all layers
  std::uint64_t footprint_bytes = 0;     ///< highest DRAM address used + 1
  std::uint64_t layers = 0;
  std::uint64_t layer_stride_bytes =
      0;                     ///< address distance of equal operands of neighbouring layers
  std::string note;          ///< on what the shape or recipe is stretched to; empty: nothing
  Region activation_region;  ///< where activations go that do not fit on chip: two of the largest
};

}  // namespace systole::workloads
