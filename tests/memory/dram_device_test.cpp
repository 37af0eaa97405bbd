// Every gate of the DRAM device, tight: not ready the clock before, ready at it.
#include "memory/dram_device.hpp"

#include <gmock/gmock.h>

#include "configs/library.hpp"
#include "devices.hpp"

namespace systole::memory {
namespace {

std::vector<configs::DramConfig> shipped() {
  std::vector<configs::DramConfig> all;
  for (const std::string& name : configs::names(configs::Kind::dram)) {
    all.push_back(configs::load_dram(name));
  }
  return all;
}

class EveryShippedDevice : public testing::TestWithParam<configs::DramConfig> {
 protected:
  const configs::DramConfig& c = GetParam();
  DramDevice device{c};
  // Commands of several clocks count from their last one.
  const Clock act = c.activate_slots - 1, column = c.column_slots - 1, pre = c.precharge_slots - 1;
  const std::uint32_t bank = 0, neighbour = 1;              // of one group
  const std::uint32_t far = c.banks_per_group % c.banks();  // of another, where there is one
  const bool groups = c.bank_groups > 1;
  static constexpr Clock kStart = 1000;
};
INSTANTIATE_TEST_SUITE_P(Dram, EveryShippedDevice, testing::ValuesIn(shipped()),
                         [](const auto& device) {
                           std::string name = device.param.name;
                           std::erase_if(name, [](char x) { return x == '-' || x == '.'; });
                           return name;
                         });

TEST_P(EveryShippedDevice, ActivateOpensForColumnsPrechargeAndTheNextActivate) {
  device.activate(bank, 7, kStart);
  EXPECT_EQ(device.bank_column_time(bank, kRead), kStart + c.rcd_read + act - column);
  EXPECT_EQ(device.bank_column_time(bank, kWrite), kStart + c.rcd_write + act - column);
  EXPECT_EQ(device.precharge_time(bank), kStart + c.ras + act - pre);
  EXPECT_EQ(device.bank_activate_time(bank), kStart + c.rc);
}

TEST_P(EveryShippedDevice, PrechargeDelaysTheActivateAndOtherPrecharges) {
  device.activate(bank, 7, 0);
  device.activate(neighbour, 7, 100);
  device.precharge(bank, kStart);
  EXPECT_EQ(device.activate_time(bank), kStart + c.rp + pre - act);
  EXPECT_EQ(device.precharge_time(neighbour),
            std::max<Clock>(c.ppd == 0 ? 0 : kStart + c.ppd, 100 + c.ras + act - pre));
}

TEST_P(EveryShippedDevice, ActivatesAreSpacedInTheGroupOutsideItAndByTheWindow) {
  device.activate(bank, 7, kStart);
  EXPECT_EQ(device.activate_time(neighbour), kStart + c.rrd_l);
  if (groups) {
    EXPECT_EQ(device.activate_time(far), kStart + c.rrd_s);
  }
  const std::uint32_t stride = groups ? c.banks_per_group : 1;
  for (Clock i = 1; i < 4; ++i) {
    device.activate(static_cast<std::uint32_t>(i) * stride, 7, kStart + i * c.rrd_l);
  }
  const std::uint32_t fifth = groups ? 1 : 4;
  EXPECT_EQ(device.activate_time(fifth),
            std::max<Clock>(kStart + c.faw, kStart + 3 * c.rrd_l + (groups ? c.rrd_s : c.rrd_l)));
}

TEST_P(EveryShippedDevice, ColumnsAreSpacedInTheGroupAndOutsideIt) {
  for (const std::uint32_t direction : {std::uint32_t{kRead}, std::uint32_t{kWrite}}) {
    DramDevice fresh(c);
    fresh.column(bank, direction, kStart);
    const bool long_writes = direction == kWrite && c.ccd_l_write != 0;
    EXPECT_EQ(fresh.column_time(neighbour, direction),
              kStart + (long_writes ? c.ccd_l_write : c.ccd_l));
    if (groups) {
      EXPECT_EQ(fresh.column_time(far, direction), kStart + c.ccd_s);
    }
  }
}

TEST_P(EveryShippedDevice, TurningTheBusTakesItsTime) {
  device.column(bank, kRead, kStart);
  EXPECT_EQ(device.column_time(neighbour, kWrite), kStart + c.read_to_write);
  DramDevice written(c);
  written.column(bank, kWrite, kStart);
  const Clock data = kStart + c.cwl + c.burst_clocks;
  EXPECT_EQ(written.column_time(neighbour, kRead), data + c.wtr_l);
  if (groups) {
    EXPECT_EQ(written.column_time(far, kRead), data + c.wtr_s);
  }
}

TEST_P(EveryShippedDevice, PrechargeWaitsForReadsAndForWriteRecovery) {
  device.activate(bank, 7, 0);
  device.column(bank, kRead, kStart);
  EXPECT_EQ(device.precharge_time(bank), kStart + c.rtp + column - pre);
  device.column(bank, kWrite, kStart);
  const Clock recovery = c.cwl + c.burst_clocks + c.wr + column - pre;
  EXPECT_EQ(device.precharge_time(bank), kStart + recovery);
  EXPECT_EQ(device.precharge_all_time(device.unit_mask(0)), kStart + recovery);
}

TEST_P(EveryShippedDevice, AColumnWithPrechargeClosesAsSoonAsThePrechargeCould) {
  device.activate(bank, 7, 0);
  device.column_and_precharge(bank, kRead, kStart);
  EXPECT_FALSE(device.open(bank));
  EXPECT_EQ(device.activate_time(bank), kStart + c.rtp + column - pre + c.rp + pre - act);
}

TEST_P(EveryShippedDevice, RefreshWaitsForThePrechargeAndBlocksActivates) {
  device.activate(bank, 7, 0);
  device.precharge_all(device.unit_mask(0), kStart);
  const Clock rp = c.rp_all != 0 ? c.rp_all : c.rp;
  EXPECT_EQ(device.refresh_time(device.unit_mask(0)), kStart + rp);
  device.refresh(device.unit_mask(0), kStart + rp, c.rfc);
  EXPECT_EQ(device.activate_time(bank), kStart + rp + c.rfc + pre - act);
  EXPECT_EQ(device.activate_time(far), kStart + rp + c.rfc + pre - act);
}

TEST(DramDevice, TheThirtyThirdActivateWaitsForTheWindowOfThirtyTwo) {
  auto c = ddr4_3200();
  c.bank_groups = 16;
  c.activates_32 = 2000;
  DramDevice device(c);
  for (std::uint32_t i = 0; i < 32; ++i) device.activate(i, 7, 1000 + i * Clock{c.faw});
  EXPECT_EQ(device.activate_time(32), 3000u);
  EXPECT_GT(3000u, 1000 + 32 * Clock{c.faw});
}

TEST(DramDevice, RanksShareTheDataBusWithATurnaroundAndNothingElse) {
  auto c = ddr4_3200();
  c.ranks = 2;
  c.rtrs = 2;
  DramDevice device(c);
  const std::uint32_t other = c.banks_per_unit();  // first bank of the second rank
  device.activate(0, 7, 1000);
  EXPECT_EQ(device.activate_time(other), 0u);
  device.column(0, kRead, 1100);
  EXPECT_EQ(device.column_time(other, kRead), 1100 + c.burst_clocks + c.rtrs);
  EXPECT_EQ(device.column_time(other, kWrite), 1100 + c.cl + c.burst_clocks + c.rtrs - c.cwl);
  EXPECT_EQ(device.precharge_time(other), 0u);
}

TEST(DramDevice, PseudoChannelsShareNoGate) {
  auto c = hbm2();
  c.pseudo_channels = 2;
  DramDevice device(c);
  device.activate(0, 7, 1000);
  device.column(0, kWrite, 1100);
  const std::uint32_t other = c.banks_per_unit();
  EXPECT_EQ(device.activate_time(other), 0u);
  EXPECT_EQ(device.column_time(other, kRead), 0u);
}

TEST(DramDevice, ARefreshOfOneBankDelaysActivatesOfOthersLess) {
  auto c = lpddr5_6400();
  c.refresh = configs::RefreshMode::per_bank;
  c.refi_bank = 391, c.rfc_bank = 96, c.refresh_to_activate = 6;
  DramDevice device(c);
  device.refresh(1, 1000, c.rfc_bank);
  EXPECT_EQ(device.activate_time(0), 1096u);
  EXPECT_EQ(device.activate_time(1), 1006u);
}

}  // namespace
}  // namespace systole::memory
