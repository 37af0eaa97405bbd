// When each part of the machine did what: recorded by the timed machine where asked for, rendered
// by reports. Times are picoseconds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/cycle_cause.hpp"

namespace systole {

enum class TimelineTrack : std::uint8_t {
  load_stationary,
  load_moving,
  store,
  array,
  dequantiser,
  vector,
  softmax,  ///< the vector unit beside the array
};
inline constexpr std::size_t kTimelineTrackCount = 7;
inline constexpr std::array<std::string_view, kTimelineTrackCount> kTimelineTrackNames = {
    "DMA read: weights and cache",
    "DMA read: activations",
    "DMA write",
    "array",
    "dequantiser",
    "vector unit",
    "vector unit beside the array"};

/// What is held or queued, as counted by changes.
enum class TimelineLevel : std::uint8_t { weight_buffers, activation_buffers, unfinished_pieces };
inline constexpr std::size_t kTimelineLevelCount = 3;

struct TimelineSlice {
  std::uint64_t begin_ps = 0, end_ps = 0;  ///< from the region's start
  std::uint64_t bytes = 0;                 ///< moved from or to DRAM
  std::uint32_t operation = 0;             ///< index in the region
  TimelineTrack track = TimelineTrack::array;

  friend bool operator==(const TimelineSlice&, const TimelineSlice&) = default;
};

struct TimelineChange {
  std::uint64_t time_ps = 0;
  std::int32_t by = 0;
  TimelineLevel level = TimelineLevel::weight_buffers;
};

/// One region of work as it was simulated.
struct TimelineRegion {
  struct Operation {
    std::string name;
    std::uint64_t cycles = 0;
    CyclesByCause cycles_by_cause{};
    std::uint64_t macs = 0, dram_bytes = 0;
  };
  std::vector<Operation> operations;  ///< one after the other, the first from 0
  std::vector<TimelineSlice> slices;  ///< on each track in order of time
  std::vector<TimelineChange> changes;

  std::uint64_t cycles() const {
    std::uint64_t sum = 0;
    for (const Operation& operation : operations) sum += operation.cycles;
    return sum;
  }
};

struct Timeline {
  /// A region's place in the program. All but its first are repeated: equal, not simulated again.
  struct Instance {
    std::uint32_t region = 0;
    std::uint32_t step = 0;
    std::uint64_t layer = 0;
    std::uint64_t begin_cycles = 0;
    bool repeated = false;
  };

  std::string title;
  double clock_mhz = 0;
  std::vector<TimelineRegion> regions;
  std::vector<Instance> instances;  ///< in order of time, without gaps
  bool truncated = false;           ///< slices beyond most_slices were not recorded

  /// Of all regions: 300 MB.
  std::size_t most_slices = 8'000'000;
};

}  // namespace systole
