// What a memory transaction carries beside address and length: whose bytes they are.
#pragma once

#include <cstdint>
#include <tlm>

#include "sim/core/traffic.hpp"

namespace systole::memory {

/// A payload without it counts as weights with id 0.
struct TrafficExtension : tlm::tlm_extension<TrafficExtension> {
  TrafficClass traffic = TrafficClass::weights;
  std::uint64_t id = 0;

  tlm::tlm_extension_base* clone() const override { return new TrafficExtension(*this); }
  void copy_from(const tlm::tlm_extension_base& other) override {
    const auto& from = static_cast<const TrafficExtension&>(other);
    traffic = from.traffic;
    id = from.id;
  }
};

}  // namespace systole::memory
