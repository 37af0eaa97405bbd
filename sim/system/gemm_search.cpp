// The Mapper: which tiles and loop order, and the closed form by which it chooses.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "pe/dequantiser.hpp"
#include "pe/multi_array.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"
#include "sim/system/mapping.hpp"
#include "sim/system/pricing.hpp"

namespace systole::sim {
namespace {

using configs::Dataflow;
using configs::LoopOrder;
using configs::Objective;
using workloads::Operation;

/// More pieces of one operation than this are a slip of the keyboard, and would not fit memory.
constexpr std::uint64_t kMaxJobs = std::uint64_t{1} << 20;

/// One part in so many of the first weight tile's load hides behind the operation before. All of it
/// would where DRAM had nothing else to do, none where it is what everybody waits for; a quarter is
/// what no shipped machine loses by (tests/system/golden: none hidden costs one of them 0.9 %, all
/// hidden costs another 0.8 %).
constexpr std::uint64_t kFirstLoadHidden = 4;

/// The counters that have a price, and of which component and scratchpad.
struct PricedCount {
  std::uint64_t WorkCounts::*count;
  const char* event;
  const configs::ScratchpadConfig configs::MemoryConfig::*words;  ///< bytes count as its words
};
constexpr PricedCount kPricedCounts[] = {
    {&WorkCounts::mac_passes, "array.mac_pass", nullptr},
    {&WorkCounts::edge_weight_words, "array.edge_weight_word", nullptr},
    {&WorkCounts::edge_activation_words, "array.edge_activation_word", nullptr},
    {&WorkCounts::edge_results, "array.edge_result", nullptr},
    {&WorkCounts::dequantise_fma, "dequantiser.scale_add", nullptr},
    {&WorkCounts::weight_read_bytes, "weight_scratchpad.read_word", &configs::MemoryConfig::weight},
    {&WorkCounts::weight_write_bytes, "weight_scratchpad.write_word",
     &configs::MemoryConfig::weight},
    {&WorkCounts::activation_read_bytes, "activation_scratchpad.read_word",
     &configs::MemoryConfig::activation},
    {&WorkCounts::activation_write_bytes, "activation_scratchpad.write_word",
     &configs::MemoryConfig::activation},
    {&WorkCounts::output_read_bytes, "output_scratchpad.read_word", &configs::MemoryConfig::output},
    {&WorkCounts::output_write_bytes, "output_scratchpad.write_word",
     &configs::MemoryConfig::output},
};

/// How often a tile repeats along a dimension: the full ones, and a smaller one at the edge.
struct Cut {
  std::uint64_t size = 0, count = 0;
  const GemmPart* part = nullptr;  ///< along the reduction: which
};
template <std::size_t kMost>
struct Cuts {
  std::array<Cut, kMost> cuts;
  std::size_t used = 0;

