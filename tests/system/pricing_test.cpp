#include "sim/system/pricing.hpp"

#include <gtest/gtest.h>

#include <array>

#include "pe/design.hpp"
#include "sim/core/error.hpp"
#include "sim/system/schedule.hpp"
#include "sim/system/vector_cost.hpp"
#include "tests/system/machines.hpp"

namespace systole::sim {
namespace {

TEST(PriceList, PricesEachEventAtItsTablePrice) {
  const auto machine = configs::load_machine("mixpe-128x128");
  const PriceList prices(machine);
  EventCounts events;
  events.add("array.mac_pass", 1000);
  events.add("dram.read_bit", 8);
  const auto pj = prices.dynamic_pj(events);
  EXPECT_DOUBLE_EQ(pj.at("array"), 1000 * machine.energy.pes.at("mixpe-w4a8").mac_pj);
  EXPECT_DOUBLE_EQ(pj.at("dram"), 8 * machine.memory.dram.read_pj_per_bit);
}

TEST(PriceList, ChargesStandingPowerByTimeAndRefreshByCount) {
  const auto machine = configs::load_machine("mixpe-128x128");
  const PriceList prices(machine);
  EventCounts events;
  events.add("dram.refresh", 3);
  for (const ComponentRow& part : prices.components(events, Nanoseconds(2000))) {
    EXPECT_EQ(part.dynamic_pj, 0) << part.name;
    if (part.name == "dram") {
      EXPECT_DOUBLE_EQ(part.static_pj,
                       2000 * machine.memory.dram.standby_mw * machine.memory.channels +
                           3 * machine.memory.dram.refresh_pj);
    }
    if (part.name == "array") {
      EXPECT_DOUBLE_EQ(part.static_pj,
                       2000 * 128 * 128 * machine.energy.pes.at("mixpe-w4a8").leakage_uw * 1e-3);
      EXPECT_DOUBLE_EQ(part.area_mm2,
                       128 * 128 * machine.energy.pes.at("mixpe-w4a8").area_um2 * 1e-6);
    }
    EXPECT_FALSE(part.energy_source.empty()) << part.name;
  }
}

TEST(PriceList, PricesCheckBitsBankRefreshesAndPowerDown) {
  const auto machine = configs::load_machine(
      "mixpe-128x128",
      {"memory.dram.ecc=sideband", "memory.dram.refresh=per-bank", "memory.dram.refi_bank=250",
       "memory.dram.rfc_bank=100", "memory.dram.power_down_after=50", "memory.dram.xp=10",
       "memory.dram.power_down_mw=3"});
  const configs::DramConfig& dram = machine.memory.dram;
  const PriceList prices(machine);
  EventCounts work;
  work.add("dram.read_bit", 8);
  work.add("dram.activate", 2);
  EXPECT_DOUBLE_EQ(prices.dynamic_pj(work).at("dram"),
                   9.0 / 8 * (8 * dram.read_pj_per_bit + 2 * dram.activate_pj));
  EventCounts time;
  time.add("dram.bank_refresh", dram.banks_per_unit());
  time.add("dram.power_down_clock", 100);
  for (const ComponentRow& part : prices.components(time, Nanoseconds(2000))) {
    if (part.name != "dram") continue;
    EXPECT_EQ(part.dynamic_pj, 0);
    EXPECT_NEAR(part.static_pj,
                2000 * dram.standby_mw * machine.memory.channels + dram.refresh_pj -
                    100 * (dram.standby_mw - 3) * 1e3 / dram.clock_mhz,
                1e-6 * part.static_pj);
  }
}

TEST(PriceList, PricesEachClassOfPassOnItsOwnAndUnpricedOnesAsAnyPass) {
  auto machine = configs::load_machine("mixpe-128x128");
  configs::PePrice& pe = machine.energy.pes.at("mixpe-w4a8");
  pe.mac_zero_pj = 0.25;
  pe.mac_quiet_pj = 0.5;
  pe.operand_toggle_pj = 0.0625;
  pe.mac_hold_pj = 0;  // not known
  EventCounts events;
  events.add("array.mac_pass", 100);
  events.add("array.mac_pass_zero", 40);
  events.add("array.mac_pass_hold", 10);
  events.add("array.mac_pass_traced", 20);
  events.add("array.operand_toggle", 160);
  const double whole = PriceList(machine).dynamic_pj(events).at("array");
  EXPECT_DOUBLE_EQ(whole, 110 * pe.mac_pj + 40 * 0.25 + 20 * 0.5 + 160 * 0.0625);
  double parts = 0;
  for (const auto& [event, count] : events) {
    EventCounts one;
    one.add(event, count);
    parts += PriceList(machine).dynamic_pj(one).at("array");
  }
  EXPECT_DOUBLE_EQ(parts, whole);
}

TEST(PriceList, PricesTheUnitsAtTheArraysEdgeByWordAndLane) {
  auto machine = configs::load_machine("olive-dot-40x36");
  const configs::OpPrice& decoder = machine.energy.ops.at("ovp_decoder");
  const configs::PePrice& pe = machine.energy.pes.at("olive-dot");
  ASSERT_GT(decoder.pj, 0);
  EventCounts events;
  events.add("array.mac_pass", 1000);
  events.add("array.edge_weight_word", 36);
  events.add("array.edge_activation_word", 40);
  const double whole = PriceList(machine).dynamic_pj(events).at("array");
  // A word of 16 codes is eight bytes, a decoder each.
  EXPECT_DOUBLE_EQ(whole, 1000 * pe.mac_pj + 36 * 8 * decoder.pj + 40 * 8 * decoder.pj);
  double parts = 0;
  for (const auto& [event, count] : events) {
    EventCounts one;
    one.add(event, count);
    parts += PriceList(machine).dynamic_pj(one).at("array");
  }
  EXPECT_DOUBLE_EQ(parts, whole);

  const auto area = [](const configs::MachineConfig& of) {
    return PriceList(of).components({}, Nanoseconds(0)).front().area_mm2;
  };
  EXPECT_DOUBLE_EQ(area(machine),
                   (40 * 36 * pe.area_um2 + (40 + 36) * 8 * decoder.area_um2) * 1e-6);
  machine.energy.ops.erase("ovp_decoder");
  EXPECT_DOUBLE_EQ(area(machine), 40 * 36 * pe.area_um2 * 1e-6);
  EXPECT_DOUBLE_EQ(PriceList(machine).dynamic_pj(events).at("array"), 1000 * pe.mac_pj);
  bool said = false;
  for (const auto& [name, value] : PriceList(machine).notes()) {
    said |= name == "not priced at the array's edge" && value.starts_with("ovp_decoder");
  }
  EXPECT_TRUE(said);
}

TEST(PriceList, CountsWordsAtTheEdgeOnlyOfDesignsThatHaveUnitsThere) {
  pe::ArrayWork work;
  work.weight_words = 3;
  work.activation_words = 5;
  work.results = 7;
  const auto counted = [&](const char* design) {
    WorkCounts counts;
    count_edge(counts, pe::find_design(design), work, 2);
    return std::array{counts.edge_weight_words, counts.edge_activation_words, counts.edge_results};
  };
  EXPECT_EQ(counted("int8-mac"), (std::array<std::uint64_t, 3>{0, 0, 0}));
  EXPECT_EQ(counted("olive"), (std::array<std::uint64_t, 3>{6, 10, 0}));
  EXPECT_EQ(counted("figna-w4"), (std::array<std::uint64_t, 3>{0, 10, 14}));
  EXPECT_EQ(counted("nvfp4-dot"), (std::array<std::uint64_t, 3>{6, 10, 14}));
}

TEST(PriceList, BoundsTheArraysEnergyByItsGlitches) {
  const auto machine = configs::load_machine("mixpe-128x128");
  const configs::PePrice& pe = machine.energy.pes.at("mixpe-w4a8");
  ASSERT_GT(pe.mac_glitch_pj, pe.mac_pj);
  EventCounts events;
  events.add("array.mac_pass", 1000);
  events.add("vector.add", 10);
  RunResult result;
  result.components = PriceList(machine).components(events, Nanoseconds(0));
  for (const ComponentRow& part : result.components) {
    if (part.name == "array") {
      EXPECT_DOUBLE_EQ(part.dynamic_high_pj, 1000 * pe.mac_glitch_pj);
      EXPECT_EQ(part.energy_band, pe.energy_band);
      EXPECT_EQ(part.area_band, pe.area_band);
    } else {
      EXPECT_EQ(part.dynamic_high_pj, part.dynamic_pj) << part.name;
    }
  }
  const double adds = 10 * machine.energy.ops.at("fp32_add").pj;  // no band stated
  EXPECT_DOUBLE_EQ(result.energy_range_pj().low, 1000 * pe.mac_pj * (1 - pe.energy_band) + adds);
  EXPECT_DOUBLE_EQ(result.energy_range_pj().high,
                   1000 * pe.mac_glitch_pj * (1 + pe.energy_band) + adds);
  EXPECT_LT(result.area_range_mm2().low, result.area_range_mm2().high);
}

TEST(PriceList, SaysItsNodeItsBandsAndItsScaling) {
  const auto note = [](const configs::MachineConfig& machine, const std::string& name) {
    for (const auto& [key, value] : PriceList(machine).notes()) {
      if (key == name) return value;
    }
    return std::string();
  };
  const auto plain = configs::load_machine("mixpe-128x128");
  EXPECT_EQ(note(plain, "node"), "45 nm, energy table 'nangate45-lstp'; DRAM is priced apart");
  EXPECT_EQ(note(plain, "node scaling"), "");
  EXPECT_EQ(note(plain, "area bands").substr(0, 17), "array \u00b115 %, deq");
  const auto scaled = configs::load_machine(
      "mixpe-128x128",
      {"energy.scale={to_nm: 28, from_v: 1.1, to_v: 0.9, source: a test}", "clock_mhz=500"});
  EXPECT_EQ(note(scaled, "node scaling").substr(0, 54),
            "from 45 nm at 1.1 V to 28 nm at 0.9 V: logic area x0.3");
  const auto mixed = configs::load_machine("mixpe-128x128", {"energy=legacy-ant"});
  EXPECT_EQ(note(mixed, "mixed nodes").substr(0, 24), "the published convention");
  EXPECT_NE(note(mixed, "area of the array"), "");
}

TEST(PriceList, RefusesAPeWithoutAPriceAndNamesTablesThatHaveOne) {
  auto machine = configs::load_machine("mixpe-128x128");
  machine.energy = configs::load_energy("bitmod-28");
  machine.array.pe = "figna-w4";
  try {
    const PriceList prices(machine);
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(
        error.what(),
        "energy table 'bitmod-28' has no price for PE 'figna-w4'; asap7, axcore-28, nangate45, "
        "nangate45-lstp and sg13g2 have one");
  }
}

TEST(PriceList, FindsADesignForEveryPeOfEveryTable) {
  for (const std::string& table : configs::names(configs::Kind::energy)) {
    for (const auto& [name, price] : configs::load_energy(table).pes) {
      EXPECT_NO_THROW(pe::find_design(name)) << table;
    }
  }
}

TEST(PriceList, RefusesAnEventWithoutAPrice) {
  const PriceList prices(configs::load_machine("mixpe-128x128"));
  EventCounts events;
  events.add("array.teleport", 1);
  EXPECT_THROW(prices.dynamic_pj(events), InternalError);
}

TEST(LaneOps, GrowWithTheElements) {
  using workloads::VectorOp;
  for (const auto op :
       {VectorOp::rms_norm, VectorOp::rope, VectorOp::softmax, VectorOp::swiglu,
        VectorOp::residual_add, VectorOp::quantise, VectorOp::argmax, VectorOp::embedding}) {
    EXPECT_GT(lane_ops(op, 1, 1).total(), 0u);
    EXPECT_EQ(lane_ops(op, 6, 100).total(), 6 * lane_ops(op, 1, 100).total());
  }
}

}  // namespace
}  // namespace systole::sim
