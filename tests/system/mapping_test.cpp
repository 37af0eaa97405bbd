#include "sim/system/mapping.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "pe/design.hpp"
#include "sim/core/error.hpp"
#include "sim/core/random.hpp"
#include "sim/system/gemm_searches.hpp"
#include "tests/system/machines.hpp"

namespace systole::sim {
namespace {

using ::testing::HasSubstr;

TEST(Slice, CutsConserveTheWhole) {
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    const auto bytes = static_cast<std::uint64_t>(random.uniform(0, std::int64_t{1} << 50));
    const auto total = static_cast<std::uint64_t>(random.uniform(1, 70000));
    const auto cut =
        static_cast<std::uint64_t>(random.uniform(0, static_cast<std::int64_t>(total)));
    const Slice low = slice(bytes, 0, cut, total), high = slice(bytes, cut, total, total);
    ASSERT_EQ(low.offset, 0u);
    ASSERT_EQ(high.offset, low.bytes);
    ASSERT_EQ(low.bytes + high.bytes, bytes);
  }
}

TEST(ArrayOperands, ScalesElementsWhenDequantisingBefore) {
  const quant::QuantSpec int4{quant::Format::int4, quant::Granularity::group, 128};
  const quant::QuantSpec fp16{quant::Format::fp16};
  const auto operands = array_operands("x", pe::find_design("fp16-mac"), int4, fp16,
                                       configs::Dequantise::before, 512);
  EXPECT_EQ(operands.stationary, quant::Format::fp16);
  EXPECT_TRUE(operands.dequantise_elements);
  EXPECT_EQ(operands.group, 0u);
}

TEST(ArrayOperands, SplitsTheReductionAtGroupsWhenDequantisingAfter) {
  const quant::QuantSpec int4{quant::Format::int4, quant::Granularity::group, 128};
  const quant::QuantSpec int8{quant::Format::int8, quant::Granularity::token};
  const auto& design = pe::find_design("mixpe-w4a8");
  EXPECT_EQ(array_operands("x", design, int4, int8, configs::Dequantise::after, 512).group, 128u);
  // quant falls back to one group a row where the group does not divide K, and so does the machine.
  EXPECT_EQ(array_operands("x", design, int4, int8, configs::Dequantise::after, 172).group, 0u);
}

TEST(ArrayOperands, NamesTheOperationAndWhatThePeComputes) {
  try {
    array_operands("attn_q", pe::find_design("mixpe-w4a8"), {quant::Format::fp32},
                   {quant::Format::fp32}, configs::Dequantise::after, 64);
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_THAT(
        error.what(),
        HasSubstr("operation 'attn_q' needs fp32 x fp32 products; PE 'mixpe-w4a8' computes"));
  }
}

using configs::LoopOrder;
using configs::Objective;

constexpr LoopOrder kOrders[] = {LoopOrder::weights_outer, LoopOrder::rows_outer,
                                 LoopOrder::sums_outer, LoopOrder::reduction_outer};

workloads::Operation gemm(std::uint64_t m, std::uint64_t n, std::uint64_t k,
                          std::uint64_t output_bytes = 4) {
  workloads::Operation op;
  op.name = "op";
  op.kind = workloads::OpKind::gemm;
  op.m = m;
  op.n = n;
  op.k = k;
  op.stationary = {quant::Format::int4, quant::Granularity::channel};
  op.moving = {quant::Format::int8, quant::Granularity::token};
  op.stationary_region.bytes = ceil_div(n * k, 2);
  op.stationary_region.address = 1 << 28;
  op.input_bytes = m * k;
  op.output_bytes = m * n * output_bytes;
  return op;
}

const ArrayOperands kW4A8{quant::Format::int4, quant::Format::int8, 0, false};

/// A random GEMM on a machine with random scratchpads.
struct Case {
  configs::MachineConfig machine = configs::load_machine("mixpe-16x16");
  workloads::Operation op;
};

Case random_case(Random& random, std::int64_t longest = 3000) {
  Case c;
  const auto power = [&](std::int64_t low, std::int64_t high) {
    return std::uint32_t{1} << random.uniform(low, high);
  };
  c.machine.array.rows = power(0, 5);
  c.machine.array.cols = power(0, 5);
  c.machine.array.dataflow = static_cast<configs::Dataflow>(random.uniform(0, 2));
  c.machine.memory.weight.capacity_bytes = power(12, 20);
  c.machine.memory.activation.capacity_bytes = power(12, 20);
  c.machine.memory.output.capacity_bytes = power(12, 20);
  c.machine.memory.channels = power(0, 3);
  const auto size = [&](std::int64_t most) {
    return static_cast<std::uint64_t>(random.uniform(1, most));
  };
  c.op = gemm(size(longest / 10), size(longest), size(longest));
  return c;
}

TEST(Mapper, ChoosesTilesThatFitTheirScratchpads) {
  const auto& design = pe::find_design("mixpe-w4a8");
  Random random(11);
  int mapped = 0;
  for (int i = 0; i < 100; ++i) {
    const Case c = random_case(random);
    const auto& memory = c.machine.memory;
    Mapper mapper(c.machine, design);
    GemmMapping map;
    try {
      map = mapper.map(c.op, whole_product(c.op, kW4A8)).mapping;
    } catch (const ConfigError&) {
      continue;  // does not fit: said so
    }
    ++mapped;
    EXPECT_LE(map.n_tile * map.k_tile / 2, memory.weight.capacity_bytes);
    if (!map.whole_weight) {
      EXPECT_LE(map.n_tile * map.k_tile / 2, memory.weight.capacity_bytes / 2);
    }
    EXPECT_LE(map.m_tile * map.n_tile * 4, memory.output.capacity_bytes / 2);
    if (!stays_on_chip(c.machine, c.op.input_bytes)) {
      const std::uint64_t depth = map.order == LoopOrder::rows_outer ? c.op.k : map.k_tile;
      EXPECT_LE(map.m_tile * depth, memory.activation.capacity_bytes);
    }
    EXPECT_GE(map.m_tile, 1u);
    EXPECT_LE(map.n_tile, c.op.n);
    EXPECT_LE(map.k_tile, c.op.k);
  }
  EXPECT_GT(mapped, 80);
}

TEST(Mapper, ReadsEachWeightOnceWhenTheInputStaysOnChip) {
  const configs::MachineConfig machine = configs::load_machine("mixpe-128x128");
  Mapper mapper(machine, pe::find_design("mixpe-w4a8"));
  const auto op = gemm(64, 2048, 2048);
  const auto& mapped =
      mapper.map(op, whole_product(op, {quant::Format::int4, quant::Format::int8, 128, false}));
  EXPECT_EQ(mapped.cost.dram_bytes, op.stationary_region.bytes);
}

/// The figure that `objective` makes small.
double figure(Objective objective, const MappingCost& cost) {
  const auto cycles = static_cast<double>(cost.cycles);
  const auto energy = static_cast<double>(cost.energy_pj);
  if (objective == Objective::cycles) return cycles;
  return objective == Objective::energy ? energy : cycles * energy;
}

TEST(Mapper, FindsTheBestOfItsSpaceAndTheNextBest) {
  const auto& design = pe::find_design("mixpe-w4a8");
  Random random(5);
  for (int i = 0; i < 40; ++i) {
    Case c = random_case(random, 400);
    c.machine.mapping.objective = static_cast<Objective>(i % 3);
    Mapper mapper(c.machine, design);
    const MappedGemm& mapped = mapper.map(c.op, whole_product(c.op, kW4A8));
    std::vector<double> figures;
    for (const GemmMapping& map : mapper.candidates(c.op, whole_product(c.op, kW4A8))) {
      figures.push_back(
          figure(c.machine.mapping.objective, mapper.cost(c.op, whole_product(c.op, kW4A8), map)));
    }
    std::ranges::sort(figures);
    EXPECT_EQ(figure(c.machine.mapping.objective, mapped.cost), figures[0]);
    ASSERT_EQ(mapped.runner_up.has_value(), figures.size() > 1);
    if (mapped.runner_up) {
      EXPECT_EQ(figure(c.machine.mapping.objective, mapped.runner_up_cost), figures[1]);
      EXPECT_FALSE(*mapped.runner_up == mapped.mapping);
    }
    // Asked again, the same.
    EXPECT_EQ(mapper.map(c.op, whole_product(c.op, kW4A8)).mapping, mapped.mapping);
    EXPECT_EQ(Mapper(c.machine, design).map(c.op, whole_product(c.op, kW4A8)).mapping,
              mapped.mapping);
  }
}

TEST(Mapper, RanksAnewWhatAMachineOfOtherPricesSearched) {
  const auto& design = pe::find_design("mixpe-w4a8");
  Random random(23);
  std::size_t kept = 0;
  for (int i = 0; i < 24; ++i) {
    Case c = random_case(random, 400);
    c.machine.mapping.objective = static_cast<Objective>(i % 3);
    const GemmParts parts = whole_product(c.op, kW4A8);
    GemmSearches searches;
    for (int prices = 0; prices < 6; ++prices) {
      configs::DramConfig& dram = c.machine.memory.dram;
      for (double* price :
           {&dram.read_pj_per_bit, &dram.write_pj_per_bit, &dram.activate_pj, &dram.standby_mw}) {
        *price = prices == 5 ? 0 : std::exp2(static_cast<double>(random.uniform(-8, 8)));
      }
      Mapper alone(c.machine, design), sharing(c.machine, design, opt_profile(), &searches);
      const MappedGemm &expected = alone.map(c.op, parts), &found = sharing.map(c.op, parts);
      EXPECT_EQ(found.mapping, expected.mapping);
      EXPECT_EQ(found.cost.energy_pj, expected.cost.energy_pj);
      EXPECT_EQ(found.cost.counts, expected.cost.counts);
      EXPECT_EQ(found.runner_up, expected.runner_up);
      EXPECT_EQ(found.runner_up_cost.energy_pj, expected.runner_up_cost.energy_pj);
      EXPECT_EQ(searches.size(), prices > 0 && expected.runner_up ? 1u : 0u);
      kept += searches.size();
    }
  }
  EXPECT_GT(kept, 60u);
}

/// Whether every tile of `map` has its place in half of a scratchpad, said anew.
bool fits(const configs::MachineConfig& machine, const workloads::Operation& op,
          const GemmMapping& map) {
  const auto& memory = machine.memory;
  const bool cut = map.k_tile < op.k;
  const bool all_rows =
      map.order == LoopOrder::weights_outer || map.order == LoopOrder::reduction_outer;
  const std::uint64_t depth = map.order == LoopOrder::rows_outer ? op.k : map.k_tile;
  const std::uint64_t rows = cut && all_rows ? op.m : map.m_tile;
  const std::uint64_t columns = cut && map.order == LoopOrder::reduction_outer ? op.n : map.n_tile;
  return ceil_div(map.n_tile * map.k_tile, 2) + 2 <= memory.weight.capacity_bytes / 2 &&
         (stays_on_chip(machine, op.input_bytes) ||
          map.m_tile * depth + 2 <= memory.activation.capacity_bytes / 2) &&
         rows * columns * 4 <= memory.output.capacity_bytes / 2 &&
         ceil_div(op.m, map.m_tile) * ceil_div(op.n, map.n_tile) * ceil_div(op.k, map.k_tile) <=
             1u << 20;  // no schedule has more pieces
}

TEST(Mapper, LosesLittleAgainstEveryTilingThereIs) {
  // All tile sizes from 1 up, not only those of the space: the sizes left out are worth little.
  const auto& design = pe::find_design("mixpe-w4a8");
  auto machine = configs::load_machine("mixpe-16x16");
  machine.array.rows = machine.array.cols = 4;
  machine.memory.weight.capacity_bytes = 256;
  machine.memory.activation.capacity_bytes = 256;
  machine.memory.output.capacity_bytes = 512;
  Random random(8);
  double sum = 0;
  int cases = 0;
  for (int i = 0; i < 20; ++i) {
    const auto size = [&] { return static_cast<std::uint64_t>(random.uniform(1, 40)); };
    const auto op = gemm(size(), size(), size());
    for (const Objective objective : {Objective::cycles, Objective::energy, Objective::edp}) {
      machine.mapping.objective = objective;
      Mapper mapper(machine, design);
      double best = std::numeric_limits<double>::infinity();
      for (const LoopOrder order : kOrders) {
        for (std::uint64_t m = 1; m <= op.m; ++m) {
          for (std::uint64_t n = 1; n <= op.n; ++n) {
            for (std::uint64_t k = 1; k <= op.k; ++k) {
              const GemmMapping map{m, n, k, order, false, false};
              if (!fits(machine, op, map)) continue;
              best =
                  std::min(best, figure(objective, mapper.cost(op, whole_product(op, kW4A8), map)));
            }
          }
        }
      }
      const double ratio = figure(objective, mapper.map(op, whole_product(op, kW4A8)).cost) / best;
      EXPECT_LE(ratio, 1.2) << op.m << " x " << op.n << " x " << op.k;
      sum += ratio;
      ++cases;
    }
  }
  EXPECT_LE(sum / cases, 1.02);
}

TEST(Mapper, MakesSmallWhatItIsAskedTo) {
  const auto& design = pe::find_design("mixpe-w4a8");
  Random random(21);
  for (int i = 0; i < 60; ++i) {
    Case c = random_case(random);
    std::array<MappingCost, 3> costs;
    for (const std::size_t o : {0u, 1u, 2u}) {
      c.machine.mapping.objective = static_cast<Objective>(o);
      costs[o] = Mapper(c.machine, design).map(c.op, whole_product(c.op, kW4A8)).cost;
    }
    for (const std::size_t o : {0u, 1u, 2u}) {
      for (const MappingCost& other : costs) {
        const auto objective = static_cast<Objective>(o);
        EXPECT_LE(figure(objective, costs[o]), figure(objective, other));
      }
    }
  }
}

/// Cuts the reduction into up to `most` parts of 2 to 8 bits, some in groups.
void cut_weight(workloads::Operation& op, Random& random, std::int64_t most) {
  constexpr quant::Format kFormats[] = {quant::Format::int2, quant::Format::int3,
                                        quant::Format::int4, quant::Format::int8};
  std::uint64_t left = op.k;
  op.stationary_region.bytes = 0;
  for (std::int64_t i = 1; i <= most && left > 0; ++i) {
    workloads::WeightPart part;
    part.spec = {kFormats[random.uniform(0, 3)], quant::Granularity::channel};
    if (random.uniform(0, 1) == 1) {
      part.spec.granularity = quant::Granularity::group;
      part.spec.group = 32;
    }
    const auto some = static_cast<std::uint64_t>(random.uniform(1, 8)) * 32;
    part.k = i == most ? left : std::min(left, some);
    part.bytes = ceil_div(op.n * part.k * quant::bits_of(part.spec.format), 8);
    left -= part.k;
    op.stationary_region.bytes += part.bytes;
    op.weight_parts.push_back(part);
  }
}

TEST(Mapper, CountsWhatTheScheduleCounts) {
  const auto& design = pe::find_design("mixpe-w4a8");
  Random random(31);
  for (int i = 0; i < 120; ++i) {
    Case c = random_case(random, 600);
    if (i % 2 == 1) cut_weight(c.op, random, 4);
    Mapper mapper(c.machine, design);
    const GemmParts parts = gemm_parts(design, c.op);
    std::vector<GemmMapping> maps = mapper.candidates(c.op, parts);
    if (maps.empty()) continue;
    for (int pick = 0; pick < 5; ++pick) {
      const auto last = static_cast<std::int64_t>(maps.size()) - 1;
      const GemmMapping map = maps[static_cast<std::size_t>(random.uniform(0, last))];
      configs::FixedMapping fixed;
      fixed.tile = {map.m_tile, map.n_tile, map.k_tile};
      fixed.order = map.order;
      c.machine.mapping.fixed["op"] = fixed;
      Mapper told(c.machine, design);
      const MappedGemm& mapped = told.map(c.op, parts);
      ASSERT_EQ(mapped.mapping, map);
      WorkCounts counts;
      std::uint64_t bytes = 0, jobs = 0;
      const workloads::Segment segment{"s", 1, {c.op}};
      for (const Job& job : schedule(told, segment, {0, 1 << 29, 1 << 28})) {
        ++jobs;
        counts += job.counts;
        for (const auto* list : {&job.stationary.transfers, &job.moving.transfers, &job.results}) {
          for (const memory::Transfer& transfer : *list) bytes += transfer.bytes;
        }
      }
      EXPECT_EQ(counts, mapped.cost.counts);
      EXPECT_EQ(bytes, mapped.cost.dram_bytes);
      EXPECT_EQ(jobs, mapped.cost.jobs);
    }
  }
}

TEST(Mapper, ChangesTheModeOnceForEveryPartItPassesThrough) {
  auto machine = configs::load_machine("mixpe-16x16");
  machine.array.pe = "bitfusion";
  const auto& design = pe::find_design("bitfusion");
  ASSERT_GT(design.reconfigure_cycles, 0u);
  workloads::Operation op = gemm(64, 64, 256);
  for (const quant::Format format : {quant::Format::int2, quant::Format::int4}) {
    workloads::WeightPart part{{format, quant::Granularity::channel}, 128, 0};
    part.bytes = 64 * 128 * static_cast<std::uint64_t>(quant::bits_of(format)) / 8;
    op.weight_parts.push_back(part);
  }
  op.stationary_region.bytes = 64 * 128 * 6 / 8;
  const auto changes = [&](LoopOrder order) {
    machine.mapping.fixed["op"] = {{16, 32, 64}, order, {}};
    Mapper mapper(machine, design);
    std::uint64_t count = 0;
    for (const Job& job : schedule(mapper, {"s", 1, {op}}, {0, 1 << 29, 1 << 28})) {
      EXPECT_TRUE(job.reconfigure_cycles == 0 ||
                  job.reconfigure_cycles == design.reconfigure_cycles);
      count += job.reconfigure_cycles / design.reconfigure_cycles;
    }
    return count;
  };
  // The first job sets the mode; four row tiles, two column tiles, two parts.
  EXPECT_EQ(changes(LoopOrder::reduction_outer), 2u);
  EXPECT_EQ(changes(LoopOrder::weights_outer), 2u * 2u);
  EXPECT_EQ(changes(LoopOrder::rows_outer), 4u * 2u * 2u);
}

TEST(Mapper, ObeysWhatIsFixedAndSearchesTheRest) {
  auto machine = configs::load_machine("mixpe-16x16");
  machine.mapping.fixed["all"].order = LoopOrder::rows_outer;
  machine.mapping.fixed["op"].tile.n = 48;
  Mapper mapper(machine, pe::find_design("mixpe-w4a8"));
  auto op = gemm(100, 200, 300);
  EXPECT_EQ(mapper.map(op, whole_product(op, kW4A8)).mapping.n_tile, 48u);
  EXPECT_TRUE(mapper.map(op, whole_product(op, kW4A8)).fixed);
  op.n = 40;  // a tile is never larger than the operation
  EXPECT_EQ(mapper.map(op, whole_product(op, kW4A8)).mapping.n_tile, 40u);
  op.name = "other";
  EXPECT_EQ(mapper.map(op, whole_product(op, kW4A8)).mapping.order, LoopOrder::rows_outer);
}

TEST(Mapper, RefusesAFixedMappingThatDoesNotFit) {
  const auto message = [](configs::FixedMapping fixed, const workloads::Operation& op,
                          const ArrayOperands& operands) -> std::string {
    auto machine = configs::load_machine("mixpe-16x16");
    fixed.origin.place = "m.yaml:7:3";
    machine.mapping.fixed["op"] = fixed;
    try {
      Mapper(machine, pe::find_design("mixpe-w4a8")).map(op, whole_product(op, operands));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  const auto op = gemm(100, 20000, 30000);
  EXPECT_THAT(message({{1, 20000, 30000}, LoopOrder::searched, {}}, op, kW4A8),
              testing::AllOf(HasSubstr("m.yaml:7:3: mapping.fixed.op.tile: found tiles of 1 x "
                                       "20000 x 30000"),
                             HasSubstr("300000000 bytes of weights; expected at most"),
                             HasSubstr("operation 'op' (100 x 20000 x 30000)")));
  EXPECT_THAT(message({{0, 0, 100}, LoopOrder::searched, {}}, op,
                      {quant::Format::int4, quant::Format::int8, 128, false}),
              HasSubstr("mapping.fixed.op.tile.k: found 100; expected a multiple of the weights' "
                        "group, 128"));
  EXPECT_THAT(message({{1, 1, 1}, LoopOrder::rows_outer, {}}, op, kW4A8),
              HasSubstr("of them; expected at most 1048576"));
}

TEST(Mapper, LowersALargeModelQuickly) {
  const auto start = std::chrono::steady_clock::now();
  const auto machine = configs::load_machine("mixpe-128x128");
  const auto program = workloads::lower(configs::load_model_shape("llama-2-7b"),
                                        configs::load_recipe("mixpe-w4a8"), 2048, 2);
  Mapper mapper(machine, pe::find_design(machine.array.pe));
  for (const auto& step : program.steps) {
    for (const auto& segment : step.segments) {
      for (const auto& op : segment.operations) {
        if (op.kind != workloads::OpKind::gemm) continue;
        mapper.map(op, gemm_parts(mapper.design(), op));
      }
    }
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
}

// --- against the mappings of other simulators --------------------------------------------------

/// 32x32, 128/256/128 KB, 128 bytes a cycle, output stationary, ideal overlap (accelerators.md
/// §2.1). Its sums have 16 bits and never limit a tile; ours have 32, so twice the scratchpad.
configs::MachineConfig ant_machine() {
  auto machine = configs::load_machine("mixpe-32x32-os");
  machine.array.fold_overlap = configs::FoldOverlap::ideal;
  machine.dequantiser = {1 << 16, 1};
  machine.memory.weight.capacity_bytes = 131072;
  machine.memory.activation.capacity_bytes = 262144;
  machine.memory.output.capacity_bytes = 262144;
  for (auto* scratchpad :
       {&machine.memory.weight, &machine.memory.activation, &machine.memory.output}) {
    scratchpad->banks = 64;
    scratchpad->word_bytes = 64;
  }
  machine.memory.dram.clock_mhz *= 128 / machine.peak_dram_bytes_per_cycle();
  return machine;
}

struct Layer {
  std::uint64_t m, n, k;
};

/// Not worse than `theirs` in any order that fits. Returns how many do.
int expect_no_worse(const configs::MachineConfig& machine, const workloads::Operation& op,
                    const Layer& theirs) {
  Mapper mapper(machine, pe::find_design(machine.array.pe));
  const MappedGemm& ours = mapper.map(op, whole_product(op, kW4A8));
  int compared = 0;
  for (const LoopOrder order : kOrders) {
    const GemmMapping map{std::min(op.m, theirs.m),
                          std::min(op.n, theirs.n),
                          std::min(op.k, theirs.k),
                          order,
                          false,
                          false};
    if (!fits(machine, op, map)) continue;
    ++compared;
    const MappingCost cost = mapper.cost(op, whole_product(op, kW4A8), map);
    EXPECT_LE(ours.cost.cycles, cost.cycles)
        << op.m << " x " << op.n << " x " << op.k << ", theirs " << theirs.m << " x " << theirs.n
        << " x " << theirs.k << " " << configs::kLoopOrderNames[static_cast<std::size_t>(order)];
  }
  return compared;
}

TEST(Mapper, IsNeverWorseThanAntOnItsMachine) {
  // Layers and chosen tilings of ANT's own search, as its simulator printed them for BERT and ViT
  // (golden/ant/ant_layers_tf.csv, each different one once): {B, OC, IC}, {b, oc, ic}.
  static constexpr std::pair<Layer, Layer> kLayers[] = {
      {{8192, 768, 768}, {256, 128, 32}},  {{8192, 3072, 768}, {64, 64, 128}},
      {{8192, 768, 3072}, {128, 64, 64}},  {{8192, 768, 768}, {32, 128, 32}},
      {{8192, 768, 3072}, {32, 32, 32}},   {{64, 768, 768}, {64, 128, 8}},
      {{64, 2, 768}, {64, 2, 8}},          {{12608, 2304, 768}, {64, 64, 128}},
      {{12608, 768, 768}, {32, 128, 32}},  {{12608, 3072, 768}, {32, 32, 32}},
      {{12608, 768, 3072}, {32, 32, 32}},  {{12608, 768, 768}, {64, 64, 256}},
      {{12608, 768, 3072}, {64, 128, 32}}, {{12608, 3072, 768}, {64, 64, 128}},
      {{12608, 2304, 768}, {32, 32, 32}},  {{64, 1000, 768}, {64, 128, 8}},
  };
  const auto machine = ant_machine();
  for (const auto& [layer, tile] : kLayers) {
    EXPECT_GT(expect_no_worse(machine, gemm(layer.m, layer.n, layer.k, 2), tile), 0);
  }
}

TEST(Mapper, IsNeverWorseThanScaleSimOnItsMachine) {
  // Fold after fold in the order of the array, or each operand whole where it fits: the shapes of
  // golden/scale-sim, its arrays, dataflows and scratchpads.
  static constexpr Layer kShapes[] = {
      {16, 16, 16},   {1, 8, 4},       {1, 16, 16},      {5, 7, 9},        {17, 33, 11},
      {4, 8, 4},      {13, 8, 4},      {64, 24, 40},     {256, 2304, 768}, {256, 256, 64},
      {256, 64, 256}, {256, 768, 768}, {256, 3072, 768}, {256, 768, 3072}, {1, 2304, 768},
      {1, 256, 64},   {1, 64, 256},    {1, 768, 768},    {1, 3072, 768},   {1, 768, 3072}};
  int compared = 0;
  for (const auto& [rows, cols, kib] :
       {std::array<std::uint32_t, 3>{4, 8, 1}, {32, 32, 64}, {128, 128, 1024}}) {
    for (const auto dataflow :
         {configs::Dataflow::weight_stationary, configs::Dataflow::output_stationary,
          configs::Dataflow::input_stationary}) {
      auto machine = configs::load_machine("mixpe-16x16");
      machine.array.rows = rows;
      machine.array.cols = cols;
      machine.array.dataflow = dataflow;
      machine.array.fold_overlap = configs::FoldOverlap::serial;
      machine.memory.weight.capacity_bytes = machine.memory.activation.capacity_bytes =
          machine.memory.output.capacity_bytes = std::uint64_t{kib} * 1024;
      for (const Layer& shape : kShapes) {
        const auto op = gemm(shape.m, shape.n, shape.k, 1);
        Layer fold{rows, cols, op.k};
        if (dataflow == configs::Dataflow::weight_stationary) fold = {op.m, cols, rows};
        if (dataflow == configs::Dataflow::input_stationary) fold = {cols, op.n, rows};
        // Folds whose sums we would have no room for are no mapping of ours.
        const std::uint64_t room = machine.memory.output.capacity_bytes / 2 / 4;
        fold.m = std::min(fold.m, std::max<std::uint64_t>(1, room / std::min(fold.n, op.n)));
        fold.n = std::min(fold.n, std::max<std::uint64_t>(1, room / std::min(fold.m, op.m)));
        compared += expect_no_worse(machine, op, fold);
        compared += expect_no_worse(machine, op, {op.m, op.n, op.k});
      }
    }
  }
  EXPECT_GT(compared, 300);
}

}  // namespace
}  // namespace systole::sim
