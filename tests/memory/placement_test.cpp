// Extents, capacities and wear: exact, against their definitions. Attention at the memory: closed
// form by hand.
#include "memory/placement.hpp"

#include <gmock/gmock.h>

#include <numeric>
#include <vector>

#include "devices.hpp"
#include "memory/pim.hpp"
#include "memory/tier.hpp"
#include "sim/core/random.hpp"

namespace systole::memory {
namespace {

TEST(Extents, FirstComeFirstServedByteByByte) {
  Random random(5);
  for (int round = 0; round < 200; ++round) {
    constexpr std::uint64_t kSpace = 300;
    std::vector<int> owner(kSpace, -1);
    Extents extents;
    for (int i = 0; i < 12; ++i) {
      const auto begin = static_cast<std::uint64_t>(random.uniform(0, kSpace - 1));
      const auto end = begin + static_cast<std::uint64_t>(random.uniform(0, 60));
      const auto tier = static_cast<std::uint32_t>(random.uniform(0, 3));
      extents.fill(begin, std::min(end, kSpace), tier);
      for (std::uint64_t a = begin; a < std::min(end, kSpace); ++a) {
        if (owner[a] < 0) owner[a] = static_cast<int>(tier);
      }
    }
    for (std::uint32_t tier = 0; tier < 4; ++tier) {
      const auto expected = std::ranges::count_if(
          owner, [&](int o) { return o == static_cast<int>(tier) || (o < 0 && tier == 0); });
      EXPECT_EQ(extents.bytes(tier, 0, kSpace), static_cast<std::uint64_t>(expected));
    }
    // A transfer is cut where the owner changes, nothing lost, each part at its address plus shift.
    const auto first = static_cast<std::uint64_t>(random.uniform(0, 200));
    const std::uint64_t last = first + static_cast<std::uint64_t>(random.uniform(1, 99));
    std::vector<Transfer> parts;
    extents.translate({TrafficClass::weights, false, first + 1000, last - first}, 1000, parts);
    std::uint64_t at = first;
    for (const Transfer& part : parts) {
      for (std::uint64_t i = 0; i < part.bytes; ++i, ++at) {
        ASSERT_EQ(part.address + i,
                  in_tier(static_cast<std::uint32_t>(std::max(owner[at], 0)), at + 1000));
      }
    }
    EXPECT_EQ(at, last);
  }
}

TEST(Extents, AStagedRangeLiesAtItsTargetWhateverTheShift) {
  Extents extents;
  extents.fill(Extent{100, 200, 2, false, 5000});
  std::vector<Transfer> parts;
  extents.translate({TrafficClass::weights, false, 1150, 100}, 1000, parts);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].address, in_tier(2, 5050));
  EXPECT_EQ(parts[0].bytes, 50u);
  EXPECT_EQ(parts[1].address, 1200u);
}

TEST(Ranges, WhatIsLeftIsWhatNothingCovers) {
  EXPECT_EQ(without({{0, 10}, {20, 30}}, {{25, 40}, {2, 4}, {3, 6}}),
            (Ranges{{0, 2}, {6, 10}, {20, 25}}));
  EXPECT_EQ(without({{0, 10}}, {{0, 10}}), Ranges{});
}

TEST(TierSpace, FillsATierToItsLastPageAndSpillsTheRestInOrderExactly) {
  constexpr std::uint64_t kPage = TierSpace::kPageBytes;
  TierSpace space({10 * kPage, 3 * kPage + 100, 2 * kPage});
  const auto parts = space.take(1, 7 * kPage);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].tier, 1u);
  EXPECT_EQ(parts[0].bytes, 3 * kPage);  // whole pages only
  EXPECT_EQ(parts[1].tier, 2u);
  EXPECT_EQ(parts[1].bytes, 2 * kPage);
  EXPECT_EQ(parts[2].tier, 0u);  // round about
  EXPECT_EQ(parts[2].bytes, 2 * kPage);
  EXPECT_EQ(space.spilled(1), 4 * kPage);
  EXPECT_EQ(space.used(0) + space.used(1) + space.used(2), 7 * kPage);
  EXPECT_TRUE(space.take(0, 9 * kPage).empty());  // 8 pages and 100 bytes are left
  EXPECT_EQ(space.used(0), 2 * kPage);
  EXPECT_EQ(space.take(0, 8 * kPage).size(), 1u);
}

