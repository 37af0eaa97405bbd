// Streams, interleaves, planes and bases: bytes worked out by hand, published words and orders, and
// that every inverse is one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <bit>
#include <cmath>

#include "quant/packing.hpp"

namespace systole::quant {
namespace {

using testing::ElementsAre;
using Codes = std::vector<std::uint16_t>;
using Bytes = std::vector<std::uint8_t>;

TEST(PackStream, GivesKivisWord) {
  // quantization.md §13: 0xEA50, LSB first in a 16-bit word.
  const Codes codes = {0, 0, 1, 1, 2, 2, 2, 3};
  EXPECT_EQ(pack_stream(codes, 2, {BitOrder::lsb, 16}), (Bytes{0x50, 0xEA}));
  // MSB first (PM-KVQ): 00 00 01 01 10 10 10 11 = 0x05AB, little-endian in memory.
  EXPECT_EQ(pack_stream(codes, 2, {BitOrder::msb, 16}), (Bytes{0xAB, 0x05}));
  EXPECT_EQ(pack_stream(codes, 2, {BitOrder::msb, 8}), (Bytes{0x05, 0xAB}));
  EXPECT_EQ(pack_stream(codes, 2, {BitOrder::msb, 32}), (Bytes{0, 0, 0xAB, 0x05}));
}

TEST(PackStream, RoundTripsEveryWidthOrderAndWord) {
  EXPECT_TRUE(rc::check("unpack_stream inverts pack_stream", [] {
    const auto bits = *rc::gen::inRange(1u, 17u);
    const WordOrder order{*rc::gen::element(BitOrder::lsb, BitOrder::msb),
                          *rc::gen::element(8u, 16u, 32u, 64u)};
    Codes codes = *rc::gen::arbitrary<Codes>();
    for (auto& c : codes) c = static_cast<std::uint16_t>(c & ((1u << bits) - 1));
    const Bytes packed = pack_stream(codes, bits, order);
    RC_ASSERT(packed.size() == stream_bytes(codes.size(), bits, order));
    RC_ASSERT(packed.size() % (order.word_bits / 8) == 0);
    RC_ASSERT(unpack_stream(packed, codes.size(), bits, order) == codes);
    const bool top = *rc::gen::arbitrary<bool>();
    RC_ASSERT(unpack_planes(pack_planes(codes, bits, top, order), codes.size(), bits, top, order) ==
              codes);
  }));
  EXPECT_THROW(stream_bytes(1, 4, {BitOrder::lsb, 24}), std::invalid_argument);
  EXPECT_THROW(unpack_stream(Bytes(1), 3, 4), std::invalid_argument);
}

TEST(PackParts, PutsHalvesAndQuartersInOneByte) {
  EXPECT_EQ(pack_parts(Codes{1, 2, 3, 4}, 2), (Bytes{0x31, 0x42}));  // ggml: element i and i + n/2
  EXPECT_EQ(pack_parts(Codes{3, 0, 1, 2, 2, 1, 0, 3}, 4), (Bytes{0b00'10'01'11, 0b11'01'10'00}));
  EXPECT_THROW(pack_parts(Codes{1, 2, 3}, 2), std::invalid_argument);
  EXPECT_TRUE(rc::check("unpack_parts inverts pack_parts", [] {
    const auto parts = *rc::gen::element(2u, 4u, 8u);
    Codes codes(*rc::gen::inRange<std::size_t>(0, 40) * parts);
    for (auto& c : codes) c = static_cast<std::uint16_t>(*rc::gen::inRange(0u, 1u << (8 / parts)));
    RC_ASSERT(unpack_parts(pack_parts(codes, parts), parts) == codes);
  }));
}

TEST(PackAwq, FollowsTheThreeReorderingsOneAfterTheOther) {
  // The published order built step by step on one tile of 4 x 64, with codes that name their place.
  std::vector<std::size_t> order;  // which column of a row stands at each place
  for (std::size_t run = 0; run < 64; run += 32) {
    std::vector<std::size_t> mixed;  // 0, 1, 8, 9, 16, 17, 24, 25, 2, 3, ...
    for (std::size_t pair = 0; pair < 8; pair += 2) {
      for (std::size_t eight = 0; eight < 32; eight += 8) {
        mixed.push_back(run + eight + pair);
        mixed.push_back(run + eight + pair + 1);
      }
    }
    EXPECT_THAT(std::vector<std::size_t>(mixed.begin(), mixed.begin() + 5),
                ElementsAre(run, run + 1, run + 8, run + 9, run + 16));
    for (std::size_t i = 0; i < 32; i += 8) {
      for (const std::size_t j : {0, 2, 4, 6, 1, 3, 5, 7}) order.push_back(mixed[i + j]);
    }
  }
  for (const std::size_t cols : {64u, 128u}) {
    Codes codes(8 * cols);
    for (std::size_t i = 0; i < codes.size(); ++i)
      codes[i] = static_cast<std::uint16_t>((i * 7 + i / 16) % 16);
    const Bytes packed = pack_awq(codes, 8, cols);
    ASSERT_EQ(packed.size(), codes.size() / 2);
    std::size_t nibble = 0;
    for (std::size_t four = 0; four < 8; four += 4) {
      for (std::size_t tile = 0; tile < cols; tile += 64) {
        for (std::size_t row = four; row < four + 4; ++row) {
          for (std::size_t place = 0; place < 64; ++place, ++nibble) {
            const unsigned found = packed[nibble / 2] >> (nibble % 2 * 4) & 15u;
            ASSERT_EQ(found, codes[row * cols + tile + order[place]]) << nibble;
          }
        }
      }
    }
    EXPECT_EQ(unpack_awq(packed, 8, cols), codes);
  }
  EXPECT_THROW(pack_awq(Codes(6 * 64), 6, 64), std::invalid_argument);
  EXPECT_THROW(pack_awq(Codes(4 * 32), 4, 32), std::invalid_argument);
}

TEST(PackPlanes, CountToTheDotProductOfThePublishedExample) {
  // quantization.md §13: W = [-2, 1, -1, 0], A = [3, 0, 2, 1], two bits each; popcounts 0, 1, 1, 2.
  const Codes w = {2, 1, 3, 0}, a = {3, 0, 2, 1};
  const Bytes wp = pack_planes(w, 2, false), ap = pack_planes(a, 2, false);
  const auto count = [&](std::size_t i, std::size_t j) {
    return std::popcount(static_cast<unsigned>(wp[i] & ap[j]));
  };
  EXPECT_EQ(count(0, 0), 0);
  EXPECT_EQ(count(0, 1), 1);
  EXPECT_EQ(count(1, 0), 1);
  EXPECT_EQ(count(1, 1), 2);
  EXPECT_EQ(count(0, 0) * 1 + count(0, 1) * 2 - count(1, 0) * 2 - count(1, 1) * 4, -8);
  const Bytes top = pack_planes(w, 2, true);
  EXPECT_EQ(top, (Bytes{wp[1], wp[0]}));
  // ABQ: MSB first in 32-bit words: the first of 32 codes is the highest bit.
  Codes first(32, 0);
  first[0] = 1;
  EXPECT_EQ(pack_planes(first, 1, true, {BitOrder::msb, 32}), (Bytes{0, 0, 0, 0x80}));
}

TEST(Radix, HoldsFiveBase3InAByteAndThreeBase5InSevenBits) {
  EXPECT_EQ(radix_layout(3), (CodeLayout{8, 5, 3, 1}));
  EXPECT_EQ(radix_layout(5), (CodeLayout{7, 3, 5, 1}));
  EXPECT_EQ(radix_layout(4), (CodeLayout{2, 1, 0, 1}));
  EXPECT_EQ(radix_layout(7), (CodeLayout{3, 1, 0, 1}));  // 7^5 takes 15 bits: no gain
  EXPECT_EQ(radix_layout(6), (CodeLayout{13, 5, 6, 1}));
  EXPECT_EQ(pack_radix(Codes{2, 1, 0, 2, 1}, radix_layout(3)),
            (Bytes{2 + 1 * 3 + 0 * 9 + 2 * 27 + 1 * 81}));
  EXPECT_EQ(pack_radix(Codes{4, 0, 3, 1}, radix_layout(5)),  // 79, then 1 from bit 7 on
            (Bytes{79 | 0x80, 0}));
  EXPECT_THROW(pack_radix(Codes{3}, radix_layout(3)), std::invalid_argument);
  EXPECT_THROW(radix_layout(1), std::invalid_argument);
}

TEST(Radix, ReportsCeilWordAndIdealSizes) {
  const RadixSizes three = radix_sizes(4000, 3);
  EXPECT_EQ(three.ceil_bits, 8000u);
  EXPECT_EQ(three.word_bits, 6400u);  // 1.6 a code
  EXPECT_NEAR(three.ideal_bits, 4000 * std::log2(3.0), 1e-6);
  const RadixSizes five = radix_sizes(3000, 5);
  EXPECT_EQ(five.word_bits, 7000u);  // 2.333
  EXPECT_NEAR(five.ideal_bits / 3000, 2.322, 5e-4);
}

TEST(Radix, IsNeverWorseThanWholeBitsNorBetterThanTheEntropyAndRoundTrips) {
  for (std::uint32_t levels = 2; levels <= 65536; levels = levels < 600 ? levels + 1 : levels * 2) {
    const CodeLayout l = radix_layout(levels);
    const auto ceil = static_cast<unsigned>(std::bit_width(levels - 1));
    ASSERT_LE(l.word_bits, ceil * l.symbols) << levels;
    ASSERT_GE(static_cast<double>(l.word_bits) + 1e-9, l.symbols * std::log2(levels));
    Codes codes(37);
    for (std::size_t i = 0; i < codes.size(); ++i)
      codes[i] = static_cast<std::uint16_t>((levels - 1 + i * 101) % levels);
    ASSERT_EQ(unpack_radix(pack_radix(codes, l), codes.size(), l), codes) << levels;
  }
}

}  // namespace
}  // namespace systole::quant
