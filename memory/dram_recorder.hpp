// What the banks of one DRAM channel did, from the commands that its device is told: for pictures.
#pragma once

#include <cstdint>
#include <vector>

#include "configs/dram.hpp"
#include "sim/core/timeline.hpp"

namespace systole::memory {

/// Clocks count from the channel's restart, and so do the slices' picoseconds. At most
/// 2 x `most_slices` are held: the first kExactDramSlices one by one, later ones joined
/// (see thin()).
class DramRecorder {
 public:
  using Clock = std::uint64_t;  ///< memory clocks

  DramRecorder(const configs::DramConfig& config, std::size_t most_slices);

  void activate(std::uint32_t bank, Clock at);
  void precharge(std::uint64_t banks, Clock at);
  /// `count` columns, `step` clocks apart, the last of them at `last`.
  void column(std::uint32_t bank, bool write, Clock last, std::uint64_t count, Clock step);
  void refresh(std::uint64_t banks, Clock at, Clock clocks);

  /// What was done until clock `end`, when rows still open are taken to close; at most
  /// `most_slices`. Begins anew.
  std::vector<DramSlice> take(std::uint64_t end_ps);

 private:
  /// Columns of one direction, one soon after the other in one row.
  struct Run {
    Clock first = 0, last = 0;
    std::uint64_t columns = 0;
    bool write = false;
  };
  struct Bank {
    bool open = false;
    Clock since = 0;
    Run run;
  };
  std::uint64_t ps(Clock clock) const;
  void end_run(std::uint32_t bank, std::uint64_t end_ps);
  void close(std::uint32_t bank, std::uint64_t end_ps);
  void put(const DramSlice& slice);

  double ps_per_clock_;
  std::uint64_t burst_clocks_, burst_bytes_;
  std::size_t most_slices_;
  std::vector<Bank> banks_;
  std::vector<DramSlice> slices_;
};

}  // namespace systole::memory
