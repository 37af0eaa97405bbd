#include "pe/multi_array.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

#include "sim/core/units.hpp"

namespace systole::pe {
namespace {

using configs::Split;

void add_counts(ArrayWork& total, const ArrayWork& part, std::uint64_t times) {
  total.stall_cycles += part.stall_cycles * times;
  total.folds += part.folds * times;
  total.mac_passes += part.mac_passes * times;
  total.weight_words += part.weight_words * times;
  total.weight_bits += part.weight_bits * times;
  total.activation_words += part.activation_words * times;
  total.activation_bits += part.activation_bits * times;
  total.partial_sum_reads += part.partial_sum_reads * times;
  total.partial_sum_writes += part.partial_sum_writes * times;
  total.results += part.results * times;
}

/// `whole` in shares of whole multiples of `unit`: the largest share, how many arrays have it, and
/// what the last one has.
struct Shares {
  std::uint64_t size = 0, full = 0, rest = 0;
};
Shares shares_of(std::uint64_t whole, std::uint64_t unit, std::uint64_t arrays) {
  Shares shares;
  shares.size = std::min(whole, ceil_div(ceil_div(whole, unit), arrays) * unit);
  shares.full = whole / shares.size;
  shares.rest = whole % shares.size;
  return shares;
}

ArrayWork split_along(const configs::ArrayConfig& arrays, const PeDesign& design,
                      const GemmShape& shape, Split split) {
  const Geometry g = geometry(arrays, design, shape);
  const bool held = arrays.dataflow != configs::Dataflow::output_stationary;
  const bool weights_held = arrays.dataflow == configs::Dataflow::weight_stationary;
  std::uint64_t GemmShape::*side = split == Split::m   ? &GemmShape::m
                                   : split == Split::n ? &GemmShape::n
                                                       : &GemmShape::k;
  // Cuts fall where the array is filled: on its columns or rows; K on groups, or on its rows.
  const std::uint64_t depth = design.require_mode(shape.weight, shape.activation).depth;
  std::uint64_t unit = 1;
  if (split == Split::m) unit = !held ? g.rows : weights_held ? 1 : g.columns;
  if (split == Split::n) unit = !held || weights_held ? g.columns : 1;
  if (split == Split::k) {
    unit = g.groups > 1 ? g.group_length : std::min(shape.k, (held ? g.rows : 1) * depth);
  }
  const Shares shares = shares_of(shape.*side, unit, arrays.count);
  GemmShape part = shape;
  part.*side = shares.size;
  // A share of K without groups is one group of its own.
  if (split == Split::k && g.groups == 1) part.group = 0;
  const ArrayWork largest = array_work(arrays, design, part);
  ArrayWork total;
  total.passes = largest.passes;
  total.cycles = largest.cycles;
  total.stream_cycles = largest.stream_cycles;
  total.fill_drain_cycles = largest.fill_drain_cycles;
  total.repeat_cycles = largest.repeat_cycles;
  add_counts(total, largest, shares.full);
  std::uint64_t parts = shares.full;
  if (shares.rest > 0) {
    part.*side = shares.rest;
    add_counts(total, array_work(arrays, design, part), 1);
    ++parts;
  }
  if (split == Split::k && parts > 1 && g.groups == 1) {
    const std::uint64_t sums = shape.m * shape.n;
    const std::uint64_t merge = (parts - 1) * ceil_div(sums, arrays.cols);
    total.cycles += merge;
    total.fill_drain_cycles += merge;
    total.repeat_cycles += merge;
    total.partial_sum_reads += (parts - 1) * sums;
    total.partial_sum_writes += (parts - 1) * sums;
    total.results = sums;
  }
  return total;
}

}  // namespace

ArrayWork arrays_work(const configs::ArrayConfig& arrays, const PeDesign& design,
                      const GemmShape& shape, configs::Split* split) {
  if (split != nullptr) *split = arrays.split;
  if (arrays.count <= 1 || shape.m == 0 || shape.n == 0 || shape.k == 0) {
    return array_work(arrays, design, shape);
  }
  if (arrays.split != Split::automatic) return split_along(arrays, design, shape, arrays.split);
  ArrayWork best;
  using Cost = std::tuple<std::uint64_t, std::uint64_t>;
  Cost best_cost{};
  for (const Split candidate : {Split::m, Split::n, Split::k}) {
    // Float sums over all of K would change their order, and with it their bits.
    if (candidate == Split::k && !design.sums_by_group) continue;
    const ArrayWork work = split_along(arrays, design, shape, candidate);
    const Cost cost{work.cycles, work.weight_words + work.activation_words};
    if (best.folds != 0 && cost >= best_cost) continue;
    best = work;
    best_cost = cost;
    if (split != nullptr) *split = candidate;
  }
  return best;
}

}  // namespace systole::pe
