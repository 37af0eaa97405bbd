// A paper's printed values beside ours: for a terminal, as a page, as JSON and as CSV. All four
// show the same characters for the same value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reports/csv.hpp"
#include "reports/tables.hpp"
#include "sim/core/paper_result.hpp"

namespace systole::reports {

/// "210 of 210 values equal at their printed digits", then the means and the errata where there
/// are some.
std::string paper_verdict(const PaperResult& result);

/// A table a metric: networks down, accelerators across, as many as `width` columns hold. A cell is
/// the value, printed and reproduced being equal, or "reproduced (printed)". Then the causes of the
/// differences.
std::string paper_to_terminal(const PaperResult& result, bool colour, unsigned width);

/// A self-contained page: bars of printed, reproduced and physical values by network, then every
/// row as a table.
std::string paper_to_html(const PaperResult& result);

/// `schema_version` of the document, which paper.schema.json describes.
inline constexpr std::uint64_t kPaperJsonSchemaVersion = 1;

/// {"summary": ..., "rows": [...]}: network, accelerator, metric, published, reproduced, equal,
/// tile_timing (null where it is not known) and note.
std::string paper_to_json(const PaperResult& result);

/// The rows, the same columns.
std::string paper_to_csv(const PaperResult& result, Separated how = Separated::csv);

/// For a document: as on the terminal.
std::vector<Table> paper_tables(const PaperResult& result);

}  // namespace systole::reports
