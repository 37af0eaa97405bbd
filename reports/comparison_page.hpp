// Several results on one page: side by side first, then each.
#pragma once

#include <span>
#include <string>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// Headline figures, costs by part, operations and configurations side by side, to common scales
/// (the first result is the base of ratios), then the sections of each.
std::string comparison_to_html(std::span<const RunResult> results, std::string_view command);

}  // namespace systole::reports
