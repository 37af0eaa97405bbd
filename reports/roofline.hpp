// The rooflines of a run: attained MACs per cycle over MACs per byte of each memory level, under
// what the machine allows (Williams, Waterman and Patterson, CACM 52(4), 2009, for DRAM; theirs
// counts flops per second; a roof for every level as Ilic, Pratas and Sousa, IEEE CAL 13(1), 2014).
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// An operation (merged by name) under a roof.
struct RoofPoint {
  std::string operation, phase, bound;
  std::size_t phase_number = 0;  ///< in the order of phases_of
  std::uint64_t macs = 0, bytes = 0, cycles = 0;

  double macs_per_byte() const { return static_cast<double>(macs) / static_cast<double>(bytes); }
  double macs_per_cycle() const { return static_cast<double>(macs) / static_cast<double>(cycles); }
};

/// What one memory level allows, and what the operations that use it attain.
struct Roof {
  std::string name;   ///< "dram" or a memory path's
  std::string label;  ///< "weight scratchpad, read"
  double peak_macs_per_cycle = 0;
  double bytes_per_cycle = 0;
  std::vector<RoofPoint> points;  ///< with MACs, bytes here and cycles, in order of phases
  std::size_t left_out = 0;       ///< the other operations: they have no place here

  double ridge() const { return peak_macs_per_cycle / bytes_per_cycle; }
  /// At most, of a point: the lower of the two roofs.
  double attainable(const RoofPoint& point) const;
};

/// DRAM first, then the memory paths; only roofs that hold (a machine's, not those of a damaged
/// file) with a point under them.
std::vector<Roof> roofs_of(const RunResult& result);

/// What the axes of a roofline have to show: MACs/byte and MACs/cycle.
struct RoofBounds {
  double x_low = 0, x_high = 0, y_low = 0, y_high = 0;
};
/// Of several results, by the roof's name.
using RoofBoundsByName = std::map<std::string, RoofBounds>;

/// Room for the ridge, the points and their labels.
RoofBounds bounds_of(const Roof& roof);
/// Axes on which all of the results' roofs of one name find their place.
RoofBoundsByName common_bounds(std::span<const RunResult> results);

struct Roofline {
  std::string svg;             ///< empty when there is no point
  std::size_t unlabelled = 0;  ///< drawn, but no free place for a label
};

/// The points of the first two phases; a mark's area grows with its share of the run's cycles.
/// Points that would cover each other share a mark. `bounds`: other axes than the roof's own.
Roofline roofline_svg(const RunResult& result, const Roof& roof,
                      const RoofBounds* bounds = nullptr);

}  // namespace systole::reports
