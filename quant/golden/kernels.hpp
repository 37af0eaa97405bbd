// The table of kernels that can be verified: how operands are drawn, the definition, the fast
// implementations, and the running sums of one result. One entry a kernel.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/golden/array.hpp"
#include "quant/golden/stream.hpp"
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
inline constexpr std::array<std::string_view, 7> kValuesNames = {
    "normal", "outliers", "ties", "extremes", "zeros", "subnormal", "non_finite"};

/// One case: everything about it follows from kernel, shape, values, seed and `drawn`.
struct KernelCase {
  std::string_view kernel;
  GemmShape shape;
  Values values = Values::normal;
  std::uint64_t seed = 0;
  bool drawn = false;  ///< formats, groups and chunks drawn from the seed too, not the usual ones

  // What follows:
  QuantSpec activation;
  QuantSpec weight;
  std::size_t chunk = 1;  ///< consecutive products of one partial sum; transforms: the block
  unsigned threads = 1;
};
std::string describe(const KernelCase& kernel_case);

/// A step of the computation of one result: what was done, and the accumulator after it.
struct Step {
  std::string what;
  Element type = Element::fp32;
  std::uint32_t accumulator = 0;
};

using Arrays = std::vector<Array>;

/// A kernel with its operands drawn.
struct Problem {
  /// Another implementation: its name ("avx2, 3 threads") and a run of it.
  struct Twin {
    std::string name;
    std::function<Arrays()> run;
  };
  std::function<Arrays()> operands;
  std::function<Arrays()> reference;  ///< the definition
  std::vector<Twin> twins;
  std::function<Arrays()> intermediate;  ///< more arrays that an exporter wants; may be empty
  /// The steps that lead to one element of one result, by the place of the result.
  std::function<std::vector<Step>(std::size_t result, std::size_t element)> trace;
};

struct GoldenKernel {
  std::string_view name;
  std::string_view operands;  ///< formats, one line
  std::string_view contract;  ///< accumulator, order, rounding, in words
  std::string_view source;
  bool non_finite;  ///< takes NaN and infinities
  /// Sets what follows from a case: the usual options without `random`, drawn ones with it. May
  /// round shape.k to what the options need.
  void (*options)(KernelCase& kernel_case, Stream* random);
  Problem (*make)(const KernelCase& kernel_case);
  /// Cost of one result in the definition, against an ordinary product's: suites run as many times
  /// fewer cases, and small ones above 1.
  unsigned cost = 1;
};

std::span<const GoldenKernel> golden_kernels();
/// Errors: std::invalid_argument for an unknown name.
const GoldenKernel& golden_kernel(std::string_view name);

/// A case is refused beyond this: elements of an operand or result, and products in all (the
/// definition takes about a nanosecond each).
inline constexpr std::size_t kMostElements = std::size_t{1} << 26;
inline constexpr std::size_t kMostProducts = std::size_t{1} << 36;

/// The case of a kernel at a shape. Errors: std::invalid_argument for an unknown kernel, values it
/// does not take, a shape with a zero or with more elements or products than
/// those, and, unless `drawn`, for one that the kernel's format cannot have.
KernelCase golden_case(std::string_view kernel, GemmShape shape, std::uint64_t seed, Values values,
                       bool drawn);

}  // namespace systole::quant
