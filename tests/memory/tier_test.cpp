// Tiers beside the DRAM: latency and bandwidth against their closed forms, conservation, monotony,
// and the link in front of them.
#define SC_INCLUDE_DYNAMIC_PROCESSES  // sc_spawn
#include "memory/tier.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "configs/library.hpp"
#include "devices.hpp"
#include "sim/core/error.hpp"
#include "sim/core/random.hpp"

namespace systole::memory {
namespace {

using sc_core::sc_time;

configs::TierConfig cells() {
  configs::TierConfig c;
  c.kind = configs::TierKind::cells;
  c.granularity_bytes = 64;
  c.banks = 4;
  c.queue = 8;
  c.capacity_bytes = 1 << 20;
  c.read_latency_ns = 50;
  c.write_latency_ns = 300;
  c.read_bandwidth_gbs = 8;   // a bank: 32 ns an access
  c.write_bandwidth_gbs = 1;  // 256 ns
  return c;
}

configs::LinkConfig link() {
  configs::LinkConfig l;
  l.bandwidth_gbs = 4;
  l.latency_ns = 100;
  l.packet_bytes = 256;
  l.header_bytes = 16;
  l.requests = 64;
  return l;
}

configs::MemoryConfig with_tier(const configs::TierConfig& tier) {
  configs::MemoryConfig c;
  c.dram = ddr4_3200();
  c.tiers.push_back({"slow", tier, 0, 0});
  return c;
}

/// Runs `body` in an SC_THREAD of a machine with one tier.
class Bench : public sc_core::sc_module {
 public:
  explicit Bench(const configs::MemoryConfig& config)
      : sc_module(sc_core::sc_module_name("bench")),
        dram("dram", config, 500),
        tiers("tiers", config, dram) {}
  void run(std::function<void()> body) {
    bool done = false;
    sc_core::sc_spawn([&] {
      body();
      done = true;
    });
    sc_core::sc_start();
    EXPECT_TRUE(done) << "a thread hangs";
  }
  /// ns of one transfer.
  double timed(const Transfer& transfer) {
    const sc_time start = sc_core::sc_time_stamp();
    tiers.transfer({&transfer, 1});
    return (sc_core::sc_time_stamp() - start).to_seconds() * 1e9;
  }

