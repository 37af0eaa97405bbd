#include "sim/system/mapping.hpp"

#include <gmock/gmock.h>

#include "pe/design.hpp"
#include "sim/core/error.hpp"
#include "sim/core/random.hpp"
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

/// A random GEMM on a machine with random scratchpads.
struct Case {
  configs::MachineConfig machine;
  workloads::Operation op;
  ArrayOperands operands{quant::Format::int4, quant::Format::int8, 0, false};
};

Case random_case(Random& random) {
  Case c;
  c.machine.array.rows = 1u << random.uniform(0, 5);
  c.machine.array.cols = 1u << random.uniform(0, 5);
  c.machine.memory.weight.capacity_bytes = 1u << random.uniform(12, 20);
  c.machine.memory.activation.capacity_bytes = 1u << random.uniform(12, 20);
  c.machine.memory.output.capacity_bytes = 1u << random.uniform(12, 20);
  c.machine.memory.dram = configs::load_dram("hbm2-2.0");
  c.op.name = "op";
  c.op.kind = workloads::OpKind::gemm;
  c.op.m = static_cast<std::uint64_t>(random.uniform(1, 300));
  c.op.n = static_cast<std::uint64_t>(random.uniform(1, 3000));
  c.op.k = static_cast<std::uint64_t>(random.uniform(1, 3000));
  c.op.stationary_region.bytes = ceil_div(c.op.n * c.op.k, 2);
  c.op.input_bytes = c.op.m * c.op.k;
  c.op.output_bytes = c.op.m * c.op.n * 4;
  return c;
}

TEST(MapGemm, ChoosesTilesThatFitTheirHalves) {
  const auto& design = pe::find_design("mixpe-w4a8");
  Random random(11);
  int mapped = 0;
  for (int i = 0; i < 300; ++i) {
    const Case c = random_case(random);
    const auto& memory = c.machine.memory;
    GemmMapping map;
    try {
      map = map_gemm(c.machine, design, c.op, c.operands);
    } catch (const ConfigError&) {
      continue;  // does not fit: said so
    }
    ++mapped;
    EXPECT_LE(map.n_tile * map.k_tile / 2, memory.weight.capacity_bytes / 2);
    EXPECT_LE(map.m_tile * map.n_tile * 4, memory.output.capacity_bytes / 2);
    if (!stays_on_chip(c.machine, c.op.input_bytes)) {
      EXPECT_LE(map.m_tile * c.op.k, memory.activation.capacity_bytes / 2);
    }
    EXPECT_GE(map.m_tile, 1u);
    EXPECT_LE(map.n_tile, c.op.n);
    EXPECT_LE(map.k_tile, c.op.k);
  }
  EXPECT_GT(mapped, 200);
}

TEST(MapGemm, ReadsEachWeightOnceWhenTheInputStaysOnChip) {
  const configs::MachineConfig machine = configs::load_machine("mixpe-128x128");
  workloads::Operation op;
  op.kind = workloads::OpKind::gemm;
  op.m = 64;
  op.n = op.k = 2048;
  op.stationary_region.bytes = op.n * op.k / 2;
  op.input_bytes = op.m * op.k;
  op.output_bytes = op.m * op.n * 4;
  const auto map = map_gemm(machine, pe::find_design("mixpe-w4a8"), op,
                            {quant::Format::int4, quant::Format::int8, 128, false});
  EXPECT_TRUE(map.stationary_outer || map.m_tile == op.m);
}

}  // namespace
}  // namespace systole::sim
