#include "sim/system/pricing.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "configs/library.hpp"
#include "configs/scaling.hpp"
#include "memory/dram_energy.hpp"
#include "memory/sram_model.hpp"
#include "memory/tier.hpp"
#include "pe/design.hpp"
#include "sim/core/error.hpp"
#include "sim/system/kv_dequantiser.hpp"

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
    throw ConfigError(configs::no_price_message(table.name, name, configs::tables_with_pe(name)));
  }
  return it->second;
}

/// Events that come with time, not with work: they count as static energy.
constexpr std::array<const char*, 3> kOfTime = {"refresh", "bank_refresh", "power_down_clock"};
bool of_time(const std::string& event) {
  return std::ranges::find(kOfTime, event.substr(event.find('.') + 1)) != kOfTime.end();
}

SquareMillimetres from_um2(double um2) { return SquareMillimetres(um2 * 1e-6); }

std::string number(double value) {
  std::array<char, 32> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                    std::chars_format::general, 4);
  return {buffer.data(), result.ptr};
}

/// "±25 %" or "none stated".
std::string band_text(double band) {
  return band > 0 ? "\u00b1" + number(100 * band) + " %" : "none stated";
}

}  // namespace

void PriceList::price_array(const configs::MachineConfig& machine) {
  const configs::PePrice& pe = pe_price(machine.energy, machine.array.pe);
  const double pes = static_cast<double>(machine.array.rows) * machine.array.cols;
  parts_["array"] = {Milliwatts(pes * pe.leakage_uw * 1e-3),
                     from_um2(pes * pe.area_um2),
                     pe.source,
                     pe.source,
                     pe.area_band,
                     pe.energy_band};

  // Glitches of a class of passes are taken to grow with its settled transitions.
  const double glitch = std::max(1.0, pe.mac_glitch_pj / pe.mac_pj);
  const auto pass = [&](const std::string& event, double pj) {
    const double price = pj > 0 ? pj : pe.mac_pj;
    events_[event] = {price, price * glitch};
  };
  pass("array.mac_pass", pe.mac_pj);
  pass("array.mac_pass_zero", pe.mac_zero_pj);
  pass("array.mac_pass_hold", pe.mac_hold_pj);
  pass("array.mac_pass_traced", pe.mac_quiet_pj);
  events_["array.operand_toggle"] = {pe.operand_toggle_pj, pe.operand_toggle_pj * glitch};

  if (pe.mac_glitch_pj > 0) {
    table_notes_.emplace_back(
        "glitches", "energies count settled transitions; with all transitions a pass of '" +
                        machine.array.pe + "' costs " + number(pe.mac_glitch_pj) + " pJ, not " +
                        number(pe.mac_pj) + " pJ: the high end of the energy");
  }
  if (pe.area_um2 == 0) {
    table_notes_.emplace_back("area of the array", "not in the total: the table states none");
  }
  if (pe.leakage_uw == 0) {
    table_notes_.emplace_back("leakage of the array", "not in the total: the table states none");
  }
}

/// Units at the edge: a lane that brings words has as many whole ones as a word takes, each column
/// one of each rounder. Weights come down the columns, activations along the rows, exchanged where
/// activations are held.
void PriceList::price_edge(const configs::MachineConfig& machine) {
  const configs::ArrayConfig& array = machine.array;
  const configs::PePrice& pe = machine.energy.pes.at(array.pe);
  const double leakage = pe.area_um2 > 0 ? pe.leakage_uw / pe.area_um2 : 0;  // see notes()
  const bool exchanged = array.dataflow == configs::Dataflow::input_stationary;
  struct Side {
    const char* event;
    std::uint32_t lanes;
  };
  const Side sides[] = {{"array.edge_weight_word", exchanged ? array.rows : array.cols},
                        {"array.edge_activation_word", exchanged ? array.cols : array.rows},
                        {"array.edge_result", array.cols}};
  for (const Side& side : sides) price(side.event, 0);
  double area = 0;
  std::string missing;
  for (const pe::EdgeUnit& unit : pe::find_design(array.pe).edge_units) {
    const Side& side = sides[static_cast<std::size_t>(unit.side)];
    const auto op = machine.energy.ops.find(unit.name);
    if (op == machine.energy.ops.end()) {
      if (missing.find(unit.name) == std::string::npos) {
        missing += (missing.empty() ? "" : ", ") + unit.name;
      }
      continue;
    }
    Price& word = events_.at(side.event);
    word.pj += unit.per_word * op->second.pj;
    word.high_pj = word.pj;
    area += side.lanes * std::ceil(unit.per_word) * op->second.area_um2;
  }
  Part& part = parts_.at("array");
  part.area = part.area + from_um2(area);
  part.standing = part.standing + Milliwatts(area * leakage * 1e-3);
  if (area > 0) {
    table_notes_.emplace_back(
        "units at the array's edge",
        number(area * 1e-6) +
            " mm2, in the array's area and energy; one price each, whatever the "
            "format; leakage assumed that of the PEs a square micrometre");
  }
  if (!missing.empty()) {
    table_notes_.emplace_back(
        "not priced at the array's edge",
        missing + ": energy table '" + machine.energy.name + "' has no such operation");
  }
}