  void add(std::uint64_t size, std::uint64_t count, const GemmPart* part = nullptr) {
    if (count > 0) cuts[used++] = {size, count, part};
  }
  const Cut* begin() const { return cuts.data(); }
  const Cut* end() const { return cuts.data() + used; }
  const Cut& first() const { return cuts[0]; }
  const Cut& last() const { return cuts[used - 1]; }
};

Cuts<2> cut(std::uint64_t whole, std::uint64_t tile) {
  Cuts<2> cuts;
  cuts.add(tile, whole / tile);
  if (whole % tile != 0) cuts.add(whole % tile, 1);
  return cuts;
}

std::uint64_t tiles_of(const GemmPart& part, std::uint64_t k_tile) {
  return ceil_div(part.k, k_tile);
}
std::uint64_t k_tiles_of(const GemmParts& parts, std::uint64_t k_tile) {
  std::uint64_t tiles = 0;
  for (const GemmPart& part : parts) tiles += tiles_of(part, k_tile);
  return tiles;
}
std::uint64_t longest_of(const GemmParts& parts) {
  return std::ranges::max_element(parts, {}, &GemmPart::k)->k;
}

/// The last tile of each part apart, edge or not: it finishes the part's sums.
using ReductionCuts = Cuts<2 * kMaxWeightParts>;
ReductionCuts cut_reduction(const GemmParts& parts, std::uint64_t k_tile) {
  ReductionCuts cuts;
  for (const GemmPart& part : parts) {
    const std::uint64_t tiles = tiles_of(part, k_tile);
    cuts.add(k_tile, tiles - 1, &part);
    cuts.add(part.k - (tiles - 1) * k_tile, 1, &part);
  }
  return cuts;
}

/// Bytes of a weight tile as scheduled: columns first, then the depth of these.
std::uint64_t weight_bytes(const Operation& op, const GemmPart& part, std::uint64_t n,
                           std::uint64_t k) {
  return slice(slice(part.bytes, 0, n, op.n).bytes, 0, k, part.k).bytes;
}

/// How often the array changes its mode, wherever two neighbouring parts differ in it: along each
/// of `passes` through the reduction and from one to the next.
std::uint64_t mode_changes(const pe::PeDesign& design, const GemmParts& parts,
                           std::uint64_t passes) {
  const auto mode = [&](const GemmPart& part) {
    return design.mode(part.operands.stationary, part.operands.moving);
  };
  std::uint64_t within = 0;
  for (std::size_t i = 1; i < parts.size(); ++i) within += mode(parts[i]) != mode(parts[i - 1]);
  const std::uint64_t between = mode(parts.back()) != mode(parts.front());
  return passes * within + (passes - 1) * between;
}

std::uint64_t input_bytes(const Operation& op, std::uint64_t m, std::uint64_t k) {
  return slice(slice(op.input_bytes, 0, m, op.m).bytes, 0, k, op.k).bytes;
}

/// Slices that start elsewhere may be a byte or two larger than the first.
std::uint64_t with_slack(std::uint64_t bytes, bool whole) { return bytes + (whole ? 0 : 2); }

struct Footprint {
  std::uint64_t weight = 0, activation = 0, sums = 0;  ///< bytes
};

Footprint footprint(const Operation& op, const GemmParts& parts, const GemmMapping& map) {
  Footprint bytes;
  const std::uint64_t k_tiles = k_tiles_of(parts, map.k_tile);
  for (const GemmPart& part : parts) {
    const std::uint64_t depth = std::min(map.k_tile, part.k);
    bytes.weight = std::max(bytes.weight, weight_bytes(op, part, map.n_tile, depth));
  }
  bytes.weight = with_slack(bytes.weight, map.n_tile == op.n && k_tiles == 1);
  const std::uint64_t depth = map.order == LoopOrder::rows_outer ? op.k : map.k_tile;
  bytes.activation =
      with_slack(input_bytes(op, map.m_tile, depth), map.m_tile == op.m && depth == op.k);
  const bool cut_k = k_tiles > 1;
  const bool all_rows =
      map.order == LoopOrder::weights_outer || map.order == LoopOrder::reduction_outer;
  const std::uint64_t rows = cut_k && all_rows ? op.m : map.m_tile;
  const std::uint64_t columns =
      cut_k && map.order == LoopOrder::reduction_outer ? op.n : map.n_tile;
  bytes.sums = rows * columns * kAccumulatorBytes;
  return bytes;
}

std::uint64_t jobs_of(const Operation& op, const GemmParts& parts, const GemmMapping& map) {
  return ceil_div(op.m, map.m_tile) * ceil_div(op.n, map.n_tile) * k_tiles_of(parts, map.k_tile);
}

/// Sizes worth trying along a dimension: `unit` times the powers of two, equal parts rounded up to
/// `unit`, and all of it.
std::set<std::uint64_t> sizes_of(std::uint64_t whole, std::uint64_t unit) {
  std::set<std::uint64_t> sizes{whole};
  for (std::uint64_t size = unit; size < whole; size *= 2) sizes.insert(size);
  for (const std::uint64_t parts : {2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32}) {
    sizes.insert(std::min(whole, ceil_div(ceil_div(whole, parts), unit) * unit));
  }
  return sizes;
}

/// The largest multiple of `unit` of which `bytes` each fit `room`; 0 where not even one does.
std::uint64_t largest(std::uint64_t room, double bytes, std::uint64_t unit) {
  return static_cast<std::uint64_t>(static_cast<double>(room) / std::max(bytes, 1e-9)) / unit *
         unit;
}

std::string shape_text(std::uint64_t m, std::uint64_t n, std::uint64_t k) {
  return std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k);
}

/// What one kind of tile asks of the machine.
struct Piece {
  std::uint64_t array = 0, dequantise = 0;  ///< cycles
  std::uint64_t tail = 0;  ///< cycles in which results leave while the next piece may run
  std::uint64_t weight = 0, activation = 0, result = 0;  ///< DRAM bytes, where they move
};

}  // namespace

pe::GemmShape Mapper::shape_of(std::uint64_t m, std::uint64_t n, std::uint64_t k,
                               const ArrayOperands& operands) const {
  pe::GemmShape shape{m, n, k, operands.group, operands.stationary, operands.moving};
  shape.stall = expected_stall_cycles(machine_.array, design_, shape,
                                      {observations_.weight, observations_.activation});
  return shape;
}

