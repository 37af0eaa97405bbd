// The contract is in the header.
#include "sim/system/kv_dequantiser.hpp"

#include <algorithm>

#include "sim/core/units.hpp"

namespace systole::sim {

std::uint64_t kv_dequantise_cycles(const configs::KvDequantiserConfig& unit,
                                   const KvDecodeWork& work) {
  if (work.none()) return 0;
  return unit.latency_cycles +
         std::max({ceil_div(work.unpacks, unit.lanes), ceil_div(work.multiply_adds, unit.lanes),
                   ceil_div(work.lookups, unit.lut_ports),
                   ceil_div(work.transform_adds, unit.transform_adds),
                   ceil_div(work.rotations, unit.rope_elements),
                   ceil_div(work.gathers, unit.gather_elements),
                   ceil_div(work.sparse_macs, unit.sparse_macs)});
}

std::uint64_t kv_dequantise_operations(const KvDecodeWork& work) {
  constexpr std::uint64_t kRopeOperations = 3;  // two multiplies and an add an element
  return work.multiply_adds + work.transform_adds + kRopeOperations * work.rotations +
         work.sparse_macs;
}

}  // namespace systole::sim
