// Descriptors: what they move, in which order, what they cost and how many are in progress.
#define SC_INCLUDE_DYNAMIC_PROCESSES  // sc_spawn
#include "memory/dma.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "devices.hpp"
#include "memory/memory_system.hpp"
#include "sim/core/random.hpp"
#include "threads.hpp"

namespace systole::memory {
namespace {

using sc_core::sc_time;
using Kind = Descriptor::Kind;

constexpr double kMhz = 500;

sc_time cycles(std::uint64_t n) {
  return sc_time(static_cast<double>(n) * 1e3 / kMhz, sc_core::SC_NS);
}

configs::MemoryConfig memory_config(std::uint32_t channels = 1) {
  configs::MemoryConfig c;
  c.dram = hbm2();
  c.channels = channels;
  return c;
}

Transfer read(std::uint64_t address, std::uint64_t bytes) {
  return {TrafficClass::weights, false, address, bytes};
}

TEST(Descriptors, RowsAtOneDistanceAreTwoDimensional) {
  const std::vector<Transfer> rows = {read(100, 64), read(1100, 64), read(2100, 64)};
  const auto found = descriptors_for(rows, 64);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].kind, Kind::strided);
  EXPECT_EQ(found[0].rows, 3u);
  EXPECT_EQ(found[0].stride, 1000u);
  EXPECT_EQ(found[0].transfers(), rows);
}

TEST(Descriptors, PiecesThatContinueEachOtherAreOneRow) {
  const auto found =
      descriptors_for(std::vector<Transfer>{read(0, 64), read(64, 100), read(164, 1)}, 64);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].kind, Kind::linear);
  EXPECT_EQ(found[0].row, read(0, 165));
}

TEST(Descriptors, ScatteredPiecesAreGathersOfAtMostSoManyElements) {
  std::vector<Transfer> pieces;
  for (std::uint64_t i = 0; i < 10; ++i) pieces.push_back(read(1000 * i * i, 16 + i));
  const auto found = descriptors_for(pieces, 4);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].entries(), 4u);
  EXPECT_EQ(found[2].entries(), 2u);
  EXPECT_EQ(descriptors_for(pieces, 1).size(), 10u) << "an engine without gathers";
}

/// Whatever is asked for, in whichever order: descriptors move the same bytes in the same order.
TEST(Descriptors, MoveWhatWasAskedInTheOrderAsked) {
  Random random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Transfer> asked;
    std::uint64_t at = static_cast<std::uint64_t>(random.uniform(0, 5000));
    const std::int64_t pieces = random.uniform(0, 20);
    std::uint64_t distance = static_cast<std::uint64_t>(random.uniform(0, 200));
    for (std::int64_t i = 0; i < pieces; ++i) {
      if (random.uniform(0, 4) == 0) distance = static_cast<std::uint64_t>(random.uniform(0, 200));
      asked.push_back(
          {static_cast<TrafficClass>(random.uniform(0, 40) / 40), random.uniform(0, 10) == 0, at,
           random.uniform(0, 5) == 0 ? static_cast<std::uint64_t>(random.uniform(0, 99)) : 40});
      at += distance;
    }
    const auto entries = static_cast<std::uint32_t>(random.uniform(1, 6));
    std::vector<std::uint64_t> want, got;  // byte by byte
    const auto bytes_of = [](const Transfer& t, std::vector<std::uint64_t>& bytes) {
      for (std::uint64_t b = 0; b < t.bytes; ++b) {
        bytes.push_back((t.address + b) * 8 + index_of(t.traffic) * 2 + (t.write ? 1 : 0));
      }
    };
    for (const Transfer& t : asked) bytes_of(t, want);
    for (const Descriptor& d : descriptors_for(asked, entries)) {
      EXPECT_LE(d.entries(), entries);
      for (const Transfer& t : d.transfers()) bytes_of(t, got);
    }
    ASSERT_EQ(want, got) << "round " << round;
  }
}

