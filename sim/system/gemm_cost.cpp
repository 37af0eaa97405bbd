#include "sim/system/gemm_cost.hpp"

#include <algorithm>

#include "pe/dequantiser.hpp"
#include "pe/multi_array.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::sim {

using configs::Dataflow;
using configs::LoopOrder;
using workloads::Operation;

namespace {

/// One part in so many of the first weight tile's load hides behind the operation before. All of it
/// would where DRAM had nothing else to do, none where it is what everybody waits for; a quarter is
/// what no shipped machine loses by (tests/system/golden: none hidden costs one of them 0.9 %, all
/// hidden costs another 0.8 %).
constexpr std::uint64_t kFirstLoadHidden = 4;

std::uint64_t tiles_of(const GemmPart& part, std::uint64_t k_tile) {
  return ceil_div(part.k, k_tile);
}

/// How often the array changes its mode, wherever two neighbouring parts differ in it: along each
/// of `passes` through the reduction and from one to the next.
std::uint64_t mode_changes(const pe::PeDesign& design, const GemmParts& parts,
                           std::uint64_t passes) {
  if (parts.size() == 1) return 0;
  const auto mode = [&](const GemmPart& part) {
    return design.mode(part.operands.stationary, part.operands.moving);
  };
  std::uint64_t within = 0;
  for (std::size_t i = 1; i < parts.size(); ++i) within += mode(parts[i]) != mode(parts[i - 1]);
  const std::uint64_t between = mode(parts.back()) != mode(parts.front());
  return passes * within + (passes - 1) * between;
}

/// Whether TilePlan's fills have a say in how long a scratchpad takes (TileWork).
bool minds_fills(const configs::ScratchpadConfig& pad) {
  return pad.layout != configs::ScratchpadLayout::streamed || pad.ports != configs::BankPorts::r1w1;
}

}  // namespace

std::uint64_t k_tiles_of(const GemmParts& parts, std::uint64_t k_tile) {
  std::uint64_t tiles = 0;
  for (const GemmPart& part : parts) tiles += tiles_of(part, k_tile);
  return tiles;
}

TileGrid tile_grid(const Operation& op, const GemmParts& parts, const GemmMapping& map) {
  return {ceil_div(op.m, map.m_tile), ceil_div(op.n, map.n_tile), k_tiles_of(parts, map.k_tile)};
}

std::uint64_t open_sum_bytes(const Operation& op, const GemmMapping& map, bool cut_k) {
  using configs::LoopOrder;
  const bool all_rows =
      map.order == LoopOrder::weights_outer || map.order == LoopOrder::reduction_outer;
  const std::uint64_t rows = cut_k && all_rows ? op.m : map.m_tile;
  const std::uint64_t columns =
      cut_k && map.order == LoopOrder::reduction_outer ? op.n : map.n_tile;
  return rows * columns * kAccumulatorBytes;
}

GemmCosts::GemmCosts(const Mapper& mapper, const DramRates& dram, const Operation& op,
                     const GemmParts& parts)
    : mapper_(mapper),
      machine_(mapper.machine()),
      design_(mapper.design()),
      dram_(dram),
      op_(op),
      parts_(parts),
      load_input_(!stays_on_chip(machine_, op.input_bytes)),
      store_output_(!stays_on_chip(machine_, op.output_bytes)),
      fills_matter_(minds_fills(machine_.memory.weight) ||
                    minds_fills(machine_.memory.activation)) {}

GemmCosts::Cuts<2> GemmCosts::cut(std::uint64_t whole, std::uint64_t tile) {
  Cuts<2> cuts;
  const std::uint64_t full = whole / tile, rest = whole - full * tile;
  cuts.add(tile, full);
  if (rest != 0) cuts.add(rest, 1);
  return cuts;
}

