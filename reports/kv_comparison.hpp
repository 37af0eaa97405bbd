// KV-cache systems side by side: for a terminal, as a page, as JSON and as CSV. All show the same
// figures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reports/csv.hpp"
#include "reports/tables.hpp"
#include "sim/core/kv_comparison_result.hpp"

namespace systole::reports {

/// Which system decodes fastest where, and what binds it: a sentence a machine and batch.
std::string kv_comparison_verdict(const KvComparisonResult& result);

/// A line a point, of at most `width` columns.
std::string kv_comparison_to_terminal(const KvComparisonResult& result, bool colour,
                                      unsigned width);

/// A self-contained page: time by what binds, energy by part, bytes and bursts, the dequantiser's
/// stages, all figures, notes.
std::string kv_comparison_to_html(const KvComparisonResult& result);

/// `schema_version` of the document, which kv_comparison.schema.json describes.
inline constexpr std::uint64_t kKvComparisonJsonSchemaVersion = 1;

/// {"summary": ..., "points": [...], "notes": {...}}; a point holds its whole run.
std::string kv_comparison_to_json(const KvComparisonResult& result);

/// A line a point, names end in their units.
std::string kv_comparison_to_csv(const KvComparisonResult& result, Separated how = Separated::csv);

/// For a document.
std::vector<Table> kv_comparison_tables(const KvComparisonResult& result);

}  // namespace systole::reports
