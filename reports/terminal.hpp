// A result as text for a terminal: what a person wants to know after a run, on one screen.
#pragma once

#include <string>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// Headline figures, energy by component, cycles by cause and, per phase, the costliest operations
/// with what bounds each. No line is wider than `width` columns (at least 60 are used); `colour`
/// adds ANSI escapes, which take none. Sections without data are left out.
std::string to_terminal(const RunResult& result, bool colour, unsigned width);

}  // namespace systole::reports
