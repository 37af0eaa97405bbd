// Results as one self-contained web page: no network, no fonts, works without script, prints.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// One result: headline figures, cycles by cause per operation, energy by component, roofline,
/// traffic by class, the operations, the configuration, notes, events and the command that makes it
/// again. Several: a comparison first (the first result is the base of ratios), then each. All
/// texts are escaped. `command` is what makes the page, where that is not the result's own.
std::string to_html(std::span<const RunResult> results, std::string_view command = "");

}  // namespace systole::reports
