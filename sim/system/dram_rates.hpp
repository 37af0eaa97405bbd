// DRAM as closed forms take it: rates, and one latency.
#pragma once

#include <cstdint>

#include "configs/machine.hpp"

namespace systole::sim {

/// DRAM as the closed form takes it, in cycles of the accelerator: its peak less the time of
/// refreshes, and what DMA engines and network let through of it.
class DramRates {
 public:
  explicit DramRates(const configs::MachineConfig& machine);

  /// Cycles of a transfer while others are in flight, and one access later alone.
  std::uint64_t moving(std::uint64_t bytes) const;
  std::uint64_t alone(std::uint64_t bytes) const {
    return bytes == 0 ? 0 : latency_ + moving(bytes);
  }
  /// What refreshes add to work of so many cycles in so many jobs: what is buffered ahead, one
  /// job's worth of work, hides the rest of the wait.
  std::uint64_t refresh_wait(std::uint64_t cycles, std::uint64_t jobs) const;

  double bytes_per_cycle() const { return bytes_per_cycle_; }
  std::uint64_t latency() const { return latency_; }

 private:
  double bytes_per_cycle_ = 0, channel_bytes_per_cycle_ = 0;
  double refresh_cycles_ = 0, refresh_interval_cycles_ = 0;
  std::uint64_t latency_ = 0, interleave_bytes_ = 0;
};

}  // namespace systole::sim
