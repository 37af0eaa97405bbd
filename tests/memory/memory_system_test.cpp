// Transfers through DMA and channels: conservation, bounds, concurrency, quiesce, determinism.
#define SC_INCLUDE_DYNAMIC_PROCESSES  // sc_spawn
#include "memory/memory_system.hpp"

#include <gmock/gmock.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "channel_driver.hpp"
#include "devices.hpp"
#include "sim/core/error.hpp"
#include "sim/core/random.hpp"

namespace systole::memory {
namespace {

using sc_core::sc_time;

configs::MemoryConfig memory_config(const configs::DramConfig& dram, std::uint32_t channels = 1) {
  configs::MemoryConfig c;
  c.dram = dram;
  c.channels = channels;
  return c;
}

/// SC_THREADs from functions.
class Threads : public sc_core::sc_module {
 public:
  explicit Threads(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {}
  void spawn(std::function<void()> body) {
    sc_core::sc_spawn([body, this] {
      body();
      ++finished_;
    });
    ++spawned_;
  }
  ~Threads() override { EXPECT_EQ(finished_, spawned_) << "a thread hangs"; }

 private:
  int spawned_ = 0, finished_ = 0;
};

sc_time timed(const std::function<void()>& body) {
  const sc_time start = sc_core::sc_time_stamp();
  body();
  return sc_core::sc_time_stamp() - start;
}

TEST(ChannelInterleave, SplitsEveryRangeIntoOneContiguousRangeAChannelWithoutLoss) {
  Random random(11);
  for (int i = 0; i < 5'000; ++i) {
    const auto channels = static_cast<std::uint32_t>(random.uniform(1, 9));
    const std::uint32_t bytes = 64u << random.uniform(0, 4);
    const ChannelInterleave map(channels, bytes);
    const auto first = static_cast<std::uint64_t>(random.uniform(0, 1 << 20));
    const std::uint64_t end = first + static_cast<std::uint64_t>(random.uniform(0, 5000));
    std::uint64_t total = 0;
    for (std::uint32_t c = 0; c < channels; ++c) {
      total += map.local(c, end) - map.local(c, first);
      std::uint64_t counted = 0;  // the definition: bytes below `first` whose chunk belongs to c
      if (i < 20) {
        for (std::uint64_t a = 0; a < first; ++a) counted += a / bytes % channels == c ? 1 : 0;
        ASSERT_EQ(map.local(c, first), counted);
      }
    }
    ASSERT_EQ(total, end - first);
  }
}

TEST(MemorySystem, ASmallReadTakesTheIdleLatency) {
  const auto config = memory_config(ddr4_3200());
  MemorySystem memory("memory", config, 500);
  Threads threads("threads");
  threads.spawn([&] {
    const Transfer t{TrafficClass::weights, false, 0, 10};
    EXPECT_EQ(timed([&] { memory.transfer({&t, 1}); }), sc_time(48 * 0.625, sc_core::SC_NS));
    EXPECT_EQ(memory.useful_bytes().read[index_of(TrafficClass::weights)], 10u);
    EXPECT_EQ(memory.moved_bytes().read[index_of(TrafficClass::weights)], 64u);
    EXPECT_EQ(memory.events().get("dram.read_bit"), 512u);
    EXPECT_EQ(memory.events().get("dram.activate"), 1u);
  });
  sc_core::sc_start();
}

TEST(MemorySystem, AnEmptyTransferTakesNoTime) {
  const auto config = memory_config(ddr4_3200());
  MemorySystem memory("memory", config, 500);
  Threads threads("threads");
  threads.spawn([&] {
    const Transfer t{TrafficClass::weights, false, 128, 0};
    EXPECT_EQ(timed([&] { memory.transfer({&t, 1}); }), sc_core::SC_ZERO_TIME);
    EXPECT_EQ(timed([&] { memory.transfer({}); }), sc_core::SC_ZERO_TIME);
  });
  sc_core::sc_start();
}

void stream_test(const configs::DramConfig& dram, std::uint32_t channels, double low) {
  const auto config = memory_config(dram, channels);
  MemorySystem memory("memory", config, 500);
  Threads threads("threads");
  threads.spawn([&] {
    const Transfer t{TrafficClass::weights, false, 0, std::uint64_t{8} << 20};
    const double seconds = timed([&] { memory.transfer({&t, 1}); }).to_seconds();
    const double share =
        static_cast<double>(t.bytes) / seconds / (dram.peak_bytes_per_second() * channels);
    const double ceiling = 1.0 - static_cast<double>(dram.rfc) / dram.refi;
    EXPECT_LT(share, ceiling * 1.002);
    EXPECT_GT(share, ceiling * low);
    EXPECT_LE(memory.bandwidth_bound(Bytes(t.bytes)).count(),
              static_cast<std::uint64_t>(seconds * 500e6) + 1);
  });
  sc_core::sc_start();
}

TEST(MemorySystem, AStreamOnDdr4ComesCloseToPeakLessRefresh) { stream_test(ddr4_3200(), 1, 0.97); }
TEST(MemorySystem, AStreamOnFourChannelsOfHbm2ComesCloseToPeakLessRefresh) {
  stream_test(hbm2(), 4, 0.95);
}
TEST(MemorySystem, AStreamOnThreeChannelsOfLpddr5ComesCloseToPeakLessRefresh) {
  stream_test(lpddr5_6400(), 3, 0.95);
}

/// Several threads with random transfers; conservation, bounds of flight, end times.
std::vector<std::uint64_t> random_run(std::uint64_t seed, MemorySystem& memory, Threads& threads,
                                      std::vector<sc_time>& ends, TrafficBytes& expected) {
  ends.resize(3);
  for (std::size_t thread = 0; thread < 3; ++thread) {
    auto lists = std::make_shared<std::vector<std::vector<Transfer>>>();
    Random random = Random::stream(seed, thread);
    for (int i = 0; i < 40; ++i) {
      std::vector<Transfer> list;
      for (std::int64_t n = random.uniform(0, 3); n > 0; --n) {
        Transfer t;
        t.traffic = static_cast<TrafficClass>(random.uniform(0, 2));
        t.write = random.uniform(0, 2) == 0;
        t.address = static_cast<std::uint64_t>(random.uniform(0, 1 << 24));
        t.bytes = static_cast<std::uint64_t>(random.uniform(0, 1 << random.uniform(0, 15)));
        (t.write ? expected.written : expected.read)[index_of(t.traffic)] += t.bytes;
        list.push_back(t);
      }
      lists->push_back(list);
    }
    threads.spawn([&memory, lists, thread, &ends] {
      std::vector<MemorySystem::Ticket> tickets;
      for (const auto& list : *lists) {
        if (list.size() == 3) {
          tickets.push_back(memory.issue(list));
        } else {
          memory.transfer(list);
        }
      }
      for (const auto& ticket : tickets) memory.wait(ticket);
      ends[thread] = sc_core::sc_time_stamp();
    });
  }
  sc_core::sc_start();
  std::vector<std::uint64_t> result;
  for (const sc_time& end : ends) result.push_back(end.value());
  return result;
}

TEST(MemorySystem, ConcurrentThreadsLoseNoByteAndKeepTheBoundOfFlight) {
  auto config = memory_config(hbm2(), 3);
  config.dma.outstanding = 5;
  MemorySystem memory("memory", config, 500);
  std::vector<sc_time> ends;
  TrafficBytes expected;
  {
    Threads threads("threads");
    random_run(3, memory, threads, ends, expected);
  }
  EXPECT_EQ(memory.useful_bytes(), expected);
  EXPECT_TRUE(memory.idle());
  EXPECT_LE(memory.dma(false).peak_in_flight(), 5u);
  EXPECT_LE(memory.dma(true).peak_in_flight(), 5u);
  EXPECT_EQ(memory.dma(false).peak_in_flight(), 5u) << "the test must reach the bound";
  const TrafficBytes moved = memory.moved_bytes();
  EXPECT_GE(moved.total(), expected.total());
  EXPECT_EQ(memory.events().get("dram.read_bit") + memory.events().get("dram.write_bit"),
            moved.total() * 8);
}

TEST(MemorySystem, TwoIdenticalSystemsSideBySideRunIdentically) {
  const auto config = memory_config(lpddr5_6400(), 2);
  MemorySystem a("a", config, 500), b("b", config, 500);
  std::vector<sc_time> ends_a, ends_b;
  TrafficBytes expected_a, expected_b;
  Threads threads("threads");
  // Both have their threads spawned before time starts: one sc_start serves both.
  random_run(9, a, threads, ends_a, expected_a);
  const auto events = a.events();
  a.quiesce();
  const sc_time start = sc_core::sc_time_stamp();
  b.quiesce();
  random_run(9, b, threads, ends_b, expected_b);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(ends_b[i] - start, ends_a[i]);
  EXPECT_EQ(a.moved_bytes(), b.moved_bytes());
  EXPECT_EQ(events.get("dram.activate"), b.events().get("dram.activate"));
}

/// Random threads on channels that share and on channels that do not, at tight and loose bounds of
/// flight: equal to the last clock and count.
TEST(MemorySystem, SharingChangesNothing) {
  struct Case {
    std::uint64_t seed;
    std::array<std::unique_ptr<MemorySystem>, 2> memory;
  };
  std::vector<Case> cases;
  for (const std::uint32_t outstanding : {3u, 7u, 64u}) {
    for (const configs::DramConfig& dram : {hbm2(), ddr5_4800(), lpddr5_6400()}) {
      auto config = memory_config(dram, 4);
      config.dma.outstanding = outstanding;
      Case next{cases.size(), {}};
      for (const auto sharing : {MemorySystem::Sharing::on, MemorySystem::Sharing::off}) {
        const bool on = sharing == MemorySystem::Sharing::on;
        auto& memory = next.memory[on ? 0 : 1];
        memory = std::make_unique<MemorySystem>(sc_core::sc_gen_unique_name("memory"), config, 500,
                                                sharing);
        EXPECT_EQ(memory->channel(3).sharers(), on ? 4u : 1u);
      }
      cases.push_back(std::move(next));
    }
  }
  Threads threads("threads");
  for (const Case& each : cases) {
    std::array<std::vector<sc_time>, 2> ends;
    std::array<EventCounts, 2> events;
    std::array<TrafficBytes, 2> expected;
    for (const std::size_t i : {0, 1}) {
      MemorySystem& memory = *each.memory[i];
      memory.quiesce();
      const sc_time start = sc_core::sc_time_stamp();
      const EventCounts before = memory.events();
      random_run(each.seed, memory, threads, ends[i], expected[i]);
      for (sc_time& end : ends[i]) end -= start;
      events[i] = memory.events().since(before);
      EXPECT_EQ(memory.useful_bytes(), expected[i]);
    }
    EXPECT_EQ(ends[0], ends[1]) << each.seed;
    EXPECT_EQ(events[0], events[1]) << each.seed;
    EXPECT_EQ(each.memory[0]->moved_bytes(), each.memory[1]->moved_bytes()) << each.seed;
  }
}

TEST(MemorySystem, QuiesceMakesRepeatsEqualInTimeAndEvents) {
  const auto config = memory_config(ddr5_4800(), 2);  // a period of no whole picoseconds
  MemorySystem memory("memory", config, 500);
  Threads threads("threads");
  threads.spawn([&] {
    const std::vector<Transfer> work = {{TrafficClass::weights, false, 4096, 300'000},
                                        {TrafficClass::activations, true, 1 << 22, 50'000},
                                        {TrafficClass::kv_cache, false, 1 << 23, 77'777}};
    sc_time first_time;
    EventCounts first_events;
    for (int repeat = 0; repeat < 20; ++repeat) {
      memory.quiesce();
      const EventCounts before = memory.events();
      const sc_time time = timed([&] {
        memory.transfer(work);
        sc_core::wait(20.0 - 0.001 * repeat * 0, sc_core::SC_US);
      });
      const EventCounts events = memory.events().since(before);
      if (repeat == 0) {
        first_time = time;
        first_events = events;
        EXPECT_GT(events.get("dram.refresh"), 0u);
      }
      EXPECT_EQ(time, first_time) << repeat;
      EXPECT_EQ(events, first_events) << repeat;
      sc_core::wait(12.345 * repeat, sc_core::SC_NS);
    }
  });
  sc_core::sc_start();
}

TEST(MemorySystem, RefreshesCountWhileTheAcceleratorComputes) {
  const auto config = memory_config(hbm2(), 2);
  MemorySystem memory("memory", config, 500);
  Threads threads("threads");
  threads.spawn([&] {
    sc_core::wait(3.9 * 1000, sc_core::SC_US);
    EXPECT_EQ(memory.events().get("dram.refresh"), 2 * 1000u);
  });
  sc_core::sc_start();
}

TEST(MemorySystem, AReadDoesNotWaitBehindABlockedWrite) {
  auto config = memory_config(ddr4_3200());
  MemorySystem memory("memory", config, 500);
  Threads threads("threads");
  sc_time read_end, write_end;
  threads.spawn([&] {
    const Transfer t{TrafficClass::activations, true, 1 << 22, 1 << 20};
    memory.transfer({&t, 1});
    write_end = sc_core::sc_time_stamp();
  });
  threads.spawn([&] {
    const Transfer t{TrafficClass::weights, false, 0, 4096};
    memory.transfer({&t, 1});
    read_end = sc_core::sc_time_stamp();
  });
  sc_core::sc_start();
  EXPECT_LT(read_end * 10, write_end);
}

TEST(MemorySystem, TheModuleReproducesTheBareEngine) {
  const auto dram = ddr4_3200();
  auto config = memory_config(dram);
  config.dma.outstanding = 64;
  MemorySystem memory("memory", config, 500);
  Threads threads("threads");
  DramChannel engine(dram);
  const Clock end = drive(engine, stream(0, 1 << 20)).end;
  threads.spawn([&] {
    const Transfer t{TrafficClass::weights, false, 0, 1 << 20};
    EXPECT_EQ(timed([&] {
                memory.transfer({&t, 1});
              }),
              sc_time(static_cast<double>(end) * 0.625, sc_core::SC_NS));
    EXPECT_EQ(memory.row_hits(), engine.counts().row_hits);
    EXPECT_EQ(memory.row_misses(), engine.counts().row_misses);
  });
  sc_core::sc_start();
}

TEST(MemorySystem, ImpossibleConfigurationsAreRefusedWithPathAndValue) {
  const auto refused = [](auto change) -> std::string {
    configs::MemoryConfig c = memory_config(ddr4_3200());
    change(c);
    try {
      MemorySystem memory("memory", c, 500);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  using Config = configs::MemoryConfig;
  using testing::HasSubstr;
  EXPECT_THAT(refused([](Config& c) { c.channels = 0; }),
              HasSubstr("channels: expected 1 to 1024, found 0"));
  EXPECT_THAT(refused([](Config& c) { c.interleave_bytes = 96; }), HasSubstr("interleave_bytes"));
  EXPECT_THAT(refused([](Config& c) { c.dma.segment_bytes = 100; }),
              HasSubstr("dma.segment_bytes"));
  EXPECT_THAT(refused([](Config& c) { c.dma.outstanding = 0; }), HasSubstr("dma.outstanding"));
  EXPECT_THAT(refused([](Config& c) { c.dram.burst_bytes = 0; }), HasSubstr("burst_bytes"));
}

}  // namespace
}  // namespace systole::memory
