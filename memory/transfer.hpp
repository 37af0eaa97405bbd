// What a DMA engine is asked to move.
#pragma once

#include <cstdint>
#include <span>

#include "sim/core/traffic.hpp"

namespace systole::memory {

/// Bytes to move between DRAM and the accelerator; global byte address.
struct Transfer {
  TrafficClass traffic = TrafficClass::weights;
  bool write = false;
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;  ///< 0 moves nothing

  friend bool operator==(const Transfer&, const Transfer&) = default;
};

/// Bytes of the whole bursts that a transfer touches: what the bus moves.
constexpr std::uint64_t burst_bytes_of(const Transfer& transfer, std::uint64_t burst) {
  if (transfer.bytes == 0) return 0;
  const std::uint64_t end = transfer.address + transfer.bytes;
  return ((end + burst - 1) / burst - transfer.address / burst) * burst;
}

/// As asked for.
constexpr std::uint64_t total_bytes(std::span<const Transfer> transfers) {
  std::uint64_t sum = 0;
  for (const Transfer& transfer : transfers) sum += transfer.bytes;
  return sum;
}

}  // namespace systole::memory
