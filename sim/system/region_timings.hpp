// What regions of work took when they were simulated, kept for others that run alike: of the same
// program or of another one. A key covers all that decides a region's time; what it computes and
// moves is counted from its jobs anew, and prices come later, so that machines that differ in
// prices alone, or in what the mapping does not use, share a simulation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "configs/machine.hpp"
#include "sim/system/accelerator.hpp"
#include "sim/system/schedule.hpp"

namespace systole::sim {

using RegionKey = std::array<std::uint64_t, 2>;

/// Equal for equal jobs on machines whose timed parts (memory, double buffers, clocks) are equal.
class RegionKeys {
 public:
  explicit RegionKeys(const configs::MachineConfig& machine);
  RegionKey of(std::span<const Job> jobs) const;

 private:
  RegionKey machine_;
};

/// The machine as a number, prices aside.
RegionKey priceless_digest(const configs::MachineConfig& machine);

/// What the jobs of a region count, operation by operation.
struct CountedWork {
  WorkCounts counts;
  memory::PimPass at_memory;
};
std::vector<CountedWork> count_work(std::span<const Job> jobs, std::size_t operations);
/// Puts it in place of what the outcome counted.
void set_work(SegmentOutcome& outcome, std::span<const CountedWork> work);

/// Where outcomes are kept. They come back without what `count_work` counts.
class RegionTimings {
 public:
  virtual ~RegionTimings() = default;
  virtual std::optional<SegmentOutcome> find(const RegionKey& key) = 0;
  virtual void add(const RegionKey& key, const SegmentOutcome& outcome) = 0;

  /// A region as its jobs say, without their list.
  struct Scheduled {
    RegionKey key;
    std::vector<CountedWork> work;
  };
  /// What `make` gives, made once for equal `source`, which covers all that the jobs are made from.
  const Scheduled& scheduled(const RegionKey& source, const std::function<Scheduled()>& make);

 private:
  /// Some kilobytes each; when they are more, all are forgotten.
  static constexpr std::size_t kMostScheduled = 4096;
  std::map<RegionKey, Scheduled> scheduled_;
};

/// As bytes, and back; nothing where they are not such. WorkCounts stay out; so do memory tiers,
/// whose regions are not kept.
std::string to_bytes(const SegmentOutcome& outcome);
std::optional<SegmentOutcome> outcome_from(std::string_view bytes);

}  // namespace systole::sim
