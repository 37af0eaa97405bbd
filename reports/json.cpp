#include "reports/json.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>

#include "reports/roofline.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::ordered_json;

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json finite(std::optional<double> value) { return value ? finite(*value) : Json(nullptr); }

Json by_name(std::span<const std::uint64_t> values, std::span<const std::string_view> names) {
  Json object = Json::object();
  for (std::size_t i = 0; i < values.size(); ++i) object[std::string(names[i])] = values[i];
  return object;
}

Json object_of(const KeyValues& pairs) {
  Json object = Json::object();
  for (const auto& [key, value] : pairs) object[key] = value;
  return object;
}

Json summary_of(const RunResult& r) {
  Json s;
  s["machine"] = r.machine;
  s["recipe"] = r.recipe;
  s["model"] = r.model;
  s["perplexity"] = r.quality ? finite(r.quality->perplexity) : Json(nullptr);
  s["nll"] = r.quality ? finite(r.quality->nll) : Json(nullptr);
  s["kl_divergence"] = r.quality ? finite(r.quality->kl) : Json(nullptr);
  s["tokens"] = r.quality ? Json(r.quality->tokens) : Json(nullptr);
  s["text"] = r.quality ? Json(r.quality->text) : Json(nullptr);
  s["ttft_ms"] = finite(r.ttft_ms);
  s["tpot_ms"] = finite(r.tpot_ms);
  s["cycles"] = r.cycles;
  s["prefill_cycles"] = r.prefill_cycles;
  s["decode_cycles"] = r.decode_cycles;
  s["energy_pj"] = finite(r.energy_pj);
  s["area_mm2"] = finite(r.area_mm2);
  s["energy_low_pj"] = finite(r.energy_range_pj().low);
  s["energy_high_pj"] = finite(r.energy_range_pj().high);
  s["area_low_mm2"] = finite(r.area_range_mm2().low);
  s["area_high_mm2"] = finite(r.area_range_mm2().high);
  s["utilisation"] = finite(r.utilisation());
  s["bandwidth_share"] = finite(r.bandwidth_share());
  s["tokens_per_second"] = finite(r.tokens_per_second());
  s["tokens_per_joule"] = finite(r.tokens_per_joule());
  s["tops_per_watt"] = finite(r.tops_per_watt());
  s["tops_per_mm2"] = finite(r.tops_per_mm2());
  s["macs"] = r.total_macs();
  s["dram_bytes"] = r.total_dram_bytes();
  s["kv_bytes"] = r.kv_bytes;
  s["kv_bytes_read"] = r.kv_bytes_read;
  s["kv_bytes_written"] = r.kv_bytes_written;
  s["kv_burst_bytes_read"] = r.kv_burst_bytes_read;
  s["kv_burst_bytes_written"] = r.kv_burst_bytes_written;
  if (r.kv_sharing) {
    const KvSharing& sharing = *r.kv_sharing;
    s["kv_sharing"] = {{"prefix_tokens", sharing.prefix_tokens},
                       {"pages_shared", sharing.pages_shared},
                       {"pages_shared_at_end", sharing.pages_shared_at_end},
                       {"pages_copied", sharing.pages_copied},
                       {"pages_replaced", sharing.pages_replaced},
                       {"bytes_copied", sharing.bytes_copied},
                       {"bytes_saved", sharing.bytes_saved}};
  }
  s["dequant_utilisation"] = finite(r.dequant_utilisation());
  s["prefill_tokens"] = r.prefill_tokens;
  s["decode_tokens"] = r.decode_tokens;
  if (r.sequences) s["sequences"] = *r.sequences;
  s["clock_mhz"] = finite(r.clock_mhz);
  s["peak_macs_per_cycle"] = finite(r.peak_macs_per_cycle);
  s["peak_dram_bytes_per_cycle"] = finite(r.peak_dram_bytes_per_cycle);
  s["version"] = r.version;
  s["seed"] = r.seed;
  s["command"] = r.command;
  return s;
}

Json tiling_of(const Tiling& tiling) {
  Json t;
  t["tile"] = {{"m", tiling.m}, {"n", tiling.n}, {"k", tiling.k}};
  t["order"] = tiling.order;
  t["cycles"] = tiling.cycles;
  t["first_load_cycles"] = tiling.first_load_cycles;
  t["energy_pj"] = finite(tiling.energy_pj);
  t["dram_bytes"] = tiling.dram_bytes;
  return t;
}

/// The closed form's figures are of one instance alone; the two sums are of all instances.
Json mapping_of(const OperationRow& row) {
  if (!row.mapping) return nullptr;
  Json m;
  m["objective"] = row.mapping->objective;
  m["fixed"] = row.mapping->fixed;
  m["chosen"] = tiling_of(row.mapping->chosen);
  m["runner_up"] = row.mapping->runner_up ? tiling_of(*row.mapping->runner_up) : Json(nullptr);
  m["estimated_cycles"] = row.mapping->estimated_cycles;
  m["simulated_cycles"] = row.cycles;
  return m;
}

