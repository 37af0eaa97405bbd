// The controller with a transaction queue in front of a command queue a bank, after DRAMsim3.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "memory/dram_controller.hpp"

namespace systole::memory {

/// Clock by clock where anything happens, in this order:
///   * A refresh that is due (of one rank after the other, staggered) closes the open banks one by
///     one and refreshes when all of them may; the queues of its rank stand still meanwhile.
///   * Otherwise one command: the banks in turn, beginning after the last one served, each with the
///     first request of its queue whose command is ready. A bank is precharged only for the request
///     at its head, and while requests for the open row wait only after 4 accesses to it
///     (`row_hit_cap` of that simulator). With a row bus of its own, a second command of the other
///     kind goes in the same clock, if the next bank in turn that has one ready has that kind.
///   * One transaction moves to its bank's queue (`bank_queue` entries): the oldest read that finds
///     room, or, while the write buffer drains, the oldest write. It drains whole when it is full,
///     or when all bank queues are empty and more than 8 wait (or no read does: DRAMsim3 keeps the
///     last few for ever).
/// Read and write queue sizes are those of the two transaction queues.
/// Approximations: no forwarding and no merging of writes; no refresh of single banks.
class BankQueues : public DramController {
 public:
  /// Errors: ConfigError for a refresh of single banks.
  explicit BankQueues(const configs::DramConfig& config);

  bool admit(const Segment& segment, Clock now);
  void advance(Clock limit) { advance(limit, false); }
  Clock advance_to_acceptance(Clock limit) {
    advance(limit, true);
    return clock_;
  }
  Clock next_event() const;
  std::uint32_t queued(bool write) const {
    return static_cast<std::uint32_t>(waiting_[write].size());
  }
  bool full(bool write) const {
    return waiting_[write].size() >= queue_size_[write] || intake_.waits(write ? kWrite : kRead);
  }
  bool equivalent(const BankQueues& other, Clock now) const;
  void record_to(DramRecorder* recorder) { device_.record_to(recorder); }
  void restart(Clock first_refresh);

 private:
  static constexpr std::uint32_t kRowHitLimit = 4;  ///< of DRAMsim3
  static constexpr std::size_t kFewWrites = 8;      ///< of DRAMsim3

  struct Request {
    std::uint32_t bank = 0, row = 0, segment = 0;
    std::uint8_t direction = kRead;
  };
  enum class Kind : std::uint8_t { none, activate, precharge, column };
  struct Command {
    Clock time = kNever;
    Kind kind = Kind::none;
    std::uint32_t bank = 0;
    std::size_t position = 0;  ///< in the bank's queue
  };
  /// What a bank could do; times of the bank alone are kept by the device.
  struct Bank {
    std::vector<Request> queue;
    std::array<std::int32_t, 2> hit{-1, -1};  ///< first hit of a direction
    bool may_precharge = false;
    std::uint32_t accesses = 0;  ///< since the activate
  };

  void advance(Clock limit, bool to_acceptance);
  void enter(std::uint32_t direction, Clock now);
  void update(std::uint32_t bank);
  Command command_of(std::uint32_t bank) const;
  Clock earliest_command() const;
  std::optional<Command> next_in_turn(Clock at);
  void issue(const Command& command);
  Clock refresh_step_time() const;
  void refresh_step(Clock at);
  bool movable();
  void move(Clock at);
  void tick(Clock at);
  void skip_idle_time(Clock limit);
  bool closes(const Bank& bank) const;

  bool row_bus_;
  std::array<std::size_t, 2> queue_size_;
  std::size_t bank_queue_;
  std::uint32_t page_limit_;

  std::array<std::deque<Request>, 2> waiting_;
  std::vector<Bank> banks_;
  std::uint64_t busy_ = 0;  ///< banks with commands
  std::uint32_t turn_ = 0;  ///< bank served last
  std::size_t draining_ = 0;
  bool may_move_ = false;  ///< something changed since no transaction could move
  std::size_t mover_ = 0;  ///< position of the one that can
  Clock refresh_due_ = 0;
  std::deque<std::uint32_t> refreshing_;  ///< units, in order
  std::uint32_t next_unit_ = 0;
  Clock wake_at_ = 0;  ///< no command before
  Clock clock_ = 0;    ///< all clocks before are decided
};

}  // namespace systole::memory
