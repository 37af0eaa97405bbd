// Bank conflicts: the closed forms against banks stepped cycle by cycle.
#include "memory/bank_conflicts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "sim/core/random.hpp"

namespace systole::memory {
namespace {

using configs::BankPorts;
using configs::ScratchpadConfig;
using configs::ScratchpadLayout;

/// Banks with ports, word by word: the definition.
std::uint64_t stepped(const WordStream& reads, std::uint64_t writes, std::uint64_t banks,
                      BankPorts ports) {
  std::vector<std::uint64_t> asked(banks), queued(banks);
  for (std::uint64_t w = 0; w < writes; ++w) ++queued[w % banks];
  std::uint64_t fetch = 0, cycle = 0;
  const auto ask = [&] {
    for (std::uint64_t l = 0; l < reads.lanes; ++l) {
      ++asked[(fetch * reads.fetch_stride + l * reads.lane_stride) % banks];
    }
  };
  const auto any = [](const std::vector<std::uint64_t>& words) {
    return std::ranges::any_of(words, [](std::uint64_t n) { return n > 0; });
  };
  if (reads.fetches > 0) ask();
  while (fetch < reads.fetches || any(queued)) {
    ++cycle;
    for (std::uint64_t b = 0; b < banks; ++b) {
      std::uint64_t shared = ports == BankPorts::rw2 ? 2 : 1;
      std::uint64_t own = ports == BankPorts::r1w1 ? 1 : 0;  // for writes alone
      for (; shared > 0 && asked[b] > 0; --shared) --asked[b];
      if (ports != BankPorts::r1w1) own = shared;
      for (; own > 0 && queued[b] > 0; --own) --queued[b];
    }
    if (fetch < reads.fetches && !any(asked) && ++fetch < reads.fetches) ask();
  }
  return cycle;
}

TEST(BankConflicts, TheClosedFormIsWhatBanksDo) {
  const std::vector<std::uint64_t> banks = {1, 2, 3, 4, 7, 8, 13, 16, 31, 32, 33};
  const std::vector<std::uint64_t> strides = {0,  1,  2,  3,  5,  7,  8,   15,  16,
                                              17, 31, 32, 33, 64, 97, 127, 128, 129};
  Random random(21);
  const auto pick = [&](const auto& from) {
    return from[static_cast<std::size_t>(
        random.uniform(0, static_cast<std::int64_t>(from.size()) - 1))];
  };
  for (int i = 0; i < 20'000; ++i) {
    const WordStream reads{static_cast<std::uint64_t>(random.uniform(0, 20)),
                           static_cast<std::uint64_t>(random.uniform(1, 40)), pick(strides),
                           pick(strides)};
    const std::uint64_t writes =
        random.uniform(0, 3) == 0 ? 0 : static_cast<std::uint64_t>(random.uniform(0, 300));
    const std::uint64_t count = pick(banks);
    for (const BankPorts ports : {BankPorts::rw1, BankPorts::r1w1, BankPorts::rw2}) {
      ASSERT_EQ(bank_cycles(reads, writes, count, ports), stepped(reads, writes, count, ports))
          << reads.fetches << " fetches of " << reads.lanes << " lanes " << reads.lane_stride
          << " apart, then " << reads.fetch_stride << "; " << writes << " writes, " << count
          << " banks, ports " << static_cast<int>(ports);
    }
  }
}

TEST(BankConflicts, AStrideOfAllBanksMeetsOneBankAndAnOddOneAll) {
  EXPECT_EQ(words_in_busiest_bank(16, 16, 16), 16u);
  EXPECT_EQ(words_in_busiest_bank(16, 17, 16), 1u);
  EXPECT_EQ(words_in_busiest_bank(16, 24, 16), 8u);
  EXPECT_EQ(words_in_busiest_bank(17, 1, 16), 2u);
}

ScratchpadConfig pad(ScratchpadLayout layout, BankPorts ports = BankPorts::r1w1) {
  ScratchpadConfig c;  // 16 banks of 32 B
  c.layout = layout;
  c.ports = ports;
  return c;
}

TEST(BankConflicts, AColumnOfARowMajorTileMeetsOneBankUnlessItIsPadded) {
  // 64 rows of 1024 int8 elements, 16 lanes, each with a row of its own; every element once.
  const OperandTile tile{64 * 1024 * 8, 8, 1024, 16, false, 0};
  const std::uint64_t words = 64 * 1024 / 32;
  EXPECT_EQ(delivery_cycles(pad(ScratchpadLayout::streamed), tile), words / 16);
  EXPECT_EQ(delivery_cycles(pad(ScratchpadLayout::row_major), tile), words);
  EXPECT_EQ(delivery_cycles(pad(ScratchpadLayout::padded), tile), words / 16);
  EXPECT_EQ(delivery_cycles(pad(ScratchpadLayout::row_major, BankPorts::rw2), tile), words / 2);
}

TEST(BankConflicts, ARowThatEndsWithinAWordStillTakesAllOfIt) {
  const OperandTile whole{16 * 32 * 8, 8, 32, 16, false, 0};
  const OperandTile part{16 * 33 * 8, 8, 33, 16, false, 0};
  EXPECT_EQ(delivery_cycles(pad(ScratchpadLayout::padded), whole), 1u);
  EXPECT_EQ(delivery_cycles(pad(ScratchpadLayout::padded), part), 2u);
}

TEST(BankConflicts, AFillCostsWhereItSharesThePort) {
  OperandTile tile{1 << 20, 8, 128, 128, true, 0};
  for (const auto layout :
       {ScratchpadLayout::streamed, ScratchpadLayout::row_major, ScratchpadLayout::padded}) {
    tile.fill_bytes = 0;
    const std::uint64_t alone = delivery_cycles(pad(layout, BankPorts::rw1), tile);
    EXPECT_EQ(alone, delivery_cycles(pad(layout), tile));
    tile.fill_bytes = 16 * 32 * 10'000;
    EXPECT_EQ(delivery_cycles(pad(layout), tile), alone) << "its own write port";
    EXPECT_GE(delivery_cycles(pad(layout, BankPorts::rw1), tile), 10'000u);
    EXPECT_LE(delivery_cycles(pad(layout, BankPorts::rw1), tile), alone + 10'000);
    EXPECT_LT(delivery_cycles(pad(layout, BankPorts::rw2), tile),
              delivery_cycles(pad(layout, BankPorts::rw1), tile));
  }
}

}  // namespace
}  // namespace systole::memory
