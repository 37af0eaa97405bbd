// What every controller of a channel has: its device, its address map, the segments on their way
// through it, and the power-down that they all keep alike.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>

#include "memory/address_map.hpp"
#include "memory/burst_intake.hpp"
#include "memory/dram_device.hpp"
#include "memory/steady_state.hpp"

namespace systole::memory {

/// Number of the lowest bit of a mask that is not 0: banks and units are looked at in order.
inline std::uint32_t lowest(std::uint64_t mask) {
  return static_cast<std::uint32_t>(std::countr_zero(mask));
}

/// Base of SharedWindow, BankQueues and BankMachines; not used through it.
class DramController {
 public:
  std::optional<SegmentEvent> pop(Clock now) { return intake_.pop(now); }
  bool idle() const { return intake_.idle(); }
  const DramCounts& counts() const { return intake_.counts(); }
  const AddressMap& map() const { return map_; }

 protected:
  explicit DramController(const configs::DramConfig& config)
      : device_(config), map_(config), intake_(map_.burst_bits()) {}

  /// Data ends at `end`: power-down counts from the last such clock.
  void data_until(Clock end) { last_data_ = std::max(last_data_, end); }
  /// Clocks in power-down before `now`, with nothing to do since the last data.
  void rest_until(Clock now) {
    const configs::DramConfig& t = device_.config();
    if (t.power_down_after == 0) return;
    const Clock from = std::max(last_data_ + t.power_down_after, powered_down_to_);
    if (now <= from) return;
    intake_.counts().power_down_clocks += now - from;
    powered_down_to_ = now;
  }
  /// The first clock at which a request that comes at `now` may have a command: out of power-down.
  Clock awake_from(Clock now) const {
    const configs::DramConfig& t = device_.config();
    const bool down =
        !intake_.active() && t.power_down_after != 0 && now > last_data_ + t.power_down_after;
    return down ? now + t.xp : 0;
  }
  bool rests_alike(const DramController& other) const {
    return device_.config().power_down_after == 0 ||
           (last_data_ == other.last_data_ && powered_down_to_ == other.powered_down_to_);
  }
  /// To a StateReader or a StateShift, with all that controllers share.
  template <typename Self, typename Visitor>
  static void visit_common(Self& self, Visitor& v) {
    v.moment(self.last_data_);
    v.gate(self.powered_down_to_);
    if constexpr (std::is_const_v<Self>) {
      self.device_.describe(v);
      self.intake_.describe(v);
    } else {
      self.device_.shift(v);
      self.intake_.shift(v);
    }
  }
  void restart_rest() { last_data_ = powered_down_to_ = 0; }

  DramDevice device_;
  AddressMap map_;
  BurstIntake intake_;

 private:
  Clock last_data_ = 0;        ///< end of the last burst
  Clock powered_down_to_ = 0;  ///< clocks in power-down are counted so far
};

}  // namespace systole::memory
