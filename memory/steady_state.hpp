// Steady state of a DRAM channel: what it remembers, told relative to the present, so that a stream
// that repeats itself is simulated until the channel has come back to where it was, and no further.
#pragma once

#include <cstdint>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "memory/dram_device.hpp"

namespace systole::memory {

/// Where a channel stands: two states that read alike behave alike, moved in time and address.
struct StateOrigin {
  Clock now = 0;            ///< all commands before it are decided
  std::uint64_t burst = 0;  ///< of the request that comes next
  std::uint32_t row = 0;    ///< of that burst
};

/// Visits the fields of a channel's state and writes them down relative to an origin. Its twin is
/// StateShift: a class names its fields once, to both.
class StateReader {
 public:
  explicit StateReader(const StateOrigin& origin) : origin_(origin) {}

  /// A clock before which something may not happen: of the past it has no effect.
  void gate(Clock time) { write(time == kNever ? kNever : time - std::min(time, origin_.now)); }
  /// A clock that counts, even of the past.
  void moment(Clock time) { write(time == kNever ? kNever : time - origin_.now); }
  void burst(std::uint64_t burst) { write(burst - origin_.burst); }
  void row(std::uint32_t row) { write(row - origin_.row); }
  /// Anything that is the same wherever and whenever.
  void value(std::uint64_t value) { write(value); }

  const std::vector<std::uint64_t>& words() const { return words_; }

 private:
  void write(std::uint64_t word) { words_.push_back(word); }
  StateOrigin origin_;
  std::vector<std::uint64_t> words_;
};

/// Moves the visited fields in time and address. Every field must be visited once.
class StateShift {
 public:
  StateShift(Clock clocks, std::uint64_t bursts, std::uint32_t rows)
      : clocks_(clocks), bursts_(bursts), rows_(rows) {}

  void gate(Clock& time) const { moment(time); }
  void moment(Clock& time) const {
    if (time != kNever) time += clocks_;
  }
  void burst(std::uint64_t& burst) const { burst += bursts_; }
  void row(std::uint32_t& row) const { row += rows_; }
  void value(std::uint64_t) const {}

 private:
  Clock clocks_;
  std::uint64_t bursts_;
  std::uint32_t rows_;
};

/// The states a stream has passed, and where.
class PassedStates {
 public:
  /// How often a channel may be looked at before the search for a period is given up: bounds
  /// memory (some 2 KiB a state) and the time lost on streams without one.
  static constexpr std::size_t kMost = 4096;

  /// The number of the earlier state that reads alike, or -1: then this one is kept under the next
  /// number (0, 1, ...).
  std::int64_t find_or_keep(const std::vector<std::uint64_t>& words);
  bool given_up() const { return states_.size() >= kMost; }

 private:
  std::vector<std::vector<std::uint64_t>> states_;
  std::unordered_multimap<std::uint64_t, std::size_t> by_hash_;
};

}  // namespace systole::memory
