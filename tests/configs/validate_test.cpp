// Impossible machines, DRAMs, recipes, models and energy tables, each refused with its own message.
#include "configs/validate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "configs/library.hpp"
#include "sim/core/error.hpp"

namespace systole::configs {
namespace {

/// All problems of a configuration after one change, a line each.
template <class Config>
std::string broken(Config config, const std::function<void(Config&)>& change) {
  change(config);
  std::string text;
  for (const Broken& b : problems(config)) {
    text += (text.empty() ? "" : "\n") + b.path + ": " + b.message;
  }
  return text;
}
/// A machine whose figures the messages below repeat, whatever the shipped one is tuned to.
MachineConfig base_machine() {
  MachineConfig m =
      load_machine("mixpe-128x128", {"energy=nangate45", "memory.dram.base=hbm2-2.0"});
  m.memory.weight = m.memory.activation = m.memory.output = {524288, 16, 32, 2};
  return m;
}
std::string machine(const std::function<void(MachineConfig&)>& change) {
  return broken(base_machine(), change);
}
std::string dram(const std::function<void(DramConfig&)>& change) {
  return broken(load_dram("ddr4-3200"), change);
}
std::string recipe(const std::function<void(Recipe&)>& change) {
  return broken(load_recipe("mixpe-w4a8"), change);
}

TEST(Validate, AcceptsWhatShips) {
  EXPECT_EQ(machine([](auto&) {}), "");
  EXPECT_EQ(dram([](auto&) {}), "");
  EXPECT_EQ(recipe([](auto&) {}), "");
}

TEST(Validate, AlignsRequestsToPowersOfTwoWithinASegment) {
  EXPECT_EQ(machine([](auto& m) { m.memory.dma.align_bytes = 48; }),
            "memory.dma.align_bytes: found 48; expected a power of two");
  EXPECT_EQ(machine([](auto& m) { m.memory.dma.align_bytes = 8192; }),
            "memory.dma.align_bytes: found 8192; expected at most segment_bytes, 4096");
}

TEST(Validate, AMeshHasNoMoreColumnsThanEndPoints) {
  EXPECT_EQ(machine([](auto& m) { m.memory.noc.link_bytes = 48; }),
            "memory.noc.link_bytes: found 48; expected a power of two");
  EXPECT_EQ(machine([](auto& m) {
              m.memory.channels = 4;
              m.memory.noc.kind = NocKind::mesh;
              m.memory.noc.columns = 7;
            }),
            "memory.noc.columns: found 7; expected at most 6, the engines of both directions and "
            "the channels");
}

TEST(Validate, BuffersDivideAScratchpadAndSumsAreStreamed) {
  EXPECT_EQ(machine([](auto& m) { m.memory.weight.buffers = 3; }),
            "memory.weight.capacity_bytes: found 524288; expected a multiple of 1536 (3 buffers of "
            "banks x word_bytes)");
  EXPECT_EQ(machine([](auto& m) { m.memory.output.layout = ScratchpadLayout::padded; }),
            "memory.output.layout: found 'padded'; expected streamed (sums lie as the array's "
            "columns leave them)");
}

TEST(Validate, ACacheHasWholeSetsOfWholeBurstsInEachChannel) {
  const auto cache = [](auto change) {
    return machine([&](auto& m) {
      m.memory.channels = 4;
      m.memory.interleave_bytes = 256;
      m.memory.cache.capacity_bytes = 65536;
      change(m.memory.cache);
    });
  };
  EXPECT_EQ(cache([](auto&) {}), "");
  EXPECT_EQ(
      cache([](auto& c) { c.capacity_bytes = 5000; }),
      "memory.cache.capacity_bytes: found 5000; expected a multiple of 4096 (two sets of ways "
      "x line_bytes in each channel)");
  EXPECT_EQ(
      cache([](auto& c) { c.line_bytes = 512; }),
      "memory.cache.line_bytes: found 512; expected a divisor of interleave_bytes, 256 (a line "
      "lies in one channel)");
  EXPECT_EQ(cache([](auto& c) { c.kv_cache = false; }),
            "memory.cache.kv_cache: no class of traffic passes through the cache; expected one at "
            "least");
}

TEST(Validate, ChecksRangesOfStructsMadeInCode) {
  EXPECT_EQ(machine([](auto& m) { m.array.rows = 0; }),
            "array.rows: found 0; expected a whole number from 1 to 4096");
  EXPECT_EQ(machine([](auto& m) { m.clock_mhz = 0; }),
            "clock_mhz: found 0; expected a number from 1 to 20000");
  EXPECT_EQ(machine([](auto& m) { m.clock_mhz = -500; }),
            "clock_mhz: found -500; expected a number from 1 to 20000");
  EXPECT_EQ(machine([](auto& m) { m.clock_mhz = std::numeric_limits<double>::quiet_NaN(); }),
            "clock_mhz: found nan; expected a number from 1 to 20000");
  EXPECT_EQ(
      machine([](auto& m) { m.memory.output.capacity_bytes = 0; }),
      "memory.output.capacity_bytes: found 0; expected a whole number from 64 to 1099511627776");
  EXPECT_EQ(machine([](auto& m) { m.memory.channels = 0; }),
            "memory.dram.channels: found 0; expected a whole number from 1 to 1024");
  EXPECT_EQ(machine([](auto& m) { m.memory.dram.clock_mhz = 0; }),
            "memory.dram.clock_mhz: found 0; expected a number from 1 to 20000");
  EXPECT_EQ(machine([](auto& m) { m.array.dataflow = static_cast<Dataflow>(7); }),
            "array.dataflow: not one of the known values");
}

TEST(Validate, ReportsAllProblemsAtOnceAndNamesTheMachine) {
  MachineConfig m = base_machine();
  m.array.pe = "int8-mak";
  m.memory.weight.banks = 12;
  m.memory.dma.segment_bytes = 100;
  try {
    validate(m);
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "machine 'mixpe-128x128': array.pe: unknown PE 'int8-mak'; did you mean "
                 "'int8-mac'? (energy table "
                 "'nangate45')\n"
                 "machine 'mixpe-128x128': memory.weight.banks: found 12; expected a power of two\n"
                 "machine 'mixpe-128x128': memory.weight.capacity_bytes: found 524288; expected a "
                 "multiple of 768 "
                 "(two halves of banks x word_bytes)\n"
                 "machine 'mixpe-128x128': memory.dma.segment_bytes: found 100; expected a "
                 "multiple of the burst, 32 "
                 "bytes");
  }
}

TEST(Validate, RefusesAClockThatTheElementNeverMet) {
  EXPECT_EQ(machine([](auto& m) { m.clock_mhz = 611; }), "");
  EXPECT_EQ(machine([](auto& m) { m.clock_mhz = 612; }),
            "clock_mhz: found 612; expected at most 611, what the synthesis of 'mixpe-w4a8' met");
  EXPECT_EQ(machine([](auto& m) { m.array.pe = "fp16-mac"; }),
            "clock_mhz: found 500; expected at most 269, what the synthesis of 'fp16-mac' met");
}

TEST(Validate, RefusesScratchpadsThatCannotFeedTheArray) {
  EXPECT_EQ(machine([](auto& m) { m.memory.activation.word_bytes = 24; }),
            "memory.activation.word_bytes: found 24; expected a power of two\n"
            "memory.activation.capacity_bytes: found 524288; expected a multiple of 768 (two "
            "halves of banks "
            "x word_bytes)");
  EXPECT_EQ(machine([](auto& m) {
              m.memory.weight = {256, 2, 32, 2};
            }),
            "memory.weight.capacity_bytes: found 256; expected at least 512 (each half holds one "
            "array edge "
            "of 16-bit weights)");
  EXPECT_EQ(machine([](auto& m) {
              m.memory.output = {512, 2, 32, 2};
            }),
            "memory.output.capacity_bytes: found 512; expected at least 1024 (each half holds one "
            "array edge "
            "of 32-bit sums)");
}

TEST(Validate, RefusesAScratchpadThatIsReadFasterThanItsCellsAnswer) {
  EXPECT_EQ(machine([](auto& m) {
              m.energy = load_energy("nangate45-lstp");
              m.memory.weight = {1048576, 16, 32, 1};
            }),
            "memory.weight.read_latency_cycles: found 1; expected at least 2 (a bank takes 2.299 "
            "ns, a cycle 2 ns)");
}

TEST(Validate, RefusesInterleavingThatCutsABurst) {
  EXPECT_EQ(machine([](auto& m) { m.memory.interleave_bytes = 48; }),
            "memory.dram.interleave_bytes: found 48; expected a multiple of the burst, 32 bytes");
}

TEST(Validate, RefusesDramTimingThatContradictsItself) {
  EXPECT_EQ(dram([](auto& d) { d.rc = 73; }), "") << "each is rounded to clocks on its own";
  EXPECT_EQ(dram([](auto& d) { d.rc = 72; }),
            "rc: found 72; expected at least 73 (ras + rp, less one clock of rounding)");
  EXPECT_EQ(dram([](auto& d) { d.ras = 21; }),
            "ras: found 21; expected at least 22 (rcd: a row is open before it is used)");
  EXPECT_EQ(
      dram([](auto& d) { d.ccd_s = 3; }),
      "ccd_s: found 3; expected at least 4 (burst_clocks: bursts would overlap on the data bus)");
  EXPECT_EQ(dram([](auto& d) { d.ccd_l = 3; }), "ccd_l: found 3; expected at least 4 (ccd_s)");
  EXPECT_EQ(dram([](auto& d) { d.rrd_l = 3; }), "rrd_l: found 3; expected at least 4 (rrd_s)");
  EXPECT_EQ(dram([](auto& d) { d.faw = 3; }), "faw: found 3; expected at least 4 (rrd_s)");
  EXPECT_EQ(dram([](auto& d) { d.wtr_l = 3; }), "wtr_l: found 3; expected at least 4 (wtr_s)");
  EXPECT_EQ(dram([](auto& d) { d.refi = d.rfc; }),
            "refi: found 576; expected more than rfc, 576 (it would do nothing but refresh)");
}

TEST(Validate, RefusesDramGeometryThatDoesNotDivide) {
  EXPECT_EQ(dram([](auto& d) { d.bank_groups = 3; }),
            "bank_groups: found 3; expected a power of two\n"
            "capacity_bytes: found 8589934592; expected a multiple of 98304 (row_bytes x banks)");
  EXPECT_EQ(dram([](auto& d) { d.row_bytes = 96; }),
            "row_bytes: found 96; expected a power of two\n"
            "capacity_bytes: found 8589934592; expected a multiple of 1536 (row_bytes x banks)");
  EXPECT_EQ(dram([](auto& d) { d.burst_bytes = 48; }),
            "burst_bytes: found 48; expected a power of two");
  EXPECT_EQ(dram([](auto& d) { d.row_bytes = 64, d.burst_bytes = 128; }),
            "row_bytes: found 64; expected at least one burst of 128 bytes");
}

TEST(Validate, RefusesRecipesThatNoKernelComputes) {
  using quant::Affine;
  using quant::Format;
  using quant::Granularity;
  EXPECT_EQ(recipe([](auto& r) { r[Target::weight].group = 0; }),
            "tensors.weight.group: found 0; expected the elements that share a scale, for "
            "granularity 'group'");
  EXPECT_EQ(recipe([](auto& r) { r[Target::weight].granularity = Granularity::channel; }),
            "tensors.weight.group: found 128 with granularity 'channel'; expected 0, or "
            "granularity 'group'");
  EXPECT_EQ(
      recipe([](auto& r) { r[Target::head].granularity = Granularity::token; }),
      "tensors.head.granularity: found 'token'; expected tensor, channel or group (a weight has no "
      "tokens)");
  EXPECT_EQ(recipe([](auto& r) {
              r[Target::activation].granularity = Granularity::group;
              r[Target::activation].group = 32;
            }),
            "tensors.activation.granularity: found 'group'; expected token or tensor (this release "
            "has no "
            "other scale for it)\n"
            "tensors.activation.group: found 32; expected 0: only weights have groups");
  EXPECT_EQ(recipe([](auto& r) { r[Target::key].granularity = Granularity::tensor; }),
            "tensors.key.granularity: found 'tensor'; expected token (this release has no other "
            "scale for it)");
  EXPECT_EQ(recipe([](auto& r) { r[Target::activation].affine = Affine::float_zero; }),
            "tensors.activation.affine: found 'float_zero'; expected symmetric (zero points are "
            "for weights)");
  EXPECT_EQ(recipe([](auto& r) { r[Target::weight].scale = Format::int8; }),
            "tensors.weight.scale: found 'int8'; expected fp32, fp16 or bf16");
  EXPECT_EQ(
      recipe([](auto& r) { r[Target::activation] = quant::QuantSpec{}; }),
      "tensors.activation.format: found 'fp32'; expected an integer format: dequantise 'after' "
      "multiplies integers (or set compute.dequantise to before)");
  EXPECT_EQ(
      recipe([](auto& r) { r[Target::weight] = quant::QuantSpec{}; }),
      "tensors.weight.format: found 'fp32'; expected an integer format, as the activations have");
  EXPECT_EQ(recipe([](auto& r) { r.dequantise = Dequantise::before; }),
            "tensors.activation.format: found 'int8'; expected a float format: dequantise 'before' "
            "multiplies "
            "floats (or set compute.dequantise to after)");
  EXPECT_EQ(
      recipe([](auto& r) { r[Target::query] = {.format = Format::fp16}; }),
      "tensors.query.format: found 'fp16' against key 'int8'; expected both integer or both float");
  EXPECT_EQ(recipe([](auto& r) { r[Target::value] = quant::QuantSpec{}; }),
            "tensors.probability.format: found 'int8' against value 'fp32'; expected both integer "
            "or both "
            "float");
  EXPECT_EQ(recipe([](auto& r) { r = {}; }), "") << "everything fp32: nothing to dequantise";
}

TEST(Validate, RefusesModelsWhoseHeadsDoNotDivide) {
  const auto model = [](const std::function<void(ModelShape&)>& change) {
    return broken(load_model_shape("llama-2-7b"), change);
  };
  EXPECT_EQ(model([](auto& m) { m.kv_heads = 5; }),
            "kv_heads: found 5; expected a divisor of heads, 32");
  EXPECT_EQ(model([](auto& m) { m.head_dim = 7; }),
            "head_dim: found 7; expected an even number (RoPE turns pairs)");
  EXPECT_EQ(
      model([](auto& m) { m.head_dim = 0, m.heads = 33, m.kv_heads = 33; }),
      "head_dim: missing; expected a value, because hidden 4096 is not a multiple of heads 33");
  EXPECT_EQ(model([](auto& m) { m.norm_epsilon = 0; }),
            "norm_epsilon: found 0; expected a number above 0");
}

TEST(Validate, RefusesATableThatMixesNodesUnlessItSaysWhy) {
  EnergyTable table = load_energy("nangate45");
  table.pes.at("int8-mac").node_nm = 28;
  table.ops.at("fp32_add").node_nm = 45;  // the table's own: fine
  table.sram_node_nm = 22;
  const auto found = problems(table);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].path, "pes.int8-mac.node_nm");
  EXPECT_EQ(found[0].message,
            "a price at 28 nm in a table at 45 nm; expected one node, a table scaled with `scale`, "
            "or `mixed_nodes` with the reason");
  EXPECT_EQ(found[1].path, "sram_node_nm");
  table.mixed_nodes = "as published";
  EXPECT_TRUE(problems(table).empty());
}

