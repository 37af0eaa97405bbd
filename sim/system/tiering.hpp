// Tiers of a program on a machine: which of its bytes lie in which memory, by the machine's
// placement rules; jobs with addresses of tiers; what moves between them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "configs/machine.hpp"
#include "memory/placement.hpp"
#include "memory/tier.hpp"
#include "sim/core/run_result.hpp"
#include "sim/system/schedule.hpp"
#include "workloads/program.hpp"

namespace systole::sim {

/// The operations of a preemption, in a segment of their own, once a layer.
inline constexpr const char* kSwapSegment = "layer_swap";
inline constexpr const char* kSwapOut = "kv_swap_out";
inline constexpr const char* kSwapIn = "kv_swap_in";

/// One chunk of the next layer's weights: read from its tier, then written to the staging.
struct PrefetchChunk {
  std::vector<memory::Transfer> reads;
  memory::Transfer write;
};

/// Made once for a program: decides where everything lies, whole program, before the clock starts.
///
/// Weights, embeddings and activations go tensor block by tensor block (a layer's weights are one)
/// in the order of their addresses to the tier of the first rule that fits, and what a tier has no
/// room for to the next one. Of a layer's keys or values each tier takes what the rules give it at
/// the program's end, in one piece.
class Tiering {
 public:
  /// `layer_stride`, `spill_base`: as the runner places layers and the ring of activations.
  /// Errors: ConfigError when all tiers together are too small.
  Tiering(const workloads::Program& program, const configs::MachineConfig& machine,
          std::uint64_t layer_stride, std::uint64_t spill_base);

  /// What decides how a region of `layer` runs besides its operations: equal kinds, equal outcomes.
  /// Layers beyond the program's are those of no layer (embedding, head).
  std::uint32_t kind(std::uint32_t layer) const;
  static constexpr std::uint32_t kNoLayer = 0xffffffff;

  /// Where a region of a step stands.
  struct Where {
    std::uint32_t layer = kNoLayer;
    std::uint64_t before = 0, after = 0;  ///< tokens in the cache
    std::uint64_t shift = 0;              ///< of the layer's addresses from the first layer's
    bool warm = false;                    ///< its weights were prefetched
  };
  /// Gives the jobs' transfers their tiers, and adds what moves because tokens grew old to the job
  /// that appends to the cache.
  void place(std::vector<Job>& jobs, const workloads::Segment& segment, const Where& where) const;

  bool prefetches() const { return machine_.memory.prefetch.staging_bytes > 0; }
  /// Of the weights of `layer`, as much as half of the staging holds.
  std::vector<PrefetchChunk> prefetch(std::uint32_t layer, std::uint64_t shift) const;

  /// Placed and spilled bytes of each tier, DRAM first.
  std::uint64_t placed(std::uint32_t tier) const { return space_.used(tier); }
  std::uint64_t spilled(std::uint32_t tier) const { return space_.spilled(tier); }
  std::uint64_t capacity(std::uint32_t tier) const { return space_.capacity(tier); }
  /// Rules that nothing fits, for the notes.
  std::vector<std::size_t> idle_rules() const;
  std::uint64_t first_layer_address() const { return first_layer_; }

 private:
  /// Keys or values of a layer, at the first layer's addresses.
  struct Cache {
    bool keys = false;
    std::uint64_t begin = 0, bytes = 0;
    std::uint64_t pieces = 0, piece_stride = 0, token_bytes = 0;  ///< of a plain one
    std::shared_ptr<const KvGeometry> geometry;                   ///< of a coded one
  };
  struct Layer {
    std::uint64_t begin = 0, end = 0;  ///< weights, at the first layer's addresses
    std::vector<Cache> caches;
    memory::Extents weights;
    std::vector<std::array<std::uint32_t, memory::kMostTiers>>
        spill;  ///< of each cache: tier -> tier
    std::uint32_t kind = 0;
  };

  void find_tensors(const workloads::Program& program);
  void place_all(const workloads::Program& program);
  std::uint32_t tier_number(const std::string& name) const;
  std::uint32_t tier_for(configs::PlacedClass of, std::uint32_t layer) const;
  bool covers(const configs::PlacementRule& rule, configs::PlacedClass of,
              std::uint32_t layer) const;
  void take(memory::Extents& extents, std::uint64_t begin, std::uint64_t end, std::uint32_t tier);
  void fill_cache(memory::Extents& extents, const Layer& layer, std::uint32_t index,
                  std::size_t cache, std::uint64_t tokens) const;
  memory::Ranges token_ranges(const Cache& cache, std::uint64_t first, std::uint64_t last,
                              std::uint64_t tokens) const;
  memory::Ranges part_ranges(const Cache& cache, configs::PlacedSalience salience) const;
  const memory::Extents& extents(const Where& where, bool with_cache) const;
  void age(Job& job, const std::vector<memory::Transfer>& written, std::size_t index,
           const Where& where) const;
  memory::Ranges staged_ranges(const Layer& layer) const;
  /// The jobs of a preemption, a piece of the cache each.
  std::vector<Job> swap_jobs(const workloads::Segment& segment, const Where& where) const;

  const configs::MachineConfig& machine_;
  std::uint64_t stride_, spill_base_, program_stride_;
  std::uint64_t first_layer_ = 0;
  memory::TierSpace space_;
  memory::Extents fixed_;  ///< of no layer
  std::vector<Layer> layers_;
  std::uint64_t staging_address_ = 0;
  std::uint64_t final_tokens_ = 0;
  mutable std::vector<bool> used_rules_;
  mutable std::map<std::array<std::uint64_t, 4>, memory::Extents> known_;
};

}  // namespace systole::sim
