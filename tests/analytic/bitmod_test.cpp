// BitMoD's model against hand counts and what its simulator prints today.
#include "sim/analytic/bitmod.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "configs/library.hpp"
#include "sim/core/error.hpp"

namespace systole::analytic {
namespace {

const configs::BitmodPaper& paper() {
  static const configs::PaperConfig config = configs::load_paper("bitmod");
  return config.bitmod;
}
const configs::BitmodMachine& machine(const std::string& name) {
  return *std::ranges::find(paper().machines, name, &configs::BitmodMachine::name);
}
std::size_t model(const std::string& name) {
  return static_cast<std::size_t>(
      std::ranges::find(paper().models, name, &configs::BitmodModel::name) -
      paper().models.begin());
}

TEST(Bitmod, HoldsEveryMultiplicationOfALinearLayerOnce) {
  const configs::BitmodModel& llama = paper().models[model("Llama-3-8B")];
  const auto products =
      bitmod_products(paper(), machine("FP16 HEAD"), llama, BitmodStage::generation, 16);
  std::uint64_t macs = 0;
  for (const BitmodProduct& p : products)
    macs += p.times * p.batch * p.outputs * p.weight_depth * p.tokens;
  const std::uint64_t linear =
      32ull * (2 * 4096 * 4096 + 2 * 1024 * 4096 + 3 * 4096 * 14336) + 128256ull * 4096;
  const std::uint64_t attention = 32ull * 2 * 32 * 256 * 128;
  EXPECT_EQ(macs, linear + attention);
}

TEST(Bitmod, TakesTwoBitsOfAWeightACycle) {
  // 3.06 and 4.06 bits take two cycles, 6.06 three: floor, then half, rounded up.
  const auto lossless = bitmod_total(paper(), machine("BitMoD lossless"), 0, BitmodStage::prefill);
  const auto lossy = bitmod_total(paper(), machine("BitMoD lossy"), 0, BitmodStage::prefill);
  EXPECT_EQ(lossless.compute_cycles * 2, lossy.compute_cycles * 3);
}

TEST(Bitmod, IsNeverFasterThanItsArrayOrItsDram) {
  for (const configs::BitmodMachine& array : paper().machines) {
    for (std::size_t m = 0; m < paper().models.size(); ++m) {
      for (const BitmodStage stage : {BitmodStage::prefill, BitmodStage::generation}) {
        const BitmodTotal total = bitmod_total(paper(), array, m, stage);
        EXPECT_GE(total.cycles, total.compute_cycles);
        const double dram_cycles =
            total.dram_uj * 1e6 / paper().dram_pj_per_bit / paper().dram_bits_per_cycle;
        EXPECT_GE(static_cast<double>(total.cycles) + 1000, dram_cycles);
      }
    }
  }
}

TEST(Bitmod, RefusesAPortWithoutAPrice) {
  configs::BitmodPaper narrow = paper();
  narrow.buffers.clear();
  EXPECT_THROW(bitmod_total(narrow, narrow.machines[0], 0, BitmodStage::prefill), ConfigError);
}

// Cycles, compute cycles, DRAM and on-chip energy that HEAD prints for all models, to its digits.
TEST(Bitmod, PrintsWhatTheSimulatorPrintsToday) {
  const std::string folder = std::string(SYSTOLE_SHARED_DIR) + "/golden/bitmod/";
  if (!std::ifstream(folder + "base_dis.txt")) GTEST_SKIP() << "shared/golden/bitmod is absent";
  const std::pair<const char*, const char*> machines[] = {
      {"FP16 HEAD", "base_*"},
      {"ANT HEAD", "ant_*"},
      {"OliVe HEAD", "olive_*"},
      {"BitMoD lossless HEAD", "bitmod_*_lossless"},
      {"BitMoD lossy HEAD", "bitmod_*_lossy"}};
  std::size_t compared = 0;
  for (const auto& [name, pattern] : machines) {
    for (const BitmodStage stage : {BitmodStage::prefill, BitmodStage::generation}) {
      std::string file = pattern;
      file.replace(file.find('*'), 1, stage == BitmodStage::prefill ? "dis" : "gen");
      std::ifstream log(folder + file + ".txt");
      std::size_t index = 0;
      BitmodTotal total;
      for (std::string line; std::getline(log, line);) {
        const auto figure = [&](const char* head) {
          return line.starts_with(head) ? std::stod(line.substr(line.find_first_of("0123456789")))
                                        : -1;
        };
        SCOPED_TRACE(file + ": " + line);
        if (line.starts_with("total cycle")) {
          total = bitmod_total(paper(), machine(name), index++, stage);
          std::istringstream pair(line.substr(line.find('(') + 1));
          std::uint64_t compute = 0, cycles = 0;
          char comma = 0;
          pair >> compute >> comma >> cycles;
          EXPECT_EQ(total.compute_cycles, compute);
          EXPECT_EQ(total.cycles, cycles);
          ++compared;
        } else if (const double dram = figure("dram energy"); dram >= 0) {
          EXPECT_NEAR(total.dram_uj, dram, 1e-3);
        } else if (const double onchip = figure("on-chip energy"); onchip >= 0) {
          EXPECT_NEAR(total.onchip_uj, onchip, 1e-2);
        }
      }
      EXPECT_EQ(index, paper().models.size()) << file;
    }
  }
  EXPECT_EQ(compared, 60u);
}

}  // namespace
}  // namespace systole::analytic
