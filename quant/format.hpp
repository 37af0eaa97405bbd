// The operand formats and how one tensor is quantised: names, bits, granularity, affine form, range
// rule, rounding. The catalogue (what each format means and where it comes from) is format.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace systole::quant {

/// An element or block format. The order is that of the catalogue and has no other meaning.
enum class Format : std::uint8_t {
  // what the integer kernels and every machine take
  fp32,
  fp16,
  bf16,
  int2,
  int3,
  int4,
  int5,
  int6,
  int7,
  int8,
  // the other integers: signed symmetric (one bit: the sign), and unsigned
  int1,
  int9,
  int10,
  int11,
  int12,
  int13,
  int14,
  int15,
  int16,
  uint1,
  uint2,
  uint3,
  uint4,
  uint5,
  uint6,
  uint7,
  uint8,
  uint9,
  uint10,
  uint11,
  uint12,
  uint13,
  uint14,
  uint15,
  uint16,
  // minifloats (accelerators.md §7.1) and scale formats
  fp8_e4m3,
  fp8_e5m2,
  fp6_e3m2,
  fp6_e2m3,
  fp4_e2m1,
  e8m0,
  ue4m3,
  // block formats with their own scales
  mxfp4,
  mxfp6_e3m2,
  mxfp6_e2m3,
  mxfp8_e4m3,
  mxfp8_e5m2,
  mxint8,
  nvfp4,
  // look-up and value-set formats
  nf4,
  nf3,
  lut,
  flint4,
  uflint4,
  pot4,
  upot4,
  bitmod3,
  bitmod4,
  half,
  sign,
  ternary,
  ternary_b3,
  base5,
  levels,
  fixed,
  twinlog,
  codebook,
  // outlier-victim pairs (OliVe)
  ovp4_int,
  ovp4_flint,
  ovp8_int,
  // GGUF blocks
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  tq1_0,
  tq2_0,
  gguf_mxfp4,
};
inline constexpr std::size_t kFormatCount = static_cast<std::size_t>(Format::gguf_mxfp4) + 1;

/// What kind of thing a format is: decides which codec encodes it.
enum class FormatClass : std::uint8_t {
  ieee,       ///< fp32, fp16, bf16: values as they are, no scale
  integer,    ///< intN, uintN with a scale and, for affine forms, a zero
  minifloat,  ///< element of 8 bits or fewer with a scale; also the scale formats themselves
  block,      ///< MX and NVFP4: elements and their block scales in one
  grid,       ///< a set of values times a scale: flint, PoT, NF4, BitMoD, ternary, LUT, levels ...
  pair,       ///< outlier-victim pairs
  vector,     ///< codewords of several elements
  gguf,       ///< a GGUF block, byte for byte
};

struct FormatInfo {
  std::string_view name;
  FormatClass kind;
  unsigned bits;                ///< of one code before packing
  std::string_view definition;  ///< one line
  std::string_view source;
};
/// The catalogue, indexed by Format.
extern const std::array<FormatInfo, kFormatCount> kFormatCatalogue;

inline constexpr auto kAllFormats = [] {
  std::array<Format, kFormatCount> all{};
  for (std::size_t i = 0; i < kFormatCount; ++i) all[i] = static_cast<Format>(i);
  return all;
}();
/// In the order of the enumeration; what files and options use.
inline constexpr std::array<std::string_view, kFormatCount> kFormatNames = {
    "fp32",      "fp16",       "bf16",       "int2",       "int3",       "int4",       "int5",
    "int6",      "int7",       "int8",       "int1",       "int9",       "int10",      "int11",
    "int12",     "int13",      "int14",      "int15",      "int16",      "uint1",      "uint2",
    "uint3",     "uint4",      "uint5",      "uint6",      "uint7",      "uint8",      "uint9",
    "uint10",    "uint11",     "uint12",     "uint13",     "uint14",     "uint15",     "uint16",
    "fp8_e4m3",  "fp8_e5m2",   "fp6_e3m2",   "fp6_e2m3",   "fp4_e2m1",   "e8m0",       "ue4m3",
    "mxfp4",     "mxfp6_e3m2", "mxfp6_e2m3", "mxfp8_e4m3", "mxfp8_e5m2", "mxint8",     "nvfp4",
    "nf4",       "nf3",        "lut",        "flint4",     "uflint4",    "pot4",       "upot4",
    "bitmod3",   "bitmod4",    "half",       "sign",       "ternary",    "ternary_b3", "base5",
    "levels",    "fixed",      "twinlog",    "codebook",   "ovp4_int",   "ovp4_flint", "ovp8_int",
    "q4_0",      "q4_1",       "q5_0",       "q5_1",       "q8_0",       "q2_k",       "q3_k",
    "q4_k",      "q5_k",       "q6_k",       "iq4_nl",     "iq4_xs",     "tq1_0",      "tq2_0",
    "gguf_mxfp4"};

