// The GGUF block formats, byte for byte as ggml stores them, with ggml's reference encoders (the
// `*_ref` functions) and decoders. Every struct names its bytes. Source of layouts, constants and
// of the order of every operation: ggml-org/ggml, src/ggml-common.h and src/ggml-quants.c (commit
// d99724f2, checked against it as tests/quant/ggml/README.md says).
//
// NORMATIVE. fp32, no fma, sums ascending. A block is encoded with fp32 scales and stores their
// fp16 rounding (RNE), so a code is chosen for a scale that differs from the stored one in the
// legacy formats; the K formats choose their codes a second time with the stored scales. NaN,
// infinities and blocks so small that a reciprocal is infinite are defined here (nothing traps) but
// not compared with ggml, which leaves them to C's undefined conversions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/float16.hpp"

namespace systole::quant {

inline constexpr std::size_t kGgmlBlock = 32;        ///< elements of a legacy block
inline constexpr std::size_t kGgmlSuperBlock = 256;  ///< elements of a K, IQ4_XS or TQ block
inline constexpr std::size_t kGgmlNvfp4Block = 64;   ///< elements of an NVFP4 block

/// The sixteen levels of IQ4_NL and IQ4_XS. Source: kvalues_iq4nl, src/ggml-common.h.
inline constexpr std::array<std::int8_t, 16> kIq4Levels = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
/// Twice the E2M1 values of MXFP4 and NVFP4: the scale decoded beside them is half of what it says.
inline constexpr std::array<std::int8_t, 16> kE2m1Doubled = {0, 1,  2,  3,  4,  6,  8,  12,
                                                             0, -1, -2, -3, -4, -6, -8, -12};

// ---- legacy formats: 32 elements, byte j of a nibble array holds elements j (low) and j + 16
// (high)

/// x = (q - 8) * d.
struct BlockQ4_0 {
  static constexpr std::size_t kElements = kGgmlBlock;
  Fp16 d;                               ///< bytes 0-1, little endian; may be negative
  std::array<std::uint8_t, 16> quants;  ///< bytes 2-17: nibbles
};
static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) == 2);

/// x = q * d + m.
struct BlockQ4_1 {
  static constexpr std::size_t kElements = kGgmlBlock;
  Fp16 d;                               ///< bytes 0-1
  Fp16 m;                               ///< bytes 2-3: the minimum
  std::array<std::uint8_t, 16> quants;  ///< bytes 4-19: nibbles
};
static_assert(sizeof(BlockQ4_1) == 20 && alignof(BlockQ4_1) == 2);

/// x = (q - 16) * d.
struct BlockQ5_0 {
  static constexpr std::size_t kElements = kGgmlBlock;
  Fp16 d;                            ///< bytes 0-1; may be negative
  std::array<std::uint8_t, 4> high;  ///< bytes 2-5: bit 4 of element j is bit j % 8 of high[j / 8]
  std::array<std::uint8_t, 16> quants;  ///< bytes 6-21: bits 0-3 as nibbles
};
static_assert(sizeof(BlockQ5_0) == 22 && alignof(BlockQ5_0) == 2);

/// x = q * d + m.
struct BlockQ5_1 {
  static constexpr std::size_t kElements = kGgmlBlock;
  Fp16 d;                               ///< bytes 0-1
  Fp16 m;                               ///< bytes 2-3
  std::array<std::uint8_t, 4> high;     ///< bytes 4-7, as in Q5_0
  std::array<std::uint8_t, 16> quants;  ///< bytes 8-23
};
static_assert(sizeof(BlockQ5_1) == 24 && alignof(BlockQ5_1) == 2);

/// x = q * d. Also the activations of Q4_0, Q5_0, Q8_0, IQ4_NL, MXFP4 and NVFP4.
struct BlockQ8_0 {
  static constexpr std::size_t kElements = kGgmlBlock;
  Fp16 d;                              ///< bytes 0-1, little endian
  std::array<std::int8_t, 32> quants;  ///< bytes 2-33
};
static_assert(sizeof(BlockQ8_0) == 34 && alignof(BlockQ8_0) == 2);

