// How full the scratchpads are: what lies in them for as long as an operation runs, besides the
// pieces that loads bring and jobs free, which the Accelerator follows. Together they may be more
// than the capacity where the schedule asks that of the machine and the timing lets it: vector
// operations load pieces into both buffers beside a result that stays.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/core/run_result.hpp"
#include "sim/system/accelerator.hpp"
#include "sim/system/mapping.hpp"
#include "workloads/program.hpp"

namespace systole::sim {

/// Held while one instance of an operation runs: its input and output where these stay on chip, and
/// the sums that its mapping keeps open at a time.
BytesByScratchpad kept_bytes(Mapper& mapper, const workloads::Operation& operation);

/// Adds what is kept to what loads brought. `outcomes`: [step][segment] of the program.
void add_kept(Mapper& mapper, const workloads::Program& program,
              std::vector<std::vector<SegmentOutcome>>& outcomes);

/// The machine's scratchpads, nothing held yet.
std::vector<ScratchpadUse> scratchpads_of(const configs::MachineConfig& machine);

}  // namespace systole::sim
