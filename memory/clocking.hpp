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
      : ticks_per_clock_(1e-6 / clock_mhz / sc_core::sc_get_time_resolution().to_seconds()),
        whole_ticks_(static_cast<std::uint64_t>(std::llround(ticks_per_clock_))) {
    // A whole number of ticks, but for rounding, needs none: so far out both ways agree on every
    // edge.
    const double off = std::abs(ticks_per_clock_ - static_cast<double>(whole_ticks_));
    const double far = 0x1p51 / ticks_per_clock_;
    whole_until_ = static_cast<Clock>(off > 0.2 / far ? 0.2 / off : far);
  }

  sc_core::sc_time time(Clock clock) const {
    latest_ = {ticks(clock), clock};
    return sc_core::sc_time::from_value(epoch_ + latest_.ticks);
  }
  /// The last edge at or before `time`.
  Clock at_or_before(const sc_core::sc_time& time) const {
    const std::uint64_t since = time.value() - epoch_;
    if (since == latest_.ticks) return latest_.clock;
    if (whole_until_ > kWorthwhile) {
      const Clock whole = since / whole_ticks_;
      if (whole + 1 < whole_until_) return whole;
    }
    auto clock = static_cast<Clock>(static_cast<double>(since) / ticks_per_clock_);
    while (clock > 0 && ticks(clock) > since) --clock;
    while (ticks(clock + 1) <= since) ++clock;
    return clock;
  }
  /// The first edge at or after `time`.
  Clock at_or_after(const sc_core::sc_time& time) const {
    if (time.value() - epoch_ == latest_.ticks) return latest_.clock;
    const Clock before = at_or_before(time);
    return ticks(before) == time.value() - epoch_ ? before : before + 1;
  }
  /// Makes `time` edge 0.
  void restart(const sc_core::sc_time& time) { epoch_ = time.value(); }

 private:
  std::uint64_t ticks(Clock clock) const {
    if (clock < whole_until_) return clock * whole_ticks_;
    return static_cast<std::uint64_t>(std::llround(static_cast<double>(clock) * ticks_per_clock_));
  }

  static constexpr Clock kWorthwhile = 1000;

  double ticks_per_clock_;
  std::uint64_t whole_ticks_;  ///< the same, rounded: exact before edge `whole_until_`
  Clock whole_until_ = 0;
  std::uint64_t epoch_ = 0;
  /// The edge asked for last: most questions are asked when it has come.
  struct Edge {
    std::uint64_t ticks = 0;
    Clock clock = 0;
  };
  mutable Edge latest_;
};

}  // namespace systole::memory
