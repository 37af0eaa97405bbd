// How long the machine's KV dequantiser takes: the pipeline of unpack, table, multiply-add, sparse
// outliers, permutation, Hadamard transform and RoPE between the scratchpad and the array.
#pragma once

#include <cstdint>

#include "configs/machine.hpp"
#include "sim/core/kv_layout.hpp"

namespace systole::sim {

/// Cycles from the first code in to the last value out: the slowest stage, and the latency; 0
/// without work. Sines and cosines of RoPE come from a table that is not counted.
std::uint64_t kv_dequantise_cycles(const configs::KvDequantiserConfig& unit,
                                   const KvDecodeWork& work);

/// What is priced as scale-adds: all arithmetic. An add alone costs less, so it errs upwards;
/// unpacking, look-ups and moves have no price in the energy tables and are left out.
std::uint64_t kv_dequantise_operations(const KvDecodeWork& work);

}  // namespace systole::sim
