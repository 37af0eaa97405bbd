// What stands between array and DRAM, from the machine's configuration to the figures of a run:
// every field changes what it should and nothing else.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

using configs::Target;
using nlohmann::json;

json run_with(const std::vector<std::string>& overrides, const std::string& recipe = "mixpe-w4a8") {
  const std::string text =
      simulate_in_child(small_program(recipe), configs::load_machine("mixpe-128x128", overrides));
  EXPECT_FALSE(text.starts_with("failed")) << text;
  return json::parse(text);
}

std::uint64_t cycles(const json& result) { return result["summary"]["cycles"]; }
std::uint64_t event(const json& result, const std::string& name) {
  return result["events"].value(name, std::uint64_t{0});
}

TEST(OnChip, DescriptorsCostTheirFetch) {
  const json free = run_with({});
  const json paid = run_with({"memory.dma.descriptor_cycles=100"});
  EXPECT_GT(cycles(paid), cycles(free));
  EXPECT_EQ(event(free, "dma.descriptor"), 0u);
  EXPECT_GT(event(paid, "dma.descriptor"), 0u);
  EXPECT_EQ(event(paid, "dram.read_bit"), event(free, "dram.read_bit"));
}

/// Decoding with a coded cache, which is read in many pieces.
json decode_with(const std::vector<std::string>& overrides) {
  configs::Recipe recipe = configs::load_recipe("fp16");
  const configs::Recipe coded = configs::load_recipe("kvquant-nuq3");
  for (const Target target : {Target::key, Target::value}) recipe[target] = coded[target];
  configs::ModelShape shape = small_shape();
  shape.head_dim = 128;
  shape.heads = shape.kv_heads = 4;
  const std::string text = simulate_in_child(workloads::lower(shape, recipe, 200, 2, nullptr, true),
                                             configs::load_machine("fp16-kv-lpddr5", overrides));
  EXPECT_FALSE(text.starts_with("failed")) << text;
  return json::parse(text);
}

TEST(OnChip, GathersCostTheirLists) {
  const std::string cost = "memory.dma.descriptor_cycles=20";
  const json lists = decode_with({cost});
  const json longer = decode_with({cost, "memory.dma.gather_cycles=20"});
  const json none = decode_with({cost, "memory.dma.gather_entries=1"});
  EXPECT_GT(event(lists, "dma.gather_entry"), 0u);
  EXPECT_GT(cycles(longer), cycles(lists));
  EXPECT_EQ(event(none, "dma.gather_entry"), 0u);
  EXPECT_GT(event(none, "dma.descriptor"), event(lists, "dma.descriptor"));
}

TEST(OnChip, FewerDescriptorsInProgressTakeLonger) {
  const std::string each = "memory.dma.gather_entries=1";
  const json any = decode_with({each, "memory.dma.descriptor_cycles=1"});
  const json one =
      decode_with({each, "memory.dma.descriptor_cycles=1", "memory.dma.descriptors=1"});
  EXPECT_GT(cycles(one), cycles(any));
}

TEST(OnChip, AnEngineThatAlignsMovesMore) {
  const json bytes = run_with({});
  const json lines = run_with({"memory.dma.align_bytes=2048"});
  EXPECT_GT(event(lines, "dram.read_bit"), event(bytes, "dram.read_bit"));
}

TEST(OnChip, MoreEnginesTakeNoLongerWhereOneIsTooFew) {
  const std::vector<std::string> tight = {"memory.dma.outstanding=1"};
  const json one = run_with(tight);
  const json four = run_with({tight[0], "memory.dma.engines=4"});
  EXPECT_LT(cycles(four), cycles(one));
}

json component(const json& result, const std::string& name) {
  for (const json& part : result["components"]) {
    if (part["name"] == name) return part;
  }
  return {};
}

