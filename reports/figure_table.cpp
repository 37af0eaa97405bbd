#include "reports/figure_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "reports/format.hpp"

namespace systole::reports {
namespace {

constexpr std::string_view kSquare = "mm\u00b2";

constexpr FigureStyle kFigures[] = {
    // What a model says.
    {"perplexity", "perplexity", Print::number, "", 1, 4},
    {"proxy_perplexity", "proxy perplexity", Print::number, "", 1, 4, "proxy ppl"},
    {"proxy_perplexity_fp32", "proxy perplexity of fp32", Print::number, "", 1, 4},
    {"reference_perplexity", "fp32 perplexity", Print::number, "", 1, 4},
    {"perplexity_change", "change", Print::change},
    {"nll", "nats a token", Print::number, "", 1, 4},
    {"kl_divergence", "KL from unquantised, nats", Print::number, "", 1, 3, "KL, nats"},
    {"tokens", "tokens", Print::exact},
    {"prefill_tokens", "prompt tokens", Print::exact},
    {"decode_tokens", "decoded tokens", Print::exact},
    {"kv_tokens", "tokens in the cache", Print::exact},
    {"sequences", "sequences", Print::exact},
    {"batch", "batch", Print::exact},
    // Time.
    {"ttft_ms", "TTFT", Print::time, "s", 1e-3},
    {"tpot_ms", "TPOT", Print::time, "s", 1e-3},
    {"time_ms", "time", Print::time, "s", 1e-3},
    {"cycles", "cycles", Print::count},
    {"tokens_per_second", "tokens/s"},
    {"clock_mhz", "clock", Print::setting, "MHz", 1, 4},
    {"speed_over_base", "speed", Print::ratio},
    // Energy and area.
    {"energy_pj", "energy", Print::prefixed, "J", 1e-12},
    {"energy_mj", "energy", Print::prefixed, "J", 1e-3},
    {"energy_per_token_pj", "energy a token", Print::prefixed, "J", 1e-12},
    {"energy_pj_per_token", "energy a token", Print::prefixed, "J", 1e-12},
    {"energy_per_token_mj", "energy a token", Print::prefixed, "J", 1e-3},
    {"energy_with_glitches_pj", "energy with glitches", Print::prefixed, "J", 1e-12},
    {"tokens_per_joule", "tokens/J"},
    {"power_w", "power", Print::prefixed, "W"},
    {"edp_mj_ms", "energy \u00d7 time", Print::prefixed, "Js", 1e-6},
    {"area_mm2", "area", Print::number, kSquare},
    {"array_mm2", "array area", Print::number, kSquare},
    {"kv_dequantiser_mm2", "KV dequantiser area", Print::number, kSquare},
    {"area_over_int8", "area, INT8 = 1"},
    {"energy_over_int8", "energy a pass, INT8 = 1"},
    {"node_nm", "node", Print::setting, "nm", 1, 2},
    {"tops_per_watt", "TOPS/W"},
    {"tops_per_mm2", "TOPS/mm\u00b2"},
    // What is kept busy.
    {"utilisation", "utilisation", Print::share},
    {"bandwidth_share", "DRAM bandwidth", Print::share},
    {"compute_share", "cycles that compute", Print::share, "", 1, 3, "computing"},
    {"dram_share", "cycles that wait for DRAM", Print::share, "", 1, 3, "DRAM wait"},
    {"dequant_utilisation", "KV dequantiser use", Print::share, "", 1, 3, "dequant"},
    {"row_hit_rate", "row hits", Print::share},
    {"macs", "MACs", Print::count},
    {"peak_macs_per_cycle", "peak MACs/cycle", Print::count},
    {"peak_dram_bytes_per_cycle", "peak DRAM bytes/cycle"},
    {"peak_dram_gb_per_s", "peak DRAM bandwidth", Print::prefixed, "B/s", 1e9},
    // Bytes.
    {"dram_bytes", "DRAM traffic", Print::bytes},
    {"dram_gb", "DRAM traffic", Print::bytes, "B", 1e9},
    {"kv_bytes", "KV held", Print::bytes},
    {"kv_gb", "KV held", Print::bytes, "B", 1e9},
    {"kv_bytes_read", "KV read", Print::bytes},
    {"kv_bytes_written", "KV written", Print::bytes},
    {"kv_bytes_read_per_step", "KV read a step", Print::bytes, "B", 1, 3, "KV read"},
    {"kv_burst_bytes_read_per_step", "KV read a step, in bursts", Print::bytes},
    {"kv_bytes_written_per_step", "KV written a step", Print::bytes},
    {"kv_burst_bytes_written_per_step", "KV written a step, in bursts", Print::bytes},
    {"dram_bursts_per_step", "bursts a step, all traffic", Print::count},
    {"needed_bytes", "DRAM needed", Print::binary},
    {"capacity_bytes", "capacity", Print::binary},
    {"scratchpad_kib", "scratchpads", Print::binary, "B", 1024},
    {"dram_capacity_gib", "DRAM capacity", Print::binary, "B", 1024.0 * 1024 * 1024},
    // Stored.
    {"stored_bits_per_weight", "bits a weight", Print::number, "", 1, 3, "bits/W"},
    {"stored_bits_per_kv", "bits a KV element", Print::number, "", 1, 3, "bits/KV"},
    {"weight_bytes", "weights", Print::bytes},
    {"kv_bytes_per_token", "KV a token", Print::bytes, "B", 1, 3, "KV/token"},
};

/// For names without an entry: the first whose key occurs in the name, rates before what they are
/// rates of.
constexpr FigureStyle kParts[] = {
    {"bytes_per_cycle", ""},
    {"macs_per_cycle", "", Print::count},
    {"tokens_per_", ""},
    {"tops_per_", ""},
    {"perplexity", "", Print::number, "", 1, 4},
    {"nll", "", Print::number, "", 1, 4},
    {"seed", "", Print::whole},
    {"repeats", "", Print::whole},
    {"tile.", "", Print::whole},
    {"utilisation", "", Print::share},
    {"share", "", Print::share},
    {"band", "", Print::share},
    {"bytes", "", Print::bytes},
    {"_pj", "", Print::prefixed, "J", 1e-12},
    {"_ms", "", Print::time, "s", 1e-3},
    {"_mm2", "", Print::number, kSquare},
    {"cycles", "", Print::count},
    {"macs", "", Print::count},
    {"tokens", "", Print::exact},
};
/// A product's extents are read as they are.
constexpr FigureStyle kExtent = {"", "", Print::whole}, kOther = {"", ""},
                      kCount = {"", "", Print::count};

std::string without_zeros(std::string text) {
  if (text.find('.') == std::string::npos || text.find('e') != std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string with_unit(std::string text, std::string_view unit) {
  return unit.empty() ? text : fmt::format("{} {}", text, unit);
}

std::string text_of(const FigureStyle& style, double value) {
  const double scaled = value * style.scale;
  switch (style.print) {
    case Print::number:
      return with_unit(number(scaled, style.digits), style.unit);
    case Print::setting:
      return with_unit(without_zeros(number(scaled, style.digits)), style.unit);
    case Print::count:
      return format_count(scaled);
    case Print::exact:
      return scaled >= 0 && scaled < 0x1p53 && scaled == std::floor(scaled)
                 ? format_exact(static_cast<std::uint64_t>(scaled))
                 : number(scaled);
    case Print::whole:
      return fmt::format("{:.0f}", scaled);
    case Print::share:
      return format_share(scaled);
    case Print::change:
      return format_change(scaled);
    case Print::ratio:
      return format_ratio(scaled);
    case Print::time:
      return format_time_ms(scaled * 1e3);
    case Print::prefixed:
      return format_prefixed(scaled, style.unit);
    case Print::bytes:
      return format_bytes(scaled);
    case Print::binary:
      return format_capacity(scaled);
  }
  return "";
}

}  // namespace

std::span<const FigureStyle> figure_table() { return kFigures; }

const FigureStyle& figure_style(std::string_view name) {
  const auto own = [](std::string_view key) {
    return std::ranges::find(kFigures, key, &FigureStyle::key);
  };
  if (const auto found = own(name); found != std::end(kFigures)) return *found;
  if (name == "m" || name == "n" || name == "k") return kExtent;
  const auto part = std::ranges::find_if(
      kParts, [&](const FigureStyle& s) { return name.find(s.key) != std::string_view::npos; });
  return part != std::end(kParts) ? *part : kOther;
}

std::string_view figure_label(std::string_view name) {
  const std::string_view label = figure_style(name).label;
  return label.empty() ? name : label;
}

std::string_view short_figure_label(std::string_view name) {
  const std::string_view label = figure_style(name).short_label;
  return label.empty() ? figure_label(name) : label;
}

std::string format_figure(std::string_view name, double value) {
  if (!std::isfinite(value)) return std::string(kAbsent);
  const FigureStyle& style = figure_style(name);
  return text_of(&style == &kOther && value == std::floor(value) ? kCount : style, value);
}

std::string format_figure(std::string_view name, std::optional<double> value) {
  return value ? format_figure(name, *value) : std::string(kAbsent);
}

}  // namespace systole::reports
