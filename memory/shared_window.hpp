// The controller with one window of reads and one queue of writes, after Ramulator 2.1.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "memory/dram_controller.hpp"

namespace systole::memory {

/// Command by command, in time order:
///   * Bursts enter the read window or the write queue in order of admission while there is room,
///     the clock after one has left. A burst leaves with its activate (`release: column`: with its
///     column command). Reads do not wait behind a full write queue, nor writes behind reads.
///   * One direction is served at a time. To writes when no read waits or their queue is fuller
///     than `write_high`; back to reads when one waits and the write queue is emptier than
///     `write_low`; at the latest after `write_turn` or `read_turn` queuefuls, and then for at
///     least one queueful of the other direction: neither starves.
///   * Of all waiting bursts the one whose next command (precharge, activate or column) can go
///     earliest; ties to the oldest. A burst whose activate is done goes before all others, and its
///     row stays open for it. A row is not closed while an older burst needs it. In one bank at
///     most `row_hit_cap` bursts pass an older one that needs another row.
///   * The command bus takes one command at a time, or one row and one column command
///     (`row_bus`).
///   * Refresh: when it is due, only bursts whose activate is done go on; then the open banks
///     precharge together and refresh. It takes place in idle time as well.
/// Approximations: no forwarding from the write queue and no merging of writes; data arrives in one
/// piece with a segment's last burst.
///
/// A steady stream of row hits is issued several bursts at a time; this never changes a result.
class SharedWindow : public DramController {
 public:
  SharedWindow(const configs::DramConfig& config, bool bulk);

  bool admit(const Segment& segment, Clock now);
  void advance(Clock limit) { advance(limit, false); }
  Clock advance_to_acceptance(Clock limit) {
    advance(limit, true);
    return limit_;
  }
  Clock next_event() const;
  std::uint32_t queued(bool write) const { return queued_[write]; }
  bool full(bool write) const {
    return queued_[write] >= queue_size_[write] || intake_.waits(write ? kWrite : kRead);
  }
  bool equivalent(const SharedWindow& other, Clock now) const;
  void record_to(DramRecorder* recorder) { device_.record_to(recorder); }
  void restart(Clock first_refresh);
  /// All that decides what it does from now on, and the counts beside it.
  void describe(StateReader& state) const;
  /// As if everything so far had happened `shift` later and elsewhere, and `more` besides.
  void repeat(const StateShift& shift, const DramCounts& more);

 private:
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor& v);
  static constexpr std::int32_t kNone = -1;
  static constexpr std::uint64_t kFirstAge = std::uint64_t{1} << 40;  ///< priorities subtract
  static constexpr std::uint32_t kBankBits = 6;                       ///< kMaxBanks is 64

  /// Consecutive bursts of one segment in one row, entered and not issued.
  struct Run {
    std::uint64_t age = 0;  ///< order of entry, less what its class has ahead of others
    Clock arrived = 0;      ///< the first burst entered
    std::uint32_t row = 0;
    std::uint32_t bursts = 0;
    std::uint32_t segment = 0;
    std::int32_t next = kNone;  ///< next younger of the same bank and direction
  };
  /// The burst for which a row was opened.
  struct Owner {
    std::uint64_t age = 0;
    std::uint32_t segment = 0;
    std::uint8_t direction = kRead;
  };
  struct Bank {
    std::array<std::int32_t, 2> head{kNone, kNone}, tail{kNone, kNone};
    std::int32_t hit = kNone;    ///< the run to serve next in the current direction
    std::uint32_t passed = 0;    ///< bursts that passed the oldest one
    std::uint32_t accesses = 0;  ///< since the activate
    Owner owner;
  };
  enum class Kind : std::uint8_t { none, owner, page_close, refresh, column, row };
  struct Choice {
    Clock time = kNever;
    Kind kind = Kind::none;
    std::uint32_t bank = 0;
  };
  struct ColumnChoice {
    Clock time = kNever;
    std::uint32_t bank = 0;
  };
  /// What `advance` would do next; valid until something changes.
  struct Plan {
    Choice next;
    ColumnChoice column;
    Choice row;
    bool valid = false;
  };

  std::uint64_t bit(std::uint32_t bank) const { return std::uint64_t{1} << bank; }
  Clock aligned(Clock time) const {
    return align_ == 1 ? time : (time + align_ - 1) / align_ * align_;
  }
  Clock row_bus() const { return std::max(now_, bus_free_[row_bus_]); }
  Clock column_bus() const { return std::max(now_, bus_free_[0]); }