/// A hop: the flit into a queue, out of it, and over the wires. A queue is one bank of packets of a
/// DMA segment each, as the table's fit prices so small an SRAM.
void PriceList::price_noc(const configs::MachineConfig& machine) {
  const configs::NocConfig& noc = machine.memory.noc;
  const std::uint64_t points = 2 * machine.memory.dma.engines + machine.memory.channels;
  // A crossbar has a queue for every source, of requests or of responses; a switch of a mesh has
  // five of both kinds.
  const std::uint64_t queues = noc.kind == configs::NocKind::crossbar
                                   ? points
                                   : 2 * 5 * ceil_div(points, noc.columns) * noc.columns;
  configs::ScratchpadConfig queue;
  queue.banks = 1;
  queue.word_bytes = noc.link_bytes;
  queue.capacity_bytes =
      ceil_div(std::uint64_t{noc.queue} * machine.memory.dma.segment_bytes, 2 * noc.link_bytes) *
      2 * noc.link_bytes;
  const memory::SramPrice sram = memory::price_sram(machine.energy, queue);
  price("noc.flit_hop",
        sram.read_pj_per_word + sram.write_pj_per_word + noc.hop_pj_per_byte * noc.link_bytes);
  price("noc.packet", 0);
  price("noc.wait_cycle", 0);
  const auto count = static_cast<double>(queues);
  parts_["noc"] = {Milliwatts(count * sram.leakage_mw),
                   SquareMillimetres(count * sram.area_mm2),
                   "queues: " + sram.source + "; switches and wires not stated",
                   "queues: " + sram.source + "; wires " + number(noc.hop_pj_per_byte) +
                       " pJ a byte and hop (assumed)",
                   sram.area_band,
                   sram.energy_band};
  components_.emplace_back("noc");
}

/// A slice is two SRAMs: lines, and the tags of a set in one word of 4 bytes a way (assumed: tag,
/// state and age).
void PriceList::price_cache(const configs::MachineConfig& machine) {
  const configs::CacheConfig& cache = machine.memory.cache;
  constexpr std::uint32_t kTagBytes = 4;
  configs::ScratchpadConfig data;
  data.banks = 1;
  data.capacity_bytes = cache.capacity_bytes / machine.memory.channels;
  data.word_bytes = cache.line_bytes;
  configs::ScratchpadConfig tags = data;
  tags.word_bytes = kTagBytes * cache.ways;
  tags.capacity_bytes = data.capacity_bytes / cache.line_bytes * kTagBytes;
  const memory::SramPrice line = memory::price_sram(machine.energy, data);
  const memory::SramPrice tag = memory::price_sram(machine.energy, tags);
  price("cache.lookup", tag.read_pj_per_word);
  price("cache.hit", 0);
  price("cache.miss", tag.write_pj_per_word);
  price("cache.line_read", line.read_pj_per_word);
  price("cache.line_write", line.write_pj_per_word);
  const double slices = machine.memory.channels;
  const std::string source = "lines: " + line.source + "; tags: " + tag.source;
  parts_["cache"] = {Milliwatts(slices * (line.leakage_mw + tag.leakage_mw)),
                     SquareMillimetres(slices * (line.area_mm2 + tag.area_mm2)),
                     source,
                     source,
                     std::max(line.area_band, tag.area_band),
                     std::max(line.energy_band, tag.energy_band)};
  const double cycles = (line.access_ns + tag.access_ns) * machine.clock_mhz * 1e-3;
  if (cycles > cache.hit_cycles) {
    table_notes_.emplace_back("latency of the cache",
                              "memory.cache.hit_cycles is " + std::to_string(cache.hit_cycles) +
                                  "; by the energy table tags and line take " + number(cycles));
  }
  components_.emplace_back("cache");
}