Json operation_of(const OperationRow& row, const RunResult& result) {
  const std::vector<MemoryPath>& paths = result.memory_paths;
  Json o;
  o["name"] = row.name;
  o["kind"] = row.kind;
  o["phase"] = row.phase;
  o["repeats"] = row.repeats;
  o["m"] = row.m;
  o["n"] = row.n;
  o["k"] = row.k;
  o["weight_format"] = row.weight_format;
  o["activation_format"] = row.activation_format;
  o["macs"] = row.macs;
  o["cycles"] = row.cycles;
  o["cycles_by_cause"] = by_name(row.cycles_by_cause, kCycleCauseNames);
  o["dram_read_bytes"] = by_name(row.dram_read_bytes, kTrafficClassNames);
  o["dram_write_bytes"] = by_name(row.dram_write_bytes, kTrafficClassNames);
  o["compute_bound_cycles"] = row.compute_bound_cycles;
  o["bandwidth_bound_cycles"] = row.bandwidth_bound_cycles;
  o["bound"] = row.bound;
  Json energy = Json::object();
  for (const auto& [component, pj] : row.energy_pj) energy[component] = finite(pj);
  o["energy_pj"] = std::move(energy);
  o["mapping"] = mapping_of(row);
  if (!row.path_bytes.empty()) {
    Json& bytes = o["path_bytes"] = Json::object();
    for (std::size_t p = 0; p < std::min(paths.size(), row.path_bytes.size()); ++p) {
      bytes[paths[p].name] = row.path_bytes[p];
    }
  }
  if (!result.scratchpads.empty()) {
    o["held_byte_cycles"] = by_name(row.held_byte_cycles, kScratchpadNames);
  }
  return o;
}

Json component_of(const ComponentRow& row) {
  Json c;
  c["name"] = row.name;
  c["dynamic_pj"] = finite(row.dynamic_pj);
  c["static_pj"] = finite(row.static_pj);
  c["area_mm2"] = finite(row.area_mm2);
  c["area_source"] = row.area_source;
  c["energy_source"] = row.energy_source;
  c["dynamic_high_pj"] = finite(std::max(row.dynamic_pj, row.dynamic_high_pj));
  c["energy_band"] = finite(row.energy_band);
  c["area_band"] = finite(row.area_band);
  return c;
}

Json tier_of(const TierRow& row, bool binds) {
  Json t;
  t["name"] = row.name;
  t["capacity_bytes"] = row.capacity_bytes;
  t["placed_bytes"] = row.placed_bytes;
  t["spilled_bytes"] = row.spilled_bytes;
  t["read_bytes"] = by_name(row.read_bytes, kTrafficClassNames);
  t["written_bytes"] = by_name(row.written_bytes, kTrafficClassNames);
  t["busy_fraction"] = finite(row.busy_fraction);
  t["link_fraction"] = finite(row.link_fraction);
  t["wait_cycles"] = row.wait_cycles;
  t["binds"] = binds;
  t["energy_pj"] = finite(row.energy_pj);
  t["line_writes"] = row.line_writes;
  t["most_region_writes"] = row.most_region_writes;
  t["lifetime_years"] = finite(row.lifetime_years);
  return t;
}

Json path_of(const MemoryPath& path) {
  Json p;
  p["name"] = path.name;
  p["peak_bytes_per_cycle"] = finite(path.peak_bytes_per_cycle);
  p["bytes"] = path.bytes;
  return p;
}

Json scratchpad_of(const ScratchpadUse& use, const RunResult& r) {
  Json s;
  s["name"] = use.name;
  s["capacity_bytes"] = use.capacity_bytes;
  s["held_byte_cycles"] = use.held_byte_cycles;
  s["mean_held_bytes"] = finite(mean_held_bytes(use, r));
  s["occupancy"] = finite(occupancy_of(use, r));
  return s;
}

/// Rows of one kind as parallel arrays by column: hundreds of rows stay readable and small.
template <class Rows, class Value>
Json column(const Rows& rows, const Value& value) {
  Json values = Json::array();
  for (const auto& row : rows) values.push_back(value(row));
  return values;
}

Json steps_of(const RunResult& r) {
  Json s;
  s["phase"] = column(r.steps, [](const StepRow& row) { return row.phase; });
  s["steps"] = column(r.steps, [](const StepRow& row) { return row.steps; });
  s["context"] = column(r.steps, [](const StepRow& row) { return row.context; });
  s["cycles"] = column(r.steps, [](const StepRow& row) { return row.cycles; });
  s["kv_bytes"] = column(r.steps, [](const StepRow& row) { return row.kv_bytes; });
  s["kv_bytes_read"] = column(r.steps, [](const StepRow& row) { return row.kv_bytes_read; });
  s["kv_bytes_written"] = column(r.steps, [](const StepRow& row) { return row.kv_bytes_written; });
  return s;
}

