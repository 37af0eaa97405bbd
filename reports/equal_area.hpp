// PEs at equal area: for a terminal, as a page and as JSON. All three show the same characters for
// the same figure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reports/csv.hpp"
#include "reports/tables.hpp"
#include "sim/core/equal_area_result.hpp"

namespace systole::reports {

/// Who is fastest and by how much, how sure that is, and at which quality: two or three sentences.
std::string equal_area_verdict(const EqualAreaResult& result);

/// A row a PE: array, recipe, time and energy of both phases, perplexity; then the notes' names.
std::string equal_area_to_terminal(const EqualAreaResult& result, bool colour, unsigned width);

/// A self-contained page: bars with error bars, where the time goes, tables, notes.
std::string equal_area_to_html(const EqualAreaResult& result);

/// `schema_version` of the document, which equal_area.schema.json describes.
inline constexpr std::uint64_t kEqualAreaJsonSchemaVersion = 1;

/// {"summary": ..., "rows": [...], "notes": {...}}; a row holds its whole result as `run` would
/// write it.
std::string equal_area_to_json(const EqualAreaResult& result);

/// A line a PE, names end in their units; prefill_ and decode_ before those of the phases.
std::string equal_area_to_csv(const EqualAreaResult& result, Separated how = Separated::csv);

/// For a document: the table of the terminal.
std::vector<Table> equal_area_tables(const EqualAreaResult& result);

}  // namespace systole::reports
