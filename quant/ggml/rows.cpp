#include "quant/ggml/rows.hpp"

#include <bit>
#include <cstring>

#include "quant/bfloat16.hpp"
#include "quant/check.hpp"
#include "quant/float16.hpp"
#include "quant/ggml/blocks.hpp"

namespace systole::quant {

static_assert(std::endian::native == std::endian::little,
              "GGUF blocks are read in place as little endian");

namespace {

template <class Block>
void encode_blocks(std::span<const float> values,
                   Block (*encode)(std::span<const float, Block::kElements>), std::uint8_t* out) {
  for (std::size_t b = 0; b < values.size() / Block::kElements; ++b) {
    const Block block = encode(std::span<const float, Block::kElements>(
        values.data() + b * Block::kElements, Block::kElements));
    std::memcpy(out + b * sizeof(Block), &block, sizeof(Block));
  }
}

template <class Block>
void decode_blocks(std::span<const std::uint8_t> bytes, float* out) {
  for (std::size_t b = 0; b < bytes.size() / sizeof(Block); ++b) {
    Block block;
    std::memcpy(&block, bytes.data() + b * sizeof(Block), sizeof(Block));
    decode(block, std::span<float, Block::kElements>(out + b * Block::kElements, Block::kElements));
  }
}

template <class Float16>
void encode_floats(std::span<const float> values, std::uint8_t* out) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t bits = Float16::encode(values[i]).to_bits();
    std::memcpy(out + 2 * i, &bits, 2);
  }
}

template <class Float16>
void decode_floats(std::span<const std::uint8_t> bytes, float* out) {
  for (std::size_t i = 0; i < bytes.size() / 2; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    out[i] = Float16::from_bits(bits).decode();
  }
}

}  // namespace

std::vector<std::uint8_t> encode_rows(GgmlType type, std::span<const float> values) {
  std::vector<std::uint8_t> out(ggml_row_bytes(type, values.size()));
  if (out.empty()) return out;
  switch (type) {
    case GgmlType::f32:
      std::memcpy(out.data(), values.data(), out.size());
      break;
    case GgmlType::f16:
      encode_floats<Fp16>(values, out.data());
      break;
    case GgmlType::bf16:
      encode_floats<Bf16>(values, out.data());
      break;
    case GgmlType::q4_0:
      encode_blocks(values, encode_q4_0, out.data());
      break;
    case GgmlType::q4_1:
      encode_blocks(values, encode_q4_1, out.data());
      break;
    case GgmlType::q5_0:
      encode_blocks(values, encode_q5_0, out.data());
      break;
    case GgmlType::q5_1:
      encode_blocks(values, encode_q5_1, out.data());
      break;
    case GgmlType::q8_0:
      encode_blocks(values, encode_q8_0, out.data());
      break;
    case GgmlType::q8_1:
      encode_blocks(values, encode_q8_1, out.data());
      break;
    case GgmlType::q2_k:
      encode_blocks(values, encode_q2_k, out.data());
      break;
    case GgmlType::q3_k:
      encode_blocks(values, encode_q3_k, out.data());
      break;
    case GgmlType::q4_k:
      encode_blocks(values, encode_q4_k, out.data());
      break;
    case GgmlType::q5_k:
      encode_blocks(values, encode_q5_k, out.data());
      break;
    case GgmlType::q6_k:
      encode_blocks(values, encode_q6_k, out.data());
      break;
    case GgmlType::q8_k:
      encode_blocks(values, encode_q8_k, out.data());
      break;
    case GgmlType::iq4_nl:
      encode_blocks(values, encode_iq4_nl, out.data());
      break;
    case GgmlType::iq4_xs:
      encode_blocks(values, encode_iq4_xs, out.data());
      break;
    case GgmlType::tq1_0:
      encode_blocks(values, encode_tq1_0, out.data());
      break;
    case GgmlType::tq2_0:
      encode_blocks(values, encode_tq2_0, out.data());
      break;
    case GgmlType::mxfp4:
      encode_blocks(values, encode_mxfp4, out.data());
      break;
    case GgmlType::nvfp4:
      encode_blocks(values, encode_nvfp4, out.data());
      break;
  }
  return out;
}

