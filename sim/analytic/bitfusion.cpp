#include "sim/analytic/bitfusion.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "sim/core/error.hpp"

namespace systole::analytic {
namespace {

/// Partial sums travel and are stored in 16 bits, whatever the operands.
constexpr std::uint64_t kSumBits = 16;

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }
std::uint64_t round_up(std::uint64_t a, std::uint64_t b) { return ceil_div(a, b) * b; }

/// The tiles' counts, by loop.
using Counts = std::array<std::uint64_t, kLoops>;

Counts counts_of(const BitfusionLayer& layer, const BitfusionTile& tile) {
  const std::uint64_t edges = ceil_div(layer.edge, tile.edge);
  return {ceil_div(layer.batch, tile.batch), edges, edges, ceil_div(layer.in, tile.in),
          ceil_div(layer.out, tile.out)};
}

std::uint64_t product(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{1}, std::multiplies<>());
}

constexpr bool changes_weights(Loop loop) { return loop == Loop::input || loop == Loop::output; }
constexpr bool changes_activations(Loop loop) { return loop != Loop::output; }
constexpr bool changes_outputs(Loop loop) { return loop != Loop::input; }

/// One tensor while the loops are walked from the innermost: as long as what has been gathered of
/// it fits half of its buffer, a loop that does not change it costs nothing; after that every loop
/// repeats the transfer.
struct Promotion {
  std::uint64_t bits;
  std::uint64_t half_bits;
  bool resident = true;

  /// True when the grown tensor is still resident: the caller notes its size.
  bool step(std::uint64_t count, bool changes) {
    if (!resident) {
      bits *= count;
      return false;
    }
    if (!changes) return false;
    bits *= count;
    resident = bits <= half_bits;
    return resident;
  }
};

/// Powers of two below `size`, then `size`.
std::vector<std::uint64_t> tile_sizes(std::uint64_t size) {
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t tile = 1; tile < size; tile *= 2) sizes.push_back(tile);
  sizes.push_back(size);
  return sizes;
}

/// All orders but those that only swap width and height, whose tiles and effects are equal: 60 of
/// the 120, each the lexicographically first of its two.
const std::vector<LoopOrder>& distinct_orders() {
  static const std::vector<LoopOrder> kOrders = [] {
    std::vector<LoopOrder> orders;
    LoopOrder order = {Loop::batch, Loop::width, Loop::height, Loop::input, Loop::output};
    do {
      const auto width = std::ranges::find(order, Loop::width);
      const auto height = std::ranges::find(order, Loop::height);
      if (width < height) orders.push_back(order);
    } while (std::ranges::next_permutation(order).found);
    return orders;
  }();
  return kOrders;
}

}  // namespace

BitfusionEnergy& BitfusionEnergy::operator+=(const BitfusionEnergy& other) {
  static_nj += other.static_nj;
  dram_nj += other.dram_nj;
  buffer_nj += other.buffer_nj;
  core_nj += other.core_nj;
  return *this;
}

std::uint64_t BitfusionModel::performance_factor(std::uint32_t bits) const {
  return std::max<std::uint64_t>(1, machine_.max_bits / std::max(bits, machine_.min_bits));
}

std::uint64_t BitfusionModel::weight_tile_bits(const BitfusionLayer& layer,
                                               const BitfusionTile& tile) const {
  const std::uint64_t lanes = machine_.rows * performance_factor(layer.weight_bits);
  return round_up(layer.kernel * layer.kernel * tile.in, lanes) * tile.out * layer.weight_bits;
}

std::uint64_t BitfusionModel::activation_tile_bits(const BitfusionLayer& layer,
                                                   const BitfusionTile& tile) const {
  const std::uint64_t lanes = machine_.cols * performance_factor(layer.activation_bits);
  return tile.edge * tile.edge * round_up(layer.kernel * layer.kernel * tile.in, lanes) *
         tile.batch * layer.activation_bits;
}

bool BitfusionModel::fits(const BitfusionLayer& layer, const BitfusionTile& tile) const {
  return weight_tile_bits(layer, tile) <= paper_.weight.bytes * 4 &&
         activation_tile_bits(layer, tile) <= paper_.activation.bytes * 4;
}

std::uint64_t BitfusionModel::compute_cycles(const BitfusionLayer& layer,
                                             const BitfusionTile& tile) const {
  const std::uint64_t depth = layer.kernel * layer.kernel * tile.in;
  const std::uint64_t vectors = tile.batch * tile.edge * tile.edge;
  const std::uint64_t along_rows = machine_.rows * performance_factor(layer.activation_bits);
  const std::uint64_t columns =
      ceil_div(tile.out, machine_.cols * performance_factor(layer.weight_bits));
  const std::uint64_t tiles = product(counts_of(layer, tile));
  if (machine_.dataflow == configs::PaperDataflow::ws) {
    return tiles * vectors * columns * ceil_div(depth, along_rows);
  }
  return tiles * ceil_div(vectors, along_rows) * columns * depth;
}

