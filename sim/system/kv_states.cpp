// The contract is in the header.
#include "sim/system/kv_states.hpp"

#include <algorithm>
#include <iterator>

#include "sim/core/error.hpp"

namespace systole::sim {

std::uint64_t combined_bursts(const configs::MachineConfig& machine,
                              const workloads::CacheRegion& region) {
  if (region.all_streams == 0) return 0;  // the prefix of others
  const std::uint64_t all =
      machine.kv_dequantiser.combining_bytes / machine.memory.dram.burst_bytes;
  if (all == 0) return 0;
  SYSTOLE_CHECK(region.streams <= region.all_streams,
                "a KV cache with more streams than all caches");
  // What is more than all can use changes nothing; the bound keeps the product in 64 bits.
  return std::min(all, region.all_streams) * region.streams / region.all_streams;
}

memory::KvCache KvStates::at(const workloads::CacheRegion& region, std::uint64_t offset,
                             std::uint64_t sequence_offset) {
  constexpr std::uint64_t kInterval = 64;  // tokens between caches that are kept
  const configs::KvDequantiserConfig& unit = machine_.kv_dequantiser;
  const std::uint64_t bursts = combined_bursts(machine_, region);
  const auto cache_at = [&](const KvGeometry& geometry, std::uint64_t address,
                            std::uint64_t combined) {
    return memory::KvCache(geometry, address, machine_.memory.dram.burst_bytes,
                           region.staging_bytes <= unit.staging_bytes ? memory::KvStaging::on_chip
                                                                      : memory::KvStaging::dram,
                           unit.masked_writes, combined);
  };
  memory::KvCache empty = cache_at(*region.geometry, region.address + offset, bursts);
  if (bursts == 0 && !region.prefix) {
    empty.restore(region.before);
    return empty;
  }
  if (region.before == 0) return empty;
  History& history = histories_[{region.geometry.get(), region.address + offset, region.last}];
  const memory::KvCache* from = nullptr;
  const auto after = history.kept.upper_bound(region.before);
  if (after != history.kept.begin()) from = &std::prev(after)->second;
  const auto& latest = history.latest;
  if (latest && latest->tokens() <= region.before &&
      (from == nullptr || from->tokens() < latest->tokens())) {
    from = &*latest;
  }
  memory::KvCache cache = from == nullptr ? std::move(empty) : *from;
  if (from == nullptr) {
    if (region.prefix) {
      memory::KvCache prefix =
          cache_at(*region.prefix, region.prefix_address + offset - sequence_offset, 0);
      prefix.restore(region.prefix->capacity);
      cache.share(prefix, region.last);
    } else {
      cache.append(region.prompt);
    }
    history.kept.try_emplace(cache.tokens(), cache);
  }
  if (cache.tokens() < region.prompt && region.prompt <= region.before) {
    cache.append_together(region.prompt - cache.tokens());
    history.kept.try_emplace(region.prompt, cache);
  }
  while (cache.tokens() < region.before) {
    cache.append(1);
    if (cache.tokens() % kInterval == 0) history.kept.try_emplace(cache.tokens(), cache);
  }
  history.latest.emplace(cache);
  return cache;
}

}  // namespace systole::sim