  void advance(Clock limit, bool to_acceptance);
  void enter(std::uint32_t direction, std::uint64_t room, Clock first, Clock spacing);
  void append_run(std::uint32_t direction, std::uint32_t slot, Clock now);
  std::int32_t new_run();
  void take(std::uint32_t bank, std::int32_t run, std::uint32_t direction, std::uint32_t bursts);
  void left(std::uint32_t direction, std::uint32_t bursts, Clock first, Clock spacing);
  void update_candidate(std::uint32_t bank);
  void update_all();

  bool turn_is_over() const;
  bool direction_flips() const;
  std::uint64_t turn_left() const;
  void choose_direction();

  void make_plan(Clock limit);
  Choice best_owner() const;
  Choice best_row() const;
  Choice best_page_close() const;
  Choice next_refresh() const;
  void find_column();  ///< plan_.column
  bool row_before(const Choice& row, const ColumnChoice& column) const;

  void issue(const Choice& choice);
  void issue_row(std::uint32_t bank, Clock at);
  void issue_owner(std::uint32_t bank, Clock at);
  void issue_hit(std::uint32_t bank, Clock at);
  Clock start_data_clock(std::uint32_t direction, Clock at);
  void access(std::uint32_t bank, std::uint32_t direction, Clock at);
  void close_page(std::uint32_t bank, Clock at);
  bool issue_bulk(const ColumnChoice& choice, Clock end);
  std::uint64_t hits_ahead(std::uint64_t wanted) const;
  bool second_activate(Clock next, Clock limit);
  void occupy(std::uint32_t bus, Clock at, Clock slots) { bus_free_[bus] = at + slots; }

  bool refresh_due(Clock at) const;
  void begin_refresh();
  void issue_refresh(Clock at);
  std::uint64_t refresh_banks() const;
  void pass_idle_time(Clock limit);

  Clock leave_bound(std::uint64_t bursts) const;
  Clock column_bound(std::uint32_t direction, std::uint64_t columns) const;

  bool bulk_, release_at_activate_;
  std::uint32_t row_bus_;  ///< index into bus_free_ of row commands
  Clock align_;
  std::array<std::uint32_t, 2> queue_size_;
  std::uint32_t write_high_, write_low_;       ///< writes begin at, reads again at or below
  std::array<std::uint64_t, 2> longest_turn_;  ///< in bursts; 0: any
  std::uint32_t page_limit_;                   ///< accesses until a row closes; kNoLimit: any
  bool prioritised_;                           ///< ages are not the order of entry
  static constexpr std::uint32_t kNoLimit = 0xffffffffu;

  std::vector<Bank> banks_;
  std::vector<Run> runs_;
  std::vector<std::int32_t> free_runs_;
  std::array<std::uint32_t, 2> queued_{};
  std::array<std::int32_t, 2> growing_{kNone, kNone};  ///< run that the next burst may extend
  std::array<std::uint64_t, 2> growing_end_{};         ///< first burst beyond its lump
  std::uint64_t next_age_ = kFirstAge;

  std::uint64_t hit_mask_ = 0;    ///< banks with a hit in the current direction
  std::uint64_t row_mask_ = 0;    ///< banks whose oldest burst needs a row command
  std::uint64_t owner_mask_ = 0;  ///< banks activated for a burst that has not gone
  std::uint64_t close_mask_ = 0;  ///< banks that the page policy closes
  /// What the scans of every step read, side by side; written by update_candidate.
  struct Candidates {
    std::array<std::uint64_t, DramDevice::kMaxBanks> hit_age, head_age;
    std::array<Clock, DramDevice::kMaxBanks> column_gate;  ///< the bank's own, current direction
    std::array<Clock, DramDevice::kMaxBanks> row_gate;     ///< of its next row command
    std::array<std::uint8_t, DramDevice::kMaxBanks> group;
  } candidates_{};

  std::uint32_t direction_ = kRead;
  std::uint64_t turn_ = 0;  ///< bursts that left while the other direction waited
  /// Bursts that left past waiting ones of the other direction, since one of those left.
  std::array<std::uint64_t, 2> passed_over_{};
  bool cut_short_ = false;  ///< this direction took over from one that had more to do

  std::array<Clock, 2> bus_free_{};
  std::int32_t activating_ = kNone;  ///< bank between ACT-1 and ACT-2
  Clock second_activate_from_ = 0, second_activate_by_ = 0;
  Clock data_clock_stops_ = 0;

  Clock refresh_due_ = 0;
  std::uint64_t refreshing_ = 0;    ///< units, or one bank, that wait for refresh
  std::uint32_t refresh_next_ = 0;  ///< of the round of banks

  Plan plan_;
  Choice row_choice_;  ///< what best_row() said last; stands while `row_choice_known_`
  bool row_choice_known_ = false;
  Clock now_ = 0;    ///< of the last command or admission
  Clock limit_ = 0;  ///< all commands before it are decided
};

}  // namespace systole::memory
