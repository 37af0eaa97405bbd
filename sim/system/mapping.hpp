// How an operation is cut so that its pieces fit the scratchpads: tile sizes and loop order,
// searched for or fixed by the machine.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "configs/machine.hpp"
#include "pe/array_timing.hpp"
#include "pe/dequantiser.hpp"
#include "pe/design.hpp"
#include "sim/core/observations.hpp"
#include "sim/system/dram_rates.hpp"
#include "sim/system/kv_states.hpp"
#include "sim/system/schedule.hpp"
#include "workloads/program.hpp"

namespace systole::sim {

/// The operands as the array sees them.
struct ArrayOperands {
  quant::Format stationary = quant::Format::int8;
  quant::Format moving = quant::Format::int8;
  std::uint64_t group = 0;           ///< elements along K that share a scale; 0 = all of K
  bool dequantise_elements = false;  ///< every stationary element is scaled on its way to the array
};

/// What the array has to multiply when a tensor `stationary` meets `moving` along `k` elements.
/// Throws ConfigError, naming `operation`, when the PE has no such mode.
ArrayOperands array_operands(const std::string& operation, const pe::PeDesign& design,
                             const quant::QuantSpec& stationary, const quant::QuantSpec& moving,
                             configs::Dequantise dequantise, std::uint64_t k);

/// A stretch of a product's reduction that passes in one mode of the array.
struct GemmPart {
  ArrayOperands operands;
  quant::Affine affine = quant::Affine::symmetric;
  std::uint64_t k0 = 0, k = 0;          ///< [k0, k0 + k) of the reduction
  std::uint64_t offset = 0, bytes = 0;  ///< in the weight region
};

/// The parts of a matrix product in the order of its reduction; one where its weight has one
/// format.
using GemmParts = std::vector<GemmPart>;
GemmParts whole_product(const workloads::Operation& operation, const ArrayOperands& operands);

/// Errors: as array_operands; SYSTOLE_CHECK where parts do not add up or are more than
/// kMaxWeightParts.
GemmParts gemm_parts(const pe::PeDesign& design, const workloads::Operation& operation);
inline constexpr std::size_t kMaxWeightParts = 8;

/// Tiles of a GEMM: m_tile x n_tile outputs over k_tile of the reduction at a time, and the loops
/// around a tile, outermost first:
///
///   weights_outer    n, k, m   a weight tile is loaded once; the rows pass once for every n tile
///   rows_outer       m, n, k   m_tile rows stay with all of K; the weights pass once for every m
///   sums_outer       m, n, k   both operands pass slice by slice, once for every n or m tile
///   reduction_outer  k, m, n   an m_tile x k_tile slice stays; the weights pass once for every m
///
/// Sums that a cut of K leaves open stay in the output scratchpad: m_tile x n_tile of them in
/// rows_outer and sums_outer, m x n_tile in weights_outer, m x n in reduction_outer.
///
/// A tile ends where its part of the reduction does: the next one is of another format.
struct GemmMapping {
  std::uint64_t m_tile = 0, n_tile = 0, k_tile = 0;
  configs::LoopOrder order = configs::LoopOrder::weights_outer;
  /// The tile is larger than half of its scratchpad and takes both halves: its load hides behind
  /// nothing.
  bool whole_weight = false, whole_activation = false;

