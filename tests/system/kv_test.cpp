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

const std::vector<std::string> kSystems = {"fp16",       "kivi2",     "kvquant-nuq3-1pct",
                                           "qserve-kv4", "rotatekv2", "zipcache",
                                           "kvcrush",    "a2ats",     "quest",
                                           "mikv",       "pmkvq",     "age-tiers",
                                           "vidkv",      "tada",      "kv-q8-0"};

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
    // A2ATS decodes its index, KVCrush selects now and then.
    const bool codes = name != "fp16" && name != "kvcrush";
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

json run_program(const workloads::Program& program, const configs::MachineConfig& machine) {
  return json::parse(simulate_in_child(program, machine));
}

TEST(KvRun, ASlowTopKUnitBindsRetrieval) {
  auto machine = configs::load_machine("fp16-kv-lpddr5");
  const workloads::Program program =
      workloads::lower(kv_shape(), with_cache("a2ats"), 4000, 2, nullptr, true);
  const json wide = run_program(program, machine);
  machine.kv_dequantiser.topk_elements = 1;
  const json narrow = run_program(program, machine);
  EXPECT_EQ(attention_of(narrow).at("bound"), "dequantiser");
  EXPECT_NE(attention_of(wide).at("bound"), "dequantiser");
  EXPECT_GT(attention_of(narrow).at("cycles"), attention_of(wide).at("cycles"));
  EXPECT_EQ(attention_of(narrow).at("dram_read_bytes"), attention_of(wide).at("dram_read_bytes"));
}

// Rows are addressed by the choice: a slower choice costs all of its time.
TEST(KvRun, RetrievedRowsWaitForTheSelection) {
  auto machine = configs::load_machine("fp16-kv-lpddr5");
  machine.vector.lanes = 65536;  // scores are there as soon as the unit can take them
  for (const char* name : {"a2ats", "quest"}) {
    const workloads::Program program =
        workloads::lower(kv_shape(), with_cache(name), 4000, 1, nullptr, true);
    machine.kv_dequantiser.topk_elements = 4;
    const json wide = run_program(program, machine);
    machine.kv_dequantiser.topk_elements = 1;
    const json narrow = run_program(program, machine);
    // A code a token and head, or the bounds of 250 pages, the last without.
    const double scores = std::string(name) == "a2ats" ? 4001 : 250;
    const double heads = kv_shape().kv_heads, layers = kv_shape().layers;
    const double longer = attention_of(narrow).at("cycles").get<double>() -
                          attention_of(wide).at("cycles").get<double>();
    EXPECT_NEAR(longer, 0.75 * scores * heads * layers, 20 * heads * layers) << name;  // refresh
    EXPECT_EQ(attention_of(narrow).at("dram_read_bytes"), attention_of(wide).at("dram_read_bytes"));
  }
}

TEST(KvRun, PagesThatAreNotReadAreNotMoved) {
  const auto machine = configs::load_machine("fp16-kv-lpddr5");
  const auto read = [&](const char* name) {
    const auto program = workloads::lower(kv_shape(), with_cache(name), 4000, 1, nullptr, true);
    return attention_of(run_program(program, machine)).at("dram_read_bytes").at("kv_cache");
  };
  // Of 251 pages 15 whole ones and the last, of one token; bounds of 250 pages, two rows each.
  const std::uint64_t row = 4 * 128 * 2 * 3;
  EXPECT_EQ(read("quest"), (2 * (15 * 16 + 1) + 2 * 250) * row);
  EXPECT_EQ(read("fp16"), 2 * 4001 * row);
}

