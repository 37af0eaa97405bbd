// The way of one tensor (keys or values) into the cache and back: transforms, outliers, boxes. A
// chunk is a set of tokens coded together; it never changes once made (maintenance makes new ones).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "quant/coded_matrix.hpp"
#include "quant/kv/box_codec.hpp"
#include "quant/kv/plan.hpp"
#include "quant/op_counts.hpp"
#include "quant/primitives/select.hpp"

namespace systole::quant {

/// What calibration found for one tensor of one layer; empty: not needed, or folded by the caller.
struct SideCalibration {
  std::vector<float> low, high;  ///< [width] range of each channel; beyond it is an outlier
  std::vector<float> encode_table, decode_table;  ///< normalised entries of a lut, ascending
  std::vector<std::uint32_t> order;               ///< PERM [width]: stored[i] = x[order[i]]
  std::vector<float> diag;                     ///< [width] factors of the DIAG that acts on arrival
  std::vector<float> top_channels;             ///< [width] factors of TOPCH, 1 elsewhere
  std::vector<float> rotation;                 ///< ROT: [head_dim][head_dim]
  std::vector<std::uint32_t> channel_classes;  ///< [head_dim] channels, the high class first
  float tensor_scale = 1.0f;                   ///< NVFP4
  Format format = Format::fp32;                ///< a bit map's entry; fp32: as the policy says
};

/// Bits held, by what they are. `full` are tokens kept whole (windows, sinks, salient ones).
struct KvBits {
  std::uint64_t codes = 0, metadata = 0, full = 0, sparse = 0, index = 0, padding = 0;
  std::uint64_t total() const { return codes + metadata + full + sparse + index + padding; }
  KvBits& operator+=(const KvBits& o);
  friend bool operator==(const KvBits&, const KvBits&) = default;
};

/// Tokens coded together.
struct KvChunk {
  BoxRule rule;
  std::size_t rows = 0;
  std::vector<std::uint16_t> codes;      ///< [rows][columns]; scalar rules and fp16, bf16
  std::vector<KvParameters> parameters;  ///< [boxes]: see KvCoder::box_index
  std::vector<SparseRow> outliers;       ///< [rows] when the plan keeps some
  std::vector<float> means;              ///< [rows][head_dim] MEAN(head), bf16
  std::vector<float> channel_scales;     ///< [width] DIAG when coded, fp16
  CodedMatrix matrix;                    ///< formats that are no scalar rule
  std::vector<float> decoded_matrix;     ///< its values
  KvBits stored;
  OpCounts read_once;   ///< a read of any of its tokens
  OpCounts read_token;  ///< a read of one of its tokens, besides
};

/// Boxes of `rows` tokens coded together.
std::size_t kv_boxes(const KvPlan& plan, std::size_t rows);
/// Exact bits of a chunk of `rows` tokens; padding is of its runs of codes, not of pages.
KvBits kv_chunk_bits(const KvPlan& plan, const BoxRule& rule, std::size_t rows);
/// Operations of reading one token of a chunk coded by `rule`, all heads; bytes not among them.
OpCounts kv_read_ops(const KvPlan& plan, const BoxRule& rule);
/// Operations of undoing on reading what is not undone at the query or the output, one token, RoPE
/// on read included. `diag_here`: a DIAG is not folded by the caller.
OpCounts kv_depart_ops(const KvPlan& plan, bool diag_here);
/// Elements that a block of a format with scales of its own covers (MX, NVFP4, GGUF); else 0.
std::size_t kv_block_length(Format format);

/// NORMATIVE. A value kept whole: rounded to the IEEE format, saturated at its largest finite value
/// (an infinite key would make every score of its head NaN).
float kept_whole(Format format, float value);

class KvCoder {
 public:
  /// Errors: std::invalid_argument when the plan needs a calibration that is missing or of a wrong
  /// size.
  KvCoder(KvPlan plan, SideCalibration calibration);
  const KvPlan& plan() const { return plan_; }
  const SideCalibration& calibration() const { return calibration_; }

  /// Transforms that act when a token comes, in place; where they are folded nothing is counted.
  void arrive(std::span<float> row, OpCounts& ops) const;
  /// Undoes on reading what is not undone at the query or the output, in place (without RoPE).
  void depart(std::span<float> row) const;
  /// What depart does to one token, as operations.
  OpCounts depart_ops() const;
  /// The query's part of transforms of keys, in place, [query_heads * head_dim].
  void transform_query(std::span<float> query, OpCounts& ops) const;
  /// The output's part of transforms of values (folded in the output projection), in place.
  void transform_output(std::span<float> out) const;

  /// Codes `rows` tokens [rows][width] in the plan's rule or another format.
  std::shared_ptr<const KvChunk> encode(std::span<const float> x, std::size_t rows,
                                        const BoxRule& rule, OpCounts& ops) const;
  /// Row `row` as it was on arrival, out [width].
  void decode(const KvChunk& chunk, std::size_t row, std::span<float> out) const;
  /// PM-KVQ: the same tokens in half the bits.
  std::shared_ptr<const KvChunk> shrink(const KvChunk& chunk, OpCounts& ops) const;

  KvBits chunk_bits(const BoxRule& rule, std::size_t rows) const {
    return kv_chunk_bits(plan_, rule, rows);
  }
  KvBits full_bits(Format format) const;  ///< of one token kept whole
  std::uint64_t static_bits() const;      ///< tables and factors held once a layer

 private:
  std::size_t boxes(std::size_t rows) const { return kv_boxes(plan_, rows); }
  std::size_t box_index(std::size_t row, std::size_t column) const;
  std::vector<float> to_columns(std::span<const float> x, std::size_t rows, KvChunk& chunk,
                                OpCounts& ops) const;
  void select_outliers_of(std::span<const float> x, KvChunk& chunk, OpCounts& ops) const;
  void encode_boxes(std::span<const float> columns, KvChunk& chunk, OpCounts& ops) const;
  void encode_matrix(std::span<const float> x, KvChunk& chunk, OpCounts& ops) const;
  void count_read(KvChunk& chunk) const;
  BoxTables tables() const { return {calibration_.encode_table, calibration_.decode_table}; }
  void check_calibration() const;
  float sparse_stored(float value) const;

  KvPlan plan_;
  SideCalibration calibration_;
};

}  // namespace systole::quant
