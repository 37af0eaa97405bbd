// Encoders, decoders and products against ggml's own output: see README.md.
#include "tests/quant/ggml/golden.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "quant/ggml/blocks.hpp"
#include "quant/ggml/dot.hpp"
#include "quant/ggml/rows.hpp"
#include "tests/quant/ggml/inputs.hpp"

namespace systole::quant {
namespace {

using namespace ggml_test;

std::string hexadecimal(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t b : bytes) {
    text += digits[b >> 4];
    text += digits[b & 15];
  }
  return text;
}

template <class T>
std::uint64_t digest_of(const std::vector<T>& values) {
  return digest(values.data(), values.size() * sizeof(T));
}

/// The blocks that all digests of a type are of. IQ4_NL: none that ggml leaves undefined.
std::vector<std::uint8_t> blocks_of(GgmlType type) {
  return encode_rows(
      type, inputs(kBlocks, info_of(type).elements, kWeightSeed, type != GgmlType::iq4_nl));
}

class GgmlGolden : public testing::TestWithParam<Golden> {};

TEST_P(GgmlGolden, EncodesByteForByteAsGgml) {
  const std::vector<std::uint8_t> blocks = blocks_of(GetParam().type);
  // The first block shows where a difference lies; the digest decides.
  EXPECT_EQ(hexadecimal(std::span(blocks).first(info_of(GetParam().type).bytes)), GetParam().first);
  EXPECT_EQ(digest_of(blocks), GetParam().encoded);
}

TEST_P(GgmlGolden, DecodesBitForBitAsGgml) {
  if (GetParam().decoded == 0) return;  // Q8_1: ggml has none
  EXPECT_EQ(digest_of(decode_rows(GetParam().type, blocks_of(GetParam().type))),
            GetParam().decoded);
}

TEST_P(GgmlGolden, MultipliesBitForBitAsGgmlInItsScalarOrder) {
  if (GetParam().products == 0) return;  // activations only
  const GgmlTypeInfo& info = info_of(GetParam().type);
  const GgmlTypeInfo& activation = info_of(info.activation);
  const std::vector<std::uint8_t> blocks = blocks_of(info.type);
  const std::size_t k = kRowBlocks * info.elements;
  const std::size_t rows = kBlocks / kRowBlocks;
  const std::vector<float> x =
      inputs(rows * k / activation.elements, activation.elements, kActivationSeed, true);
  std::vector<float> products(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t row_bytes = kRowBlocks * info.bytes;
    ggml_gemm(info.type, std::span(blocks).subspan(r * row_bytes, row_bytes), 1, k,
              std::span(x).subspan(r * k, k), std::span(products).subspan(r, 1));
  }
  EXPECT_EQ(digest_of(products), GetParam().products);
}

INSTANTIATE_TEST_SUITE_P(Types, GgmlGolden, testing::ValuesIn(kGolden), [](const auto& instance) {
  return std::string(info_of(instance.param.type).name);
});

TEST(GgmlGolden, TheSearchedIq4NlEncoderIsGgmlsFileQuantiser) {
  const std::vector<float> x = inputs(kBlocks, 32, kWeightSeed, false);
  std::vector<std::uint8_t> bytes(kBlocks * sizeof(BlockIQ4_NL));
  for (std::size_t b = 0; b < kBlocks; ++b) {
    const BlockIQ4_NL block = encode_iq4_nl_searched(Elements32(x.data() + 32 * b, 32));
    std::memcpy(bytes.data() + b * sizeof block, &block, sizeof block);
  }
  EXPECT_EQ(digest_of(bytes), kGoldenIq4NlSearched);
}

}  // namespace
}  // namespace systole::quant
