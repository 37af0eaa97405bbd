// The machines of a paper as machines of ours: what the `tile` timing says of the same array,
// buffers, bandwidth and layers that the paper's closed-form model counted.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "sim/analytic/paper.hpp"
#include "sim/core/progress.hpp"

namespace systole::sim {

/// Time of each twin; nothing where none of our PEs takes its operands. One array of the named PE
/// with shadow registers (preload), scratchpads of the paper's sizes with ports that never hold it
/// up, and HBM2 pseudo channels of at least the paper's bandwidth; twins without a memory: array
/// cycles alone, every fold serial. Once in a process (SystemC).
///
/// Large products are simulated twice, with few rounds of their outermost loop and with more, under
/// the mapping of the whole; every further round is taken to be as long as one of those between
/// (within 0.5 % of the whole, by test). `whole`: all of them from end to end instead, which for a
/// figure's networks takes hours.
std::vector<std::optional<analytic::PhysicalTime>> time_twins(
    std::span<const analytic::PhysicalTwin> twins, Progress& progress, bool whole = false);

}  // namespace systole::sim
