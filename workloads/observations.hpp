// Observations of a functional run: what the operands of the linear layers are once they are codes,
// and how they change on their way into an array.
#pragma once

#include <cstdint>
#include <span>

#include "sim/core/observations.hpp"
#include "workloads/executor.hpp"

namespace systole::workloads {

/// Counts over all linear layers of the model and, for activations, over one forward pass of
/// `tokens`, each operand as the executor multiplies it: by linear layer (the head as
/// "classifier") and in the mean of those of the blocks. Operands in an IEEE format have zeros and
/// no outliers; toggles are counted of integers, fp16, bf16 and exponent-integers (OliVe's pairs,
/// ANT's types), and of operands in one format throughout. The cache is empty before and after.
/// Errors: as FunctionalExecutor::forward.
Observations observe(FunctionalExecutor& executor, std::span<const std::uint32_t> tokens);

}  // namespace systole::workloads
