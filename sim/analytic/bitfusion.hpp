// The closed-form model that BitFusion (ISCA'18) brought up and ANT (MICRO'22), OliVe (ISCA'23) and
// MixPE (2024) evaluated themselves with, restated from its published description and code
// (clevercool/ANT-Quantization, ant_simulator; equal in yuzhang712/mixpe_simulator).
//
// What it leaves out: the array's fill and drain, bank conflicts, DRAM timing, and all operations
// but convolutions and matrix products of weights. It is kept exactly, quirks included, because
// published values depend on it; the timing of `systole run` is the physical one.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "configs/paper.hpp"

namespace systole::analytic {

/// The loops around a tile, in the model's order of naming.
enum class Loop : std::uint8_t { batch, width, height, input, output };
inline constexpr std::size_t kLoops = 5;
/// Outermost first.
using LoopOrder = std::array<Loop, kLoops>;

/// One layer on one machine. `kernel` is the side that the model sees: the height, squared.
struct BitfusionLayer {
  std::uint64_t batch = 1;  ///< samples x rows
  std::uint64_t edge = 1, kernel = 1;
  std::uint64_t in = 0, out = 0;
  std::uint32_t activation_bits = 0, weight_bits = 0;

  friend auto operator<=>(const BitfusionLayer&, const BitfusionLayer&) = default;
};

/// Elements of each dimension in one tile; the kernel is never cut.
struct BitfusionTile {
  std::uint64_t batch = 1, edge = 1, in = 1, out = 1;

  friend bool operator==(const BitfusionTile&, const BitfusionTile&) = default;
};

/// What a layer costs with one tile and loop order. Traffic in bits.
struct BitfusionCost {
  std::uint64_t cycles = 0;
  std::uint64_t stall_cycles = 0;  ///< of these: fill, drain and DRAM beyond the compute time
  std::uint64_t weight_read = 0, weight_write = 0;
  std::uint64_t activation_read = 0, activation_write = 0;
  std::uint64_t output_read = 0, output_write = 0;
  std::uint64_t dram_read = 0, dram_write = 0;

  friend bool operator==(const BitfusionCost&, const BitfusionCost&) = default;
};

struct BitfusionChoice {
  BitfusionTile tile;
  LoopOrder order{};
  BitfusionCost cost;
};

/// The four parts that the papers report, nJ.
struct BitfusionEnergy {
  double static_nj = 0, dram_nj = 0, buffer_nj = 0, core_nj = 0;

  double total_nj() const { return static_nj + dram_nj + buffer_nj + core_nj; }
  BitfusionEnergy& operator+=(const BitfusionEnergy& other);
};

class BitfusionModel {
 public:
  /// Both must outlive the model.
  BitfusionModel(const configs::BitfusionPaper& paper, const configs::BitfusionMachine& machine)
      : paper_(paper), machine_(machine) {}

  /// Multiplications of `bits` operands that one side of an element does at once:
  /// floor(pmax / max(bits, pmin)), and never none.
  std::uint64_t performance_factor(std::uint32_t bits) const;

  /// Whether a tile fits half of the weight buffer and half of the activation buffer. Outputs never
  /// limit a tile (a quirk of the published model).
  bool fits(const BitfusionLayer& layer, const BitfusionTile& tile) const;

  /// The cost of a layer cut into tiles that fit.
  BitfusionCost cost(const BitfusionLayer& layer, const BitfusionTile& tile,
                     const LoopOrder& order) const;

  /// The least cycles over all 120 loop orders and all power-of-two tiles, the last one clamped to
  /// the dimension; equal cycles by selection_energy_nj; equal in both by the first in the order
  /// batch, edge, in, out (ascending), then the loop order (the published search leaves that open).
  /// ConfigError when not even the smallest tile fits.
  BitfusionChoice search(const BitfusionLayer& layer) const;

  /// What the search breaks ties by: as the reported energy, with other DRAM prices and the leakage
  /// of the buffers.
  double selection_energy_nj(const BitfusionCost& cost) const;

  BitfusionEnergy energy(const BitfusionCost& cost) const;

 private:
  std::uint64_t compute_cycles(const BitfusionLayer& layer, const BitfusionTile& tile) const;
  std::uint64_t weight_tile_bits(const BitfusionLayer& layer, const BitfusionTile& tile) const;
  std::uint64_t activation_tile_bits(const BitfusionLayer& layer, const BitfusionTile& tile) const;
  double core_leakage_nj() const;
  double core_dynamic_nj() const;
  double buffer_nj(const BitfusionCost& cost) const;

  const configs::BitfusionPaper& paper_;
  const configs::BitfusionMachine& machine_;
};

/// The layers of a workload as a machine of the paper runs them. The machine must be in its bits.
std::vector<BitfusionLayer> layers_of(const configs::BitfusionPaper& paper,
                                      const configs::BitfusionWorkload& workload,
                                      const std::string& machine);

/// Layers of one model that have been searched.
using BitfusionCosts = std::map<BitfusionLayer, BitfusionCost>;

/// A whole network: the sum over its layers, each searched alone; equal layers are searched once.
struct BitfusionTotal {
  std::uint64_t cycles = 0, stall_cycles = 0;
  BitfusionEnergy energy;
};
/// `known` is looked up and added to; it must be of the same model.
BitfusionTotal total(const BitfusionModel& model, std::span<const BitfusionLayer> layers,
                     BitfusionCosts& known);

}  // namespace systole::analytic
