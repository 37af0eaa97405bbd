// What a functional run saw of its operands, for the timed side: data-dependent hardware takes its
// stalls from it, energy its gated passes. The timed side never sees a value.
#pragma once

#include <string>

namespace systole {

/// Shares of the elements of one operand, as coded.
struct OperandStatistics {
  double zeros = 0;
  double outliers = 0;  ///< beyond four bits (two's complement), or marked as outliers by the format
};

struct Observations {
  OperandStatistics weight, activation;  ///< of the linear layers
  std::string source;  ///< which run: "kjv-3m under w8a8, 256 tokens", or a named profile

  /// Passes in which an operand is zero, were the two independent.
  double zero_passes() const {
    return 1.0 - (1.0 - weight.zeros) * (1.0 - activation.zeros);
  }
};

/// For workloads without values. Outliers: OPT-6.7B's pairs as OliVe (ISCA 2023) counts them, 0.64 %
/// with one outlier and 0.03 % with two (accelerators.md §1.1); zeros unknown, so none are credited.
inline Observations opt_profile() {
  constexpr double kOutliers = (0.0064 + 2 * 0.0003) / 2;
  return {{0, kOutliers}, {0, kOutliers}, "profile opt-6.7b (pairs of OliVe, ISCA 2023; no zeros)"};
}

}  // namespace systole
