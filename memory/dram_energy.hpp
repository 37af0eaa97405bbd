// What the events and the time of a DRAM channel cost: one list for `systole dram` and for runs.
#pragma once

#include <cstdint>

#include "configs/dram.hpp"
#include "memory/burst_intake.hpp"

namespace systole::memory {

/// Picojoules of one event, from the config's figures. Check bits on wires of their own make a bit
/// and an activate cost 9/8 (72 wires instead of 64).
struct DramPrices {
  double activate = 0, read_bit = 0, write_bit = 0;
  double refresh = 0;       ///< of a rank
  double bank_refresh = 0;  ///< of one bank, or one bank of each group: its part of a rank's
  double standby_mw = 0;    ///< of a channel, all the time
  double power_down = 0;    ///< of a clock in power-down, over standby: not positive
};
DramPrices dram_prices(const configs::DramConfig& config);

/// Picojoules of `channels` channels by cause; the parts sum to `total()`.
struct DramEnergy {
  double activate = 0, read = 0, write = 0, refresh = 0, standby = 0;
  double total() const { return activate + read + write + refresh + standby; }
};
/// `counts` of all channels over `clocks` of each.
DramEnergy energy_of(const configs::DramConfig& config, const DramCounts& counts, Clock clocks,
                     std::uint32_t channels);

}  // namespace systole::memory