TEST(Descriptors, AlignedTransfersCoverWhatWasAskedAndNoMoreThanNeeded) {
  for (const std::uint64_t align : {1u, 32u, 64u, 4096u}) {
    for (const std::uint64_t address : {0u, 1u, 63u, 64u, 65u, 4095u}) {
      for (const std::uint64_t bytes : {1u, 63u, 64u, 65u, 8191u}) {
        const Transfer t = aligned(read(address, bytes), align);
        EXPECT_EQ(t.address % align, 0u);
        EXPECT_EQ(t.bytes % align, 0u);
        EXPECT_LE(t.address, address);
        EXPECT_GE(t.address + t.bytes, address + bytes);
        EXPECT_GT(t.address + align, address);
        EXPECT_LT(t.address + t.bytes, address + bytes + align);
      }
    }
  }
  EXPECT_EQ(aligned(read(5, 0), 64).bytes, 0u);
}

TEST(DescriptorQueue, DecodesInOrderOneAtATime) {
  std::vector<std::pair<std::uint64_t, sc_time>> decoded;
  DescriptorQueue queue("queue", ClockDomain(kMhz), 0, [&](std::uint64_t id) {
    decoded.emplace_back(id, sc_core::sc_time_stamp());
  });
  run([&] {
    queue.push(0, Cycles(10));
    queue.push(1, Cycles(3));
    sc_core::wait(cycles(20));
    queue.push(2, Cycles(5));
    sc_core::wait(cycles(20));
  });
  const std::vector<std::pair<std::uint64_t, sc_time>> expected = {
      {0, cycles(10)}, {1, cycles(13)}, {2, cycles(25)}};
  EXPECT_EQ(decoded, expected);
}

TEST(DescriptorQueue, NoMoreAreInProgressThanTheLimit) {
  std::vector<std::uint64_t> decoded;
  DescriptorQueue queue("queue", ClockDomain(kMhz), 2,
                        [&](std::uint64_t id) { decoded.push_back(id); });
  run([&] {
    for (std::uint64_t id = 0; id < 4; ++id) queue.push(id, Cycles(1));
    sc_core::wait(cycles(100));
    EXPECT_THAT(decoded, testing::ElementsAre(0, 1));
    queue.completed();
    sc_core::wait(cycles(100));
    EXPECT_THAT(decoded, testing::ElementsAre(0, 1, 2));
    queue.completed();
    queue.completed();
    sc_core::wait(cycles(100));
    EXPECT_EQ(decoded.size(), 4u);
    EXPECT_EQ(queue.peak_in_progress(), 2u);
  });
}

TEST(DmaDescriptors, ALinearOneStartsWhenItIsDecoded) {
  auto config = memory_config();
  MemorySystem plain("plain", config, kMhz);
  config.dma.descriptor_cycles = 37;
  MemorySystem paid("paid", config, kMhz);
  run([&] {
    const Transfer t = read(0, 64);
    const sc_time without = timed([&] { plain.transfer({&t, 1}); });
    paid.quiesce();
    EXPECT_EQ(timed([&] { paid.transfer({&t, 1}); }), without + cycles(37));
    EXPECT_EQ(paid.events().get("dma.descriptor"), 1u);
    EXPECT_EQ(plain.events().get("dma.descriptor"), 0u);
  });
}

TEST(DmaDescriptors, AGatherPaysForItsList) {
  auto config = memory_config();
  config.dma.descriptor_cycles = 20;
  config.dma.gather_cycles = 3;
  MemorySystem memory("memory", config, kMhz);
  run([&] {
    std::vector<Transfer> pieces;
    for (std::uint64_t i = 0; i < 8; ++i) pieces.push_back(read(4096 * i * i, 32));
    const sc_time start = sc_core::sc_time_stamp();
    const auto ticket = memory.issue(pieces);
    sc_core::wait(cycles(20 + 8 * 3) - sc_time(1, sc_core::SC_NS));
    EXPECT_EQ(memory.dma(false).in_flight(), 0u) << "nothing moves before the list is there";
    memory.wait(ticket);
    EXPECT_GT(sc_core::sc_time_stamp() - start, cycles(44));
    EXPECT_EQ(memory.events().get("dma.descriptor"), 1u);
    EXPECT_EQ(memory.events().get("dma.gather_entry"), 8u);
  });
}

