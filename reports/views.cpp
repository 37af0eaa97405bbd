#include "reports/views.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "sim/core/shell_word.hpp"

namespace systole::reports {
namespace {

/// "a · b", leaving out what is empty.
std::string joined(std::initializer_list<std::string> parts,
                   std::string_view separator = " \u00b7 ") {
  std::string out;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    if (!out.empty()) out += separator;
    out += part;
  }
  return out;
}

/// "12.3 tokens/s"; empty where absent.
std::string with_label(std::string_view name, std::optional<double> value) {
  return value ? format_figure(name, *value) + " " + std::string(figure_label(name))
               : std::string();
}

std::string plural(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", format_exact(count), noun, count == 1 ? "" : "s");
}

}  // namespace

std::vector<Figure> headline(const RunResult& r) {
  std::vector<Figure> figures;
  // Label and value are those of the table, by the figure's name.
  const auto add = [&](std::string_view name, std::optional<double> value, std::string detail) {
    figures.push_back(
        {std::string(figure_label(name)), format_figure(name, value), std::move(detail)});
  };
  if (r.quality) {
    const Quality& q = *r.quality;
    add("perplexity", q.perplexity,
        joined({fmt::format("{} nats", format_figure("nll", q.nll)),
                q.kl ? "KL " + format_figure("kl_divergence", *q.kl) : std::string(),
                plural(q.tokens, "token"), printable(q.text)}));
  } else {
    add("perplexity", std::nullopt, "not evaluated in this run");
  }
  const std::optional<double> prefill_rate =
      share_of(static_cast<double>(r.prefill_tokens), r.ttft_ms * 1e-3);
  add("ttft_ms", r.ttft_ms,
      joined({plural(r.prefill_tokens, "prompt token"),
              with_label("tokens_per_second", prefill_rate)}));
  add("tpot_ms", r.tpot_ms,
      r.tpot_ms ? joined({plural(r.decode_tokens, "decoded token"),
                          with_label("tokens_per_second", r.tokens_per_second())})
                : "no decode in this run");
  const auto from_to = [](std::string_view name, double value, const Range& range) {
    return range.low < value || range.high > value
               ? format_figure(name, range.low) + " to " + format_figure(name, range.high)
               : std::string();
  };
  add("energy_pj", r.energy_pj,
      joined({with_label("tokens_per_joule", r.tokens_per_joule()),
              with_label("tops_per_watt", r.tops_per_watt()),
              from_to("energy_pj", r.energy_pj, r.energy_range_pj())}));
  add("area_mm2", r.area_mm2,
      joined({with_label("tops_per_mm2", r.tops_per_mm2()),
              from_to("area_mm2", r.area_mm2, r.area_range_mm2())}));
  add("utilisation", r.utilisation(),
      fmt::format("of {} MACs/cycle", format_figure("peak_macs_per_cycle", r.peak_macs_per_cycle)));
  figures.back().share = r.utilisation();
  const double bandwidth = r.peak_dram_bytes_per_cycle * r.clock_mhz * 1e6;
  add("bandwidth_share", r.bandwidth_share(), fmt::format("of {}/s", format_bytes(bandwidth)));
  figures.back().share = r.bandwidth_share();
  add("cycles", static_cast<double>(r.cycles),
      joined({format_cycles_as_time(static_cast<double>(r.cycles), r),
              "at " + format_figure("clock_mhz", r.clock_mhz)},
             " "));
  return figures;
}

