// The 32-element formats with an fp16 scale. The contract is in blocks.hpp.
#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/ggml/blocks.hpp"
#include "quant/ggml/search.hpp"
#include "quant/ggml/to_code.hpp"
#include "quant/ggml/unpack.hpp"

namespace systole::quant {

namespace {

using ggml::Codes32;
using ggml::to_code;
using ggml::Unsigned32;

float reciprocal(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

/// Codes of trunc((x - shift) * inverse + offset).
Unsigned32 truncated(Elements32 x, float shift, float inverse, float offset, int largest) {
  Unsigned32 codes;
  for (std::size_t j = 0; j < 32; ++j) {
    codes[j] = static_cast<std::uint8_t>(to_code((x[j] - shift) * inverse + offset, 0, largest));
  }
  return codes;
}

struct Range {
  float min = std::numeric_limits<float>::max();
  float max = std::numeric_limits<float>::lowest();
};
Range range_of(Elements32 x) {
  Range r;
  for (const float v : x) {
    if (v < r.min) r.min = v;
    if (v > r.max) r.max = v;
  }
  return r;
}

/// d and the codes of Q8_0 and Q8_1.
struct Bytes8 {
  float d;
  Codes32 codes;
};
Bytes8 quantise_q8(Elements32 x) {
  Bytes8 result;
  result.d = ggml::extreme_of(x).magnitude / 127.0f;
  const float inverse = reciprocal(result.d);
  for (std::size_t j = 0; j < 32; ++j) {
    result.codes[j] = static_cast<std::int8_t>(to_code(std::round(x[j] * inverse), -128, 127));
  }
  return result;
}

template <class Block>
void decode_scaled(const Block& block, std::span<float, kGgmlBlock> x) {
  const float d = block.d.decode();
  const Codes32 q = ggml::integers_of(block);
  for (std::size_t j = 0; j < 32; ++j) x[j] = static_cast<float>(q[j]) * d;
}

template <class Block>
void decode_affine(const Block& block, std::span<float, kGgmlBlock> x) {
  const float d = block.d.decode();
  const float m = block.m.decode();
  const Codes32 q = ggml::integers_of(block);
  for (std::size_t j = 0; j < 32; ++j) x[j] = static_cast<float>(q[j]) * d + m;
}

}  // namespace

BlockQ4_0 encode_q4_0(Elements32 x) {
  const float d = ggml::extreme_of(x).value / -8.0f;
  BlockQ4_0 block;
  block.d = Fp16::encode(d);
  ggml::pack_nibbles<16>(truncated(x, 0.0f, reciprocal(d), 8.5f, 15), block.quants);
  return block;
}

BlockQ4_1 encode_q4_1(Elements32 x) {
  const Range r = range_of(x);
  const float d = (r.max - r.min) / 15.0f;
  BlockQ4_1 block;
  block.d = Fp16::encode(d);
  block.m = Fp16::encode(r.min);
  ggml::pack_nibbles<16>(truncated(x, r.min, reciprocal(d), 0.5f, 15), block.quants);
  return block;
}

BlockQ5_0 encode_q5_0(Elements32 x) {
  const float d = ggml::extreme_of(x).value / -16.0f;
  BlockQ5_0 block;
  block.d = Fp16::encode(d);
  const Unsigned32 codes = truncated(x, 0.0f, reciprocal(d), 16.5f, 31);
  ggml::pack_nibbles<16>(codes, block.quants);
  ggml::pack_fifth_bits(codes, block.high);
  return block;
}

BlockQ5_1 encode_q5_1(Elements32 x) {
  const Range r = range_of(x);
  const float d = (r.max - r.min) / 31.0f;
  BlockQ5_1 block;
  block.d = Fp16::encode(d);
  block.m = Fp16::encode(r.min);
  const Unsigned32 codes = truncated(x, r.min, reciprocal(d), 0.5f, 31);
  ggml::pack_nibbles<16>(codes, block.quants);
  ggml::pack_fifth_bits(codes, block.high);
  return block;
}

BlockQ8_0 encode_q8_0(Elements32 x) {
  const Bytes8 q = quantise_q8(x);
  return {Fp16::encode(q.d), q.codes};
}

BlockQ8_1 encode_q8_1(Elements32 x) {
  const Bytes8 q = quantise_q8(x);
  int sum = 0;
  for (const std::int8_t code : q.codes) sum += code;
  return {Fp16::encode(q.d), Fp16::encode(static_cast<float>(sum) * q.d), q.codes};
}

void decode(const BlockQ4_0& block, std::span<float, kGgmlBlock> x) { decode_scaled(block, x); }
void decode(const BlockQ4_1& block, std::span<float, kGgmlBlock> x) { decode_affine(block, x); }
void decode(const BlockQ5_0& block, std::span<float, kGgmlBlock> x) { decode_scaled(block, x); }
void decode(const BlockQ5_1& block, std::span<float, kGgmlBlock> x) { decode_affine(block, x); }
void decode(const BlockQ8_0& block, std::span<float, kGgmlBlock> x) { decode_scaled(block, x); }
void decode(const BlockQ8_1& block, std::span<float, kGgmlBlock> x) { decode_scaled(block, x); }

}  // namespace systole::quant
