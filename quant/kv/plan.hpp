// What a TensorPolicy means for the key or value cache of one layer: extents resolved against the
// shape, transforms sorted by when they act, token policies taken apart. Everything in quant/kv
// reads the policy through this and nowhere else.
//
// Sizes that do not divide: a box extent that does not divide its axis becomes the whole axis (as
// group_length has it); a Hadamard transform takes the largest power of two that divides its axis;
// the FFT of a channel class takes the largest power of two that is not larger than the class
// asked for; blocks of MX, NVFP4 and GGUF formats run along the token's whole KV width (as rows of
// llama.cpp's cache do) and the last one is filled with zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "quant/policy.hpp"

namespace systole::quant {

/// Heads of one layer. query_heads is a multiple of kv_heads; head_dim is even.
struct KvShape {
  std::size_t kv_heads = 0, head_dim = 0, query_heads = 0;
  std::size_t width() const { return kv_heads * head_dim; }
  friend bool operator==(const KvShape&, const KvShape&) = default;
};

enum class KvTensor : std::uint8_t { key, value };

/// How the elements of one box become codes; one for each class of channels.
struct BoxRule {
  Format format = Format::fp16;
  unsigned bits = 16;
  Affine affine = Affine::symmetric;
  RangeRule range = RangeRule::automatic;
  double range_value = 0;
  Format scale = Format::fp16;
  unsigned scale_bits = 16;
  unsigned zero_bits = 0;    ///< stored a box, resolved; 0: none
  bool signed_zero = false;  ///< integer zero kept as a signed number of zero_bits
  Contract contract = Contract::corrected;
  bool unused_minimum = false;  ///< VidKV, contract reference: a minimum is stored and not used

  bool ieee() const { return is_ieee(format); }
  /// Codes of the box codec; the other formats go through CodedMatrix.
  bool scalar() const;
};

struct KvPlan {
  KvTensor tensor = KvTensor::key;
  KvShape shape;
  TensorPolicy policy;
  BoxRule rule;
  bool fixed_parameters = false;  ///< calibrated, nothing is stored with the tokens
  bool class_box = false;         ///< one box for all tokens coded together (ZipCache)
  std::size_t box_tokens = 1, box_heads = 1, box_channels = 0;

  bool rope_on_read = false;       ///< keys are kept as they were before RoPE
  std::vector<Transform> arrival;  ///< applied to every token when it comes
  bool mean_over_heads = false;    ///< MEAN(head), when coded
  bool channel_scale = false;      ///< DIAG(write, sqrt_max), when coded (ZipCache)
  bool fourier = false;            ///< FFT of the low channel class, when coded (VidKV)
  std::size_t high_channels = 0;   ///< of a head, in the high class
  std::size_t low_channels = 0;    ///< of a head, in the low class; 0: no classes
  std::size_t low_columns = 0;     ///< stored for them: 2n for a complex FFT, else n
  BoxRule high_rule;               ///< of the high class

  std::size_t sparse_side = 0;  ///< outliers kept on each side of a token; 0: none
  bool sparse_capped = false;   ///< a fixed list of 2 * sparse_side slots a token

  std::size_t sinks = 0;
  Scorer sink_scorer = Scorer::first;
  std::size_t window = 0;
  Flush flush = Flush::block;
  Format full = Format::fp16;  ///< of tokens kept whole
  std::optional<TokenPolicy> salient, evict, retrieve;
  std::vector<ScheduleEntry> ages;  ///< empty: no age tiers
  std::uint64_t budget_bytes = 0;   ///< 0: no shrinking

  std::size_t columns() const;  ///< stored a token
  const BoxRule& rule_of(std::size_t column) const;
};

/// Resolves and checks a policy. `format`: overrides the policy's (a layer's entry of a bit map);
/// fp32: no override. Errors: std::invalid_argument naming what cannot be done.
KvPlan make_plan(KvTensor tensor, const KvShape& shape, const TensorPolicy& policy,
                 Format format = Format::fp32);

/// The rule of the same plan in another format (a tier, a class of tokens, a shrunk width).
BoxRule rule_with_format(const KvPlan& plan, Format format);

}  // namespace systole::quant
