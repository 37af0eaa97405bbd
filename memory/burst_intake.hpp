// Segments on their way through a channel: what has not entered the queues, what is under way, what
// is done. All policies share it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "memory/dram_device.hpp"
#include "sim/core/traffic.hpp"

namespace systole::memory {

/// A contiguous request to one channel; channel-local byte address.
struct Segment {
  std::uint64_t id = 0;  ///< the caller's, handed back in events
  TrafficClass traffic = TrafficClass::weights;
  bool write = false;
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;        ///< > 0; moved in whole bursts
  std::uint64_t check_bytes = 0;  ///< of these: the memory's own, nobody asked for them
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
  std::uint64_t refreshes = 0;  ///< of whole ranks; one of a bank is its part of one
  std::uint64_t bank_refreshes = 0;
  std::uint64_t row_hits = 0;  ///< bursts that found their row open
  std::uint64_t row_misses =
      0;  ///< bursts that were the first after an activate; hits + misses = bursts
  std::uint64_t power_down_clocks = 0;  ///< of completed stays
  /// Sum over reads, and over writes, of the clocks from a burst's entry to the end of its data.
  /// Exact while the channel is idle: modulo 2^64 it lacks the ends of what is under way.
  std::array<std::uint64_t, 2> latency_clocks{};
  /// Bytes of completed segments: what was asked for, and what the bus moved (whole bursts).
  std::array<std::uint64_t, kTrafficClassCount> useful_read{}, useful_written{};
  std::array<std::uint64_t, kTrafficClassCount> moved_read{}, moved_written{};
  DramCounts& operator+=(const DramCounts& other);
  DramCounts& operator-=(const DramCounts& other);
  /// `times` times as much; sums modulo 2^64 stay such.
  DramCounts& operator*=(std::uint64_t times);
  friend bool operator==(const DramCounts&, const DramCounts&) = default;
};

/// One segment's progress.
struct SegmentState {
  Segment request;
  std::uint64_t next_burst = 0, end_burst = 0;  ///< not yet entered: [next, end)
  std::uint64_t moved_bursts = 0;
  std::uint64_t unissued = 0;
  std::uint64_t order = 0;  ///< of admission, both directions together
  bool announce = false;    ///< acceptance is still to be told
  bool live = false;
};

class BurstIntake {
 public:
  explicit BurstIntake(std::uint32_t burst_bits) : burst_bits_(burst_bits) {}

  /// Lines the segment up behind those of its direction; returns its slot.
  std::uint32_t open(const Segment& segment);
  SegmentState& at(std::uint32_t slot) { return segments_[slot]; }
  const SegmentState& at(std::uint32_t slot) const { return segments_[slot]; }

  /// The slot whose bursts enter next, or none.
  bool waits(std::uint32_t direction) const { return !lines_[direction].empty(); }
  std::uint32_t front(std::uint32_t direction) const { return lines_[direction].front(); }
  /// Its last burst has entered at `now`.
  void leave_line(std::uint32_t direction, Clock now);

  /// `bursts` of the segment have had their column commands; the last one's data ends at `end`.
  void issued(std::uint32_t slot, std::uint32_t direction, std::uint64_t bursts, Clock end);
  void push_event(const SegmentEvent& event);
  /// The next event with time <= `now` in order of (time, kind, admission), or none.
  std::optional<SegmentEvent> pop(Clock now);
  /// Time of the acceptance that has not been popped; kNever: none.
  Clock acceptance() const { return acceptance_; }
  Clock first_event() const { return events_.empty() ? kNever : events_.back().time; }

  /// How many segments ago this one was admitted, itself included.
  std::uint64_t since(std::uint32_t slot) const { return opened_ - segments_[slot].order; }
  bool idle() const { return active_ == 0 && events_.empty(); }
  bool active() const { return active_ != 0; }
  /// Of the live segments of a direction, the fewest bursts that are left to issue; kNever: none.
  std::uint64_t fewest_left(std::uint32_t direction) const;

  /// All but the counts, to a StateReader or a StateShift; segments by order of admission.
  void describe(class StateReader& state) const;
  void shift(const class StateShift& shift);

  DramCounts& counts() { return counts_; }
  const DramCounts& counts() const { return counts_; }

 private:
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor& v);

  std::uint32_t burst_bits_;
  std::vector<SegmentState> segments_;
  std::vector<std::uint32_t> free_;
  std::array<std::deque<std::uint32_t>, 2> lines_;
  std::uint64_t active_ = 0, opened_ = 0;
  Clock acceptance_ = kNever;
  std::vector<SegmentEvent> events_;  ///< decided, not popped; latest first
  DramCounts counts_;
};

}  // namespace systole::memory
