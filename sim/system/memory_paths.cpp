#include "sim/system/memory_paths.hpp"

#include <array>
#include <numeric>
#include <string>
#include <utility>

#include "memory/tier.hpp"

namespace systole::sim {
namespace {

std::uint64_t sum_of(const BytesByClass& bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0});
}

}  // namespace

MemoryPaths::MemoryPaths(const configs::MachineConfig& machine, bool decodes_cache) {
  const configs::MemoryConfig& memory = machine.memory;
  add_scratchpad("weight_scratchpad", memory.weight, &WorkCounts::weight_read_bytes,
                 &WorkCounts::weight_write_bytes);
  add_scratchpad("activation_scratchpad", memory.activation, &WorkCounts::activation_read_bytes,
                 &WorkCounts::activation_write_bytes);
  add_scratchpad("output_scratchpad", memory.output, &WorkCounts::output_read_bytes,
                 &WorkCounts::output_write_bytes);
  if (memory.cache.capacity_bytes > 0) add_cache(memory);
  for (std::size_t t = 1; t <= memory.tiers.size(); ++t) add_tier(machine, t);
  if (decodes_cache) {
    // What is unpacked leaves as fp16, of which the unit's lanes make one each a cycle.
    constexpr std::uint64_t kValueBytes = 2;
    path("kv_dequantiser", static_cast<double>(kValueBytes * machine.kv_dequantiser.lanes),
         [](const OperationOutcome& done) { return kValueBytes * done.counts.kv_work.unpacks; });
  }
}

void MemoryPaths::path(std::string name, double peak_bytes_per_cycle, Bytes bytes) {
  paths_.push_back({std::move(name), peak_bytes_per_cycle, 0});
  bytes_.push_back(std::move(bytes));
}

void MemoryPaths::add_scratchpad(const std::string& name, const configs::ScratchpadConfig& config,
                                 std::uint64_t WorkCounts::*read,
                                 std::uint64_t WorkCounts::*written) {
  const auto row = static_cast<double>(config.bytes_per_cycle());
  if (config.ports == configs::BankPorts::r1w1) {
    path(name + ".read", row, [=](const OperationOutcome& done) { return done.counts.*read; });
    path(name + ".write", row, [=](const OperationOutcome& done) { return done.counts.*written; });
    return;
  }
  path(name, config.ports == configs::BankPorts::rw2 ? 2 * row : row,
       [=](const OperationOutcome& done) { return done.counts.*read + done.counts.*written; });
}

/// A slice looks up a line a cycle, hit or miss.
void MemoryPaths::add_cache(const configs::MemoryConfig& memory) {
  const std::array<bool, kTrafficClassCount> passes = {
      memory.cache.weights, memory.cache.activations, memory.cache.kv_cache};
  path("cache", static_cast<double>(memory.cache.line_bytes) * memory.channels,
       [passes](const OperationOutcome& done) {
         std::uint64_t bytes = 0;
         for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
           if (passes[c]) bytes += done.dram_read_bytes[c] + done.dram_write_bytes[c];
         }
         return bytes;
       });
}

void MemoryPaths::add_tier(const configs::MachineConfig& machine, std::size_t number) {
  const configs::TierOfMachine& of = machine.memory.tiers[number - 1];
  const configs::TierConfig tier = of.resolved();
  const std::string name = memory::tier_component(of.name);
  const auto a_cycle = [&](bool write) {
    return tier.peak_bytes_per_second(write) / (machine.clock_mhz * 1e6);
  };
  if (tier.kind == configs::TierKind::dram && !tier.linked()) {  // one bus
    path(name, a_cycle(false), [number](const OperationOutcome& done) {
      return sum_of(done.tier_read_bytes[number]) + sum_of(done.tier_write_bytes[number]);
    });
    return;
  }
  path(name + ".read", a_cycle(false),
       [number](const OperationOutcome& done) { return sum_of(done.tier_read_bytes[number]); });
  path(name + ".write", a_cycle(true),
       [number](const OperationOutcome& done) { return sum_of(done.tier_write_bytes[number]); });
}

void MemoryPaths::add(const OperationOutcome& operation, OperationRow& row) {
  row.path_bytes.resize(paths_.size());
  for (std::size_t p = 0; p < paths_.size(); ++p) {
    const std::uint64_t bytes = bytes_[p](operation);
    row.path_bytes[p] += bytes;
    paths_[p].bytes += bytes;
  }
}

}  // namespace systole::sim
