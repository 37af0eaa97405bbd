// Coded KV caches in whole runs: what is stored, read and written is what the codec says, and the
// dequantiser can be what binds.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "memory/kv_cache.hpp"
#include "quant/kv/storage.hpp"
#include "sim/system/kv_dequantiser.hpp"
#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

using configs::Target;
using nlohmann::json;

constexpr std::uint64_t kPrefill = 300, kDecode = 3;

configs::Recipe with_cache(const std::string& name) {
  configs::Recipe recipe = configs::load_recipe("fp16");
  const configs::Recipe kv = configs::load_recipe(name);
  for (const Target target : {Target::key, Target::value}) recipe[target] = kv[target];
  return recipe;
}

configs::ModelShape kv_shape() {
  configs::ModelShape shape = small_shape();
  shape.head_dim = 128;
  shape.heads = shape.kv_heads = 4;
  return shape;
}

workloads::Program program_of(const std::string& name) {
  return workloads::lower(kv_shape(), with_cache(name), kPrefill, kDecode, nullptr, true);
}

json run(const std::string& name, const configs::MachineConfig& machine, bool reuse = true) {
  sim::SimulateOptions options;
  options.reuse = reuse;
  return json::parse(simulate_in_child(program_of(name), machine, options));
}

json attention_of(const json& result) {
  for (const json& row : result.at("operations")) {
    if (row.at("name") == "attention" && row.at("phase") == "decode") return row;
  }
  return {};
}

const std::vector<std::string> kSystems = {
    "fp16", "kivi2", "kvquant-nuq3-1pct", "qserve-kv4", "rotatekv2", "zipcache", "kvcrush", "a2ats",
    "mikv", "pmkvq", "age-tiers",         "vidkv",      "tada",      "kv-q8-0"};

TEST(KvRun, EverySystemHoldsWhatItsCodecStoresAndReadsWhatItHolds) {
  const auto machine = configs::load_machine("fp16-kv-lpddr5");
  const configs::ModelShape shape = kv_shape();
  const quant::KvShape heads{shape.kv_heads, shape.head_dim, shape.heads};
  for (const std::string& name : kSystems) {
    const configs::Recipe recipe = with_cache(name);
    const workloads::Program program = program_of(name);
    const json result = run(name, machine);
    ASSERT_TRUE(result.contains("summary")) << name << ": " << result.dump();
    const json& summary = result.at("summary");
    const auto stored = [&](std::uint64_t tokens) {
      return ceil_div(
                 quant::kv_stored_bits(quant::KvTensor::key, heads, recipe[Target::key], tokens),
                 8) +
             ceil_div(quant::kv_stored_bits(quant::KvTensor::value, heads, recipe[Target::value],
                                            tokens),
                      8);
    };
    EXPECT_EQ(summary.at("kv_bytes"), shape.layers * stored(kPrefill + kDecode)) << name;
    // Attention reads each step what the cache's own geometry says, all of it and once.
    std::uint64_t reads = 0;
    for (const workloads::Step& step : program.steps) {
      for (const workloads::Segment& segment : step.segments) {
        for (const workloads::Operation& op : segment.operations) {
          for (const auto* side : {&op.stationary_cache, &op.context_cache}) {
            if (!*side) continue;
            memory::KvCache cache(*(*side)->geometry, 0, machine.memory.dram.burst_bytes);
            cache.restore((*side)->before);
            for (const auto& t : cache.read(0, heads.kv_heads, 0, cache.attended())) {
              reads += segment.repeats * t.bytes;
            }
          }
        }
      }
    }
    EXPECT_EQ(attention_of(result).at("dram_read_bytes").at("kv_cache"), reads) << name;
    EXPECT_GE(summary.at("kv_burst_bytes_read"), summary.at("kv_bytes_read")) << name;
    EXPECT_GE(summary.at("kv_burst_bytes_written"), summary.at("kv_bytes_written")) << name;
    const double busy = summary.at("dequant_utilisation");
    EXPECT_LE(busy, 1.0) << name;
    const bool codes = name != "fp16" && name != "kvcrush" && name != "a2ats";
    EXPECT_EQ(busy > 0, codes) << name;
  }
}

TEST(KvRun, ReuseChangesNoFigure) {
  const auto machine = configs::load_machine("fp16-kv-lpddr5");
  for (const char* name : {"kivi2", "zipcache"}) {
    EXPECT_EQ(run(name, machine, true), run(name, machine, false)) << name;
  }
}

TEST(KvRun, ASlowDequantiserBindsAttentionAndTheReportSaysSo) {
  auto machine = configs::load_machine("fp16-kv-lpddr5");
  machine.kv_dequantiser.lanes = 8;
  const json slow = run("kivi2", machine);
  EXPECT_EQ(attention_of(slow).at("bound"), "dequantiser");
  EXPECT_GT(slow.at("summary").at("dequant_utilisation"), 0.5);
  machine.kv_dequantiser.lanes = 65536;
  machine.kv_dequantiser.latency_cycles = 1;
  EXPECT_NE(attention_of(run("kivi2", machine)).at("bound"), "dequantiser");
}

TEST(KvRun, WindowsThatFitOnChipMoveNothing) {
  auto machine = configs::load_machine("fp16-kv-lpddr5");
  const json in_dram = run("kivi2", machine).at("summary");
  machine.kv_dequantiser.staging_bytes = 1u << 30;
  const json on_chip = run("kivi2", machine).at("summary");
  EXPECT_LT(on_chip.at("kv_bytes_read"), in_dram.at("kv_bytes_read"));
  EXPECT_LT(on_chip.at("kv_bytes_written"), in_dram.at("kv_bytes_written"));
  EXPECT_EQ(on_chip.at("kv_bytes"), in_dram.at("kv_bytes"));
}

TEST(KvDequantiser, TakesItsSlowestStageAndItsLatency) {
  const configs::KvDequantiserConfig unit;
  EXPECT_EQ(sim::kv_dequantise_cycles(unit, {}), 0u);
  KvDecodeWork work{.unpacks = 1280};
  EXPECT_EQ(sim::kv_dequantise_cycles(unit, work), 16u + 10);
  work.rotations = 1281;
  EXPECT_EQ(sim::kv_dequantise_cycles(unit, work), 16u + 11);
  work.sparse_macs = 16 * 20;
  EXPECT_EQ(sim::kv_dequantise_cycles(unit, work), 16u + 20);
  work.comparisons = 128 * 21;
  EXPECT_EQ(sim::kv_dequantise_cycles(unit, work), 16u + 21);
}

}  // namespace
}  // namespace systole::tests