const std::vector<Metric>& metrics() {
  using R = RunResult;
  const auto count = [](std::uint64_t value) { return std::optional(static_cast<double>(value)); };
  static const std::vector<Metric> list = {
      {"perplexity",
       [](const R& r) { return r.quality ? std::optional(r.quality->perplexity) : std::nullopt; },
       -1},
      {"kl_divergence", [](const R& r) { return r.quality ? r.quality->kl : std::nullopt; }, -1,
       false},
      {"ttft_ms", [](const R& r) { return std::optional(r.ttft_ms); }, -1},
      {"tpot_ms", [](const R& r) { return r.tpot_ms; }, -1},
      {"energy_pj", [](const R& r) { return std::optional(r.energy_pj); }, -1},
      {"area_mm2", [](const R& r) { return std::optional(r.area_mm2); }, -1},
      {"cycles", [count](const R& r) { return count(r.cycles); }, -1},
      {"tokens_per_second", [](const R& r) { return r.tokens_per_second(); }, 1},
      {"tokens_per_joule", [](const R& r) { return r.tokens_per_joule(); }, 1},
      {"tops_per_watt", [](const R& r) { return r.tops_per_watt(); }, 1},
      {"tops_per_mm2", [](const R& r) { return r.tops_per_mm2(); }, 1},
      {"utilisation", [](const R& r) { return r.utilisation(); }, 0},
      {"bandwidth_share", [](const R& r) { return r.bandwidth_share(); }, 0},
      {"dram_bytes", [count](const R& r) { return count(r.total_dram_bytes()); }, -1},
  };
  return list;
}

std::vector<Metric> metrics_of(std::span<const RunResult> results) {
  std::vector<Metric> some = metrics();
  std::erase_if(some, [&](const Metric& metric) {
    return std::ranges::none_of(results,
                                [&](const RunResult& r) { return metric.value(r).has_value(); });
  });
  return some;
}

std::vector<std::string> phases_of(const RunResult& result) {
  std::vector<std::string> phases;
  for (const OperationRow& row : result.operations) {
    if (std::find(phases.begin(), phases.end(), row.phase) == phases.end())
      phases.push_back(row.phase);
  }
  return phases;
}

std::string verdict(const RunResult& r) {
  const auto whole = static_cast<double>(r.cycles);
  if (r.cycles == 0) return "";
  const std::string* longest = nullptr;
  std::uint64_t most = 0;
  CyclesByCause causes{};
  const std::vector<std::string> phases = phases_of(r);
  for (const std::string& phase : phases) {
    std::uint64_t cycles = 0;
    CyclesByCause by_cause{};
    for (const OperationRow& row : r.operations) {
      if (row.phase != phase) continue;
      cycles += row.cycles;
      for (std::size_t c = 0; c < kCycleCauseCount; ++c) by_cause[c] += row.cycles_by_cause[c];
    }
    if (longest != nullptr && cycles <= most) continue;
    longest = &phase;
    most = cycles;
    causes = by_cause;
  }
  std::string text;
  if (longest != nullptr && most > 0) {
    const std::size_t cause =
        static_cast<std::size_t>(std::ranges::max_element(causes) - causes.begin());
    text = fmt::format(
        "{} of the {} {} {}, {} of {} {}.",
        phases.size() == 1 ? "All" : format_share(share_of(static_cast<double>(most), whole)),
        format_cycles_as_time(whole, r), phases.size() == 1 ? "are" : "is", printable(*longest),
        format_share(share_of(static_cast<double>(causes[cause]), static_cast<double>(most))),
        "that", cause_label(cause));
  }
  const std::vector<ComponentRow> parts = components_by_energy(r);
  if (!parts.empty() && r.energy_pj > 0) {
    const auto part = [&](const ComponentRow& row) {
      return fmt::format("{} ({})", printable(row.name),
                         format_share(share_of(energy_of(row), r.energy_pj)));
    };
    text +=
        fmt::format("{}Of the {}, most goes to {}{}.", text.empty() ? "" : " ",
                    format_energy_pj(r.energy_pj), part(parts[0]),
                    parts.size() > 1 && energy_of(parts[1]) > 0 ? " and " + part(parts[1]) : "");
  }
  return text;
}

std::vector<OperationRow> merged_operations(const RunResult& result, std::string_view phase) {
  return merged_operations(result, phase, [](const OperationRow& row) { return row.name; });
}