/// Stages of the KV dequantiser out of the table's adders and multipliers, as many as its rates
/// say. Arithmetic stages are what their operations are. No table has the others as blocks of their
/// own; they are taken for an adder with about as many gates (assumed, a factor of two either way):
///   unpack      three stages of byte multiplexers                    int8_add
///   look-up     a 16-to-1 multiplexer of fp16, one path of which moves: the gates of two
///   int32_add,
///               the energy of one
///   gather      seven stages of fp16 multiplexers (128 lanes)        int32_add
///   comparison  a 16-bit subtraction                                 int16_add
void PriceList::price_kv_dequantiser(const configs::MachineConfig& machine, double uw_per_um2) {
  constexpr double kAssumedBand = 1.0;
  const configs::EnergyTable& table = machine.energy;
  const auto op = [&](const char* name) -> const configs::OpPrice& {
    return op_price(table, name);
  };
  const configs::OpPrice &byte = op("int8_add"), &half = op("int16_add"), &word = op("int32_add");
  const configs::OpPrice &add = op("fp16_add"), &multiply = op("fp16_mul");
  const configs::OpPrice &wide_add = op("fp32_add"), &wide_multiply = op("fp32_mul");
  struct Stage {
    double pj, um2, band;
  };
  const auto arithmetic = [](const configs::OpPrice& a, double count, const configs::OpPrice& b) {
    return Stage{count * a.pj + b.pj, count * a.area_um2 + b.area_um2,
                 std::max(a.area_band, b.area_band)};
  };
  const Stage gather{word.pj, word.area_um2, kAssumedBand};
  const Stage sparse = arithmetic(multiply, 1, wide_add);
  const Stage stages[] = {{byte.pj, byte.area_um2, kAssumedBand},
                          arithmetic(wide_multiply, 1, wide_add),  // as a lane of the dequantiser
                          {word.pj, 2 * word.area_um2, kAssumedBand},
                          {add.pj, add.area_um2, add.area_band},
                          arithmetic(multiply, 2, add),
                          gather,
                          {sparse.pj + gather.pj, sparse.um2 + gather.um2, kAssumedBand},
                          {half.pj, half.area_um2, kAssumedBand}};
  static_assert(std::size(stages) == kKvStages.size());
  double area = 0, area_off = 0;
  for (std::size_t i = 0; i < kKvStages.size(); ++i) {
    price(kKvStages[i].event, stages[i].pj);
    const double um2 = machine.kv_dequantiser.*kKvStages[i].rate * stages[i].um2;
    area += um2;
    area_off += um2 * stages[i].band;
  }
  Part part{Milliwatts(area * uw_per_um2 * 1e-3),
            from_um2(area),
            "adders and multipliers of the table, as many as its rates; unpackers, look-ups, "
            "gathers and the top-k unit assumed",
            "operations of its stages; unpackers, look-ups, gathers and comparisons assumed",
            area > 0 ? area_off / area : 0,
            kAssumedBand / 2};
  // Banks of 64 KiB and 64-byte words. Of the staging area and leakage only: its accesses are the
  // scratchpad's.
  const auto buffer = [&](std::uint64_t bytes) {
    constexpr std::uint64_t kBank = 65536;
    configs::ScratchpadConfig config;
    config.word_bytes = 64;
    config.banks = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, ceil_div(bytes, kBank)));
    config.capacity_bytes = std::max<std::uint64_t>(bytes, 1024 * config.banks);
    const memory::SramPrice sram = memory::price_sram(table, config);
    part.area = part.area + SquareMillimetres(sram.area_mm2);
    part.standing = part.standing + Milliwatts(sram.leakage_mw);
    return std::pair(sram.read_pj_per_word / config.word_bytes,
                     sram.write_pj_per_word / config.word_bytes);
  };
  if (machine.kv_dequantiser.staging_bytes > 0) buffer(machine.kv_dequantiser.staging_bytes);
  if (machine.kv_dequantiser.combining_bytes > 0) {
    const auto [read_pj, write_pj] = buffer(machine.kv_dequantiser.combining_bytes);
    // A byte that comes in is read once on its way out.
    price(kKvCombinedWrite, write_pj + read_pj);
    price(kKvCombinedRead, read_pj);
  }
  parts_["kv_dequantiser"] = part;
}

