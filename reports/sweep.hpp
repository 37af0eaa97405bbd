// A sweep as a reader sees it: table, CSV, JSON and one interactive page.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "reports/csv.hpp"
#include "reports/tables.hpp"
#include "sim/core/sweep_result.hpp"

namespace systole::reports {

/// Takes a text piece by piece: of many points there is more of it than memory.
using TextSink = std::function<void(std::string_view)>;

/// "min TTFT".
std::string objective_label(const SweepObjective& objective);

/// The front, the best point of each objective with and without each constraint, what each axis
/// does.
std::string sweep_to_terminal(const SweepResult& result, const SweepSummary& summary, bool colour,
                              unsigned width);

/// A line a point: id, status, axes, derived values, figures, feasible, on the front, limit,
/// message.
void sweep_to_csv(const SweepResult& result, const SweepSummary& summary, const TextSink& out,
                  Separated how = Separated::csv);

/// `schema_version` of the document, which sweep.schema.json describes.
inline constexpr std::uint64_t kSweepJsonSchemaVersion = 1;

/// {"name": ..., "axes": [...], "points": [...], ...}, a line a point.
void sweep_to_json(const SweepResult& result, const SweepSummary& summary, const TextSink& out);

/// For a document: the front and the best points.
std::vector<Table> sweep_tables(const SweepResult& result, const SweepSummary& summary);

/// Self-contained: parallel coordinates, a scatter of two figures with the front, a heat map over
/// two axes, the point under the mouse; the tables of the terminal below them, which need no
/// script. `command` is what makes it.
std::string sweep_to_html(const SweepResult& result, const SweepSummary& summary,
                          std::string_view command = "");

}  // namespace systole::reports
