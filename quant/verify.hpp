// Random and adversarial cases that compare every accelerated kernel with its definition, bit for
// bit. What `systole verify` and the tests run; prints nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "quant/golden/kernels.hpp"

namespace systole::quant {

/// What a comparison found.
struct CaseOutcome {
  std::uint64_t elements = 0;  ///< results compared, all paths together
  std::uint64_t mismatches = 0;
  std::string
      first_mismatch;  ///< case, path, place, expected and actual bits; empty when there is none
};

/// One bit to flip in what a fast implementation gives: shows that the comparison would notice.
struct Fault {
  std::string path;         ///< the twin whose name begins so; empty: every one
  std::size_t element = 0;  ///< of all results one after the other; wraps round at their end
  unsigned bit = 0;         ///< wraps round at the element's width
};

/// The suites: one a kernel of the table, e.g. "gemm_w4a8".
std::vector<std::string> suite_names();

/// The case that (suite, seed, index) stands for; each index has a stream of its own, so cases may
/// run in any order. Errors: std::invalid_argument for an unknown suite.
KernelCase make_case(std::string_view suite, std::uint64_t seed, std::uint64_t index);

/// Runs a case: the definition against every accelerated path of this CPU, on one thread and on
/// case.threads; the quantisers and packers against a second, independent computation.
CaseOutcome run_case(const KernelCase& kernel_case, const Fault* fault = nullptr);

/// The same for the case of (suite, seed, index).
CaseOutcome run_case(std::string_view suite, std::uint64_t seed, std::uint64_t index);

/// Cases [first, first + count) of a suite on `threads` threads; outcome i is that of case
/// first + i, whichever thread ran it.
std::vector<CaseOutcome> run_cases(std::string_view suite, std::uint64_t seed, std::uint64_t first,
                                   std::uint64_t count, unsigned threads,
                                   const Fault* fault = nullptr);

/// The arguments of `systole` that run this very case: "verify --kernel K --shape MxNxK --seed N
/// --values V --options drawn".
std::string repeat_arguments(const KernelCase& kernel_case);

/// Compares bits, result by result; any NaN equals any other NaN. `label` opens the description of
/// the first mismatch. Errors: std::invalid_argument when names, types or shapes differ.
CaseOutcome compare_arrays(const Arrays& expected, const Arrays& actual, std::string_view label);

/// The same of two vectors of floats.
CaseOutcome compare_bits(std::span<const float> expected, std::span<const float> actual,
                         std::string_view label);

}  // namespace systole::quant
