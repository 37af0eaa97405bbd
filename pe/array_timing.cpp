// The closed forms of the header.
#include "pe/array_timing.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::pe {

using configs::ArrayConfig;
using configs::Dataflow;
using configs::FoldOverlap;
using configs::Interconnect;

namespace {

/// ConfigError where `gang` neighbours are more than the array has.
std::uint64_t ganged(const PeDesign& design, const char* what, std::uint64_t pes,
                     std::uint64_t gang) {
  if (pes >= gang) return pes / gang;
  throw ConfigError("processing element '" + design.name + "' needs " + std::to_string(gang) + " " +
                    what + " side by side for these formats; the array has " + std::to_string(pes));
}

/// Cycles behind the last step of a fold until its last result is out of the PEs.
std::uint64_t latency(const ArrayConfig& array, const PeDesign& design, const Mode& mode) {
  const std::uint64_t stages = design.stages - 1;
  if (array.interconnect == Interconnect::systolic) {
    return std::uint64_t{array.rows} + array.cols - 2 + stages;
  }
  const bool held = array.dataflow != Dataflow::output_stationary;
  return stages + log2_up(mode.depth) + (held ? log2_up(array.rows) : 0);
}

}  // namespace

std::uint64_t group_length(const PeDesign& design, const GemmShape& shape) {
  const bool grouped = design.sums_by_group && shape.group != 0 && shape.k % shape.group == 0;
  return grouped ? shape.group : shape.k;
}

std::uint64_t group_count(const PeDesign& design, const GemmShape& shape) {
  return shape.k == 0 ? 0 : shape.k / group_length(design, shape);
}

Geometry geometry(const ArrayConfig& array, const PeDesign& design, const GemmShape& shape) {
  SYSTOLE_CHECK(array.rows > 0 && array.cols > 0, "an array has rows and columns");
  const Mode& mode = design.require_mode(shape.weight, shape.activation);
  if (!design.works_in(array.dataflow)) {
    throw ConfigError(
        "processing element '" + design.name + "' does not work " +
        std::string(configs::kDataflowNames[static_cast<std::size_t>(array.dataflow)]));
  }
  const bool weight_held = array.dataflow == Dataflow::weight_stationary;
  const bool sums_held = array.dataflow == Dataflow::output_stationary;
  Geometry g;
  g.group_length = group_length(design, shape);
  g.groups = group_count(design, shape);
  g.steps = ceil_div(g.group_length, mode.depth);
  if (mode.spatial) {
    // Weights enter by column and activations by row; an array that holds activations is turned.
    const bool turned = array.dataflow == Dataflow::input_stationary;
    g.row_gang = turned ? mode.weight_parts : mode.activation_parts;
    g.column_gang = turned ? mode.activation_parts : mode.weight_parts;
  } else if (sums_held || !design.holds_parts) {
    g.stream_parts = mode.parts();
  } else {
    g.fold_parts = weight_held ? mode.weight_parts : mode.activation_parts;
    g.stream_parts = mode.parts() / g.fold_parts;
  }
  g.rows = ganged(design, "rows", array.rows, g.row_gang);
  g.columns = ganged(design, "columns", array.cols, g.column_gang);
  g.row_drain = array.drain_words == 0 ? 1 : ceil_div(array.cols, array.drain_words);
  if (sums_held) {
    g.row_tiles = ceil_div(shape.m, g.rows);
    g.column_tiles = ceil_div(shape.n, g.columns);
    g.stream = g.steps * g.stream_parts + (shape.classes - 1) * design.class_boundary_cycles;
  } else {
    g.row_tiles = ceil_div(g.steps, g.rows);
    g.column_tiles = ceil_div(weight_held ? shape.n : shape.m, g.columns);
    g.stream = (weight_held ? shape.m : shape.n) * g.stream_parts;
  }
  g.folds = g.row_tiles * g.column_tiles * g.groups * g.fold_parts;
  return g;
}

double expected_stall(const ArrayConfig& array, const PeDesign& design, const Mode& mode,
                      double weight_outliers, double activation_outliers) {
  // P(a word has at most j outliers), binomial, up to all D of them.
  const auto at_most = [&](double share) {
    std::vector<double> cumulative(mode.depth + 1);
    double term = std::pow(1.0 - share, mode.depth), sum = 0;
    for (unsigned j = 0; j <= mode.depth; ++j) {
      sum += term;
      cumulative[j] = std::min(sum, 1.0);
      term *= share / (1.0 - share) * (mode.depth - j) / (j + 1);
    }
    return cumulative;
  };
  const bool weights = design.weight_outliers_wait && weight_outliers > 0;
  const bool activations = design.activation_outliers_wait && activation_outliers > 0;
  const auto w = at_most(weights ? weight_outliers : 0);
  const auto a = at_most(activations ? activation_outliers : 0);
  double expected = 0;  // sum over j >= 1 of P(the largest exceeds j)
  for (unsigned j = 1; j <= mode.depth; ++j) {
    const double none_above = (weights ? std::pow(w[j], array.cols) : 1.0) *
                              (activations ? std::pow(a[j], array.rows) : 1.0);
    expected += 1.0 - none_above;
  }
  return expected;
}