PriceList::PriceList(const configs::MachineConfig& machine, bool decodes_cache) {
  const configs::EnergyTable& table = machine.energy;
  const std::string scaling = configs::scaling_note(table);
  table_notes_.emplace_back("node", number(table.node_nm) + " nm, energy table '" + table.name +
                                        "'; DRAM is priced apart");
  if (!scaling.empty()) table_notes_.emplace_back("node scaling", scaling);
  if (!table.mixed_nodes.empty()) table_notes_.emplace_back("mixed nodes", table.mixed_nodes);
  for (const std::string name : kComponents) {
    if (name != "kv_dequantiser" || decodes_cache) components_.push_back(name);
  }
  price_array(machine);
  price_edge(machine);

  // A lane of the dequantiser is one fp32 multiplier and one fp32 adder, and so is one of the
  // vector unit.
  const configs::PePrice& pe = table.pes.at(machine.array.pe);
  const configs::OpPrice& add = op_price(table, "fp32_add");
  const configs::OpPrice& multiply = op_price(table, "fp32_mul");
  const double lane_um2 = add.area_um2 + multiply.area_um2;
  const double uw_per_um2 = pe.area_um2 > 0 ? pe.leakage_uw / pe.area_um2 : 0;  // see notes()
  const Milliwatts lane_leakage(lane_um2 * uw_per_um2 * 1e-3);
  price("dequantiser.scale_add", add.pj + multiply.pj);
  price("vector.add", add.pj);
  price("vector.multiply", multiply.pj);
  const auto lanes = [&](double count) {
    return Part{count * lane_leakage,
                from_um2(count * lane_um2),
                multiply.source,
                multiply.source,
                std::max(add.area_band, multiply.area_band),
                std::max(add.energy_band, multiply.energy_band)};
  };
  parts_["dequantiser"] = lanes(machine.dequantiser.lanes);
  parts_["vector"] = lanes(machine.vector.lanes);
  if (decodes_cache) price_kv_dequantiser(machine, uw_per_um2);

  const auto scratchpad = [&](const std::string& name, const configs::ScratchpadConfig& config) {
    const memory::SramPrice sram = memory::price_sram(table, config);
    price(name + ".read_word", sram.read_pj_per_word);
    price(name + ".write_word", sram.write_pj_per_word);
    parts_[name] = {Milliwatts(sram.leakage_mw),
                    SquareMillimetres(sram.area_mm2),
                    sram.source,
                    sram.source,
                    sram.area_band,
                    sram.energy_band};
  };
  for (const configs::ScratchpadConfig* each :
       {&machine.memory.weight, &machine.memory.activation, &machine.memory.output}) {
    if (each->ports == configs::BankPorts::r1w1) continue;
    table_notes_.emplace_back(
        "scratchpad ports",
        "priced as banks of one read and one write port, for want of figures: "
        "a 1rw bank is smaller and cheaper, a 2rw bank larger and dearer");
    break;
  }
  scratchpad("weight_scratchpad", machine.memory.weight);
  scratchpad("activation_scratchpad", machine.memory.activation);
  scratchpad("output_scratchpad", machine.memory.output);

  if (machine.memory.dma.uses_descriptors()) {
    price("dma.descriptor", 0);
    price("dma.gather_entry", 0);
    table_notes_.emplace_back("DMA descriptors",
                              "their fetch takes time and is counted, but has no price");
  }

  if (machine.memory.noc.kind != configs::NocKind::none) price_noc(machine);
  if (machine.memory.cache.capacity_bytes > 0) price_cache(machine);

  const configs::DramConfig& dram = machine.memory.dram;
  const memory::DramPrices prices = memory::dram_prices(dram);
  price("dram.activate", prices.activate);
  price("dram.read_bit", prices.read_bit);
  price("dram.write_bit", prices.write_bit);
  price("dram.refresh", prices.refresh);
  price("dram.bank_refresh", prices.bank_refresh);
  price("dram.power_down_clock", prices.power_down);
  parts_["dram"] = {Milliwatts(prices.standby_mw * machine.memory.channels),
                    SquareMillimetres(0),
                    "off chip",
                    dram.energy_source,
                    0,
                    dram.energy_band};
  price_tiers(machine);
}