GemmCosts::Cuts<GemmCosts::kMostReductionCuts> GemmCosts::cut_reduction(
    std::uint64_t k_tile) const {
  Cuts<kMostReductionCuts> cuts;
  for (const GemmPart& part : parts_) {
    const std::uint64_t tiles = tiles_of(part, k_tile);
    cuts.add(k_tile, tiles - 1, &part);
    cuts.add(part.k - (tiles - 1) * k_tile, 1, &part);
  }
  return cuts;
}

void GemmCosts::add_tile(const GemmMapping& map, std::size_t m, std::size_t n, std::size_t k,
                         std::optional<TileWork>& before) {
  const Cut &rows = tiles_.ms[m], &columns = tiles_.ns[n], &depth = tiles_.ks[k];
  const std::uint64_t times = rows.count * columns.count * depth.count;
  const GemmPart& part = *depth.part;
  const ArrayOperands& operands = part.operands;
  const bool last = k == tiles_.ks.last();
  const bool ends_part = last || tiles_.ks[k + 1].part != &part;
  const bool weights_outer = map.order == LoopOrder::weights_outer;
  const bool sums_outer = map.order == LoopOrder::sums_outer;  // both operands pass
  Piece& p = tiles_.pieces[m][n][k];
  // The last tile of a part is most often as large as the others.
  const bool again = k > 0 && tiles_.ks[k - 1].part == &part && tiles_.ks[k - 1].size == depth.size;
  if (again) {
    p = tiles_.pieces[m][n][k - 1];
  } else {
    const auto index = static_cast<std::size_t>(&part - parts_.data());
    p.weight = slice(tiles_.column_bytes[n][index], 0, depth.size, part.k).bytes;
    p.activation = load_input_ ? slice(tiles_.row_bytes[m], 0, depth.size, op_.k).bytes : 0;
    before.emplace(machine_,
                   pe::arrays_work(machine_.array, design_,
                                   mapper_.shape_of(rows.size, columns.size, depth.size, operands)),
                   TilePlan{rows.size, columns.size, depth.size, 1, weights_outer ? 0 : p.weight,
                            weights_outer || sums_outer ? p.activation : 0});
    p.array = before->occupied_cycles();
    p.tail = before->tail_cycles();
  }
  tiles_.array_cycles += p.array * times;
  const TileWork& tile = *before;
  WorkCounts& total = tiles_.counts;
  total.macs += rows.size * columns.size * depth.size * times;
  total.mac_passes += tile.work.mac_passes * times;
  count_edge(total, design_, tile.work, times);
  total.weight_read_bytes += tile.weight_bytes * times;
  total.activation_read_bytes += tile.activation_bytes * times;
  total.output_read_bytes += tile.sum_read_bytes * times;
  total.output_write_bytes += tile.sum_write_bytes * times;

  pe::DequantiseWork sums, elements;
  if (design_.sums_by_group) {
    const std::uint64_t groups =
        operands.group == 0 ? (ends_part ? 1 : 0) : ceil_div(depth.size, operands.group);
    sums = scale_work(machine_, rows.size * columns.size, groups, part.affine, last);
  }
  if (operands.dequantise_elements) elements.multiply_adds = columns.size * depth.size;
  p.dequantise = pe::dequantise_cycles(machine_.dequantiser, sums) +
                 pe::dequantise_cycles(machine_.dequantiser, elements);
  tiles_.dequantise_cycles += p.dequantise * times;
  total.dequantise_fma += (sums.operations() + elements.operations()) * times;
  p.result =
      last && store_output_ ? slice(tiles_.result_bytes[m], 0, columns.size, op_.n).bytes : 0;
}

