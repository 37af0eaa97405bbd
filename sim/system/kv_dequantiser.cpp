// The contract is in the header.
#include "sim/system/kv_dequantiser.hpp"

#include <algorithm>

#include "sim/core/units.hpp"

namespace systole::sim {

std::uint64_t kv_dequantise_cycles(const configs::KvDequantiserConfig& unit,
                                   const KvDecodeWork& work) {
  if (work.none()) return 0;
  std::uint64_t slowest = 0;
  for (const KvStage& stage : kKvStages) {
    slowest = std::max(slowest, ceil_div(work.*stage.work, unit.*stage.rate));
  }
  return unit.latency_cycles + slowest;
}

}  // namespace systole::sim