/// x = q * d. The activations of Q4_1 and Q5_1, which need the sum for their minimum.
struct BlockQ8_1 {
  static constexpr std::size_t kElements = kGgmlBlock;
  Fp16 d;                              ///< bytes 0-1
  Fp16 sum;                            ///< bytes 2-3: (sum of codes) * fp32 d, rounded
  std::array<std::int8_t, 32> quants;  ///< bytes 4-35
};
static_assert(sizeof(BlockQ8_1) == 36 && alignof(BlockQ8_1) == 2);

// ---- K formats: 256 elements in sub-blocks of 16 or 32

/// x = (d * scale) * q - dmin * min; 16 sub-blocks of 16.
struct BlockQ2_K {
  static constexpr std::size_t kElements = kGgmlSuperBlock;
  std::array<std::uint8_t, 16> scales;  ///< bytes 0-15: scale in bits 0-3, min in bits 4-7
  std::array<std::uint8_t, 64> quants;  ///< bytes 16-79: two bits; see low_two_bits in unpack.hpp
  Fp16 d;                               ///< bytes 80-81
  Fp16 dmin;                            ///< bytes 82-83
};
static_assert(sizeof(BlockQ2_K) == 84 && alignof(BlockQ2_K) == 2);

/// x = (d * (scale - 32)) * (q - 4); 16 sub-blocks of 16.
struct BlockQ3_K {
  static constexpr std::size_t kElements = kGgmlSuperBlock;
  std::array<std::uint8_t, 32>
      high;  ///< bytes 0-31: bit 2 of element e is bit e / 32 of high[e % 32]
  std::array<std::uint8_t, 64> quants;  ///< bytes 32-95: bits 0-1 as in Q2_K
  std::array<std::uint8_t, 12>
      scales;  ///< bytes 96-107: 16 of 6 bits; see scales_q3_k in unpack.hpp
  Fp16 d;      ///< bytes 108-109; may be negative
};
static_assert(sizeof(BlockQ3_K) == 110 && alignof(BlockQ3_K) == 2);

/// x = (d * scale) * q - dmin * min; 8 sub-blocks of 32.
struct BlockQ4_K {
  static constexpr std::size_t kElements = kGgmlSuperBlock;
  Fp16 d;                               ///< bytes 0-1
  Fp16 dmin;                            ///< bytes 2-3
  std::array<std::uint8_t, 12> scales;  ///< bytes 4-15: 8 scales, 8 minima of 6 bits (unpack.hpp)
  std::array<std::uint8_t, 128>
      quants;  ///< bytes 16-143: 32 bytes for 64 elements, low nibbles first
};
static_assert(sizeof(BlockQ4_K) == 144 && alignof(BlockQ4_K) == 2);

/// x = (d * scale) * q - dmin * min; 8 sub-blocks of 32.
struct BlockQ5_K {
  static constexpr std::size_t kElements = kGgmlSuperBlock;
  Fp16 d;                               ///< bytes 0-1
  Fp16 dmin;                            ///< bytes 2-3
  std::array<std::uint8_t, 12> scales;  ///< bytes 4-15, as in Q4_K
  std::array<std::uint8_t, 32>
      high;  ///< bytes 16-47: bit 4 of element e is bit e / 32 of high[e % 32]
  std::array<std::uint8_t, 128> quants;  ///< bytes 48-175: bits 0-3 as in Q4_K
};
static_assert(sizeof(BlockQ5_K) == 176 && alignof(BlockQ5_K) == 2);

