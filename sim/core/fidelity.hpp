// How well a cheap timing puts points in the order of a dear one: rank correlations over the points
// of a sweep that have both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/sweep_result.hpp"

namespace systole {

/// Of paired values, -1 to 1; nothing for fewer than two pairs, or where one side is constant.
/// Spearman's rho with mean ranks for ties; Kendall's tau-b. O(n log n) and O(n^2).
std::optional<double> spearman(const std::vector<double>& a, const std::vector<double>& b);
std::optional<double> kendall(const std::vector<double>& a, const std::vector<double>& b);

struct FidelityAgreement {
  std::string figure;        ///< of an objective
  std::uint64_t points = 0;  ///< that have it in both timings
  std::optional<double> spearman, kendall;
  double mean_ratio = 0;  ///< geometric mean of dear over cheap; 0 where signs forbid it
};

/// By objective; empty where the sweep's first axis is not `timing` with two values.
std::vector<FidelityAgreement> fidelity_agreement(const SweepResult& result);

/// "tpot_ms: Spearman 0.98, Kendall 0.91, tile / analytic 1.2 (24 points)".
std::string to_text(const FidelityAgreement& agreement, const SweepResult& result);

}  // namespace systole