void decode_rows(GgmlType type, std::span<const std::uint8_t> bytes, std::span<float> out) {
  const GgmlTypeInfo& info = info_of(type);
  require(bytes.size() % info.bytes == 0, "the bytes are not a whole number of GGUF blocks");
  require(out.size() == bytes.size() / info.bytes * info.elements,
          "the blocks do not decode to that many values");
  if (bytes.empty()) return;
  switch (type) {
    case GgmlType::f32:
      return void(std::memcpy(out.data(), bytes.data(), bytes.size()));
    case GgmlType::f16:
      return decode_floats<Fp16>(bytes, out.data());
    case GgmlType::bf16:
      return decode_floats<Bf16>(bytes, out.data());
    case GgmlType::q4_0:
      return decode_blocks<BlockQ4_0>(bytes, out.data());
    case GgmlType::q4_1:
      return decode_blocks<BlockQ4_1>(bytes, out.data());
    case GgmlType::q5_0:
      return decode_blocks<BlockQ5_0>(bytes, out.data());
    case GgmlType::q5_1:
      return decode_blocks<BlockQ5_1>(bytes, out.data());
    case GgmlType::q8_0:
      return decode_blocks<BlockQ8_0>(bytes, out.data());
    case GgmlType::q8_1:
      return decode_blocks<BlockQ8_1>(bytes, out.data());
    case GgmlType::q2_k:
      return decode_blocks<BlockQ2_K>(bytes, out.data());
    case GgmlType::q3_k:
      return decode_blocks<BlockQ3_K>(bytes, out.data());
    case GgmlType::q4_k:
      return decode_blocks<BlockQ4_K>(bytes, out.data());
    case GgmlType::q5_k:
      return decode_blocks<BlockQ5_K>(bytes, out.data());
    case GgmlType::q6_k:
      return decode_blocks<BlockQ6_K>(bytes, out.data());
    case GgmlType::q8_k:
      return decode_blocks<BlockQ8_K>(bytes, out.data());
    case GgmlType::iq4_nl:
      return decode_blocks<BlockIQ4_NL>(bytes, out.data());
    case GgmlType::iq4_xs:
      return decode_blocks<BlockIQ4_XS>(bytes, out.data());
    case GgmlType::tq1_0:
      return decode_blocks<BlockTQ1_0>(bytes, out.data());
    case GgmlType::tq2_0:
      return decode_blocks<BlockTQ2_0>(bytes, out.data());
    case GgmlType::mxfp4:
      return decode_blocks<BlockMXFP4>(bytes, out.data());
    case GgmlType::nvfp4:
      return decode_blocks<BlockNVFP4>(bytes, out.data());
  }
}

std::vector<float> decode_rows(GgmlType type, std::span<const std::uint8_t> bytes) {
  const GgmlTypeInfo& info = info_of(type);
  std::vector<float> out(bytes.size() / info.bytes * info.elements);
  decode_rows(type, bytes, out);
  return out;
}

std::vector<std::uint8_t> encode_rows_q4_0(std::span<const float> values) {
  return encode_rows(GgmlType::q4_0, values);
}
std::vector<std::uint8_t> encode_rows_q8_0(std::span<const float> values) {
  return encode_rows(GgmlType::q8_0, values);
}
std::vector<std::uint8_t> encode_rows_f16(std::span<const float> values) {
  return encode_rows(GgmlType::f16, values);
}
std::vector<float> decode_rows_q4_0(std::span<const std::uint8_t> bytes) {
  return decode_rows(GgmlType::q4_0, bytes);
}
std::vector<float> decode_rows_q8_0(std::span<const std::uint8_t> bytes) {
  return decode_rows(GgmlType::q8_0, bytes);
}
std::vector<float> decode_rows_f16(std::span<const std::uint8_t> bytes) {
  return decode_rows(GgmlType::f16, bytes);
}

}  // namespace systole::quant
