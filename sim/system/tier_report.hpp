// What a run's memories did, a row each.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "configs/machine.hpp"
#include "memory/placement.hpp"
#include "memory/tier.hpp"
#include "sim/core/run_result.hpp"

namespace systole::sim {

/// Sums of a run by tier, DRAM first.
struct TierTotals {
  std::array<BytesByClass, memory::kMostTiers> read_bytes{}, written_bytes{};
  std::array<std::uint64_t, memory::kMostTiers> wait_cycles{};
  std::array<std::uint64_t, memory::kMostTiers> placed{}, spilled{};
  std::map<std::uint32_t, memory::WearLedger> wear;  ///< of tiers that wear
};

/// Rows of a machine with tiers, none of one without. `result` has its events, components and
/// cycles.
std::vector<TierRow> tier_rows(const configs::MachineConfig& machine, const TierTotals& totals,
                               const RunResult& result);

}  // namespace systole::sim
