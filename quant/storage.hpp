// How many bits a tensor really occupies, part by part: codes, parameters, outliers, indices and
// padding. Never nominal bits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/policy.hpp"

namespace systole::quant {

/// Bits by part. Every part is exact; `padding` is what rows, planes and pages are filled up with.
struct StoredBits {
  std::uint64_t codes = 0;
  std::uint64_t scales = 0;          ///< of every level, and of the tensor
  std::uint64_t zeros = 0;           ///< zero points, minima, offsets, means
  std::uint64_t tags = 0;            ///< chosen types, special values, class masks
  std::uint64_t codebook = 0;        ///< tables and codewords, once for all that share them
  std::uint64_t sparse_values = 0;   ///< outliers kept apart
  std::uint64_t sparse_indices = 0;  ///< and where they belong
  std::uint64_t index = 0;           ///< retrieval index beside the stored values
  std::uint64_t padding = 0;

  /// Errors: std::overflow_error when the sum does not fit 64 bits.
  std::uint64_t total() const;
  StoredBits& operator+=(const StoredBits& other);
  friend bool operator==(const StoredBits&, const StoredBits&) = default;
};

/// How the tokens of a cache fall into classes under the token policies and the age schedule,
/// applied left to right. Sum: the tokens that are stored at all.
struct TokenSplit {
  std::uint64_t full = 0;     ///< sinks, window, constants: fp16
  std::uint64_t salient = 0;  ///< in TokenPolicy::high
  std::uint64_t low = 0;      ///< in the policy's own format (or its age tiers)
  std::uint64_t evicted = 0;  ///< not stored
};
/// window, flush block: the tokens since the last whole block (tokens - sinks mod count; KIVI
/// keys); flush slide: the newest `count` (KIVI values). salient: ratio of the rest, rounded to
/// nearest. evict: at most `count` tokens stay besides the sinks of the policy. retrieve:
/// everything is kept.
TokenSplit split_tokens(const TensorPolicy& policy, std::uint64_t tokens);

/// Exact bits of a tensor under a policy. `shape`: weights [outputs, inputs], activations [tokens,
/// channels], KV [tokens, heads, channels] (keys and values are two tensors).
///
/// Codes: as the codec lays them out, each row of the last axis padded to layout.word_bits (each
/// plane of it where the interleave is planes). Parameters: policy.levels when given - a level has
/// ceil(extent / box) boxes along each axis, each with a scale and a zero of zero_bits - else what
/// QuantSpec says, with one row a token and head. A GGUF or block format without levels has its
/// own. outliers: dense_sparse: `count` a token and tensor, or fraction of the elements (the
/// smaller where both are given); channel_class: fraction of the channels in `high`, one mask bit a
/// channel; split: two quantisers; constant: one token at fp16. Clipping, protective ranges and
/// scaled-down channels store nothing. tokens: see split_tokens; a salient class costs one bit a
/// token; retrieval with codewords an index of ceil(log2 codewords) bits a token and head, and an
/// fp16 codebook a head. transforms: a mean taken out on write is stored in fp16; a diag undone on
/// read has an fp16 factor a channel. schedule: age tiers in their formats; every other schedule is
/// the caller's, who asks with the format of the moment. layout: with page_tokens, the low class
/// lies in pages that start on align_bytes and are stored whole; without, the tensor is padded to
/// align_bytes. Errors: std::invalid_argument for a shape of other than 2 or 3 axes, levels of
/// another number of axes, or what the codec refuses; std::overflow_error beyond 64 bits.
StoredBits stored(const TensorPolicy& policy, std::span<const std::uint64_t> shape);

/// Products and sums of sizes. Errors: std::overflow_error beyond 64 bits.
std::uint64_t checked_product(std::uint64_t a, std::uint64_t b);
std::uint64_t checked_sum(std::uint64_t a, std::uint64_t b);

}  // namespace systole::quant
