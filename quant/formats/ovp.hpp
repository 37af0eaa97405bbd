// Outlier-victim pairs (OliVe): two neighbours share one byte (4 bit) or two (8 bit); an outlier
// takes its neighbour's code as the mark that it is one, and the neighbour, the victim, becomes 0.
//
// Values here are in units of the integer grid, x / s with s = alpha / largest normal value. The
// released quantiser's grids, normalised so that the border is 32, are these times `unit`, a power
// of two, so every rounding is the same.
// Source: OliVe (ISCA 2023, arXiv 2304.07493) and clevercool/ANT-Quantization, olive_quantization;
// accelerators.md §1.1 - §1.7.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/coded_matrix.hpp"
#include "quant/format.hpp"
#include "quant/formats/abfloat.hpp"

namespace systole::quant {

/// What the slots of a pair hold.
struct OvpType {
  bool flint = false;  ///< normal values: flint, else integers
  unsigned bits = 4;
  bool is_signed = true;
  Abfloat outlier = kOutlierOfInt4;
  std::int32_t largest_normal = 7;
  float unit = 4.0f;  ///< the released quantiser's grid is ours times this
};
/// Of ovp4_int, ovp4_flint, ovp8_int. The contract decides the 8-bit outliers: E4M3 with bias 4 as
/// in the paper, E2M5 with bias 2 as the code makes for every width (where the released 8-bit path
/// is undefined: its 509 entries overrun a table of 256; this is what it would give with a long
/// enough one). Errors: std::invalid_argument for other formats.
OvpType ovp_type(Format format, Contract contract);
/// The grids of tensors without a negative value: 4 bit, outliers E2M2. Values only: no source says
/// which code would be the identifier.
OvpType ovp_unsigned_type(bool flint);

/// The identifier: 1000 or 1000'0000.
constexpr std::uint8_t ovp_identifier(const OvpType& t) {
  return static_cast<std::uint8_t>(1u << (t.bits - 1));
}

/// Where paper and code differ.
struct OvpRules {
  /// Of two outliers in a pair: keep the larger magnitude (left when equal), or the left one.
  bool keep_left = false;
  /// Pairs run over the flattened matrix, (2i, 2i+1), so with odd cols they straddle rows; else
  /// every row has its own, and an odd last element is a pair with a padding slot.
  bool flattened = false;
  /// In a flattened matrix of odd size the last element is a victim when the first is an outlier
  /// (the released code shifts its mask cyclically).
  bool wraps = false;
  /// Outlier: |x| > border * largest normal. 0: whatever is nearest (|x| >= 9.5, 1.357 alpha, for
  /// int4; >= 20, 1.25 alpha, for flint4).
  float border = 0.0f;
  float clip = 0.0f;   ///< outlier magnitudes are cut to this first; 0: only to the largest outlier
  float reach = 0.0f;  ///< values farther than this from every entry become 0; 0: no such limit
};
/// paper (corrected): the larger is kept, pairs by row, border at alpha, 8-bit outliers clipped to
/// 2^15 so that products stay in int32. code (reference): the left is kept, flattened, wraps,
/// nearest entry, values beyond 102400 units of the normalised grid become 0. `border` (0: the
/// contract's own) overrides where an outlier begins.
OvpRules ovp_rules(Format format, Contract contract, float border = 0.0f);
/// A border at which the nearest entry decides, for any type: pass to ovp_rules.
float ovp_nearest_border(const OvpType& type);

/// Normal and outlier grids, ascending, with sign.
std::vector<float> ovp_normal_grid(const OvpType& type);
std::vector<float> ovp_outlier_grid(const OvpType& type);

/// NORMATIVE. One value to its grid entry, before any victim. Scan of [normal ascending, outlier
/// ascending] for the least fp32 |x - entry|, starting from `reach`; a later entry wins ties (the
/// larger value inside a list, the outlier at the border). With a border, only the list of the kind
/// that it says. Without `reach`, x is clamped to +-min(clip, largest outlier) first.
float ovp_nearest_scan(float x, const OvpType& type, const OvpRules& rules);
/// The same bits by rounding instead of searching.
float ovp_nearest(float x, const OvpType& type, const OvpRules& rules);

/// A matrix in boxes: box i is elements [i * box, (i + 1) * box) of the flattened matrix.
struct OvpShape {
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t box = 0;  ///< elements that share a scale; divides rows * cols
};

/// NORMATIVE. Grid entries of a whole matrix: x / s in fp32 (s = 0 gives 0), ovp_nearest_scan, then
/// the victims: in each pair with an outlier (|q| > largest normal) the other becomes 0; with two,
/// rules.keep_left or the larger |values| decides. out has one entry an element, -0 never occurs.
/// Errors: std::invalid_argument when sizes disagree.
void ovp_quantise_scan(std::span<const float> values, const OvpShape& shape,
                       std::span<const float> scales, const OvpType& type, const OvpRules& rules,
                       std::span<float> out);
/// The same bits without searching.
void ovp_quantise(std::span<const float> values, const OvpShape& shape,
                  std::span<const float> scales, const OvpType& type, const OvpRules& rules,
                  std::span<float> out);

/// Kinds of pairs; a padded last element counts as a pair with a normal value.
struct PairCounts {
  std::uint64_t normal_normal = 0, outlier_normal = 0, outlier_outlier = 0;
  friend bool operator==(const PairCounts&, const PairCounts&) = default;
};
/// Pairs of a matrix by whether |x| > threshold (accelerators.md §1.1 has real models' figures).
PairCounts count_pairs(std::span<const float> values, std::size_t cols, float threshold);
/// Pairs as the format sees them, before victims.
PairCounts count_pairs(std::span<const float> values, const OvpShape& shape,
                       std::span<const float> scales, const OvpType& type, const OvpRules& rules);

// --- codes -------------------------------------------------------------------------------------
/// The two slots; left is the element of even index, in the low half of a byte of two nibbles, in
/// the first byte of two.
struct OvpPair {
  std::uint8_t left = 0, right = 0;
  friend bool operator==(const OvpPair&, const OvpPair&) = default;
};
struct OvpOperands {
  ExponentInteger left, right;
};
/// NORMATIVE. Entries after victims to codes: int normals two's complement, flint normals sign and
/// 3-bit flint, outliers abfloat beside the identifier. Errors: std::invalid_argument when a value
/// is no entry, or an outlier's neighbour is not 0.
OvpPair ovp_encode_pair(std::int32_t left, std::int32_t right, const OvpType& type);
/// NORMATIVE. Codes to operands: int normal <0, i>, flint normal as ant_operand, outlier <e + bias,
/// +-(2^mb + m)>, victim <0, 0>. Two identifiers decode to 0, 0.
OvpOperands ovp_decode_pair(OvpPair pair, const OvpType& type);

/// Slots of a matrix: cols rounded up to even a row, or the flattened size rounded up to even.
std::size_t ovp_slots(std::size_t rows, std::size_t cols, const OvpRules& rules);
/// Slot of element (row, col).
constexpr std::size_t ovp_slot(std::size_t row, std::size_t col, std::size_t cols,
                               const OvpRules& rules) {
  return row * (rules.flattened ? cols : cols + cols % 2) + col;
}
/// Entries after victims, [rows, cols], to slot codes; a padding slot is 0 or the identifier.
std::vector<std::uint16_t> ovp_encode_slots(std::span<const float> entries, std::size_t cols,
                                            const OvpType& type, const OvpRules& rules);
/// Operands of all elements [rows, cols]. Errors: std::invalid_argument when codes has another size
/// than ovp_slots or a code is too wide.
std::vector<ExponentInteger> ovp_decode_slots(std::span<const std::uint16_t> codes,
                                              std::size_t rows, std::size_t cols,
                                              const OvpType& type, const OvpRules& rules);
/// Operands [rows, cols] of an encoded matrix of a pair format.
std::vector<ExponentInteger> ovp_operands(const CodedMatrix& matrix);
/// The rules of a spec: those of its contract; where the scale search decides (automatic, olive)
/// range_value is the border in units of alpha, 0 the contract's own.
OvpRules ovp_rules(const QuantSpec& spec);
/// Slots as bytes: a pair is one byte at 4 bit, two at 8 bit; and back.
std::vector<std::uint8_t> ovp_pack(std::span<const std::uint16_t> codes, unsigned bits);
std::vector<std::uint16_t> ovp_unpack(std::span<const std::uint8_t> bytes, unsigned bits);

/// Values of a row-major matrix under one scale to bytes, and back (value = scale * entry,
/// rounded).
std::vector<std::uint8_t> ovp_encode(std::span<const float> values, std::size_t cols, float scale,
                                     const OvpType& type, const OvpRules& rules);
std::vector<float> ovp_decode(std::span<const std::uint8_t> bytes, std::size_t rows,
                              std::size_t cols, float scale, const OvpType& type,
                              const OvpRules& rules);

/// Largest |product| of two operands, and the K up to which an int32 sum of such products is exact:
/// 4 bit 192 * 192 = 36,864 and 58,254.
std::int64_t ovp_worst_product(const OvpType& a, const OvpRules& a_rules, const OvpType& w,
                               const OvpRules& w_rules);
std::uint64_t ovp_safe_k(std::int64_t worst_product);

// --- scale search --------------------------------------------------------------------------------
/// Candidates alpha = x0 * float(p * 0.01), p = low, low + step ... < high: 88 of them.
struct OliveCandidates {
  unsigned low = 75, high = 250, step = 2;
};
/// NORMATIVE. x0 = max(|mu + 3 sigma|, |mu - 3 sigma|), mu and sigma (n - 1 in the denominator, as
/// the released code has it; 0 for one element) in double, sums sequential, one rounding to fp32.
float olive_start(std::span<const float> values);

struct OliveScales {
  std::vector<float> scales;   ///< one a box: alpha / largest normal, as stored
  std::vector<double> errors;  ///< sum of squared errors of each box at that scale
  double total_error() const;  ///< boxes ascending
};
/// NORMATIVE. For each box the candidate with the least sum of (q * s - x)^2 over the full pass,
/// victims included; the first of equals. s = alpha / largest normal, then rounded to
/// `scale_format`; q * s and the difference are rounded to fp32, squares and sums (element
/// ascending) to double. Where a pair straddles two boxes both are taken at the same candidate.
OliveScales olive_search_scan(std::span<const float> values, const OvpShape& shape,
                              const OvpType& type, const OvpRules& rules,
                              Format scale_format = Format::fp32,
                              const OliveCandidates& candidates = {});
/// The same bits: all candidates of a pair at once, no table search. `threads` 0: as many as the
/// machine has, where the matrix is large enough; no number of threads changes a bit.
OliveScales olive_search(std::span<const float> values, const OvpShape& shape, const OvpType& type,
                         const OvpRules& rules, Format scale_format = Format::fp32,
                         const OliveCandidates& candidates = {}, std::size_t threads = 0);

/// ovp4_int or ovp4_flint, whichever has the smaller total squared error after its own search (int
/// when equal). `box` as OvpShape.
Format choose_ovp4(std::span<const float> values, const OvpShape& shape, Contract contract,
                   Format scale_format = Format::fp32);

}  // namespace systole::quant