Mapper::Mapper(const configs::MachineConfig& machine, const pe::PeDesign& design,
               const Observations& observations)
    : machine_(machine), design_(design), observations_(observations), kv_states_(machine) {
  // A machine without prices (a paper's, in time) is ranked by cycles alone.
  const bool has_prices = !machine.energy.pes.empty();
  SYSTOLE_CHECK(has_prices || machine.mapping.objective == Objective::cycles,
                "a mapping by energy needs prices");
  const std::optional<PriceList> prices =
      has_prices ? std::optional<PriceList>(std::in_place, machine) : std::nullopt;
  const auto price = [&](const char* event) {
    EventCounts one;
    one.add(event, 1);
    double pj = 0;
    if (!prices) return pj;
    for (const auto& [component, value] : prices->dynamic_pj(one)) pj += value;
    return pj;
  };
  for (const PricedCount& priced : kPricedCounts) count_pj_.push_back(price(priced.event));
  const configs::MemoryConfig& memory = machine.memory;
  const configs::DramConfig& dram = memory.dram;
  const double activate = price("dram.activate") / dram.row_bytes;
  dram_read_pj_ = 8 * price("dram.read_bit") + activate;
  dram_write_pj_ = 8 * price("dram.write_bit") + activate;

  const ClockDomain clock(machine.clock_mhz);
  if (prices) {
    for (const ComponentRow& part : prices->components({}, clock.time(Cycles(1)))) {
      standing_pj_per_cycle_ += part.static_pj;
    }
  }
  const double clocks_per_cycle = dram.clock_mhz / machine.clock_mhz;
  standing_pj_per_cycle_ += dram.refresh_pj * memory.channels * clocks_per_cycle / dram.refi;

  const double awake = 1.0 - static_cast<double>(dram.rfc) / dram.refi;
  dram_bytes_per_cycle_ = machine.peak_dram_bytes_per_cycle() * awake;
  channel_bytes_per_cycle_ = machine.peak_dram_bytes_per_cycle() / memory.channels;
  refresh_cycles_ = dram.rfc / clocks_per_cycle;
  refresh_interval_cycles_ = dram.refi / clocks_per_cycle;
  dram_latency_ = static_cast<std::uint64_t>(
      std::ceil((dram.rcd_read + dram.cl + dram.burst_clocks) / clocks_per_cycle));
  // No more than the outstanding segments arrive in one latency, nor than the engines' links take.
  const double engines = memory.dma.engines;
  const double in_flight =
      engines * static_cast<double>(memory.dma.outstanding) * memory.dma.segment_bytes;
  if (memory.noc.kind != configs::NocKind::none) {
    dram_latency_ += 2 * memory.noc.hop_cycles;
    dram_bytes_per_cycle_ =
        std::min(dram_bytes_per_cycle_, engines * static_cast<double>(memory.noc.link_bytes));
  }
  dram_bytes_per_cycle_ = std::min(
      dram_bytes_per_cycle_, in_flight / (static_cast<double>(dram_latency_) +
                                          memory.dma.segment_bytes / channel_bytes_per_cycle_));
}