ArrayWork array_work(const ArrayConfig& array, const PeDesign& design, const GemmShape& shape,
                     StallCycles stalls) {
  const Geometry g = geometry(array, design, shape);
  const Mode& mode = design.require_mode(shape.weight, shape.activation);
  if (shape.m == 0 || shape.n == 0 || shape.k == 0) return {};
  SYSTOLE_CHECK(stalls.empty() || stalls.size() == g.folds, "stall cycles of every fold");
  const std::uint64_t outputs = shape.m * shape.n;
  const std::uint64_t words = g.steps * g.groups;  // of one row of an operand

  ArrayWork work;
  work.folds = g.folds;
  work.passes = mode.parts();
  work.mac_passes = outputs * words * mode.parts();
  work.results = outputs * g.groups;
  const std::uint64_t listed = std::accumulate(stalls.begin(), stalls.end(), std::uint64_t{0});
  work.stall_cycles = listed + shape.stall * g.folds;

  const std::uint64_t weight_bits = shape.n * shape.k * quant::bits_of(shape.weight);
  const std::uint64_t activation_bits = shape.m * shape.k * quant::bits_of(shape.activation);
  // A word is read once for all its temporal parts, unless the PE holds parts.
  const std::uint64_t weight_reads = mode.spatial || design.holds_parts ? mode.weight_parts : 1;
  const std::uint64_t activation_reads =
      mode.spatial || design.holds_parts ? mode.activation_parts : 1;
  work.weight_words = shape.n * words * weight_reads;
  work.weight_bits = weight_bits;
  work.activation_words = shape.m * words * activation_reads;
  work.activation_bits = activation_bits;
  switch (array.dataflow) {
    case Dataflow::weight_stationary:
      // Every column tile, and every fold of another part of the weight, streams the rows again.
      work.activation_words *= g.column_tiles * g.fold_parts;
      work.activation_bits *= g.column_tiles * g.fold_parts;
      break;
    case Dataflow::input_stationary:
      work.weight_words *= g.column_tiles * g.fold_parts;
      work.weight_bits *= g.column_tiles * g.fold_parts;
      break;
    case Dataflow::output_stationary:
      work.weight_words *= g.row_tiles;
      work.weight_bits *= g.row_tiles;
      work.activation_words *= g.column_tiles;
      work.activation_bits *= g.column_tiles;
      break;
  }
  const bool held = array.dataflow != Dataflow::output_stationary;
  const std::uint64_t drain_rate = held ? g.row_drain : 1;
  if (held) {
    // The first sum of a group overwrites, the others add. Spatial parts of a column are added
    // before; temporal ones each bring a sum.
    const std::uint64_t sums = outputs * g.groups * g.row_tiles * g.fold_parts * g.stream_parts;
    work.partial_sum_writes = sums;
    work.partial_sum_reads = sums - outputs * g.groups;
  }

  const std::uint64_t stream = g.stream * drain_rate + shape.stall;  // T q, and what data adds
  work.stream_cycles = g.folds * stream + listed;
  const std::uint64_t load = held ? array.rows : 0;
  const std::uint64_t drain = held ? 0 : array.rows * g.row_drain;
  const std::uint64_t behind = latency(array, design, mode);
  switch (array.fold_overlap) {
    case FoldOverlap::ideal:
      work.stream_cycles = g.folds * (g.stream + shape.stall) + listed;
      work.cycles = work.repeat_cycles = work.stream_cycles;
      break;
    case FoldOverlap::serial:
      work.cycles =
          work.stream_cycles + g.folds * (load + behind + (array.drain_words == 0 ? 0 : drain));
      work.repeat_cycles = work.cycles;
      break;
    case FoldOverlap::preload: {
      const auto length = [&](std::uint64_t fold) {
        return stream + (stalls.empty() ? 0 : stalls[fold % g.folds]);
      };
      // From the start of a fold to the start of the next: its stream and the load that hides
      // behind it, or what the drain of its sums needs beyond the next fold's own stream.
      const auto interval = [&](std::uint64_t fold) {
        if (held) return std::max(length(fold), load);
        const std::uint64_t next = length(fold + 1);
        return length(fold) + (drain > next ? drain - next : 0);
      };
      std::uint64_t intervals = 0;  // of all folds but the last
      if (stalls.empty()) {
        intervals = (g.folds - 1) * interval(0);
      } else {
        for (std::uint64_t f = 0; f + 1 < g.folds; ++f) intervals += interval(f);
      }
      work.cycles = load + intervals + length(g.folds - 1) + behind + drain;
      work.repeat_cycles = intervals + interval(g.folds - 1);
      break;
    }
  }
  work.fill_drain_cycles = work.cycles - work.stream_cycles;
  return work;
}

}  // namespace systole::pe