constexpr std::string_view name_of(Format f) { return kFormatNames[static_cast<std::size_t>(f)]; }
/// Bits of one code before packing; of a GGUF or pair format, of its element.
constexpr unsigned bits_of(Format f) {
  constexpr std::array<std::uint8_t, kFormatCount> bits = {
      32, 16, 16, 2,  3,  4,  5,  6,  7,  8,                                  // fp32 ... int8
      1,  9,  10, 11, 12, 13, 14, 15, 16,                                     // int1, int9 ...
      1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,         // uint
      8,  8,  6,  6,  4,  8,  8,                                              // minifloats
      4,  6,  6,  8,  8,  8,  4,                                              // MX, NVFP4
      4,  3,  4,  4,  4,  4,  4,  3,  4,  4,  1,  2,  2,  3,  8,  8,  8, 12,  // grids, codebook
      4,  4,  8,                                                              // pairs
      4,  4,  5,  5,  8,  2,  3,  4,  5,  6,  4,  4,  2,  2,  4};             // GGUF
  return bits[static_cast<std::size_t>(f)];
}
/// int2 ... int8: what QuantizedMatrix holds and the integer kernels multiply.
constexpr bool is_integer(Format f) { return f >= Format::int2 && f <= Format::int8; }
constexpr bool is_ieee(Format f) { return f <= Format::bf16; }
/// Elements that share a scale of a block format: 32 (MX), 16 (NVFP4); 0 for the others.
constexpr unsigned block_length(Format f) {
  if (f == Format::nvfp4) return 16;
  return f >= Format::mxfp4 && f <= Format::mxint8 ? 32 : 0;
}

inline const FormatInfo& info_of(Format f) { return kFormatCatalogue[static_cast<std::size_t>(f)]; }

/// The format of that name, or nothing.
std::optional<Format> parse_format(std::string_view name);

/// What shares one scale. Rows are output channels of a weight [N, K], tokens of an activation [M,
/// K].
enum class Granularity : std::uint8_t {
  tensor,   ///< one scale for all
  channel,  ///< one a row of a weight
  token,    ///< one a row of an activation (and one a head and token of a KV cache)
  group,  ///< one for each `group` consecutive elements along K; falls back to one a row where K %
          ///< group != 0
};
inline constexpr std::array<std::string_view, 4> kGranularityNames = {"tensor", "channel", "token",
                                                                      "group"};

/// The three affine forms that are not interchangeable bit for bit (F1, F2, F3), and the symmetric
/// one (F4). Source: KIVI, ZipCache (float_min); AWQ, GPTQ (integer_zero); QServe KV4, KVQuant
/// (float_zero).
enum class Affine : std::uint8_t {
  symmetric,     ///< x = s * q, q signed, in [-(2^(b-1)-1), 2^(b-1)-1]
  float_min,     ///< x = s * q + m, q unsigned, m float
  integer_zero,  ///< x = s * (q - z), q and z unsigned integers
  float_zero,    ///< x = s * (q - z), q unsigned, z an unrounded float
};
inline constexpr std::array<std::string_view, 4> kAffineNames = {"symmetric", "float_min",
                                                                 "integer_zero", "float_zero"};

