// Repetitive work simulated in part: of the equal rounds of a long loop a few are run, and what the
// last of them took stands for those left out. What they move and compute is counted exactly.
#pragma once

#include <cstdint>
#include <vector>

#include "configs/machine.hpp"
#include "sim/system/accelerator.hpp"
#include "sim/system/schedule.hpp"

namespace systole::sim {

/// Jobs of a segment with the middle of their repetitions left out.
struct ShortenedJobs {
  /// Kept jobs [first, middle) and [middle, last) are equal work; behind `last` the same was left
  /// out `times` times.
  struct Stretch {
    std::uint32_t operation = 0;
    std::uint64_t first = 0, middle = 0, last = 0, times = 0;
  };
  std::vector<Job> jobs;
  std::vector<Stretch> stretches;          ///< in order
  std::vector<OperationOutcome> left_out;  ///< by operation: counts and DRAM bytes, no cycles
  std::vector<std::uint64_t> marks() const;
};

/// Takes for equal what is equal but for its addresses. Where the array, the dequantisers or the
/// vector unit set the pace, a round takes what the one before took; where DRAM does, refreshes
/// make rounds differ, and the rounds looked at last many of them.
ShortenedJobs shorten(const configs::MachineConfig& machine, std::vector<Job> jobs);

/// The outcome of all jobs from that of those kept and what it was at the marks.
struct Extrapolated {
  SegmentOutcome outcome;
  std::uint64_t left_out_cycles = 0;  ///< of them, not simulated
  /// How far these may be off: as much as the two rounds looked at differ, for each left out.
  std::uint64_t bound_cycles = 0;
};
Extrapolated extrapolate(const ShortenedJobs& jobs, SegmentOutcome kept,
                         const std::vector<SegmentOutcome>& at_marks);

/// An outcome between those of the same work on a shorter and a longer cache: cycles and DRAM's
/// activates and refreshes in proportion, what `jobs` compute and move exactly. `share`: of the
/// way from `shorter` to `longer`.
SegmentOutcome between(const SegmentOutcome& shorter, const SegmentOutcome& longer, double share,
                       const std::vector<Job>& jobs, std::uint32_t burst_bytes);

}  // namespace systole::sim
