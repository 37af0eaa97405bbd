// One DRAM channel with its controller, in plain C++: banks, rows, queues, refresh. Knows neither
// SystemC nor time units: it counts memory clocks and events.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <vector>

#include "configs/dram.hpp"
#include "memory/address_map.hpp"
#include "sim/core/traffic.hpp"

namespace systole::memory {

/// A point in time in memory clocks since the channel's (re)start.
using Clock = std::uint64_t;
inline constexpr Clock kNever = std::numeric_limits<Clock>::max();

/// A contiguous request to one channel; channel-local byte address.
struct Segment {
  std::uint64_t id = 0;  ///< the caller's, handed back in events
  TrafficClass traffic = TrafficClass::weights;
  bool write = false;
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;  ///< > 0; moved in whole bursts
  friend bool operator==(const Segment&, const Segment&) = default;
};

/// What the channel tells its owner.
struct SegmentEvent {
  enum class Kind : std::uint8_t {
    accepted,   ///< the last burst has entered its queue: the next segment may be offered
    completed,  ///< the last beat of the last burst has been transferred
  };
  Clock time = 0;
  Kind kind = Kind::completed;
  std::uint64_t id = 0;
  friend bool operator==(const SegmentEvent&, const SegmentEvent&) = default;
};

/// Integer counts since construction; they only grow.
struct DramCounts {
  std::uint64_t activates = 0;
  std::uint64_t read_bursts = 0;
  std::uint64_t write_bursts = 0;
  std::uint64_t refreshes = 0;
  std::uint64_t row_hits = 0;  ///< bursts that found their row open
  std::uint64_t row_misses =
      0;  ///< bursts that were the first after an activate; hits + misses = bursts
  /// Bytes of completed segments: what was asked for, and what the bus moved (whole bursts).
  std::array<std::uint64_t, kTrafficClassCount> useful_read{}, useful_written{};
  std::array<std::uint64_t, kTrafficClassCount> moved_read{}, moved_written{};
  DramCounts& operator+=(const DramCounts& other);
  DramCounts& operator-=(const DramCounts& other);
  friend bool operator==(const DramCounts&, const DramCounts&) = default;
};

/// The channel engine.
///
/// Definition, command by command, in time order (row commands before column commands of the same
/// clock):
///   * Bursts enter the read or the write queue in order of admission, while the queue has room; a
///   burst leaves its
///     queue at its column command. Reads do not wait behind a full write queue, nor writes behind
///     a full read queue.
///   * One direction is served at a time. To writes when no read waits or their queue reaches 0.8
///   of its
///     size; back to reads when one waits and the write queue is at 0.2 or below, or at the latest
///     after `kWriteTurnQueues` queuefuls, and then for at least one queueful of reads: neither
///     starves.
///   * Column: of all waiting bursts whose row is open, the one that can go earliest; ties to the
///   oldest. In one bank
///     at most `kRowHitCap` bursts pass an older burst that needs another row.
///   * A bank with waiting bursts and no hit precharges (open) and activates the row of its oldest
///   burst, each as
///     early as its gates allow; competing activates: the earliest, ties to the oldest.
///   * Gates: tRCD tRP tRAS tRC tCCD_S/L tRRD_S/L tFAW tRTP tWR tWTR_S/L and read-to-write, per
///   bank, bank group,
///     channel. Write-to-read counts from the end of the data (CWL + burst + WTR), likewise write
///     recovery.
///   * Refresh, all banks: when tREFI has passed no other command starts; open banks precharge as
///   soon as they may,
///     then tRP, then tRFC. It takes place in idle time as well.
/// Approximations: no command-bus conflicts (optimistic: up to 3 % on DDR4, more where an activate
/// takes several slots, as on HBM with random accesses); no power-down; data arrives in one piece
/// with a segment's last burst.
///
/// A steady stream of row hits is issued several bursts at a time; this never changes a result
/// (`Bulk::off` exists for the test that says so).
class DramChannel {
 public:
  enum class Bulk : std::uint8_t { on, off };
  static constexpr std::uint32_t kRowHitCap =
      16;  ///< assumed; 4 and unlimited differ by 0.1 % on average