/// How the parameters of a box are found (axis S).
enum class RangeRule : std::uint8_t {
  automatic,  ///< absmax for symmetric forms and grids, minmax for affine ones
  minmax,
  absmax,
  absmax_signed,  ///< the signed value of largest magnitude (Q4_0); the scale may be negative
  clip,           ///< minmax or absmax times `range_value`
  percentile,     ///< the `range_value` percentile of magnitudes (100 = absmax)
  mse,            ///< grid search for the least squared error: see quantisers/range_search.hpp
  sigma,          ///< QuEST: c_b times the root mean square
  meanabs,        ///< mean of magnitudes (sign, ternary)
  kmeans,         ///< levels by (weighted) k-means (lut)
  olive,          ///< OliVe's search from 3 sigma (accelerators.md §1.6)
  output_mse,     ///< least error of the layer's output (AWQ's clip search): needs calibration
};
inline constexpr std::array<std::string_view, 12> kRangeRuleNames = {
    "automatic", "minmax", "absmax",  "absmax_signed", "clip",  "percentile",
    "mse",       "sigma",  "meanabs", "kmeans",        "olive", "output_mse"};

/// How a value between two codes is decided.
enum class Rounding : std::uint8_t {
  even,     ///< ties to the even code
  away,     ///< ties away from zero
  half_up,  ///< ties towards +infinity: floor(x + 1/2)
  down,     ///< ties towards zero (a strict "greater than" between neighbours)
  floor,    ///< towards -infinity, no rounding
};
inline constexpr std::array<std::string_view, 5> kRoundingNames = {"even", "away", "half_up",
                                                                   "down", "floor"};

/// Published variants of the block formats' scales.
enum class ScaleRule : std::uint8_t {
  standard,        ///< OCP MX: 2^(floor(log2 amax) - emax); NVFP4: scale rounded, then elements
  enlarged,        ///< MXFP4 of FP-Quant: the scale times 4/3, so the largest element is not cut
  sigma,           ///< MXFP4 "quest" mode: floor(log2(g * sigma))
  elements_first,  ///< NVFP4 of the BitMoD fork: elements by the unrounded scale, then it is
                   ///< rounded
};
inline constexpr std::array<std::string_view, 4> kScaleRuleNames = {"standard", "enlarged", "sigma",
                                                                    "elements_first"};

/// Where a paper and its released code differ. `reference` (also written `code`) does what the code
/// does, `corrected` (also `paper`) what the paper says.
enum class Contract : std::uint8_t { corrected, reference, paper, code };
inline constexpr std::array<std::string_view, 4> kContractNames = {"corrected", "reference",
                                                                   "paper", "code"};
constexpr bool follows_code(Contract c) { return c == Contract::reference || c == Contract::code; }

/// How one tensor is quantised. Float formats ignore everything but `format`.
struct QuantSpec {
  Format format = Format::fp32;
  Granularity granularity = Granularity::tensor;
  std::uint32_t group = 0;  ///< elements along K, for Granularity::group
  Affine affine = Affine::symmetric;
  /// How scales (and float minima or zeros) are stored: fp32, fp16, bf16; where the codec says so
  /// also e8m0, ue4m3, fp8_e4m3 and int8 (two-level, relative to the row).
  Format scale = Format::fp32;
  std::uint32_t zero_bits = 0;  ///< stored bits of one zero; 0: what the affine form takes
  RangeRule range = RangeRule::automatic;
  double range_value = 0;  ///< clip ratio, percentile; of pair formats under olive, the border
                           ///< of outliers in alphas (0: the contract's); 0 where there is none
  Rounding rounding = Rounding::even;
  ScaleRule scale_rule = ScaleRule::standard;
  Contract contract = Contract::corrected;
  /// Format::levels: how many; lut: entries (0: 16); half, twinlog: codes, a power of two (0: 16
  /// and 256); codebook: codewords (0: 4096).
  std::uint32_t levels = 0;
  std::uint32_t fraction_bits = 0;  ///< Format::fixed: f of Q(i.f), and
  std::uint32_t integer_bits = 0;   ///< i; the sign is one bit more
  std::uint32_t vector_length = 0;  ///< Format::codebook: elements a codeword

  friend bool operator==(const QuantSpec&, const QuantSpec&) = default;
};

/// As reports print it: "fp16", "int8 token", "int4 g128", "int4 g32 integer_zero".
std::string describe(const QuantSpec& spec);

}  // namespace systole::quant