MappingCost Mapper::cost(const Operation& op, const GemmParts& parts,
                         const GemmMapping& map) const {
  const configs::MemoryConfig& memory = machine_.memory;
  const bool load_input = !stays_on_chip(machine_, op.input_bytes);
  const bool store_output = !stays_on_chip(machine_, op.output_bytes);
  const std::uint64_t m_tiles = ceil_div(op.m, map.m_tile), n_tiles = ceil_div(op.n, map.n_tile);
  const std::uint64_t k_tiles = k_tiles_of(parts, map.k_tile);
  const Cuts<2> ms = cut(op.m, map.m_tile), ns = cut(op.n, map.n_tile);
  const ReductionCuts ks = cut_reduction(parts, map.k_tile);
  const bool weights_outer = map.order == LoopOrder::weights_outer;
  const bool sums_outer = map.order == LoopOrder::sums_outer;  // both operands pass

  MappingCost cost;
  cost.jobs = m_tiles * n_tiles * k_tiles;
  WorkCounts& total = cost.counts;
  std::array<std::array<std::array<Piece, 2 * kMaxWeightParts>, 2>, 2> pieces;
  const auto index = [](const auto& cuts, const Cut& part) {
    return static_cast<std::size_t>(&part - cuts.begin());
  };
  const auto piece = [&](const Cut& m, const Cut& n, const Cut& k) -> Piece& {
    return pieces[index(ms, m)][index(ns, n)][index(ks, k)];
  };
  for (const Cut& m : ms) {
    for (const Cut& n : ns) {
      for (const Cut& k : ks) {
        Piece& p = piece(m, n, k);
        const std::uint64_t times = m.count * n.count * k.count;
        const GemmPart& part = *k.part;
        const ArrayOperands& operands = part.operands;
        const bool last = &k == &ks.last();
        const bool ends_part = last || (&k)[1].part != &part;
        p.weight = weight_bytes(op, part, n.size, k.size);
        p.activation = load_input ? input_bytes(op, m.size, k.size) : 0;
        const TileWork tile(
            machine_,
            pe::arrays_work(machine_.array, design_, shape_of(m.size, n.size, k.size, operands)),
            {m.size, n.size, k.size, 1, weights_outer ? 0 : p.weight,
             weights_outer || sums_outer ? p.activation : 0});
        p.array = tile.occupied_cycles();
        p.tail = tile.tail_cycles();
        total.macs += m.size * n.size * k.size * times;
        total.mac_passes += tile.work.mac_passes * times;
        count_edge(total, design_, tile.work, times);
        total.weight_read_bytes += tile.weight_bytes * times;
        total.activation_read_bytes += tile.activation_bytes * times;
        total.output_read_bytes += tile.sum_read_bytes * times;
        total.output_write_bytes += tile.sum_write_bytes * times;

        pe::DequantiseWork sums, elements;
        if (design_.sums_by_group) {
          const std::uint64_t groups =
              operands.group == 0 ? (ends_part ? 1 : 0) : ceil_div(k.size, operands.group);
          sums = scale_work(machine_, m.size * n.size, groups, part.affine, last);
        }
        if (operands.dequantise_elements) elements.multiply_adds = n.size * k.size;
        p.dequantise = pe::dequantise_cycles(machine_.dequantiser, sums) +
                       pe::dequantise_cycles(machine_.dequantiser, elements);
        cost.dequantise_cycles += p.dequantise * times;
        total.dequantise_fma += (sums.operations() + elements.operations()) * times;

        if (last && store_output) {
          p.result = slice(slice(op.output_bytes, 0, m.size, op.m).bytes, 0, n.size, op.n).bytes;
        }
      }
    }
  }
  // The array empties before it changes its mode: taken as spread over all pieces.
  const std::uint64_t passes = map.order == LoopOrder::reduction_outer ? 1
                               : weights_outer                         ? n_tiles
                                                                       : m_tiles * n_tiles;
  if (const std::uint64_t changes = mode_changes(design_, parts, passes); changes > 0) {
    const std::uint64_t each =
        design_.reconfigure_cycles + piece(ms.first(), ns.first(), ks.first()).tail;
    for (auto& rows : pieces) {
      for (auto& columns : rows) {
        for (Piece& p : columns) p.array += changes * each / cost.jobs;
      }
    }
  }
  const std::uint64_t weight_total = op.stationary_region.bytes * (weights_outer ? 1 : m_tiles);
  const std::uint64_t input_total =
      load_input ? op.input_bytes * (weights_outer || sums_outer ? n_tiles : 1) : 0;
  const std::uint64_t result_total = store_output ? op.output_bytes : 0;
  total.weight_write_bytes += weight_total;
  total.activation_write_bytes += input_total + (store_output ? 0 : op.output_bytes);
  total.output_read_bytes += op.m * op.n * kAccumulatorBytes;
  std::uint64_t carried = 0;
  for (const GemmPart& part : parts) {
    carried += (tiles_of(part, map.k_tile) - 1) *
               carried_sum_bytes(part.operands, op.m * op.n, map.k_tile);
  }
  total.output_read_bytes += carried;
  if (machine_.array.dataflow == Dataflow::output_stationary) total.output_write_bytes += carried;
  cost.weight_bytes = weight_total;
  cost.input_bytes = input_total;
  cost.result_bytes = result_total;
  cost.dram_bytes = weight_total + input_total + result_total;

  // Transfers: at bandwidth when others are in flight, one access later alone.
  const auto moving = [&](std::uint64_t bytes) {
    const auto b = static_cast<double>(bytes);
    const double one_channel = std::min<double>(b, memory.interleave_bytes);
    return static_cast<std::uint64_t>(
        std::ceil(std::max(b / dram_bytes_per_cycle_, one_channel / channel_bytes_per_cycle_)));
  };
  const auto alone = [&](std::uint64_t bytes) {
    return bytes == 0 ? 0 : dram_latency_ + moving(bytes);
  };

  // The outer operand waits over the inner loop, in which the other passes.
  struct Step {
    std::uint64_t busy = 0;    ///< array and dequantiser
    std::uint64_t load = 0;    ///< bytes of the passing operand
    std::uint64_t result = 0;  ///< bytes
  };
  const bool inner_whole = weights_outer ? map.whole_activation
                                         : map.whole_weight || (sums_outer && map.whole_activation);
  const bool outer_whole = weights_outer ? map.whole_weight : map.whole_activation && !sums_outer;
  const auto step_of = [&](const Piece& p) {
    return Step{std::max(p.array, p.dequantise),
                (weights_outer ? 0 : p.weight) + (weights_outer || sums_outer ? p.activation : 0),
                p.result};
  };
  /// A step, the load of the one behind it and its own result.
  const auto step_cycles = [&](const Step& s, const Step& next) {
    if (inner_whole) return std::max(s.busy, alone(s.result)) + alone(next.load);
    return std::max({s.busy, alone(next.load), alone(s.result), moving(next.load + s.result)});
  };
  struct Round {
    std::uint64_t cycles = 0, bytes = 0;  ///< of all its steps
  };
  const auto round_cycles = [&](const Round& round, std::uint64_t outer_load) {
    if (outer_whole) return std::max(round.cycles, moving(round.bytes)) + alone(outer_load);
    return std::max({round.cycles, alone(outer_load), moving(round.bytes + outer_load)});
  };
  std::uint64_t sum = 0, last_round = 0, first_input = 0;
  Round final_round;
  const auto add_round = [&](const Round& round, std::uint64_t outer_load, std::uint64_t count) {
    last_round = round_cycles(round, outer_load);
    sum += last_round * count;
    final_round = round;
  };
  const auto add_steps = [&](Round& round, const Step& s, const Step& next, std::uint64_t count) {
    round.cycles += step_cycles(s, next) * count;
    round.bytes += (next.load + s.result) * count;
  };
  /// The pieces along one dimension, the first behind the last: another round follows.
  const auto add_row = [&](Round& round, const Cuts<2>& row, const auto& piece_of) {
    for (std::size_t i = 0; i < row.used; ++i) {
      const Step step = step_of(piece_of(row.cuts[i]));
      add_steps(round, step, step, row.cuts[i].count - 1);
      add_steps(round, step, step_of(piece_of(row.cuts[(i + 1) % row.used])), 1);
    }
  };
  const Piece& first_piece = piece(ms.first(), ns.first(), ks.first());
  const Piece& last_piece = piece(ms.last(), ns.last(), ks.last());
  Step last_step = step_of(last_piece);
  switch (map.order) {
    case LoopOrder::searched:
    case LoopOrder::weights_outer:
      for (const Cut& n : ns) {
        for (const Cut& k : ks) {
          Round round;
          add_row(round, ms, [&](const Cut& m) { return piece(m, n, k); });
          add_round(round, piece(ms.first(), n, k).weight, n.count * k.count);
        }
      }
      first_input = first_piece.activation;
      break;
    case LoopOrder::rows_outer:
    case LoopOrder::sums_outer:
      for (const Cut& m : ms) {
        Round round;
        std::uint64_t input = 0;
        if (!sums_outer) {
          for (const Cut& k : ks) input += piece(m, ns.first(), k).activation * k.count;
        }
        for (std::size_t i = 0; i < ns.used; ++i) {
          const Cut& n = ns.cuts[i];
          // Sums are scaled while the next column's tiles run, so that all of them hide it.
          std::uint64_t dequantise = 0;
          for (const Cut& k : ks) dequantise += piece(m, n, k).dequantise * k.count;
          for (const Cut& k : ks) {
            Step step = step_of(piece(m, n, k));
            step.busy = std::max(piece(m, n, k).array, dequantise / k_tiles);
            add_steps(round, step, step, n.count * (k.count - 1));
            if (&k != &ks.last()) {
              add_steps(round, step, step_of(piece(m, n, (&k)[1])), n.count);
            } else {
              add_steps(round, step, step_of(piece(m, n, ks.first())), n.count - 1);
              const Cut& next = ns.cuts[(i + 1) % ns.used];
              add_steps(round, step, step_of(piece(m, next, ks.first())), 1);
            }
            last_step = step;
          }
        }
        add_round(round, input, m.count);
        if (first_input == 0) first_input = sums_outer ? first_piece.activation : input;
      }
      break;
    case LoopOrder::reduction_outer:
      for (const Cut& k : ks) {
        for (const Cut& m : ms) {
          Round round;
          add_row(round, ns, [&](const Cut& n) { return piece(m, n, k); });
          add_round(round, piece(m, ns.first(), k).activation, m.count * k.count);
        }
      }
      first_input = first_piece.activation;
      break;
  }
  const Step first_step =
      step_of(map.order == LoopOrder::weights_outer || map.order == LoopOrder::searched
                  ? piece(ms.first(), ns.last(), ks.last())
                  : piece(ms.last(), ns.first(),
                          map.order == LoopOrder::reduction_outer ? ks.last() : ks.first()));
  // The last round has no successor to load for, its last step neither.
  Round ending = final_round;
  ending.cycles -= step_cycles(last_step, first_step) - last_step.busy;
  ending.bytes -= first_step.load + last_step.result;
  const std::uint64_t first_weight = alone(first_input + first_piece.weight) - alone(first_input);
  cost.first_load_cycles = first_weight / kFirstLoadHidden;
  cost.cycles = alone(first_input) + (first_weight - cost.first_load_cycles) + sum - last_round +
                std::max(ending.cycles, moving(ending.bytes)) + last_piece.tail +
                alone(last_piece.result);

  // All channels refresh at once. What is buffered ahead, one step's worth of work, hides the wait.
  const double per_job = static_cast<double>(cost.cycles) / static_cast<double>(cost.jobs);
  if (weight_total + input_total > 0 && per_job < refresh_cycles_) {
    const double refreshes = static_cast<double>(cost.cycles) / refresh_interval_cycles_;
    cost.cycles += static_cast<std::uint64_t>(refreshes * (refresh_cycles_ - per_job));
  }

  cost.energy_pj = static_cast<std::uint64_t>(std::llround(energy_pj(
      total, weight_total + input_total, result_total, cost.cycles + cost.first_load_cycles)));
  return cost;
}