  friend bool operator==(const GemmMapping&, const GemmMapping&) = default;
};

/// How many tiles a mapping makes along each dimension.
struct TileGrid {
  std::uint64_t m = 0, n = 0, k = 0;
  std::uint64_t jobs() const { return m * n * k; }
};
TileGrid tile_grid(const workloads::Operation& operation, const GemmParts& parts,
                   const GemmMapping& mapping);

/// Bytes of the sums that are being made, and of those that a cut of the reduction (`cut_k`: into
/// more than one tile) leaves open.
std::uint64_t open_sum_bytes(const workloads::Operation& operation, const GemmMapping& mapping,
                             bool cut_k);

/// What the closed form expects of a mapping.
struct MappingCost {
  std::uint64_t cycles = 0;             ///< after another operation
  std::uint64_t first_load_cycles = 0;  ///< of the first weights, what hid behind that one
  std::uint64_t energy_pj = 0;          ///< dynamic, and what stands over both
  std::uint64_t dram_bytes = 0;
  std::uint64_t jobs = 0;
  WorkCounts counts;  ///< exact: what the schedule of the mapping counts
  // Of matrix products; the same holds of these.
  std::uint64_t dequantise_cycles = 0;
  std::uint64_t weight_bytes = 0, input_bytes = 0, result_bytes = 0;  ///< of DRAM
};

struct MappedGemm {
  GemmMapping mapping;
  MappingCost cost;
  std::optional<GemmMapping> runner_up;  ///< the next best of another tiling or order
  MappingCost runner_up_cost;
  bool fixed = false;  ///< the machine's `mapping.fixed` had a say
};

/// Attention of one KV head: `row_block` query rows at a time against `n_chunk` cached tokens.
struct AttentionMapping {
  std::uint64_t row_block = 0;
  std::uint64_t n_chunk = 0;
  bool cache_resident = false;  ///< K and V of a head stay on chip for all row blocks

  friend bool operator==(const AttentionMapping&, const AttentionMapping&) = default;
};

struct MappedAttention {
  AttentionMapping mapping;
  MappingCost cost;
  std::optional<AttentionMapping> runner_up;
  MappingCost runner_up_cost;
  bool fixed = false;  ///< the machine's `mapping.fixed` had a say
};

class GemmSearches;

/// Whether none of the counters that have a price is larger in `a`.
bool no_more_priced(const WorkCounts& a, const WorkCounts& b);

/// Chooses mappings for one machine, each shape once.
///
/// Space: every combination of the orders and, along n, multiples of the array's columns, along k
/// multiples of the group (without one, of the array's rows) and along m of one row: the powers of
/// two, equal parts, the largest that fit their scratchpads, and the whole dimension. Ranked by the
/// objective (cycles, pJ or their product); ties by cycles, first_load_cycles, energy, DRAM bytes,
/// jobs, the order in configs::LoopOrder, and the largest n_tile, m_tile, k_tile. Loops that issue
/// the same jobs as rows_outer are left out unless the machine fixes their order.
///
/// Cost: array cycles of every tile, edge tiles included, exactly as scheduled, scratchpad ports
/// included; a tile takes the longest of array, dequantiser and the transfers that its double
/// buffers hide; the first load and the last store are exposed, but for a quarter of the first
/// weight tile, which is taken to arrive while the operation before still runs. DRAM moves its peak
/// less the time of refreshes, after one row access a transfer (a refresh that lasts longer than
/// the work buffered ahead is exposed by the rest): bank conflicts and turn-arounds are left out,
/// which errs downwards. Energy is the price list's, of the exact on-chip counts, DRAM bits and an
/// activate for every row's worth of bytes.
class Mapper {
 public:
  /// The name, where it matters, and what the search looks at.
  using ShapeKey = std::pair<std::string, std::vector<std::uint64_t>>;

  /// Errors: ConfigError where the energy table lacks a price.
  /// `searches`, where not null: what is found is put there, and taken from there where another
  /// machine has asked that differs in prices alone; of mappers with the same observations.
  Mapper(const configs::MachineConfig& machine, const pe::PeDesign& design,
         const Observations& observations = opt_profile(), GemmSearches* searches = nullptr);

  /// The product as the array meets it, with the stalls that its data is expected to cost.
  pe::GemmShape shape_of(std::uint64_t m, std::uint64_t n, std::uint64_t k,
                         const ArrayOperands& operands) const;

  /// `operation.kind` is gemm. Throws ConfigError when nothing fits, or not what the machine fixes.
  const MappedGemm& map(const workloads::Operation& operation, const GemmParts& parts);

