// A sweep as a reader sees it: table, CSV, JSON and one interactive page.
#pragma once

#include <string>

#include "sim/core/sweep_result.hpp"

namespace systole::reports {

/// The front, the best point of each objective with and without each constraint, what each axis
/// does.
std::string sweep_to_terminal(const SweepResult& result, bool colour, unsigned width);

/// A line a point: id, status, axes, derived values, figures, feasible, on the front, limit,
/// message.
std::string sweep_to_csv(const SweepResult& result);
std::string sweep_to_json(const SweepResult& result);

/// Self-contained: parallel coordinates, a scatter of two figures with the front, a heat map over
/// two axes, the point under the mouse; the tables of the terminal below them, which need no
/// script.
std::string sweep_to_html(const SweepResult& result);

}  // namespace systole::reports
