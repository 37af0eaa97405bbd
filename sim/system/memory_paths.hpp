// The ways that bytes take between the machine's memories and its array, besides the DRAM's bus:
// how many fit through in a cycle, and how many an operation sends.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "configs/machine.hpp"
#include "sim/core/run_result.hpp"
#include "sim/system/accelerator.hpp"

namespace systole::sim {

class MemoryPaths {
 public:
  /// Ports of the three scratchpads; the cache; each tier; the KV dequantiser where the cache is
  /// coded. Directions that share ports are one path.
  MemoryPaths(const configs::MachineConfig& machine, bool decodes_cache);

  /// Adds what an operation sent to its row and to the run's totals.
  void add(const OperationOutcome& operation, OperationRow& row);

  /// With what was added; the rows' `path_bytes` are in their order.
  const std::vector<MemoryPath>& paths() const { return paths_; }

 private:
  using Bytes = std::function<std::uint64_t(const OperationOutcome&)>;
  void path(std::string name, double peak_bytes_per_cycle, Bytes bytes);
  void add_scratchpad(const std::string& name, const configs::ScratchpadConfig& config,
                      std::uint64_t WorkCounts::*read, std::uint64_t WorkCounts::*written);
  void add_cache(const configs::MemoryConfig& memory);
  void add_tier(const configs::MachineConfig& machine, std::size_t number);

  std::vector<MemoryPath> paths_;
  std::vector<Bytes> bytes_;  ///< of an operation through each path
};

}  // namespace systole::sim