/// x = (d * scale) * (q - 32); 16 sub-blocks of 16.
struct BlockQ6_K {
  static constexpr std::size_t kElements = kGgmlSuperBlock;
  std::array<std::uint8_t, 128>
      low;  ///< bytes 0-127: bits 0-3; of each 128 elements 64 bytes, e and e + 64
  std::array<std::uint8_t, 64>
      high;  ///< bytes 128-191: bits 4-5; of each 128 elements 32 bytes, as in Q2_K
  std::array<std::int8_t, 16> scales;  ///< bytes 192-207
  Fp16 d;                              ///< bytes 208-209; may be negative
};
static_assert(sizeof(BlockQ6_K) == 210 && alignof(BlockQ6_K) == 2);

/// x = d * q. Never stored in files: the activations of the K, IQ4_XS and TQ formats.
struct BlockQ8_K {
  static constexpr std::size_t kElements = kGgmlSuperBlock;
  float d;                              ///< bytes 0-3; may be negative
  std::array<std::int8_t, 256> quants;  ///< bytes 4-259
  std::array<std::int16_t, 16> sums;    ///< bytes 260-291: of each 16 codes
};
static_assert(sizeof(BlockQ8_K) == 292 && alignof(BlockQ8_K) == 4);

// ---- non-linear levels

/// x = d * kIq4Levels[q].
struct BlockIQ4_NL {
  static constexpr std::size_t kElements = kGgmlBlock;
  Fp16 d;                               ///< bytes 0-1; may be negative
  std::array<std::uint8_t, 16> quants;  ///< bytes 2-17: nibbles
};
static_assert(sizeof(BlockIQ4_NL) == 18 && alignof(BlockIQ4_NL) == 2);

/// x = (d * (scale - 32)) * kIq4Levels[q]; 8 sub-blocks of 32.
struct BlockIQ4_XS {
  static constexpr std::size_t kElements = kGgmlSuperBlock;
  Fp16 d;                     ///< bytes 0-1
  std::uint16_t scales_high;  ///< bytes 2-3: bits 4-5 of scale s at bit 2 s
  std::array<std::uint8_t, 4>
      scales_low;  ///< bytes 4-7: bits 0-3 of scale s, nibble s % 2 of byte s / 2
  std::array<std::uint8_t, 128>
      quants;  ///< bytes 8-135: 16 bytes a sub-block, nibbles j and j + 16
};
static_assert(sizeof(BlockIQ4_XS) == 136 && alignof(BlockIQ4_XS) == 2);

// ---- ternary

/// x = (t - 1) * d. A byte holds trits t0 t1 t2 t3 t4 as ceil(256/243 * (81 t0 + 27 t1 + 9 t2 + 3
/// t3 + t4)), so that multiplying by 3 moves the next one above bit 7.
struct BlockTQ1_0 {
  static constexpr std::size_t kElements = kGgmlSuperBlock;
  /// bytes 0-31: elements m + 32 n (n = 0..4) in byte m; 32-47: 160 + m + 16 n in byte 32 + m;
  /// 48-51: 240 + m + 4 n (n = 0..3, last trit 0) in byte 48 + m.
  std::array<std::uint8_t, 52> trits;
  Fp16 d;  ///< bytes 52-53
};
static_assert(sizeof(BlockTQ1_0) == 54 && alignof(BlockTQ1_0) == 2);

/// x = (q - 1) * d.
struct BlockTQ2_0 {
  static constexpr std::size_t kElements = kGgmlSuperBlock;
  std::array<std::uint8_t, 64> quants;  ///< bytes 0-63: two bits as in Q2_K
  Fp16 d;                               ///< bytes 64-65
};
static_assert(sizeof(BlockTQ2_0) == 66 && alignof(BlockTQ2_0) == 2);

// ---- microscaled FP4

/// x = E2M1(q) * 2^(e - 127).
struct BlockMXFP4 {
  static constexpr std::size_t kElements = kGgmlBlock;
  std::uint8_t e;                       ///< byte 0: E8M0; 255 is not a NaN here but 2^128
  std::array<std::uint8_t, 16> quants;  ///< bytes 1-16: nibbles
};
static_assert(sizeof(BlockMXFP4) == 17 && alignof(BlockMXFP4) == 1);

