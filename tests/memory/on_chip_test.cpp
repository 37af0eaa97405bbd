// Scratchpads and their prices.
#define SC_INCLUDE_DYNAMIC_PROCESSES  // sc_spawn
#include <gmock/gmock.h>

#include <cmath>
#include <string>
#include <vector>

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

}  // namespace
}  // namespace systole::memory