double Mapper::energy_pj(const WorkCounts& counts, std::uint64_t read_bytes,
                         std::uint64_t write_bytes, std::uint64_t cycles) const {
  double pj = standing_pj_per_cycle_ * static_cast<double>(cycles);
  for (std::size_t i = 0; i < std::size(kPricedCounts); ++i) {
    const PricedCount& priced = kPricedCounts[i];
    std::uint64_t count = counts.*(priced.count);
    if (priced.words != nullptr) {
      count = ceil_div(count, (machine_.memory.*(priced.words)).word_bytes);
    }
    pj += count_pj_[i] * static_cast<double>(count);
  }
  return pj + dram_read_pj_ * static_cast<double>(read_bytes) +
         dram_write_pj_ * static_cast<double>(write_bytes);
}

double Mapper::objective(const MappingCost& cost) const {
  const auto cycles = static_cast<double>(cost.cycles),
             energy = static_cast<double>(cost.energy_pj);
  switch (machine_.mapping.objective) {
    case Objective::cycles:
      return cycles;
    case Objective::energy:
      return energy;
    case Objective::edp:
      return cycles * energy;
  }
  return cycles;
}

void Mapper::mark_whole(const Operation& op, const GemmParts& parts, GemmMapping& map) const {
  const Footprint bytes = footprint(op, parts, map);
  map.whole_weight =
      bytes.weight > machine_.memory.weight.half_bytes() || machine_.memory.weight.buffers == 1;
  map.whole_activation = !stays_on_chip(machine_, op.input_bytes) &&
                         (bytes.activation > machine_.memory.activation.half_bytes() ||
                          machine_.memory.activation.buffers == 1);
}