TEST(TierSpace, AWholePieceGoesToTheFirstTierWithRoom) {
  TierSpace space({1000, 500, 800});
  EXPECT_EQ(space.take_whole(1, 600), 2u);
  EXPECT_EQ(space.take_whole(1, 500), 1u);
  EXPECT_EQ(space.take_whole(2, 900), 0u);
  EXPECT_EQ(space.take_whole(0, 300), std::nullopt);
  EXPECT_EQ(space.spilled(1), 600u);
  EXPECT_EQ(space.spilled(2), 900u);
}

TEST(WearLedger, CountsEachLineOfEachWriteOnceAndKnowsTheWorstRegion) {
  configs::TierConfig tier;
  tier.granularity_bytes = 32;
  tier.wear_region_bytes = 128;
  tier.endurance_writes = 1000;
  WearLedger wear(tier);
  EXPECT_EQ(wear.lifetime_seconds(1), std::nullopt);
  wear.write(0, 32);    // region 0: 1 line
  wear.write(31, 2);    // 2 lines, though of 2 bytes
  wear.write(96, 64);   // the last line of region 0, the first of region 1
  wear.write(1024, 0);  // nothing
  EXPECT_EQ(wear.total(), 5u);
  EXPECT_EQ(wear.most(), 4u);  // of region 0: one a line
  // One write a line in 2 s: 1000 writes take 2000 s.
  EXPECT_DOUBLE_EQ(wear.lifetime_seconds(2).value(), 2000);
}

configs::PimConfig units(configs::PimPlace place) {
  configs::PimConfig pim;
  pim.place = place;
  pim.macs_per_clock = 16;
  return pim;
}

TEST(Pim, AllBanksTakeTheClosedFormOfTheirCommands) {
  configs::DramConfig dram = ddr4_3200();
  dram.refresh = configs::RefreshMode::none;
  // One row of 8192 B in each of 16 banks: 128 bursts of 64 B, one byte a product.
  const std::uint64_t bytes = 16ull * 8192;
  const PimPass pass = pim_pass(dram, 1, units(configs::PimPlace::bank), bytes, bytes);
  // 64 products a burst, 16 a clock: 4 clocks, less than tCCD_L = 8. Opening 16 banks: three more
  // windows of tFAW and three of tRRD_S.
  const std::uint64_t opening = 3 * 34 + 3 * 4;
  EXPECT_EQ(pass.clocks, opening + 22 + 127 * 8 + 12 + 22);
  EXPECT_EQ(pass.activates, 16u);
  EXPECT_EQ(pass.read_bits, 8 * bytes);
  // tFAW holds: no four openings are closer than it lets them.
  EXPECT_GE(opening, 3u * dram.faw);
}

TEST(Pim, SlowUnitsBindAndRefreshTakesItsShare) {
  configs::DramConfig dram = ddr4_3200();
  configs::PimConfig slow = units(configs::PimPlace::bank);
  slow.macs_per_clock = 2;
  const std::uint64_t bytes = 160ull * 8192;
  const std::uint64_t with = pim_pass(dram, 1, slow, bytes, bytes).clocks;
  dram.refresh = configs::RefreshMode::none;
  const std::uint64_t without_refresh = pim_pass(dram, 1, slow, bytes, bytes).clocks;
  EXPECT_NEAR(static_cast<double>(with),
              static_cast<double>(without_refresh) * 12480 / (12480 - 576), 1);
  EXPECT_GT(without_refresh, 10 * 128 * 32u);  // 32 clocks a burst instead of 8
}

TEST(Pim, UnitsAtTheBanksAreNeverSlowerThanOneAChannel) {
  for (const std::uint64_t bytes : {64ull, 8192ull, 100'000ull, 10'000'000ull}) {
    const configs::DramConfig dram = hbm2();
    const auto bank = pim_pass(dram, 4, units(configs::PimPlace::bank), bytes * 16, bytes * 16);
    const auto channel =
        pim_pass(dram, 4, units(configs::PimPlace::channel), bytes * 16, bytes * 16);
    if (bytes >= 100'000) {
      EXPECT_LT(bank.clocks, channel.clocks);
    }
    EXPECT_EQ(bank.macs, channel.macs);
    EXPECT_GE(bank.read_bits, 8 * bytes * 16);
  }
}

TEST(Pim, NothingTakesNothing) {
  EXPECT_EQ(pim_pass(ddr4_3200(), 1, units(configs::PimPlace::bank), 0, 0).clocks, 0u);
}

}  // namespace
}  // namespace systole::memory
