// The KV cache of one layer under any system of the field: one engine driven by the TensorPolicy of
// keys and of values. Append tokens, attend, and ask what is stored and what it cost.
//
// NORMATIVE. Attention of one query head over the visible tokens, fp32, tokens ascending:
//   key_t    what decodes (box_codec.hpp), transforms undone, RoPE applied where it is kept
//   unrotated score_t  sum of fma(q_i, key_t,i) from +0, i ascending, then * float(1 /
//   sqrt(head_dim)) p        softmax of kernels/vector.hpp over the visible tokens (others count as
//   -infinity) out_j    sum of fma(p_t, value_t,j) from +0, t ascending, then the output's
//   transforms
// A system that multiplies scales into the epilogue instead rounds differently; its operation
// counts are those of the folded form (quantization.md §11.1), its numbers those above.
//
// Operation counts are of the cache: coding, decoding, RoPE and transforms on read, index scoring.
// The products q.k and p.v themselves belong to attention and are not counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "quant/kv/coder.hpp"

namespace systole::quant {

/// What calibration found for one layer.
struct KvCalibration {
  SideCalibration key, value;
  // Retrieval index (A2ATS), for each KV head: L of the query metric H = L L^T
  // [head_dim][head_dim], codewords in the metric (of K L) and as keys (times L^-1),
  // [codewords][head_dim] each.
  std::vector<float> metric, index_codebook, index_codewords;
  std::size_t codewords = 0;
};

/// What the cache of one layer holds, in bytes, each rounded up.
struct StoredBytes {
  std::uint64_t codes = 0, metadata = 0, full = 0, sparse = 0, index = 0, padding = 0;
  std::uint64_t codebook = 0;  ///< tables held once, whatever the number of tokens
  std::uint64_t total() const {
    return codes + metadata + full + sparse + index + padding + codebook;
  }
};

/// One token as the cache keeps it, for tests and reports.
struct KvTokenView {
  std::uint64_t position = 0;
  bool sink = false, salient = false;
  Format key_format = Format::fp32, value_format = Format::fp32;
};

class KvCache {
 public:
  /// Errors: std::invalid_argument when a policy cannot be done or a calibration is missing.
  KvCache(const KvShape& shape, const TensorPolicy& key, const TensorPolicy& value,
          std::vector<double> rope_frequencies, KvCalibration calibration = {});
  KvCache(const KvShape& shape, const TensorPolicy& key, const TensorPolicy& value,
          double rope_theta, KvCalibration calibration = {});

  /// Positions that SINK(hidden_max) keeps whole and SAL(text_similarity) keeps in its high format;
  /// before they are appended. Without it hidden_max keeps the first tokens, text_similarity none.
  void protect(std::vector<std::uint64_t> positions);

  /// Appends consecutive tokens [tokens * kv_heads * head_dim] each, the first at `position`, and
  /// does the maintenance that is due token by token. Keys are given before and after RoPE.
  /// Errors: std::invalid_argument when sizes differ or positions do not ascend; std::domain_error
  /// when a value is NaN or infinite.
  void append(std::span<const float> key_pre, std::span<const float> key_post,
              std::span<const float> value, std::uint64_t position);

  /// Attention of one token's queries over every token held whose position is not larger. Updates
  /// the scores that token policies need. query_pre is used by retrieval only (may be empty
  /// otherwise). All [query_heads * head_dim]. Errors: std::invalid_argument, also when no token is
  /// visible.
  void attend(std::span<const float> query_pre, std::span<const float> query_post,
              std::uint64_t position, std::span<float> out);

  /// Does what is due now: refresh, demotion, eviction, shrinking. append calls it.
  void maintain();

  /// Forgets every token from the `tokens`th held on. Boxes that are cut stay coded.
  void truncate(std::size_t tokens);
  void reset();

  std::size_t tokens() const { return tokens_.size(); }  ///< held; evicted ones are not
  KvTokenView token(std::size_t i) const;
  /// As attention sees them: [kv_heads * head_dim], keys after RoPE.
  std::vector<float> decoded_key(std::size_t i) const;
  std::vector<float> decoded_value(std::size_t i) const;
  /// Codes of a coded token, [columns]; empty when it is kept whole or in a format without codes.
  std::vector<std::uint16_t> codes(KvTensor tensor, std::size_t i) const;

  StoredBytes stored() const;
  KvBits stored_bits_of(KvTensor tensor) const;
  /// Share of full-precision keys and values that live in another tier (RETR): bytes there.
  std::uint64_t backing_bytes() const;

