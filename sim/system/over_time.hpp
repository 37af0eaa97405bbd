// A run over time, from what its segments did: steps, equal windows, and an excerpt to draw.
#pragma once

#include <span>
#include <vector>

#include "sim/core/run_result.hpp"
#include "sim/core/timeline.hpp"
#include "sim/system/accelerator.hpp"
#include "workloads/program.hpp"

namespace systole::sim {

/// Fills in `windows` and `steps` of a result whose totals are known. `outcomes`: [step][segment],
/// each the sum of the segment's repeats, which are taken as equal. Every column sums to the run's
/// total.
void add_over_time(RunResult& result, const workloads::Program& program,
                   std::span<const std::vector<SegmentOutcome>> outcomes);

/// The first layer of the prefill and of the last decode step with a recording. Pieces of a track
/// and operation are joined until each stretch and track has at most a few hundred bars, those of
/// the DRAM's banks (the first kExactDramSlices excepted) until a stretch has at most 1800. What a
/// scratchpad holds is in at most 301 levels a stretch; equal windows with the mean where it
/// changes more often.
Excerpt excerpt_of(const Timeline& timeline);

}  // namespace systole::sim
