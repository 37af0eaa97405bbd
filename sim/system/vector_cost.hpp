// What the vector unit spends on an element of each operation: adds and multiplies, one a lane and
// cycle.
#pragma once

#include <cstdint>

#include "workloads/program.hpp"

namespace systole::sim {

/// fp32 lane operations. Comparisons, conversions and roundings are adds (they use the adder); a
/// division or a reciprocal square root is a Newton sequence on the multiplier.
struct LaneOps {
  std::uint64_t adds = 0;
  std::uint64_t multiplies = 0;

  constexpr std::uint64_t total() const { return adds + multiplies; }
  friend constexpr LaneOps operator+(LaneOps a, LaneOps b) {
    return {a.adds + b.adds, a.multiplies + b.multiplies};
  }
  friend constexpr LaneOps operator*(LaneOps a, std::uint64_t n) {
    return {a.adds * n, a.multiplies * n};
  }
};

/// Lane operations of `op` over rows x width elements.
LaneOps lane_ops(workloads::VectorOp op, std::uint64_t rows, std::uint64_t width);

}  // namespace systole::sim
