#include "reports/kv_comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "reports/config_section.hpp"
#include "reports/csv.hpp"
#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "reports/json.hpp"
#include "reports/markup.hpp"
#include "reports/page.hpp"
#include "reports/text_table.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::ordered_json;

/// Colours of KvResource, the same on the whole page.
constexpr std::array<std::size_t, kKvResourceNames.size()> kResourceColours = {0, 2, 6, 3};

/// Parts of the energy as the page shows them: components that belong together.
struct EnergyPart {
  std::string_view label;
  std::size_t colour;
  std::vector<std::string_view> components;
};
const std::vector<EnergyPart>& energy_parts() {
  static const std::vector<EnergyPart> parts = {
      {"DRAM", 0, {"dram"}},
      {"KV dequantiser", 2, {"kv_dequantiser"}},
      {"array", 6, {"array"}},
      {"vector unit", 3, {"vector"}},
      {"scratchpads", 4, {"weight_scratchpad", "activation_scratchpad", "output_scratchpad"}},
      {"other dequantiser", 5, {"dequantiser"}}};
  return parts;
}

double energy_of(const KvPoint& point, const EnergyPart& part) {
  double pj = 0;
  for (const ComponentRow& row : point.run.components) {
    if (std::ranges::find(part.components, row.name) != part.components.end()) {
      pj += row.dynamic_pj + row.static_pj;
    }
  }
  return point.run.decode_tokens > 0 ? pj / static_cast<double>(point.run.decode_tokens) : 0;
}

