// The catalogue of formats and the short description of a policy.
#include "quant/format.hpp"

#include <algorithm>

namespace systole::quant {

using enum FormatClass;

namespace {
constexpr FormatInfo entry(Format f, FormatClass kind, std::string_view definition,
                           std::string_view source) {
  return {name_of(f), kind, bits_of(f), definition, source};
}
}  // namespace

// clang-format off
const std::array<FormatInfo, kFormatCount> kFormatCatalogue = {{
    entry(Format::fp32, ieee, "IEEE 754 binary32", "IEEE 754"),
    entry(Format::fp16, ieee, "IEEE 754 binary16", "IEEE 754"),
    entry(Format::bf16, ieee, "upper half of binary32, 8 exponent and 7 mantissa bits", "Google bfloat16"),
    entry(Format::int2, integer, "signed, symmetric: -1..1; affine forms: codes 0..3", "quantization.md F1-F4"),
    entry(Format::int3, integer, "signed, symmetric: -3..3; affine forms: codes 0..7", "quantization.md F1-F4"),
    entry(Format::int4, integer, "signed, symmetric: -7..7; affine forms: codes 0..15", "quantization.md F1-F4"),
    entry(Format::int5, integer, "signed, symmetric: -15..15; affine forms: codes 0..31", "quantization.md F1-F4"),
    entry(Format::int6, integer, "signed, symmetric: -31..31; affine forms: codes 0..63", "quantization.md F1-F4"),
    entry(Format::int7, integer, "signed, symmetric: -63..63; affine forms: codes 0..127", "quantization.md F1-F4"),
    entry(Format::int8, integer, "signed, symmetric: -127..127; affine forms: codes 0..255", "quantization.md F1-F4"),
    entry(Format::int1, integer, "sign: -1 or +1 times a scale", "VidKV (arXiv 2503.16257), PTQ1.61"),
    entry(Format::int9, integer, "signed, symmetric: -255..255; affine forms: codes 0..511", "quantization.md F1-F4"),
    entry(Format::int10, integer, "signed, symmetric: -511..511; affine forms: codes 0..1023", "quantization.md F1-F4"),
    entry(Format::int11, integer, "signed, symmetric: -1023..1023; affine forms: codes 0..2047", "quantization.md F1-F4"),
    entry(Format::int12, integer, "signed, symmetric: -2047..2047; affine forms: codes 0..4095", "quantization.md F1-F4"),
    entry(Format::int13, integer, "signed, symmetric: -4095..4095; affine forms: codes 0..8191", "quantization.md F1-F4"),
    entry(Format::int14, integer, "signed, symmetric: -8191..8191; affine forms: codes 0..16383", "quantization.md F1-F4"),
    entry(Format::int15, integer, "signed, symmetric: -16383..16383; affine forms: codes 0..32767", "quantization.md F1-F4"),
    entry(Format::int16, integer, "signed, symmetric: -32767..32767; affine forms: codes 0..65535", "quantization.md F1-F4"),
    entry(Format::uint1, integer, "unsigned: 0..1 times a scale", "quantization.md F4"),
    entry(Format::uint2, integer, "unsigned: 0..3 times a scale", "quantization.md F4"),
    entry(Format::uint3, integer, "unsigned: 0..7 times a scale", "quantization.md F4"),
    entry(Format::uint4, integer, "unsigned: 0..15 times a scale", "quantization.md F4"),
    entry(Format::uint5, integer, "unsigned: 0..31 times a scale", "quantization.md F4"),
    entry(Format::uint6, integer, "unsigned: 0..63 times a scale", "quantization.md F4"),
    entry(Format::uint7, integer, "unsigned: 0..127 times a scale", "quantization.md F4"),
    entry(Format::uint8, integer, "unsigned: 0..255 times a scale", "quantization.md F4"),
    entry(Format::uint9, integer, "unsigned: 0..511 times a scale", "quantization.md F4"),
    entry(Format::uint10, integer, "unsigned: 0..1023 times a scale", "quantization.md F4"),
    entry(Format::uint11, integer, "unsigned: 0..2047 times a scale", "quantization.md F4"),
    entry(Format::uint12, integer, "unsigned: 0..4095 times a scale", "quantization.md F4"),
    entry(Format::uint13, integer, "unsigned: 0..8191 times a scale", "quantization.md F4"),
    entry(Format::uint14, integer, "unsigned: 0..16383 times a scale", "quantization.md F4"),
    entry(Format::uint15, integer, "unsigned: 0..32767 times a scale", "quantization.md F4"),
    entry(Format::uint16, integer, "unsigned: 0..65535 times a scale", "quantization.md F4"),
    entry(Format::fp8_e4m3, minifloat, "1/4/3, bias 7, max 448, NaN S.1111.111, no infinity", "OCP OFP8; accelerators.md 7.1"),
    entry(Format::fp8_e5m2, minifloat, "1/5/2, bias 15, max 57344, IEEE-like infinity and NaN", "OCP OFP8; accelerators.md 7.1"),
    entry(Format::fp6_e3m2, minifloat, "1/3/2, bias 3, max 28, no NaN", "OCP MX 1.0"),
    entry(Format::fp6_e2m3, minifloat, "1/2/3, bias 1, max 7.5, no NaN", "OCP MX 1.0"),
    entry(Format::fp4_e2m1, minifloat, "1/2/1, bias 1: 0, .5, 1, 1.5, 2, 3, 4, 6 with sign", "OCP MX 1.0"),
    entry(Format::e8m0, minifloat, "power of two 2^(code - 127), 0xFF = NaN: a scale", "OCP MX 1.0"),
    entry(Format::ue4m3, minifloat, "E4M3 without a sign: a scale", "NVFP4; ggml"),
    entry(Format::mxfp4, block, "32 elements of E2M1 share an E8M0 scale", "OCP MX 1.0"),
    entry(Format::mxfp6_e3m2, block, "32 elements of E3M2 share an E8M0 scale", "OCP MX 1.0"),
    entry(Format::mxfp6_e2m3, block, "32 elements of E2M3 share an E8M0 scale", "OCP MX 1.0"),
    entry(Format::mxfp8_e4m3, block, "32 elements of E4M3 share an E8M0 scale", "OCP MX 1.0"),
    entry(Format::mxfp8_e5m2, block, "32 elements of E5M2 share an E8M0 scale", "OCP MX 1.0"),
    entry(Format::mxint8, block, "32 elements of INT8 times 2^-6 share an E8M0 scale", "OCP MX 1.0"),
    entry(Format::nvfp4, block, "16 elements of E2M1 share an E4M3 scale; one fp32 scale a tensor", "NVIDIA NVFP4; accelerators.md 7.3"),
    entry(Format::nf4, grid, "16 quantiles of a normal distribution in [-1, 1], times absmax", "QLoRA (arXiv 2305.14314)"),
    entry(Format::nf3, grid, "8 quantiles of a normal distribution in [-1, 1], times absmax", "as nf4, 3 bits"),
    entry(Format::lut, grid, "nearest of `levels` calibrated entries in [-1, 1], times range, plus offset", "KVQuant (arXiv 2401.18079), any-precision LLM"),
    entry(Format::flint4, grid, "0, 1, 2, 3, 4, 6, 8, 16 with sign (-0 unused)", "ANT (MICRO 2022); accelerators.md 1.2, 5"),
    entry(Format::uflint4, grid, "0..7, 8, 10, 12, 14, 16, 24, 32, 64", "ANT (MICRO 2022); accelerators.md 1.2, 5"),
    entry(Format::pot4, grid, "0 and the powers of two 1 .. 64 with sign (-0 unused)", "ANT (MICRO 2022)"),
    entry(Format::upot4, grid, "0 and the powers of two 1 .. 2^14", "ANT (MICRO 2022)"),
    entry(Format::bitmod3, grid, "0, 1, 2, 4 with sign; -0 becomes one of 3, -3, 6, -6, chosen by group", "BitMoD (HPCA 2025); accelerators.md 4.1"),
    entry(Format::bitmod4, grid, "0, 1, 2, 3, 4, 6, 8, 12 with sign; -0 becomes one of 10, -10, 16, -16, chosen by group", "BitMoD (HPCA 2025); accelerators.md 4.1"),
    entry(Format::half, grid, "odd multiples of half a step, no zero (bits from `levels`, default 16)", "QuEST (arXiv 2502.05003), F5"),
    entry(Format::sign, grid, "mean +- mean magnitude: one bit", "quantization.md F6"),
    entry(Format::ternary, grid, "-1, 0, +1 times a scale, two bits each", "VidKV, U-Net; F7"),
    entry(Format::ternary_b3, grid, "as ternary, five in a byte (base 3)", "quantization.md 2.2"),
    entry(Format::base5, grid, "-2..2 times a scale, three in seven bits (base 5)", "ABQ-LLM W2* (arXiv 2408.08554)"),
    entry(Format::levels, grid, "`levels` uniform levels, not a power of two, over the range", "BAQ (arXiv 2506.05664), F13"),
    entry(Format::fixed, grid, "signed fixed point Q(i.f): integer_bits and fraction_bits", "U-Net fixed point (arXiv 1908.01073), F11"),
    entry(Format::twinlog, grid, "sign and 2^(s (q + z)), s and z apart for each sign", "LRQ-DiT (arXiv 2508.03485), F10"),
    entry(Format::codebook, vector, "vectors of vector_length elements, nearest of 2^bits codewords", "A2ATS (arXiv 2502.12665), F12"),
    entry(Format::ovp4_int, pair, "pairs: two int4 (-7..7), or an E2M1 abfloat outlier (bias 2: 12..96) and its victim", "OliVe (ISCA 2023); accelerators.md 1"),
    entry(Format::ovp4_flint, pair, "pairs: two flint4, or an E2M1 abfloat outlier (bias 3: 24..192) and its victim", "OliVe (ISCA 2023); accelerators.md 1"),
    entry(Format::ovp8_int, pair, "pairs: two int8 (-127..127), or an E4M3 abfloat outlier and its victim", "OliVe (ISCA 2023); accelerators.md 1"),
    entry(Format::q4_0, gguf, "32: fp16 d; (q - 8) d; 18 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::q4_1, gguf, "32: fp16 d, m; q d + m; 20 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::q5_0, gguf, "32: fp16 d; (q - 16) d; 22 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::q5_1, gguf, "32: fp16 d, m; q d + m; 24 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::q8_0, gguf, "32: fp16 d; int8 q; 34 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::q2_k, gguf, "256: 16 groups of 16, 4-bit scales and minima; 84 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::q3_k, gguf, "256: 16 groups of 16, 6-bit scales; 110 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::q4_k, gguf, "256: 8 groups of 32, 6-bit scales and minima; 144 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::q5_k, gguf, "256: 8 groups of 32, 6-bit scales and minima; 176 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::q6_k, gguf, "256: 16 groups of 16, 8-bit scales; 210 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::iq4_nl, gguf, "32: fp16 d; 16 non-uniform int8 levels; 18 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::iq4_xs, gguf, "256: 8 groups of 32, 6-bit scales, levels of iq4_nl; 136 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::tq1_0, gguf, "256: ternary, five in a byte; 54 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::tq2_0, gguf, "256: ternary, four in a byte; 66 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
    entry(Format::gguf_mxfp4, gguf, "32: E8M0, E2M1; 17 bytes", "ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c"),
}};
// clang-format on

std::optional<Format> parse_format(std::string_view name) {
  const auto it = std::ranges::find(kFormatNames, name);
  if (it == kFormatNames.end()) return std::nullopt;
  return static_cast<Format>(it - kFormatNames.begin());
}

std::string describe(const QuantSpec& spec) {
  std::string text(name_of(spec.format));
  const FormatClass kind = info_of(spec.format).kind;
  if (kind == ieee || kind == block || kind == gguf) return text;
  text += spec.granularity == Granularity::group
              ? " g" + std::to_string(spec.group)
              : " " + std::string(kGranularityNames[static_cast<std::size_t>(spec.granularity)]);
  if (spec.affine != Affine::symmetric) {
    text += " " + std::string(kAffineNames[static_cast<std::size_t>(spec.affine)]);
  }
  return text;
}

}  // namespace systole::quant