/// x = E2M1(q) * UE4M3(d); 4 sub-blocks of 16. Unlike NVFP4 elsewhere there is no tensor scale in
/// the block (a file has it as a tensor of its own).
struct BlockNVFP4 {
  static constexpr std::size_t kElements = kGgmlNvfp4Block;
  std::array<std::uint8_t, 4> scales;   ///< bytes 0-3: UE4M3; 0x7F counts as 0
  std::array<std::uint8_t, 32> quants;  ///< bytes 4-35: 8 bytes a sub-block, nibbles j and j + 8
};
static_assert(sizeof(BlockNVFP4) == 36 && alignof(BlockNVFP4) == 1);

// ---- encoders

using Elements32 = std::span<const float, kGgmlBlock>;
using Elements64 = std::span<const float, kGgmlNvfp4Block>;
using Elements256 = std::span<const float, kGgmlSuperBlock>;

/// d = m / -8 with m the signed value of the (first) largest magnitude; q = min(15, trunc(x * (1/d)
/// + 8.5)).
BlockQ4_0 encode_q4_0(Elements32 x);
/// d = (max - min) / 15; q = min(15, trunc((x - min) * (1/d) + 0.5)).
BlockQ4_1 encode_q4_1(Elements32 x);
/// d = m / -16 as in Q4_0; q = min(31, trunc(x * (1/d) + 16.5)).
BlockQ5_0 encode_q5_0(Elements32 x);
/// d = (max - min) / 31; q = trunc((x - min) * (1/d) + 0.5).
BlockQ5_1 encode_q5_1(Elements32 x);
/// d = absmax / 127; q = x * (1/d) rounded half away from zero.
BlockQ8_0 encode_q8_0(Elements32 x);
/// As Q8_0, with the sum of the codes times fp32 d.
BlockQ8_1 encode_q8_1(Elements32 x);

/// Scales and minima by search_affine (search.hpp: levels 3, weights |x|, absolute error, start
/// -0.5, 15 steps of 0.1) quantised to 4 bits with d = max / 15; then q = clamp(rne((x + dmin *
/// min) / (d * scale)), 0, 3) with the stored parameters.
BlockQ2_K encode_q2_k(Elements256 x);
/// Signed scales by search_symmetric_refined (magnitude 4) quantised to 6 bits with d = -1 / 32 of
/// the largest; q again with the stored ones.
BlockQ3_K encode_q3_k(Elements256 x);
/// As Q2_K in sub-blocks of 32: levels 15, weights rms + |x|, squared error, start -1, 20 steps of
/// 0.1; scales and minima of 6 bits with d = max / 63.
BlockQ4_K encode_q4_k(Elements256 x);
/// As Q4_K: levels 31, start -0.5, 15 steps.
BlockQ5_K encode_q5_k(Elements256 x);
/// Signed scales by search_symmetric (magnitude 32) quantised to 8 bits with 1/d = -128 / the
/// largest; q again with the stored ones.
BlockQ6_K encode_q6_k(Elements256 x);
/// 1/d = -127 / m with m the signed value of the (first) largest magnitude; q = min(127, rne(x /
/// d)). All zeros: everything 0 (ggml leaves the sums as they were).
BlockQ8_K encode_q8_k(Elements256 x);

/// The scale of the reference encoder is one weighted least-squares step (weights x^2) from the
/// levels nearest to x * -127 / m. A block with absmax < 1e-15 gets d = 0 and codes 8 (ggml: d = 0
/// and whatever codes its buffer held).
BlockIQ4_NL encode_iq4_nl(Elements32 x);
/// What ggml's file quantiser does: 15 candidates of scale, the least weighted error wins, levels
/// chosen again with the winner.
BlockIQ4_NL encode_iq4_nl_searched(Elements32 x);
/// Scales by the same 15 candidates, quantised to 6 bits with d = -(largest) / 32 (fp32, not its
/// fp16 rounding, for the levels).
BlockIQ4_XS encode_iq4_xs(Elements256 x);

