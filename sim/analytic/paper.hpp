// A paper reproduced: every printed value beside what the paper's own closed-form model gives here
// and, where a callback supplies it, what our physical timing says of the same machine and layers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "configs/paper.hpp"
#include "sim/core/paper_result.hpp"

namespace systole::analytic {

/// A matrix product of a twin, `times` in a row. A convolution is one of as many rows as it has
/// output pixels.
struct TwinGemm {
  std::uint64_t times = 1;
  std::uint64_t m = 0, n = 0, k = 0;
  double weight_bits = 0, activation_bits = 0;
  /// The array as this product sees it: elements that multiply several narrow operands at once
  /// count as so many.
  std::uint64_t rows = 0, cols = 0;
};

/// What a (network, machine) pair of a paper is physically.
struct PhysicalTwin {
  std::string network, machine;
  std::string part;                  ///< "prefill", "generation", "layer 3", or empty for all of it
  std::string pe;                    ///< the nearest PE of ours; empty where there is none
  std::uint32_t rows = 0, cols = 0;  ///< elements
  configs::PaperDataflow dataflow = configs::PaperDataflow::ws;
  std::uint64_t weight_bytes = 0, activation_bytes = 0, output_bytes = 0;  ///< 0: no limit
  std::uint32_t dram_bits_per_cycle = 0;                                   ///< 0: no limit
  double clock_mhz = 0;                                                    ///< 0: not said
  std::vector<TwinGemm> gemms;
};

/// Every pair (and part) that the printed values mention, in the order of the file.
std::vector<PhysicalTwin> physical_twins(const configs::PaperConfig& paper);

/// Cycles of a twin, or nothing where it cannot be run.
using PhysicalTiming = std::function<std::optional<double>(const PhysicalTwin&)>;

/// All printed values of the paper, in the order of the file. ConfigError names a metric that the
/// paper's model does not have.
PaperResult reproduce(const configs::PaperConfig& paper, const PhysicalTiming& timing = {});

}  // namespace systole::analytic