  const OpCounts& write_ops() const { return write_ops_; }
  const OpCounts& read_ops() const { return read_ops_; }
  const OpCounts& maintenance_ops() const { return maintenance_ops_; }

  const KvPlan& plan(KvTensor tensor) const { return side(tensor).coder.plan(); }
  /// Positions that the last attend fetched besides window and sinks (RETR), ascending, all heads.
  const std::vector<std::uint64_t>& fetched() const { return fetched_; }

  /// The definition itself: decodes every token again at every attend, one output at a time. The
  /// same bits, slowly.
  void use_reference(bool on) { reference_ = on; }

 private:
  struct Slot {  ///< one token of keys or values: whole, or a row of a chunk
    std::vector<float> whole;
    Format format = Format::fp16;
    std::shared_ptr<const KvChunk> chunk;
    std::size_t row = 0;
    std::uint32_t tier = 0;
    bool coded() const { return chunk != nullptr; }
  };
  struct Token {
    std::uint64_t position = 0;
    bool sink = false, salient = false, classified = false;
    float score = 0;  ///< attention received (accumulated)
    std::uint32_t seen = 0;
    std::vector<float> recent;             ///< of the last queries (SnapKV), oldest first
    std::vector<std::uint16_t> codewords;  ///< [kv_heads] retrieval index
    Slot slot[2];
  };
  struct Side {
    KvCoder coder;
    BoxRule rule;  ///< of what is coded now (a shrinking cache changes it)
    std::vector<float>
        decoded;  ///< keys [kv_heads][head_dim][capacity], values [heads][capacity][dim]
    std::vector<std::uint8_t> clean;  ///< [tokens] decoded is up to date
  };
  struct Query {
    std::uint64_t position = 0;
    std::vector<float> rows;
  };

  Side& side(KvTensor t) { return sides_[t == KvTensor::key ? 0 : 1]; }
  const Side& side(KvTensor t) const { return sides_[t == KvTensor::key ? 0 : 1]; }
  void append_token(std::span<const float> key, std::span<const float> key_pre,
                    std::span<const float> value, std::uint64_t position);
  std::vector<float> stored_values(std::size_t side, std::size_t token) const;
  void recode(std::size_t side, std::span<const std::size_t> tokens, const BoxRule& rule,
              OpCounts& ops);
  void settle(std::size_t side);
  void settle_window(std::size_t side);
  void settle_ages(std::size_t side);
  void settle_budget(std::size_t side);
  void demote();
  void recompress();
  void evict();
  void erase(const std::vector<std::uint8_t>& gone);
  std::vector<float> probe_scores();

  void grow(std::size_t tokens);
  void refresh_decoded(std::size_t side);
  void store_decoded(std::size_t side, std::size_t token, std::span<const float> row);
  std::vector<float> decode_token(std::size_t side, std::size_t token) const;
  std::vector<std::vector<std::uint8_t>> retrieve(std::span<const float> query_pre,
                                                  std::size_t visible, OpCounts& ops);
  std::vector<std::vector<std::uint8_t>> retrieve_pages(std::span<const float> query,
                                                        std::size_t visible, OpCounts& ops);
  void head_scores(std::size_t head, std::span<const float> query, std::size_t count,
                   std::span<float> scores) const;
  void head_context(std::size_t head, std::span<const float> p, std::span<float> out) const;
  void count_read(std::size_t visible, const std::vector<std::vector<std::uint8_t>>& selected);
  void touch(std::size_t side, std::size_t token);

  KvShape shape_;
  std::vector<double> frequencies_;
  KvCalibration calibration_;
  std::vector<Side> sides_;
  std::vector<Token> tokens_;
  std::size_t capacity_ = 0;
  std::vector<std::uint64_t> protected_;
  std::size_t sinks_held_ = 0;
  std::vector<Query> queries_;  ///< since the last refresh (ZipCache)
  bool compressed_before_ = false;
  std::size_t unclassified_ = 0;  ///< tokens since the last refresh (ZipCache)
  std::vector<std::uint64_t> fetched_;
  OpCounts write_ops_, read_ops_, maintenance_ops_, read_cache_;
  bool read_cache_valid_ = false;
  bool reference_ = false;
};

/// The first `count` distinct tokens that own the largest |elements| of hidden states
/// [tokens][hidden] (RotateKV's sinks): for KvCache::protect.
std::vector<std::uint64_t> tokens_of_largest_elements(std::span<const float> hidden,
                                                      std::size_t width, std::size_t count);

}  // namespace systole::quant
