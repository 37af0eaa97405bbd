// The cache against a naive model of the same rules, and in front of channels.
#define SC_INCLUDE_DYNAMIC_PROCESSES  // sc_spawn
#include "memory/cache.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "devices.hpp"
#include "memory/memory_system.hpp"
#include "sim/core/random.hpp"
#include "threads.hpp"

namespace systole::memory {
namespace {

using configs::CacheReplacement;
using configs::CacheWrite;
using sc_core::sc_time;

/// Sets as lists, the line used last in front; a dirty flag a line.
class NaiveLru {
 public:
  NaiveLru(std::uint64_t sets, std::size_t ways) : sets_(sets), ways_(ways) {}
  struct Outcome {
    bool hit = false;
    std::optional<std::uint64_t> written_back;
    friend bool operator==(const Outcome&, const Outcome&) = default;
  };
  Outcome access(std::uint64_t line, bool write) {
    std::list<std::pair<std::uint64_t, bool>>& set = content_[line % sets_];
    const auto at = std::ranges::find_if(set, [&](const auto& l) { return l.first == line; });
    if (at != set.end()) {
      const bool dirty = at->second || write;
      set.erase(at);
      set.emplace_front(line, dirty);
      return {true, std::nullopt};
    }
    Outcome outcome;
    if (set.size() == ways_) {
      if (set.back().second) outcome.written_back = set.back().first;
      set.pop_back();
    }
    set.emplace_front(line, write);
    return outcome;
  }
  std::size_t dirty() const {
    std::size_t count = 0;
    for (const auto& [number, set] : content_) {
      count += static_cast<std::size_t>(
          std::ranges::count_if(set, [](const auto& l) { return l.second; }));
    }
    return count;
  }

