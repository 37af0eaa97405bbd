// Memories beside the machine's DRAM (on-chip arrays, non-volatile cells, attached DRAM, flash),
// the links they lie behind, and the rules that say whose bytes lie where.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "configs/dram.hpp"

namespace systole::configs {

/// What answers behind a tier's link.
enum class TierKind : std::uint8_t {
  cells,  ///< banks with fixed latencies: SRAM, RRAM, MRAM, FeFET, flash
  dram,   ///< channels of a DRAM standard, with their bank state
};
inline constexpr std::array<std::string_view, 2> kTierKindNames = {"cells", "dram"};

/// A packetised full-duplex link (PCIe, CXL): requests and written data go one way, read data and
/// acknowledgements the other, each way one after the other.
struct LinkConfig {
  double bandwidth_gbs = 0;        ///< of each direction; 0: the tier is attached directly
  double latency_ns = 0;           ///< each way, after the last byte has left
  std::uint32_t packet_bytes = 0;  ///< largest payload of a packet
  std::uint32_t header_bytes = 0;  ///< of every packet, and of a request or acknowledgement
  std::uint32_t requests = 0;      ///< under way together; more wait before it
  double pj_per_bit = 0;           ///< on the wire, headers included
  double standby_mw = 0;

  friend bool operator==(const LinkConfig&, const LinkConfig&) = default;
};

struct TierConfig {
  std::string name;
  std::string summary;
  std::string source;
  TierKind kind = TierKind::cells;
  LinkConfig link;
  std::uint64_t capacity_bytes = 0;  ///< of the tier; dram: 0 is channels x the DRAM's

  // cells
  std::uint32_t granularity_bytes = 0;  ///< one access of one bank; a part costs all of it
  std::uint32_t banks = 0;              ///< consecutive accesses go to consecutive banks
  std::uint32_t queue = 0;              ///< requests held; more wait before it
  double read_latency_ns = 0, write_latency_ns = 0;
  double read_bandwidth_gbs = 0, write_bandwidth_gbs = 0;  ///< of all banks together
  double read_pj_per_byte = 0, write_pj_per_byte = 0;
  double standby_mw = 0;
  double endurance_writes = 0;          ///< that a line stands; 0: wear is not a matter
  std::uint64_t wear_region_bytes = 0;  ///< writes are counted by regions of so many bytes

  // dram
  std::uint32_t channels = 1;
  std::uint32_t interleave_bytes = 256;
  DramConfig dram;

  std::string energy_source;
  double energy_band = 0;

  bool linked() const { return link.bandwidth_gbs > 0; }
  std::uint64_t capacity() const {
    if (capacity_bytes != 0 || kind == TierKind::cells) return capacity_bytes;
    return dram.data_bytes() * channels;
  }
  /// Of the memory alone and at best; the link may be slower.
  double peak_bytes_per_second(bool write) const {
    double peak = (write ? write_bandwidth_gbs : read_bandwidth_gbs) * 1e9;
    if (kind == TierKind::dram) peak = dram.peak_bytes_per_second() * channels;
    return linked() && link.bandwidth_gbs * 1e9 < peak ? link.bandwidth_gbs * 1e9 : peak;
  }

  friend bool operator==(const TierConfig&, const TierConfig&) = default;
};

/// One entry of a machine's memory.tiers.
struct TierOfMachine {
  std::string name;  ///< by which rules and reports call it
  TierConfig tier;
  std::uint64_t capacity_bytes = 0;  ///< 0: the tier's
  std::uint32_t channels = 0;        ///< dram; 0: the tier's

  /// The tier with what the machine says of it.
  TierConfig resolved() const {
    TierConfig config = tier;
    if (channels != 0) config.channels = channels;
    if (capacity_bytes != 0) config.capacity_bytes = capacity_bytes;
    return config;
  }

  friend bool operator==(const TierOfMachine&, const TierOfMachine&) = default;
};

/// The machine's own DRAM among the tiers.
inline constexpr std::string_view kDramTier = "dram";

/// Whose bytes a rule is about.
enum class PlacedClass : std::uint8_t {
  any,
  weights,
  embeddings,
  kv_cache,
  keys,
  values,
  activations
};
inline constexpr std::array<std::string_view, 7> kPlacedClassNames = {
    "any", "weights", "embeddings", "kv_cache", "keys", "values", "activations"};

/// Which part of a KV cache a rule is about.
enum class PlacedSalience : std::uint8_t {
  any,
  sinks,    ///< the first `tokens` tokens
  salient,  ///< the class that a token policy codes better
  index,    ///< a retrieval index and its codebook
};
inline constexpr std::array<std::string_view, 4> kPlacedSalienceNames = {"any", "sinks", "salient",
                                                                         "index"};

inline constexpr std::uint32_t kLastLayer = 1'000'000;

/// The first rule that fits says where bytes lie; what no rule fits lies in DRAM.
struct PlacementRule {
  PlacedClass of = PlacedClass::any;
  std::uint32_t first_layer = 0, last_layer = kLastLayer;  ///< inclusive
  std::uint64_t older_than = 0;  ///< KV: tokens with at least so many after them, page by page
  std::uint32_t page_tokens = 16;
  PlacedSalience salience = PlacedSalience::any;
  std::uint64_t tokens = 0;  ///< of sinks
  std::string tier;

  friend bool operator==(const PlacementRule&, const PlacementRule&) = default;
};

/// Weights of the next layer on their way from slow tiers to a faster one, while a layer computes.
struct PrefetchConfig {
  std::uint64_t staging_bytes = 0;  ///< one half for the layer that computes, one for the next
  std::string tier = std::string(kDramTier);
  std::uint32_t chunk_bytes = 65536;  ///< read, then written, as one
  std::uint32_t chunks = 4;           ///< of them under way

  friend bool operator==(const PrefetchConfig&, const PrefetchConfig&) = default;
};

/// A sequence is preempted every so many decode steps: its cache goes to a tier and comes back.
struct SwapConfig {
  std::uint32_t every_steps = 0;  ///< 0: never
  std::string tier;

  friend bool operator==(const SwapConfig&, const SwapConfig&) = default;
};

/// Where attention of single tokens is computed.
enum class PimPlace : std::uint8_t {
  none,     ///< in the array, from keys and values that come over the bus
  bank,     ///< units at every bank, which all work on one command (AiM, HBM-PIM)
  channel,  ///< one unit a channel, behind the bank multiplexer (AttAcc's buffer die)
};
inline constexpr std::array<std::string_view, 3> kPimPlaceNames = {"none", "bank", "channel"};

struct PimConfig {
  PimPlace place = PimPlace::none;
  std::uint32_t macs_per_clock = 16;  ///< of one unit, in memory clocks
  double mac_pj = 0;
  double read_pj_per_bit = 0;  ///< from the cells to the unit, not over the bus
  double activate_pj = 0;      ///< 0: the DRAM's
  std::string source;

  friend bool operator==(const PimConfig&, const PimConfig&) = default;
};

}  // namespace systole::configs
