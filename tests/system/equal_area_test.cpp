#include "sim/system/equal_area.hpp"

#include <gmock/gmock.h>

#include "configs/library.hpp"
#include "reports/json.hpp"
#include "sim/core/error.hpp"
#include "workloads/lowering.hpp"

namespace systole::tests {
namespace {

workloads::Program prompt(const std::string& pe) {
  return workloads::lower(configs::load_model_shape("llama-2-7b"),
                          configs::load_recipe(configs::load_pe_recipes().at(pe)), 16, 0);
}

TEST(EqualArea, FillsTheAreaWithSidesThatStaySensible) {
  const configs::MachineConfig base = configs::load_machine("mixpe-128x128");
  for (const double area : {0.5, 2.0, 9.7}) {
    for (const char* pe : {"mixpe-w4a8", "int8-mac", "fp16-mac", "olive", "bitfusion", "bitmod"}) {
      SCOPED_TRACE(std::string(pe) + " " + std::to_string(area));
      const configs::MachineConfig m = sim::machine_of_area(base, pe, area, prompt(pe));
      const double pe_mm2 = base.energy.pes.at(pe).area_um2 * 1e-6;
      EXPECT_LE(m.array.rows * m.array.cols * pe_mm2, area);
      EXPECT_GT(m.array.rows * (m.array.cols + 2.0) * pe_mm2, area) << "no more columns fit";
      EXPECT_EQ(m.array.rows % 8, 0u);
      EXPECT_EQ(m.array.cols % 2, 0u);
      EXPECT_LE(m.array.rows, 2 * m.array.cols);
      EXPECT_LE(m.array.cols, 2 * m.array.rows);
      EXPECT_EQ(m.dequantiser.lanes, m.array.cols);
      EXPECT_LE(m.clock_mhz, base.energy.pes.at(pe).max_clock_mhz);
    }
  }
}

TEST(EqualArea, ChangesOnlyTheArrayItsClockAndItsDequantiser) {
  const configs::MachineConfig base = configs::load_machine("mixpe-128x128");
  configs::MachineConfig m = sim::machine_of_area(base, "bitmod", 9.7, prompt("bitmod"));
  EXPECT_EQ(m.array.dataflow, configs::Dataflow::output_stationary) << "BitMoD knows no other";
  EXPECT_EQ(m.clock_mhz, base.energy.pes.at("bitmod").max_clock_mhz);
  m.array = base.array;
  m.clock_mhz = base.clock_mhz;
  m.dequantiser.lanes = base.dequantiser.lanes;
  m.name = base.name;
  m.summary = base.summary;
  EXPECT_EQ(m, base);
}

TEST(EqualArea, KeepsRowsThatGroupsOfWeightsFill) {
  // 16 324 PEs: 120 rows would leave a group of 128 a second fold of 8.
  const configs::MachineConfig base = configs::load_machine("mixpe-128x128");
  const configs::MachineConfig m =
      sim::machine_of_area(base, "mixpe-w4a8", 9.7, prompt("mixpe-w4a8"));
  EXPECT_EQ(m.array.rows, 128u);
  EXPECT_EQ(m.array.cols, 126u);
}

TEST(EqualArea, NormalisesOtherTablesToInt8) {
  const configs::EnergyTable table = configs::load_energy("nangate45-lstp");
  bool bitfusion = false, bitmod = false;
  for (const ProfileRatio& p : sim::profile_ratios(table, "bitfusion")) {
    EXPECT_NE(p.table, "nangate45") << "the same price is no second opinion";
    if (p.table != "bitfusion-45") continue;
    bitfusion = true;
    EXPECT_NEAR(p.area.value(), 1733.13 / 687.607, 1e-9);
    EXPECT_NEAR(p.energy.value(), 0.55992 / 0.29769, 1e-9);
    EXPECT_FALSE(p.through_fp16);
  }
  for (const ProfileRatio& p : sim::profile_ratios(table, "bitmod")) {
    if (p.table != "bitmod-28") continue;
    bitmod = true;
    EXPECT_NEAR(p.area.value(), 1507.7 / 1968.7 * (2628.9 / 812.9), 1e-9);
    EXPECT_TRUE(p.through_fp16);
  }
  EXPECT_TRUE(bitfusion && bitmod);
}

TEST(SimulateAll, GivesEachProgramWhatItGetsAlone) {
  const configs::MachineConfig base = configs::load_machine("mixpe-128x128");
  std::vector<sim::TimedProgram> programs;
  for (const char* pe : {"mixpe-w4a8", "int8-mac"}) {
    programs.push_back({prompt(pe), sim::machine_of_area(base, pe, 2, prompt(pe))});
  }
  Progress ignored;
  const sim::SimulateOptions analytic{.timing = sim::Timing::analytic};
  const std::vector<RunResult> together = sim::simulate_all(programs, analytic, ignored);
  ASSERT_EQ(together.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(reports::to_json(together[i]),
              reports::to_json(
                  sim::simulate(programs[i].program, programs[i].machine, analytic, ignored)));
  }
}

}  // namespace
}  // namespace systole::tests
