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
#include "sim/core/scratchpads.hpp"

namespace systole {

enum class TimelineTrack : std::uint8_t {
  load_stationary,
  load_moving,
  store,
  array,
  dequantiser,
  vector,
  softmax,   ///< the vector unit beside the array
  prefetch,  ///< of a machine with tiers: weights of the next layer
};
inline constexpr std::size_t kTimelineTrackCount = 8;
inline constexpr std::array<std::string_view, kTimelineTrackCount> kTimelineTrackNames = {
    "DMA read: weights and cache",
    "DMA read: activations",
    "DMA write",
    "array",
    "dequantiser",
    "vector unit",
    "vector unit beside the array",
    "DMA: next layer's weights"};

/// What is held or queued, as counted by changes.
enum class TimelineLevel : std::uint8_t {
  weight_buffers,
  activation_buffers,
  unfinished_pieces,
  weight_bytes,  ///< of the pieces that have come, as in ScratchpadUse
  activation_bytes,
};
inline constexpr std::size_t kTimelineLevelCount = 5;
/// Those of the scratchpads that loads fill, in the order of ScratchpadOf.
inline constexpr std::array<TimelineLevel, 2> kLoadedBytes = {TimelineLevel::weight_bytes,
                                                              TimelineLevel::activation_bytes};

struct TimelineSlice {
  std::uint64_t begin_ps = 0, end_ps = 0;  ///< from the region's start
  std::uint64_t bytes = 0;                 ///< moved from or to DRAM
  std::uint32_t operation = 0;             ///< index in the region
  TimelineTrack track = TimelineTrack::array;
  std::uint8_t tier = 0;  ///< of a transfer: the memory that came last, DRAM or a tier

  friend bool operator==(const TimelineSlice&, const TimelineSlice&) = default;
};

/// What a DRAM bank did, as its controller told it.
enum class DramAct : std::uint8_t {
  row_open,  ///< from the activate to the precharge
  read,      ///< column commands of one direction that follow one another in an open row
  write,
  refresh,
};
inline constexpr std::size_t kDramActCount = 4;
inline constexpr std::array<std::string_view, kDramActCount> kDramActNames = {"row open", "read",
                                                                              "write", "refresh"};
inline constexpr std::size_t kMostDramBanks = 64;  ///< of a channel
struct DramSlice {
  std::uint64_t begin_ps = 0, end_ps = 0;  ///< from the region's start
  std::uint64_t bytes = 0;                 ///< of reads and writes
  std::uint32_t bank = 0;
  DramAct act = DramAct::row_open;
  std::uint32_t pieces = 1;   ///< joined
  std::uint64_t gaps_ps = 0;  ///< between them

  friend bool operator==(const DramSlice&, const DramSlice&) = default;
};

struct TimelineChange {
  std::uint64_t time_ps = 0;
  std::int64_t by = 0;
  TimelineLevel level = TimelineLevel::weight_buffers;
};

/// Slices that are never joined: the first, in which commands can be told apart.
inline constexpr std::size_t kExactDramSlices = 1000;

/// Joins slices that follow one another in a bank doing the same, behind the first
/// kExactDramSlices, until at most `most` are left (where there is something to join). Slices of a
/// bank and act are in order.
void thin(std::vector<DramSlice>& slices, std::size_t most);

/// One region of work as it was simulated.
struct TimelineRegion {
  struct Operation {
    std::string name;
    std::uint64_t cycles = 0;
    CyclesByCause cycles_by_cause{};
    std::uint64_t macs = 0, dram_bytes = 0, tier_bytes = 0;
    BytesByScratchpad kept_bytes{};  ///< for as long as it runs, besides what loads bring
  };
  std::vector<Operation> operations;  ///< one after the other, the first from 0
  std::vector<TimelineSlice> slices;  ///< on each track in order of time
  std::vector<TimelineChange> changes;
  std::vector<DramSlice> dram;  ///< of the first channel, each bank's in order of their ends
  bool shortened = false;       ///< equal rounds of its loops were left out

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
  std::vector<Instance> instances;  ///< in order of time; without gaps, unless `first_layers_only`
  std::vector<std::string> tiers;   ///< names of DRAM and the tiers; empty without tiers
  bool truncated = false;           ///< slices beyond most_slices were not recorded

  /// Asks for layer 0 of each step alone, of what is simulated: the rest takes its time and has no
  /// instance. Regions may be `shortened`.
  bool first_layers_only = false;

  /// Of all regions: 300 MB.
  std::size_t most_slices = 8'000'000;
  std::size_t most_dram_slices = 400'000;         ///< beyond them no region's banks are recorded
  std::size_t most_dram_slices_of_region = 4096;  ///< more are joined
};

}  // namespace systole