  /// Of any mapping, whether it fits or not.
  MappingCost cost(const workloads::Operation& operation, const GemmParts& parts,
                   const GemmMapping& mapping) const;

  /// The space that `map` searches, what does not fit left out, the smallest tiles first.
  std::vector<GemmMapping> candidates(const workloads::Operation& operation,
                                      const GemmParts& parts) const;

  /// Attention: row blocks (powers of two, multiples of the array's rows, equal parts, the largest
  /// whose scores fit), K and V of a head held for all of them or passing in chunks (all that fit,
  /// and equal parts of it). Cost: the jobs of two heads on units that wait for each other as the
  /// Accelerator's do, DRAM at its bandwidth after one access; the further heads as the second.
  /// Same objective; within 0.3 % of the best the least energy, within 0.3 % of that
  /// the fewest jobs, then cycles, DRAM bytes and the larger pieces. `fixed` may
  /// set tile.m (rows) and tile.n (tokens). Throws ConfigError when nothing fits.
  const MappedAttention& map_attention(const workloads::Operation& operation);
  std::vector<AttentionMapping> attention_candidates(const workloads::Operation& operation) const;
  MappingCost attention_cost(const workloads::Operation& operation,
                             const AttentionMapping& mapping);

  /// Whether `a` is preferred, by the ranking above.
  bool better(const MappingCost& a, const GemmMapping& a_mapping, const MappingCost& b,
              const GemmMapping& b_mapping) const;

  const configs::MachineConfig& machine() const { return machine_; }
  const pe::PeDesign& design() const { return design_; }
  KvStates& kv_states() { return kv_states_; }

 private:
  /// A search asks of very many mappings, and of one why not: text is made for that one alone.
  struct Misfit {
    enum class Of : std::uint8_t { group, weights, activations, shared_activations, sums, jobs };
    Of of;
    std::uint64_t found, most;  ///< of a group: what is to be a multiple of it, and the group

    std::string path() const;  ///< below the fixed mapping, e.g. "tile.n"
    std::string message(const GemmMapping& mapping) const;
  };
  struct Footprint {
    std::uint64_t weight = 0, activation = 0, sums = 0;  ///< bytes
  };
  /// A mapping that a search tries.
  struct Combination {
    GemmMapping map;
    TileGrid grid;
    Footprint bytes;
  };
  std::optional<Misfit> misfit(const workloads::Operation& operation, const GemmParts& parts,
                               const Combination& tried) const;
  const configs::FixedMapping* fixed_for(const std::string& name, std::string& path) const;
  void mark_whole(const Footprint& bytes, bool loads_input, GemmMapping& mapping) const;
  /// The whole space, what does not fit too.
  void each_combination(const workloads::Operation& operation, const GemmParts& parts,
                        const auto& visit) const;
  void price(MappingCost& cost) const;
  /// Takes up a mapping in `found` where it is the best or the next best.
  void rank(const GemmMapping& mapping, const MappingCost& cost, MappedGemm& found) const;
  MappedGemm search(const workloads::Operation& operation, const GemmParts& parts,
                    const ShapeKey& shape);
  double energy_pj(const WorkCounts& counts, std::uint64_t read_bytes, std::uint64_t write_bytes,
                   std::uint64_t cycles) const;
  double objective(const MappingCost& cost) const;
  [[noreturn]] void refuse(const workloads::Operation& operation, const GemmParts& parts) const;

