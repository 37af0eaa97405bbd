// Results as tables for other programs: tidy CSV and TSV for data frames, Markdown and LaTeX for
// documents.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// One figure a line: result, section, row, figure, value (every digit), printed (as on the page).
/// `result` counts from 1. CSV is RFC 4180; in TSV a tab or a line end within a text becomes a
/// space.
std::string to_tidy_csv(std::span<const RunResult> results);
std::string to_tidy_tsv(std::span<const RunResult> results);

/// Headline, operations by phase and components, a column a result where they are compared.
std::string to_markdown(std::span<const RunResult> results);
/// The same with \toprule, \midrule and \bottomrule (package booktabs); everything that comes from
/// a result is escaped.
std::string to_latex(std::span<const RunResult> results);

std::string markdown_text(std::string_view text);  ///< escaped for a cell
std::string latex_text(std::string_view text);     ///< escaped for running text

}  // namespace systole::reports
