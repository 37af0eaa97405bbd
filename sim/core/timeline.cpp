#include "sim/core/timeline.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace systole {

void thin(std::vector<DramSlice>& slices, std::size_t most) {
  while (slices.size() > most && slices.size() > kExactDramSlices) {
    const std::size_t before = slices.size();
    std::vector<DramSlice> kept(slices.begin(),
                                slices.begin() + static_cast<std::ptrdiff_t>(kExactDramSlices));
    std::map<std::pair<std::uint32_t, DramAct>, std::size_t> latest;  // where in `kept`
    for (std::size_t i = kExactDramSlices; i < before; ++i) {
      const DramSlice& slice = slices[i];
      const auto [at, first] = latest.try_emplace({slice.bank, slice.act}, kept.size());
      // Two by two.
      if (first || kept[at->second].pieces > slice.pieces) {
        at->second = kept.size();
        kept.push_back(slice);
        continue;
      }
      DramSlice& last = kept[at->second];
      last.gaps_ps +=
          slice.gaps_ps + (slice.begin_ps > last.end_ps ? slice.begin_ps - last.end_ps : 0);
      last.end_ps = std::max(last.end_ps, slice.end_ps);
      last.bytes += slice.bytes;
      last.pieces += slice.pieces;
    }
    slices = std::move(kept);
    if (slices.size() == before) break;
  }
}

}  // namespace systole
