// Results as one self-contained web page: no network, no fonts, works without script, prints.
#pragma once

#include <span>
#include <string>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// One result: headline figures, cycles by cause per operation, energy by component, roofline,
/// traffic by class, the operations, the configuration, notes, events and the command that makes it
/// again. Several: a comparison first (the first result is the base of ratios), then each. All
/// texts are escaped.
std::string to_html(std::span<const RunResult> results);

}  // namespace systole::reports
