// The GGUF block formats of this release, byte for byte as ggml stores them: Q4_0, Q8_0 and F16
// rows. Source: ggml-org/ggml, src/ggml-common.h (layout) and src/ggml-quants.c (the *_ref encoders
// and decoders).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/float16.hpp"

namespace systole::quant {

inline constexpr std::size_t kGgmlBlock = 32;  ///< elements a block of Q4_0 and Q8_0

/// 32 weights: x[j] = (low nibble of quants[j] - 8) * d, x[j + 16] = (high nibble - 8) * d.
struct BlockQ4_0 {
  Fp16 d;                               ///< bytes 0-1, little endian; may be negative
  std::array<std::uint8_t, 16> quants;  ///< bytes 2-17
};
static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) == 2);

/// 32 values: x[j] = quants[j] * d.
struct BlockQ8_0 {
  Fp16 d;                              ///< bytes 0-1, little endian
  std::array<std::int8_t, 32> quants;  ///< bytes 2-33
};
static_assert(sizeof(BlockQ8_0) == 34 && alignof(BlockQ8_0) == 2);

/// d = m / -8 with m the signed value of the (first) largest magnitude; q = min(15, trunc(x * (1/d)
/// + 8.5)). Encodes with the fp32 d and stores its fp16 rounding, as ggml does.
BlockQ4_0 encode_q4_0(std::span<const float, kGgmlBlock> x);
void decode(const BlockQ4_0& block, std::span<float, kGgmlBlock> x);

/// d = absmax / 127; q = x * (1/d) rounded half away from zero. fp32 d for encoding, fp16 stored.
BlockQ8_0 encode_q8_0(std::span<const float, kGgmlBlock> x);
void decode(const BlockQ8_0& block, std::span<float, kGgmlBlock> x);

/// Whole rows as bytes of a GGUF tensor. Encoders: values.size() must be a multiple of 32 (Q4_0,
/// Q8_0). Decoders: bytes.size() must be a whole number of blocks. Errors: std::invalid_argument.
std::vector<std::uint8_t> encode_rows_q4_0(std::span<const float> values);
std::vector<std::uint8_t> encode_rows_q8_0(std::span<const float> values);
std::vector<std::uint8_t> encode_rows_f16(std::span<const float> values);
std::vector<float> decode_rows_q4_0(std::span<const std::uint8_t> bytes);
std::vector<float> decode_rows_q8_0(std::span<const std::uint8_t> bytes);
std::vector<float> decode_rows_f16(std::span<const std::uint8_t> bytes);

}  // namespace systole::quant
