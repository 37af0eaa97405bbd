#include "sim/system/dram_rates.hpp"

#include <algorithm>
#include <cmath>

namespace systole::sim {

DramRates::DramRates(const configs::MachineConfig& machine) {
  const configs::MemoryConfig& memory = machine.memory;
  const configs::DramConfig& dram = memory.dram;
  const double clocks_per_cycle = dram.clock_mhz / machine.clock_mhz;
  const double awake = 1.0 - static_cast<double>(dram.rfc) / dram.refi;
  bytes_per_cycle_ = machine.peak_dram_bytes_per_cycle() * awake;
  channel_bytes_per_cycle_ = machine.peak_dram_bytes_per_cycle() / memory.channels;
  refresh_cycles_ = dram.rfc / clocks_per_cycle;
  refresh_interval_cycles_ = dram.refi / clocks_per_cycle;
  latency_ = static_cast<std::uint64_t>(
      std::ceil((dram.rcd_read + dram.cl + dram.burst_clocks) / clocks_per_cycle));
  interleave_bytes_ = memory.interleave_bytes;
  // No more than the outstanding segments arrive in one latency, nor than the engines' links take.
  const double engines = memory.dma.engines;
  const double in_flight = engines * static_cast<double>(memory.dma.outstanding) *
                           static_cast<double>(memory.dma.segment_bytes);
  if (memory.noc.kind != configs::NocKind::none) {
    latency_ += 2 * memory.noc.hop_cycles;
    bytes_per_cycle_ =
        std::min(bytes_per_cycle_, engines * static_cast<double>(memory.noc.link_bytes));
  }
  bytes_per_cycle_ =
      std::min(bytes_per_cycle_, in_flight / (static_cast<double>(latency_) +
                                              memory.dma.segment_bytes / channel_bytes_per_cycle_));
}

std::uint64_t DramRates::moving(std::uint64_t bytes) const {
  const auto b = static_cast<double>(bytes);
  const double one_channel = std::min(b, static_cast<double>(interleave_bytes_));
  return static_cast<std::uint64_t>(
      std::ceil(std::max(b / bytes_per_cycle_, one_channel / channel_bytes_per_cycle_)));
}

std::uint64_t DramRates::refresh_wait(std::uint64_t cycles, std::uint64_t jobs) const {
  const double per_job = static_cast<double>(cycles) / static_cast<double>(jobs);
  if (per_job >= refresh_cycles_) return 0;
  const double refreshes = static_cast<double>(cycles) / refresh_interval_cycles_;
  return static_cast<std::uint64_t>(refreshes * (refresh_cycles_ - per_job));
}

}  // namespace systole::sim