  const configs::MachineConfig& machine_;
  const pe::PeDesign& design_;
  Observations observations_;
  double standing_pj_per_cycle_ = 0;
  std::vector<double> count_pj_;  ///< of one word or operation, in the order of kPricedCounts
  double dram_read_pj_ = 0, dram_write_pj_ = 0;  ///< of a byte, activates included
  DramRates dram_;
  GemmSearches* searches_;
  std::array<std::uint64_t, 2> priceless_{};  ///< where there are `searches`
  std::map<ShapeKey, MappedGemm> known_;
  std::map<ShapeKey, MappedAttention> known_attention_;
  KvStates kv_states_;
};

inline constexpr std::uint64_t kAccumulatorBytes = 4;  ///< int32 or fp32

/// What decides how a tile's operands lie in their scratchpads, and what is written beside them:
/// the job's own loads stand for those of the next one.
struct TilePlan {
  std::uint64_t m = 0, n = 0, k = 0;
  std::uint64_t products = 1;  ///< such tiles side by side
  std::uint64_t weight_fill_bytes = 0, activation_fill_bytes = 0;
};

/// One tile on the array: its work, what the scratchpads move for it, and how long the array is
/// taken. The slowest scratchpad (memory::delivery_cycles) paces the array.
struct TileWork {
  TileWork(const configs::MachineConfig& machine, const pe::ArrayWork& array, const TilePlan& plan);

  pe::ArrayWork work;
  std::uint64_t weight_bytes, activation_bytes;  ///< read
  std::uint64_t sum_read_bytes, sum_write_bytes;
  std::uint64_t scratchpad_cycles;  ///< by which the ports are slower than the array
  /// Until the next tile may enter; results leave for tail_cycles more.
  std::uint64_t occupied_cycles() const { return work.repeat_cycles + scratchpad_cycles; }
  std::uint64_t tail_cycles() const { return work.cycles - work.repeat_cycles; }
};

/// What the machine's dequantiser does with finished group sums: a scale-add each, what the
/// weight's affine form corrects and, with the last of an output, the activation's scale. Nothing
/// where the PEs scale their own sums.
pe::DequantiseWork scale_work(const configs::MachineConfig& machine, std::uint64_t outputs,
                              std::uint64_t groups, quant::Affine affine, bool last);

/// Bytes of open sums that a piece from `k0` on in its part takes up again, and those before it
/// left: `outputs` of them unless it is the first. Group sums are finished within a piece, and all
/// at the end of a part.
std::uint64_t carried_sum_bytes(const ArrayOperands& operands, std::uint64_t outputs,
                                std::uint64_t k0);

/// Throws ConfigError when `mapping.fixed` names what is no product of `program`.
void check_fixed_names(const configs::MachineConfig& machine, const workloads::Program& program);

/// Whether attention passes in tiles, below, and not with whole rows of scores (Mapper).
bool passes_in_tiles(const configs::MachineConfig& machine, const workloads::Operation& operation);

/// Attention of `heads` KV heads together, with running sums: `row_block` query rows of each
/// against `n_chunk` cached tokens at a time. A chunk of keys (or values) as stored fits half of
/// the weight scratchpad; scores and sums of all heads fit half of the output, queries and
/// probabilities half of the activation scratchpad.
struct AttentionTiling {
  std::uint64_t heads = 1;
  std::uint64_t parallel = 1;  ///< of them, each on an array of its own
  std::uint64_t row_block = 0;
  std::uint64_t n_chunk = 0;
};

/// Few rows, as in decode, take chunks as long as fit; many take blocks as large as fit beside
/// chunks of four array widths (assumed: long enough that fill and drain are small). Errors:
/// ConfigError where nothing fits.
AttentionTiling tile_attention(const configs::MachineConfig& machine,
                               const workloads::Operation& operation);

/// True when a tensor of `bytes` passes from one operation to the next on chip: it fits half of the
/// activation scratchpad. Otherwise its producer writes it to DRAM and its consumer reads it back.
bool stays_on_chip(const configs::MachineConfig& machine, std::uint64_t bytes);

/// Bytes of rows [first, last) out of `total` equal rows of a region of `bytes`: cuts conserve the
/// whole.
struct Slice {
  std::uint64_t offset = 0, bytes = 0;
};
Slice slice(std::uint64_t bytes, std::uint64_t first, std::uint64_t last, std::uint64_t total);

}  // namespace systole::sim