 private:
  std::uint64_t sets_;
  std::size_t ways_;
  std::map<std::uint64_t, std::list<std::pair<std::uint64_t, bool>>> content_;
};

NaiveLru::Outcome access(CacheDirectory& directory, std::uint64_t line, bool write) {
  if (directory.touch(line, write)) return {true, std::nullopt};
  const auto replaced = directory.allocate(line, TrafficClass::kv_cache, write);
  if (replaced && replaced->dirty) return {false, replaced->number};
  return {};
}

TEST(CacheDirectory, IsTheNaiveLruOnRandomStreams) {
  Random random(31);
  for (const std::uint64_t sets : {1u, 2u, 3u, 16u, 17u}) {
    for (const std::uint32_t ways : {1u, 2u, 3u, 8u}) {
      CacheDirectory directory(sets * ways, ways, CacheReplacement::lru);
      NaiveLru naive(sets, ways);
      const auto span = static_cast<std::int64_t>(2 * sets * ways);
      for (int i = 0; i < 3000; ++i) {
        const auto line = static_cast<std::uint64_t>(random.uniform(0, span));
        const bool write = random.uniform(0, 2) == 0;
        ASSERT_EQ(access(directory, line, write), naive.access(line, write))
            << sets << " sets of " << ways << ", access " << i;
      }
      EXPECT_EQ(directory.clear().size(), naive.dirty());
    }
  }
}

/// A tree of bits as nested halves, written down without indices.
struct Tree {
  std::unique_ptr<Tree> left, right;
  std::uint32_t way = 0;
  bool right_is_older = false;
  Tree(std::uint32_t first, std::uint32_t count) : way(first) {
    if (count == 1) return;
    left = std::make_unique<Tree>(first, count / 2);
    right = std::make_unique<Tree>(first + count / 2, count / 2);
  }
  std::uint32_t oldest() const {
    if (!left) return way;
    return right_is_older ? right->oldest() : left->oldest();
  }
  bool use(std::uint32_t used) {
    if (!left) return way == used;
    if (left->use(used)) return right_is_older = true;
    right_is_older = right_is_older && !right->contains(used);
    return right->use(used);
  }
  bool contains(std::uint32_t some) const {
    return left ? left->contains(some) || right->contains(some) : way == some;
  }
};

TEST(CacheDirectory, PlruIsATreeOfBits) {
  Random random(32);
  for (const std::uint32_t ways : {1u, 2u, 4u, 16u}) {
    CacheDirectory directory(ways, ways, CacheReplacement::plru);
    Tree tree(0, ways);
    std::vector<std::optional<std::uint64_t>> held(ways);
    for (int i = 0; i < 5000; ++i) {
      const auto line = static_cast<std::uint64_t>(random.uniform(0, 3 * ways));
      const auto at = std::ranges::find(held, std::optional(line));
      std::uint32_t way = static_cast<std::uint32_t>(at - held.begin());
      std::optional<std::uint64_t> gone;
      if (at == held.end()) {
        const auto empty = std::ranges::find(held, std::optional<std::uint64_t>());
        way =
            empty != held.end() ? static_cast<std::uint32_t>(empty - held.begin()) : tree.oldest();
        gone = held[way];
        held[way] = line;
      }
      tree.use(way);
      const NaiveLru::Outcome expected{at != held.end() && !gone && directory.contains(line), gone};
      const NaiveLru::Outcome outcome = access(directory, line, true);
      ASSERT_EQ(outcome.written_back, gone) << ways << " ways, access " << i;
      ASSERT_EQ(outcome.hit, expected.hit);
    }
  }
}

// --- in front of channels ---------------------------------------------------------------------

constexpr double kMhz = 500;

configs::MemoryConfig memory_config(std::uint64_t capacity, std::uint32_t channels = 1) {
  configs::MemoryConfig c;
  c.dram = hbm2();
  c.channels = channels;
  c.cache.capacity_bytes = capacity;
  return c;
}

Transfer kv(std::uint64_t address, std::uint64_t bytes, bool write = false) {
  return {TrafficClass::kv_cache, write, address, bytes};
}

TEST(Cache, ALineThatIsThereTakesItsLookUpAndItsLatency) {
  MemorySystem memory("memory", memory_config(1 << 16), kMhz);
  run([&] {
    const Transfer t = kv(4096, 64);
    const sc_time miss = timed([&] { memory.transfer({&t, 1}); });
    const sc_time hit = timed([&] { memory.transfer({&t, 1}); });
    EXPECT_EQ(hit, sc_time((1 + 4) * 2, sc_core::SC_NS));
    EXPECT_GT(miss, 5 * hit / 2);
    EXPECT_EQ(memory.cache(0)->counts().hits, 1u);
    EXPECT_EQ(memory.cache(0)->counts().misses, 1u);
    EXPECT_EQ(memory.useful_bytes().read[index_of(TrafficClass::kv_cache)], 64u);
  });
}

TEST(Cache, OtherClassesPassByAsIfThereWereNone) {
  MemorySystem with("with", memory_config(1 << 16), kMhz);
  MemorySystem without("without", memory_config(0), kMhz);
  run([&] {
    const std::vector<Transfer> work = {{TrafficClass::weights, false, 100, 100'000},
                                        {TrafficClass::activations, true, 1 << 20, 5000}};
    const sc_time direct = timed([&] { without.transfer(work); });
    with.quiesce();
    EXPECT_EQ(timed([&] { with.transfer(work); }), direct);
    EXPECT_EQ(with.cache(0)->counts().lookups, 0u);
  });
}

/// One transfer at a time: the module brings in and writes back what the naive model says.
TEST(Cache, MovesWhatTheNaiveModelSays) {
  constexpr std::uint64_t kLine = 64, kLines = 64;
  MemorySystem memory("memory", memory_config(kLines * kLine), kMhz);
  run([&] {
    NaiveLru naive(kLines / 8, 8);
    Random random(33);
    std::uint64_t hits = 0, fills = 0, write_backs = 0, looked_up = 0;
    for (int i = 0; i < 2000; ++i) {
      const auto address = static_cast<std::uint64_t>(random.uniform(0, 3 * kLines * kLine));
      const auto bytes = static_cast<std::uint64_t>(random.uniform(1, 300));
      const bool write = random.uniform(0, 2) == 0;
      for (std::uint64_t line = address / kLine; line * kLine < address + bytes; ++line) {
        const auto outcome = naive.access(line, write);
        const bool whole = address <= line * kLine && (line + 1) * kLine <= address + bytes;
        ++looked_up;
        hits += outcome.hit ? 1 : 0;
        fills += !outcome.hit && !(write && whole) ? 1 : 0;
        write_backs += outcome.written_back ? 1 : 0;
      }
      const Transfer t = kv(address, bytes, write);
      memory.transfer({&t, 1});
    }
    const CacheCounts& counts = memory.cache(0)->counts();
    EXPECT_EQ(counts.merged, 0u);
    EXPECT_EQ(counts.lookups, looked_up);
    EXPECT_EQ(counts.hits, hits);
    EXPECT_EQ(counts.misses, looked_up - hits);
    EXPECT_EQ(counts.fills, fills);
    EXPECT_EQ(counts.write_backs, write_backs);
    memory.flush();
    EXPECT_EQ(counts.write_backs, write_backs + naive.dirty());
    EXPECT_TRUE(memory.idle());
    constexpr std::size_t kKv = index_of(TrafficClass::kv_cache);
    EXPECT_EQ(memory.useful_bytes().read[kKv], counts.fills * kLine);
    EXPECT_EQ(memory.useful_bytes().written[kKv], counts.write_backs * kLine);
    memory.quiesce();
  });
}

TEST(Cache, HitsPassUnderMissesUntilNoRegisterIsFree) {
  auto config = memory_config(1 << 16);
  MemorySystem many("many", config, kMhz);
  config.cache.mshrs = 1;
  MemorySystem one("one", config, kMhz);
  run([&] {
    std::map<MemorySystem*, sc_time> under, scattered;
    for (MemorySystem* memory : {&many, &one}) {
      const Transfer there = kv(0, 64), away = kv(1 << 20, 64);
      memory->transfer({&there, 1});
      const sc_time start = sc_core::sc_time_stamp();
      const auto miss = memory->issue(std::span<const Transfer>(&away, 1));
      memory->transfer({&there, 1});
      under[memory] = sc_core::sc_time_stamp() - start;
      EXPECT_FALSE(memory->done(miss));
      memory->wait(miss);
      std::vector<Transfer> all;
      for (std::uint64_t i = 1; i < 16; ++i) all.push_back(kv(i * 65536, 64));
      scattered[memory] = timed([&] { memory->transfer(all); });
    }
    EXPECT_EQ(under[&many], sc_time((2 + 4) * 2, sc_core::SC_NS));
    EXPECT_EQ(under[&one], under[&many]);
    EXPECT_GT(scattered[&one], 3 * scattered[&many]);
  });
}

/// Everything at once, in few sets and registers, behind a network: nothing is lost or hangs.
TEST(Cache, LosesNothingUnderPressure) {
  std::vector<std::unique_ptr<MemorySystem>> systems;
  for (const auto write : {CacheWrite::back, CacheWrite::through}) {
    for (const auto replacement : {CacheReplacement::lru, CacheReplacement::plru}) {
      for (const auto kind : {configs::NocKind::none, configs::NocKind::crossbar}) {
        auto config = memory_config(3 * 2 * 2 * 64, 3);
        config.cache.ways = 2;
        config.cache.mshrs = 3;
        config.cache.write = write;
        config.cache.replacement = replacement;
        config.cache.weights = true;
        config.noc.kind = kind;
        config.noc.queue = 1;
        config.dma.engines = 2;
        systems.push_back(
            std::make_unique<MemorySystem>(sc_core::sc_gen_unique_name("memory"), config, kMhz));
      }
    }
  }
  run([&] {
    for (const auto& memory : systems) {
      Random random(34);
      std::vector<MemorySystem::Ticket> tickets;
      std::uint64_t passed_by = 0;
      for (int i = 0; i < 300; ++i) {
        Transfer t =
            kv(static_cast<std::uint64_t>(random.uniform(0, 4000)),
               static_cast<std::uint64_t>(random.uniform(0, 700)), random.uniform(0, 1) == 0);
        t.traffic = static_cast<TrafficClass>(random.uniform(0, 2));
        if (t.traffic == TrafficClass::activations) passed_by += t.bytes;
        tickets.push_back(memory->issue(std::span<const Transfer>(&t, 1)));
        if (random.uniform(0, 9) == 0) memory->wait(tickets.back());
      }
      for (const auto ticket : tickets) memory->wait(ticket);
      memory->flush();
      EXPECT_TRUE(memory->idle());
      const TrafficBytes moved = memory->useful_bytes();
      constexpr std::size_t kBy = index_of(TrafficClass::activations);
      EXPECT_EQ(moved.read[kBy] + moved.written[kBy], passed_by);
      CacheCounts sum;
      for (std::uint32_t c = 0; c < 3; ++c) {
        const CacheCounts& part = memory->cache(c)->counts();
        EXPECT_EQ(part.lookups, part.hits + part.misses + part.merged + part.bypassed);
        EXPECT_GT(part.merged, 0u);
        sum.fills += part.fills;
        sum.write_backs += part.write_backs;
      }
      EXPECT_EQ(moved.read[0] + moved.read[2], 64 * sum.fills);
      if (sum.write_backs > 0) {
        EXPECT_EQ(moved.written[0] + moved.written[2], 64 * sum.write_backs);
      }
      memory->quiesce();
    }
  });
}

}  // namespace
}  // namespace systole::memory