TEST(OnChip, ANetworkTakesTimeEnergyAndArea) {
  const json none = run_with({});
  for (const std::string kind : {"crossbar", "mesh"}) {
    const json noc = run_with({"memory.noc.kind=" + kind});
    EXPECT_GT(cycles(noc), cycles(none)) << kind;
    EXPECT_EQ(event(noc, "dram.read_bit"), event(none, "dram.read_bit"));
    EXPECT_GT(event(noc, "noc.flit_hop"), 0u);
    EXPECT_GT(component(noc, "noc")["dynamic_pj"], 0.0);
    EXPECT_GT(component(noc, "noc")["area_mm2"], 0.0);
    EXPECT_TRUE(component(none, "noc").is_null()) << "no row where there is no network";
  }
}

TEST(OnChip, EveryFieldOfTheNetworkMovesAFigure) {
  const auto with = [&](const std::string& kind, const std::string& more) {
    std::vector<std::string> all = {"memory.noc.kind=" + kind};
    if (!more.empty()) all.push_back(more);
    return run_with(all);
  };
  const json crossbar = with("crossbar", "");
  EXPECT_GT(cycles(with("crossbar", "memory.noc.link_bytes=16")), cycles(crossbar));
  EXPECT_GT(cycles(with("crossbar", "memory.noc.hop_cycles=50")), cycles(crossbar));
  EXPECT_GT(cycles(with("crossbar", "memory.noc.queue=1")), cycles(crossbar));
  EXPECT_GT(component(with("crossbar", "memory.noc.hop_pj_per_byte=5"), "noc")["dynamic_pj"],
            component(crossbar, "noc")["dynamic_pj"]);
  // A chain of switches has more links on the way than a square.
  EXPECT_GT(event(with("mesh", "memory.noc.columns=1"), "noc.flit_hop"),
            event(with("mesh", "memory.noc.columns=4"), "noc.flit_hop"));
  const std::string engines = "memory.dma.engines=4";
  const auto arbitrated = [&](const std::string& name) {
    return run_with({"memory.noc.kind=mesh", "memory.noc.link_bytes=16", engines,
                     "memory.noc.arbitration=" + name});
  };
  EXPECT_NE(event(arbitrated("fixed"), "noc.wait_cycle"),
            event(arbitrated("round_robin"), "noc.wait_cycle"));
  EXPECT_NE(event(arbitrated("age"), "noc.wait_cycle"),
            event(arbitrated("round_robin"), "noc.wait_cycle"));
}

TEST(OnChip, ReusingEqualLayersChangesNoFigureWithANetwork) {
  const auto machine = configs::load_machine(
      "mixpe-128x128", {"memory.noc.kind=mesh", "memory.dma.engines=3",
                        "memory.dma.descriptor_cycles=7", "memory.dma.descriptors=2"});
  const std::string reused = simulate_in_child(small_program(), machine, {.reuse = true});
  EXPECT_EQ(reused, simulate_in_child(small_program(), machine, {.reuse = false}));
  EXPECT_FALSE(reused.starts_with("failed")) << reused;
}

std::uint64_t scratchpad_cycles(const json& result) {
  std::uint64_t sum = 0;
  for (const json& row : result["operations"]) {
    sum += row["cycles_by_cause"]["scratchpad"].get<std::uint64_t>();
  }
  return sum;
}

TEST(OnChip, ShippedMachinesHaveNoBankConflicts) { EXPECT_EQ(scratchpad_cycles(run_with({})), 0u); }

TEST(OnChip, RowsInOneBankAreTheRunsLossAndPaddingMendsIt) {
  // A held weight comes an element from each of 128 rows.
  const std::string words = "memory.weight.word_bytes=8";  // a row is as many as there are banks
  const json rows = run_with({words, "memory.weight.layout=row_major"});
  const json padded = run_with({words, "memory.weight.layout=padded"});
  EXPECT_GT(scratchpad_cycles(rows), 0u);
  EXPECT_GT(cycles(rows), cycles(run_with({words})));
  EXPECT_LT(scratchpad_cycles(padded), scratchpad_cycles(rows));
  // Activations stream along their rows there, and come across them where sums are held.
  const std::string narrow = "memory.activation.word_bytes=8";
  const std::string layout = "memory.activation.layout=row_major";
  const std::string held = "array.dataflow=output_stationary";
  const auto loss = [&](const std::vector<std::string>& more) {
    return scratchpad_cycles(run_with(more));
  };
  EXPECT_EQ(loss({narrow, layout}), loss({narrow}));
  EXPECT_GT(loss({narrow, layout, held}), loss({narrow, held}));
}