BitfusionCost BitfusionModel::cost(const BitfusionLayer& layer, const BitfusionTile& tile,
                                   const LoopOrder& order) const {
  const Counts counts = counts_of(layer, tile);
  const std::uint64_t outputs = tile.out * tile.edge * tile.edge * tile.batch;
  Promotion weights{weight_tile_bits(layer, tile), paper_.weight.bytes * 4};
  Promotion activations{activation_tile_bits(layer, tile), paper_.activation.bytes * 4};
  Promotion sums{outputs * kSumBits, paper_.output.bytes * 4};
  // What is loaded before the first tile and stored after the last one.
  std::uint64_t first_weights = weights.bits, first_activations = activations.bits;
  std::uint64_t last_sums = sums.bits;
  for (auto loop = order.rbegin(); loop != order.rend(); ++loop) {
    const std::uint64_t count = counts[static_cast<std::size_t>(*loop)];
    if (weights.step(count, changes_weights(*loop))) first_weights = weights.bits;
    if (activations.step(count, changes_activations(*loop))) first_activations = activations.bits;
    // The published code stores the size of the output fill here, which is 0, instead of the sums':
    // the last store is free whenever one loop over outputs fits.
    if (sums.step(count, changes_outputs(*loop))) last_sums = 0;
  }

  BitfusionCost cost;
  cost.weight_write = weights.bits;
  cost.activation_write = activations.bits;
  cost.dram_read = weights.bits + activations.bits;
  cost.dram_write = sums.bits;

  const std::uint64_t tiles = product(counts);
  const std::uint64_t depth = layer.kernel * layer.kernel * tile.in;
  const std::uint64_t multiplications = tiles * outputs * depth;
  cost.activation_read = multiplications * layer.activation_bits;
  if (machine_.dataflow == configs::PaperDataflow::ws) {
    cost.weight_read = tiles * depth * tile.out * layer.weight_bits;
    cost.output_write = multiplications * kSumBits;
  } else {
    cost.weight_read = multiplications * layer.weight_bits;
    cost.output_write = tiles * outputs * kSumBits;
  }
  cost.output_read = sums.bits + cost.output_write;

  const std::uint64_t port = paper_.dram_bits_per_cycle;
  const std::uint64_t first = first_weights + first_activations;
  const std::uint64_t latency = ceil_div(first, port) + ceil_div(last_sums, port);
  const std::uint64_t between = cost.dram_read + cost.dram_write - first - last_sums;
  const std::uint64_t compute = compute_cycles(layer, tile);
  const std::uint64_t transfer = ceil_div(between, port);
  cost.stall_cycles = (transfer > compute ? transfer - compute : 0) + latency;
  cost.cycles = compute + cost.stall_cycles;
  return cost;
}

BitfusionChoice BitfusionModel::search(const BitfusionLayer& layer) const {
  struct Candidate {
    BitfusionTile tile;
    std::uint64_t bound;
  };
  std::vector<Candidate> candidates;
  for (const std::uint64_t batch : tile_sizes(layer.batch)) {
    for (const std::uint64_t edge : tile_sizes(layer.edge)) {
      for (const std::uint64_t in : tile_sizes(layer.in)) {
        for (const std::uint64_t out : tile_sizes(layer.out)) {
          const BitfusionTile tile{batch, edge, in, out};
          if (!fits(layer, tile)) continue;
          // No order is below this: what is loaded first is at least one tile of each operand.
          const std::uint64_t first =
              weight_tile_bits(layer, tile) + activation_tile_bits(layer, tile);
          candidates.push_back(
              {tile, compute_cycles(layer, tile) + ceil_div(first, paper_.dram_bits_per_cycle)});
        }
      }
    }
  }
  if (candidates.empty()) {
    throw ConfigError("machine '" + machine_.name + "': a kernel of " +
                      std::to_string(layer.kernel) + " x " + std::to_string(layer.kernel) + " at " +
                      std::to_string(layer.weight_bits) +
                      " bits does not fit half of the buffers, whatever the tile");
  }
  // The most promising first, so that the bound ends the search early; candidates whose bound
  // equals the best cycles stay in, for the tie.
  std::vector<std::size_t> by_bound(candidates.size());
  std::iota(by_bound.begin(), by_bound.end(), std::size_t{0});
  std::ranges::stable_sort(by_bound, {}, [&](std::size_t i) { return candidates[i].bound; });

  std::optional<BitfusionChoice> best;
  double best_energy = 0;
  std::size_t best_index = 0;
  for (const std::size_t index : by_bound) {
    const auto& [tile, bound] = candidates[index];
    if (best && bound > best->cost.cycles) break;
    for (const LoopOrder& order : distinct_orders()) {
      const BitfusionCost found = cost(layer, tile, order);
      if (best && found.cycles > best->cost.cycles) continue;
      const double energy = selection_energy_nj(found);
      const bool better = !best || found.cycles < best->cost.cycles || energy < best_energy ||
                          (energy == best_energy && index < best_index);
      if (!better) continue;
      best = BitfusionChoice{tile, order, found};
      best_energy = energy;
      best_index = index;
    }
  }
  return *best;
}

