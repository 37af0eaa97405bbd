// Full results of chosen points of a sweep: a file a point in DIR/reports, made by processes of
// their own, until a merge takes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "configs/sweep.hpp"
#include "sim/core/progress.hpp"
#include "sim/core/sweep_result.hpp"

namespace systole::cli {

inline constexpr std::uint64_t kUsualReports = 24;

/// How many points get a full report.
struct ReportWish {
  std::uint64_t most = kUsualReports;
  bool others = false;  ///< than the best, where these are fewer
};
/// Of option --reports. Throws ConfigError beyond kMostReports.
ReportWish report_wish(std::optional<std::uint64_t> option);

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