void GemmCosts::work_out(const GemmMapping& map) {
  // Orders whose tiles are filled alike need not be told apart.
  LoopOrder fills = LoopOrder::rows_outer;
  if (fills_matter_ &&
      (map.order == LoopOrder::weights_outer || map.order == LoopOrder::sums_outer)) {
    fills = map.order;
  }
  if (tiles_.m == map.m_tile && tiles_.n == map.n_tile && tiles_.k == map.k_tile &&
      tiles_.fills == fills) {
    return;
  }
  tiles_.m = map.m_tile;
  tiles_.n = map.n_tile;
  tiles_.k = map.k_tile;
  tiles_.fills = fills;
  tiles_.ms = cut(op_.m, map.m_tile);
  tiles_.ns = cut(op_.n, map.n_tile);
  tiles_.ks = cut_reduction(map.k_tile);
  tiles_.counts = {};
  tiles_.dequantise_cycles = tiles_.array_cycles = 0;
  for (std::size_t m = 0; m < tiles_.ms.used; ++m) {
    const std::uint64_t rows = tiles_.ms[m].size;
    tiles_.row_bytes[m] = slice(op_.input_bytes, 0, rows, op_.m).bytes;
    tiles_.result_bytes[m] = slice(op_.output_bytes, 0, rows, op_.m).bytes;
  }
  for (std::size_t n = 0; n < tiles_.ns.used; ++n) {
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      tiles_.column_bytes[n][part] = slice(parts_[part].bytes, 0, tiles_.ns[n].size, op_.n).bytes;
    }
  }
  for (std::size_t m = 0; m < tiles_.ms.used; ++m) {
    for (std::size_t n = 0; n < tiles_.ns.used; ++n) {
      std::optional<TileWork> before;
      for (std::size_t k = 0; k < tiles_.ks.used; ++k) add_tile(map, m, n, k, before);
    }
  }
}

MappingCost GemmCosts::least(const GemmMapping& map, const TileGrid& grid) {
  work_out(map);
  const bool weights_outer = map.order == LoopOrder::weights_outer;
  const bool sums_outer = map.order == LoopOrder::sums_outer;
  MappingCost cost;
  cost.jobs = grid.jobs();
  cost.weight_bytes = op_.stationary_region.bytes * (weights_outer ? 1 : grid.m);
  cost.input_bytes = load_input_ ? op_.input_bytes * (weights_outer || sums_outer ? grid.n : 1) : 0;
  cost.result_bytes = store_output_ ? op_.output_bytes : 0;
  cost.dram_bytes = cost.weight_bytes + cost.input_bytes + cost.result_bytes;
  cost.dequantise_cycles = tiles_.dequantise_cycles;
  WorkCounts& total = cost.counts = tiles_.counts;
  total.weight_write_bytes += cost.weight_bytes;
  total.activation_write_bytes += cost.input_bytes + (store_output_ ? 0 : op_.output_bytes);
  total.output_read_bytes += op_.m * op_.n * kAccumulatorBytes;
  std::uint64_t carried = 0;
  for (const GemmPart& part : parts_) {
    carried += (tiles_of(part, map.k_tile) - 1) *
               carried_sum_bytes(part.operands, op_.m * op_.n, map.k_tile);
  }
  total.output_read_bytes += carried;
  if (machine_.array.dataflow == Dataflow::output_stationary) total.output_write_bytes += carried;

  cost.cycles = tiles_.array_cycles;
  // The first loads are not all exposed; slices of a job round off less than two bytes each, of
  // either operand and the result.
  const std::uint64_t free = machine_.memory.weight.capacity_bytes +
                             machine_.memory.activation.capacity_bytes + 6 * cost.jobs;
  if (cost.dram_bytes > free) {
    const double moving = static_cast<double>(cost.dram_bytes - free) / dram_.bytes_per_cycle();
    cost.cycles = std::max(cost.cycles, static_cast<std::uint64_t>(moving));
  }
  return cost;
}

/// A mapping's loops as rounds of steps: the outer operand waits over a round, in whose steps the
/// other passes.
struct GemmCosts::Rounds {
  struct Step {
    std::uint64_t busy = 0;    ///< array and dequantiser
    std::uint64_t load = 0;    ///< bytes of the passing operand
    std::uint64_t result = 0;  ///< bytes
  };
  struct Round {
    std::uint64_t cycles = 0, bytes = 0;  ///< of all its steps
  };

