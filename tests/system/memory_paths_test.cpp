// Bytes through the paths between memories and array: against the words and bytes that other parts
// of the result count, and under the roofs that the machine sets.
#include "sim/system/memory_paths.hpp"

#include <gmock/gmock.h>

#include <numeric>

#include "reports/roofline.hpp"
#include "tests/system/machines.hpp"

namespace systole::tests {
namespace {

RunResult simulated(const workloads::Program& program, const configs::MachineConfig& machine) {
  Progress ignored;
  return sim::simulate(program, machine, {}, ignored);
}

const MemoryPath* path_of(const RunResult& result, const std::string& name) {
  for (const MemoryPath& path : result.memory_paths) {
    if (path.name == name) return &path;
  }
  return nullptr;
}

/// A word counts whole, once an operation of a segment and step.
std::string words_fault(const workloads::Program& program, const configs::MachineConfig& machine) {
  const RunResult result = simulated(program, machine);
  std::uint64_t outcomes = 0;
  for (const auto& step : program.steps) {
    for (const auto& segment : step.segments) outcomes += segment.operations.size();
  }
  const std::pair<std::string, const configs::ScratchpadConfig&> pads[] = {
      {"weight_scratchpad", machine.memory.weight},
      {"activation_scratchpad", machine.memory.activation},
      {"output_scratchpad", machine.memory.output}};
  for (const auto& [name, pad] : pads) {
    for (const std::string way : {"read", "write"}) {
      const MemoryPath* path = path_of(result, name + "." + way);
      if (path == nullptr || path->bytes == 0) return name + " has no path to " + way;
      const std::uint64_t words =
          result.events.get(name + "." + way + "_word") * std::uint64_t{pad.word_bytes};
      if (path->bytes > words || words - path->bytes > outcomes * pad.word_bytes) {
        return name + "." + way + ": " + std::to_string(path->bytes) + " bytes in words of " +
               std::to_string(words);
      }
      if (path->peak_bytes_per_cycle != static_cast<double>(pad.banks) * pad.word_bytes) {
        return name + ": peak";
      }
    }
  }
  return "";
}

TEST(MemoryPaths, ScratchpadsMoveTheWordsThatArePriced) {
  const auto program = small_program("mixpe-w4a8", 70, 3);
  for (const char* name : {"mixpe-128x128", "mixpe-16x16", "mixpe-32x32-os"}) {
    const auto machine = configs::load_machine(name);
    EXPECT_EQ(in_child([&] { return words_fault(program, machine); }), "") << name;
  }
}

// What is written (results that stay on chip) holds nothing up in the tile timing, and where it
// shares ports with reads their sum may be beyond these.
TEST(MemoryPaths, NoProductBeatsTheRoofsOfWhatFeedsTheArray) {
  const auto program = small_program("mixpe-w4a8", 70, 3);
  for (const char* name : {"mixpe-128x128", "mixpe-16x16", "mixpe-32x32-os"}) {
    const auto machine = configs::load_machine(
        name, {"memory.weight.banks=2", "memory.activation.banks=2",
               "memory.weight.read_latency_cycles=8", "memory.activation.read_latency_cycles=8"});
    EXPECT_EQ(in_child([&]() -> std::string {
                const RunResult result = simulated(program, machine);
                std::size_t seen = 0;
                for (const reports::Roof& roof : reports::roofs_of(result)) {
                  const bool feeds = roof.name == "dram" || roof.name.ends_with(".read");
                  if (!feeds || roof.name.starts_with("output")) continue;
                  ++seen;
                  for (const reports::RoofPoint& point : roof.points) {
                    const double most = roof.bytes_per_cycle * static_cast<double>(point.cycles);
                    if (static_cast<double>(point.bytes) > most * (1 + 1e-9)) {
                      return point.operation + " beats " + roof.name;
                    }
                  }
                }
                return seen == 3 ? "" : "roofs of the DRAM and two scratchpads are not all there";
              }),
              "")
        << name;
  }
}

TEST(MemoryPaths, TiersMoveWhatTheirRowsSay) {
  for (const char* name : {"edge-rram-tiered", "mixpe-128x128-host-tiered"}) {
    const auto machine = configs::load_machine(name);
    EXPECT_EQ(in_child([&]() -> std::string {
                const RunResult result = simulated(small_program(), machine);
                for (std::size_t t = 1; t < result.tiers.size(); ++t) {
                  const TierRow& tier = result.tiers[t];
                  const auto sum = [](const BytesByClass& bytes) {
                    return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0});
                  };
                  std::uint64_t through = 0;
                  for (const MemoryPath& path : result.memory_paths) {
                    if (path.name.starts_with("tier_" + tier.name)) through += path.bytes;
                  }
                  if (through != sum(tier.read_bytes) + sum(tier.written_bytes)) return tier.name;
                }
                return result.tiers.size() > 1 ? "" : "no tiers";
              }),
              "")
        << name;
  }
}

TEST(MemoryPaths, TheKvDequantiserPassesWhatItUnpacks) {
  const auto program = workloads::lower(kv_shape(), with_cache("kivi2"), 300, 2, nullptr, true);
  const auto machine = configs::load_machine("fp16-kv-lpddr5");
  EXPECT_EQ(in_child([&]() -> std::string {
              const RunResult result = simulated(program, machine);
              const MemoryPath* path = path_of(result, "kv_dequantiser");
              if (path == nullptr) return "no path";
              const std::uint64_t unpacked = result.events.get("kv_dequantiser.unpack");
              if (unpacked == 0 || path->bytes != 2 * unpacked) return "bytes";
              return path->peak_bytes_per_cycle == 2.0 * machine.kv_dequantiser.lanes ? "" : "peak";
            }),
            "");
}

}  // namespace
}  // namespace systole::tests
