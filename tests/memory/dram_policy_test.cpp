// What must hold under every policy, device and option: bulk equals single steps, bytes are
// conserved, refreshes are counted, nobody starves.
#include <gmock/gmock.h>

#include <functional>

#include "channel_driver.hpp"
#include "configs/library.hpp"
#include "memory/dram_player.hpp"
#include "sim/core/error.hpp"
#include "sim/core/random.hpp"

namespace systole::memory {
namespace {

struct Variant {
  std::string name;
  configs::DramConfig config;
};
void PrintTo(const Variant& v, std::ostream* out) { *out << v.name; }

/// Every shipped device under every policy, and options on one device.
std::vector<Variant> variants() {
  std::vector<Variant> all;
  const auto add = [&](const std::string& device, std::vector<std::string> changes,
                       const std::string& suffix) {
    std::string name = device + "_" + suffix;
    std::erase_if(name, [](char c) { return c == '-' || c == '.'; });
    all.push_back({name, configs::load_dram(device, changes)});
  };
  for (const std::string& device : configs::names(configs::Kind::dram)) {
    for (const auto policy : configs::kDramPolicyNames) {
      add(device, {"controller.policy=" + std::string(policy)}, std::string(policy));
    }
  }
  const std::vector<std::pair<std::string, std::vector<std::string>>> options = {
      {"release", {"controller.release=column"}},
      {"closed", {"controller.page=closed"}},
      {"adaptive", {"controller.page=adaptive", "controller.page_accesses=3"}},
      {"rbc", {"controller.map=RBC"}},
      {"bgl", {"controller.map=BGL"}},
      {"ranks", {"ranks=2", "rtrs=2", "capacity_bytes=17179869184"}},
      {"ranks_queues",
       {"ranks=2", "rtrs=2", "capacity_bytes=17179869184", "controller.policy=per-bank-queues"}},
      {"ranks_machines",
       {"ranks=2", "rtrs=2", "capacity_bytes=17179869184", "controller.policy=bank-machines"}},
      {"perbank", {"refresh=per-bank", "refi_bank=780", "rfc_bank=300", "refresh_to_activate=8"}},
      {"samebank", {"refresh=same-bank", "refi_bank=3120", "rfc_bank=300"}},
      {"norefresh", {"refresh=none"}},
      {"powerdown", {"power_down_after=64", "xp=10", "power_down_mw=250"}},
      {"powerdown_queues",
       {"power_down_after=64", "xp=10", "power_down_mw=250", "controller.policy=per-bank-queues"}},
      {"powerdown_machines",
       {"power_down_after=64", "xp=10", "power_down_mw=250", "controller.policy=bank-machines"}},
      {"bankwise", {"controller.policy=bank-machines", "controller.buffer=bank", "read_queue=8"}},
      {"priority", {"controller.priority_kv_cache=2"}},
      {"nocaps", {"controller.row_hit_cap=0", "controller.write_turn=0", "controller.read_turn=0"}},
      {"small", {"read_queue=1", "write_queue=1"}},
  };
  for (const auto& [suffix, changes] : options) add("ddr4-3200", changes, suffix);
  add("hbm2-2.0", {"pseudo_channels=2", "capacity_bytes=2147483648"}, "pair");
  add("hbm3-6.4", {"pseudo_channels=2", "capacity_bytes=2147483648"}, "pair");
  return all;
}

class EveryPolicy : public testing::TestWithParam<Variant> {};
INSTANTIATE_TEST_SUITE_P(Dram, EveryPolicy, testing::ValuesIn(variants()),
                         [](const auto& v) { return v.param.name; });

/// Streams, gathers and single bursts of both directions, with pauses.
std::vector<std::pair<Segment, Clock>> random_work(Random& random, std::uint32_t burst,
                                                   std::uint64_t count) {
  std::vector<std::pair<Segment, Clock>> work;
  std::array<std::uint64_t, 3> cursor{0, 1 << 20, 3 << 20};
  const std::int64_t kind = random.uniform(0, 3);
  for (std::uint64_t i = 0; i < count; ++i) {
    Segment s;
    s.id = i;
    s.traffic = static_cast<TrafficClass>(random.uniform(0, 2));
    const auto stream = static_cast<std::size_t>(random.uniform(0, 2));
    s.write = kind != 0 && stream == 2;
    s.bytes = static_cast<std::uint64_t>(random.uniform(1, kind == 3 ? 2 : 64)) * burst;
    s.address = kind == 3 ? static_cast<std::uint64_t>(random.uniform(0, 1 << 24)) & ~63ull
                          : cursor[stream];
    cursor[stream] += s.bytes;
    const bool pause = random.uniform(0, 15) == 0;
    work.emplace_back(s, pause ? static_cast<Clock>(random.uniform(1, 20'000)) : 0);
  }
  return work;
}

/// Offers in order, one at a time; advances by odd steps as well when told to.
std::vector<SegmentEvent> run(DramChannel& channel,
                              const std::vector<std::pair<Segment, Clock>>& work, Random* odd) {
  std::vector<SegmentEvent> events;
  Clock now = 0, offer = 0;
  bool waiting = false;
  std::size_t next = 0;
  while (next < work.size() || !channel.idle()) {
    while (next < work.size() && !waiting && now >= offer) {
      waiting = !channel.admit(work[next].first, now);
      offer = now + work[next].second;
      ++next;
    }
    Clock until = channel.next_event();
    if (next < work.size() && !waiting && offer > now) until = std::min(until, offer);
    EXPECT_NE(until, kNever) << "nothing would ever happen";
    if (until == kNever) return events;
    until = std::max(until, now + 1);
    now = odd == nullptr || until == now + 1
              ? until
              : static_cast<Clock>(odd->uniform(static_cast<std::int64_t>(now) + 1,
                                                static_cast<std::int64_t>(until)));
    channel.advance(now);
    while (const auto event = channel.pop(now)) {
      EXPECT_EQ(event->time, now) << "an event seen late";
      events.push_back(*event);
      if (event->kind == SegmentEvent::Kind::accepted) waiting = false;
    }
  }
  return events;
}

TEST_P(EveryPolicy, NeitherBulkNorHowTimeIsDividedChangesAResultAndBytesAreConserved) {
  const auto& c = GetParam().config;
  for (std::uint64_t i = 0; i < 60; ++i) {
    SCOPED_TRACE(testing::Message() << "seed 77 case " << i);
    Random random = Random::stream(77, i);
    const auto work = random_work(random, c.burst_bytes, 80);
    DramChannel bulk(c), single(c, DramChannel::Bulk::off);
    Random steps(i);
    const auto expected = run(single, work, nullptr);
    ASSERT_EQ(run(bulk, work, &steps), expected);
    const Clock end = expected.back().time + 12'345;
    bulk.advance(end);
    single.advance(end);
    ASSERT_EQ(bulk.counts(), single.counts());
    std::array<std::uint64_t, kTrafficClassCount> read{}, written{};
    std::uint64_t bursts = 0;
    for (const auto& [s, pause] : work) {
      (s.write ? written : read)[index_of(s.traffic)] += s.bytes;
      bursts +=
          (s.address + s.bytes + c.burst_bytes - 1) / c.burst_bytes - s.address / c.burst_bytes;
    }
    const DramCounts& n = bulk.counts();
    ASSERT_EQ(n.useful_read, read);
    ASSERT_EQ(n.useful_written, written);
    ASSERT_EQ(n.read_bursts + n.write_bursts, bursts);
    ASSERT_EQ(n.row_hits + n.row_misses, bursts);
  }
}

TEST_P(EveryPolicy, RefreshesAreOneAnIntervalOfEveryUnit) {
  const auto& c = GetParam().config;
  DramChannel idle(c), stepwise(c), busy(c);
  const Clock refi = c.refi;
  idle.advance(50 * refi);
  for (Clock t = 0; t < 50 * refi; t += 1009) stepwise.advance(t);
  stepwise.advance(50 * refi);
  EXPECT_EQ(idle.counts(), stepwise.counts());
  const Clock end = drive(busy, stream(0, 1 << 20)).end;
  const auto expected = [&](Clock clocks) {
    return static_cast<double>(clocks) /
           (c.refi_bank != 0 && c.refresh != configs::RefreshMode::all_bank ? c.refi_bank
                                                                            : c.refi / c.units());
  };
  const auto counted = [](const DramChannel& channel) {
    return static_cast<double>(channel.counts().refreshes + channel.counts().bank_refreshes);
  };
  if (c.refresh == configs::RefreshMode::none) {
    EXPECT_EQ(counted(idle) + counted(busy), 0);
    return;
  }
  EXPECT_NEAR(counted(idle), expected(50 * refi), 1.01);
  EXPECT_NEAR(counted(busy), expected(end), 2.01);
}

TEST_P(EveryPolicy, TheEnergyPartsSumAndEveryPartGrowsWithItsEvents) {
  const auto& c = GetParam().config;
  DramCounts n;
  n.activates = 3, n.read_bursts = 5, n.write_bursts = 7, n.refreshes = 2;
  const DramEnergy e = energy_of(c, n, 1000, 1);
  EXPECT_DOUBLE_EQ(e.total(), e.activate + e.read + e.write + e.refresh + e.standby);
  EXPECT_DOUBLE_EQ(e.activate, 3 * c.activate_pj);
  EXPECT_DOUBLE_EQ(e.read, 5 * 8.0 * c.burst_bytes * c.read_pj_per_bit);
  EXPECT_DOUBLE_EQ(e.refresh, 2 * c.refresh_pj);
}

/// A lone request to one row among an endless stream of hits to another, and a lone one of the
/// other direction: both are done after a bounded number of the stream's bursts.
TEST(SharedWindow, NobodyWaitsLongerThanTheCapsSay) {
  const auto c = configs::load_dram("ddr4-3200", {"controller.map=RBC"});
  const std::uint64_t row = c.row_bytes;
  for (const bool write_stream : {false, true}) {
    for (const bool write_victim : {false, true}) {
      DramChannel channel(c);
      Clock now = 0, victim_done = 0;
      bool waiting = false;
      std::uint64_t column = 0, bursts_before = 0;
      ASSERT_TRUE(channel.admit({.id = 0, .write = write_stream, .address = 0, .bytes = 64}, 0));
      channel.advance(40);
      // Same bank, another row: a bank's rows are 16 rows of bytes apart.
      channel.admit({.id = 1, .write = write_victim, .address = 16 * row, .bytes = 64}, 40);
      now = 40;
      while (victim_done == 0 && bursts_before < 100'000) {
        if (!waiting) {
          Segment s{.id = 2, .write = write_stream, .address = column++ % 128 * 64, .bytes = 64};
          waiting = !channel.admit(s, now);
        }
        now = std::max(now + 1, channel.next_event());
        channel.advance(now);
        while (const auto event = channel.pop(now)) {
          if (event->kind == SegmentEvent::Kind::accepted) waiting = false;
          if (event->id == 1 && event->kind == SegmentEvent::Kind::completed) victim_done = now;
        }
        bursts_before = channel.counts().read_bursts + channel.counts().write_bursts;
      }
      ASSERT_NE(victim_done, 0u) << write_stream << write_victim;
      const std::uint64_t turn = write_stream ? c.controller.write_turn * c.write_queue
                                              : c.controller.read_turn * c.read_queue;
      const std::uint64_t bound = c.controller.row_hit_cap + c.read_queue +
                                  (write_stream != write_victim ? turn + c.read_queue : 0);
      EXPECT_LE(bursts_before, bound) << write_stream << write_victim;
    }
  }
}

TEST(SharedWindow, APriorityClassGoesFirstAmongRequestsThatCouldGoTogether) {
  const auto late_latency = [](const char* priority) {
    const auto c =
        configs::load_dram("ddr4-3200", {std::string("controller.priority_kv_cache=") + priority});
    DramChannel channel(c);
    for (std::uint64_t i = 0; i < 15; ++i) {  // every bank but one
      channel.admit({.id = i, .address = i * 256, .bytes = 64}, 0);
    }
    channel.admit({.id = 99, .traffic = TrafficClass::kv_cache, .address = 15 * 256, .bytes = 64},
                  0);
    channel.advance(5'000);
    Clock at = 0;
    while (const auto event = channel.pop(5'000)) {
      if (event->id == 99) at = event->time;
    }
    return at;
  };
  EXPECT_LT(late_latency("1"), late_latency("0"));
}

TEST(SharedWindow, PowerDownIsCountedAndItsExitIsPaid) {
  const auto c = configs::load_dram(
      "ddr4-3200", {"power_down_after=100", "xp=10", "power_down_mw=200", "refresh=none"});
  DramChannel channel(c);
  ASSERT_TRUE(channel.admit({.id = 0, .address = 0, .bytes = 64}, 0));
  channel.advance(1'000);
  const Clock first = channel.pop(1'000)->time;
  ASSERT_TRUE(channel.admit({.id = 1, .address = 64, .bytes = 64}, 1'000));
  channel.advance(2'000);
  // A row hit, and the exit.
  EXPECT_EQ(channel.pop(2'000)->time, 1'000 + c.xp + c.cl + c.burst_clocks);
  EXPECT_EQ(channel.counts().power_down_clocks,
            (1'000 - (first + 100)) + (2'000 - (1'000 + c.xp + c.cl + c.burst_clocks + 100)));
}

TEST(AddressMaps, EveryNameAndAnyPermutationIsABijection) {
  for (const std::string map : {"RBC", "BGL", "MOP", "MOPX", "row column bank group column:3",
                                "bank row group column", "row:4 bank row column:2 group column"}) {
    const auto c = configs::load_dram("ddr4-3200", {"controller.map=" + map});
    const AddressMap address(c);
    Random random(9);
    for (int i = 0; i < 5'000; ++i) {
      const std::uint64_t burst = random.next() >> 37;
      const DramLocation place = address.locate(burst);
      ASSERT_LT(place.bank, c.banks()) << map;
      ASSERT_LT(place.column, c.row_bytes / c.burst_bytes) << map;
      ASSERT_EQ(address.burst_of(place), burst) << map;
    }
  }
}

TEST(AddressMaps, MopxSpelledOutIsMopx) {
  const AddressMap named(configs::load_dram("ddr4-3200"));
  const AddressMap spelled(
      configs::load_dram("ddr4-3200", {"controller.map=row column rank bank group pseudo column:2",
                                       "controller.map_xor=group=0 bank=2"}));
  for (std::uint64_t burst = 0; burst < 1 << 20; burst += 37) {
    ASSERT_EQ(named.locate(burst), spelled.locate(burst));
  }
}

TEST(AddressMaps, RefuseWhatIsNoPermutation) {
  const auto refused = [](std::vector<std::string> changes) -> std::string {
    try {
      AddressMap map(configs::load_dram("ddr4-3200", changes));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  using testing::HasSubstr;
  EXPECT_THAT(refused({"controller.map=MOPY"}), HasSubstr("did you mean 'MOP"));
  EXPECT_THAT(refused({"controller.map=row bank column"}), HasSubstr("2 bits of 'group', found 0"));
  EXPECT_THAT(refused({"controller.map=row bank bank group column"}), HasSubstr("there twice"));
  EXPECT_THAT(refused({"controller.map=row bank group column:x column"}), HasSubstr("column:x"));
  EXPECT_THAT(refused({"controller.map=MOP", "controller.map_xor=column=0"}),
              HasSubstr("cannot be hashed"));
}

}  // namespace
}  // namespace systole::memory
