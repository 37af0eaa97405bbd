// The controller in which every bank picks its own request, after DRAMSys.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "memory/dram_controller.hpp"

namespace systole::memory {

/// Each bank wants the command of one request: the oldest that hits its open row, else its oldest.
/// After an activate it keeps that request, or takes an older one of the row. Of the wanted
/// commands the one that ends earliest goes, ties to the oldest request; with a row bus of its own
/// the best row and the best column command may go in the same clock.
///   * `buffer: direction` (DRAMSys' GrpFrFcfsWm): reads and writes are counted apart; nothing
///     enters while either buffer is full; one direction is served at a time, with `write_high` and
///     `write_low`.
///   * `buffer: bank` (its FrFcfs with bankwise buffers): `read_queue` requests of either direction
///     a bank; nothing enters while the bank that the last request went to is full. Reads and
///     writes are served as they come.
/// A request leaves its buffer with its column command; another enters in the same clock and is
/// accepted the clock after.
///   * One request enters a clock.
///   * Refresh, rank by rank, staggered: when it is due no request of the rank goes on; its banks
///     precharge together and refresh.
/// Approximations: no bound on how long a stream of hits passes a request of its bank; no
/// refresh of single banks.
class BankMachines : public DramController {
 public:
  /// Errors: ConfigError for a refresh of single banks or an adaptive page.
  explicit BankMachines(const configs::DramConfig& config);

  bool admit(const Segment& segment, Clock now);
  void advance(Clock limit) { advance(limit, false); }
  Clock advance_to_acceptance(Clock limit) {
    advance(limit, true);
    return clock_;
  }
  Clock next_event() const;
  std::uint32_t queued(bool write) const { return waiting_[write]; }
  bool full(bool) const { return !has_room() || intake_.waits(kRead) || intake_.waits(kWrite); }
  bool equivalent(const BankMachines& other, Clock now) const;
  void record_to(DramRecorder* recorder) { device_.record_to(recorder); }
  void restart(Clock first_refresh);

 private:
  struct Request {
    std::uint64_t id = 0;  ///< order of entry, from 1
    std::uint32_t row = 0, segment = 0;
    std::uint8_t direction = kRead;
  };
  enum class Kind : std::uint8_t { none, activate, precharge, column, refresh };
  struct Bank {
    std::array<std::vector<Request>, 2> line;  ///< of one direction; [0] of both (`buffer: bank`)
    Request current;
    Kind want = Kind::none;
    bool keep = false;   ///< activated for `current`, which has not gone
    bool fresh = false;  ///< activated, no column command yet
  };
  struct Candidate {
    Clock time = kNever, end = kNever;
    std::uint64_t id = 0;
    Kind kind = Kind::none;
    std::uint32_t index = 0;  ///< bank, or unit of a refresh
  };

  void advance(Clock limit, bool to_acceptance);
  bool has_room() const;
  bool enterable() const;
  void enter(Clock now, Clock accepted);
  void choose_direction();
  const Request* oldest(const Bank& bank, std::uint32_t b) const;
  void update(std::uint32_t bank);
  Candidate candidate(std::uint32_t bank, Clock from) const;
  Candidate refresh_candidate(std::uint32_t unit, Clock from) const;
  bool choose(Clock at, Candidate& best, Clock& next) const;
  void issue(const Candidate& candidate);
  void issue_column(std::uint32_t bank, Clock at);
  void begin_refreshes(Clock at);
  void skip_idle_time(Clock limit);

  bool row_bus_, bankwise_, closed_;
  std::array<std::uint32_t, 2> queue_size_;
  std::uint32_t write_high_, write_low_;

  std::vector<Bank> banks_;
  std::uint64_t busy_ = 0;  ///< banks that want a command
  std::array<std::uint32_t, 2> waiting_{};
  std::uint32_t last_bank_ = 0;  ///< that a request entered
  std::uint32_t direction_ = kRead;
  std::uint64_t next_id_ = 1;
  std::array<Clock, 2> bus_free_{};
  std::vector<Clock> refresh_due_;  ///< of each unit
  std::uint64_t refreshing_ = 0;    ///< units
  Clock next_entry_ = 0;            ///< no request enters before
  Clock clock_ = 0;                 ///< all clocks before are decided
};

}  // namespace systole::memory