  Rounds(const DramRates& rates, const GemmMapping& map, std::uint64_t mode_change_cycles)
      : dram(rates),
        weights_outer(map.order == LoopOrder::weights_outer),
        sums_outer(map.order == LoopOrder::sums_outer),
        inner_whole(weights_outer ? map.whole_activation
                                  : map.whole_weight || (sums_outer && map.whole_activation)),
        outer_whole(weights_outer ? map.whole_weight : map.whole_activation && !sums_outer),
        reconfigure(mode_change_cycles) {}

  std::uint64_t array(const Piece& p) const { return p.array + reconfigure; }
  Step step_of(const Piece& p) const {
    return {std::max(array(p), p.dequantise),
            (weights_outer ? 0 : p.weight) + (weights_outer || sums_outer ? p.activation : 0),
            p.result};
  }
  /// A step, the load of the one behind it and its own result.
  std::uint64_t step_cycles(const Step& s, const Step& next) const {
    if (s.result == 0) {  // most steps, so worth asking
      return inner_whole ? s.busy + dram.alone(next.load) : std::max(s.busy, dram.alone(next.load));
    }
    if (inner_whole) return std::max(s.busy, dram.alone(s.result)) + dram.alone(next.load);
    return std::max(
        {s.busy, dram.alone(next.load), dram.alone(s.result), dram.moving(next.load + s.result)});
  }
  std::uint64_t round_cycles(const Round& round, std::uint64_t outer_load) const {
    if (outer_whole)
      return std::max(round.cycles, dram.moving(round.bytes)) + dram.alone(outer_load);
    return std::max({round.cycles, dram.alone(outer_load), dram.moving(round.bytes + outer_load)});
  }
  void add_round(const Round& round, std::uint64_t outer_load, std::uint64_t count) {
    last_cycles = round_cycles(round, outer_load);
    sum += last_cycles * count;
    last = round;
  }
  void add_steps(Round& round, const Step& s, const Step& next, std::uint64_t count) const {
    if (count == 0) return;
    round.cycles += step_cycles(s, next) * count;
    round.bytes += (next.load + s.result) * count;
  }
  /// The pieces along one dimension, the first behind the last: another round follows.
  void add_row(Round& round, const Cuts<2>& row, const auto& piece_of) const {
    for (std::size_t i = 0; i < row.used; ++i) {
      const Step step = step_of(piece_of(i));
      add_steps(round, step, step, row[i].count - 1);
      add_steps(round, step, step_of(piece_of((i + 1) % row.used)), 1);
    }
  }

  const DramRates& dram;
  bool weights_outer, sums_outer, inner_whole, outer_whole;
  std::uint64_t reconfigure;  ///< cycles of mode changes, spread over all pieces
  std::uint64_t sum = 0, last_cycles = 0;
  Round last;
};