std::optional<Mapper::Misfit> Mapper::misfit(const Operation& op, const GemmParts& parts,
                                             const GemmMapping& map) const {
  const configs::MemoryConfig& memory = machine_.memory;
  for (const GemmPart& part : parts) {
    const std::uint64_t group = part.operands.group;
    if (group != 0 && map.k_tile % group != 0 && map.k_tile < part.k) {
      return Misfit{Misfit::Of::group, map.k_tile, group};
    }
  }
  const Footprint bytes = footprint(op, parts, map);
  if (bytes.weight > memory.weight.capacity_bytes) {
    return Misfit{Misfit::Of::weights, bytes.weight, memory.weight.capacity_bytes};
  }
  if (!stays_on_chip(machine_, op.input_bytes)) {
    // Results that stay on chip need the other half.
    const bool shared = stays_on_chip(machine_, op.output_bytes);
    const std::uint64_t room =
        shared ? memory.activation.half_bytes() : memory.activation.capacity_bytes;
    if (bytes.activation > room) {
      return Misfit{shared ? Misfit::Of::shared_activations : Misfit::Of::activations,
                    bytes.activation, room};
    }
  }
  if (bytes.sums > memory.output.half_bytes()) {
    return Misfit{Misfit::Of::sums, bytes.sums, memory.output.half_bytes()};
  }
  if (const std::uint64_t jobs = jobs_of(op, parts, map); jobs > kMaxJobs) {
    return Misfit{Misfit::Of::jobs, jobs, kMaxJobs};
  }
  return std::nullopt;
}

std::string Mapper::Misfit::path() const { return of == Of::group ? "tile.k" : "tile"; }

std::string Mapper::Misfit::message(const GemmMapping& map) const {
  const auto tiles = [&](const char* what, const char* where) {
    return "found tiles of " + shape_text(map.m_tile, map.n_tile, map.k_tile) + " (m x n x k), " +
           std::to_string(found) + what + "; expected at most " + std::to_string(most) + where;
  };
  switch (of) {
    case Of::group:
      return "found " + std::to_string(found) + "; expected a multiple of the weights' group, " +
             std::to_string(most);
    case Of::weights:
      return tiles(" bytes of weights", ", memory.weight.capacity_bytes");
    case Of::activations:
      return tiles(" bytes of activations", ", memory.activation.capacity_bytes");
    case Of::shared_activations:
      return tiles(" bytes of activations", ", half of memory.activation.capacity_bytes");
    case Of::sums:
      return tiles(" bytes of sums", ", half of memory.output.capacity_bytes");
    case Of::jobs:
      return tiles(" of them", "");
  }
  return "";
}

