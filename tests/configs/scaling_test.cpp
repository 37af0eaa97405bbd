// Scaling between nodes: factors against hand-computed ones, once and only once, refused where
// nobody published a step.
#include "configs/scaling.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "configs/echo.hpp"
#include "configs/library.hpp"
#include "configs/reader.hpp"
#include "sim/core/error.hpp"

namespace systole::configs {
namespace {

using testing::HasSubstr;

constexpr const char* kTo28 =
    "base: nangate45\nname: mine\nscale: {to_nm: 28, from_v: 1.1, to_v: 0.9, source: a test}\n";

TEST(Scaling, EvaluatesThePapersFitsAsItsCorrigendumDoes) {
  EXPECT_NEAR(*logic_energy(32, 0.9), 0.4571, 5e-5);
  EXPECT_NEAR(*logic_energy(65, 1.3), 2.604, 5e-4);
}

TEST(Scaling, InterpolatesBetweenNodesOverLogarithms) {
  // 28 nm lies ln(32/28) / ln(32/20) = 0.28411 of the way from 32 to 20 nm.
  EXPECT_NEAR(*logic_area(28), std::pow(0.46, 1 - 0.28411) * std::pow(0.21, 0.28411), 1e-5);
  EXPECT_DOUBLE_EQ(*logic_area(45), 1);
  EXPECT_FALSE(logic_area(5));
  EXPECT_FALSE(logic_area(250));
}

TEST(Scaling, StepsSramAsCactiDoes) {
  const auto step = sram_step(45, 22);
  ASSERT_TRUE(step);
  EXPECT_NEAR(step->energy, 1 / (1.79 * 1.80), 1e-12);
  EXPECT_NEAR(step->area, 1 / (1.90 * 2.09), 1e-12);
  EXPECT_NEAR(step->leakage, 1 / (3.33 * 2.06), 1e-12);
  EXPECT_NEAR(step->delay, 1 / (1.29 * 1.35), 1e-12);
  // CACTI's own 28 nm, 64 KiB and 32-byte words: 0.0869 pJ a bit against 0.1832 at 45 nm.
  EXPECT_NEAR(sram_step(45, 28)->energy, 0.0869 / 0.1832, 0.03);
  EXPECT_FALSE(sram_step(45, 7));
}

TEST(Scaling, MultipliesEveryPriceOnceAndRecordsTheFactors) {
  const EnergyTable before = load_energy("nangate45");
  const auto table = read_text<EnergyTable>(kTo28, "mine.yaml");
  EXPECT_EQ(table.node_nm, 28);
  EXPECT_EQ(table.scale.from_nm, 45);
  // 45 nm at 1.1 V: 1.018 x 1.21 - 0.3107 x 1.1 + 0.1539 = 1.04391; 28 nm at 0.9 V: 0.36185.
  EXPECT_NEAR(table.scale.logic_energy, 0.36185 / 1.04391, 1e-4);
  EXPECT_NEAR(table.scale.logic_area, 0.36814, 1e-5);
  const PePrice& pe = table.pes.at("int8-mac");
  const PePrice& old = before.pes.at("int8-mac");
  EXPECT_DOUBLE_EQ(pe.mac_pj, old.mac_pj * table.scale.logic_energy);
  EXPECT_DOUBLE_EQ(pe.mac_glitch_pj, old.mac_glitch_pj * table.scale.logic_energy);
  EXPECT_DOUBLE_EQ(pe.mac_hold_pj, old.mac_hold_pj * table.scale.logic_energy);
  EXPECT_DOUBLE_EQ(pe.area_um2, old.area_um2 * table.scale.logic_area);
  EXPECT_DOUBLE_EQ(pe.leakage_uw, old.leakage_uw * table.scale.logic_leakage);
  EXPECT_DOUBLE_EQ(pe.max_clock_mhz, old.max_clock_mhz / table.scale.logic_delay);
  EXPECT_EQ(pe.area_band, old.area_band);
  EXPECT_DOUBLE_EQ(table.ops.at("fp32_add").pj,
                   before.ops.at("fp32_add").pj * table.scale.logic_energy);
  EXPECT_DOUBLE_EQ(table.sram_points[3].read_pj,
                   before.sram_points[3].read_pj * table.scale.sram_energy);
  EXPECT_DOUBLE_EQ(table.sram_leakage_mw.c, before.sram_leakage_mw.c * table.scale.sram_leakage);
  const std::string shown = show(table);  // a shown table is scaled already and stays as it is
  EXPECT_EQ(read_text<EnergyTable>(shown, "shown.yaml"), table) << shown;
  EXPECT_THAT(scaling_note(table), HasSubstr("from 45 nm at 1.1 V to 28 nm at 0.9 V"));
  EXPECT_THAT(scaling_note(table), HasSubstr("(a test)"));
  EXPECT_EQ(scaling_note(before), "");
}

TEST(Scaling, ReachesTheTableOfAMachine) {
  const auto machine = load_machine(
      "mixpe-128x128",
      {"energy.scale={to_nm: 32, from_v: 1.1, to_v: 0.9, source: a test, sram_energy: 0.5}"});
  EXPECT_EQ(machine.energy.node_nm, 32);
  EXPECT_EQ(machine.energy.scale.sram_energy, 0.5) << "the file's own factor wins";
  EXPECT_NEAR(machine.energy.scale.sram_area, 1 / 1.90, 1e-12);
  EXPECT_EQ(read_text<MachineConfig>(show(machine), "shown.yaml"), machine);
}

std::string refused(const std::string& text) {
  try {
    read_text<EnergyTable>(text, "mine.yaml");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Scaling, RefusesAStepThatNobodyPublished) {
  const std::string error = refused(
      "base: nangate45\nname: mine\nscale: {to_nm: 7, from_v: 1.1, to_v: 0.7, source: a test}\n");
  EXPECT_THAT(error, HasSubstr("scale.sram_energy: no published step from 45 nm to 7 nm; expected "
                               "a factor here (CACTI 7: 22 to 45 nm)"));
  EXPECT_THAT(error, testing::Not(HasSubstr("scale.logic_area")));
}

TEST(Scaling, RefusesToScaleAMixture) {
  EXPECT_THAT(refused("base: legacy-ant\nname: mine\nscale: {to_nm: 28, from_v: 1, to_v: 1, "
                      "source: a test}\n"),
              HasSubstr("scale: the table mixes nodes (the published convention"));
}

TEST(Scaling, RefusesARecordThatContradictsTheTable) {
  EXPECT_THAT(refused("base: nangate45\nname: mine\nscale: {from_nm: 45, to_nm: 28, from_v: 1, "
                      "to_v: 1, source: a test}\n"),
              HasSubstr("scale.to_nm: found 28 in a table already scaled to node_nm 45"));
}

}  // namespace
}  // namespace systole::configs
