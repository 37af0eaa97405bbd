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
#include "memory/cache.hpp"
#include "memory/crossbar.hpp"
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

/// `channels` DRAM channels, and pairs of a read and a write DMA engine. Transfers are issued from
/// SC_THREADs, any number of them concurrently; transfers of one direction are served in order of
/// issue and overlap in the pipeline. Several engines of a direction divide what is issued: each
/// takes an equal part of a long transfer, and whole short ones in turn.
///
/// Where descriptors cost anything (configs::DmaConfig), every list of transfers is put into the
/// fewest, and an engine gets to a transfer when its descriptor is decoded.
///
/// Between engines and channels there is nothing, or a network (configs::NocConfig).
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
  /// The same with descriptors of the caller's own; each is one engine's.
  Ticket issue(std::span<const Descriptor> descriptors);
  using sc_core::sc_module::wait;
  /// Blocks the calling SC_THREAD until everything of the ticket has moved.
  void wait(Ticket ticket);
  bool done(Ticket ticket) const { return !open_.contains(ticket.id); }

  /// Nothing is in flight, in either engine or any channel.
  bool idle() const;
  /// Writes back what a cache holds; nothing without one. Call from an SC_THREAD when all
  /// transfers have ended, before quiesce, which finds no dirty line.
  void flush();
  /// Call between regions of work (e.g. layers), when idle: closes all rows, restarts the refresh
  /// timers in the middle of an interval and aligns the memory clock to the present, so that equal
  /// work after it takes equal time and equal events wherever it stands. What this approximates,
  /// and in which direction: DramChannel::restart.
  void quiesce();

  /// `dram.activate`, `dram.read_bit`, `dram.write_bit`, `dram.refresh` up to the present,
  /// refreshes of idle time included; bits are those the bus moved (whole bursts). `dma.descriptor`
  /// and `dma.gather_entry` where descriptors cost anything; `noc.flit_hop`, `noc.packet` and
  /// `noc.wait_cycle` (of packets, beyond what an empty network takes) where there is a network;
  /// `cache.lookup`, `cache.hit`, `cache.miss`, `cache.line_read`, `cache.line_write` where there
  /// is a cache.
  EventCounts events() const;
  TrafficBytes asked_bytes() const { return asked_; }  ///< by transfers issued so far
  TrafficBytes useful_bytes() const;  ///< what engines asked of DRAM; aligned, so >= asked
  TrafficBytes moved_bytes() const;   ///< whole bursts; >= useful
  std::uint64_t row_hits() const;
  std::uint64_t row_misses() const;

  /// Work moved by a multiple of this meets the same channels, banks and row conflicts.
  std::uint64_t address_period_bytes() const { return address_period_bytes(config_); }
  static std::uint64_t address_period_bytes(const configs::MemoryConfig& config);

  double peak_bytes_per_cycle() const;  ///< of all channels, per accelerator cycle
  /// Accelerator cycles that `bytes` take at peak bandwidth: no transfer is faster.
  Cycles bandwidth_bound(Bytes bytes) const;

  std::uint32_t channel_count() const { return static_cast<std::uint32_t>(channels_.size()); }
  Dram& channel(std::uint32_t index) { return *channels_[index]; }
  const Dma& dma(bool write, std::uint32_t engine = 0) const {
    return *engines_[2 * engine + write];
  }
  const Crossbar* noc() const { return noc_.get(); }
  const Cache* cache(std::uint32_t channel) const {
    return caches_.empty() ? nullptr : caches_[channel].get();
  }
  const DescriptorQueue& descriptors(bool write, std::uint32_t engine = 0) const {
    return *descriptor_queues_.at(2 * engine + write);
  }

 private:
  /// In an engine's descriptor queue, or with segments in flight.
  struct OpenDescriptor {
    std::uint64_t ticket = 0;
    std::uint32_t engine = 0;  ///< index in engines_
    Descriptor descriptor;
    std::uint64_t segments = 0;  ///< to go, once decoded
  };

  void share_channels();
  std::uint64_t queue(Dma& engine, const Transfer& transfer, std::uint64_t ticket);
  void count(const Transfer& transfer);
  template <class Give>
  void divide(const Transfer& transfer, const Give& give);
  void push(std::uint64_t ticket, std::uint32_t engine, Descriptor descriptor);
  void decoded(std::uint64_t id);
  void finished(std::uint64_t id);
  void finished_part(std::uint64_t ticket);
  std::uint64_t sum(const std::function<std::uint64_t(const DramCounts&)>& part) const;

  configs::MemoryConfig config_;
  double accelerator_clock_mhz_;
  Sharing sharing_;
  ChannelInterleave interleave_;
  DramAlarm alarm_;
  std::vector<std::unique_ptr<Dram>> channels_;
  std::vector<Dram*> leaders_;                  ///< one of each group of channels that share
  std::vector<std::unique_ptr<Dma>> engines_;   ///< read, write, read, write, ...
  std::unique_ptr<Crossbar> noc_;               ///< or none
  std::vector<std::unique_ptr<Cache>> caches_;  ///< a channel each, or none
  std::vector<std::unique_ptr<DescriptorQueue>> descriptor_queues_;  ///< as engines_, or none
  std::unordered_map<std::uint64_t, OpenDescriptor> open_descriptors_;
  std::uint64_t next_descriptor_ = 0;
  std::uint64_t descriptors_issued_ = 0, gather_entries_issued_ = 0;
  std::uint32_t next_engine_ = 0;  ///< takes the next short transfer
  TrafficBytes asked_;
  /// ticket -> segments (where there are descriptors: these) to go
  std::unordered_map<std::uint64_t, std::uint64_t> open_;
  /// The one that finished a segment last: most often the next to finish one. Null when closed.
  std::pair<const std::uint64_t, std::uint64_t>* latest_ = nullptr;
  std::uint64_t next_ticket_ = 0;
  sc_core::sc_event ticket_done_;
};

}  // namespace systole::memory
