// SCALE-Sim v2 and v3: compute cycles of one layer on one systolic array, nothing else running.
#pragma once

#include <cstdint>

#include "configs/paper.hpp"

namespace systole::analytic {

/// [m, k] times [k, n]. A convolution is one: m output pixels, n filters, k values a filter.
struct GemmSize {
  std::uint64_t m = 0, n = 0, k = 0;

  friend bool operator==(const GemmSize&, const GemmSize&) = default;
};

/// The product of a layer. Output edges of a convolution are ceil((image - kernel + stride) /
/// stride), its topologies having no padding.
GemmSize gemm_of(const configs::ScaleSimLayer& layer);

/// Folds one after the other, each loaded, streamed and drained alone, and one cycle less than an
/// array takes (the tool starts to count at 0: its issue 125):
///   os: ceil(m/R) ceil(n/C) (k + R + C - 2) - 1
///   ws: ceil(k/R) ceil(n/C) (m + 2R + C - 2) - 1
///   is: ceil(k/R) ceil(m/C) (n + 2R + C - 2) - 1
/// Derived from the tools' outputs; equal to v2 and v3 on every layer compared.
std::uint64_t scale_sim_cycles(const configs::ScaleSimMachine& machine, const GemmSize& gemm);

}  // namespace systole::analytic
