// A memory clock on SystemC's time axis: exact conversions without drift.
#pragma once

#include <cmath>
#include <cstdint>
#include "sim/kernel/systemc.hpp"

#include "memory/dram_channel.hpp"

namespace systole::memory {

/// Edge n of a clock lies at epoch + n * period rounded to SystemC's resolution (1 ps unless
/// somebody changed it): each edge is rounded by itself, so nothing accumulates, and edges never
/// run backwards.
class MemoryClock {
 public:
  /// Call during or after elaboration: it fixes the time resolution.
  explicit MemoryClock(double clock_mhz)
      : ticks_per_clock_(1e-6 / clock_mhz / sc_core::sc_get_time_resolution().to_seconds()) {}

  sc_core::sc_time time(Clock clock) const {
    return sc_core::sc_time::from_value(epoch_ + ticks(clock));
  }
  /// The last edge at or before `time`.
  Clock at_or_before(const sc_core::sc_time& time) const {
    const std::uint64_t since = time.value() - epoch_;
    auto clock = static_cast<Clock>(static_cast<double>(since) / ticks_per_clock_);
    while (clock > 0 && ticks(clock) > since) --clock;
    while (ticks(clock + 1) <= since) ++clock;
    return clock;
  }
  /// The first edge at or after `time`.
  Clock at_or_after(const sc_core::sc_time& time) const {
    const Clock before = at_or_before(time);
    return ticks(before) == time.value() - epoch_ ? before : before + 1;
  }
  /// Makes `time` edge 0.
  void restart(const sc_core::sc_time& time) { epoch_ = time.value(); }

 private:
  std::uint64_t ticks(Clock clock) const {
    return static_cast<std::uint64_t>(std::llround(static_cast<double>(clock) * ticks_per_clock_));
  }

  double ticks_per_clock_;
  std::uint64_t epoch_ = 0;
};

}  // namespace systole::memory
