#include "sim/system/gemm_searches.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace systole::sim {
namespace {

/// About 20 MiB.
constexpr std::size_t kMostContenders = 50'000, kMostSeen = 20'000;

/// Whether `a` is preferred to `b` under all prices, as Mapper::better has it: no figure that
/// counts is larger, and one that no price can hide is smaller, or its tiles decide.
bool always_preferred(const GemmSearches::Contender& a, const GemmSearches::Contender& b) {
  const MappingCost &x = a.cost, &y = b.cost;
  const bool no_worse = x.cycles <= y.cycles && x.first_load_cycles <= y.first_load_cycles &&
                        x.dram_bytes <= y.dram_bytes && x.jobs <= y.jobs &&
                        x.weight_bytes + x.input_bytes <= y.weight_bytes + y.input_bytes &&
                        x.result_bytes <= y.result_bytes && no_more_priced(x.counts, y.counts);
  const auto figures = [](const GemmSearches::Contender& c) {
    return std::tuple(c.cost.cycles, c.cost.first_load_cycles, c.cost.dram_bytes, c.cost.jobs,
                      c.mapping.order, ~c.mapping.n_tile, ~c.mapping.m_tile, ~c.mapping.k_tile);
  };
  return no_worse && figures(a) < figures(b);
}

}  // namespace

const std::vector<GemmSearches::Contender>* GemmSearches::find(const Key& key) const {
  const auto it = kept_.find(key);
  return it == kept_.end() ? nullptr : &it->second;
}

bool GemmSearches::wanted(const Key& key) {
  if (seen_.size() >= kMostSeen) seen_.clear();
  return !seen_.insert(key).second;
}

void GemmSearches::keep(const Key& key, std::vector<Contender> all, const Contender& best,
                        const Contender& next) {
  std::erase_if(all, [&](const Contender& other) {
    return always_preferred(best, other) && always_preferred(next, other);
  });
  if (contenders_ + all.size() > kMostContenders) {
    kept_.clear();
    contenders_ = 0;
  }
  contenders_ += all.size();
  kept_.emplace(key, std::move(all));
}

}  // namespace systole::sim