void GemmCosts::set_cycles(const GemmMapping& map, const TileGrid& grid, MappingCost& cost) const {
  using Step = Rounds::Step;
  using Round = Rounds::Round;
  const bool weights_outer = map.order == LoopOrder::weights_outer;
  const bool sums_outer = map.order == LoopOrder::sums_outer;
  const auto &ms = tiles_.ms, &ns = tiles_.ns;
  const auto& ks = tiles_.ks;
  const auto& pieces = tiles_.pieces;

  // The array empties before it changes its mode: taken as spread over all pieces.
  const std::uint64_t passes = map.order == LoopOrder::reduction_outer ? 1
                               : weights_outer                         ? grid.n
                                                                       : grid.m * grid.n;
  const Piece& first_piece = pieces[0][0][0];
  const Piece& last_piece = pieces[ms.last()][ns.last()][ks.last()];
  const std::uint64_t changes = mode_changes(design_, parts_, passes);
  Rounds rounds(
      dram_, map,
      changes == 0 ? 0 : changes * (design_.reconfigure_cycles + first_piece.tail) / cost.jobs);
  std::uint64_t first_input = first_piece.activation;
  Step last_step = rounds.step_of(last_piece);
  switch (map.order) {
    case LoopOrder::searched:
    case LoopOrder::weights_outer:
      for (std::size_t n = 0; n < ns.used; ++n) {
        for (std::size_t k = 0; k < ks.used; ++k) {
          Round round;
          rounds.add_row(round, ms, [&](std::size_t m) -> const Piece& { return pieces[m][n][k]; });
          rounds.add_round(round, pieces[0][n][k].weight, ns[n].count * ks[k].count);
        }
      }
      break;
    case LoopOrder::rows_outer:
    case LoopOrder::sums_outer:
      for (std::size_t m = 0; m < ms.used; ++m) {
        Round round;
        std::uint64_t input = 0;
        if (!sums_outer) {
          for (std::size_t k = 0; k < ks.used; ++k)
            input += pieces[m][0][k].activation * ks[k].count;
        }
        for (std::size_t n = 0; n < ns.used; ++n) {
          const auto& column = pieces[m][n];
          // Sums are scaled while the next column's tiles run, so that all of them hide it.
          std::uint64_t dequantise = 0;
          for (std::size_t k = 0; k < ks.used; ++k)
            dequantise += column[k].dequantise * ks[k].count;
          dequantise /= grid.k;
          for (std::size_t k = 0; k < ks.used; ++k) {
            Step step = rounds.step_of(column[k]);
            step.busy = std::max(rounds.array(column[k]), dequantise);
            rounds.add_steps(round, step, step, ns[n].count * (ks[k].count - 1));
            if (k != ks.last()) {
              rounds.add_steps(round, step, rounds.step_of(column[k + 1]), ns[n].count);
            } else {
              rounds.add_steps(round, step, rounds.step_of(column[0]), ns[n].count - 1);
              rounds.add_steps(round, step, rounds.step_of(pieces[m][(n + 1) % ns.used][0]), 1);
            }
            last_step = step;
          }
        }
        rounds.add_round(round, input, ms[m].count);
        if (m == 0 && !sums_outer) first_input = input;
      }
      break;
    case LoopOrder::reduction_outer:
      for (std::size_t k = 0; k < ks.used; ++k) {
        for (std::size_t m = 0; m < ms.used; ++m) {
          Round round;
          rounds.add_row(round, ns, [&](std::size_t n) -> const Piece& { return pieces[m][n][k]; });
          rounds.add_round(round, pieces[m][0][k].activation, ms[m].count * ks[k].count);
        }
      }
      break;
  }
  const bool by_weights = weights_outer || map.order == LoopOrder::searched;
  const Step first_step = rounds.step_of(
      by_weights ? pieces[0][ns.last()][ks.last()]
                 : pieces[ms.last()][0][map.order == LoopOrder::reduction_outer ? ks.last() : 0]);
  // The last round has no successor to load for, its last step neither.
  Round ending = rounds.last;
  ending.cycles -= rounds.step_cycles(last_step, first_step) - last_step.busy;
  ending.bytes -= first_step.load + last_step.result;
  const std::uint64_t first_weight =
      dram_.alone(first_input + first_piece.weight) - dram_.alone(first_input);
  cost.first_load_cycles = first_weight / kFirstLoadHidden;
  cost.cycles = dram_.alone(first_input) + (first_weight - cost.first_load_cycles) + rounds.sum -
                rounds.last_cycles + std::max(ending.cycles, dram_.moving(ending.bytes)) +
                last_piece.tail + dram_.alone(last_piece.result);
  if (cost.weight_bytes + cost.input_bytes > 0) {
    cost.cycles += dram_.refresh_wait(cost.cycles, cost.jobs);
  }
}

}  // namespace systole::sim
