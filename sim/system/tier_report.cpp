#include "sim/system/tier_report.hpp"

#include <algorithm>

#include "sim/core/units.hpp"

namespace systole::sim {
namespace {

constexpr double kSecondsPerYear = 365.25 * 24 * 3600;

/// Seconds that the events keep a memory busy at its peak rate.
double busy_seconds(const configs::TierConfig& tier, const std::string& component,
                    const EventCounts& events) {
  const auto count = [&](const char* event) {
    return static_cast<double>(events.get(component + "." + event));
  };
  if (tier.kind == configs::TierKind::cells) {
    return count("read_byte") / (tier.read_bandwidth_gbs * 1e9) +
           count("write_byte") / (tier.write_bandwidth_gbs * 1e9);
  }
  return (count("read_bit") + count("write_bit")) / 8 /
         (tier.dram.peak_bytes_per_second() * tier.channels);
}

}  // namespace

std::vector<TierRow> tier_rows(const configs::MachineConfig& machine, const TierTotals& totals,
                               const RunResult& result) {
  std::vector<TierRow> rows;
  if (machine.memory.tiers.empty()) return rows;
  const double seconds = static_cast<double>(result.cycles) / (machine.clock_mhz * 1e6);
  const auto share = [&](double busy) { return seconds > 0 ? busy / seconds : 0; };
  for (std::uint32_t t = 0; t <= machine.memory.tiers.size(); ++t) {
    TierRow& row = rows.emplace_back();
    configs::TierConfig tier;
    if (t == 0) {
      row.name = configs::kDramTier;
      tier.kind = configs::TierKind::dram;
      tier.dram = machine.memory.dram;
      tier.channels = machine.memory.channels;
    } else {
      row.name = machine.memory.tiers[t - 1].name;
      tier = machine.memory.tiers[t - 1].resolved();
    }
    const std::string component = t == 0 ? row.name : memory::tier_component(row.name);
    row.capacity_bytes = tier.capacity();
    row.placed_bytes = totals.placed[t];
    row.spilled_bytes = totals.spilled[t];
    row.read_bytes = totals.read_bytes[t];
    row.written_bytes = totals.written_bytes[t];
    row.wait_cycles = totals.wait_cycles[t];
    row.busy_fraction = share(busy_seconds(tier, component, result.events));
    if (tier.linked()) {
      const std::uint64_t bits = std::max(result.events.get(component + ".link_down_bit"),
                                          result.events.get(component + ".link_up_bit"));
      row.link_fraction = share(static_cast<double>(bits) / 8 / (tier.link.bandwidth_gbs * 1e9));
    }
    for (const ComponentRow& part : result.components) {
      if (part.name == component) row.energy_pj = part.dynamic_pj + part.static_pj;
    }
    if (const auto wear = totals.wear.find(t); wear != totals.wear.end()) {
      row.line_writes = wear->second.total();
      row.most_region_writes = wear->second.most();
      row.lifetime_years = wear->second.lifetime_seconds(seconds).value_or(0) / kSecondsPerYear;
    }
  }
  return rows;
}

}  // namespace systole::sim
