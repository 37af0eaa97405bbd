#include "sim/system/pricing.hpp"

#include <gtest/gtest.h>

#include "sim/core/error.hpp"
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
