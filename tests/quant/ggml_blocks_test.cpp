// GGUF blocks against golden bytes and ggml's rules.
#include "quant/ggml/blocks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

namespace systole::quant {
namespace {

std::array<float, 32> ramp() {  // x_j = (j - 12) / 8
  std::array<float, 32> x{};
  for (std::size_t j = 0; j < 32; ++j) x[j] = (static_cast<float>(j) - 12.0f) / 8.0f;
  return x;
}

// Golden vectors of the quantization dossier, section 13.
TEST(GgmlBlocks, Q4_0HasTheGoldenBytes) {
  const BlockQ4_0 block = encode_q4_0(ramp());
  EXPECT_EQ(block.d.to_bits(), 0xB4C0);  // -0.296875: the signed extreme over -8
  EXPECT_THAT(block.quants, testing::ElementsAre(0x6d, 0x6d, 0x5c, 0x5c, 0x5b, 0x4b, 0x4b, 0x3a,
                                                 0x3a, 0x39, 0x29, 0x28, 0x18, 0x18, 0x07, 0x07));
}

TEST(GgmlBlocks, Q8_0HasTheGoldenCodes) {
  const BlockQ8_0 block = encode_q8_0(ramp());
  EXPECT_EQ(block.d.to_bits(), 0x24CA);
  EXPECT_THAT(std::vector<int>(block.quants.begin(), block.quants.begin() + 4),
              testing::ElementsAre(-80, -74, -67, -60));
  EXPECT_THAT(std::vector<int>(block.quants.end() - 4, block.quants.end()),
              testing::ElementsAre(107, 114, 120, 127));
}

TEST(GgmlBlocks, TheIntegerDotOfBothGoldenBlocksIsTheGoldenOne) {
  const BlockQ4_0 w = encode_q4_0(ramp());
  const BlockQ8_0 a = encode_q8_0(ramp());
  int dot = 0;
  for (std::size_t j = 0; j < 16; ++j) {
    dot += ((w.quants[j] & 15) - 8) * a.quants[j] + ((w.quants[j] >> 4) - 8) * a.quants[j + 16];
  }
  EXPECT_EQ(dot, -8824);
}

TEST(GgmlBlocks, Q4_0DecodesWithTheStoredFp16Scale) {
  BlockQ4_0 block;
  block.d = Fp16::encode(0.1f);
  block.quants.fill(0x0F);  // low nibble 15, high nibble 0
  std::array<float, 32> x{};
  decode(block, x);
  const float d = Fp16::encode(0.1f).decode();
  EXPECT_EQ(x[0], 7.0f * d);
  EXPECT_EQ(x[15], 7.0f * d);
  EXPECT_EQ(x[16], -8.0f * d);
  EXPECT_EQ(x[31], -8.0f * d);
}

TEST(GgmlBlocks, Q4_0UsesTheFirstOfEqualMagnitudesForItsSign) {
  std::array<float, 32> x{};
  x[3] = -4.0f;
  x[5] = 4.0f;  // same magnitude, later: d stays positive and +4 saturates at code 15
  const BlockQ4_0 block = encode_q4_0(x);
  EXPECT_EQ(block.d.decode(), 0.5f);
  EXPECT_EQ(block.quants[3] & 15, 0);
  EXPECT_EQ(block.quants[5] & 15, 15);
}

TEST(GgmlBlocks, Q8_0RoundsHalfAwayFromZero) {
  std::array<float, 32> x{};
  x[0] = 127.0f;  // d = 1
  x[1] = 0.5f;
  x[2] = -0.5f;
  x[3] = 2.5f;
  x[4] = 0.49f;
  const BlockQ8_0 block = encode_q8_0(x);
  EXPECT_THAT(std::vector<int>(block.quants.begin(), block.quants.begin() + 5),
              testing::ElementsAre(127, 1, -1, 3, 0));
}

TEST(GgmlBlocks, ABlockOfZerosHasScaleZeroAndDecodesToZeros) {
  const std::array<float, 32> zeros{};
  std::array<float, 32> back{};
  back.fill(1.0f);
  decode(encode_q4_0(zeros), back);
  EXPECT_THAT(back, testing::Each(0.0f));
  back.fill(1.0f);
  decode(encode_q8_0(zeros), back);
  EXPECT_THAT(back, testing::Each(0.0f));
}

TEST(GgmlBlocks, NonFiniteValuesAreDefinedAndDoNotTrap) {
  std::array<float, 32> x = ramp();
  x[0] = std::numeric_limits<float>::quiet_NaN();
  x[1] = std::numeric_limits<float>::infinity();
  encode_q4_0(x);
  encode_q8_0(x);
  x.fill(1e-42f);  // d is so small that 1/d is infinite
  encode_q4_0(x);
  EXPECT_EQ(encode_q8_0(x).quants[0], 127);
}

TEST(GgmlBlocks, RowsAreBlocksBackToBack) {
  std::vector<float> x(64);
  for (std::size_t i = 0; i < 64; ++i) x[i] = std::sin(static_cast<float>(i));
  const auto q4 = encode_rows_q4_0(x);
  const auto q8 = encode_rows_q8_0(x);
  ASSERT_EQ(q4.size(), 36u);
  ASSERT_EQ(q8.size(), 68u);
  const BlockQ8_0 second = encode_q8_0(std::span<const float, 32>(x.data() + 32, 32));
  EXPECT_EQ(std::memcmp(q8.data() + 34, &second, 34), 0);
  const auto back4 = decode_rows_q4_0(q4);
  const auto back8 = decode_rows_q8_0(q8);
  for (std::size_t i = 0; i < 64; ++i) {
    EXPECT_NEAR(back4[i], x[i], 1.0 / 8 + 1e-3);  // one step of an absmax of 1 (8 saturates to 7)
    EXPECT_NEAR(back8[i], x[i], 0.5 / 127 + 1e-3);
  }
}

TEST(GgmlBlocks, F16RowsRoundTripEveryCode) {
  std::vector<std::uint8_t> bytes(2 * 65536);
  for (std::size_t i = 0; i < 65536; ++i) {
    bytes[2 * i] = static_cast<std::uint8_t>(i & 0xFF);
    bytes[2 * i + 1] = static_cast<std::uint8_t>(i >> 8);
  }
  const auto values = decode_rows_f16(bytes);
  const auto back = encode_rows_f16(values);
  for (std::size_t i = 0; i < 65536; ++i) {
    if (std::isnan(values[i])) continue;
    ASSERT_EQ(back[2 * i], bytes[2 * i]);
    ASSERT_EQ(back[2 * i + 1], bytes[2 * i + 1]);
  }
}

TEST(GgmlBlocks, RefusesPartsOfBlocks) {
  EXPECT_THROW(encode_rows_q4_0(std::vector<float>(33)), std::invalid_argument);
  EXPECT_THROW(encode_rows_q8_0(std::vector<float>(31)), std::invalid_argument);
  EXPECT_THROW(decode_rows_q4_0(std::vector<std::uint8_t>(19)), std::invalid_argument);
  EXPECT_THROW(decode_rows_q8_0(std::vector<std::uint8_t>(33)), std::invalid_argument);
  EXPECT_THROW(decode_rows_f16(std::vector<std::uint8_t>(3)), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
