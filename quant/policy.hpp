// A tensor policy: the ten axes that express every quantisation and KV-cache system of the field as
// data. Source of the axes: reference/quantization.md §2.1 (T is the recipe's list, F and S are in
// QuantSpec).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quant/format.hpp"

namespace systole::quant {

// --- G: granularity ----------------------------------------------------------------------------
enum class ParameterSource : std::uint8_t {
  fixed,      ///< "static": calibrated, the same for every input
  dynamic,    ///< computed when the box is written
  streaming,  ///< recomputed when a group of tokens closes
};
inline constexpr std::array<std::string_view, 3> kParameterSourceNames = {"static", "dynamic",
                                                                          "streaming"};

/// One level of nested scales. `box` counts the elements that share it: weights [outputs, inputs],
/// activations [tokens, channels], KV [tokens, heads, channels]; 0 is the whole axis.
struct Level {
  std::vector<std::uint32_t> box;
  ParameterSource parameters = ParameterSource::dynamic;
  Format scale = Format::fp16;
  std::uint32_t zero_bits = 0;  ///< of one zero or minimum; 0: none stored at this level
  friend bool operator==(const Level&, const Level&) = default;
};

// --- X: transforms -----------------------------------------------------------------------------
enum class TransformOp : std::uint8_t { diag, perm, had, rot, mean, fft, log2, chol, rope };
inline constexpr std::array<std::string_view, 9> kTransformOpNames = {
    "diag", "perm", "had", "rot", "mean", "fft", "log2", "chol", "rope"};
enum class TransformAxis : std::uint8_t { channel, heads_channel, head, token };
inline constexpr std::array<std::string_view, 4> kTransformAxisNames = {"channel", "heads_channel",
                                                                        "head", "token"};
enum class Where : std::uint8_t { fold, write, read, query };
inline constexpr std::array<std::string_view, 4> kWhereNames = {"fold", "write", "read", "query"};
/// How the factors of a DIAG or the order of a PERM are found.
enum class FactorRule : std::uint8_t {
  none,
  smoothquant,  ///< absmax(x)^alpha / absmax(w)^(1-alpha)
  awq,          ///< mean|x|^r, r searched on the output error
  smooth_key,   ///< QServe SmoothAttention: absmax(k)^alpha, tied in rotary pairs
  balance,      ///< MiKV: sqrt(max|q| / max|k|)
  sqrt_max,     ///< ZipCache: sqrt(max_t |x|)
  pair_max,     ///< FireQ: alpha over the largest pair magnitude
  channel_sum,  ///< RotateKV: order by calibrated channel sums
  hessian,      ///< GPTQ act-order: descending diag(H)
  range,        ///< VidKV: order by channel range
};
inline constexpr std::array<std::string_view, 10> kFactorRuleNames = {
    "none",     "smoothquant", "awq",         "smooth_key", "balance",
    "sqrt_max", "pair_max",    "channel_sum", "hessian",    "range"};

struct Transform {
  TransformOp op = TransformOp::had;
  TransformAxis axis = TransformAxis::channel;
  Where where = Where::write;
  std::uint32_t size = 0;  ///< points of a HAD, FFT or block of a ROT; 0: the whole axis
  FactorRule factors = FactorRule::none;
  double alpha = 0.5;  ///< exponent of the factor rule
  bool rope_pair_tied = false;
  friend bool operator==(const Transform&, const Transform&) = default;
};

// --- O: outliers -------------------------------------------------------------------------------
enum class OutlierKind : std::uint8_t {
  none,
  dense_sparse,   ///< DS: the largest values kept apart at full precision
  channel_class,  ///< CLASS: a fraction of the channels in another format
  protect,        ///< PROT: codes kept within a protective range
  clip,
  split,         ///< SPLIT: separate quantisers on both sides of `point`
  top_channels,  ///< TOPCH: the `count` worst channels scaled down
  constant,      ///< CONST: a precomputed full-precision result for the first token
};
inline constexpr std::array<std::string_view, 8> kOutlierKindNames = {
    "none", "dense_sparse", "channel_class", "protect",
    "clip", "split",        "top_channels",  "constant"};
struct OutlierPolicy {
  OutlierKind kind = OutlierKind::none;
  double fraction = 0;            ///< of elements (DS) or of channels in the high class (CLASS)
  std::uint32_t count = 0;        ///< DS: cap a token; TOPCH: channels
  std::uint32_t value_bits = 16;  ///< DS: of one kept value
  std::uint32_t index_bits = 16;  ///< DS: of one index
  bool dynamic = false;           ///< DS: top-k at run time instead of calibrated thresholds
  Format high = Format::fp16;     ///< CLASS: format of the high class
  std::int32_t high_bound = 0;    ///< PROT: codes lie within +- this
  std::uint32_t point = 0;        ///< SPLIT: first element of the second half; 0: half
  friend bool operator==(const OutlierPolicy&, const OutlierPolicy&) = default;
};

// --- K: tokens ---------------------------------------------------------------------------------
enum class TokenKind : std::uint8_t { all, sink, window, salient, evict, retrieve };
inline constexpr std::array<std::string_view, 6> kTokenKindNames = {"all",     "sink",  "window",
                                                                    "salient", "evict", "retrieve"};
enum class Flush : std::uint8_t { block, slide };
inline constexpr std::array<std::string_view, 2> kFlushNames = {"block", "slide"};
enum class Scorer : std::uint8_t {
  first,            ///< the first tokens
  hidden_max,       ///< RotateKV: owners of the largest |hidden|
  normalised,       ///< ZipCache: attention received over the probe rows that can see the token
  accumulated,      ///< H2O, MiKV: attention received so far
  snap,             ///< SnapKV: attention of the last queries
  text_similarity,  ///< VidKV STP
  page_bounds,      ///< Quest: least and largest key of a page's tokens, channel by channel
};
inline constexpr std::array<std::string_view, 7> kScorerNames = {
    "first", "hidden_max", "normalised", "accumulated", "snap", "text_similarity", "page_bounds"};
enum class Keep : std::uint8_t { score, representative };
inline constexpr std::array<std::string_view, 2> kKeepNames = {"score", "representative"};
/// What KVCrush measures the distance of a block's signature to.
enum class Anchor : std::uint8_t { random, zeros, ones, mean, alternating };
inline constexpr std::array<std::string_view, 5> kAnchorNames = {"random", "zeros", "ones", "mean",
                                                                 "alternating"};
/// One policy; several compose left to right.
struct TokenPolicy {
  TokenKind kind = TokenKind::all;
  std::uint32_t count = 0;  ///< SINK: tokens; WIN: R; EVICT: budget; RETR: local window
  Flush flush = Flush::block;
  Scorer scorer = Scorer::first;
  double ratio = 0;            ///< SAL: salient share; RETR: share fetched
  double probe = 0.1;          ///< share of query rows that score
  std::uint32_t refresh = 0;   ///< SAL: tokens between re-classifications
  Format high = Format::fp16;  ///< SAL: format of salient tokens (the policy's own is the low one)
  std::uint32_t block = 1;     ///< EVICT: tokens decided together; RETR, page_bounds: of a page
  Keep keep = Keep::score;
  std::uint32_t sinks = 0;            ///< RETR, EVICT: first tokens always kept
  std::uint32_t recent = 0;           ///< EVICT: newest tokens never evicted
  std::uint32_t queries = 8;          ///< EVICT, snap: newest queries that score
  std::uint32_t representatives = 0;  ///< EVICT: blocks of the budget for representatives
  Anchor anchor = Anchor::random;     ///< EVICT, representatives
  std::uint32_t codewords = 0;        ///< RETR: entries of the index codebook
  std::string tier = "dram";          ///< RETR: where the full cache lives: dram or host
  friend bool operator==(const TokenPolicy&, const TokenPolicy&) = default;

