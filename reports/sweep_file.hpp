// A merged sweep on disk: one HDF5 file, in the schema of reports/SCHEMA.md, exact in every field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sim/core/sweep_result.hpp"

namespace systole::reports {

inline constexpr std::uint64_t kSweepSchemaVersion = 3;
/// The attribute `format` of such a file.
inline constexpr std::string_view kSweepFormat = "systole-sweep";

/// As write_result: whole or not at all, equal results in equal bytes. Errors: ConfigError.
void write_sweep_result(const std::string& path, const SweepResult& result);

/// Reads what write_sweep_result wrote; points are read from the file when they are visited.
/// Errors: ConfigError for a missing, damaged or hostile file and for another schema version.
SweepResult read_sweep_result(const std::string& path);

/// Whether a file is a merged sweep, not a run. False for what is neither.
bool is_sweep_result(const std::string& path);

}  // namespace systole::reports
