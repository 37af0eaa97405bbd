// Random and adversarial cases that compare every accelerated kernel with its definition, bit for
// bit. What `systole verify` and the tests run; prints nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/kernels/gemm.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {

/// How the operands of a case are drawn.
enum class Values : std::uint8_t {
  normal,      ///< bell-shaped, as weights are
  outliers,    ///< the same with a few values a thousand times larger
  ties,        ///< multiples of half the step of a symmetric format: every second rounding is a tie
  extremes,    ///< only the largest magnitudes: sums as large as they get
  zeros,       ///< +0 and -0, now and then a one
  subnormal,   ///< magnitudes around and below the smallest normal number
  non_finite,  ///< NaN and infinities among normal values (float kernels only)
};

/// One case: everything that follows from (suite, seed, index).
struct KernelCase {
  GemmShape shape;
  QuantSpec activation;
  QuantSpec weight;
  std::size_t chunk = 1;  ///< gemm_fp16
  unsigned threads = 1;
  Values values = Values::normal;
  std::uint64_t stream = 0;  ///< seeds the operands
};
std::string describe(const KernelCase& kernel_case);

/// What a comparison found.
struct CaseOutcome {
  std::uint64_t elements = 0;  ///< results compared, all paths together
  std::uint64_t mismatches = 0;
  std::string
      first_mismatch;  ///< case, path, index, expected and actual bits; empty when there is none
};

/// The suites, e.g. "gemm_w4a8".
std::vector<std::string> suite_names();

/// The case that (suite, seed, index) stands for; each index has a stream of its own, so cases may
/// run in any order. Errors: std::invalid_argument for an unknown suite.
KernelCase make_case(std::string_view suite, std::uint64_t seed, std::uint64_t index);

/// Runs that case: the definition against every accelerated path of this CPU, on one thread and on
/// case.threads; the quantisers and packers against a second, independent computation.
CaseOutcome run_case(std::string_view suite, std::uint64_t seed, std::uint64_t index);

/// Compares bits; any NaN equals any other NaN. `label` opens the description of the first
/// mismatch.
CaseOutcome compare_bits(std::span<const float> expected, std::span<const float> actual,
                         std::string_view label);

}  // namespace systole::quant