/// d = absmax; t = x / d rounded half away from zero, plus 1.
BlockTQ1_0 encode_tq1_0(Elements256 x);
BlockTQ2_0 encode_tq2_0(Elements256 x);

/// e = floor(log2(absmax)) - 2 + 127, log2 rounded to fp32 before the floor (so values a few places
/// below a power of two count as it); q the nearest value, ties to the lower code (towards zero).
/// absmax < 2^-125: e = 0.
BlockMXFP4 encode_mxfp4(Elements32 x);
/// Scale = UE4M3(absmax / 6) rounded half up and, from 248 on, 448; q as in MXFP4.
BlockNVFP4 encode_nvfp4(Elements64 x);

// ---- decoders: one product, in the order the struct's formula says, and one sum where there is
// one

void decode(const BlockQ4_0& block, std::span<float, kGgmlBlock> x);
void decode(const BlockQ4_1& block, std::span<float, kGgmlBlock> x);
void decode(const BlockQ5_0& block, std::span<float, kGgmlBlock> x);
void decode(const BlockQ5_1& block, std::span<float, kGgmlBlock> x);
void decode(const BlockQ8_0& block, std::span<float, kGgmlBlock> x);
void decode(const BlockQ8_1& block, std::span<float, kGgmlBlock> x);
void decode(const BlockQ2_K& block, std::span<float, kGgmlSuperBlock> x);
void decode(const BlockQ3_K& block, std::span<float, kGgmlSuperBlock> x);
void decode(const BlockQ4_K& block, std::span<float, kGgmlSuperBlock> x);
void decode(const BlockQ5_K& block, std::span<float, kGgmlSuperBlock> x);
void decode(const BlockQ6_K& block, std::span<float, kGgmlSuperBlock> x);
void decode(const BlockQ8_K& block, std::span<float, kGgmlSuperBlock> x);
void decode(const BlockIQ4_NL& block, std::span<float, kGgmlBlock> x);
void decode(const BlockIQ4_XS& block, std::span<float, kGgmlSuperBlock> x);
void decode(const BlockTQ1_0& block, std::span<float, kGgmlSuperBlock> x);
void decode(const BlockTQ2_0& block, std::span<float, kGgmlSuperBlock> x);
void decode(const BlockMXFP4& block, std::span<float, kGgmlBlock> x);
void decode(const BlockNVFP4& block, std::span<float, kGgmlNvfp4Block> x);

// ---- scale bytes

/// Half of an E8M0 scale: 2^(e - 128), for every e (255 included).
float decode_e8m0_half(std::uint8_t e);
/// Half of a UE4M3 scale; bit 7 is ignored, 0x7F gives 0.
float decode_ue4m3_half(std::uint8_t code);
/// Half up, not half to even; not positive or NaN: 0; 248 and more: 0x7E (448).
std::uint8_t encode_ue4m3(float value);

// ---- rows of the three types earlier releases read; rows.hpp has all of them

/// Whole rows as bytes of a GGUF tensor. Encoders: values.size() must be a multiple of 32 (Q4_0,
/// Q8_0). Decoders: bytes.size() must be a whole number of blocks. Errors: std::invalid_argument.
std::vector<std::uint8_t> encode_rows_q4_0(std::span<const float> values);
std::vector<std::uint8_t> encode_rows_q8_0(std::span<const float> values);
std::vector<std::uint8_t> encode_rows_f16(std::span<const float> values);
std::vector<float> decode_rows_q4_0(std::span<const std::uint8_t> bytes);
std::vector<float> decode_rows_q8_0(std::span<const std::uint8_t> bytes);
std::vector<float> decode_rows_f16(std::span<const std::uint8_t> bytes);

}  // namespace systole::quant
