// What would help most: the same work on machines that have a tenth more of one thing.
#pragma once

#include <string>
#include <vector>

#include "configs/machine.hpp"
#include "sim/core/run_result.hpp"

namespace systole::sim {

struct MachineChange {
  std::string name;                    ///< "DRAM 10 % faster"
  std::vector<std::string> overrides;  ///< "memory.dram.clock_mhz=880"

  std::string path() const;  ///< the overrides, one after the other
};

/// A tenth more of each thing that may bind, rounded up to what can be built. The DRAM's latencies
/// shorten with its clock, since its timing is in clocks.
std::vector<MachineChange> tenth_more(const configs::MachineConfig& machine, bool coded_cache);

/// `result`: of the same work on the changed machine.
SensitivityRow sensitivity_of(const MachineChange& change, const RunResult& result);

}  // namespace systole::sim
