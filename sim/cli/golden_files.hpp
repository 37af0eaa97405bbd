// A kernel's operands and expected results as files for other tools, and the dumps that come back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "quant/golden/kernels.hpp"

namespace systole::cli {

/// Writes manifest.json, systole.h5, and a .npy and a .hex of each operand and result into
/// `folder`, which is made when it is not there. Returns the names written. Errors: ConfigError.
std::vector<std::string> export_kernel(const std::string& folder,
                                       const quant::KernelCase& kernel_case);

/// The first element that differs, and how it comes about.
struct DumpMismatch {
  std::string result;            ///< its name
  std::string place;             ///< "[1, 2]"
  std::string expected, actual;  ///< value and bit pattern
  std::vector<quant::Step> steps;
};

struct DumpOutcome {
  quant::KernelCase kernel_case;
  std::uint64_t elements = 0, mismatches = 0;
  std::vector<std::string> results;  ///< what was compared
  std::optional<DumpMismatch> first;
};

/// Compares actual results with the definition, computed anew from what the manifest says. `file`:
///   - a manifest.json whose results name files under "actual" (without any: the exported ones),
///   - a .npy, or a .hex as $writememh writes it, beside the manifest.json, named after a result
///     ("out.npy", "dut_out.hex"; any name when there is one result),
///   - an .h5 with the datasets /manifest and /results/NAME, as exported.
/// Errors: ConfigError naming the file, what was found and what was expected.
DumpOutcome check_dump(const std::string& file);

}  // namespace systole::cli