TEST(Validate, RefusesHalfOfASplitPass) {
  EnergyTable table = load_energy("nangate45");
  table.pes.at("int8-mac").mac_quiet_pj = 0;
  table.pes.at("int8-mac").operand_toggle_pj = 0.01;
  const auto found = problems(table);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].path, "pes.int8-mac.mac_quiet_pj");
  EXPECT_EQ(found[0].message, "found 0 with operand_toggle_pj 0.01; expected both or neither");
}

TEST(Validate, NamesTheTablesThatPriceAPeWhichThisOneDoesNot) {
  MachineConfig machine = base_machine();
  machine.energy = load_energy("bitmod-28");
  machine.array.pe = "figna-w4";
  const auto found = problems(machine);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].path, "array.pe");
  EXPECT_EQ(found[0].message,
            "energy table 'bitmod-28' has no price for PE 'figna-w4'; asap7, axcore-28, nangate45, "
            "nangate45-lstp and sg13g2 have one");
  EXPECT_EQ(no_price_message("mine", "gobo", {"theirs"}),
            "energy table 'mine' has no price for PE 'gobo'; theirs has one");
}

TEST(Validate, RefusesEnergyTablesThatPriceTwiceOrNothing) {
  const auto energy = [](const std::function<void(EnergyTable&)>& change) {
    return broken(load_energy("nangate45"), change);
  };
  EXPECT_EQ(energy([](auto& e) { e.sram_points[1] = e.sram_points[0]; }),
            "sram_points[1]: same bytes and word_bytes as sram_points[0]; expected each once");
  EXPECT_EQ(energy([](auto& e) { e.sram_points[0].word_bytes = 2048; }),
            "sram_points[0].bytes: found 1024; expected at least one word of 2048");
  EXPECT_EQ(energy([](auto& e) { e.ops.at("fp32_add").pj = 0; }),
            "ops.fp32_add.pj: found 0; expected a number above 0");
  EXPECT_EQ(energy([](auto& e) { e.sram_read_pj.size_exponent = std::nan(""); }),
            "sram_read_pj.size_exponent: found nan; expected a number");
}

}  // namespace
}  // namespace systole::configs
