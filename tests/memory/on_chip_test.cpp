// Scratchpads, their prices, buffer credits, and the KV region.
#define SC_INCLUDE_DYNAMIC_PROCESSES  // sc_spawn
#include <gmock/gmock.h>

#include <cmath>
#include <string>
#include <vector>

#include "memory/kv_region.hpp"
#include "memory/scratchpad.hpp"
#include "memory/sram_model.hpp"
#include "sim/core/error.hpp"
#include "sim/core/random.hpp"

namespace systole::memory {
namespace {

using testing::HasSubstr;

TEST(Scratchpad, StreamsAllBanksEveryCycle) {
  const configs::ScratchpadConfig config;  // 256 KiB, 16 banks of 32 B words
  Scratchpad pad(config);
  EXPECT_EQ(pad.half().count(), 128u * 1024);
  EXPECT_EQ(pad.bytes_per_cycle().count(), 512u);
  EXPECT_EQ(pad.cycles_to_stream(Bytes(0)).count(), 0u);
  EXPECT_EQ(pad.cycles_to_stream(Bytes(1)).count(), 1u);
  EXPECT_EQ(pad.cycles_to_stream(Bytes(512)).count(), 1u);
  EXPECT_EQ(pad.cycles_to_stream(Bytes(513)).count(), 2u);
  EXPECT_EQ(pad.read_latency().count(), 2u);
}

TEST(Scratchpad, CountsAccessesInWords) {
  Scratchpad pad(configs::ScratchpadConfig{});
  pad.count_read(Bytes(33));
  pad.count_write(Bytes(64));
  pad.count_write(Bytes(0));
  EXPECT_EQ(pad.words_read(), 2u);
  EXPECT_EQ(pad.words_written(), 2u);
}

TEST(Scratchpad, ImpossibleShapesAreRefused) {
  const auto refused = [](std::uint64_t capacity, std::uint32_t banks,
                          std::uint32_t word) -> std::string {
    configs::ScratchpadConfig c;
    c.capacity_bytes = capacity;
    c.banks = banks;
    c.word_bytes = word;
    try {
      Scratchpad pad(c, "memory.weight");
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refused(1 << 18, 0, 32), HasSubstr("memory.weight: banks"));
  EXPECT_THAT(refused(1 << 18, 16, 0), HasSubstr("memory.weight: word_bytes"));
  EXPECT_THAT(refused(0, 16, 32), HasSubstr("memory.weight: capacity_bytes"));
  EXPECT_THAT(refused(1000, 16, 32), HasSubstr("found 1000"));
  EXPECT_THAT(refused(1024, 16, 32), "accepted");
}

TEST(BufferPool, TheProducerWaitsForAFreeHalfAndTheConsumerForAFullOne) {
  BufferPool pool("pool");
  std::vector<double> filled, emptied;
  sc_core::sc_spawn([&] {
    for (int i = 0; i < 4; ++i) {
      pool.acquire_free();
      sc_core::wait(10, sc_core::SC_NS);
      filled.push_back(sc_core::sc_time_stamp().to_seconds() * 1e9);
      pool.publish();
    }
  });
  sc_core::sc_spawn([&] {
    for (int i = 0; i < 4; ++i) {
      pool.acquire_full();
      sc_core::wait(30, sc_core::SC_NS);
      emptied.push_back(sc_core::sc_time_stamp().to_seconds() * 1e9);
      pool.release();
    }
  });
  sc_core::sc_start();
  // Fill 10, empty 30: after two fills the producer is held to the consumer's pace.
  EXPECT_THAT(filled, testing::Pointwise(testing::DoubleNear(1e-6), {10., 20., 50., 80.}));
  EXPECT_THAT(emptied, testing::Pointwise(testing::DoubleNear(1e-6), {40., 70., 100., 130.}));
  EXPECT_EQ(pool.free(), 2u);
  EXPECT_EQ(pool.full(), 0u);
}

TEST(BufferPool, MisuseIsOurBug) {
  BufferPool pool("pool");
  EXPECT_THROW(pool.publish(), InternalError);
  EXPECT_THROW(pool.release(), InternalError);
  EXPECT_THROW(BufferPool("empty", 0), InternalError);
}

configs::EnergyTable table_22nm() {
  // CACTI 7, 22 nm, itrs-hp, 32 B access: two points and the fit of the reference notes.
  configs::EnergyTable t;
  t.name = "test-22nm";
  t.sram_source = "CACTI 7";
  t.sram_points = {{64 * 1024, 32, 8.2, 21.6, 10.5, 0.054, 0.43},
                   {128 * 1024, 32, 14.0, 27.4, 21.0, 0.115, 0.56}};
  t.sram_read_pj = {9.30, 0.60, 0.75};
  t.sram_write_pj = {21.1, 0.42, 0.91};
  t.sram_leakage_mw = {10.3, 0.98, 0};
  t.sram_area_mm2 = {0.0534, 1.01, 0};
  t.sram_access_ns = {0.423, 0.42, 0};
  return t;
}

TEST(SramPrice, AnExactPointWinsOverTheFitAndBanksAddUp) {
  configs::ScratchpadConfig pad;
  pad.capacity_bytes = 256 * 1024;
  pad.banks = 4;
  const SramPrice price = price_sram(table_22nm(), pad);
  EXPECT_DOUBLE_EQ(price.read_pj_per_word, 8.2);
  EXPECT_DOUBLE_EQ(price.write_pj_per_word, 21.6);
  EXPECT_DOUBLE_EQ(price.leakage_mw, 4 * 10.5);
  EXPECT_DOUBLE_EQ(price.area_mm2, 4 * 0.054);
  EXPECT_DOUBLE_EQ(price.access_ns, 0.43);
  EXPECT_EQ(price.source, "CACTI 7 (point 65536 B x 32 B), 4 banks");
}

TEST(SramPrice, TheFitIsUsedWhereNoPointMatches) {
  configs::ScratchpadConfig pad;
  pad.capacity_bytes = 256 * 1024;
  pad.banks = 1;
  pad.word_bytes = 64;
  const SramPrice price = price_sram(table_22nm(), pad);
  EXPECT_DOUBLE_EQ(price.read_pj_per_word, 9.30 * std::pow(4.0, 0.60) * std::pow(2.0, 0.75));
  EXPECT_DOUBLE_EQ(price.leakage_mw, 10.3 * std::pow(4.0, 0.98));
  EXPECT_THAT(price.source, HasSubstr("fit at 262144 B x 64 B), 1 bank"));
  // More, smaller banks read cheaper: the reason to bank.
  pad.banks = 16;
  EXPECT_LT(price_sram(table_22nm(), pad).read_pj_per_word, price.read_pj_per_word);
}

TEST(SramPrice, ATableWithoutPointAndFitIsRefused) {
  configs::EnergyTable t = table_22nm();
  t.sram_read_pj = {};
  configs::ScratchpadConfig pad;
  pad.word_bytes = 64;
  EXPECT_THROW(price_sram(t, pad), ConfigError);
  pad.banks = 3;
  EXPECT_THROW(price_sram(t, pad), ConfigError);
}

TEST(KvRegion, TokensNeverOverlapAndTheRegionHoldsThemAll) {
  Random random(2);
  for (int i = 0; i < 200; ++i) {
    KvShape shape;
    shape.layers = static_cast<std::uint32_t>(random.uniform(1, 5));
    shape.max_tokens = static_cast<std::uint64_t>(random.uniform(1, 9));
    shape.key_bytes_per_token = Bytes(static_cast<std::uint64_t>(random.uniform(1, 300)));
    shape.value_bytes_per_token = Bytes(static_cast<std::uint64_t>(random.uniform(1, 300)));
    const KvRegion region(4096, shape, 64);
    std::uint64_t expected = 4096;
    for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
      for (std::uint64_t t = 0; t < shape.max_tokens; ++t) {
        const auto [k, v] = region.append(layer, t);
        ASSERT_EQ(k.address, expected);
        ASSERT_EQ(k.bytes % 64, 0u);
        ASSERT_GE(k.bytes, shape.key_bytes_per_token.count());
        ASSERT_LT(k.bytes, shape.key_bytes_per_token.count() + 64);
        expected += k.bytes;
      }
      for (std::uint64_t t = 0; t < shape.max_tokens; ++t) {
        const auto [k, v] = region.append(layer, t);
        ASSERT_EQ(v.address, expected);
        expected += v.bytes;
      }
    }
    ASSERT_EQ(region.bytes().count(), expected - 4096);
  }
}

TEST(KvRegion, ReadingCoversExactlyWhatWasAppended) {
  const KvShape shape{2, 100, Bytes(520), Bytes(520)};
  const KvRegion region(0, shape, 64);
  std::uint64_t written = 0;
  for (std::uint64_t t = 0; t < 37; ++t) {
    for (const Transfer& w : region.append(1, t)) {
      EXPECT_TRUE(w.write);
      EXPECT_EQ(w.traffic, TrafficClass::kv_cache);
      written += w.bytes;
    }
  }
  const auto [k, v] = region.read(1, 37);
  EXPECT_EQ(k.bytes + v.bytes, written);
  EXPECT_EQ(k.address, region.append(1, 0)[0].address);
  EXPECT_EQ(v.address, region.append(1, 0)[1].address);
  EXPECT_FALSE(k.write);
  EXPECT_EQ(k.bytes, 37u * 576);
}

TEST(KvRegion, TokensBeyondTheRegionAreOurBugAndAbsurdShapesTheUsers) {
  const KvRegion region(0, {1, 4, Bytes(64), Bytes(64)}, 64);
  EXPECT_THROW(region.append(0, 4), InternalError);
  EXPECT_THROW(region.append(1, 0), InternalError);
  EXPECT_THROW(region.read(0, 5), InternalError);
  EXPECT_THROW(KvRegion(0, {4'000'000'000u, ~0ull, Bytes(64), Bytes(64)}, 64), ConfigError);
}

}  // namespace
}  // namespace systole::memory