TEST(OnChip, PortsOfFewBanksAreTheRunsLoss) {
  const std::vector<std::string> few = {"memory.weight.banks=1",
                                        "memory.weight.read_latency_cycles=8"};
  const auto with = [&](const std::string& ports) {
    return run_with({few[0], few[1], "memory.weight.ports=" + ports});
  };
  const json shared = with("1rw"), own = with("1r1w"), two = with("2rw");
  EXPECT_GT(scratchpad_cycles(shared), scratchpad_cycles(own));
  EXPECT_LT(scratchpad_cycles(two), scratchpad_cycles(shared));
  const std::vector<std::string> sums = {"memory.output.banks=1",
                                         "memory.output.read_latency_cycles=8"};
  EXPECT_GT(scratchpad_cycles(run_with({sums[0], sums[1], "memory.output.ports=1rw"})),
            scratchpad_cycles(run_with(sums)));
}

TEST(OnChip, OneBufferHidesNoLoadAndMoreReachFurtherAhead) {
  const auto with = [&](const std::string& pad, int buffers) {
    return cycles(run_with({"memory." + pad + ".buffers=" + std::to_string(buffers)}));
  };
  EXPECT_GT(with("weight", 1), with("weight", 2));
  EXPECT_NE(with("weight", 4), with("weight", 2));
  EXPECT_GT(with("output", 1), with("output", 2));
}

TEST(OnChip, ACacheSparesDramWhatComesBack) {
  // Activations that do not stay on chip pass through DRAM, and several times where weights stay.
  const std::vector<std::string> none = {"memory.activation.capacity_bytes=16384",
                                         "mapping.fixed.all.order=weights_outer"};
  std::vector<std::string> with = none;
  with.insert(with.end(), {"memory.cache.capacity_bytes=1048576", "memory.cache.activations=true"});
  const json direct = run_with(none), cached = run_with(with);
  EXPECT_GT(event(cached, "cache.hit"), 0u);
  EXPECT_LT(event(cached, "dram.read_bit"), event(direct, "dram.read_bit"));
  EXPECT_GT(component(cached, "cache")["dynamic_pj"], 0.0);
  EXPECT_GT(component(cached, "cache")["area_mm2"], 0.0);
  EXPECT_TRUE(component(direct, "cache").is_null());

  const auto but = [&](const std::string& change) {
    std::vector<std::string> all = with;
    all.push_back(change);
    return run_with(all);
  };
  EXPECT_LT(event(but("memory.cache.capacity_bytes=131072"), "cache.hit"),
            event(cached, "cache.hit"));
  EXPECT_NE(event(but("memory.cache.line_bytes=128"), "cache.lookup"),
            event(cached, "cache.lookup"));
  EXPECT_LT(event(but("memory.cache.write=through"), "cache.hit"), event(cached, "cache.hit"));
  EXPECT_GT(cycles(but("memory.cache.hit_cycles=100")), cycles(cached));
  EXPECT_GT(cycles(but("memory.cache.mshrs=1")), cycles(cached));
  EXPECT_GT(event(but("memory.cache.weights=true"), "cache.lookup"), event(cached, "cache.lookup"));
  EXPECT_LT(event(but("memory.cache.kv_cache=false"), "cache.lookup"),
            event(cached, "cache.lookup"));
}

TEST(OnChip, ReusingEqualLayersChangesNoFigureWithACache) {
  const auto machine = configs::load_machine(
      "mixpe-128x128", {"memory.cache.capacity_bytes=131072", "memory.cache.activations=true",
                        "memory.activation.capacity_bytes=16384", "memory.noc.kind=crossbar"});
  const std::string reused = simulate_in_child(small_program(), machine, {.reuse = true});
  EXPECT_EQ(reused, simulate_in_child(small_program(), machine, {.reuse = false}));
  EXPECT_FALSE(reused.starts_with("failed")) << reused;
}

}  // namespace
}  // namespace systole::tests
