// The BitFusion family: the closed form against hand counts and stored runs of ANT's simulator, the
// search against trying everything.
#include "sim/analytic/bitfusion.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "configs/library.hpp"
#include "sim/core/random.hpp"
#include "tests/analytic/csv_rows.hpp"

namespace systole::analytic {
namespace {

const configs::PaperConfig& ant() {
  static const configs::PaperConfig paper = configs::load_paper("ant");
  return paper;
}
const configs::PaperConfig& mixpe() {
  static const configs::PaperConfig paper = configs::load_paper("mixpe");
  return paper;
}

const configs::BitfusionMachine& machine(const configs::PaperConfig& paper,
                                         const std::string& name) {
  return *std::ranges::find(paper.bitfusion.machines, name, &configs::BitfusionMachine::name);
}

BitfusionLayer product(std::uint64_t m, std::uint64_t k, std::uint64_t n, std::uint32_t bits) {
  return {m, 1, 1, k, n, bits, bits};
}

TEST(Bitfusion, GainsSpeedOnlyDownToTheNarrowestWidth) {
  const BitfusionModel model(ant().bitfusion, machine(ant(), "ANT-OS"));
  EXPECT_EQ(model.performance_factor(8), 1u);
  EXPECT_EQ(model.performance_factor(6), 1u) << "floor(8 / 6)";
  EXPECT_EQ(model.performance_factor(4), 2u);
  EXPECT_EQ(model.performance_factor(2), 2u) << "as 4 bits";
  EXPECT_EQ(model.performance_factor(16), 1u) << "never none";
}

// One block of OPT-6.7B, M = 64: cycles and stalls as the stored per-layer results of
// mixpe_simulator (results/*.csv) have them.
TEST(Bitfusion, TakesThePublishedCyclesOfOneOptBlock) {
  struct Row {
    const char* machine;
    std::uint64_t k, n;
    std::uint32_t bits;
    std::uint64_t cycles, stall;
  };
  for (const Row& row : {
           Row{"MixPE-W4A8", 4096, 12288, 4, 394304, 1088},
           Row{"MixPE-W4A8", 512, 96, 8, 1584, 560},
           Row{"MixPE-W4A8", 16384, 4096, 4, 524384, 96},
           Row{"MixPE-W4A8", 2048, 32, 8, 3104, 1056},
           Row{"MixPE-W4A16", 4096, 12288, 8, 786528, 96},
           Row{"MixPE-W4A16", 512, 128, 16, 4672, 576},
           Row{"INT8", 4096, 12288, 8, 3145752, 24},
           Row{"INT8", 16384, 512, 8, 524304, 16},
           Row{"FP16", 4096, 12288, 16, 3637774, 526},
           Row{"FP16", 16384, 512, 16, 622862, 270},
       }) {
    const BitfusionModel model(mixpe().bitfusion, machine(mixpe(), row.machine));
    const BitfusionCost cost = model.search(product(64, row.k, row.n, row.bits)).cost;
    EXPECT_EQ(cost.cycles, row.cycles) << row.machine << " " << row.k << " x " << row.n;
    EXPECT_EQ(cost.stall_cycles, row.stall) << row.machine << " " << row.k << " x " << row.n;
  }
}

TEST(Bitfusion, MovesTheBitsThatThePublishedRunMoved) {
  const BitfusionModel model(mixpe().bitfusion, machine(mixpe(), "MixPE-W4A8"));
  const BitfusionCost cost = model.search(product(64, 4096, 12288, 4)).cost;
  EXPECT_EQ(cost.weight_read, 12'884'901'888u);
  EXPECT_EQ(cost.weight_write, 201'326'592u) << "each weight once";
  EXPECT_EQ(cost.activation_read, cost.weight_read);
  EXPECT_EQ(cost.activation_write, 1'048'576u) << "each activation once";
  EXPECT_EQ(cost.output_read, 415'236'096u);
  EXPECT_EQ(cost.output_write, 402'653'184u);
  EXPECT_EQ(cost.dram_read, 202'375'168u);
  EXPECT_EQ(cost.dram_write, 12'582'912u) << "64 x 12288 sums of 16 bits";
}

TEST(Bitfusion, CountsNoCycleBelowTheArraysPeak) {
  Random random(1);
  for (const configs::BitfusionMachine& array : ant().bitfusion.machines) {
    const BitfusionModel model(ant().bitfusion, array);
    for (int i = 0; i < 20; ++i) {
      const auto bits = static_cast<std::uint32_t>(random.uniform(1, 16));
      const auto side = [&] { return static_cast<std::uint64_t>(random.uniform(1, 3000)); };
      const BitfusionLayer layer = product(side(), side(), side(), bits);
      const BitfusionCost cost = model.search(layer).cost;
      const std::uint64_t factor = model.performance_factor(bits);
      const std::uint64_t peak = array.rows * array.cols * factor * factor;
      EXPECT_GE(cost.cycles * peak, layer.batch * layer.in * layer.out);
      EXPECT_GE(cost.cycles, cost.stall_cycles);
      EXPECT_GE(cost.weight_write, layer.in * layer.out * bits) << "each weight at least once";
    }
  }
}

/// The search as published: every tile, every order.
BitfusionChoice try_everything(const BitfusionModel& model, const BitfusionLayer& layer) {
  const auto sizes = [](std::uint64_t size) {
    std::vector<std::uint64_t> tiles;
    for (std::uint64_t tile = 1; tile < size; tile *= 2) tiles.push_back(tile);
    tiles.push_back(size);
    return tiles;
  };
  std::vector<LoopOrder> orders;
  LoopOrder order = {Loop::batch, Loop::width, Loop::height, Loop::input, Loop::output};
  do orders.push_back(order);
  while (std::ranges::next_permutation(order).found);
  EXPECT_EQ(orders.size(), 120u);

  BitfusionChoice best;
  double best_energy = 0;
  bool any = false;
  for (const std::uint64_t batch : sizes(layer.batch)) {
    for (const std::uint64_t edge : sizes(layer.edge)) {
      for (const std::uint64_t in : sizes(layer.in)) {
        for (const std::uint64_t out : sizes(layer.out)) {
          const BitfusionTile tile{batch, edge, in, out};
          if (!model.fits(layer, tile)) continue;
          for (const LoopOrder& loops : orders) {
            const BitfusionCost cost = model.cost(layer, tile, loops);
            const double energy = model.selection_energy_nj(cost);
            if (any && (cost.cycles > best.cost.cycles ||
                        (cost.cycles == best.cost.cycles && energy >= best_energy)))
              continue;
            best = {tile, loops, cost};
            best_energy = energy;
            any = true;
          }
        }
      }
    }
  }
  EXPECT_TRUE(any);
  return best;
}

TEST(Bitfusion, SearchesWithTheResultOfTryingEverything) {
  constexpr std::uint64_t kSeed = 7;
  Random random(kSeed);
  for (int i = 0; i < 30; ++i) {
    const configs::BitfusionMachine& array =
        ant().bitfusion.machines[static_cast<std::size_t>(i) % ant().bitfusion.machines.size()];
    const BitfusionModel model(ant().bitfusion, array);
    const bool conv = i % 2 == 0;
    const auto up_to = [&](std::int64_t most) {
      return static_cast<std::uint64_t>(random.uniform(1, most));
    };
    const BitfusionLayer layer{up_to(64),           conv ? up_to(30) : 1,     conv ? up_to(7) : 1,
                               up_to(600),          up_to(conv ? 128 : 2000), 4,
                               i % 3 == 0 ? 4u : 8u};
    const BitfusionChoice found = model.search(layer), expected = try_everything(model, layer);
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", case " + std::to_string(i) + ", " +
                 array.name);
    EXPECT_EQ(found.tile, expected.tile);
    EXPECT_EQ(found.order, expected.order);
    EXPECT_EQ(found.cost, expected.cost);
  }
}

TEST(Bitfusion, RefusesAKernelThatFitsNoTile) {
  configs::BitfusionPaper paper = ant().bitfusion;
  paper.weight.bytes = 64;
  const BitfusionModel model(paper, paper.machines[0]);
  EXPECT_EQ(model.search(product(1, 64, 64, 8)).tile.in, 32u) << "half of 64 bytes, to the bit";
  EXPECT_THROW(model.search({1, 1, 7, 64, 64, 8, 8}), ConfigError);
}

// Every layer of three networks on five configurations, as ANT's own simulator printed it.
TEST(Bitfusion, TakesTheCyclesOfEveryStoredLayerOfAntsSimulator) {
  const std::string folder = std::string(SYSTOLE_SHARED_DIR) + "/golden/ant/";
  std::vector<CsvRow> rows = csv_rows(folder + "ant_layers_tf.csv");
  const std::vector<CsvRow> more = csv_rows(folder + "ant_layers_rn18.csv");
  rows.insert(rows.end(), more.begin(), more.end());
  if (rows.empty()) GTEST_SKIP() << "shared/golden/ant is absent";
  EXPECT_EQ(rows.size(), 721u);
  const std::map<std::string, std::string> machines = {{"ant_os", "ANT-OS"},
                                                       {"ant_ws", "ANT-WS"},
                                                       {"bitfusion", "BitFusion"},
                                                       {"olaccel", "OLAccel"},
                                                       {"adafloat", "AdaFloat"}};
  std::map<std::string, std::map<BitfusionLayer, BitfusionCost>> known;
  for (const CsvRow& row : rows) {
    const auto number = [&](const char* column) { return std::stoull(row.at(column)); };
    const BitfusionLayer layer{number("B"),
                               number("O"),
                               number("K"),
                               number("IC"),
                               number("OC"),
                               static_cast<std::uint32_t>(number("iprec")),
                               static_cast<std::uint32_t>(number("wprec"))};
    auto& costs = known[row.at("config")];
    if (!costs.contains(layer)) {
      const BitfusionModel model(ant().bitfusion, machine(ant(), machines.at(row.at("config"))));
      costs[layer] = model.search(layer).cost;
    }
    const BitfusionCost& cost = costs[layer];
    SCOPED_TRACE(row.at("config") + " " + row.at("network") + " " + row.at("layer"));
    EXPECT_EQ(cost.cycles, number("cycles"));
    EXPECT_EQ(cost.stall_cycles, number("mem_stall_cycles"));
    EXPECT_EQ(cost.dram_read, number("dram_rd_bits"));
    EXPECT_EQ(cost.dram_write, number("dram_wr_bits"));
  }
}

TEST(Bitfusion, SumsWhatANetworksLayersCost) {
  const configs::BitfusionPaper& paper = ant().bitfusion;
  const BitfusionModel model(paper, machine(ant(), "ANT-OS"));
  const auto workload =
      std::ranges::find(paper.workloads, "ResNet18", &configs::BitfusionWorkload::network);
  const auto layers = layers_of(paper, *workload, "ANT-OS");
  ASSERT_EQ(layers.size(), 21u);
  std::uint64_t cycles = 0;
  BitfusionEnergy energy;
  for (const BitfusionLayer& layer : layers) {
    const BitfusionCost cost = model.search(layer).cost;
    cycles += cost.cycles;
    energy += model.energy(cost);
  }
  BitfusionCosts known;
  const BitfusionTotal sum = total(model, layers, known);
  EXPECT_EQ(sum.cycles, cycles);
  EXPECT_EQ(sum.cycles, 33'917'312u) << "the stored run's total";
  EXPECT_NEAR(sum.energy.total_nj(), energy.total_nj(), 1e-6 * energy.total_nj());
  EXPECT_LT(known.size(), layers.size()) << "equal layers are searched once";
}

}  // namespace
}  // namespace systole::analytic