double BitfusionModel::core_leakage_nj() const {
  return machine_.leakage_nw * machine_.rows * machine_.cols / (paper_.clock_mhz * 1e6);
}

double BitfusionModel::core_dynamic_nj() const {
  return machine_.dynamic_nw * machine_.rows * machine_.cols / (paper_.clock_mhz * 1e6);
}

double BitfusionModel::buffer_nj(const BitfusionCost& cost) const {
  const auto traffic = [](const configs::BitfusionBuffer& buffer, std::uint64_t read,
                          std::uint64_t written) {
    return (static_cast<double>(read) * buffer.read_pj_per_bit +
            static_cast<double>(written) * buffer.write_pj_per_bit) *
           1e-3;
  };
  return traffic(paper_.weight, cost.weight_read, cost.weight_write) +
         traffic(paper_.activation, cost.activation_read, cost.activation_write) +
         traffic(paper_.output, cost.output_read, cost.output_write);
}

double BitfusionModel::selection_energy_nj(const BitfusionCost& cost) const {
  const double leakage_mw =
      paper_.weight.leakage_mw + paper_.activation.leakage_mw + paper_.output.leakage_mw;
  const double per_cycle =
      core_leakage_nj() + leakage_mw / paper_.clock_mhz + paper_.search_dram_static_nj_per_cycle;
  return static_cast<double>(cost.cycles) * per_cycle +
         static_cast<double>(cost.cycles - cost.stall_cycles) * core_dynamic_nj() +
         buffer_nj(cost) +
         (static_cast<double>(cost.dram_read) * paper_.search_dram_read_pj_per_bit +
          static_cast<double>(cost.dram_write) * paper_.search_dram_write_pj_per_bit) *
             1e-3;
}

BitfusionEnergy BitfusionModel::energy(const BitfusionCost& cost) const {
  const auto cycles = static_cast<double>(cost.cycles);
  return {.static_nj = cycles * paper_.dram_static_nj_per_cycle,
          .dram_nj = (static_cast<double>(cost.dram_read) * paper_.dram_read_pj_per_bit +
                      static_cast<double>(cost.dram_write) * paper_.dram_write_pj_per_bit) *
                     1e-3,
          .buffer_nj = buffer_nj(cost),
          .core_nj = cycles * core_leakage_nj() +
                     static_cast<double>(cost.cycles - cost.stall_cycles) * core_dynamic_nj()};
}

std::vector<BitfusionLayer> layers_of(const configs::BitfusionPaper& paper,
                                      const configs::BitfusionWorkload& workload,
                                      const std::string& machine) {
  const std::vector<configs::PaperLayer> shapes = configs::expand(workload.blocks);
  const std::vector<std::uint32_t> bits =
      configs::expand_runs(workload.bits.at(machine), shapes.size());
  SYSTOLE_CHECK(bits.size() == shapes.size(), "the paper was not validated");
  std::vector<BitfusionLayer> layers;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const configs::PaperLayer& shape = shapes[i];
    layers.push_back({std::uint64_t{paper.batch} * shape.rows, shape.edge, shape.kernel, shape.in,
                      shape.out, bits[i], bits[i]});
  }
  return layers;
}

BitfusionTotal total(const BitfusionModel& model, std::span<const BitfusionLayer> layers,
                     BitfusionCosts& known) {
  std::map<BitfusionLayer, std::uint64_t> times;
  for (const BitfusionLayer& layer : layers) ++times[layer];
  BitfusionTotal sum;
  for (const auto& [layer, count] : times) {
    auto found = known.find(layer);
    if (found == known.end()) found = known.emplace(layer, model.search(layer).cost).first;
    const BitfusionCost& cost = found->second;
    sum.cycles += count * cost.cycles;
    sum.stall_cycles += count * cost.stall_cycles;
    BitfusionEnergy energy = model.energy(cost);
    const auto scale = static_cast<double>(count);
    energy = {energy.static_nj * scale, energy.dram_nj * scale, energy.buffer_nj * scale,
              energy.core_nj * scale};
    sum.energy += energy;
  }
  return sum;
}

}  // namespace systole::analytic
