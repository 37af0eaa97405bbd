// Regions that were simulated for one machine stand for those of another exactly where they run
// alike.
#include "sim/system/region_timings.hpp"

#include <gtest/gtest.h>

#include <map>

#include "configs/assign.hpp"
#include "configs/validate.hpp"
#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

class InMemory : public sim::RegionTimings {
 public:
  std::optional<sim::SegmentOutcome> find(const sim::RegionKey& key) override {
    const auto it = known_.find(key);
    if (it == known_.end()) return std::nullopt;
    return sim::outcome_from(it->second);
  }
  void add(const sim::RegionKey& key, const sim::SegmentOutcome& outcome) override {
    known_[key] = sim::to_bytes(outcome);
  }

 private:
  std::map<sim::RegionKey, std::string> known_;
};

constexpr const char* kUnknown = "not all regions are known";

/// `machine` from what simulating `first` has left behind, or kUnknown.
std::string recall_after(const workloads::Program& program, const configs::MachineConfig& first,
                         const configs::MachineConfig& machine) {
  return in_child([&] {
    InMemory timings;
    sim::SimulateOptions options;
    options.timings = &timings;
    Progress ignored;
    const RunResult whole = sim::simulate(program, first, options, ignored);
    const auto same = sim::recall({program, first}, options);
    if (!same || reports::to_json(*same) != reports::to_json(whole)) return std::string("differs");
    const auto result = sim::recall({program, machine}, options);
    return result ? reports::to_json(*result) : kUnknown;
  });
}

struct Change {
  const char* path;
  const char* value;
};

void check(const workloads::Program& program, const configs::MachineConfig& first,
           const Change& change, int& recalled) {
  configs::MachineConfig machine = first;
  ASSERT_EQ(configs::assign(machine, change.path, change.value), configs::Assigned::done);
  ASSERT_TRUE(configs::problems(machine).empty()) << change.path;
  const std::string known = recall_after(program, first, machine);
  ASSERT_NE(known, "differs") << change.path;
  if (known == kUnknown) return;
  ++recalled;
  EXPECT_EQ(known, simulate_in_child(program, machine))
      << change.path << ": " << change.value
      << " changes what regions take, but not the key under which they are kept";
}

TEST(RegionTimings, AMachineOfOtherPricesNeedsNoSimulation) {
  const auto first = configs::load_machine("mixpe-128x128");
  const auto program = small_program();
  int recalled = 0;
  constexpr Change kPrices[] = {
      {"memory.dram.read_pj_per_bit", "9"}, {"memory.dram.write_pj_per_bit", "9"},
      {"memory.dram.activate_pj", "12345"}, {"memory.dram.refresh_pj", "1"},
      {"memory.dram.standby_mw", "400"},    {"memory.noc.hop_pj_per_byte", "3"}};
  for (const Change& change : kPrices) check(program, first, change, recalled);
  EXPECT_EQ(recalled, static_cast<int>(std::size(kPrices)));
}

TEST(RegionTimings, NothingThatChangesTimeIsTakenForTheSame) {
  // Every number of the timed machine, a little other than it is.
  constexpr Change kChanges[] = {
      {"clock_mhz", "450"},
      {"array.rows", "64"},
      {"array.cols", "64"},
      {"array.count", "2"},
      {"array.drain_words", "16"},
      {"array.fold_overlap", "serial"},
      {"array.dataflow", "output_stationary"},
      {"array.interconnect", "broadcast"},
      {"dequantiser.lanes", "64"},
      {"dequantiser.latency_cycles", "9"},
      {"dequantiser.place", "loop"},
      {"vector.lanes", "32"},
      {"vector.latency_cycles", "3"},
      {"mapping.objective", "energy"},
      {"mapping.attention", "tiled"},
      {"memory.weight.capacity_bytes", "262144"},
      {"memory.weight.banks", "8"},
      {"memory.weight.word_bytes", "16"},
      {"memory.weight.buffers", "1"},
      {"memory.weight.layout", "row_major"},
      {"memory.weight.ports", "1rw"},
      {"memory.activation.capacity_bytes", "65536"},
      {"memory.activation.buffers", "4"},
      {"memory.output.capacity_bytes", "262144"},
      {"memory.output.buffers", "1"},
      {"memory.output.ports", "2rw"},
      {"memory.dma.segment_bytes", "1024"},
      {"memory.dma.outstanding", "4"},
      {"memory.dma.engines", "2"},
      {"memory.dma.align_bytes", "64"},
      {"memory.dma.descriptor_cycles", "20"},
      {"memory.noc.kind", "crossbar"},
      {"memory.cache.capacity_bytes", "1048576"},
      {"memory.dram.channels", "8"},
      {"memory.dram.interleave_bytes", "512"},
      {"memory.dram.cl", "40"},
      {"memory.dram.rcd_read", "20"},
      {"memory.dram.refi", "3000"},
      {"memory.dram.rfc", "500"},
      {"memory.dram.clock_mhz", "900"},
      {"memory.dram.burst_bytes", "32"},
      {"memory.dram.controller.page_accesses", "2"},
      {"memory.dram.read_queue", "8"},
  };
  const auto first = configs::load_machine("mixpe-128x128");
  const auto program = small_program("mixpe-w4a8", 40, 2);
  int tried = 0, recalled = 0;
  for (const Change& change : kChanges) {
    configs::MachineConfig machine = first;
    try {
      if (configs::assign(machine, change.path, change.value) != configs::Assigned::done) continue;
    } catch (const ConfigError&) {
      ADD_FAILURE() << change.path << " is no path of a machine";
      continue;
    }
    if (machine == first || !configs::problems(machine).empty()) continue;
    ++tried;
    check(program, first, change, recalled);
  }
  EXPECT_GE(tried, 30) << "most of these no longer change a machine that is possible";
  std::printf("%d changes, of which %d need no simulation\n", tried, recalled);
}

TEST(RegionTimings, CodedCachesAndSequencesAreRecalledToo) {
  const auto first = configs::load_machine("fp16-kv-lpddr5");
  int recalled = 0;
  for (const char* kv : {"kivi4", "kvquant-nuq4", "kv-q8-0"}) {
    workloads::Program program = workloads::lower(kv_shape(), with_cache(kv), 160, 2);
    check(program, first, {"memory.dram.read_pj_per_bit", "9"}, recalled);
  }
  EXPECT_EQ(recalled, 3);
}

TEST(RegionTimings, BytesComeBackAsTheyWereAndTornOnesAreNone) {
  sim::SegmentOutcome outcome;
  for (std::uint64_t i = 0; i < 3; ++i) {
    sim::OperationOutcome& operation = outcome.operations.emplace_back();
    operation.cycles_by_cause[i] = 7 * i + 1;
    operation.dram_read_bytes[i] = ~i;
    operation.dram_write_bytes[0] = i;
  }
  outcome.dram_events.add("dram.activate", 12);
  outcome.dram_events.add("dram.refresh", ~std::uint64_t{0});
  const std::string bytes = sim::to_bytes(outcome);
  const auto back = sim::outcome_from(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(sim::to_bytes(*back), bytes);
  EXPECT_EQ(back->dram_events, outcome.dram_events);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(sim::outcome_from(std::string_view(bytes).substr(0, length))) << length;
  }
  EXPECT_FALSE(sim::outcome_from(bytes + "x"));
  std::string huge = bytes;
  huge[5] = '\x7f';  // so many operations would not fit any memory
  EXPECT_FALSE(sim::outcome_from(huge));
}

}  // namespace
}  // namespace systole::tests
