// The memory side of an accelerator: DRAM channels and the DMA engines in front of them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>
#include "sim/kernel/systemc.hpp"

#include "configs/machine.hpp"
#include "memory/dma.hpp"
#include "memory/dram.hpp"
#include "sim/core/event_counts.hpp"
#include "sim/core/traffic.hpp"
#include "sim/core/units.hpp"

namespace systole::memory {

/// Bytes by traffic class (index_of) and direction.
struct TrafficBytes {
  std::array<std::uint64_t, kTrafficClassCount> read{}, written{};
  std::uint64_t total() const;
  friend bool operator==(const TrafficBytes&, const TrafficBytes&) = default;
};

/// `channels` DRAM channels, one read and one write DMA engine. Transfers are issued from
/// SC_THREADs, any number of them concurrently; transfers of one direction are served in order of
/// issue and overlap in the pipeline.
class MemorySystem : public sc_core::sc_module {
 public:
  /// What `issue` hands out and `wait` takes; tickets need not be waited for.
  struct Ticket {
    std::uint64_t id = 0;
  };

  /// Whether channels that do the same are computed once. Never changes a result; `off` exists for
  /// the test that says so.
  enum class Sharing : std::uint8_t { on, off };

  /// Errors: ConfigError for impossible DRAM, DMA or interleave values.
  MemorySystem(const sc_core::sc_module_name& name, const configs::MemoryConfig& config,
               double accelerator_clock_mhz, Sharing sharing = Sharing::on);
  ~MemorySystem() override;

  /// Moves all transfers and returns (in simulated time) when the last byte of the last one has
  /// moved.
  void transfer(std::span<const Transfer> transfers) { wait(issue(transfers)); }
  /// Starts them and returns at once.
  Ticket issue(std::span<const Transfer> transfers);
  using sc_core::sc_module::wait;
  /// Blocks the calling SC_THREAD until everything of the ticket has moved.
  void wait(Ticket ticket);
  bool done(Ticket ticket) const { return !open_.contains(ticket.id); }

  /// Nothing is in flight, in either engine or any channel.
  bool idle() const;
  /// Call between regions of work (e.g. layers), when idle: closes all rows, restarts the refresh
  /// timers in the middle of an interval and aligns the memory clock to the present, so that equal
  /// work after it takes equal time and equal events wherever it stands. What this approximates,
  /// and in which direction: DramChannel::restart.
  void quiesce();

  /// `dram.activate`, `dram.read_bit`, `dram.write_bit`, `dram.refresh` up to the present,
  /// refreshes of idle time included; bits are those the bus moved (whole bursts).
  EventCounts events() const;
  TrafficBytes useful_bytes() const;  ///< what transfers asked for
  TrafficBytes moved_bytes() const;   ///< whole bursts; >= useful
  std::uint64_t row_hits() const;
  std::uint64_t row_misses() const;

  /// Work moved by a multiple of this meets the same channels, banks and row conflicts.
  std::uint64_t address_period_bytes() const;

  Bytes capacity() const;  ///< of all channels; addresses beyond it are the caller's bug
  double peak_bytes_per_cycle() const;  ///< of all channels, per accelerator cycle
  /// Accelerator cycles that `bytes` take at peak bandwidth: no transfer is faster.
  Cycles bandwidth_bound(Bytes bytes) const;

  std::uint32_t channel_count() const { return static_cast<std::uint32_t>(channels_.size()); }
  Dram& channel(std::uint32_t index) { return *channels_[index]; }
  const Dma& dma(bool write) const { return *engines_[write]; }

 private:
  void share_channels();
  void finished(std::uint64_t ticket);
  std::uint64_t sum(const std::function<std::uint64_t(const DramCounts&)>& part) const;

  configs::MemoryConfig config_;
  double accelerator_clock_mhz_;
  Sharing sharing_;
  ChannelInterleave interleave_;
  DramAlarm alarm_;
  std::vector<std::unique_ptr<Dram>> channels_;
  std::vector<Dram*> leaders_;  ///< one of each group of channels that share
  std::array<std::unique_ptr<Dma>, 2> engines_;
  std::unordered_map<std::uint64_t, std::uint64_t> open_;  ///< ticket -> segments to go
  /// The one that finished a segment last: most often the next to finish one. Null when closed.
  std::pair<const std::uint64_t, std::uint64_t>* latest_ = nullptr;
  std::uint64_t next_ticket_ = 0;
  sc_core::sc_event ticket_done_;
};

}  // namespace systole::memory