const configs::FixedMapping* Mapper::fixed_for(const std::string& name, std::string& path) const {
  const auto& fixed = machine_.mapping.fixed;
  auto it = fixed.find(name);
  if (it == fixed.end()) it = fixed.find(std::string(configs::kEveryOperation));
  if (it == fixed.end()) return nullptr;
  path = "mapping.fixed." + it->first;
  return &it->second;
}

std::vector<GemmMapping> Mapper::combinations(const Operation& op, const GemmParts& parts) const {
  const configs::MemoryConfig& memory = machine_.memory;
  std::string path;
  const configs::FixedMapping* fixed = fixed_for(op.name, path);
  const std::uint64_t column_unit = std::min<std::uint64_t>(machine_.array.cols, op.n);
  std::uint64_t group = 1;
  for (const GemmPart& part : parts) group = std::lcm(group, part.operands.group);
  const std::uint64_t longest = longest_of(parts);
  const std::uint64_t depth_unit =
      std::min(longest, group != 0 ? group : std::uint64_t{machine_.array.rows});
  std::set<std::uint64_t> ms = sizes_of(op.m, 1), ns = sizes_of(op.n, column_unit);
  std::set<std::uint64_t> ks = sizes_of(longest, depth_unit);
  const double weight = static_cast<double>(op.stationary_region.bytes) /
                        (static_cast<double>(op.n) * static_cast<double>(op.k));
  const double row = static_cast<double>(op.input_bytes) / static_cast<double>(op.m);
  const auto add = [](std::set<std::uint64_t>& sizes, std::uint64_t size, std::uint64_t whole) {
    if (size > 0 && size < whole) sizes.insert(size);
  };
  // The largest that fit.
  add(ks,
      largest(memory.weight.half_bytes() - 2, weight * static_cast<double>(column_unit),
              depth_unit),
      longest);
  add(ns, largest(memory.weight.half_bytes() - 2, weight * static_cast<double>(op.k), column_unit),
      op.n);
  add(ms, largest(memory.activation.half_bytes() - 2, row, 1), op.m);
  add(ms, largest(memory.activation.half_bytes() - 2, row, machine_.array.rows), op.m);
  for (const std::uint64_t size : {machine_.array.rows, machine_.array.cols}) {
    for (std::uint64_t multiple = size; multiple < op.m && multiple <= 8 * size; multiple += size) {
      ms.insert(multiple);
    }
  }
  const auto settle = [](std::set<std::uint64_t>& sizes, std::uint64_t tile, std::uint64_t whole) {
    if (tile > 0) sizes = {std::min(tile, whole)};
  };
  std::vector<LoopOrder> orders = {LoopOrder::weights_outer, LoopOrder::rows_outer,
                                   LoopOrder::sums_outer, LoopOrder::reduction_outer};
  const bool any_order = fixed == nullptr || fixed->order == LoopOrder::searched;
  if (fixed != nullptr) {
    settle(ms, fixed->tile.m, op.m);
    settle(ns, fixed->tile.n, op.n);
    settle(ks, fixed->tile.k, longest);
    if (!any_order) orders = {fixed->order};
  }
  const bool any_m = fixed == nullptr || fixed->tile.m == 0;
  const bool on_chip = stays_on_chip(machine_, op.input_bytes);

  std::vector<GemmMapping> result;
  for (const std::uint64_t n : ns) {
    std::set<std::uint64_t> rows = ms;
    if (any_m) {  // as many rows as the sums leave room for
      const std::uint64_t room = memory.output.half_bytes() / (n * kAccumulatorBytes);
      add(rows, room, op.m);
      add(rows, room / machine_.array.rows * machine_.array.rows, op.m);
    }
    for (const std::uint64_t k : ks) {
      const bool k_whole = k_tiles_of(parts, k) == 1;
      for (const std::uint64_t m : rows) {
        for (const LoopOrder order : orders) {
          // Loops of the same jobs as rows_outer, which holds more of them on chip.
          const bool one_row_tile = m == op.m && (k_whole || on_chip);
          if (any_order && order == LoopOrder::weights_outer && one_row_tile) continue;
          const bool all_of_k =
              order == LoopOrder::reduction_outer || order == LoopOrder::sums_outer;
          if (any_order && all_of_k && (k_whole || (on_chip && order == LoopOrder::sums_outer)))
            continue;
          GemmMapping map{m, n, k, order, false, false};
          mark_whole(op, parts, map);
          result.push_back(map);
        }
      }
    }
  }
  return result;
}

std::vector<GemmMapping> Mapper::candidates(const Operation& op, const GemmParts& parts) const {
  std::vector<GemmMapping> all = combinations(op, parts);
  std::erase_if(all, [&](const GemmMapping& map) { return misfit(op, parts, map).has_value(); });
  return all;
}

