// Machines of equal array area: one of each PE, otherwise the same, and what becomes of a model on
// them.
//
// The rule. PEs x the area of one PE in the energy table does not exceed the area asked for: the
// array alone, without scratchpads, lanes, wires or the units at its edge, which a run's area and
// energy count. Rows are a multiple of 8, columns of 2 (what the widest gang takes), the
// longer side is at most twice the shorter. Each number of rows has the most columns that fit; of
// these arrays the one is taken on which the program's matrix products take the fewest cycles in
// closed form, so that no PE is given sides that its groups of weights do not fill; then the one of
// most PEs. Areas are those of the table's node, scaled only where the table says so.
//
// The rest of the machine is the base's: DRAM, scratchpads, vector unit; one dequantiser lane a
// column; the clock is the base's or what the PE's synthesis met, if that is slower (the vector
// unit then runs slower too); the dataflow is the base's unless the design works in another only.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "configs/machine.hpp"
#include "configs/model.hpp"
#include "configs/recipe.hpp"
#include "sim/core/equal_area_result.hpp"
#include "sim/system/simulate.hpp"
#include "workloads/program.hpp"

namespace systole::sim {

/// The machine of `base` with as many PEs of that design as `area_mm2` holds, priced from the
/// base's energy table. Throws ConfigError: an unknown PE, one without an area in the table, an
/// area that holds no 8 x 4 array, a machine that is none.
configs::MachineConfig machine_of_area(const configs::MachineConfig& base, const std::string& pe,
                                       double area_mm2, const workloads::Program& program);

/// What the shipped tables say of `pe` beside `table`; those that repeat its price are left out.
std::vector<ProfileRatio> profile_ratios(const configs::EnergyTable& table, const std::string& pe);

struct Contender {
  std::string pe;
  configs::Recipe recipe;
};

/// All contenders in one simulation (once in a process). Identity, quality and notes about it are
/// the caller's. Throws ConfigError before the clock starts.
EqualAreaResult compare_at_equal_area(const configs::MachineConfig& base, double area_mm2,
                                      std::span<const Contender> contenders,
                                      const configs::ModelShape& model, std::uint64_t prefill,
                                      std::uint64_t decode, Progress& progress);

}  // namespace systole::sim
