#include "sim/core/kv_comparison_result.hpp"

#include <algorithm>

#include "sim/core/error.hpp"

namespace systole {

KvResource most_of(const KvCycles& cycles) {
  return static_cast<KvResource>(std::ranges::max_element(cycles) - cycles.begin());
}

const KvStageWork* KvPoint::slowest_stage() const {
  const auto slowest = std::ranges::max_element(stages, {}, &KvStageWork::cycles);
  return slowest == stages.end() || slowest->cycles == 0 ? nullptr : &*slowest;
}

std::string KvPoint::name_of(KvResource resource) const {
  std::string name(kKvResourceNames[static_cast<std::size_t>(resource)]);
  const KvStageWork* stage = slowest_stage();
  if (resource == KvResource::dequantiser && stage != nullptr) name += " (" + stage->name + ")";
  return name;
}

double KvPoint::energy_pj_per_token() const {
  return run.decode_tokens > 0 ? run.energy_pj / static_cast<double>(run.decode_tokens) : 0;
}

double KvPoint::row_hit_rate() const {
  if (bursts == 0) return 0;
  return static_cast<double>(bursts - std::min(bursts, activates)) / static_cast<double>(bursts);
}

const KvPoint& KvComparisonResult::at(std::size_t batch, std::size_t machine,
                                      std::size_t system) const {
  SYSTOLE_CHECK(batch < batches.size() && machine < machines.size() && system < systems.size(),
                "a point outside the comparison");
  return points.at((batch * machines.size() + machine) * systems.size() + system);
}

}  // namespace systole
