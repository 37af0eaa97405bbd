// Encoders and decoders of ggml's block formats. The contract is in the header.
#include "quant/ggml/blocks.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "quant/check.hpp"

namespace systole::quant {

static_assert(std::endian::native == std::endian::little,
              "GGUF blocks are read in place as little endian");

namespace {

/// A float as an integer code. ggml lets C convert whatever it gets; we define what C does not: NaN
/// gives 0 and the rest saturates. Differs from ggml only for blocks with NaN, infinities or a d so
/// small that 1/d is infinite.
int to_code(float x, int low, int high) {
  if (std::isnan(x)) return 0;
  if (x <= static_cast<float>(low)) return low;
  if (x >= static_cast<float>(high)) return high;
  return static_cast<int>(x);  // towards zero
}

template <class Block, class Encode>
std::vector<std::uint8_t> encode_rows(std::span<const float> values, Encode encode) {
  require(values.size() % kGgmlBlock == 0, "a row of Q4_0 or Q8_0 has a multiple of 32 elements");
  std::vector<std::uint8_t> out(values.size() / kGgmlBlock * sizeof(Block));
  for (std::size_t b = 0; b < values.size() / kGgmlBlock; ++b) {
    const Block block = encode(values.subspan(b * kGgmlBlock).first<kGgmlBlock>());
    std::memcpy(out.data() + b * sizeof(Block), &block, sizeof(Block));
  }
  return out;
}

template <class Block>
std::vector<float> decode_rows(std::span<const std::uint8_t> bytes) {
  require(bytes.size() % sizeof(Block) == 0, "the bytes are not a whole number of blocks");
  const std::size_t blocks = bytes.size() / sizeof(Block);
  std::vector<float> out(blocks * kGgmlBlock);
  for (std::size_t b = 0; b < blocks; ++b) {
    Block block;
    std::memcpy(&block, bytes.data() + b * sizeof(Block), sizeof(Block));
    decode(block, std::span<float, kGgmlBlock>(out.data() + b * kGgmlBlock, kGgmlBlock));
  }
  return out;
}

}  // namespace

BlockQ4_0 encode_q4_0(std::span<const float, kGgmlBlock> x) {
  float largest = 0.0f;  // magnitude
  float extreme = 0.0f;  // the same with its sign
  for (const float v : x) {
    if (largest < std::fabs(v)) {
      largest = std::fabs(v);
      extreme = v;
    }
  }
  const float d = extreme / -8.0f;
  const float inverse = d != 0.0f ? 1.0f / d : 0.0f;
  BlockQ4_0 block;
  block.d = Fp16::encode(d);
  for (std::size_t j = 0; j < 16; ++j) {
    const int low = to_code(x[j] * inverse + 8.5f, 0, 15);
    const int high = to_code(x[j + 16] * inverse + 8.5f, 0, 15);
    block.quants[j] = static_cast<std::uint8_t>(low | (high << 4));
  }
  return block;
}

void decode(const BlockQ4_0& block, std::span<float, kGgmlBlock> x) {
  const float d = block.d.decode();
  for (std::size_t j = 0; j < 16; ++j) {
    x[j] = static_cast<float>((block.quants[j] & 0x0F) - 8) * d;
    x[j + 16] = static_cast<float>((block.quants[j] >> 4) - 8) * d;
  }
}

BlockQ8_0 encode_q8_0(std::span<const float, kGgmlBlock> x) {
  float largest = 0.0f;
  for (const float v : x) {
    if (largest < std::fabs(v)) largest = std::fabs(v);
  }
  const float d = largest / 127.0f;
  const float inverse = d != 0.0f ? 1.0f / d : 0.0f;
  BlockQ8_0 block;
  block.d = Fp16::encode(d);
  for (std::size_t j = 0; j < kGgmlBlock; ++j) {
    block.quants[j] = static_cast<std::int8_t>(to_code(std::round(x[j] * inverse), -128, 127));
  }
  return block;
}

void decode(const BlockQ8_0& block, std::span<float, kGgmlBlock> x) {
  const float d = block.d.decode();
  for (std::size_t j = 0; j < kGgmlBlock; ++j) x[j] = static_cast<float>(block.quants[j]) * d;
}

std::vector<std::uint8_t> encode_rows_q4_0(std::span<const float> values) {
  return encode_rows<BlockQ4_0>(values, encode_q4_0);
}
std::vector<std::uint8_t> encode_rows_q8_0(std::span<const float> values) {
  return encode_rows<BlockQ8_0>(values, encode_q8_0);
}
std::vector<std::uint8_t> encode_rows_f16(std::span<const float> values) {
  std::vector<std::uint8_t> out(values.size() * 2);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t bits = Fp16::encode(values[i]).to_bits();
    std::memcpy(out.data() + 2 * i, &bits, 2);
  }
  return out;
}
std::vector<float> decode_rows_q4_0(std::span<const std::uint8_t> bytes) {
  return decode_rows<BlockQ4_0>(bytes);
}
std::vector<float> decode_rows_q8_0(std::span<const std::uint8_t> bytes) {
  return decode_rows<BlockQ8_0>(bytes);
}
std::vector<float> decode_rows_f16(std::span<const std::uint8_t> bytes) {
  require(bytes.size() % 2 == 0, "the bytes are not a whole number of fp16 values");
  std::vector<float> out(bytes.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    out[i] = Fp16::from_bits(bits).decode();
  }
  return out;
}

}  // namespace systole::quant