std::vector<OperationRow> merged_operations(
    const RunResult& result, std::string_view phase,
    const std::function<std::string(const OperationRow&)>& name_of) {
  std::vector<OperationRow> merged;
  std::vector<std::map<std::string, std::uint64_t>> bounds;  // cycles by bound, beside `merged`
  std::map<std::string, std::size_t> index;
  for (const OperationRow& row : result.operations) {
    if (row.phase != phase) continue;
    const auto [it, is_new] = index.try_emplace(name_of(row), merged.size());
    if (is_new) {
      merged.push_back(row);
      merged.back().name = it->first;
      bounds.push_back({{row.bound, row.cycles}});
      continue;
    }
    OperationRow& sum = merged[it->second];
    sum.repeats += row.repeats;
    if (std::tie(sum.m, sum.n, sum.k) != std::tie(row.m, row.n, row.k)) sum.m = sum.n = sum.k = 0;
    if (sum.kind != row.kind) sum.kind = "mixed";
    if (sum.weight_format != row.weight_format) sum.weight_format = "mixed";
    if (sum.activation_format != row.activation_format) sum.activation_format = "mixed";
    sum.macs += row.macs;
    sum.cycles += row.cycles;
    for (std::size_t c = 0; c < kCycleCauseCount; ++c)
      sum.cycles_by_cause[c] += row.cycles_by_cause[c];
    for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
      sum.dram_read_bytes[c] += row.dram_read_bytes[c];
      sum.dram_write_bytes[c] += row.dram_write_bytes[c];
    }
    sum.compute_bound_cycles += row.compute_bound_cycles;
    sum.bandwidth_bound_cycles += row.bandwidth_bound_cycles;
    for (const auto& [component, pj] : row.energy_pj) sum.energy_pj[component] += pj;
    for (std::size_t p = 0; p < std::min(sum.path_bytes.size(), row.path_bytes.size()); ++p) {
      sum.path_bytes[p] += row.path_bytes[p];
    }
    for (std::size_t s = 0; s < kScratchpadCount; ++s) {
      sum.held_byte_cycles[s] += row.held_byte_cycles[s];
    }
    if (sum.mapping && row.mapping) {
      sum.mapping->estimated_cycles += row.mapping->estimated_cycles;
    }
    bounds[it->second][row.bound] += row.cycles;
  }
  for (std::size_t i = 0; i < merged.size(); ++i) {
    merged[i].bound = std::max_element(bounds[i].begin(), bounds[i].end(), [](auto& a, auto& b) {
                        return a.second < b.second;
                      })->first;
  }
  return merged;
}

std::vector<OperationRow> merged_by_layer(const RunResult& result, std::string_view phase) {
  // " (layer 3)", " (layers 0 to 5)": where they are told apart.
  const auto own_layers = [](const OperationRow& row) {
    const std::size_t at = row.name.rfind(" (layer");
    return at != std::string::npos && row.name.ends_with(')')
               ? row.name.substr(at + 2, row.name.size() - at - 3)
               : std::string();
  };
  std::uint64_t fewest = 0;
  std::map<std::uint64_t, std::size_t> repeats;
  for (const OperationRow& row : result.operations) {
    if (row.phase != phase || row.repeats == 0) continue;
    fewest = fewest == 0 ? row.repeats : std::min(fewest, row.repeats);
    if (own_layers(row).empty()) ++repeats[row.repeats];
  }
  std::uint64_t commonest = fewest;
  for (const auto& [count, rows] : repeats) {
    if (count > fewest && (commonest == fewest || rows > repeats[commonest])) commonest = count;
  }
  // Where some have rows of their own, which the others are is not known.
  const std::uint64_t count = fewest > 0 ? commonest / fewest : 0;
  const bool all_equal = std::ranges::none_of(result.operations, [&](const OperationRow& row) {
    return row.phase == phase && !own_layers(row).empty();
  });
  std::string layers;
  if (count > 1 && all_equal) layers = fmt::format("layers 0 to {}", count - 1);
  if (count > 0 && layers.empty()) layers = plural(count, "equal layer");
  std::vector<OperationRow> merged = merged_operations(result, phase, [&](const OperationRow& row) {
    const std::string own = own_layers(row);
    if (!own.empty()) return own;
    return row.repeats == fewest && commonest != fewest ? std::string("outside the layers")
                                                        : layers;
  });
  for (OperationRow& row : merged) {
    if (count > 1 && row.name == layers) {
      row.name +=
          ", each " + format_cycles_as_time(
                          static_cast<double>(row.cycles) / static_cast<double>(count), result);
    }
  }
  return merged;
}

