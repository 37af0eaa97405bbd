// A result as JSON: for scripts, and for people who diff two runs.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// `schema_version` of the document, which result.schema.json describes. Raised when a key is
/// removed or changes its meaning.
inline constexpr std::uint64_t kJsonSchemaVersion = 1;

/// Pretty-printed JSON (two spaces, one trailing newline) in a fixed key order, as
/// reports/result.schema.json says:
///   summary     headline and derived figures, units in the key names; null where a figure is
///   absent operations  one object a row, cycles_by_cause and DRAM bytes as objects by name
///   components, events, config, notes
/// Doubles print with the fewest digits that read back to the same bits; NaN and infinities print
/// as null. Ill-formed UTF-8 becomes U+FFFD. Equal keys of config and notes: the last one wins.
std::string to_json(const RunResult& result);

/// `schema_version` of the document of several, which results.schema.json describes.
inline constexpr std::uint64_t kResultsJsonSchemaVersion = 1;

/// Several results: {"results": [...], "schema_version": 1}, each as above, in their order.
std::string to_json(std::span<const RunResult> results);

}  // namespace systole::reports