  /// Writes that never run low hand over to waiting reads after so many queuefuls. Assumed; long
  /// enough that streams keep their row hits, short enough (256 bursts on DDR4) that a read never
  /// waits for a whole transfer.
  static constexpr std::uint32_t kWriteTurnQueues = 8;

  /// Errors: ConfigError for timing or geometry no device can have.
  explicit DramChannel(const configs::DramConfig& config, Bulk bulk = Bulk::on);

  /// Offers a segment at clock `now` (>= every earlier `now`). Bursts that find no room wait in
  /// order and enter as room appears. Returns true when all of them entered at once; otherwise an
  /// `accepted` event will follow. A well-behaved owner offers the next segment of the same port
  /// only after acceptance.
  bool admit(const Segment& segment, Clock now);

  /// Decides all commands of clocks < `now`. How the calls divide time never changes a result.
  void advance(Clock now);

  /// The next event with time <= `now` in order of (time, kind, admission), or none. Call after
  /// `advance(now)`.
  std::optional<SegmentEvent> pop(Clock now);

  /// A lower bound of the next event's time, exact once the deciding command is taken; kNever when
  /// idle. Advance to it, pop, ask again: no event is ever seen late.
  Clock next_event() const;

  bool idle() const { return active_segments_ == 0 && events_.empty(); }
  std::uint32_t queued(bool write) const { return queued_[write]; }
  const DramCounts& counts() const { return counts_; }
  const AddressMap& map() const { return map_; }

  /// Whether this channel and `other`, of the same device, will answer alike from `now` on. Both
  /// must be idle and have been advanced to `now`.
  bool equivalent(const DramChannel& other, Clock now) const;

  /// Closed-form idle latency of one read burst on a closed bank: RCD + CL + burst, in clocks.
  Clock idle_read_latency() const { return t_.rcd_read + t_.cl + t_.burst_clocks; }

  /// Forgets all rows and spacings and restarts the clock at 0, in the middle of a refresh
  /// interval: equal work after it takes equal time. Requires idle(). Counts stay. Approximation: a
  /// region of L clocks sees round(L / tREFI) refreshes instead of L / tREFI on average, so it errs
  /// by at most half a refresh either way and not at all on average over lengths; rows that the
  /// next region could have found open are lost (pessimistic, at most tRP + tRCD once a bank).
  void restart();

 private:
  enum : std::uint32_t { kRead = 0, kWrite = 1 };
  static constexpr std::int32_t kNone = -1;
  static constexpr std::size_t kMaxBanks = 64;  ///< bits of a mask
  static constexpr std::uint64_t kNoHit = std::numeric_limits<std::uint64_t>::max();

  struct SegmentState {
    Segment request;
    std::uint64_t next_burst = 0, end_burst = 0;  ///< not yet entered: [next, end)
    std::uint64_t moved_bursts = 0;
    std::uint64_t unissued = 0;
    bool announce = false;  ///< acceptance is still to be told
    bool live = false;
  };
  /// Consecutive bursts of one segment in one row, entered and not issued.
  struct Run {
    std::uint64_t age = 0;  ///< order of entry
    std::uint32_t row = 0;
    std::uint32_t bursts = 0;
    std::uint32_t segment = 0;
    std::int32_t next = kNone;  ///< next younger of the same bank and direction
  };
  struct Bank {
    Clock act_ready = 0, pre_ready = 0;
    std::array<Clock, 2> column_ready{};
    std::uint32_t row = 0;
    std::uint32_t passed = 0;  ///< bursts that passed the oldest one
    std::int32_t hit = kNone;  ///< the run to serve next in the current direction
    std::uint32_t group = 0;
    bool open = false;
    bool fresh = false;  ///< activated, no column command yet
    std::array<std::int32_t, 2> head{kNone, kNone}, tail{kNone, kNone};
  };
  struct Group {
    Clock act_ready = 0;
    std::array<Clock, 2> column_ready{};
  };
  struct RowCommand {
    Clock time = kNever;
    std::uint32_t bank = 0;
  };
  struct ColumnChoice {  // two registers wide: it is made for every command
    Clock time = kNever;
    std::uint8_t bank = 0;
    std::uint8_t oldest = 0;     ///< bank of the oldest hit
    std::int8_t second = kNone;  ///< bank of the oldest hit outside the oldest one's group
  };

