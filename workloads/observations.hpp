// Observations of a functional run: how many operands of the linear layers are zero or outliers
// once they are codes.
#pragma once

#include <cstdint>
#include <span>

#include "sim/core/observations.hpp"
#include "workloads/executor.hpp"
#include "workloads/model.hpp"

namespace systole::workloads {

/// Counts over all linear layers of the model and, for activations, over one forward pass of
/// `tokens`, each tensor under the executor's recipe (schedules and folded transforms left aside).
/// Operands in an IEEE format count exact zeros and no outliers. `model` is the executor's, whose
/// cache is empty before and after. Errors: as FunctionalExecutor::forward.
Observations observe(FunctionalExecutor& executor, const LlamaModel& model,
                     std::span<const std::uint32_t> tokens);

}  // namespace systole::workloads
