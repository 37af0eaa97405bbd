// Outlier channels put into a model without changing what it computes.
#pragma once

#include <cstdint>
#include <vector>

#include "workloads/model.hpp"

namespace systole::workloads {

/// Large language models have a few activation channels tens of times larger than the rest
/// (LLM.int8, arXiv 2208.07339); small models have none. This makes them: in each block, the gains
/// of the chosen channels of both norms are multiplied by `factor`, and the columns of the matrices
/// that read them (q, k, v; gate, up) divided by it. In exact arithmetic the function is unchanged;
/// for a power of two every product keeps its bits (barring overflow and subnormals).
/// Channels: one in 128 of `hidden`, at least one, the same in all blocks, from `seed`.
/// Returns the channels, ascending. Errors: ConfigError unless factor is finite and above 0.
std::vector<std::uint32_t> inject_outliers(LlamaModel& model, double factor,
                                           std::uint64_t seed = 1);

}  // namespace systole::workloads
