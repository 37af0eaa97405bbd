// The closed form of a matrix product that passes in tiles: what the Mapper ranks mappings by.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "configs/machine.hpp"
#include "pe/design.hpp"
#include "sim/system/dram_rates.hpp"
#include "sim/system/mapping.hpp"
#include "workloads/program.hpp"

namespace systole::sim {

/// Tiles along the reduction: one ends where its part does.
std::uint64_t k_tiles_of(const GemmParts& parts, std::uint64_t k_tile);

/// The closed form of one operation's mappings. Asked of the same tiles in several orders one after
/// the other, it works the tiles out once.
class GemmCosts {
 public:
  /// All must outlive it.
  GemmCosts(const Mapper& mapper, const DramRates& dram, const workloads::Operation& op,
            const GemmParts& parts);

  /// All but the energy, which has a price. `grid` is the mapping's.
  MappingCost operator()(const GemmMapping& map, const TileGrid& grid) {
    MappingCost cost = least(map, grid);
    set_cycles(map, grid, cost);
    return cost;
  }

  /// The same with the cycles from below, those of the array by itself and of DRAM, which takes
  /// half of the time; then these, of the same mapping.
  MappingCost least(const GemmMapping& map, const TileGrid& grid);
  void set_cycles(const GemmMapping& map, const TileGrid& grid, MappingCost& cost) const;

 private:
  /// How often a tile repeats along a dimension: the full ones, and a smaller one at the edge.
  struct Cut {
    std::uint64_t size, count;
    const GemmPart* part;  ///< along the reduction: which; or null
  };
  template <std::size_t kMost>
  struct Cuts {
    std::array<Cut, kMost> cuts;
    std::size_t used = 0;

    void add(std::uint64_t size, std::uint64_t count, const GemmPart* part = nullptr) {
      if (count > 0) cuts[used++] = {size, count, part};
    }
    std::size_t last() const { return used - 1; }
    const Cut& operator[](std::size_t i) const { return cuts[i]; }
  };
  static Cuts<2> cut(std::uint64_t whole, std::uint64_t tile);
  /// The last tile of each part apart, edge or not: it finishes the part's sums.
  static constexpr std::size_t kMostReductionCuts = 2 * kMaxWeightParts;
  Cuts<kMostReductionCuts> cut_reduction(std::uint64_t k_tile) const;

  /// What one kind of tile asks of the machine.
  struct Piece {
    std::uint64_t array, dequantise;  ///< cycles
    std::uint64_t tail;               ///< cycles in which results leave while the next may run
    std::uint64_t weight, activation, result;  ///< DRAM bytes, where they move
  };
  /// The tiles of a mapping, whatever the order of its loops.
  struct Tiles {
    std::uint64_t m = 0, n = 0, k = 0;
    configs::LoopOrder fills = configs::LoopOrder::searched;
    Cuts<2> ms, ns;
    Cuts<kMostReductionCuts> ks;
    std::array<std::array<std::array<Piece, kMostReductionCuts>, 2>, 2> pieces;
    /// Bytes along the first dimension that is cut: input rows, results, and weight columns by
    /// part.
    std::array<std::uint64_t, 2> row_bytes, result_bytes;
    std::array<std::array<std::uint64_t, kMaxWeightParts>, 2> column_bytes;
    WorkCounts counts;
    std::uint64_t dequantise_cycles = 0;
    std::uint64_t array_cycles = 0;  ///< of all tiles, one after the other
  };
  void work_out(const GemmMapping& map);
  void add_tile(const GemmMapping& map, std::size_t m, std::size_t n, std::size_t k,
                std::optional<TileWork>& before);
  struct Rounds;
  const Mapper& mapper_;
  const configs::MachineConfig& machine_;
  const pe::PeDesign& design_;
  const DramRates& dram_;
  const workloads::Operation& op_;
  const GemmParts& parts_;
  bool load_input_, store_output_;
  bool fills_matter_;  ///< what is written beside a tile's reads decides how these conflict
  Tiles tiles_;
};

}  // namespace systole::sim
