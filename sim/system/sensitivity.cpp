#include "sim/system/sensitivity.hpp"

#include <fmt/format.h>

#include <utility>

#include "sim/core/units.hpp"

namespace systole::sim {
namespace {

std::uint64_t tenth_more_of(std::uint64_t value, std::uint64_t multiple = 1) {
  return ceil_div(value + ceil_div(value, 10), multiple) * multiple;
}

}  // namespace

std::string MachineChange::path() const {
  std::string text;
  for (const std::string& one : overrides) text += (text.empty() ? "" : " ") + one;
  return text;
}

std::vector<MachineChange> tenth_more(const configs::MachineConfig& machine, bool coded_cache) {
  const configs::MemoryConfig& memory = machine.memory;
  std::vector<MachineChange> changes;
  changes.push_back(
      {"DRAM 10 % faster", {fmt::format("memory.dram.clock_mhz={:.9g}", memory.dram.clock_mhz * 1.1)}});
  changes.push_back(
      {"accelerator clock 10 % faster", {fmt::format("clock_mhz={:.9g}", machine.clock_mhz * 1.1)}});
  changes.push_back(
      {"array columns +10 %", {fmt::format("array.cols={}", tenth_more_of(machine.array.cols))}});
  MachineChange scratchpads{"scratchpads +10 %", {}};
  for (const auto& [name, one] :
       {std::pair("weight", &memory.weight), std::pair("activation", &memory.activation),
        std::pair("output", &memory.output)}) {
    // Whole words in every bank of every buffer.
    const std::uint64_t multiple = one->bytes_per_cycle() * one->buffers;
    scratchpads.overrides.push_back(fmt::format("memory.{}.capacity_bytes={}", name,
                                                tenth_more_of(one->capacity_bytes, multiple)));
  }
  changes.push_back(std::move(scratchpads));
  changes.push_back({"vector lanes +10 %",
                     {fmt::format("vector.lanes={}", tenth_more_of(machine.vector.lanes))}});
  if (machine.dequantiser.place != configs::DequantisePlace::pe) {
    changes.push_back(
        {"dequantiser lanes +10 %",
         {fmt::format("dequantiser.lanes={}", tenth_more_of(machine.dequantiser.lanes))}});
  }
  if (coded_cache) {
    const configs::KvDequantiserConfig& unit = machine.kv_dequantiser;
    MachineChange rates{"KV dequantiser +10 %", {}};
    for (const auto& [name, rate] :
         {std::pair("lanes", unit.lanes), std::pair("lut_ports", unit.lut_ports),
          std::pair("transform_adds", unit.transform_adds),
          std::pair("rope_elements", unit.rope_elements),
          std::pair("gather_elements", unit.gather_elements),
          std::pair("sparse_macs", unit.sparse_macs),
          std::pair("topk_elements", unit.topk_elements)}) {
      rates.overrides.push_back(fmt::format("kv_dequantiser.{}={}", name, tenth_more_of(rate)));
    }
    changes.push_back(std::move(rates));
  }
  return changes;
}

SensitivityRow sensitivity_of(const MachineChange& change, const RunResult& result) {
  SensitivityRow row;
  row.change = change.name;
  row.path = change.path();
  // As views have it, so that equal cycles are no change.
  row.time_ms = static_cast<double>(result.cycles) * 1e-3 / result.clock_mhz;
  row.ttft_ms = result.ttft_ms;
  row.tpot_ms = result.tpot_ms.value_or(0);
  row.energy_pj = result.energy_pj;
  row.area_mm2 = result.area_mm2;
  return row;
}

}  // namespace systole::sim