  MemorySystem dram;
  Tiers tiers;
};

Transfer read(std::uint64_t address, std::uint64_t bytes) {
  return {TrafficClass::weights, false, in_tier(1, address), bytes};
}
Transfer write(std::uint64_t address, std::uint64_t bytes) {
  return {TrafficClass::kv_cache, true, in_tier(1, address), bytes};
}

TEST(TierCells, OneAccessTakesItsLatencyAndAPartOfOneCostsAllOfIt) {
  Bench bench(with_tier(cells()));
  bench.run([&] {
    EXPECT_DOUBLE_EQ(bench.timed(read(0, 64)), 50);
    sc_core::wait(1, sc_core::SC_US);
    EXPECT_DOUBLE_EQ(bench.timed(read(10, 1)), 50);
    sc_core::wait(1, sc_core::SC_US);
    EXPECT_DOUBLE_EQ(bench.timed(write(64, 64)), 300);
    EXPECT_EQ(bench.tiers.events().get("tier_slow.read_byte"), 128u);
    EXPECT_EQ(bench.tiers.events().get("tier_slow.write_byte"), 64u);
    EXPECT_EQ(bench.tiers.tier(1).useful_bytes().read[index_of(TrafficClass::weights)], 65u);
  });
}

TEST(TierCells, AnAccessToABusyBankBeginsWhenTheBankIsFreeAndNotBefore) {
  Bench bench(with_tier(cells()));
  bench.run([&] {
    // 64 and 320 are in bank 1, 128 is in bank 2: the second of a bank begins after 32 ns.
    EXPECT_DOUBLE_EQ(bench.timed(read(64, 5 * 64)), 32 + 50);
    sc_core::wait(1, sc_core::SC_US);
    EXPECT_DOUBLE_EQ(bench.timed(read(64, 4 * 64)), 50);
    sc_core::wait(1, sc_core::SC_US);
    EXPECT_DOUBLE_EQ(bench.timed(write(64, 5 * 64)), 256 + 300);
  });
}

TEST(TierCells, AStreamMovesTheStatedBandwidthOfEitherDirection) {
  Bench bench(with_tier(cells()));
  bench.run([&] {
    constexpr std::uint64_t kBytes = 1 << 18;
    const double rows = kBytes / 64 / 4;  // accesses of a bank
    EXPECT_DOUBLE_EQ(bench.timed(read(0, kBytes)), (rows - 1) * 32 + 50);
    sc_core::wait(1, sc_core::SC_US);
    EXPECT_DOUBLE_EQ(bench.timed(write(0, kBytes)), (rows - 1) * 256 + 300);
  });
}

TEST(TierLink, ASingleReadAndASingleWritePayHeadersPacketsAndBothWays) {
  configs::TierConfig tier = cells();
  tier.link = link();
  Bench bench(with_tier(tier));
  bench.run([&] {
    // down: a header, 16 B at 4 GB/s; up: 64 + 16 B.
    EXPECT_DOUBLE_EQ(bench.timed(read(0, 64)), 4 + 100 + 50 + 20 + 100);
    sc_core::wait(1, sc_core::SC_US);
    // down: 300 B in two packets; five accesses, two of them in one bank; up: a header.
    EXPECT_DOUBLE_EQ(bench.timed(write(0, 300)), 83 + 100 + 256 + 300 + 4 + 100);
    EXPECT_EQ(bench.tiers.events().get("tier_slow.link_down_bit"), 8u * (16 + 332));
    EXPECT_EQ(bench.tiers.events().get("tier_slow.link_up_bit"), 8u * (80 + 16));
  });
}

TEST(TierLink, AStreamMovesTheLinksBandwidthLessItsHeaders) {
  configs::TierConfig tier = cells();
  tier.link = link();
  Bench bench(with_tier(tier));
  bench.run([&] {
    constexpr std::uint64_t kBytes = 1 << 18;
    const double wire = kBytes * (256.0 + 16) / 256 / 4;  // ns
    const double took = bench.timed(read(0, kBytes));
    EXPECT_GT(took, wire);
    EXPECT_LT(took, wire + 1500);
  });
}

TEST(TierLink, OneRequestAtATimeWaitsForEveryWholeRound) {
  configs::TierConfig tier = cells();
  tier.link = link();
  tier.link.requests = 1;
  configs::MemoryConfig config = with_tier(tier);
  config.dma.segment_bytes = 64;
  Bench bench(config);
  bench.run([&] { EXPECT_DOUBLE_EQ(bench.timed(read(0, 5 * 64)), 5 * (4 + 100 + 50 + 20 + 100)); });
}

TEST(Tier, DramBehindALinkTakesTheDramsLatencyAndTheLinks) {
  configs::TierConfig tier;
  tier.kind = configs::TierKind::dram;
  tier.dram = ddr4_3200();
  tier.link = link();
  Bench bench(with_tier(tier));
  bench.run([&] {
    // The request meets the next memory clock: 104 ns are 166.4 clocks of 0.625 ns.
    EXPECT_DOUBLE_EQ(bench.timed(read(0, 64)), 167 * 0.625 + 48 * 0.625 + 20 + 100);
    EXPECT_EQ(bench.tiers.events().get("tier_slow.read_bit"), 512u);
    EXPECT_EQ(bench.tiers.events().get("tier_slow.activate"), 1u);
  });
}

TEST(Tier, ADramWithoutALinkIsAsFastAsTheAcceleratorsOwn) {
  configs::TierConfig tier;
  tier.kind = configs::TierKind::dram;
  tier.dram = ddr4_3200();
  tier.channels = 2;
  configs::MemoryConfig config = with_tier(tier);
  config.channels = 2;
  Bench bench(config);
  bench.run([&] {
    const double here = bench.timed(read(4096, 1 << 20));
    bench.tiers.quiesce();
    bench.dram.quiesce();
    const double own = bench.timed({TrafficClass::weights, false, 4096, 1 << 20});
    EXPECT_NEAR(here, own, 0.01 * own);  // refresh stands elsewhere
  });
}

TEST(Tiers, EveryByteAskedForIsServedByTheTierOfItsAddressAndClass) {
  configs::MemoryConfig config = with_tier(cells());
  configs::TierConfig host;
  host.kind = configs::TierKind::dram;
  host.dram = lpddr5_6400();
  host.link = link();
  config.tiers.push_back({"host", host, 0, 0});
  Bench bench(config);
  bench.run([&] {
    Random random(7);
    std::array<TrafficBytes, 3> asked;
    for (int i = 0; i < 200; ++i) {
      std::vector<Transfer> list;
      for (std::uint64_t n = static_cast<std::uint64_t>(random.uniform(1, 6)); n > 0; --n) {
        const auto tier = static_cast<std::uint32_t>(random.uniform(0, 2));
        const auto traffic = static_cast<TrafficClass>(random.uniform(0, 2));
        const bool write = random.uniform(0, 1) == 1;
        const auto at = static_cast<std::uint64_t>(random.uniform(0, 1 << 19));
        const auto bytes = static_cast<std::uint64_t>(random.uniform(0, 9000));
        list.push_back({traffic, write, in_tier(tier, at), bytes});
        (write ? asked[tier].written : asked[tier].read)[index_of(traffic)] += bytes;
      }
      bench.tiers.transfer(list);
    }
    EXPECT_EQ(bench.dram.useful_bytes(), asked[0]);
    EXPECT_EQ(bench.tiers.tier(1).useful_bytes(), asked[1]);
    EXPECT_EQ(bench.tiers.tier(2).useful_bytes(), asked[2]);
    EXPECT_TRUE(bench.tiers.idle());
  });
}

TEST(Tiers, TheTierWhoseLastByteCameLastIsNamed) {
  Bench bench(with_tier(cells()));
  bench.run([&] {
    const std::vector<Transfer> both = {read(0, 64 * 100), {TrafficClass::weights, false, 0, 64}};
    EXPECT_EQ(bench.tiers.transfer(both), 1u);
    const std::vector<Transfer> other = {read(0, 64), {TrafficClass::weights, false, 0, 1 << 20}};
    EXPECT_EQ(bench.tiers.transfer(other), 0u);
  });
}

TEST(Tiers, ASlowerTierIsNeverFaster) {
  std::vector<configs::TierConfig> all(7, cells());
  all[1].read_latency_ns *= 3;
  all[2].write_bandwidth_gbs /= 2;
  all[3].read_bandwidth_gbs /= 8;
  all[4].link = link();
  all[5].write_latency_ns *= 4;
  all[6].granularity_bytes *= 4;  // whole accesses of more bytes at the same bandwidth
  configs::MemoryConfig config;
  config.dram = ddr4_3200();
  for (std::size_t i = 0; i < all.size(); ++i) {
    config.tiers.push_back({"t" + std::to_string(i), all[i], 0, 0});
  }
  Bench bench(config);
  bench.run([&] {
    std::vector<double> took;
    for (std::uint32_t t = 1; t <= all.size(); ++t) {
      Random random(3);
      std::vector<Transfer> list;
      for (int i = 0; i < 60; ++i) {
        const auto at = static_cast<std::uint64_t>(random.uniform(0, 1 << 18));
        const auto bytes = static_cast<std::uint64_t>(random.uniform(1, 3000));
        list.push_back({TrafficClass::weights, random.uniform(0, 3) == 0, in_tier(t, at), bytes});
      }
      const sc_time start = sc_core::sc_time_stamp();
      bench.tiers.transfer(list);
      took.push_back((sc_core::sc_time_stamp() - start).to_seconds());
      if (t > 1) {
        EXPECT_GE(took.back(), took.front()) << t;
      }
    }
  });
}

TEST(TierFiles, EveryShippedTierReadsALineInItsStatedTime) {
  configs::MemoryConfig config;
  config.dram = ddr4_3200();
  config.dma.segment_bytes = 4096;
  std::vector<configs::TierConfig> tiers;
  for (const std::string& name : configs::names(configs::Kind::tier)) {
    const configs::TierConfig tier = configs::load_tier(name);
    if (tier.kind != configs::TierKind::cells || config.tiers.size() == 7) continue;
    config.tiers.push_back({"t" + std::to_string(config.tiers.size()), tier, 0, 0});
    tiers.push_back(tier);
  }
  ASSERT_GE(tiers.size(), 5u);
  Bench bench(config);
  bench.run([&] {
    for (std::uint32_t t = 0; t < tiers.size(); ++t) {
      const configs::TierConfig& tier = tiers[t];
      const std::uint64_t bytes = tier.granularity_bytes;
      double expected = tier.read_latency_ns;
      if (tier.linked()) {
        expected += 2 * tier.link.latency_ns +
                    static_cast<double>(wire_bytes(tier.link, 0) + wire_bytes(tier.link, bytes)) /
                        tier.link.bandwidth_gbs;
      }
      const double took = bench.timed({TrafficClass::weights, false, in_tier(t + 1, 0), bytes});
      EXPECT_NEAR(took, expected, 0.01) << tier.name;
    }
  });
}

}  // namespace
}  // namespace systole::memory
