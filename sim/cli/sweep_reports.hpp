// Full results of chosen points of a sweep: a file a point in DIR/reports, made by processes of
// their own, until a merge takes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "configs/sweep.hpp"
#include "sim/core/progress.hpp"
#include "sim/core/sweep_result.hpp"

namespace systole::cli {

inline constexpr std::uint64_t kUsualReports = 24;

/// Option --reports. Throws ConfigError beyond kMostReports.
std::uint64_t checked_reports(std::uint64_t wanted);

struct ReportSettings {
  unsigned jobs = 1;
  std::vector<std::string> folders;  ///< of the sweep; the first gets what is new
};

/// The reports of `points`, all of them done: those that a folder keeps, and the others computed.
/// Those of equal points are equal whoever made them. Throws Interrupted once those in flight are
/// kept, when the user asked to stop; ConfigError when one cannot be written.
std::vector<SweepReport> reports_of(const SweepResult& result, const configs::SweepConfig& config,
                                    const std::vector<SweepPoint>& points,
                                    const ReportSettings& settings, Progress& progress);

}  // namespace systole::cli
