// A result on disk: one HDF5 file a run, in the schema of reports/SCHEMA.md, exact in every field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reports/hdf5_file.hpp"
#include "sim/core/run_result.hpp"

namespace systole::reports {

/// Raised when a dataset is added, removed or changes its meaning; readers name the version they do
/// not know.
inline constexpr std::uint64_t kResultSchemaVersion = 3;
/// The attribute `format` of such a file.
inline constexpr std::string_view kResultFormat = "systole-result";

/// Writes `result` so that the file appears whole or not at all (temporary name, fsync, rename) and
/// equal results give equal bytes. Errors: ConfigError, one message naming the path, when it cannot
/// be written.
void write_result(const std::string& path, const RunResult& result);

/// Reads what write_result wrote: every field equal, bit for bit (texts lose trailing NUL
/// characters). Errors: ConfigError for a missing, truncated, damaged or hostile file and for
/// another schema version. The sums are not judged here: see RunResult::check_sums.
RunResult read_result(const std::string& path);

// The same as a part of a larger file: below the group that it is in.
void put_result(Hdf5Writer& file, const RunResult& result);
RunResult take_result(const Hdf5Reader& file);

}  // namespace systole::reports
