// Results as tables for other programs: tidy CSV and TSV for data frames, Markdown and LaTeX for
// documents.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// A table before any syntax: the first line names the columns.
struct Table {
  std::string title;
  std::string columns;  ///< a letter each: 'l' texts, on the left, 'r' figures, on the right
  std::vector<std::vector<std::string>> lines;
};

/// As Markdown, one after the other.
std::string markdown_of(std::span<const Table> tables);
/// With \toprule, \midrule and \bottomrule (package booktabs); every cell is escaped.
std::string latex_of(std::span<const Table> tables);

/// One figure a line: result, section, row, figure, value (every digit), printed (as on the page).
/// `result` counts from 1. CSV is RFC 4180; in TSV a tab or a line end within a text becomes a
/// space.
std::string to_tidy_csv(std::span<const RunResult> results);
std::string to_tidy_tsv(std::span<const RunResult> results);

/// Headline, operations by phase and components, a column a result where they are compared.
std::vector<Table> tables_of(std::span<const RunResult> results);
std::string to_markdown(std::span<const RunResult> results);
std::string to_latex(std::span<const RunResult> results);

std::string markdown_text(std::string_view text);  ///< escaped for a cell
std::string latex_text(std::string_view text);     ///< escaped for running text

}  // namespace systole::reports