bool Mapper::better(const MappingCost& a, const GemmMapping& x, const MappingCost& b,
                    const GemmMapping& y) const {
  const auto key = [&](const MappingCost& c, const GemmMapping& map) {
    return std::tuple(objective(c), c.cycles, c.first_load_cycles, c.energy_pj, c.dram_bytes,
                      c.jobs, map.order, ~map.n_tile, ~map.m_tile, ~map.k_tile);
  };
  return key(a, x) < key(b, y);
}

void Mapper::refuse(const Operation& op, const GemmParts& parts) const {
  // The smallest tiles say what is in the way.
  const std::vector<GemmMapping> all = combinations(op, parts);
  const GemmMapping& smallest = *std::ranges::min_element(all, {}, [&](const GemmMapping& map) {
    const Footprint bytes = footprint(op, parts, map);
    return bytes.weight + bytes.activation + bytes.sums;
  });
  const Misfit why = misfit(op, parts, smallest).value();
  std::string path;
  const configs::FixedMapping* fixed = fixed_for(op.name, path);
  const std::string operation =
      "operation '" + op.name + "' (" + shape_text(op.m, op.n, op.k) + ")";
  if (fixed == nullptr) {
    throw ConfigError(operation + " does not fit machine '" + machine_.name +
                      "', however it is cut: " + why.message(smallest));
  }
  const std::string place =
      fixed->origin.place.empty() ? "machine '" + machine_.name + "'" : fixed->origin.place;
  throw ConfigError(place + ": " + path + "." + why.path() + ": " + why.message(smallest) + "; " +
                    operation);
}

const MappedGemm& Mapper::map(const Operation& op, const GemmParts& parts) {
  std::string key = machine_.mapping.fixed.empty() ? "" : op.name;
  for (const std::uint64_t value :
       {op.m, op.n, op.k, op.input_bytes, op.output_bytes, op.stationary_region.bytes}) {
    key += ',' + std::to_string(value);
  }
  for (const GemmPart& part : parts) {
    const ArrayOperands& operands = part.operands;
    for (const std::uint64_t value :
         {part.k, part.bytes, operands.group, std::uint64_t{operands.dequantise_elements},
          static_cast<std::uint64_t>(operands.stationary),
          static_cast<std::uint64_t>(operands.moving)}) {
      key += ',' + std::to_string(value);
    }
  }
  if (const auto it = known_.find(key); it != known_.end()) return it->second;

  MappedGemm best;
  std::string path;
  best.fixed = fixed_for(op.name, path) != nullptr;
  bool any = false;
  for (const GemmMapping& map : candidates(op, parts)) {
    const MappingCost cost = this->cost(op, parts, map);
    if (!any || better(cost, map, best.cost, best.mapping)) {
      if (any) {
        best.runner_up = best.mapping;
        best.runner_up_cost = best.cost;
      }
      best.mapping = map;
      best.cost = cost;
      any = true;
    } else if (!best.runner_up || better(cost, map, best.runner_up_cost, *best.runner_up)) {
      best.runner_up = map;
      best.runner_up_cost = cost;
    }
  }
  if (!any) refuse(op, parts);
  return known_.emplace(std::move(key), best).first->second;
}

pe::DequantiseWork scale_work(const configs::MachineConfig& machine, std::uint64_t outputs,
                              std::uint64_t groups, quant::Affine affine, bool last) {
  if (machine.dequantiser.place == configs::DequantisePlace::pe) return {};
  pe::DequantiseWork work = pe::dequantise_work(outputs, groups, affine);
  if (!last) work.multiplies = 0;
  return work;
}

std::uint64_t carried_sum_bytes(const ArrayOperands& operands, std::uint64_t outputs,
                                std::uint64_t k0) {
  return k0 == 0 || operands.group != 0 ? 0 : outputs * kAccumulatorBytes;
}

void check_fixed_names(const configs::MachineConfig& machine, const workloads::Program& program) {
  std::set<std::string> names;
  for (const workloads::Step& step : program.steps) {
    for (const workloads::Segment& segment : step.segments) {
      for (const Operation& op : segment.operations) {
        if (op.kind != workloads::OpKind::vector) names.insert(op.name);
      }
    }
  }
  for (const auto& [name, fixed] : machine.mapping.fixed) {
    if (name == configs::kEveryOperation || names.contains(name)) continue;
    std::string known(configs::kEveryOperation);
    for (const std::string& other : names) known += ", " + other;
    const std::string place =
        fixed.origin.place.empty() ? "machine '" + machine.name + "'" : fixed.origin.place;
    throw ConfigError(place + ": mapping.fixed." + name + ": no product of model '" +
                      program.model + "'; expected one of " + known);
  }
}

}  // namespace systole::sim