  void enter(std::uint32_t direction, std::uint64_t room, Clock now);
  std::uint64_t hits_ahead(std::uint64_t wanted) const;
  void append_run(std::uint32_t direction, std::uint32_t segment);
  void update_candidate(std::uint32_t bank);
  void choose_direction();
  RowCommand next_row_command() const;
  ColumnChoice next_column() const;
  void set_hit(std::uint32_t bank, std::uint64_t hit);
  Clock column_time(std::uint32_t bank) const;
  void issue_row(const RowCommand& command);
  void issue_column(std::uint32_t bank, Clock time);
  bool issue_bulk(const ColumnChoice& choice, Clock end);
  void take_bursts(std::uint32_t bank, std::uint32_t bursts, Clock last);
  void refresh();
  void refresh_idle(Clock end);
  void push_event(const SegmentEvent& event);
  std::int32_t new_run();
  Clock column_bound(std::uint32_t direction, std::uint64_t columns) const;
  bool direction_flips() const;
  std::uint64_t turn_left() const;
  std::uint64_t longest_write_turn() const {
    return kWriteTurnQueues * std::uint64_t{t_.write_queue};
  }

  configs::DramConfig t_;
  AddressMap map_;
  bool bulk_;
  std::uint32_t write_high_, write_low_;
  std::array<std::uint32_t, 2> queue_size_;
  std::array<Clock, 2> data_end_;  ///< column command to the end of its data
  Clock write_to_precharge_, write_to_read_short_, write_to_read_long_;

  std::vector<Bank> banks_;
  std::vector<Group> groups_;
  std::array<Clock, 2> column_ready_{};
  Clock act_ready_ = 0;
  std::array<Clock, 4>
      window_gates_{};  ///< ring: the last four activates + tFAW, oldest at `window_slot_`
  std::uint32_t window_slot_ = 0;
  Clock refresh_due_ = 0;

  std::uint32_t direction_ = kRead;
  std::uint64_t turn_ = 0;      ///< bursts since the direction changed
  bool cut_short_ = false;      ///< reads took over from writes that had more to do
  std::uint64_t hit_mask_ = 0;  ///< banks whose next command is a column command
  std::uint64_t row_mask_ = 0;  ///< banks whose next command is a row command
  /// What the two scans of every step read, side by side; written by update_candidate.
  struct Candidates {
    std::array<std::uint64_t, kMaxBanks>
        hit;  ///< age of the hit run x 64 + bank: the oldest is the least; kNoHit for none
    std::array<std::uint64_t, kMaxBanks> group_hit;  ///< the least of a group's banks
    std::array<std::uint64_t, kMaxBanks> head_age;
    std::array<Clock, kMaxBanks> column_gate;  ///< of the current direction
    std::array<Clock, kMaxBanks> row_gate;     ///< the bank's own, of its next row command
    std::array<std::uint8_t, kMaxBanks> group;
    std::uint64_t open;
  } candidates_{};
  std::array<std::uint32_t, 2> queued_{};
  std::array<std::deque<std::uint32_t>, 2> intake_;  ///< segments with bursts that have not entered
  std::array<std::int32_t, 2> growing_{kNone, kNone};  ///< run that the next burst may extend
  std::array<std::uint64_t, 2> growing_end_{};         ///< first burst beyond its lump
  std::vector<SegmentState> segments_;
  std::vector<std::uint32_t> free_segments_;
  std::vector<Run> runs_;
  std::vector<std::int32_t> free_runs_;
  std::uint64_t next_age_ = 0;
  std::uint64_t active_segments_ = 0;

  /// The next commands as `advance` left them, until something changes.
  struct Planned {
    RowCommand row;
    ColumnChoice column;
    bool valid = false;
  } planned_;
  Clock now_ = 0;                     ///< of the last command or admission
  Clock limit_ = 0;                   ///< all commands before it are decided
  std::vector<SegmentEvent> events_;  ///< decided, not popped; latest first
  DramCounts counts_;
};

}  // namespace systole::memory
