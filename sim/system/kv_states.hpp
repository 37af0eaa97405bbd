// Coded KV caches as a step of a program finds them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>

#include "configs/machine.hpp"
#include "memory/kv_cache.hpp"
#include "workloads/program.hpp"

namespace systole::sim {

/// Where nothing but the token count matters a cache is restored. Behind a write-combining buffer,
/// whose contents follow from every write so far, and behind a shared prefix, whose pages become a
/// sequence's own one by one, its history is played: the prompt, then token after token (of
/// rejected drafts too little: they are written over). What was played is kept at intervals, so
/// that steps in ascending order cost one token each.
class KvStates {
 public:
  explicit KvStates(const configs::MachineConfig& machine) : machine_(machine) {}

  /// The cache of `region` when `region.before` tokens are in it, `offset` further in memory, of
  /// which `sequence_offset` does not move what sequences share.
  memory::KvCache at(const workloads::CacheRegion& region, std::uint64_t offset,
                     std::uint64_t sequence_offset = 0);

 private:
  using Key = std::tuple<const KvGeometry*, std::uint64_t, bool>;  ///< address, whether the last
  struct History {
    std::map<std::uint64_t, memory::KvCache> kept;  ///< by tokens
    std::optional<memory::KvCache> latest;          ///< asked for
  };

  const configs::MachineConfig& machine_;
  std::map<Key, History> histories_;
};

/// Bursts of the machine's write-combining buffer that this cache has for itself: keys and values
/// of all layers and sequences divide it by the bursts that each keeps open at most.
std::uint64_t combined_bursts(const configs::MachineConfig& machine,
                              const workloads::CacheRegion& region);

}  // namespace systole::sim
