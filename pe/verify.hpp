// Does the clocked array compute what quant defines, in the cycles that the closed form says? On
// random cases, each a function of (seed, index) alone, so that any one of them can be repeated.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "configs/machine.hpp"
#include "pe/array_timing.hpp"
#include "pe/clocked_array.hpp"
#include "quant/format.hpp"
#include "quant/verify.hpp"

namespace systole::pe {

inline constexpr std::string_view kVerifySuite = "pe_values_and_cycles";

/// What one case runs. Case i takes design i modulo their number.
struct VerifyCase {
  configs::ArrayConfig array;  ///< up to 16 x 16, any design, any of its dataflows, any overlap
  GemmShape shape;  ///< sizes from 1, primes, 2^k and 2^k +- 1; any group, dividing K or not
  quant::QuantSpec weight;
  quant::QuantSpec activation;
  std::uint64_t values = 0;  ///< seed of the operands
};

VerifyCase verify_case(std::uint64_t seed, std::uint64_t index);
std::string describe(const VerifyCase& c);

struct VerifyOutcome {
  std::uint64_t index = 0;
  std::uint64_t elements = 0;  ///< values compared: group sums, outputs and the cycles
  std::uint64_t mismatches = 0;
  std::string first_mismatch;  ///< the case, what differs, both values; empty when nothing does
};

/// A product of that shape with random codes of its formats, such as encoders give.
ArrayCase random_case(const PeDesign& design, const GemmShape& shape, std::uint64_t seed);

/// Called after each case with how many are done.
using VerifyProgress = std::function<void(std::uint64_t done)>;

/// Runs the cases of those indices on the clocked array, all in one simulation, and compares
///   - every group sum with reference_sums;
///   - where both operands are plain integers, every output behind the dequantiser with
///     quant::gemm_dequantise_after;
///   - cycles and all counts with array_work.
/// Values bit for bit. A fault, where its path begins the name "clocked array", flips one bit of
/// what each case's array gave: of a sum, or of the cycles, which come behind the last sum. Must be
/// called within kernel::run_simulation, once a process.
std::vector<VerifyOutcome> verify_cases(std::uint64_t seed, std::span<const std::uint64_t> indices,
                                        const VerifyProgress& progress = nullptr,
                                        const quant::Fault* fault = nullptr);

}  // namespace systole::pe
