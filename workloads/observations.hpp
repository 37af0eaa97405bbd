// Observations of a functional run: how many operands of the linear layers are zero or outliers
// once they are codes.
#pragma once

#include <cstdint>
#include <span>

#include "configs/recipe.hpp"
#include "sim/core/observations.hpp"
#include "workloads/model.hpp"

namespace systole::workloads {

/// Counts over all linear layers of the model and, for activations, over one forward pass of
/// `tokens`, each tensor under the recipe's own policy (schedules and folded transforms left
/// aside). Operands in an IEEE format count exact zeros and no outliers. Errors: as
/// FunctionalExecutor.
Observations observe(const LlamaModel& model, const configs::Recipe& recipe,
                     std::span<const std::uint32_t> tokens, unsigned threads);

}  // namespace systole::workloads
