// Why a cycle of the accelerator passed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace systole {

/// Why a cycle of an operation passed. Every cycle of an operation has exactly one cause; they sum
/// to its cycles.
enum class CycleCause : std::uint8_t {
  compute,     ///< array or vector unit doing the operation's useful work
  fill_drain,  ///< array filling, draining or loading weights with nothing hidden behind it
  dram,        ///< waiting for operands from DRAM, or for results to be accepted by it
  scratchpad,  ///< operand delivery slower than the array (ports, banks)
  dequantise,  ///< waiting for the dequantisation unit
  dependency,  ///< waiting for an earlier operation's result
};
inline constexpr std::size_t kCycleCauseCount = 6;
inline constexpr std::array<std::string_view, kCycleCauseCount> kCycleCauseNames = {
    "compute", "fill_drain", "dram", "scratchpad", "dequantise", "dependency"};

using CyclesByCause = std::array<std::uint64_t, kCycleCauseCount>;

}  // namespace systole