TEST(KvRun, PoliciesThatNeedProbabilitiesPayForThem) {
  const auto machine = configs::load_machine("fp16-kv-lpddr5");
  const auto prefill_of = [](const json& result) {
    for (const json& row : result.at("operations")) {
      if (row.at("name") == "attention" && row.at("phase") == "prefill") return row;
    }
    return json();
  };
  const auto macs_of = [&](const std::string& name) {
    const auto program = workloads::lower(kv_shape(), with_cache(name), 2000, 1, nullptr, true);
    return prefill_of(run_program(program, machine)).at("macs").get<double>();
  };
  // Every query over every key once more, causally (MiKV), a tenth of them (ZipCache), the newest
  // eight (KVCrush).
  const double plain = macs_of("fp16"), square = 2000.0 * 2000.0 * 128 * 4 * kv_shape().layers;
  EXPECT_EQ(macs_of("kivi2"), plain);
  const double all = macs_of("mikv") - plain;
  EXPECT_GE(all / square, 0.5);
  EXPECT_LE(all / square, 0.75);
  EXPECT_NEAR((macs_of("zipcache") - plain) / all, 0.1, 0.005);
  EXPECT_NEAR((macs_of("kvcrush") - plain) / all, 8.0 / 2000, 0.002);
  // The step's own scores stay on chip where they fit and are computed again where they do not.
  const auto program = workloads::lower(kv_shape(), with_cache("mikv"), 4000, 2, nullptr, true);
  auto small = machine;
  small.memory.output.capacity_bytes = 1u << 17;
  const json kept = run_program(program, machine), again = run_program(program, small);
  EXPECT_GT(attention_of(again).at("macs"), attention_of(kept).at("macs"));
  EXPECT_GT(attention_of(again).at("dram_read_bytes").at("kv_cache"),
            attention_of(kept).at("dram_read_bytes").at("kv_cache"));
}

TEST(KvRun, MoreArraysThanHeadsShareTheTokensOfAHead) {
  auto machine = configs::load_machine("fp16-kv-lpddr5");
  machine.kv_dequantiser.lanes = 65536;
  const workloads::Program program =
      workloads::lower(kv_shape(), with_cache("qserve-kv4"), 4000, 2, nullptr, true);
  json by_arrays[3];
  const std::uint32_t counts[] = {4, 8, 32};
  for (std::size_t i = 0; i < 3; ++i) {
    machine.array.count = counts[i];
    by_arrays[i] = attention_of(run_program(program, machine));
  }
  // Four heads: eight arrays take half of the tokens of one each, and no product is lost or made.
  EXPECT_LT(by_arrays[1].at("cycles"), by_arrays[0].at("cycles"));
  EXPECT_LE(by_arrays[2].at("cycles"), by_arrays[1].at("cycles"));
  EXPECT_EQ(by_arrays[1].at("macs"), by_arrays[0].at("macs"));
  EXPECT_EQ(by_arrays[2].at("macs"), by_arrays[0].at("macs"));
}

TEST(KvRun, GroupedQueriesReadTheCacheOnce) {
  const auto machine = configs::load_machine("fp16-kv-lpddr5");
  configs::ModelShape grouped = kv_shape();
  grouped.heads = 4 * grouped.kv_heads;
  const auto read = [&](const configs::ModelShape& shape) {
    const auto program = workloads::lower(shape, with_cache("kivi2"), 1000, 2, nullptr, true);
    return attention_of(run_program(program, machine));
  };
  const json one = read(kv_shape()), four = read(grouped);
  EXPECT_EQ(one.at("dram_read_bytes").at("kv_cache"), four.at("dram_read_bytes").at("kv_cache"));
  EXPECT_EQ(four.at("macs"), 4 * one.at("macs").get<std::uint64_t>());
}

TEST(KvRun, TheDequantiserHasAnAreaAndItsEventsPrices) {
  auto machine = configs::load_machine("fp16-kv-lpddr5");
  const auto part_of = [](const json& result) {
    for (const json& part : result.at("components")) {
      if (part.at("name") == "kv_dequantiser") return part;
    }
    return json();
  };
  const json part = part_of(run("rotatekv2", machine));
  EXPECT_GT(part.at("dynamic_pj"), 0);
  EXPECT_GT(part.at("area_mm2"), 0);
  EXPECT_EQ(part_of(run("fp16", machine)).at("dynamic_pj"), 0);
  // Every rate is silicon.
  for (const sim::KvStage& stage : sim::kKvStages) {
    auto wider = machine;
    (wider.kv_dequantiser.*stage.rate) *= 2;
    EXPECT_GT(part_of(run("fp16", wider)).at("area_mm2"), part.at("area_mm2")) << stage.name;
  }
  auto staged = machine;
  staged.kv_dequantiser.staging_bytes = 1u << 20;
  EXPECT_GT(part_of(run("fp16", staged)).at("area_mm2"), part.at("area_mm2"));
  // A plain cache meets no such unit.
  const auto plain =
      json::parse(simulate_in_child(small_program(), configs::load_machine("mixpe-128x128")));
  EXPECT_TRUE(part_of(plain).is_null());
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