double energy_of(const ComponentRow& row) {
  const double energy = row.dynamic_pj + row.static_pj;
  return std::isfinite(energy) ? energy : 0;
}

std::vector<ComponentRow> components_by_energy(const RunResult& result) {
  std::vector<ComponentRow> rows = result.components;
  std::stable_sort(rows.begin(), rows.end(), [](const ComponentRow& a, const ComponentRow& b) {
    return energy_of(a) > energy_of(b);
  });
  return rows;
}

std::uint64_t cycles_of(std::span<const OperationRow> rows) {
  std::uint64_t sum = 0;
  for (const OperationRow& row : rows) sum += row.cycles;
  return sum;
}

std::uint64_t dram_bytes_of(const OperationRow& row) {
  std::uint64_t sum = 0;
  for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
    sum += row.dram_read_bytes[c] + row.dram_write_bytes[c];
  }
  return sum;
}

std::optional<double> utilisation_of(const OperationRow& row, const RunResult& result) {
  if (row.macs == 0) return std::nullopt;
  return share_of(static_cast<double>(row.macs),
                  static_cast<double>(row.cycles) * result.peak_macs_per_cycle);
}

std::optional<double> mean_held_bytes(const ScratchpadUse& use, const RunResult& result) {
  return share_of(static_cast<double>(use.held_byte_cycles), static_cast<double>(result.cycles));
}

std::optional<double> occupancy_of(const ScratchpadUse& use, const RunResult& result) {
  const std::optional<double> held = mean_held_bytes(use, result);
  if (!held) return std::nullopt;
  return share_of(*held, static_cast<double>(use.capacity_bytes));
}

std::optional<double> milliseconds_of(double cycles, const RunResult& result) {
  return share_of(cycles * 1e-3, result.clock_mhz);
}

std::string format_cycles_as_time(double cycles, const RunResult& result) {
  const std::optional<double> milliseconds = milliseconds_of(cycles, result);
  return milliseconds ? format_time_ms(*milliseconds) : std::string(kAbsent);
}

std::vector<const SensitivityRow*> by_time_saved(const RunResult& result) {
  std::vector<const SensitivityRow*> rows;
  for (const SensitivityRow& row : result.sensitivities) rows.push_back(&row);
  std::ranges::stable_sort(rows, {}, [](const SensitivityRow* row) {
    return std::isfinite(row->time_ms) ? row->time_ms : std::numeric_limits<double>::max();
  });
  return rows;
}

std::string_view cause_label(std::size_t cause) {
  static constexpr std::array<std::string_view, kCycleCauseCount> kLabels = {
      "compute", "fill / drain", "DRAM wait", "scratchpad", "dequantise", "dependency"};
  return kLabels[cause];
}

std::string_view class_label(std::size_t traffic_class) {
  static constexpr std::array<std::string_view, kTrafficClassCount> kLabels = {
      "weights", "activations", "KV cache"};
  return kLabels[traffic_class];
}

std::string formats_of(const OperationRow& row) {
  return joined({printable(row.weight_format), printable(row.activation_format)}, " \u00d7 ");
}

