// A DRAM standard as data: geometry, timing in its own clocks, energy. One file a standard in
// configs/dram/.
#pragma once

#include <cstdint>
#include <string>

namespace systole::configs {

/// One channel (for HBM, one pseudo channel). Timing in memory clocks, names as in JEDEC and
/// Ramulator.
struct DramConfig {
  std::string name;
  std::string summary;
  std::string source;
  double clock_mhz = 0;           ///< the command clock: 1 / tCK
  std::uint32_t burst_bytes = 0;  ///< bytes one column access moves
  std::uint32_t burst_clocks = 0;
  std::uint32_t bank_groups = 0;
  std::uint32_t banks_per_group = 0;
  std::uint32_t row_bytes = 0;
  std::uint64_t capacity_bytes = 0;  ///< of one channel
  std::uint32_t cl = 0, cwl = 0, rcd_read = 0, rcd_write = 0, rp = 0, ras = 0, rc = 0;
  std::uint32_t ccd_s = 0, ccd_l = 0, rrd_s = 0, rrd_l = 0, faw = 0;
  std::uint32_t wtr_s = 0, wtr_l = 0, rtp = 0, wr = 0, read_to_write = 0;
  std::uint32_t refi = 0, rfc = 0;
  std::uint32_t read_queue = 0, write_queue = 0;  ///< bursts the controller holds
  // Energy, per channel.
  double activate_pj = 0;      ///< one ACT + PRE pair
  double read_pj_per_bit = 0;  ///< core and I/O
  double write_pj_per_bit = 0;
  double refresh_pj = 0;  ///< one all-bank refresh
  double standby_mw = 0;  ///< background of the channel
  std::string energy_source;
  double energy_band = 0;  ///< relative, 0.2 is +-20 %; 0: not stated

  std::uint32_t banks() const { return bank_groups * banks_per_group; }
  double peak_bytes_per_second() const {
    return clock_mhz * 1e6 * burst_bytes / static_cast<double>(burst_clocks);
  }

  friend bool operator==(const DramConfig&, const DramConfig&) = default;
};

}  // namespace systole::configs