void PriceList::price_tiers(const configs::MachineConfig& machine) {
  for (const configs::TierOfMachine& entry : machine.memory.tiers) {
    const configs::TierConfig tier = entry.resolved();
    const std::string name = memory::tier_component(entry.name);
    double standing = tier.standby_mw;
    if (tier.kind == configs::TierKind::cells) {
      price(name + ".read_byte", tier.read_pj_per_byte);
      price(name + ".write_byte", tier.write_pj_per_byte);
    } else {
      const memory::DramPrices prices = memory::dram_prices(tier.dram);
      price(name + ".activate", prices.activate);
      price(name + ".read_bit", prices.read_bit);
      price(name + ".write_bit", prices.write_bit);
      price(name + ".refresh", prices.refresh);
      price(name + ".bank_refresh", prices.bank_refresh);
      price(name + ".power_down_clock", prices.power_down);
      standing += prices.standby_mw * tier.channels;
    }
    price(name + ".link_down_bit", tier.link.pj_per_bit);
    price(name + ".link_up_bit", tier.link.pj_per_bit);
    parts_[name] = {Milliwatts(standing + tier.link.standby_mw),
                    SquareMillimetres(0),
                    "not priced",
                    tier.energy_source,
                    0,
                    tier.energy_band};
    components_.push_back(name);
  }
  const configs::PimConfig& pim = machine.memory.pim;
  if (pim.place == configs::PimPlace::none) return;
  price("pim.activate", pim.activate_pj > 0 ? pim.activate_pj : machine.memory.dram.activate_pj);
  price("pim.read_bit", pim.read_pj_per_bit);
  price("pim.mac", pim.mac_pj);
  parts_["pim"] = {Milliwatts(0), SquareMillimetres(0), "not priced", pim.source, 0, 0};
  components_.emplace_back("pim");
}

std::map<std::string, PriceList::Price> PriceList::dynamic(const EventCounts& events) const {
  std::map<std::string, Price> by_component;
  for (const auto& [event, count] : events) {
    if (of_time(event)) continue;  // see components()
    const auto price = events_.find(event);
    SYSTOLE_CHECK(price != events_.end(), "event '" + event + "' has no price");
    Price& sum = by_component[event.substr(0, event.find('.'))];
    sum.pj += price->second.pj * static_cast<double>(count);
    sum.high_pj += price->second.high_pj * static_cast<double>(count);
  }
  return by_component;
}

std::map<std::string, double> PriceList::dynamic_pj(const EventCounts& events) const {
  std::map<std::string, double> by_component;
  for (const auto& [component, sum] : dynamic(events)) by_component[component] = sum.pj;
  return by_component;
}

std::vector<ComponentRow> PriceList::components(const EventCounts& events, Nanoseconds time) const {
  const std::map<std::string, Price> sums = dynamic(events);
  std::vector<ComponentRow> rows;
  for (const std::string& name : components_) {
    const Part& part = parts_.at(name);
    ComponentRow row;
    row.name = name;
    if (const auto it = sums.find(name); it != sums.end()) {
      row.dynamic_pj = it->second.pj;
      row.dynamic_high_pj = it->second.high_pj;
    }
    row.static_pj = energy(part.standing, time).count();
    for (const char* event : kOfTime) {
      const std::string of_part = name + "." + event;
      const auto price = events_.find(of_part);
      if (price == events_.end()) continue;
      row.static_pj += price->second.pj * static_cast<double>(events.get(of_part));
    }
    row.area_mm2 = part.area.count();
    row.area_source = part.area_source;
    row.energy_source = part.energy_source;
    row.area_band = part.area_band;
    row.energy_band = part.energy_band;
    rows.push_back(row);
  }
  return rows;
}

KeyValues PriceList::notes() const {
  KeyValues notes = table_notes_;
  std::string area, energy;
  for (const std::string& name : components_) {
    const Part& part = parts_.at(name);
    const std::string comma = energy.empty() ? "" : ", ";
    energy += comma + name + " " + band_text(part.energy_band);
    if (part.area.count() > 0) {
      area += (area.empty() ? "" : ", ") + name + " " + band_text(part.area_band);
    }
  }
  notes.emplace_back("energy bands", energy + "; the run's range has all parts at the same end");
  notes.emplace_back("area bands", area + "; the run's range has all parts at the same end");
  notes.emplace_back("operands",
                     "passes of array.mac_pass are priced as if both operands changed at random; "
                     "zero operands, held weights and toggles are credited only where counted");
  notes.emplace_back("leakage of the vector unit and the dequantiser",
                     "assumed: the same power per area as the PEs, for want of a published figure");
  notes.emplace_back("idle units",
                     "assumed clock-gated: a unit without work costs its leakage only");
  notes.emplace_back("control, interconnect and clock tree",
                     "not modelled; area and energy are those of PEs, lanes, scratchpads and DRAM");
  return notes;
}

}  // namespace systole::sim
