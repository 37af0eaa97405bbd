// Bit packing: round trips of every length, and bytes worked out by hand.
#include "quant/packing.hpp"

#include <gtest/gtest.h>

namespace systole::quant {
namespace {

TEST(Packing, RoundTripsEveryWidthAndLength) {
  for (unsigned bits = 1; bits <= 8; ++bits) {
    for (std::size_t count = 0; count <= 130; ++count) {
      std::vector<std::int8_t> codes(count);
      const int half = 1 << (bits - 1);
      for (std::size_t i = 0; i < count; ++i) {
        codes[i] = static_cast<std::int8_t>(static_cast<int>(i * 37 % (1u << bits)) - half);
      }
      const auto packed = pack(codes, bits);
      ASSERT_EQ(packed.size(), (count * bits + 7) / 8);
      ASSERT_EQ(packed.size(), packed_bytes(count, bits));
      ASSERT_EQ(unpack(packed, count, bits, true), codes) << bits << " bits, " << count;
    }
  }
}

TEST(Packing, KeepsUnsignedCodesUnsigned) {
  const std::vector<std::int8_t> codes{0, 1, 14, 15};
  EXPECT_EQ(unpack(pack(codes, 4), 4, 4, false), codes);
}

TEST(Packing, PutsTheFirstCodeInTheLowestBits) {
  // KIVI's 2-bit example (quantization dossier, section 13): word 0xEA50, little endian.
  EXPECT_EQ(pack(std::vector<std::int8_t>{0, 0, 1, 1, 2, 2, 2, 3}, 2),
            (std::vector<std::uint8_t>{0x50, 0xEA}));
  // 3-bit codes straddle bytes: 101 111 001 -> 1 111 101 in the low byte's end, 0x7D, then 0 of
  // code 2.
  EXPECT_EQ(pack(std::vector<std::int8_t>{5, 7, 1}, 3), (std::vector<std::uint8_t>{0x7D, 0x00}));
}

TEST(Packing, LeavesTheUnusedBitsOfTheLastByteZero) {
  EXPECT_EQ(pack(std::vector<std::int8_t>{-1}, 3), (std::vector<std::uint8_t>{0x07}));
}

TEST(Packing, RefusesTooFewBytesAndImpossibleWidths) {
  EXPECT_THROW(unpack(std::vector<std::uint8_t>(2), 6, 3, false), std::invalid_argument);
  EXPECT_THROW(packed_bytes(1, 0), std::invalid_argument);
  EXPECT_THROW(packed_bytes(1, 17), std::invalid_argument);
  EXPECT_THROW(pack(std::vector<std::int8_t>{1}, 9), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
