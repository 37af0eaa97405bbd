#include "memory/steady_state.hpp"

namespace systole::memory {

std::int64_t PassedStates::find_or_keep(const std::vector<std::uint64_t>& words) {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a, by words
  for (const std::uint64_t word : words) hash = (hash ^ word) * 0x100000001b3u;
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto at = first; at != last; ++at) {
    if (states_[at->second] == words) return static_cast<std::int64_t>(at->second);
  }
  by_hash_.emplace(hash, states_.size());
  states_.push_back(words);
  return -1;
}

}  // namespace systole::memory