std::string shape_of(const OperationRow& row) {
  const auto text = [](std::uint64_t n) { return n == 0 ? std::string() : std::to_string(n); };
  return joined({text(row.m), text(row.n), text(row.k)}, "\u00d7");
}

std::string mapping_of(const OperationRow& row) {
  if (!row.mapping) return "";
  const Tiling& chosen = row.mapping->chosen;
  std::string order = printable(chosen.order);
  std::replace(order.begin(), order.end(), '_', ' ');
  std::string text = fmt::format("{}\u00d7{}\u00d7{}, {}", chosen.m, chosen.n, chosen.k, order);
  if (row.mapping->fixed) text += ", fixed";
  if (!row.mapping->runner_up) return text;
  const auto value = [&](const Tiling& tiling) {
    const auto cycles = static_cast<double>(tiling.cycles);
    if (row.mapping->objective == "energy") return tiling.energy_pj;
    return row.mapping->objective == "edp" ? cycles * tiling.energy_pj : cycles;
  };
  const std::optional<double> ratio = share_of(value(*row.mapping->runner_up), value(chosen));
  if (!ratio) return text;
  // Within 0.3 % of the best, others than cycles decide: the next best may take fewer.
  return text + (*ratio < 1 ? "; runner-up \u2212" : "; runner-up +") +
         format_share(std::abs(*ratio - 1));
}

std::string commands_of(std::span<const RunResult> results, std::string_view command) {
  std::vector<std::string_view> lines;
  const auto add = [&](std::string_view line) {
    if (!line.empty() && std::ranges::find(lines, line) == lines.end()) lines.push_back(line);
  };
  for (const RunResult& result : results) add(result.command);
  add(command);
  std::string text;
  for (const std::string_view line : lines) {
    if (!text.empty()) text += '\n';
    text += line;
  }
  return text;
}

KeyValues overrides_of(const RunResult& result) {
  const std::vector<std::string> words = shell_words(result.command);
  KeyValues pairs;
  const auto add = [&](std::string path, std::string value) {
    // What is set twice is as it was set last.
    std::erase_if(pairs, [&](const auto& pair) { return pair.first == path; });
    pairs.emplace_back(std::move(path), std::move(value));
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto value_of = [&](std::string_view option) -> std::optional<std::string> {
      if (words[i] == option && i + 1 < words.size()) return words[i + 1];
      const std::string joined = std::string(option) + "=";
      if (words[i].starts_with(joined)) return words[i].substr(joined.size());
      return std::nullopt;
    };
    if (const auto set = value_of("--set")) {
      const std::size_t at = set->find('=');
      if (at != std::string::npos) add(set->substr(0, at), set->substr(at + 1));
    }
    if (const auto overlap = value_of("--overlap")) add("array.fold_overlap", *overlap);
  }
  return pairs;
}

namespace {
constexpr std::size_t kLongestOverrides = 60;

std::string all_of(const KeyValues& overrides, std::string_view separator) {
  std::string text;
  for (const auto& [path, value] : overrides) {
    if (!text.empty()) text += separator;
    text += printable(path + "=" + value);
  }
  return text;
}
}  // namespace

std::string overrides_text(const KeyValues& overrides) {
  if (overrides.empty()) return "";
  const std::string all = all_of(overrides, ", ");
  if (overrides.size() == 1 || display_width(all) <= kLongestOverrides) return " + " + all;
  return fmt::format(" + {} settings", overrides.size());
}

std::string overrides_hint(const KeyValues& overrides) {
  if (overrides_text(overrides) == " + " + all_of(overrides, ", ")) return "";
  return all_of(overrides, "\n");
}

std::string title_of(const RunResult& result) {
  return joined({printable(result.model), printable(result.recipe),
                 printable(result.machine) + overrides_text(overrides_of(result))});
}

}  // namespace systole::reports
