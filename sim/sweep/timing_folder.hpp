// Simulated regions of a sweep, kept in a folder that all its workers share: see
// sim/system/region_timings.hpp. Only a short cut: where a file is missing, torn or cannot be
// written, the region is simulated (again).
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "sim/system/region_timings.hpp"

namespace systole::sweep {

/// A file a region, FOLDER/xx/KEY, placed by renaming: a worker on any machine that sees the folder
/// finds it whole or not at all, and who is killed leaves at most a file of another name.
class TimingFolder : public sim::RegionTimings {
 public:
  /// `folder` is made where it is missing; empty: in memory alone. `version`: figures of another
  /// one are not found.
  TimingFolder(std::string folder, std::string version);

  std::optional<sim::SegmentOutcome> find(const sim::RegionKey& key) override;
  void add(const sim::RegionKey& key, const sim::SegmentOutcome& outcome) override;
  /// The same of what to_bytes has made of an outcome; or of anything else that points share, under
  /// keys of its own.
  std::optional<std::string> find_bytes(const sim::RegionKey& key);
  void add_bytes(const sim::RegionKey& key, std::string_view bytes);

 private:
  std::string path_of(const sim::RegionKey& key) const;

  /// Outcomes in memory; when they are more, all are forgotten.
  static constexpr std::size_t kInMemory = 1 << 14;

  std::string folder_, version_;
  std::map<sim::RegionKey, std::string> known_;
};

}  // namespace systole::sweep