double per_step(const KvPoint& point, std::uint64_t whole) {
  return point.steps > 0 ? static_cast<double>(whole) / static_cast<double>(point.steps) : 0;
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

double kv_dequantiser_mm2(const KvPoint& point) {
  for (const ComponentRow& row : point.run.components) {
    if (row.name == "kv_dequantiser") return row.area_mm2;
  }
  return 0;
}

/// A figure of a point: the one list behind JSON, CSV and the tables. What it is called and how it
/// is printed says figure_table.hpp.
struct Column {
  const char* name;
  std::function<double(const KvPoint&)> value;
};

const std::vector<Column>& columns() {
  static const std::vector<Column> list = {
      {"tpot_ms", [](const KvPoint& p) { return p.tpot_ms(); }},
      {"tokens_per_second", [](const KvPoint& p) { return p.run.tokens_per_second().value_or(0); }},
      {"energy_pj_per_token", [](const KvPoint& p) { return p.energy_pj_per_token(); }},
      {"kv_bytes", [](const KvPoint& p) { return static_cast<double>(p.run.kv_bytes); }},
      {"kv_bytes_read_per_step", [](const KvPoint& p) { return per_step(p, p.run.kv_bytes_read); }},
      {"kv_burst_bytes_read_per_step",
       [](const KvPoint& p) { return per_step(p, p.run.kv_burst_bytes_read); }},
      {"kv_bytes_written_per_step",
       [](const KvPoint& p) { return per_step(p, p.run.kv_bytes_written); }},
      {"kv_burst_bytes_written_per_step",
       [](const KvPoint& p) { return per_step(p, p.run.kv_burst_bytes_written); }},
      {"dram_bursts_per_step", [](const KvPoint& p) { return per_step(p, p.bursts); }},
      {"row_hit_rate", [](const KvPoint& p) { return p.row_hit_rate(); }},
      {"bandwidth_share", [](const KvPoint& p) { return p.run.bandwidth_share().value_or(0); }},
      {"dequant_utilisation",
       [](const KvPoint& p) { return p.run.dequant_utilisation().value_or(0); }},
      {"kv_dequantiser_mm2", kv_dequantiser_mm2},
  };
  return list;
}

/// Whether a reader sees the same: a ratio that is printed as 1.
bool is_tie(double value, double least) {
  return format_ratio(share_of(value, least)) == format_ratio(1.0);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string needed(const KvPoint& point) {
  return format_figure("needed_bytes", static_cast<double>(point.needed_bytes));
}
std::string capacity(const KvPoint& point) {
  return format_figure("capacity_bytes", static_cast<double>(point.capacity_bytes));
}
std::string tokens(std::uint64_t count) {
  return format_figure("tokens", static_cast<double>(count));
}

// --- page ----------------------------------------------------------------------------------------

constexpr std::string_view kStyle = R"css(
.kv .row{grid-template-columns:9.7rem 1fr 4.2rem 3.2rem 7.4rem;min-height:27px}
.kv .row.plain{grid-template-columns:9.7rem 1fr 4.6rem 3.6rem}
.kv .binds{white-space:normal;line-height:1.2;font-size:12.5px}
.kv .two{margin-bottom:14px}
.kv svg.bar{height:16px}
.kv .best .name{font-weight:650}
.kv .over .name::after{content:" \2020";color:var(--s2)}
.kv h2{margin-top:34px}
td.hot{font-weight:650;color:color-mix(in srgb,var(--s2) 80%,var(--ink))}
td .meter{display:inline-block;width:44px;height:7px;margin-left:7px;vertical-align:1px;background:var(--faint);border-radius:2px;overflow:hidden}
td .meter i{display:block;height:100%;background:var(--s2)}
@media (max-width:620px){.kv .row,.kv .row.plain{grid-template-columns:minmax(0,1fr) auto auto}}
)css";

class KvPage {
 public:
  explicit KvPage(const KvComparisonResult& result) : result_(result) {}

  std::string operator()() {
    const std::string title =
        fmt::format("{} KV caches, {} context", result_.systems.size(), tokens(result_.prefill));
    PageHead head;
    head.title = title;
    head.kind = "KV-cache systems side by side";
    head.heading =
        fmt::format("{} decoding behind {} tokens: {} KV caches", printable(result_.model),
                    tokens(result_.prefill), result_.systems.size());
    head.remark =
        fmt::format("{} decode steps \u00b7 machines {}", result_.decode, joined(result_.machines));
    head.verdict = kv_comparison_verdict(result_);
    head.body_class = "kv";
    head.style = kStyle;
    out_ = page_top(head);
    tiles();
    time();
    energy();
    bytes();
    stages();
    table();
    out_ += trust_section(result_.notes);
    configurations();
    return out_ + page_bottom(result_.version, result_.command);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  /// A figure of several panels; "CSV" saves all figures of all points.
  void figure(std::string_view id, std::string_view title, std::string_view short_title) {
    out_ += bare_figure_top(id, title, "", short_title);
  }
  void end_figure() {
    FigureTable table{{"kv", "machine", "batch"}, {}};
    for (const Column& column : columns()) table.columns.emplace_back(column.name);
    for (const KvPoint& point : result_.points) {
      std::vector<FigureValue>& row = table.rows.emplace_back();
      row = {point.kv, point.machine, point.batch};
      for (const Column& column : columns()) row.emplace_back(column.value(point));
    }
    out_ += figure_data(table) + "</section>\n";
  }

  static std::string sequences(std::uint64_t batch) {
    return batch == 1 ? "one sequence" : fmt::format("{} sequences", batch);
  }

  /// The best of all points, by name.
  void tiles() {
    if (result_.points.empty()) return;
    out_ += "<section class=\"tiles\">\n";
    const auto best = [&](std::string_view label, const auto& figure, const auto& text) {
      const KvPoint& point = *std::ranges::min_element(result_.points, {}, figure);
      const double value = figure(point);
      // Of several that are best all are named, a system once.
      std::vector<std::string> names;
      for (const KvPoint& other : result_.points) {
        if (text(figure(other)) == text(value) && std::ranges::find(names, other.kv) == names.end())
          names.push_back(other.kv);
      }
      out_ +=
          tile_markup(label, text(value),
                      fmt::format("{}, {}, batch {}", joined(names), point.machine, point.batch));
    };
    best(
        "shortest step", [](const KvPoint& p) { return p.tpot_ms(); }, format_time_ms);
    const KvPoint& most = *std::ranges::max_element(
        result_.points, {}, [](const KvPoint& p) { return p.run.tokens_per_second().value_or(0); });
    out_ +=
        tile_markup("most tokens/s, all sequences",
                    format_figure("tokens_per_second", most.run.tokens_per_second().value_or(0)),
                    fmt::format("{}, {}, batch {}", most.kv, most.machine, most.batch));
    best(
        "least energy a token", [](const KvPoint& p) { return p.energy_pj_per_token(); },
        format_energy_pj);
    best(
        "smallest cache a sequence",
        [](const KvPoint& p) {
          return static_cast<double>(p.run.kv_bytes) /
                 static_cast<double>(std::max<std::uint64_t>(p.batch, 1));
        },
        format_bytes);
    out_ += "</section>\n";
  }

  void configurations() {
    std::vector<std::pair<std::string, KeyValues>> configs;
    for (std::size_t m = 0; !result_.batches.empty() && m < result_.machines.size(); ++m) {
      for (std::size_t s = 0; s < result_.systems.size(); ++s) {
        const KvPoint& point = result_.at(0, m, s);
        if (!point.run.config_echo.empty())
          configs.emplace_back(point.machine + " with " + point.kv, point.run.config_echo);
      }
    }
    if (configs.empty()) return;
    out_ += compared_configs(configs, overrides_of(result_.points.front().run));
  }

  struct Bar {
    std::vector<Segment> segments;
    double value = 0;
    std::string text, binds;
  };

  /// A panel for every machine and batch, bars to a common scale within a batch.
  void grid(const std::function<Bar(const KvPoint&)>& bar_of, bool binds) {
    for (std::size_t b = 0; b < result_.batches.size(); ++b) {
      double full = 0;
      for (std::size_t m = 0; m < result_.machines.size(); ++m) {
        for (std::size_t s = 0; s < result_.systems.size(); ++s) {
          full = std::max(full, bar_of(result_.at(b, m, s)).value);
        }
      }
      add("<div class=\"two\">\n");
      for (std::size_t m = 0; m < result_.machines.size(); ++m) {
        add("<section><h3>{}</h3><p class=\"note\">{}</p>\n", escaped(result_.machines[m]),
            sequences(result_.batches[b]));
        double least = bar_of(result_.at(b, m, 0)).value, largest = least;
        for (std::size_t s = 1; s < result_.systems.size(); ++s) {
          least = std::min(least, bar_of(result_.at(b, m, s)).value);
          largest = std::max(largest, bar_of(result_.at(b, m, s)).value);
        }
        const double base = bar_of(result_.at(b, m, 0)).value;
        for (std::size_t s = 0; s < result_.systems.size(); ++s) {
          const KvPoint& point = result_.at(b, m, s);
          const Bar bar = bar_of(point);
          const std::string hint = point.fits()
                                       ? point.kv
                                       : fmt::format("{}: does not fit, needs {} of {}", point.kv,
                                                     needed(point), capacity(point));
          add("<div class=\"row{}{}{}\" title=\"{}\"><span class=\"name\">{}</span><span "
              "class=\"track\">{}</span><span class=\"num\">{}</span><span class=\"num "
              "dim\">{}</span>",
              binds ? "" : " plain",
              is_tie(bar.value, least) && !is_tie(largest, least) ? " best" : "",
              point.fits() ? "" : " over", escaped(hint), escaped(point.kv),
              bar_svg(bar.segments, full), escaped(bar.text),
              escaped(format_ratio(share_of(bar.value, base))));
          if (binds) add("<span class=\"bound binds\">{}</span>", escaped(bar.binds));
          add("</div>\n");
        }
        add("</section>\n");
      }
      add("</div>\n");
    }
  }

  void footnote() {
    if (std::ranges::all_of(result_.points, [](const KvPoint& p) { return p.fits(); })) return;
    add("<p class=\"note\">† weights and caches do not fit the machine's DRAM: timed as if it had "
        "more at the same bandwidth.</p>\n");
  }

  void time() {
    figure("time", "Time a token, by what each cycle waits for", "Time");
    out_ += "<ul class=\"legend\">";
    for (std::size_t r = 0; r < kKvResourceNames.size(); ++r) {
      if (std::ranges::none_of(result_.points, [r](const KvPoint& p) { return p.cycles[r] > 0; }))
        continue;
      add("<li>{}{}</li>", swatch_svg(kResourceColours[r]), escaped(kKvResourceNames[r]));
    }
    add("</ul><p class=\"note\">Right: time a step of all sequences, relative to {}, and the "
        "resource that binds the step. Bars of a row of panels share a scale.</p>\n",
        escaped(result_.systems[0]));
    footnote();
    grid(
        [](const KvPoint& point) {
          Bar bar;
          bar.value = point.tpot_ms();
          bar.text = format_figure("tpot_ms", bar.value);
          bar.binds = point.name_of(point.binds());
          for (std::size_t r = 0; r < kKvResourceNames.size(); ++r) {
            const double part = share(point.cycles[r], point.run.decode_cycles);
            bar.segments.push_back({part * bar.value, kResourceColours[r],
                                    fmt::format("{}: {}", kKvResourceNames[r], format_share(part)),
                                    false});
          }
          return bar;
        },
        true);
    end_figure();
  }

  void energy() {
    figure("energy", "Energy a token", "Energy");
    out_ += "<ul class=\"legend\">";
    for (const EnergyPart& part : energy_parts()) {
      if (std::ranges::none_of(result_.points,
                               [&](const KvPoint& p) { return energy_of(p, part) > 0; }))
        continue;
      add("<li>{}{}</li>", swatch_svg(part.colour), escaped(part.label));
    }
    add("</ul><p class=\"note\">Dynamic and standing, of a token of one sequence: weights are "
        "shared "
        "by the batch, caches are not.</p>\n");
    grid(
        [](const KvPoint& point) {
          Bar bar;
          bar.value = point.energy_pj_per_token();
          bar.text = format_figure("energy_pj_per_token", bar.value);
          for (const EnergyPart& part : energy_parts()) {
            const double pj = energy_of(point, part);
            bar.segments.push_back(
                {pj, part.colour, fmt::format("{}: {}", part.label, format_energy_pj(pj)), false});
          }
          return bar;
        },
        false);
    end_figure();
  }

  /// Of one sequence: the batch changes it by a factor only.
  void bytes() {
    figure("bytes", "What a step moves for one sequence", "Bytes");
    add("<div class=\"two\">\n");
    for (const bool write : {false, true}) {
      const auto whole = [&](const KvPoint& p) {
        const double bursts =
            per_step(p, write ? p.run.kv_burst_bytes_written : p.run.kv_burst_bytes_read);
        const double used = per_step(p, write ? p.run.kv_bytes_written : p.run.kv_bytes_read);
        const auto n = static_cast<double>(p.batch);
        return std::pair(used / n, bursts / n);
      };
      add("<section><h3>{}</h3><p class=\"note\">{} Pale: the rest of the bursts it takes. Right: "
          "in bursts, and bursts over bytes. On {}.</p>\n",
          write ? "Written to the cache" : "Read from the cache",
          write ? "Mean of the steps, groups that close and codes rewritten included."
                : "All that attention reads.",
          escaped(result_.machines[0]));
      double full = 0;
      for (std::size_t s = 0; s < result_.systems.size(); ++s) {
        full = std::max(full, whole(result_.at(0, 0, s)).second);
      }
      for (std::size_t s = 0; s < result_.systems.size(); ++s) {
        const KvPoint& point = result_.at(0, 0, s);
        const auto [used, bursts] = whole(point);
        const std::vector<Segment> segments = {
            {used, 1, "bytes: " + format_bytes(used), false},
            {bursts - used, 1, "rest of bursts: " + format_bytes(bursts - used), true}};
        add("<div class=\"row plain\"><span class=\"name\">{}</span><span "
            "class=\"track\">{}</span><span class=\"num\">{}</span><span class=\"num "
            "dim\">{}</span></div>\n",
            escaped(point.kv), bar_svg(segments, full), escaped(format_bytes(bursts)),
            escaped(format_ratio(share_of(bursts, used))));
      }
      add("</section>\n");
    }
    add("</div>\n");
    end_figure();
  }

  void stages() {
    const std::size_t last = result_.batches.size() - 1;
    add("<section id=\"stages\" data-short=\"Stages\"><h3>How busy the KV dequantiser's stages "
        "are</h3><p class=\"note\">Share of the "
        "decode cycles that each stage would take alone, at {}. A stage that binds is at the end "
        "of "
        "its rate in every chunk.</p><div class=\"wide\"><table><thead><tr><th>system</th>"
        "<th>machine</th>",
        sequences(result_.batches[last]));
    for (const KvStageWork& stage : result_.points.front().stages) {
      add("<th class=\"num\">{}</th>", escaped(stage.name));
    }
    add("</tr></thead><tbody>\n");
    for (std::size_t s = 0; s < result_.systems.size(); ++s) {
      for (std::size_t m = 0; m < result_.machines.size(); ++m) {
        const KvPoint& point = result_.at(last, m, s);
        add("<tr><td>{}</td><td>{}</td>", escaped(point.kv), escaped(point.machine));
        const KvStageWork* slowest = point.slowest_stage();
        for (const KvStageWork& stage : point.stages) {
          const double busy = share(stage.cycles, point.run.decode_cycles);
          add("<td class=\"num{}\">{}{}</td>", &stage == slowest ? " hot" : "",
              stage.operations == 0 ? std::string(kAbsent) : escaped(format_share(busy)),
              stage.operations == 0
                  ? ""
                  : fmt::format("<span class=\"meter\"><i style=\"width:{:.1f}%\"></i></span>",
                                100 * std::min(1.0, busy)));
        }
        add("</tr>\n");
      }
    }
    add("</tbody></table></div></section>\n");
  }

  void table() {
    add("<section id=\"figures\"><h3>All figures</h3><div class=\"wide\"><table class=\"sortable "
        "searched operations\"><thead><tr><th>system</th><th>machine</th><th "
        "class=\"num\">batch</th><th>the "
        "step is bound by</th><th>attention by</th>");
    for (const Column& column : columns()) {
      add("<th class=\"num\">{}</th>", escaped(figure_label(column.name)));
    }
    add("<th class=\"num\">{}</th></tr></thead><tbody>\n", escaped(figure_label("needed_bytes")));
    for (const KvPoint& point : result_.points) {
      add("<tr><td>{}</td><td>{}</td><td class=\"num\" data-v=\"{}\">{}</td><td>{}</td><td>{}</td>",
          escaped(point.kv), escaped(point.machine), point.batch, point.batch,
          escaped(point.name_of(point.binds())), escaped(point.name_of(point.attention_binds())));
      for (const Column& column : columns()) {
        const double value = column.value(point);
        add("<td class=\"num\" data-v=\"{}\">{}</td>", value,
            escaped(format_figure(column.name, value)));
      }
      add("<td class=\"num{}\" data-v=\"{}\">{}</td></tr>\n", point.fits() ? "" : " hot",
          point.needed_bytes, escaped(needed(point) + (point.fits() ? "" : " †")));
    }
    add("</tbody></table></div></section>\n");
  }

  const KvComparisonResult& result_;
  std::string out_;
};

}  // namespace

std::string kv_comparison_verdict(const KvComparisonResult& result) {
  std::string text;
  for (std::size_t b = 0; b < result.batches.size(); ++b) {
    for (std::size_t m = 0; m < result.machines.size(); ++m) {
      std::size_t best = 0;
      for (std::size_t s = 1; s < result.systems.size(); ++s) {
        if (result.at(b, m, s).tpot_ms() < result.at(b, m, best).tpot_ms()) best = s;
      }
      const KvPoint& first = result.at(b, m, 0);
      const KvPoint& winner = result.at(b, m, best);
      // What is as fast as far as it is printed.
      std::vector<std::string> equal;
      for (std::size_t k = 0; k < result.systems.size(); ++k) {
        const KvPoint& point = result.at(b, m, k);
        if (is_tie(point.tpot_ms(), winner.tpot_ms())) equal.push_back(point.kv);
      }
      const std::optional<double> gain = share_of(first.tpot_ms(), winner.tpot_ms());
      const bool first_is_best = is_tie(first.tpot_ms(), winner.tpot_ms());
      std::string who = winner.kv + " decodes";
      if (equal.size() > 1) {
        who = joined(equal) + (equal.size() == result.systems.size()
                                   ? " tie: each decodes"
                                   : " tie for the best: each decodes");
      }
      text += (text.empty() ? "" : " ") +
              fmt::format("{}, batch {}: {} a step in {}{}, bound by the {}.", result.machines[m],
                          result.batches[b], who, format_time_ms(winner.tpot_ms()),
                          first_is_best
                              ? ""
                              : fmt::format(" ({} the speed of {})", format_ratio(gain), first.kv),
                          winner.name_of(winner.binds()));
    }
  }
  return text;
}

std::string kv_comparison_to_terminal(const KvComparisonResult& result, bool colour,
                                      unsigned width) {
  const std::string title =
      wrapped(fmt::format("{} behind {} tokens", printable(result.model), tokens(result.prefill)),
              width, 0);
  std::string out = (colour ? "\x1b[1m" + title + "\x1b[0m" : title) + "\n";
  // What a step takes is never left out; of the others those go first that the rest explains.
  constexpr std::pair<std::string_view, int> kShown[] = {{"tpot_ms", 0},
                                                         {"energy_pj_per_token", 0},
                                                         {"kv_bytes_read_per_step", 3},
                                                         {"row_hit_rate", 4},
                                                         {"dequant_utilisation", 5}};
  std::vector<TextColumn> heads = {{"system", true}, {"machine", true, 1}, {"batch"}};
  std::vector<const Column*> shown;
  for (const auto& [name, rank] : kShown) {
    heads.push_back({std::string(short_figure_label(name)), false, rank});
    shown.push_back(&*std::ranges::find(columns(), name, &Column::name));
  }
  heads.push_back({"bound by", true, 2});
  heads.push_back({"attention by", true, 6});
  TextTable table(std::move(heads));
  for (const KvPoint& p : result.points) {
    std::vector<std::string> cells = {p.kv + (p.fits() ? "" : " †"), p.machine,
                                      format_figure("batch", static_cast<double>(p.batch))};
    for (const Column* column : shown) {
      cells.push_back(format_figure(column->name, column->value(p)));
    }
    cells.push_back(p.name_of(p.binds()));
    cells.push_back(p.name_of(p.attention_binds()));
    table.add(std::move(cells));
  }
  out += table.print(width, colour);
  if (std::ranges::any_of(result.points, [](const KvPoint& p) { return !p.fits(); })) {
    out += wrapped("† does not fit the machine's DRAM: timed as if it did", width, 2) + "\n";
  }
  return out;
}

std::string kv_comparison_to_html(const KvComparisonResult& result) { return KvPage(result)(); }

std::string kv_comparison_to_json(const KvComparisonResult& result) {
  Json document;
  document["summary"] = {{"model", result.model},
                         {"prefill", result.prefill},
                         {"decode", result.decode},
                         {"systems", result.systems},
                         {"machines", result.machines},
                         {"batches", result.batches},
                         {"verdict", kv_comparison_verdict(result)},
                         {"version", result.version},
                         {"command", result.command}};
  document["points"] = Json::array();
  for (const KvPoint& point : result.points) {
    Json entry = {{"kv", point.kv},
                  {"machine", point.machine},
                  {"batch", point.batch},
                  {"bound_by", point.name_of(point.binds())},
                  {"attention_bound_by", point.name_of(point.attention_binds())},
                  {"fits", point.fits()},
                  {"needed_bytes", point.needed_bytes},
                  {"capacity_bytes", point.capacity_bytes}};
    for (const Column& column : columns()) entry[column.name] = column.value(point);
    entry["dram_activates"] = point.activates;
    for (std::size_t r = 0; r < kKvResourceNames.size(); ++r) {
      entry["cycles_by_resource"][std::string(kKvResourceNames[r])] = point.cycles[r];
      entry["attention_cycles_by_resource"][std::string(kKvResourceNames[r])] =
          point.attention_cycles[r];
    }
    entry["stages"] = Json::object();
    for (const KvStageWork& stage : point.stages) {
      entry["stages"][stage.name] = {{"operations", stage.operations}, {"cycles", stage.cycles}};
    }
    entry["run"] = Json::parse(to_json(point.run));
    document["points"].push_back(std::move(entry));
  }
  document["notes"] = Json::object();
  for (const auto& [name, text] : result.notes) document["notes"][name] = text;
  document["schema_version"] = kKvComparisonJsonSchemaVersion;
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string kv_comparison_to_csv(const KvComparisonResult& result, Separated how) {
  std::vector<std::string> cells = {
      "kv",   "machine",      "batch",         "bound_by", "attention_bound_by",
      "fits", "needed_bytes", "capacity_bytes"};
  for (const Column& column : columns()) cells.emplace_back(column.name);
  std::string out = separated_line(cells, how);
  for (const KvPoint& p : result.points) {
    cells = {p.kv,
             p.machine,
             std::to_string(p.batch),
             p.name_of(p.binds()),
             p.name_of(p.attention_binds()),
             p.fits() ? "true" : "false",
             std::to_string(p.needed_bytes),
             std::to_string(p.capacity_bytes)};
    for (const Column& column : columns()) cells.push_back(exact(column.value(p)));
    out += separated_line(cells, how);
  }
  return out;
}

std::vector<Table> kv_comparison_tables(const KvComparisonResult& result) {
  constexpr std::string_view kShown[] = {
      "tpot_ms",         "tokens_per_second",      "energy_pj_per_token",
      "kv_bytes",        "kv_bytes_read_per_step", "row_hit_rate",
      "bandwidth_share", "dequant_utilisation"};
  Table table{fmt::format("KV caches of {} behind {} tokens", result.model, tokens(result.prefill)),
              "llr" + std::string(std::size(kShown), 'r') + "l",
              {{"system", "machine", std::string(figure_label("batch"))}}};
  for (const std::string_view name : kShown) table.lines[0].emplace_back(figure_label(name));
  table.lines[0].emplace_back("bound by");
  for (const KvPoint& p : result.points) {
    std::vector<std::string>& line = table.lines.emplace_back();
    line = {p.kv + (p.fits() ? "" : " †"), p.machine,
            format_figure("batch", static_cast<double>(p.batch))};
    for (const std::string_view name : kShown) {
      line.push_back(
          format_figure(name, std::ranges::find(columns(), name, &Column::name)->value(p)));
    }
    line.push_back(p.name_of(p.binds()));
  }
  if (std::ranges::any_of(result.points, [](const KvPoint& p) { return !p.fits(); })) {
    table.title += "; † does not fit the machine's DRAM, timed as if it did";
  }
  return {table};
}

}  // namespace systole::reports
