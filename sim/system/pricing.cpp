#include "sim/system/pricing.hpp"

#include "memory/sram_model.hpp"
#include "sim/core/error.hpp"

namespace systole::sim {
namespace {

const configs::OpPrice& op_price(const configs::EnergyTable& table, const std::string& name) {
  const auto it = table.ops.find(name);
  if (it == table.ops.end()) {
    throw ConfigError("energy table '" + table.name + "' has no price for operation '" + name +
                      "'");
  }
  return it->second;
}

const configs::PePrice& pe_price(const configs::EnergyTable& table, const std::string& name) {
  const auto it = table.pes.find(name);
  if (it == table.pes.end()) {
    throw ConfigError("energy table '" + table.name + "' has no price for PE '" + name + "'");
  }
  return it->second;
}

SquareMillimetres from_um2(double um2) { return SquareMillimetres(um2 * 1e-6); }

}  // namespace

PriceList::PriceList(const configs::MachineConfig& machine) {
  const configs::EnergyTable& table = machine.energy;
  const configs::PePrice& pe = pe_price(table, machine.array.pe);
  const double pes = static_cast<double>(machine.array.rows) * machine.array.cols;
  event_pj_["array.mac_pass"] = pe.mac_pj;
  parts_["array"] = {Milliwatts(pes * pe.leakage_uw * 1e-3), from_um2(pes * pe.area_um2), pe.source,
                     pe.source};

  // A lane of the dequantiser is one fp32 multiplier and one fp32 adder, and so is one of the
  // vector unit.
  const configs::OpPrice& add = op_price(table, "fp32_add");
  const configs::OpPrice& multiply = op_price(table, "fp32_mul");
  const double lane_um2 = add.area_um2 + multiply.area_um2;
  const Milliwatts lane_leakage(lane_um2 * pe.leakage_uw / pe.area_um2 * 1e-3);  // see notes()
  event_pj_["dequantiser.scale_add"] = add.pj + multiply.pj;
  event_pj_["vector.add"] = add.pj;
  event_pj_["vector.multiply"] = multiply.pj;
  const auto lanes = [&](double count) {
    return Part{count * lane_leakage, from_um2(count * lane_um2), multiply.source, multiply.source};
  };
  parts_["dequantiser"] = lanes(machine.dequantiser.lanes);
  parts_["vector"] = lanes(machine.vector.lanes);

  const auto scratchpad = [&](const std::string& name, const configs::ScratchpadConfig& config) {
    const memory::SramPrice price = memory::price_sram(table, config);
    event_pj_[name + ".read_word"] = price.read_pj_per_word;
    event_pj_[name + ".write_word"] = price.write_pj_per_word;
    parts_[name] = {Milliwatts(price.leakage_mw), SquareMillimetres(price.area_mm2), price.source,
                    price.source};
  };
  scratchpad("weight_scratchpad", machine.memory.weight);
  scratchpad("activation_scratchpad", machine.memory.activation);
  scratchpad("output_scratchpad", machine.memory.output);

  const configs::DramConfig& dram = machine.memory.dram;
  event_pj_["dram.activate"] = dram.activate_pj;
  event_pj_["dram.read_bit"] = dram.read_pj_per_bit;
  event_pj_["dram.write_bit"] = dram.write_pj_per_bit;
  event_pj_["dram.refresh"] = dram.refresh_pj;
  parts_["dram"] = {Milliwatts(dram.standby_mw * machine.memory.channels), SquareMillimetres(0),
                    "off chip", dram.energy_source};
}

std::map<std::string, double> PriceList::dynamic_pj(const EventCounts& events) const {
  std::map<std::string, double> by_component;
  for (const auto& [event, count] : events) {
    if (event == "dram.refresh") continue;  // time's, not the work's: see components()
    const auto price = event_pj_.find(event);
    SYSTOLE_CHECK(price != event_pj_.end(), "event '" + event + "' has no price");
    by_component[event.substr(0, event.find('.'))] += price->second * static_cast<double>(count);
  }
  return by_component;
}

std::vector<ComponentRow> PriceList::components(const EventCounts& events, Nanoseconds time) const {
  const std::map<std::string, double> dynamic = dynamic_pj(events);
  std::vector<ComponentRow> rows;
  for (const char* name : kComponents) {
    const Part& part = parts_.at(name);
    ComponentRow row;
    row.name = name;
    if (const auto it = dynamic.find(name); it != dynamic.end()) row.dynamic_pj = it->second;
    row.static_pj = energy(part.standing, time).count();
    if (row.name == "dram") {
      row.static_pj +=
          event_pj_.at("dram.refresh") * static_cast<double>(events.get("dram.refresh"));
    }
    row.area_mm2 = part.area.count();
    row.area_source = part.area_source;
    row.energy_source = part.energy_source;
    rows.push_back(row);
  }
  return rows;
}

KeyValues PriceList::notes() const {
  return {{"leakage of the vector unit and the dequantiser",
           "assumed: the same power per area as the PEs, for want of a published figure"},
          {"idle units", "assumed clock-gated: a unit without work costs its leakage only"},
          {"control, interconnect and clock tree",
           "not modelled; area and energy are those of PEs, lanes, scratchpads and DRAM"}};
}

}  // namespace systole::sim
