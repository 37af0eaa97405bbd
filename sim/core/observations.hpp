// What a functional run saw of its operands, for the timed side: data-dependent hardware takes its
// stalls from it, energy its gated passes and its toggles. The timed side never sees a value.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace systole {

/// How an operand's code differs from its neighbour's before it, in the mean over elements that are
/// not zero.
struct Toggles {
  double bits = 0;   ///< bits that differ, of the code as a PE's operand port has it
  double signs = 0;  ///< of them sign bits of integers, which a wider port repeats
};

/// Shares of the elements of one operand, as coded.
struct OperandStatistics {
  double zeros = 0;
  /// Beyond four bits (two's complement), or marked as outliers by the format.
  double outliers = 0;
  unsigned code_bits = 0;          ///< of an element
  std::optional<Toggles> along_k;  ///< from element to element of a sum
  std::optional<Toggles> across;   ///< from row to row: token to token, output to output
};

/// The two operands of one linear layer.
struct LinearObservations {
  OperandStatistics weight, activation;
  /// Weight codes decoded to the activation's float format, for PEs that multiply that.
  std::optional<OperandStatistics> decoded_weight{};
};

struct Observations {
  OperandStatistics weight, activation;  ///< of the linear layers, in the mean
  std::string source;  ///< which run: "kjv-3m under w8a8, 256 tokens", or a named profile
  std::map<std::string, LinearObservations, std::less<>> linear;  ///< by name, all blocks together

  /// Those of a linear layer, or the mean of all.
  LinearObservations of(std::string_view name) const {
    const auto it = linear.find(name);
    return it == linear.end() ? LinearObservations{weight, activation, {}} : it->second;
  }
};

/// Passes in which an operand is zero, were the two independent.
inline double zero_passes(const LinearObservations& seen) {
  return 1.0 - (1.0 - seen.weight.zeros) * (1.0 - seen.activation.zeros);
}

/// For workloads without values. Outliers: OPT-6.7B's pairs as OliVe (ISCA 2023) counts them,
/// 0.64 % with one outlier and 0.03 % with two (accelerators.md §1.1); zeros unknown, so none are
/// credited.
inline Observations opt_profile() {
  constexpr double kOutliers = (0.0064 + 2 * 0.0003) / 2;
  Observations profile;
  profile.weight.outliers = profile.activation.outliers = kOutliers;
  profile.source = "profile opt-6.7b (pairs of OliVe, ISCA 2023; no zeros)";
  return profile;
}

}  // namespace systole
