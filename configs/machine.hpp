// A machine: everything an architect can turn. Plain data; the field list with
// units, meanings and ranges is in fields.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "configs/dram.hpp"
#include "configs/energy.hpp"
#include "configs/tier.hpp"

namespace systole::configs {

/// What stays in the PEs while the rest streams past: weights (K/V in attention), sums, or
/// activations.
enum class Dataflow : std::uint8_t { weight_stationary, output_stationary, input_stationary };
inline constexpr std::array<std::string_view, 3> kDataflowNames = {
    "weight_stationary", "output_stationary", "input_stationary"};

/// What one fold (one array-sized tile) hides of its neighbours. Peers differ 2.4-2.8x on this
/// choice alone.
enum class FoldOverlap : std::uint8_t {
  serial,   ///< load, fill, stream and drain of every fold one after the other (SCALE-Sim's
            ///< schedule, RTL-true)
  preload,  ///< the next fold's stationary operand moves into shadow registers meanwhile (Gemmini,
            ///< ONNXim)
  ideal,    ///< no skew, fill, load or drain at all: every fold takes its stream (the simulators of
            ///< BitFusion, ANT and MixPE); a bound, no hardware
};
inline constexpr std::array<std::string_view, 3> kFoldOverlapNames = {"serial", "preload", "ideal"};

/// How operands reach the PEs and sums leave them.
enum class Interconnect : std::uint8_t {
  systolic,   ///< from PE to PE, a register each: skewed edges
  broadcast,  ///< one bus a row and a column; held operands: an adder tree a column. Tensor-core
              ///< dot units (output stationary) and adder-tree GEMV engines (weight stationary)
};
inline constexpr std::array<std::string_view, 2> kInterconnectNames = {"systolic", "broadcast"};

/// Which dimension of a product is divided among several arrays.
enum class Split : std::uint8_t {
  automatic,  ///< the one that takes the fewest cycles, then the least operand traffic
  m,          ///< rows: every array needs all weights
  n,          ///< columns: every array needs all activations
  k,          ///< depth: partial sums are added at the end
};
inline constexpr std::array<std::string_view, 4> kSplitNames = {"auto", "m", "n", "k"};

struct ArrayConfig {
  std::string pe = "mixpe-w4a8";  ///< a PE design, see `systole list pes`
  std::uint32_t rows = 128;
  std::uint32_t cols = 128;
  Dataflow dataflow = Dataflow::weight_stationary;
  FoldOverlap fold_overlap = FoldOverlap::preload;
  Interconnect interconnect = Interconnect::systolic;
  /// Partial sums or results that leave the array's edge a cycle; 0: one a column.
  std::uint32_t drain_words = 0;
  std::uint32_t count = 1;  ///< equal arrays that share a product
  Split split = Split::automatic;

  friend bool operator==(const ArrayConfig&, const ArrayConfig&) = default;
};

/// Multiplies finished group sums by their scales and adds them in fp32 (one fused multiply-add a
/// lane and cycle).
enum class DequantisePlace : std::uint8_t {
  edge,  ///< a unit of `lanes` behind the array, beside it; it holds the array up where it is
         ///< slower
  loop,  ///< the same unit, but the array waits for it after every tile (no queue between them)
  pe,    ///< each PE scales its own sums while it computes the next (BitMoD); no unit
};
inline constexpr std::array<std::string_view, 3> kDequantisePlaceNames = {"edge", "loop", "pe"};

struct DequantiserConfig {
  std::uint32_t lanes = 128;
  std::uint32_t latency_cycles = 4;
  DequantisePlace place = DequantisePlace::edge;

  friend bool operator==(const DequantiserConfig&, const DequantiserConfig&) = default;
};

/// Decodes cached keys and values between scratchpad and array. Its stages follow one another, each
/// at its own rate: the slowest sets the unit's. Every default is assumed: 128 elements a cycle, as
/// many as one row of a 128-column array takes.
struct KvDequantiserConfig {
  std::uint32_t lanes = 128;  ///< codes unpacked, and multiply-adds, a cycle of each
  std::uint32_t lut_ports = 128;
  std::uint32_t transform_adds = 1152;  ///< butterflies a cycle: nine an element of 512 points
  std::uint32_t rope_elements = 128;
  std::uint32_t gather_elements = 128;
  std::uint32_t sparse_macs = 16;
  std::uint32_t topk_elements = 128;  ///< scores a cycle through the top-k unit
  std::uint32_t latency_cycles = 16;
  /// On chip, for sinks and windows kept whole of all layers; what does not fit waits in DRAM.
  std::uint64_t staging_bytes = 0;
  bool masked_writes = true;  ///< otherwise a burst written in part is read before (ECC)
  /// On chip, for bursts of coded caches that tokens leave incomplete, until they are complete.
  std::uint64_t combining_bytes = 0;