  bool by_pages() const { return kind == TokenKind::retrieve && scorer == Scorer::page_bounds; }
};

// --- P: precision schedule ---------------------------------------------------------------------
enum class ScheduleKind : std::uint8_t {
  fixed,
  map,
  phase,
  step,
  feedback,
  age,
  budget,
  spec,
  denoise
};
inline constexpr std::array<std::string_view, 9> kScheduleKindNames = {
    "static", "map", "phase", "step", "feedback", "age", "budget", "spec", "denoise"};
/// Which unit a MAP assigns formats to, and how it chooses.
enum class MapUnit : std::uint8_t { layer, group, column, channel, expert, linear };
inline constexpr std::array<std::string_view, 6> kMapUnitNames = {"layer",   "group",  "column",
                                                                  "channel", "expert", "linear"};
enum class Sensitivity : std::uint8_t {
  listed,      ///< `entries` say it
  weight_mse,  ///< squared error of the weights
  hessian,     ///< SliM, GPTQ: sum w^2 / [H^-1]_jj^2
  lim,         ///< -cos(layer input, layer output)
  zd,          ///< share of weights with z-score > 1
  baq,         ///< BAQ: equal weighted loss, fractional bits
  sqnr,        ///< MixDQ
  taylor,      ///< PM-KVQ: first-order error of the output
  output_mse,
  llama_mix,  ///< llama.cpp's mixed files, by the policy's own format: see ggml/mix.hpp
};
inline constexpr std::array<std::string_view, 10> kSensitivityNames = {
    "listed", "weight_mse", "hessian", "lim",        "zd",
    "baq",    "sqnr",       "taylor",  "output_mse", "llama_mix"};
/// What one step, age, phase or unit uses. Which fields matter depends on the kind.
struct ScheduleEntry {
  std::string match;  ///< MAP: layer number, range "0-3" or linear name; PHASE: prefill, decode
  double at = 0;      ///< STEP: first step; AGE: share of the newest tokens; FEEDBACK: threshold
  Format format = Format::fp32;
  friend bool operator==(const ScheduleEntry&, const ScheduleEntry&) = default;
};
struct Schedule {
  ScheduleKind kind = ScheduleKind::fixed;
  MapUnit unit = MapUnit::layer;
  Sensitivity sensitivity = Sensitivity::listed;
  double mean_bits = 0;            ///< MAP by sensitivity: the budget
  std::uint64_t budget_bytes = 0;  ///< BUDGET: of one layer's codes
  std::vector<ScheduleEntry> entries;
  friend bool operator==(const Schedule&, const Schedule&) = default;
};

// --- L: layout ---------------------------------------------------------------------------------
enum class BitOrder : std::uint8_t { lsb, msb };
inline constexpr std::array<std::string_view, 2> kBitOrderNames = {"lsb", "msb"};
enum class Interleave : std::uint8_t {
  none,
  halves,    ///< ggml, ZipCache 4 bit: element i with i + n/2
  quarters,  ///< ZipCache 2 bit
  awq,       ///< TinyChat v2 order
  planes,    ///< bit planes, see BitOrder for which comes first
};
inline constexpr std::array<std::string_view, 5> kInterleaveNames = {"none", "halves", "quarters",
                                                                     "awq", "planes"};
enum class Metadata : std::uint8_t { separate, inline_, page };
inline constexpr std::array<std::string_view, 3> kMetadataNames = {"separate", "inline", "page"};
struct Layout {
  std::uint32_t word_bits = 8;
  BitOrder order = BitOrder::lsb;
  Interleave interleave = Interleave::none;
  std::uint32_t page_tokens = 0;  ///< 0: no pages
  Metadata metadata = Metadata::separate;
  std::uint32_t align_bytes = 1;  ///< each page or tensor is padded to this
  friend bool operator==(const Layout&, const Layout&) = default;
};

// --- how weights are quantised offline -----------------------------------------------------------
enum class Method : std::uint8_t {
  rtn,     ///< each value to its nearest code
  gptq,    ///< error of each column moved to the later ones
  bitmod,  ///< special value per group by least squared error
  qoq,     ///< progressive: int8 by channel, then uint4 groups inside it
};
inline constexpr std::array<std::string_view, 4> kMethodNames = {"rtn", "gptq", "bitmod", "qoq"};
enum class TokenWeighting : std::uint8_t { uniform, rsq };
inline constexpr std::array<std::string_view, 2> kTokenWeightingNames = {"uniform", "rsq"};
struct QuantiserOptions {
  Method method = Method::rtn;
  bool act_order = false;
  double damp = 0.01;         ///< GPTQ: share of the mean diagonal
  std::uint32_t block = 128;  ///< GPTQ: columns processed together
  TokenWeighting weighting = TokenWeighting::uniform;
  bool q_norm = false;  ///< KVQuant: the decoding lut keeps mean and deviation
  friend bool operator==(const QuantiserOptions&, const QuantiserOptions&) = default;
};

/// One tensor's policy: QuantSpec (formats F, range rule S, and the innermost level of G), and the
/// other axes. A default policy is fp32.
struct TensorPolicy : QuantSpec {
  std::vector<Level> levels;          ///< outermost first; empty: one level as QuantSpec has it
  std::vector<Transform> transforms;  ///< in the order applied on the way in
  OutlierPolicy outliers;
  std::vector<TokenPolicy> tokens;
  Schedule schedule;
  Layout layout;
  QuantiserOptions quantiser;

  const QuantSpec& spec() const { return *this; }
  /// A plain policy: the spec, every other axis at its default.
  TensorPolicy& operator=(const QuantSpec& spec) {
    *this = TensorPolicy{};
    static_cast<QuantSpec&>(*this) = spec;
    return *this;
  }
  friend bool operator==(const TensorPolicy&, const TensorPolicy&) = default;
};

/// Whether a MAP's `match` ("3" or "0-3") names this layer; nothing when it names no layers.
std::optional<bool> layer_matches(std::string_view match, std::uint32_t layer);

/// Whether the policy is its QuantSpec and nothing more: what every kernel and machine of the
/// simple kind takes.
bool is_plain(const TensorPolicy& policy);

/// Whether the timed machine models the policy: one scale a tensor, channel, token or group beside
/// codes of a fixed width; whatever is done offline (quantiser, range search, folded transforms)
/// costs it nothing; a class of channels may have another format; a schedule may choose the format
/// by listed layers, linear layers or experts, by groups of channels, by phase, decode step,
/// confidence or between a draft and its verifier.
bool is_timed(const TensorPolicy& policy);

}  // namespace systole::quant