/// Every kind, several engines, limits: no byte is lost, none is served twice, no limit exceeded.
TEST(DmaDescriptors, LoseNoByteUnderAnyLimit) {
  struct Case {
    std::uint32_t engines, limit, entries, align;
    std::unique_ptr<MemorySystem> memory;
  };
  std::vector<Case> cases;
  for (const std::uint32_t engines : {1u, 2u, 3u}) {
    for (const std::uint32_t limit : {0u, 1u, 5u}) {
      auto config = memory_config(3);
      config.dma.engines = engines;
      config.dma.descriptors = limit;
      config.dma.gather_entries = engines == 2 ? 1 : 7;
      config.dma.descriptor_cycles = 5 * engines;
      config.dma.gather_cycles = 1;
      config.dma.align_bytes = limit == 5 ? 128 : 1;
      config.dma.outstanding = 4;
      cases.push_back(
          {engines, limit, config.dma.gather_entries, config.dma.align_bytes,
           std::make_unique<MemorySystem>(sc_core::sc_gen_unique_name("memory"), config, kMhz)});
    }
  }
  run([&] {
    for (Case& each : cases) {
      Random random(each.engines * 16 + each.limit);
      TrafficBytes asked;
      std::vector<MemorySystem::Ticket> tickets;
      for (int i = 0; i < 30; ++i) {
        std::vector<Transfer> list;
        for (std::int64_t n = random.uniform(0, 12); n > 0; --n) {
          Transfer t =
              read(static_cast<std::uint64_t>(random.uniform(0, 1 << 22)),
                   static_cast<std::uint64_t>(random.uniform(0, 1 << random.uniform(0, 15))));
          t.write = random.uniform(0, 2) == 0;
          t.traffic = static_cast<TrafficClass>(random.uniform(0, 2));
          (t.write ? asked.written : asked.read)[index_of(t.traffic)] += t.bytes;
          list.push_back(t);
        }
        tickets.push_back(each.memory->issue(list));
      }
      for (const auto ticket : tickets) each.memory->wait(ticket);
      EXPECT_TRUE(each.memory->idle());
      EXPECT_EQ(each.memory->asked_bytes(), asked);
      if (each.align == 1) {
        EXPECT_EQ(each.memory->useful_bytes(), asked);
      } else {
        EXPECT_GT(each.memory->useful_bytes().total(), asked.total());
        EXPECT_EQ(each.memory->useful_bytes().total() % each.align, 0u);
      }
      for (std::uint32_t e = 0; e < each.engines; ++e) {
        for (const bool write : {false, true}) {
          EXPECT_LE(each.memory->dma(write, e).peak_in_flight(), 4u);
          EXPECT_GT(each.memory->dma(write, e).peak_in_flight(), 0u) << "an engine without work";
          if (each.limit > 0) {
            EXPECT_LE(each.memory->descriptors(write, e).peak_in_progress(), each.limit);
          }
        }
      }
    }
  });
}

TEST(DmaDescriptors, TheCallersOwnMoveWhatTheySay) {
  auto config = memory_config(2);
  MemorySystem plain("plain", config, kMhz);
  config.dma.descriptor_cycles = 9;
  MemorySystem paid("paid", config, kMhz);
  const std::vector<Descriptor> all = {
      {Kind::linear, read(0, 1000), 1, 0, {}},
      {Kind::strided, read(1 << 16, 100), 20, 4096, {}},
      {Kind::gather, read(0, 0), 1, 0, {read(1 << 20, 3), read(1 << 21, 64), read(77, 5)}}};
  run([&] {
    for (MemorySystem* memory : {&plain, &paid}) {
      memory->wait(memory->issue(all));
      EXPECT_EQ(memory->useful_bytes().read[0], 1000u + 20 * 100 + 3 + 64 + 5);
    }
    EXPECT_EQ(paid.events().get("dma.descriptor"), 3u);
    EXPECT_EQ(paid.events().get("dma.gather_entry"), 3u);
  });
}

TEST(DmaEngines, TwoHaveTwiceTheSegmentsInFlight) {
  auto config = memory_config(4);
  config.dma.outstanding = 1;  // far from what the channels could take
  config.dma.segment_bytes = 64;
  MemorySystem one("one", config, kMhz);
  config.dma.engines = 2;
  MemorySystem two("two", config, kMhz);
  run([&] {
    const Transfer t = read(0, 1 << 20);
    const sc_time slow = timed([&] { one.transfer({&t, 1}); });
    two.quiesce();
    const sc_time fast = timed([&] { two.transfer({&t, 1}); });
    EXPECT_NEAR(slow / fast, 2.0, 0.1);
    EXPECT_EQ(two.useful_bytes(), one.useful_bytes());
  });
}

}  // namespace
}  // namespace systole::memory
