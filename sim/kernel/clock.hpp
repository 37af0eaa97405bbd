// Cycles of one clock domain as SystemC time and back, without drift.
#pragma once

#include "sim/core/units.hpp"
#include "sim/kernel/systemc.hpp"

namespace systole::kernel {

/// A clock domain on the simulation's time axis. Its period is rounded once, to the time resolution
/// (run_simulation sets 1 fs: at 3 GHz an error of 1.5 ppm at most), and every time is a whole
/// multiple of it, so cycles(time(n)) == n for every n.
class Clock {
 public:
  explicit Clock(ClockDomain domain);

  sc_core::sc_time period() const { return period_; }
  sc_core::sc_time time(Cycles cycles) const {
    return sc_core::sc_time::from_value(period_.value() * cycles.count());
  }
  /// Whole cycles that have passed at `time`; a started cycle does not count.
  Cycles cycles(const sc_core::sc_time& time) const {
    return Cycles(time.value() / period_.value());
  }
  /// Cycles until everything up to `time` is over; a started cycle counts.
  Cycles cycles_ceil(const sc_core::sc_time& time) const {
    return Cycles(ceil_div(time.value(), period_.value()));
  }
  /// Now, in whole cycles of this clock.
  Cycles now() const { return cycles(sc_core::sc_time_stamp()); }

 private:
  sc_core::sc_time period_;
};

}  // namespace systole::kernel
