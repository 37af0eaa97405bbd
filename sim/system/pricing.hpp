// Prices: what an event costs on a machine and what its parts occupy, from the machine's energy
// table. Nothing here knows how long anything took until it is told; the same counts can be priced
// again from another table.
//
// Passes of the array are counted in disjoint classes, each pass in exactly one, so counts stay
// integers and the classes sum to the passes:
//
//   array.mac_pass         nothing is known of the operands            mac_pj
//   array.mac_pass_zero    one operand is zero                         mac_zero_pj
//   array.mac_pass_hold    the stationary operand has not changed      mac_hold_pj
//   array.mac_pass_traced  its operands' changing bits are counted     mac_quiet_pj
//   array.operand_toggle   one such bit                                operand_toggle_pj
//
// What stands at the array's edge (decoders, rounders: PeDesign::edge_units) is part of the array:
//
//   array.edge_weight_word, array.edge_activation_word, array.edge_result
//                          a word or a finished sum through the units of that side
//
// A class that the table does not price costs mac_pj (and its toggles nothing): an upper bound.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "configs/machine.hpp"
#include "sim/core/event_counts.hpp"
#include "sim/core/run_result.hpp"
#include "sim/core/units.hpp"

namespace systole::sim {

/// The parts that machines have, in the order of reports, the KV dequantiser with a coded cache
/// only; behind them those that only some machines have.
inline constexpr const char* kComponents[] = {"array",
                                              "dequantiser",
                                              "kv_dequantiser",
                                              "vector",
                                              "weight_scratchpad",
                                              "activation_scratchpad",
                                              "output_scratchpad",
                                              "dram"};

class PriceList {
 public:
  /// Throws ConfigError when the table lacks a price that the machine needs.
  explicit PriceList(const configs::MachineConfig& machine, bool decodes_cache = false);

  /// Dynamic energy of `events`, by component.
  std::map<std::string, double> dynamic_pj(const EventCounts& events) const;

  /// All components: dynamic energy of `events`, leakage, DRAM background and refresh over `time`,
  /// area, and the bands of both.
  std::vector<ComponentRow> components(const EventCounts& events, Nanoseconds time) const;

  /// Node, bands, and assumptions made where the table has no figure.
  KeyValues notes() const;

 private:
  struct Price {
    double pj = 0;
    double high_pj = 0;  ///< all transitions; equal to pj where only one figure is known
  };
  struct Part {
    Milliwatts standing;  ///< leakage, or DRAM background
    SquareMillimetres area;
    std::string area_source, energy_source;
    double area_band = 0, energy_band = 0;
  };
  void price_array(const configs::MachineConfig& machine);
  void price_edge(const configs::MachineConfig& machine);
  void price_noc(const configs::MachineConfig& machine);
  void price_cache(const configs::MachineConfig& machine);
  void price_kv_dequantiser(const configs::MachineConfig& machine, double uw_per_um2);
  void price_tiers(const configs::MachineConfig& machine);
  void price(const std::string& event, double pj) { events_[event] = {pj, pj}; }
  std::map<std::string, Price> dynamic(const EventCounts& events) const;

  std::map<std::string, Price, std::less<>> events_;
  std::map<std::string, Part> parts_;
  std::vector<std::string> components_;  ///< kComponents and what the machine has besides
  KeyValues table_notes_;
};

}  // namespace systole::sim
