// What earlier searches for tiles found, kept for machines that differ from theirs in prices alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "sim/system/mapping.hpp"

namespace systole::sim {

/// Searches by the machine without its prices and by what was asked for. A machine with other
/// prices ranks the costs of the same mappings anew; those that no prices can make the best or the
/// next best are not kept. Memory is bounded: when there are more, all are forgotten.
class GemmSearches {
 public:
  struct Contender {
    GemmMapping mapping;
    MappingCost cost;  ///< its energy is of the prices of who searched
  };
  struct Key {
    std::array<std::uint64_t, 2> machine{};  ///< priceless_digest
    Mapper::ShapeKey shape;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  /// Null where nothing is kept.
  const std::vector<Contender>* find(const Key& key) const;
  /// Whether to keep this search: from the second time on, since most are never asked for again.
  bool wanted(const Key& key);
  /// `best` and `next` of `all`, the two that the searcher's prices prefer.
  void keep(const Key& key, std::vector<Contender> all, const Contender& best,
            const Contender& next);
  std::size_t size() const { return kept_.size(); }  ///< searches that are kept

 private:
  std::map<Key, std::vector<Contender>> kept_;
  std::set<Key> seen_;
  std::size_t contenders_ = 0;
};

}  // namespace systole::sim