  friend bool operator==(const KvDequantiserConfig&, const KvDequantiserConfig&) = default;
};

/// fp32 SIMD unit for norms, softmax, RoPE, SwiGLU, quantisation.
struct VectorConfig {
  std::uint32_t lanes = 64;
  std::uint32_t latency_cycles = 8;

  friend bool operator==(const VectorConfig&, const VectorConfig&) = default;
};

/// Ports of a bank. The shipped tables price 1r1w.
enum class BankPorts : std::uint8_t {
  rw1,   ///< one, which reads or writes
  r1w1,  ///< one that reads and one that writes
  rw2,   ///< two, either of which reads or writes
};
inline constexpr std::array<std::string_view, 3> kBankPortsNames = {"1rw", "1r1w", "2rw"};

/// How an operand's tile lies in its scratchpad.
enum class ScratchpadLayout : std::uint8_t {
  streamed,   ///< in the order in which the array takes it: no conflicts
  row_major,  ///< rows along K, as in DRAM
  padded,     ///< the same, rows an odd number of words apart
};
inline constexpr std::array<std::string_view, 3> kScratchpadLayoutNames = {"streamed", "row_major",
                                                                           "padded"};

/// One scratchpad; capacity counts all of its buffers, the halves of a double buffer.
struct ScratchpadConfig {
  std::uint64_t capacity_bytes = std::uint64_t{256} * 1024;
  std::uint32_t banks = 16;
  std::uint32_t word_bytes = 32;  ///< one port access of one bank
  std::uint32_t read_latency_cycles = 2;
  BankPorts ports = BankPorts::r1w1;
  std::uint32_t buffers = 2;  ///< one is filled while another is used
  ScratchpadLayout layout = ScratchpadLayout::streamed;

  /// One buffer: of two, a half.
  std::uint64_t half_bytes() const { return capacity_bytes / buffers; }
  /// One word a bank.
  std::uint64_t bytes_per_cycle() const { return std::uint64_t{banks} * word_bytes; }

  friend bool operator==(const ScratchpadConfig&, const ScratchpadConfig&) = default;
};

struct DmaConfig {
  std::uint32_t segment_bytes = 2048;  ///< longest request to one channel
  std::uint32_t outstanding = 16;      ///< segments in flight a direction and engine
  std::uint32_t engines = 1;           ///< pairs of a read and a write engine
  std::uint32_t align_bytes = 1;       ///< requests begin and end at multiples of it
  // What a descriptor costs. No default of ours has a source (assumed): 0 leaves it out.
  std::uint32_t descriptor_cycles = 0;  ///< to fetch and decode one
  std::uint32_t gather_cycles = 0;      ///< more for every element of a gather's list
  std::uint32_t gather_entries = 64;    ///< elements a gather's list holds; 1: no gathers
  std::uint32_t descriptors = 0;        ///< of an engine in progress; 0: any number

  /// Whether transfers pass through descriptors at all; otherwise engines take them as they are.
  bool uses_descriptors() const {
    return descriptor_cycles > 0 || gather_cycles > 0 || descriptors > 0;
  }

  friend bool operator==(const DmaConfig&, const DmaConfig&) = default;
};

/// What joins DMA engines and DRAM channels.
enum class NocKind : std::uint8_t {
  none,      ///< wires without delay or width
  crossbar,  ///< one switch
  mesh,      ///< a grid of switches, routed along rows first, then along columns
};
inline constexpr std::array<std::string_view, 3> kNocKindNames = {"none", "crossbar", "mesh"};

/// Whose packet takes a link next.
enum class NocArbitration : std::uint8_t {
  round_robin,
  fixed,  ///< the lowest input: others may starve
  age,    ///< the one that entered the network first
};
inline constexpr std::array<std::string_view, 3> kNocArbitrationNames = {"round_robin", "fixed",
                                                                         "age"};

/// Every default is assumed.
struct NocConfig {
  NocKind kind = NocKind::none;
  std::uint32_t link_bytes = 64;  ///< a link moves in a cycle, either way; a flit
  std::uint32_t hop_cycles = 2;   ///< of a flit from a queue over a link to the next
  std::uint32_t queue = 4;        ///< packets that an input queue holds
  NocArbitration arbitration = NocArbitration::round_robin;
  std::uint32_t columns = 4;  ///< of a mesh
  /// Wires of a hop: 1 mm at 0.1 pJ a bit (assumed).
  double hop_pj_per_byte = 0.8;

