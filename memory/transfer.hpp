// What a DMA engine is asked to move.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

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

/// Adds a run; one that goes on where the last ended becomes part of it. None of no bytes.
inline void append_run(std::vector<Transfer>& runs, const Transfer& run) {
  if (run.bytes == 0) return;
  if (!runs.empty() && runs.back().address + runs.back().bytes == run.address) {
    runs.back().bytes += run.bytes;
    return;
  }
  runs.push_back(run);
}

/// Bytes of the whole bursts that a transfer touches: what the bus moves.
constexpr std::uint64_t burst_bytes_of(const Transfer& transfer, std::uint64_t burst) {
  if (transfer.bytes == 0) return 0;
  const std::uint64_t end = transfer.address + transfer.bytes;
  return ((end + burst - 1) / burst - transfer.address / burst) * burst;
}

/// What an engine is told with one descriptor. `transfers()` is the definition of what moves.
struct Descriptor {
  enum class Kind : std::uint8_t {
    linear,   ///< `row`
    strided,  ///< 2-D: `rows` rows like `row`, their addresses `stride` apart
    gather,   ///< a list of addresses and lengths; to write, a scatter
  };
  Kind kind = Kind::linear;
  Transfer row;
  std::uint64_t rows = 1;
  std::uint64_t stride = 0;
  std::vector<Transfer> list;  ///< of a gather: all of one class and direction

  /// What moves, in this order.
  std::vector<Transfer> transfers() const;
  /// Elements of the list that have to be fetched beside the descriptor.
  std::uint64_t entries() const { return kind == Kind::gather ? list.size() : 0; }
};

/// The fewest descriptors that a walk in order finds for `transfers`: pieces that continue each
/// other become one row, three or more equal rows at one distance a 2-D descriptor, and what is
/// left between two of these a gather of at most `gather_entries` elements. What moves, and its
/// order, stay as they are; transfers of no bytes are left out.
std::vector<Descriptor> descriptors_for(std::span<const Transfer> transfers,
                                        std::uint32_t gather_entries);

/// `transfer` with both ends moved outwards to multiples of `align`, a power of two.
constexpr Transfer aligned(const Transfer& transfer, std::uint64_t align) {
  if (transfer.bytes == 0) return transfer;
  const std::uint64_t first = transfer.address & ~(align - 1);
  const std::uint64_t end = (transfer.address + transfer.bytes + align - 1) & ~(align - 1);
  return {transfer.traffic, transfer.write, first, end - first};
}

/// As asked for.
constexpr std::uint64_t total_bytes(std::span<const Transfer> transfers) {
  std::uint64_t sum = 0;
  for (const Transfer& transfer : transfers) sum += transfer.bytes;
  return sum;
}

}  // namespace systole::memory
