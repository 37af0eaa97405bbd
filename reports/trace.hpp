// Timelines as trace events of the Chrome format, which Perfetto opens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "sim/core/run_result.hpp"
#include "sim/core/timeline.hpp"

namespace systole::reports {

/// Program time whose pieces of work are shown one by one.
struct TraceWindow {
  std::uint64_t begin_ps = 0, end_ps = 0;
};

/// A process with a track for each part of the machine: operations of every layer and step with
/// their cycles by cause; loads, stores and what array, dequantiser and vector unit did, piece by
/// piece; DRAM as the time in which anything moved; of the banks of its first channel the rows that
/// were open, reads, writes and refreshes, of every region the first commands. Counters: bandwidth,
/// array occupancy, buffers.
/// Work that was not simulated again because it is equal has `repeated` in its arguments.
///
/// Without a window pieces are shown where they were simulated, not where they repeat. Either way
/// at most `most_slices`: of every operation and track the first pieces one by one and the rest as
/// one slice that says how many it is.
std::string to_trace(const Timeline& timeline, const TraceWindow* window = nullptr,
                     std::size_t most_slices = 150'000);

/// What a result keeps of its time, without the timeline: its rows one after the other; bandwidth
/// and utilisation by its windows; its excerpt, at its place in the run, a track a part and two a
/// bank of the first DRAM channel.
std::string result_to_trace(const RunResult& result);

}  // namespace systole::reports
