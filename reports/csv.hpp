// The operations of a result as CSV: one line a row, for spreadsheets and data frames.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// A text as one cell: in quotes where it needs them.
std::string csv_cell(std::string_view text);

/// Values with commas (RFC 4180), or with tabs, where a tab or a line end within a text becomes a
/// space.
enum class Separated : std::uint8_t { csv, tsv };
/// One line of such a table, its end included.
std::string separated_line(const std::vector<std::string>& cells, Separated how);
/// A number for programs: every digit; empty where it is not finite.
std::string exact(double value);

/// RFC 4180: a header whose names end in their units, comma-separated, texts quoted where they need
/// it, lines ended by \r\n. Energy has one column for every component that any row names; a
/// component the row lacks is an empty cell. Doubles read back to the same bits; not finite ones
/// are empty.
std::string operations_to_csv(const RunResult& result);

}  // namespace systole::reports
