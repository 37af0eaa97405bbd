// One DRAM channel with its controller, in plain C++: banks, rows, queues, refresh. Knows neither
// SystemC nor time units: it counts memory clocks and events.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "configs/dram.hpp"
#include "memory/address_map.hpp"
#include "memory/bank_machines.hpp"
#include "memory/bank_queues.hpp"
#include "memory/burst_intake.hpp"
#include "memory/dram_device.hpp"
#include "memory/inline_ecc.hpp"
#include "memory/shared_window.hpp"
#include "memory/steady_state.hpp"

namespace systole::memory {

/// The channel engine: the controller that the config names, in front of its device. What takes how
/// long: DramDevice. Who goes next: SharedWindow, BankQueues, BankMachines.
///
/// A pure function of what it is told; copies go on alike.
class DramChannel {
 public:
  /// Whether steady streams are issued several bursts at a time. Never changes a result; `off`
  /// exists for the test that says so.
  enum class Bulk : std::uint8_t { on, off };

  /// Errors: ConfigError for timing, geometry or an address map that no device can have.
  explicit DramChannel(const configs::DramConfig& config, Bulk bulk = Bulk::on);

  /// Offers a segment at clock `now` (>= every earlier `now`). Bursts that find no room wait in
  /// order and enter as room appears. Returns true when all of them entered at once; otherwise an
  /// `accepted` event will follow. A well-behaved owner offers the next segment of the same port
  /// only after acceptance.
  bool admit(const Segment& segment, Clock now);

  /// Decides all commands of clocks < `now`. How the calls divide time never changes a result.
  void advance(Clock now);

  /// The same up to the first acceptance, or to `limit`; returns the clock it has come to.
  Clock advance_to_acceptance(Clock limit);

  /// The next event with time <= `now` in order of (time, kind, admission), or none. Call after
  /// `advance(now)`.
  std::optional<SegmentEvent> pop(Clock now);

  /// A lower bound of the next event's time, exact once the deciding command is taken; kNever when
  /// idle. Advance to it, pop, ask again: no event is ever seen late.
  Clock next_event() const;

  bool idle() const;
  std::uint32_t queued(bool write) const;
  /// Whether the next burst of that direction would have to wait.
  bool full(bool write) const;
  const DramCounts& counts() const;
  const AddressMap& map() const;
  /// Addresses this far apart meet the same banks and rows that differ by a multiple of the hash.
  std::uint64_t period_bytes() const;

  /// Whether this channel and `other`, of the same device, will answer alike from `now` on. Both
  /// must be idle and have been advanced to `now`.
  bool equivalent(const DramChannel& other, Clock now) const;

  /// What decides all that it does from now on, in order, relative to the reader's origin: channels
  /// that read alike answer alike, moved in time and by whole `period_bytes()`. False where the
  /// controller cannot tell (only shared-window can, and not with inline ECC).
  bool describe(StateReader& state) const;
  /// As if everything so far had happened `shift` later and elsewhere, and `more` besides. Where
  /// describe() cannot tell: SYSTOLE_CHECK.
  void repeat(const StateShift& shift, const DramCounts& more);

  /// Closed-form idle latency of one read burst on a closed bank: RCD + CL + burst, in clocks.
  Clock idle_read_latency() const { return idle_read_latency_; }

  /// Forgets all rows and spacings and restarts the clock at 0, in the middle of a refresh
  /// interval: equal work after it takes equal time. Requires idle(). Counts stay. Approximation: a
  /// region of L clocks sees round(L / tREFI) refreshes instead of L / tREFI on average, so it errs
  /// by at most half a refresh either way and not at all on average over lengths; rows that the
  /// next region could have found open are lost (pessimistic, at most tRP + tRCD once a bank).
  void restart() { restart(middle_of_refresh_interval_); }
  /// The same with the first refresh due at a given clock.
  void restart(Clock first_refresh);

  /// As DramDevice::record_to.
  void record_to(DramRecorder* recorder);

 private:
  bool admit_piece(const Segment& segment, Clock now);
  std::optional<SegmentEvent> pop_piece(Clock now);

  std::variant<SharedWindow, BankQueues, BankMachines> controller_;
  std::optional<InlineEcc> inline_ecc_;
  Clock idle_read_latency_;
  Clock middle_of_refresh_interval_;
};

}  // namespace systole::memory
