// Memories beside the accelerator's DRAM, each with its DMA engines and perhaps a link, and the one
// address space that they divide with it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>
#include "sim/kernel/systemc.hpp"

#include "configs/machine.hpp"
#include "memory/dma.hpp"
#include "memory/dram.hpp"
#include "memory/memory_system.hpp"
#include "memory/tier_cells.hpp"
#include "memory/tier_link.hpp"
#include "memory/transfer.hpp"
#include "sim/core/event_counts.hpp"

namespace systole::memory {

/// The address space: 16 TiB a tier; the first is the accelerator's DRAM. Inside a tier an address
/// is the one that the program gives the byte, so that a byte meets the bank and row that its
/// address names in whatever tier: frames are taken to be handed out by colour.
inline constexpr std::uint32_t kTierShift = 44;
inline constexpr std::uint32_t kMostTiers = 8;
constexpr std::uint32_t tier_of(std::uint64_t address) {
  return static_cast<std::uint32_t>(address >> kTierShift);
}
constexpr std::uint64_t in_tier(std::uint32_t tier, std::uint64_t address) {
  return (std::uint64_t{tier} << kTierShift) | address;
}
constexpr std::uint64_t without_tier(std::uint64_t address) {
  return address & ((std::uint64_t{1} << kTierShift) - 1);
}

/// Components of the machine are called so, and their events `<component>.read_byte`, ...
std::string tier_component(const std::string& tier);

/// One memory with a read and a write DMA engine: cells, or channels of DRAM; directly attached, or
/// behind a link.
class Tier : public sc_core::sc_module {
 public:
  Tier(const sc_core::sc_module_name& name, const configs::TierOfMachine& config,
       const configs::DmaConfig& dma);
  ~Tier() override;

  /// Queues a transfer (tier-local address, bytes > 0); what is queued moves from `start` on.
  void queue(const Transfer& transfer, std::uint64_t ticket);
  void start();
  bool done(std::uint64_t ticket) const { return !open_.contains(ticket); }
  using sc_core::sc_module::wait;
  /// Blocks the SC_THREAD until everything of the ticket has moved; value of the time when it had.
  std::uint64_t wait(std::uint64_t ticket);

  bool idle() const;
  void quiesce();

  /// Events up to the present. Cells: read_byte, write_byte, of whole accesses. DRAM: activate,
  /// read_bit, write_bit, refresh, bank_refresh, power_down_clock. Link: link_down_bit,
  /// link_up_bit.
  void add_events(EventCounts& counts) const;
  TrafficBytes useful_bytes() const;
  /// Work moved by a multiple of this meets the same banks.
  std::uint64_t address_period_bytes() const;
  const configs::TierConfig& config() const { return config_; }

 private:
  void finished(std::uint64_t ticket);
  void share_channels();

  configs::TierConfig config_;
  std::string component_;
  ChannelInterleave interleave_;
  std::unique_ptr<TierCells> cells_;
  std::unique_ptr<DramAlarm> alarm_;
  std::vector<std::unique_ptr<Dram>> channels_;
  std::unique_ptr<TierLink> link_;
  std::array<std::unique_ptr<Dma>, 2> engines_;
  std::array<bool, 2> queued_{};
  std::unordered_map<std::uint64_t, std::uint64_t> open_;      ///< ticket -> segments to go
  std::unordered_map<std::uint64_t, std::uint64_t> ended_at_;  ///< until somebody has waited
  sc_core::sc_event ticket_done_;
};

/// All tiers of a machine beside its DRAM, in front of which it stands: transfers go to whom their
/// address names.
class Tiers : public sc_core::sc_module {
 public:
  Tiers(const sc_core::sc_module_name& name, const configs::MemoryConfig& config,
        MemorySystem& dram);

  /// Moves all transfers; returns, when the last byte has moved, the tier whose last byte came last
  /// (of several at one time the first).
  std::uint32_t transfer(std::span<const Transfer> transfers);

  bool idle() const;
  void quiesce();
  EventCounts events() const;
  std::uint64_t address_period_bytes() const;
  std::uint32_t count() const { return static_cast<std::uint32_t>(tiers_.size()); }
  const Tier& tier(std::uint32_t number) const { return *tiers_.at(number - 1); }

 private:
  MemorySystem& dram_;
  std::vector<std::unique_ptr<Tier>> tiers_;  ///< of numbers 1, 2, ...
  std::uint64_t next_ticket_ = 0;
};

}  // namespace systole::memory
