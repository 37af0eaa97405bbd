// Several results side by side on a terminal.
#pragma once

#include <span>
#include <string>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// A column a result, a row a figure; ratios to the first result below it. As many columns as
/// `width` holds are beside each other, the rest in further tables.
std::string comparison_to_terminal(std::span<const RunResult> results, bool colour, unsigned width);

}  // namespace systole::reports
