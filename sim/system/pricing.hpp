// Prices: what an event costs on a machine and what its parts occupy, from the machine's energy
// table. Nothing here knows how long anything took until it is told; the same counts can be priced
// again from another table.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "configs/machine.hpp"
#include "sim/core/event_counts.hpp"
#include "sim/core/run_result.hpp"
#include "sim/core/units.hpp"

namespace systole::sim {

/// The parts that reports show, in this order.
inline constexpr const char* kComponents[] = {"array",
                                              "dequantiser",
                                              "vector",
                                              "weight_scratchpad",
                                              "activation_scratchpad",
                                              "output_scratchpad",
                                              "dram"};

class PriceList {
 public:
  /// Throws ConfigError when the table lacks a price that the machine needs.
  explicit PriceList(const configs::MachineConfig& machine);

  /// Dynamic energy of `events`, by component.
  std::map<std::string, double> dynamic_pj(const EventCounts& events) const;

  /// All components: dynamic energy of `events`, leakage, DRAM background and refresh over `time`,
  /// area.
  std::vector<ComponentRow> components(const EventCounts& events, Nanoseconds time) const;

  /// Assumptions made where the table has no figure.
  KeyValues notes() const;

 private:
  struct Part {
    Milliwatts standing;  ///< leakage, or DRAM background
    SquareMillimetres area;
    std::string area_source, energy_source;
  };
  std::map<std::string, double, std::less<>> event_pj_;
  std::map<std::string, Part> parts_;
};

}  // namespace systole::sim
