// The table, and how cases follow from kernel, shape, seed and values.
#include "quant/golden/kernels.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>

#include "quant/check.hpp"
#include "quant/golden/problems.hpp"
#include "quant/primitives/transform.hpp"

namespace systole::quant {

namespace golden {

namespace {

constexpr std::array<Format, 7> kIntegers = {Format::int2, Format::int3, Format::int4, Format::int5,
                                             Format::int6, Format::int7, Format::int8};
constexpr std::array<Format, 3> kScales = {Format::fp32, Format::fp16, Format::bf16};
constexpr std::array<std::size_t, 12> kGroups = {1, 2, 3, 4, 5, 8, 16, 31, 32, 64, 100, 128};
constexpr std::array<std::size_t, 10> kChunks = {1, 2, 3, 4, 7, 8, 15, 16, 17, 32};

/// One value of a kind that is not Values::normal, from a bell-shaped one and a die of 64 sides.
float bent(Stream& random, float v, Values values, int qmax) {
  const std::size_t dice = random.next() & 63;
  switch (values) {
    case Values::normal:
      break;
    case Values::outliers:
      return dice == 0 ? v * 1000.0f : v;
    case Values::ties:  // with a value of qmax among them the step is 1
      return dice == 0
                 ? static_cast<float>(qmax)
                 : static_cast<float>(random.below(static_cast<std::size_t>(4 * qmax) + 1)) * 0.5f -
                       static_cast<float>(qmax);
    case Values::extremes:
      return std::copysign(3.0f, v);
    case Values::zeros:
      return dice == 0 ? 1.0f : std::copysign(0.0f, v);
    case Values::subnormal:
      return v * (dice % 2 == 0 ? 0x1p-126f : 0x1p-140f);
    case Values::non_finite:
      if (dice == 0) return std::numeric_limits<float>::quiet_NaN();
      if (dice == 1) return std::copysign(std::numeric_limits<float>::infinity(), v);
      if (dice == 2) return std::copysign(std::numeric_limits<float>::max(), v);
      break;
  }
  return v;
}

void draw_affine(KernelCase& c, Stream& random) {
  c.weight.affine =
      random.pick(std::array{Affine::float_min, Affine::integer_zero, Affine::float_zero});
}

// Options of the entries below.

template <Format weight, Format activation>
void integer_options(KernelCase& c, Stream* random) {
  if (random == nullptr) {
    c.weight = usual_weight(weight, c.shape.k);
    c.activation = usual_activation(activation);
    return;
  }
  draw_weight(c, *random, weight);
  draw_activation(c, *random, activation);
}

void any_integer_options(KernelCase& c, Stream* random) {
  if (random == nullptr) return integer_options<Format::int4, Format::int8>(c, random);
  draw_weight(c, *random, draw_integer(*random));
  draw_activation(c, *random, draw_integer(*random));
}

void affine_options(KernelCase& c, Stream* random) {
  any_integer_options(c, random);
  c.weight.affine = Affine::integer_zero;
  if (random != nullptr) draw_affine(c, *random);
}

void no_options(KernelCase&, Stream*) {}

void fp16_options(KernelCase& c, Stream* random) {
  c.activation.format = c.weight.format = Format::fp16;
  c.chunk = c.shape.k;
  if (random != nullptr && random->below(4) != 0) c.chunk = random->pick(kChunks);
}

void codec_options(KernelCase& c, Stream* random) {
  any_integer_options(c, random);
  if (random != nullptr && random->below(4) != 0) draw_affine(c, *random);
}

/// One scale a row on both sides.
void row_options(KernelCase& c, Stream* random) {
  c.weight = usual_activation(random == nullptr ? Format::int4 : draw_integer(*random));
  c.weight.granularity = Granularity::channel;
  c.activation = usual_activation(random == nullptr ? Format::int8 : draw_integer(*random));
}

void tender_options(KernelCase& c, Stream*) {
  c.weight = c.activation = usual_activation(Format::int4);
  c.weight.granularity = Granularity::channel;
}

template <Format format>
void grid_options(KernelCase& c, Stream* random) {
  c.weight = usual_weight(format, c.shape.k);
  c.activation = usual_activation(Format::int8);
  if (random != nullptr) draw_weight(c, *random, format);
}

void iq4_options(KernelCase& c, Stream*) {
  c.shape.k = (c.shape.k + 31) / 32 * 32;
  c.weight.format = Format::iq4_nl;
  c.activation = usual_activation(Format::int8);
}

/// The paper's contract (pairs in a row, the larger outlier kept) and one scale each; drawn: any
/// granularity.
template <Format format>
void pair_options(KernelCase& c, Stream* random) {
  c.weight.format = c.activation.format = format;
  if (random != nullptr) {
    draw_weight(c, *random, format);
    draw_activation(c, *random, format);
    c.weight.scale = c.activation.scale = Format::fp32;
  }
  c.weight.contract = c.activation.contract = Contract::paper;
}

template <Format format, std::size_t block>
void block_options(KernelCase& c, Stream*) {
  c.weight.format = c.activation.format = format;
  c.shape.k = (c.shape.k + block - 1) / block * block;
}

template <Format format>
void unit_options(KernelCase& c, Stream* random) {
  fp16_options(c, random);
  c.weight.format = c.activation.format = format;
}

void figna_options(KernelCase& c, Stream*) {
  c.weight = usual_weight(Format::int4, c.shape.k);
  c.activation.format = Format::fp16;
}

template <Format format>
void bitmod_options(KernelCase& c, Stream* random) {
  c.weight.format = format;
  c.activation.format = Format::fp16;
  c.chunk = random == nullptr ? 128 : random->pick(std::array<std::size_t, 4>{16, 30, 64, 128});
}

void gemv_options(KernelCase& c, Stream* random) {
  codec_options(c, random);
  c.activation = {};
}

/// Tables: of any granularity.
template <Format format>
void table_options(KernelCase& c, Stream* random) {
  c.weight = usual_weight(format, c.shape.k);
  if (random != nullptr) draw_weight(c, *random, format);
}

/// The weight's format says how many of 8 stored planes are read.
void plane_options(KernelCase& c, Stream* random) {
  c.weight.format = random == nullptr ? Format::int4 : draw_integer(*random);
  require(c.shape.n <= kMostElements >> bits_of(c.weight.format),
          "verify: tables of more than 2^26 elements");
}

/// Tokens that share a scale: KIVI's 32.
void key_options(KernelCase& c, Stream* random) {
  c.chunk = random == nullptr ? 32 : draw_group(*random);
}

/// Bits of the fraction table.
void log_options(KernelCase& c, Stream* random) {
  c.activation = usual_activation(Format::int8);
  c.weight.format = Format::twinlog;
  c.chunk = random == nullptr ? 2 : random->below(9);
}

void fpma_options(KernelCase& c, Stream*) { c.activation.format = c.weight.format = Format::fp16; }

/// Blocks of the largest power of two that divides k, at most 128 (drawn: any that does).
void hadamard_options(KernelCase& c, Stream* random) {
  c.chunk = fwht_size(c.shape.k, random == nullptr ? 128 : std::size_t{1} << random->below(8));
}

constexpr std::string_view kAfterContract =
    "per group an exact int32 sum of code products; acc (fp32, from +0) = fma(float(sum), s_w, "
    "acc), groups ascending; a zero point enters as the header of gemm_dequantise_after says; "
    "out = acc * s_a, one rounding";

constexpr std::string_view kBlockContract =
    "products exact inside a block, one rounding to fp32; acc = fma(block sum, X_a * X_w, acc), "
    "blocks ascending; out = acc * (t_a * t_w)";
constexpr std::string_view kMxSource = "OCP Microscaling Formats 1.0";
constexpr std::string_view kUnitContract =
    "elements decoded, products in fp32, chunks summed from +0, then total = total + chunk sum";
constexpr std::string_view kBitmodContract =
    "four lanes a cycle, terms aligned with 3 guard bits and truncated, fp32 accumulator; group "
    "scale (8 bits) exact then one rounding; out = total * channel scale";
constexpr std::string_view kBitmodSource = "BitMoD (arXiv 2411.11745)";

constexpr std::string_view kDecodeContract =
    "each element decoded with one rounding, acc = fma(a, w, acc) in fp32 from +0, k ascending";

constexpr auto kKernels = std::to_array<GoldenKernel>({
    {"gemm_w4a8", "w int4 groups, a int8 token", kAfterContract, "MixPE (arXiv 2411.16158)", false,
     integer_options<Format::int4, Format::int8>, integer_gemm, 1},
    {"gemm_w8a8", "w int8 groups, a int8 token", kAfterContract, "MixPE (arXiv 2411.16158)", false,
     integer_options<Format::int8, Format::int8>, integer_gemm, 1},
    {"gemm_integer", "w int2-int8, a int2-int8", kAfterContract, "MixPE (arXiv 2411.16158)", false,
     any_integer_options, integer_gemm, 1},
    {"gemm_affine", "w uint2-uint8 with minimum or zero point, a int2-int8", kAfterContract,
     "MixPE (arXiv 2411.16158)", false, affine_options, integer_gemm, 1},
    {"gemm_fp32", "w fp32, a fp32",
     "acc (fp32, from +0) = fma(a, w, acc), one rounding a step, k ascending", "IEEE 754-2019",
     true, no_options, fp32_gemm, 1},
    {"gemm_fp16", "w fp16, a fp16",
     "products exact in fp32; each chunk of consecutive k summed in fp32 from +0, k ascending; "
     "then total = total + chunk sum, chunks ascending",
     "IEEE 754-2019; chunk = rows of a weight-stationary array", true, fp16_options, fp16_gemm, 1},
    {"quantise", "x fp32 to int2-int8 codes, any affine form",
     "fp32, IEEE division, round to nearest, ties to even: see quantise.hpp", "quantise.hpp", false,
     codec_options, integer_quantiser, 1},
    {"packing", "codes of 2-8 bits to bytes", "least significant bit first, no gaps: packing.hpp",
     "packing.hpp", false, codec_options, code_packing, 1},
    {"shift_add", "w int4 groups, a int8 token",
     "each product the sum of shifted copies of a gated by the bits of w, then as gemm_w4a8",
     "MixPE (arXiv 2411.16158)", false, integer_options<Format::int4, Format::int8>, shift_add_gemm,
     10},
    {"bit_plane", "w int2-int8 channel, a int2-int8 token",
     "sum over pairs of planes of +-2^(i+j) popcount(a_i AND w_j), int32; (float(sum) * s_w) * s_a",
     "ABQ-LLM (arXiv 2408.08554)", false, row_options, bit_plane_product, 10},
    {"lut", "w int2-int8 any form, a int8 token",
     "tables of the signed sums of four activations, one look-up a weight plane; exact, then as "
     "gemm_w4a8",
     "T-MAC (EuroSys 2025), LUT Tensor Core (ISCA 2025)", false, any_integer_options, lut_gemm, 10},
    {"grid_fp4", "w fp4_e2m1 groups, a int8 token",
     "element integers multiply exactly in int32 inside a group; acc = fma(float(sum) * unit, s_w, "
     "acc); out = acc * s_a",
     "accelerators.md 7.4", false, grid_options<Format::fp4_e2m1>, element_grid_gemm, 4},
    {"grid_int4", "w int4 groups, a int8 token", "as grid_fp4", "MixPE (arXiv 2411.16158)", false,
     grid_options<Format::int4>, element_grid_gemm, 4},
    {"grid_flint4", "w flint4 groups, a int8 token", "as grid_fp4", "ANT (MICRO 2022)", false,
     grid_options<Format::flint4>, element_grid_gemm, 4},
    {"grid_pot4", "w pot4 groups, a int8 token", "as grid_fp4", "ANT (MICRO 2022)", false,
     grid_options<Format::pot4>, element_grid_gemm, 4},
    {"grid_ternary", "w ternary groups, a int8 token", "as grid_fp4", "accelerators.md 7.4", false,
     grid_options<Format::ternary>, element_grid_gemm, 4},
    {"grid_base5", "w base5 groups, a int8 token", "as grid_fp4", "ABQ-LLM (arXiv 2408.08554)",
     false, grid_options<Format::base5>, element_grid_gemm, 4},
    {"grid_half", "w half groups, a int8 token", "as grid_fp4, in halves of a step",
     "QuEST (arXiv 2502.05003)", false, grid_options<Format::half>, element_grid_gemm, 4},
    {"grid_bitmod4", "w bitmod4 groups, a int8 token", "as grid_fp4", "BitMoD (arXiv 2411.11745)",
     false, grid_options<Format::bitmod4>, element_grid_gemm, 10},
    {"grid_iq4", "w iq4_nl blocks, a int8 token",
     "table entries multiply exactly in int32 inside a block of 32; acc = fma(float(sum), d, acc); "
     "out = acc * s_a",
     "ggml-org/ggml, src/ggml-common.h", false, iq4_options, iq4_table_gemm, 4},
    {"ovp_int4", "w and a ovp4_int, one scale each",
     "pairs decode to <exponent, integer>; product <a + c, b * d>, shifted and added in int32; "
     "out = fma(float(sum), s_w, 0) * s_a",
     "OliVe (arXiv 2304.07493)", false, pair_options<Format::ovp4_int>, ovp_pair_gemm, 4},
    {"ovp_flint4", "w and a ovp4_flint, one scale each", "as ovp_int4", "OliVe (arXiv 2304.07493)",
     false, pair_options<Format::ovp4_flint>, ovp_pair_gemm, 10},
    {"ovp_int8", "w and a ovp8_int, one scale each",
     "as ovp_int4; outliers reach 2^15, so the int32 sum wraps", "OliVe (arXiv 2304.07493)", false,
     pair_options<Format::ovp8_int>, ovp_pair_gemm, 10},
    {"tender", "w int4 channel, a int4 in six classes of channels",
     "classes from the largest scale down, accumulator shifted left at each boundary; "
     "out = fma(float(A), s_last, bias) * s_w",
     "Tender (ISCA 2024)", false, tender_options, tender_product, 10},
    {"mxfp4", "w and a mxfp4", kBlockContract, kMxSource, false, block_options<Format::mxfp4, 32>,
     block_scaled_product, 50},
    {"mxfp6_e3m2", "w and a mxfp6_e3m2", kBlockContract, kMxSource, false,
     block_options<Format::mxfp6_e3m2, 32>, block_scaled_product, 50},
    {"mxfp6_e2m3", "w and a mxfp6_e2m3", kBlockContract, kMxSource, false,
     block_options<Format::mxfp6_e2m3, 32>, block_scaled_product, 50},
    {"mxfp8_e4m3", "w and a mxfp8_e4m3", kBlockContract, kMxSource, false,
     block_options<Format::mxfp8_e4m3, 32>, block_scaled_product, 50},
    {"mxfp8_e5m2", "w and a mxfp8_e5m2", kBlockContract, kMxSource, false,
     block_options<Format::mxfp8_e5m2, 32>, block_scaled_product, 50},
    {"mxint8", "w and a mxint8", kBlockContract, kMxSource, false,
     block_options<Format::mxint8, 32>, block_scaled_product, 50},
    {"nvfp4", "w and a nvfp4", kBlockContract, "NVIDIA NVFP4", false,
     block_options<Format::nvfp4, 16>, block_scaled_product, 50},
    {"fp8_e4m3", "w and a fp8_e4m3, no scale", kUnitContract, "OCP OFP8", false,
     unit_options<Format::fp8_e4m3>, unit_product, 10},
    {"fp8_e5m2", "w and a fp8_e5m2, no scale", kUnitContract, "OCP OFP8", false,
     unit_options<Format::fp8_e5m2>, unit_product, 10},
    {"bf16", "w and a bf16", kUnitContract, "IEEE 754-2019", true, unit_options<Format::bf16>,
     unit_product, 10},
    {"figna", "w int4 groups, a fp16",
     "mantissas of a group aligned to its largest exponent (13 bits, truncated), exact integer "
     "sum, one rounding; acc = fma(sum, s_w, acc)",
     "FIGNA (HPCA 2024)", false, figna_options, figna_product, 10},
    {"bitmod_fp4", "w bitmod4 values, a fp16", kBitmodContract, kBitmodSource, false,
     bitmod_options<Format::bitmod4>, bitmod_product, 50},
    {"bitmod_int6", "w int6, a fp16", kBitmodContract, kBitmodSource, false,
     bitmod_options<Format::int6>, bitmod_product, 50},
    {"bitmod_int8", "w int8, a fp16", kBitmodContract, kBitmodSource, false,
     bitmod_options<Format::int8>, bitmod_product, 50},
    {"gemv", "w int2-int8 any form, x fp32",
     "each element decoded with one rounding, acc = fma(x, w, acc) in fp32, k ascending",
     "KIVI (arXiv 2402.02750), AWQ (arXiv 2306.00978)", false, gemv_options, dequantising_gemv, 1},
    {"gemv_folded", "w int2-int8 any form, x fp32",
     "per group dot = sum of x * code (fma) and xsum = sum of x; acc = fma(dot, s, acc), then "
     "fma(xsum, m, acc)",
     "KIVI (arXiv 2402.02750), AWQ (arXiv 2306.00978)", false, gemv_options, folded_gemv, 4},
    {"channel_scores", "m queries fp32, n tokens of k channels in 4 bits, groups along tokens",
     "key = fma(code, s, min); acc = fma(q, key, acc) from +0, channels ascending",
     "KIVI (arXiv 2402.02750)", false, key_options, channel_score_product, 2},
    {"channel_scores_folded", "as channel_scores",
     "b = sum of q * min (fma), q' = q * s rounded; acc = fma(q', code, acc) from b",
     "KIVI (arXiv 2402.02750)", false, key_options, folded_channel_score_product, 10},
    {"decode_nf4", "w nf4 groups, a fp32", kDecodeContract, "QLoRA (arXiv 2305.14314)", false,
     table_options<Format::nf4>, table_product, 4},
    {"decode_nf3", "w nf3 groups, a fp32", kDecodeContract, "QLoRA (arXiv 2305.14314)", false,
     table_options<Format::nf3>, table_product, 4},
    {"decode_lut", "w lut groups (16 entries, range and offset), a fp32", kDecodeContract,
     "KVQuant (arXiv 2401.18079)", false, table_options<Format::lut>, table_product, 4},
    {"any_precision", "w the leading 2-8 of 8 bit planes, a table a row; x fp32",
     "acc = fma(x, table[leading code], acc) in fp32 from +0, k ascending",
     "any-precision LLM, PMPD (arXiv 2410.13461)", false, plane_options, any_precision_product, 10},
    {"dense_sparse", "w int2-int8 any form beside fp32 outliers, a fp32",
     "the dense product as gemv, then acc = fma(outlier, a, acc), index ascending",
     "KVQuant (arXiv 2401.18079), SqueezeLLM (arXiv 2306.07629)", false, gemv_options,
     dense_sparse_product, 10},
    {"dense_sparse_lut", "w lut groups beside fp32 outliers, a fp32", "as dense_sparse",
     "GOBO (MICRO 2020)", false, table_options<Format::lut>, dense_sparse_table_product, 10},
    {"log", "w twin-log 2^(f + r / 2^chunk), a int8 token",
     "(a * T[r]) << f added exactly, one rounding to fp32; out = (sum * s_w) * s_a",
     "LRQ-DiT (arXiv 2508.03485)", false, log_options, log_product, 50},
    {"fixed", "a and w Q(i.f) of up to 16 bits",
     "each product rounded to the accumulator's fraction bits, then added, saturating or wrapping",
     "U-Net fixed point (arXiv 1908.01073)", false, no_options, fixed_point_product, 50},
    {"fpma", "a and w fp16",
     "product by adding magnitudes as integers (Mitchell), compensation in units of 2^-10; acc += "
     "product in fp32 from +0",
     "AxCore (MICRO 2025)", true, fpma_options, fpma_product, 50},
    {"conv", "3 x 3, image and kernel fp32: m pixels, n filters, k channels",
     "acc = fma(patch, kernel, acc) from +0, k in the order of the layout, padding +0",
     "implicit GEMM: conv2d.hpp", false, no_options, convolution, 100},
    {"attention", "m tokens (half int4, half fp16), n queries, head of k elements",
     "score = dot (fma) * scale; softmax; out = fma over tokens ascending", "mixed_attention.hpp",
     false, no_options, attention, 10},
    {"fwht", "n rows of k fp32",
     "butterflies of stride 1, 2, 4 ...: (a + b, a - b), each rounded; then times 1 / sqrt(n)",
     "transform.hpp", true, hadamard_options, hadamard, 10},
    {"top_k", "the m largest of each of n rows of k fp32",
     "descending; ties: the lower index first", "select.hpp", false, no_options, selection, 10},
    {"codebook", "m queries, n codewords of k fp32",
     "scores by fma from +0; nearest by squared distance, the lowest wins ties", "codebook.hpp",
     false, no_options, codebook_search, 1},
});

}  // namespace

std::vector<float> draw(Stream& random, std::size_t size, Values values, int qmax) {
  std::vector<float> x(size);
  for (float& v : x) {
    v = random.bell();
    if (values != Values::normal) v = bent(random, v, values, qmax);
  }
  return x;
}

std::size_t draw_group(Stream& random) { return random.pick(kGroups); }
Format draw_scale(Stream& random) { return random.pick(kScales); }
Format draw_integer(Stream& random) { return random.pick(kIntegers); }

QuantSpec usual_weight(Format format, std::size_t k) {
  QuantSpec spec;
  spec.format = format;
  spec.scale = Format::fp16;
  spec.granularity = Granularity::channel;
  for (const std::uint32_t group : {128u, 32u}) {
    if (k % group != 0 || spec.granularity == Granularity::group) continue;
    spec.granularity = Granularity::group;
    spec.group = group;
  }
  return spec;
}

QuantSpec usual_activation(Format format) {
  QuantSpec spec;
  spec.format = format;
  spec.granularity = Granularity::token;
  return spec;
}

void draw_weight(KernelCase& c, Stream& random, Format format) {
  c.weight = {};
  c.weight.format = format;
  c.weight.scale = draw_scale(random);
  c.weight.granularity = random.pick(std::array{Granularity::tensor, Granularity::channel,
                                                Granularity::group, Granularity::group});
  const std::size_t group = draw_group(random);
  const bool whole = random.below(8) != 0;
  if (c.weight.granularity != Granularity::group) return;
  c.weight.group = static_cast<std::uint32_t>(group);
  if (whole) c.shape.k = std::max<std::size_t>(1, c.shape.k / group) * group;
}

void draw_activation(KernelCase& c, Stream& random, Format format) {
  c.activation = {};
  c.activation.format = format;
  c.activation.granularity = random.below(4) == 0 ? Granularity::tensor : Granularity::token;
  c.activation.scale = draw_scale(random);
}

std::string text_of(float value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", value);
  return text.data();
}

Step step(std::string what, float accumulator) {
  return {std::move(what), Element::fp32, std::bit_cast<std::uint32_t>(accumulator)};
}
Step step(std::string what, std::int32_t accumulator) {
  return {std::move(what), Element::int32, static_cast<std::uint32_t>(accumulator)};
}

Array codes_of(std::string name, const QuantizedMatrix& matrix) {
  Array codes = array_of(std::move(name), {matrix.rows, matrix.cols},
                         std::span<const std::int8_t>(matrix.codes));
  if (matrix.spec.affine != Affine::symmetric) codes.type = Element::uint8;
  return codes;
}

Arrays arrays_of(const std::string& prefix, const QuantizedMatrix& matrix) {
  Arrays arrays{codes_of(prefix + "_codes", matrix)};
  arrays.push_back(array_of(prefix + "_scales", {matrix.rows, matrix.groups},
                            std::span<const float>(matrix.scales)));
  if (!matrix.zeros.empty()) {
    arrays.push_back(array_of(prefix + "_zeros", {matrix.rows, matrix.groups},
                              std::span<const float>(matrix.zeros)));
  }
  return arrays;
}

}  // namespace golden

std::span<const GoldenKernel> golden_kernels() { return golden::kKernels; }

const GoldenKernel& golden_kernel(std::string_view name) {
  const auto kernels = golden_kernels();
  const auto it = std::ranges::find(kernels, name, &GoldenKernel::name);
  require(it != kernels.end(), "verify: unknown kernel");
  return *it;
}

std::string describe(const KernelCase& c) {
  return std::string(c.kernel) + " " + std::to_string(c.shape.m) + " x " +
         std::to_string(c.shape.n) + " x " + std::to_string(c.shape.k) + " (m, n, k), a " +
         describe(c.activation) + ", w " + describe(c.weight) + ", chunk " +
         std::to_string(c.chunk) + ", " +
         std::string(kValuesNames[static_cast<std::size_t>(c.values)]) + " values, seed " +
         std::to_string(c.seed);
}

namespace {

void check_shape(GemmShape shape) {
  require(shape.m > 0 && shape.n > 0 && shape.k > 0, "verify: a shape without elements");
  for (const auto& [rows, cols] :
       {std::pair(shape.m, shape.n), std::pair(shape.m, shape.k), std::pair(shape.n, shape.k)}) {
    require(rows <= kMostElements && cols <= kMostElements / rows,
            "verify: a shape of more than 2^26 elements");
  }
  require(shape.m * shape.n <= kMostProducts / shape.k, "verify: more than 2^36 products");
}

}  // namespace

KernelCase golden_case(std::string_view name, GemmShape shape, std::uint64_t seed, Values values,
                       bool drawn) {
  const GoldenKernel& kernel = golden_kernel(name);
  check_shape(shape);
  require(values != Values::non_finite || kernel.non_finite,
          "verify: this kernel takes finite values only");
  KernelCase c;
  c.kernel = kernel.name;
  c.shape = shape;
  c.values = values;
  c.seed = seed;
  c.drawn = drawn;
  if (drawn) {
    Stream random(Stream(seed ^ 0x6F7074696F6E73u).next());  // a stream apart from the operands'
    c.threads = random.below(4) == 0 ? random.pick(std::array<unsigned, 3>{2, 3, 7}) : 1;
    kernel.options(c, &random);
  } else {
    c.threads = 2;
    kernel.options(c, nullptr);
  }
  check_shape(c.shape);  // whole blocks may be many times what was asked for
  return c;
}

}  // namespace systole::quant