Json windows_of(const RunResult& r) {
  Json w;
  w["window_cycles"] = r.window_cycles;
  for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
    w["cycles_by_cause"][std::string(kCycleCauseNames[c])] =
        column(r.windows, [c](const TimeWindow& row) { return row.cycles_by_cause[c]; });
  }
  w["macs"] = column(r.windows, [](const TimeWindow& row) { return row.macs; });
  w["dram_read_bytes"] =
      column(r.windows, [](const TimeWindow& row) { return row.dram_read_bytes; });
  w["dram_write_bytes"] =
      column(r.windows, [](const TimeWindow& row) { return row.dram_write_bytes; });
  for (std::size_t s = 0; s < r.scratchpads.size(); ++s) {
    w["held_byte_cycles"][r.scratchpads[s].name] =
        column(r.windows, [s](const TimeWindow& row) { return row.held_byte_cycles[s]; });
  }
  return w;
}

Json roof_of(const Roof& roof) {
  Json r;
  r["name"] = roof.name;
  r["bytes_per_cycle"] = finite(roof.bytes_per_cycle);
  r["ridge_macs_per_byte"] = finite(roof.ridge());
  const auto& points = roof.points;
  r["operation"] = column(points, [](const RoofPoint& point) { return point.operation; });
  r["phase"] = column(points, [](const RoofPoint& point) { return point.phase; });
  r["macs"] = column(points, [](const RoofPoint& point) { return point.macs; });
  r["bytes"] = column(points, [](const RoofPoint& point) { return point.bytes; });
  r["cycles"] = column(points, [](const RoofPoint& point) { return point.cycles; });
  r["macs_per_byte"] = column(points, [](const RoofPoint& p) { return finite(p.macs_per_byte()); });
  r["macs_per_cycle"] =
      column(points, [](const RoofPoint& p) { return finite(p.macs_per_cycle()); });
  r["attainable_macs_per_cycle"] =
      column(points, [&](const RoofPoint& point) { return finite(roof.attainable(point)); });
  return r;
}

Json sensitivity_of(const SensitivityRow& row) {
  Json s;
  s["change"] = row.change;
  s["path"] = row.path;
  s["time_ms"] = finite(row.time_ms);
  s["ttft_ms"] = finite(row.ttft_ms);
  s["tpot_ms"] = finite(row.tpot_ms);
  s["energy_pj"] = finite(row.energy_pj);
  s["area_mm2"] = finite(row.area_mm2);
  return s;
}

Json document_of(const RunResult& result) {
  Json root;
  root["summary"] = summary_of(result);
  root["operations"] = Json::array();
  for (const OperationRow& row : result.operations) {
    root["operations"].push_back(operation_of(row, result));
  }
  root["components"] = Json::array();
  for (const ComponentRow& row : result.components) root["components"].push_back(component_of(row));
  if (!result.tiers.empty()) {
    root["tiers"] = Json::array();
    for (const TierRow& row : result.tiers) {
      root["tiers"].push_back(tier_of(row, &row == result.binding_tier()));
    }
  }
  if (!result.memory_paths.empty()) {
    root["memory_paths"] = column(result.memory_paths, path_of);
  }
  if (!result.scratchpads.empty()) {
    root["scratchpads"] = column(
        result.scratchpads, [&](const ScratchpadUse& use) { return scratchpad_of(use, result); });
  }
  root["rooflines"] = column(roofs_of(result), roof_of);
  if (!result.windows.empty()) {
    root["steps"] = steps_of(result);
    root["windows"] = windows_of(result);
  }
  // The excerpt's pieces are what `report --format perfetto` prints.
  if (!result.sensitivities.empty()) {
    root["sensitivities"] = column(result.sensitivities, sensitivity_of);
  }
  root["events"] = Json::object();
  for (const auto& [event, count] : result.events) root["events"][event] = count;
  root["config"] = object_of(result.config_echo);
  root["notes"] = object_of(result.notes);
  root["schema_version"] = kJsonSchemaVersion;
  return root;
}

std::string text_of(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string to_json(const RunResult& result) { return text_of(document_of(result)); }

std::string to_json(std::span<const RunResult> results) {
  Json root;
  root["results"] = Json::array();
  for (const RunResult& result : results) root["results"].push_back(document_of(result));
  root["schema_version"] = kResultsJsonSchemaVersion;
  return text_of(root);
}

}  // namespace systole::reports