  friend bool operator==(const NocConfig&, const NocConfig&) = default;
};

/// Which line of a set makes room.
enum class CacheReplacement : std::uint8_t { lru, plru };
inline constexpr std::array<std::string_view, 2> kCacheReplacementNames = {"lru", "plru"};

enum class CacheWrite : std::uint8_t { back, through };
inline constexpr std::array<std::string_view, 2> kCacheWriteNames = {"back", "through"};

/// A cache in front of the DRAM channels, a slice each. Every default is assumed.
struct CacheConfig {
  std::uint64_t capacity_bytes = 0;  ///< of all slices; 0: none
  std::uint32_t line_bytes = 64;
  std::uint32_t ways = 8;
  CacheReplacement replacement = CacheReplacement::lru;
  CacheWrite write = CacheWrite::back;
  std::uint32_t mshrs = 16;      ///< lines a slice waits for at once
  std::uint32_t hit_cycles = 4;  ///< from the last look-up to the response
  bool weights = false;          ///< which traffic passes through it
  bool activations = false;
  bool kv_cache = true;

  friend bool operator==(const CacheConfig&, const CacheConfig&) = default;
};

struct MemoryConfig {
  ScratchpadConfig weight;
  ScratchpadConfig activation;
  ScratchpadConfig output;
  DmaConfig dma;
  NocConfig noc;
  CacheConfig cache;
  std::uint32_t channels = 1;
  std::uint32_t interleave_bytes =
      256;          ///< consecutive addresses go to the next channel after this many
  DramConfig dram;  ///< resolved from the shipped name or a file
  std::vector<TierOfMachine> tiers;      ///< besides it; none: everything lies in DRAM
  std::vector<PlacementRule> placement;  ///< the first that fits
  PrefetchConfig prefetch;
  SwapConfig swap;
  PimConfig pim;

  friend bool operator==(const MemoryConfig&, const MemoryConfig&) = default;
};

/// What the mapping of an operation onto the machine makes small.
enum class Objective : std::uint8_t { cycles, energy, edp };
inline constexpr std::array<std::string_view, 3> kObjectiveNames = {"cycles", "energy", "edp"};

/// Which operand waits while the other passes; sim/system/mapping.hpp has the loops.
enum class LoopOrder : std::uint8_t {
  searched,         ///< whichever the objective prefers
  weights_outer,    ///< n, k, m: each weight tile is loaded once, all rows stream past it
  rows_outer,       ///< m, n, k: rows of activations stay with all of K, the weights pass
  sums_outer,       ///< m, n, k: m_tile x n_tile sums stay, slices of both operands pass
  reduction_outer,  ///< k, m, n: every sum stays in the output scratchpad, K is walked once
};
inline constexpr std::array<std::string_view, 5> kLoopOrderNames = {
    "searched", "weights_outer", "rows_outer", "sums_outer", "reduction_outer"};

/// Elements of a tile; 0: as the search finds best, more than the operation has: all of them.
struct TileConfig {
  std::uint64_t m = 0, n = 0, k = 0;

  friend bool operator==(const TileConfig&, const TileConfig&) = default;
};

/// Where a value was written ("machine.yaml:7:3", empty for a built-in one), for messages about it
/// that come later than reading. No part of a configuration's value.
struct Origin {
  std::string place;

  friend bool operator==(const Origin&, const Origin&) { return true; }
};

/// A mapping that the user settles instead of the search, wholly or in part.
struct FixedMapping {
  TileConfig tile;
  LoopOrder order = LoopOrder::searched;
  Origin origin;

  friend bool operator==(const FixedMapping&, const FixedMapping&) = default;
};

/// The key of MappingConfig::fixed that means every matrix product without an entry of its own.
inline constexpr std::string_view kEveryOperation = "all";

/// How attention is cut.
enum class AttentionSchedule : std::uint8_t {
  rows,   ///< all scores of a row are on chip before its softmax (tiled for a coded cache)
  tiled,  ///< block by block with running maxima and sums (FlashAttention); masked blocks skipped
};
inline constexpr std::array<std::string_view, 2> kAttentionScheduleNames = {"rows", "tiled"};

struct MappingConfig {
  Objective objective = Objective::cycles;
  AttentionSchedule attention = AttentionSchedule::rows;
  std::map<std::string, FixedMapping> fixed;  ///< by name of the operation, or kEveryOperation

  friend bool operator==(const MappingConfig&, const MappingConfig&) = default;
};

struct MachineConfig {
  std::string name;
  std::string summary;
  std::string source;
  double clock_mhz = 500;
  ArrayConfig array;
  DequantiserConfig dequantiser;
  KvDequantiserConfig kv_dequantiser;
  VectorConfig vector;
  MemoryConfig memory;
  MappingConfig mapping;
  EnergyTable energy;  ///< resolved from the shipped name or a file

  double peak_dram_bytes_per_cycle() const {
    return memory.dram.peak_bytes_per_second() * memory.channels / (clock_mhz * 1e6);
  }

  friend bool operator==(const MachineConfig&, const MachineConfig&) = default;
};

}  // namespace systole::configs
