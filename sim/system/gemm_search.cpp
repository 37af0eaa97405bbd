// The Mapper: which tiles and loop order.
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
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"
#include "sim/system/gemm_cost.hpp"
#include "sim/system/gemm_searches.hpp"
#include "sim/system/mapping.hpp"
#include "sim/system/pricing.hpp"
#include "sim/system/region_timings.hpp"

namespace systole::sim {
namespace {

using configs::Dataflow;
using configs::LoopOrder;
using configs::Objective;
using workloads::Operation;

/// More pieces of one operation than this are a slip of the keyboard, and would not fit memory.
constexpr std::uint64_t kMaxJobs = std::uint64_t{1} << 20;

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

std::uint64_t longest_of(const GemmParts& parts) {
  return std::ranges::max_element(parts, {}, &GemmPart::k)->k;
}

/// Slices that start elsewhere may be a byte or two larger than the first.
std::uint64_t with_slack(std::uint64_t bytes, bool whole) { return bytes + (whole ? 0 : 2); }

struct Footprint {
  std::uint64_t weight = 0, activation = 0, sums = 0;  ///< bytes
};

std::uint64_t weight_footprint(const Operation& op, const GemmParts& parts, std::uint64_t n_tile,
                               std::uint64_t k_tile, std::uint64_t k_tiles) {
  std::uint64_t bytes = 0;
  for (const GemmPart& part : parts) {
    // Columns first, then the depth of these, as scheduled.
    const std::uint64_t columns = slice(part.bytes, 0, n_tile, op.n).bytes;
    bytes = std::max(bytes, slice(columns, 0, std::min(k_tile, part.k), part.k).bytes);
  }
  return with_slack(bytes, n_tile == op.n && k_tiles == 1);
}

std::uint64_t activation_footprint(const Operation& op, std::uint64_t m_tile, std::uint64_t depth) {
  const std::uint64_t rows = slice(op.input_bytes, 0, m_tile, op.m).bytes;
  return with_slack(slice(rows, 0, depth, op.k).bytes, m_tile == op.m && depth == op.k);
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

}  // namespace

pe::GemmShape Mapper::shape_of(std::uint64_t m, std::uint64_t n, std::uint64_t k,
                               const ArrayOperands& operands) const {
  pe::GemmShape shape{m, n, k, operands.group, operands.stationary, operands.moving};
  shape.stall = expected_stall_cycles(machine_.array, design_, shape,
                                      {observations_.weight, observations_.activation});
  return shape;
}

bool no_more_priced(const WorkCounts& a, const WorkCounts& b) {
  return std::ranges::all_of(kPricedCounts, [&](const PricedCount& priced) {
    return a.*(priced.count) <= b.*(priced.count);
  });
}

Mapper::Mapper(const configs::MachineConfig& machine, const pe::PeDesign& design,
               const Observations& observations, GemmSearches* searches)
    : machine_(machine),
      design_(design),
      observations_(observations),
      dram_(machine),
      searches_(searches),
      kv_states_(machine) {
  if (searches != nullptr) priceless_ = priceless_digest(machine);
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
}

MappingCost Mapper::cost(const Operation& op, const GemmParts& parts,
                         const GemmMapping& map) const {
  MappingCost cost = GemmCosts(*this, dram_, op, parts)(map, tile_grid(op, parts, map));
  price(cost);
  return cost;
}

void Mapper::price(MappingCost& cost) const {
  cost.energy_pj = static_cast<std::uint64_t>(
      std::llround(energy_pj(cost.counts, cost.weight_bytes + cost.input_bytes, cost.result_bytes,
                             cost.cycles + cost.first_load_cycles)));
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

void Mapper::mark_whole(const Footprint& bytes, bool loads_input, GemmMapping& map) const {
  const configs::MemoryConfig& memory = machine_.memory;
  map.whole_weight = bytes.weight > memory.weight.half_bytes() || memory.weight.buffers == 1;
  map.whole_activation = loads_input && (bytes.activation > memory.activation.half_bytes() ||
                                         memory.activation.buffers == 1);
}

std::optional<Mapper::Misfit> Mapper::misfit(const Operation& op, const GemmParts& parts,
                                             const Combination& tried) const {
  const configs::MemoryConfig& memory = machine_.memory;
  const Footprint& bytes = tried.bytes;
  for (const GemmPart& part : parts) {
    const std::uint64_t group = part.operands.group;
    if (group != 0 && tried.map.k_tile < part.k && tried.map.k_tile % group != 0) {
      return Misfit{Misfit::Of::group, tried.map.k_tile, group};
    }
  }
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
  if (tried.grid.jobs() > kMaxJobs) {
    return Misfit{Misfit::Of::jobs, tried.grid.jobs(), kMaxJobs};
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

void Mapper::each_combination(const Operation& op, const GemmParts& parts,
                              const auto& visit) const {
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

  // The largest first: they move least, so that what they cost rules most others out.
  const auto largest_first = [](const std::set<std::uint64_t>& sizes) {
    return std::vector<std::uint64_t>(sizes.rbegin(), sizes.rend());
  };
  const std::vector<std::uint64_t> depths = largest_first(ks);
  for (const std::uint64_t n : largest_first(ns)) {
    std::set<std::uint64_t> rows = ms;
    if (any_m) {  // as many rows as the sums leave room for
      const std::uint64_t room = memory.output.half_bytes() / (n * kAccumulatorBytes);
      add(rows, room, op.m);
      add(rows, room / machine_.array.rows * machine_.array.rows, op.m);
    }
    const std::vector<std::uint64_t> heights = largest_first(rows);
    for (const std::uint64_t k : depths) {
      Combination tried;
      tried.grid = {0, ceil_div(op.n, n), k_tiles_of(parts, k)};
      const bool k_whole = tried.grid.k == 1;
      tried.bytes.weight = weight_footprint(op, parts, n, k, tried.grid.k);
      for (const std::uint64_t m : heights) {
        tried.grid.m = ceil_div(op.m, m);
        const std::uint64_t slice_of_rows = activation_footprint(op, m, k);
        for (const LoopOrder order : orders) {
          // Loops of the same jobs as rows_outer, which holds more of them on chip.
          const bool one_row_tile = m == op.m && (k_whole || on_chip);
          if (any_order && order == LoopOrder::weights_outer && one_row_tile) continue;
          const bool all_of_k =
              order == LoopOrder::reduction_outer || order == LoopOrder::sums_outer;
          if (any_order && all_of_k && (k_whole || (on_chip && order == LoopOrder::sums_outer)))
            continue;
          tried.map = {m, n, k, order, false, false};
          tried.bytes.activation =
              order == LoopOrder::rows_outer ? activation_footprint(op, m, op.k) : slice_of_rows;
          tried.bytes.sums = open_sum_bytes(op, tried.map, !k_whole);
          mark_whole(tried.bytes, !on_chip, tried.map);
          visit(tried);
        }
      }
    }
  }
}

std::vector<GemmMapping> Mapper::candidates(const Operation& op, const GemmParts& parts) const {
  std::vector<GemmMapping> all;
  each_combination(op, parts, [&](const Combination& tried) {
    if (!misfit(op, parts, tried)) all.push_back(tried.map);
  });
  std::ranges::sort(all, {}, [](const GemmMapping& map) {
    return std::tuple(map.n_tile, map.k_tile, map.m_tile, map.order);
  });
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
  std::optional<Combination> smallest;
  const auto size = [](const Footprint& bytes) {
    return bytes.weight + bytes.activation + bytes.sums;
  };
  each_combination(op, parts, [&](const Combination& tried) {
    if (!smallest || size(tried.bytes) < size(smallest->bytes)) smallest = tried;
  });
  const Misfit why = misfit(op, parts, smallest.value()).value();
  std::string path;
  const configs::FixedMapping* fixed = fixed_for(op.name, path);
  const std::string operation =
      "operation '" + op.name + "' (" + shape_text(op.m, op.n, op.k) + ")";
  if (fixed == nullptr) {
    throw ConfigError(operation + " does not fit machine '" + machine_.name +
                      "', however it is cut: " + why.message(smallest->map));
  }
  const std::string place =
      fixed->origin.place.empty() ? "machine '" + machine_.name + "'" : fixed->origin.place;
  throw ConfigError(place + ": " + path + "." + why.path() + ": " + why.message(smallest->map) +
                    "; " + operation);
}

void Mapper::rank(const GemmMapping& map, const MappingCost& cost, MappedGemm& found) const {
  const bool none = found.mapping.m_tile == 0;
  if (none || better(cost, map, found.cost, found.mapping)) {
    if (!none) {
      found.runner_up = found.mapping;
      found.runner_up_cost = found.cost;
    }
    found.mapping = map;
    found.cost = cost;
  } else if (!found.runner_up || better(cost, map, found.runner_up_cost, *found.runner_up)) {
    found.runner_up = map;
    found.runner_up_cost = cost;
  }
}

MappedGemm Mapper::search(const Operation& op, const GemmParts& parts, const ShapeKey& shape) {
  MappedGemm found;
  const GemmSearches::Key key{priceless_, shape};
  if (searches_ != nullptr) {
    if (const auto* contenders = searches_->find(key)) {
      for (const GemmSearches::Contender& contender : *contenders) {
        MappingCost cost = contender.cost;
        price(cost);
        rank(contender.mapping, cost, found);
      }
      return found;
    }
  }
  const bool keep = searches_ != nullptr && searches_->wanted(key);
  std::vector<GemmSearches::Contender> all;
  GemmCosts costs(*this, dram_, op, parts);
  const bool by_energy = machine_.mapping.objective != Objective::cycles;
  each_combination(op, parts, [&](const Combination& tried) {
    if (misfit(op, parts, tried)) return;
    const GemmMapping& map = tried.map;
    MappingCost cost = costs.least(map, tried.grid);
    if (found.runner_up && !keep) {
      if (by_energy) price(cost);
      if (objective(cost) > objective(found.runner_up_cost)) return;
    }
    costs.set_cycles(map, tried.grid, cost);
    price(cost);
    rank(map, cost, found);
    if (keep) all.push_back({map, cost});
  });
  if (keep && found.runner_up) {
    searches_->keep(key, std::move(all), {found.mapping, found.cost},
                    {*found.runner_up, found.runner_up_cost});
  }
  return found;
}

const MappedGemm& Mapper::map(const Operation& op, const GemmParts& parts) {
  ShapeKey key{machine_.mapping.fixed.empty() ? "" : op.name,
               {op.m, op.n, op.k, op.input_bytes, op.output_bytes, op.stationary_region.bytes}};
  for (const GemmPart& part : parts) {
    const ArrayOperands& operands = part.operands;
    key.second.insert(
        key.second.end(),
        {part.k, part.bytes, operands.group, std::uint64_t{operands.dequantise_elements},
         static_cast<std::uint64_t>(operands.stationary),
         static_cast<std::uint64_t>(operands.moving), static_cast<std::uint64_t>(part.affine)});
  }
  if (const auto it = known_.find(key); it != known_.end()) return it->second;
  MappedGemm found = search(op, parts, key);
  if (found.mapping.m_tile == 0) refuse(op, parts);
  std::string path;
  found.fixed = fixed_for(op.name, path) != nullptr;
  return known_.emplace(std::move(key), std::move(found)).first->second;
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
