#include "reports/equal_area.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "reports/config_section.hpp"
#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "reports/json.hpp"
#include "reports/markup.hpp"
#include "reports/page.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

/// A recipe whose proxy perplexity is at most this much above fp32's keeps the model's quality.
constexpr double kQualityKept = 0.02;

double ms_per_token(const PhaseFigures& phase) {
  return phase.tokens > 0 ? phase.time_ms.value / static_cast<double>(phase.tokens) : 0;
}

Uncertain per_token(const Uncertain& whole, std::uint64_t tokens) {
  if (tokens == 0) return {};
  const auto n = static_cast<double>(tokens);
  return {whole.value / n,
          {whole.band.low / n, whole.band.high / n},
          {whole.profiles.low / n, whole.profiles.high / n}};
}

std::optional<double> tokens_per_second(const PhaseFigures& phase) {
  const double ms = ms_per_token(phase);
  return ms > 0 ? std::optional(1e3 / ms) : std::nullopt;
}

const EqualAreaRow& fastest(const std::vector<const EqualAreaRow*>& rows) {
  return **std::ranges::min_element(
      rows, {}, [](const EqualAreaRow* row) { return row->prefill.time_ms.value; });
}

std::string tokens(const PhaseFigures& phase) {
  return format_figure("tokens", static_cast<double>(phase.tokens));
}

/// Ends of a bar, as the figure itself is printed.
std::string span_text(std::string_view name, const Range& range) {
  return format_figure(name, range.low) + " to " + format_figure(name, range.high);
}

std::optional<double> perplexity_of(const EqualAreaRow& row) {
  return row.quality ? std::optional(row.quality->perplexity) : std::nullopt;
}

// --- page ----------------------------------------------------------------------------------------

constexpr std::string_view kWhiskers = R"css(
.bars .row{grid-template-columns:8.6rem 1fr 4.9rem 3.6rem;min-height:30px;font-size:13.5px}
.bars svg.bar{height:18px;overflow:visible}
.bars line{stroke:var(--ink);vector-effect:non-scaling-stroke}
.bars line.band{stroke-width:2.5}
.bars line.profile{stroke-width:1;stroke-dasharray:3 2}
.bars line.mark{stroke-width:1.2;stroke-dasharray:2 3;stroke:var(--soft)}
.bars .row.first .name{font-weight:650}
.bars .beyond{color:var(--soft)}
.key svg{width:34px;height:12px;margin-right:6px;vertical-align:-2px;overflow:visible}
.key line{stroke:var(--ink);vector-effect:non-scaling-stroke}
@media (max-width:620px){.bars .row{grid-template-columns:minmax(0,1fr) auto auto}}
)css";

struct Bar {
  std::vector<Segment> segments;
  Uncertain figure;
  std::string text;
};

/// One panel: a figure of every PE.
struct Panel {
  std::string title, note;
  std::string_view name;  ///< of the figure
  std::function<std::optional<Bar>(const EqualAreaRow&)> bar;
  bool less_is_better = true;
  std::optional<double> mark;  ///< a dashed line across
};

/// As bar_svg, with whiskers: the band thick, the profiles thin; what ends beyond the picture has
/// no end stroke.
std::string bar_with_whiskers(const Bar& bar, double full, std::optional<double> mark) {
  std::string svg = bar_svg(bar.segments, full);
  svg.resize(svg.size() - std::string_view("</svg>").size());
  const auto x = [&](double value) { return std::clamp(value / full, 0.0, 1.0) * 1000; };
  const auto line = [&](std::string_view kind, double x1, double y1, double x2, double y2) {
    svg += fmt::format("<line class=\"{}\" x1=\"{:.2f}\" y1=\"{}\" x2=\"{:.2f}\" y2=\"{}\"/>", kind,
                       x1, y1, x2, y2);
  };
  const auto whisker = [&](std::string_view kind, const Range& range, double y, double half) {
    if (!(range.high > range.low * 1.0005)) return;
    line(kind, x(range.low), y, x(range.high), y);
    line(kind, x(range.low), y - half, x(range.low), y + half);
    if (range.high <= full) line(kind, x(range.high), y - half, x(range.high), y + half);
  };
  if (mark) line("mark", x(*mark), -3, x(*mark), 13);
  whisker("band", bar.figure.band, 3.6, 2);
  whisker("profile", bar.figure.profiles, 7.6, 1.6);
  return svg + "</svg>";
}

class EqualAreaPage {
 public:
  explicit EqualAreaPage(const EqualAreaResult& result) : result_(result) {}

  std::string operator()() {
    const std::string title = fmt::format("{} PEs on {} each", result_.rows.size(),
                                          format_figure("area_mm2", result_.area_mm2));
    PageHead head;
    head.title = title;
    head.kind = "PEs at equal array area";
    head.remark = fmt::format(
        "{} \u00b7 {} prompt tokens, {} generated \u00b7 priced from {} \u00b7 else the machine {}",
        result_.model, tokens(result_.rows[0].prefill), tokens(result_.rows[0].decode),
        result_.energy_table, result_.base_machine);
    head.verdict = equal_area_verdict(result_);
    head.style = kWhiskers;
    out_ = page_top(head);
    tiles();
    key();
    panels();
    causes();
    table();
    profiles();
    out_ += trust_section(result_.notes);
    configurations();
    return out_ + page_bottom(result_.version, result_.command);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  /// Who is best in what, and by how much over the base.
  void tiles() {
    out_ += "<section class=\"tiles\">\n";
    const EqualAreaRow& base = result_.base();
    const auto best = [&](std::string_view label, const auto& figure, const auto& text) {
      const EqualAreaRow* winner = nullptr;
      for (const EqualAreaRow& row : result_.rows) {
        const std::optional<double> value = figure(row);
        if (value && (winner == nullptr || *value < *figure(*winner))) winner = &row;
      }
      if (winner == nullptr) return;
      const std::optional<double> of_base = figure(base);
      const std::string against =
          winner != &base && of_base
              ? fmt::format(", {} of {}", format_ratio(share_of(*figure(*winner), *of_base)),
                            base.pe)
              : "";
      out_ += tile_markup(label, text(*figure(*winner)), winner->pe + against);
    };
    using Row = EqualAreaRow;
    const auto token_energy = [](const PhaseFigures& f) -> std::optional<double> {
      if (f.tokens == 0) return std::nullopt;
      return f.energy_pj.value / static_cast<double>(f.tokens);
    };
    best(
        "fastest prompt", [](const Row& r) { return std::optional(r.prefill.time_ms.value); },
        format_time_ms);
    best(
        "fastest token",
        [](const Row& r) {
          return r.decode.tokens > 0 ? std::optional(ms_per_token(r.decode)) : std::nullopt;
        },
        format_time_ms);
    best(
        "least energy, a token of the prompt",
        [&](const Row& r) { return token_energy(r.prefill); }, format_energy_pj);
    best(
        "lowest perplexity, a proxy",
        [](const Row& r) {
          return r.quality ? std::optional(r.quality->perplexity) : std::nullopt;
        },
        [](double v) { return number(v, 4); });
    out_ += "</section>\n";
  }

  void configurations() {
    std::vector<std::pair<std::string, KeyValues>> configs;
    for (const EqualAreaRow& row : result_.rows) {
      if (!row.run.config_echo.empty())
        configs.emplace_back(row.pe + " with " + row.recipe, row.run.config_echo);
    }
    out_ += compared_configs(configs, {});
  }

  void key() {
    add("<ul class=\"legend key\"><li><svg viewBox=\"0 0 34 12\"><line x1=\"1\" y1=\"6\" x2=\"33\" "
        "y2=\"6\" stroke-width=\"2.5\"/><line x1=\"1\" y1=\"2\" x2=\"1\" y2=\"10\" "
        "stroke-width=\"2.5\"/><line x1=\"33\" y1=\"2\" x2=\"33\" y2=\"10\" stroke-width=\"2.5\"/>"
        "</svg>bands of {} (area or energy; energy up to all glitches)</li><li><svg viewBox=\"0 0 "
        "34 12\"><line x1=\"1\" y1=\"6\" x2=\"33\" y2=\"6\" stroke-width=\"1\" "
        "stroke-dasharray=\"3 2\"/><line x1=\"1\" y1=\"3\" x2=\"1\" y2=\"9\"/><line x1=\"33\" "
        "y1=\"3\" x2=\"33\" y2=\"9\"/></svg>the PE relative to INT8 as other tables have it"
        "</li></ul>\n",
        escaped(result_.energy_table));
  }

  void panels() {
    const auto time = [](PhaseFigures EqualAreaRow::*phase, bool each) {
      return [=](const EqualAreaRow& row) -> std::optional<Bar> {
        const PhaseFigures& f = row.*phase;
        if (f.tokens == 0) return std::nullopt;
        const Uncertain figure = each ? per_token(f.time_ms, f.tokens) : f.time_ms;
        return Bar{{{figure.value, 0, format_time_ms(figure.value), false}},
                   figure,
                   format_time_ms(figure.value)};
      };
    };
    const auto energy = [](PhaseFigures EqualAreaRow::*phase) {
      return [=](const EqualAreaRow& row) -> std::optional<Bar> {
        const PhaseFigures& f = row.*phase;
        if (f.tokens == 0) return std::nullopt;
        const Uncertain figure = per_token(f.energy_pj, f.tokens);
        const double glitches = f.energy_all_pj / static_cast<double>(f.tokens) - figure.value;
        return Bar{{{figure.value, 3, "settled: " + format_energy_pj(figure.value), false},
                    {glitches, 3, "glitches: " + format_energy_pj(glitches), true}},
                   figure,
                   format_energy_pj(figure.value)};
      };
    };
    add("<div class=\"two bars\">\n");
    panel({"Prompt, time",
           "The whole prompt at once: the array decides.",
           "time_ms",
           time(&EqualAreaRow::prefill, false),
           true,
           {}});
    panel({"Generation, time a token",
           "One sequence: one row at a time leaves the array waiting for weights.",
           "time_ms",
           time(&EqualAreaRow::decode, true),
           true,
           {}});
    panel({"Prompt, energy a token",
           "Settled transitions; pale: what glitches add. Includes DRAM and leakage.",
           "energy_per_token_pj",
           energy(&EqualAreaRow::prefill),
           true,
           {}});
    panel({"Generation, energy a token",
           "The same; all weights are fetched for every token.",
           "energy_per_token_pj",
           energy(&EqualAreaRow::decode),
           true,
           {}});
    add("</div>\n");
    if (std::ranges::none_of(result_.rows, [](const auto& row) { return row.quality.has_value(); }))
      return;
    add("<div class=\"bars\">\n");
    panel(
        {"Perplexity, a proxy",
         fmt::format("Of {} under each recipe, not of {}: it orders recipes, it does not say what "
                     "the larger model loses. Dashed: fp32, {}. Bars start at 0.",
                     result_.proxy, result_.model,
                     format_figure("proxy_perplexity_fp32", result_.reference_perplexity)),
         "proxy_perplexity",
         [](const EqualAreaRow& row) -> std::optional<Bar> {
           if (!row.quality) return std::nullopt;
           const double value = row.quality->perplexity;
           return Bar{{{value, 6, row.recipe, false}},
                      {value, {value, value}, {value, value}},
                      format_figure("proxy_perplexity", value)};
         },
         true, result_.reference_perplexity});
    add("</div>\n");
  }

  void panel(const Panel& panel) {
    std::vector<std::pair<const EqualAreaRow*, Bar>> bars;
    for (const EqualAreaRow& row : result_.rows) {
      if (auto bar = panel.bar(row)) bars.emplace_back(&row, std::move(*bar));
    }
    if (bars.empty()) return;
    std::ranges::stable_sort(bars, {}, [](const auto& b) { return b.second.figure.value; });
    double full = 0, largest = 0;
    for (const auto& [row, bar] : bars) {
      double drawn = 0;
      for (const Segment& s : bar.segments) drawn += s.value;
      largest = std::max(largest, drawn);
      full = std::max({full, drawn, bar.figure.band.high, bar.figure.profiles.high});
    }
    // A table that disagrees wildly must not make the bars unreadable: its stroke runs out.
    full = std::min(full, 1.6 * largest);
    const auto base =
        std::ranges::find(bars, &result_.base(), [](const auto& b) { return b.first; });
    out_ += figure_top(fmt::format("panel{}", ++panels_), panel.title, panel.note);
    FigureTable table{{"pe", "value", "band_low", "band_high", "tables_low", "tables_high"}, {}};
    for (const auto& [row, bar] : bars) {
      const std::optional<double> ratio =
          base == bars.end() ? std::nullopt : share_of(bar.figure.value, base->second.figure.value);
      std::string hint = fmt::format("{}: {}; band {}; other tables {}", row->pe, bar.text,
                                     span_text(panel.name, bar.figure.band),
                                     span_text(panel.name, bar.figure.profiles));
      add("<div class=\"row{}\" title=\"{}\"><span class=\"name\">{}</span><span "
          "class=\"track\">{}</span><span class=\"num\">{}</span><span class=\"num "
          "dim\">{}</span></div>\n",
          row == bars.front().first ? " first" : "", escaped(hint), escaped(row->pe),
          bar_with_whiskers(bar, full, panel.mark), escaped(bar.text),
          escaped(format_ratio(ratio)));
      const Uncertain& f = bar.figure;
      table.rows.push_back(
          {row->pe, f.value, f.band.low, f.band.high, f.profiles.low, f.profiles.high});
    }
    add("<p class=\"note\">Right: relative to {}; less is better.</p>{}</section>\n",
        escaped(result_.base().pe), figure_data(table));
  }

  /// Stacked to one: where the cycles of both phases go.
  void causes() {
    out_ += figure_top("time", "Where the time goes", "", "data-short=\"Time\"");
    FigureTable table{{"pe", "phase", "cycles"}, {}};
    for (const std::string_view cause : kCycleCauseNames) {
      table.columns.push_back(fmt::format("{}_cycles", cause));
    }
    out_ += "<ul class=\"legend\">";
    for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
      const bool seen = std::ranges::any_of(result_.rows, [c](const EqualAreaRow& row) {
        return row.prefill.cycles_by_cause[c] + row.decode.cycles_by_cause[c] > 0;
      });
      if (seen) add("<li>{}{}</li>", swatch_svg(c), escaped(cause_label(c)));
    }
    add("</ul>\n<div class=\"two bars\">\n");
    for (const bool prefill : {true, false}) {
      add("<div><h4>{}</h4>\n", prefill ? "Prompt" : "Generation");
      for (const EqualAreaRow& row : result_.rows) {
        const PhaseFigures& phase = prefill ? row.prefill : row.decode;
        std::vector<Segment> segments;
        for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
          const auto cycles = static_cast<double>(phase.cycles_by_cause[c]);
          segments.push_back(
              {cycles, c,
               fmt::format("{}: {}", cause_label(c),
                           format_share(share_of(cycles, static_cast<double>(phase.cycles)))),
               false});
        }
        add("<div class=\"row\"><span class=\"name\">{}</span><span class=\"track\">{}</span><span "
            "class=\"num\">{}</span><span class=\"num dim\">{}</span></div>\n",
            escaped(row.pe), bar_svg(segments, static_cast<double>(phase.cycles)),
            escaped(format_time_ms(phase.time_ms.value)), escaped(format_share(phase.utilisation)));
        std::vector<FigureValue>& exact = table.rows.emplace_back();
        exact = {row.pe, prefill ? "prefill" : "decode", phase.cycles};
        exact.insert(exact.end(), phase.cycles_by_cause.begin(), phase.cycles_by_cause.end());
      }
      add("</div>\n");
    }
    add("</div><p class=\"note\">Right: the phase's time, and MACs over what the array could do in "
        "it in the formats of the linear layers.</p>");
    out_ += figure_data(table) + "</section>\n";
  }

  void table() {
    const EqualAreaRow& base = result_.base();
    add("<section id=\"figures\"><h3>All figures</h3><div class=\"wide\"><table class=\"sortable "
        "operations\"><thead><tr><th>PE</th><th>recipe</th><th class=\"num\">array</th><th "
        "class=\"num\">{1}</th><th class=\"num\">{2}</th><th class=\"num\">prompt</th><th "
        "class=\"num\">speed over {0}</th><th class=\"num\">by the bands</th><th "
        "class=\"num\">token</th><th class=\"num\">tokens/s</th><th class=\"num\">prompt, energy a "
        "token</th><th class=\"num\">with glitches</th><th class=\"num\">generation, energy a "
        "token</th><th class=\"num\">{3}</th></tr></thead><tbody>\n",
        escaped(base.pe), escaped(figure_label("array_mm2")), escaped(figure_label("clock_mhz")),
        escaped(figure_label("proxy_perplexity")));
    const auto cell = [&](const std::string& text, std::optional<double> sort) {
      add("<td class=\"num\" data-v=\"{}\">{}</td>", sort.value_or(-1), escaped(text));
    };
    for (const EqualAreaRow& row : result_.rows) {
      const Uncertain speed = speed_ratio(row.prefill.time_ms, base.prefill.time_ms);
      const auto energy = [](const PhaseFigures& f, double whole) {
        return f.tokens > 0 ? whole / static_cast<double>(f.tokens) : 0;
      };
      add("<tr><td>{}</td><td>{}</td>", escaped(row.pe), escaped(row.recipe));
      cell(fmt::format("{}×{}", row.rows, row.cols), static_cast<double>(row.rows) * row.cols);
      cell(format_figure("array_mm2", row.array_mm2), row.array_mm2);
      cell(format_figure("clock_mhz", row.clock_mhz), row.clock_mhz);
      cell(format_time_ms(row.prefill.time_ms.value), row.prefill.time_ms.value);
      cell(format_ratio(speed.value), speed.value);
      cell(&row == &base ? std::string(kAbsent) : span_text("speed_over_base", speed.band),
           speed.band.low);
      cell(row.decode.tokens > 0 ? format_time_ms(ms_per_token(row.decode)) : std::string(kAbsent),
           ms_per_token(row.decode));
      cell(format_figure("tokens_per_second", tokens_per_second(row.decode)),
           tokens_per_second(row.decode));
      const auto joules = [&](double pj) {
        cell(pj > 0 ? format_energy_pj(pj) : std::string(kAbsent), pj);
      };
      joules(energy(row.prefill, row.prefill.energy_pj.value));
      joules(energy(row.prefill, row.prefill.energy_all_pj));
      joules(energy(row.decode, row.decode.energy_pj.value));
      cell(format_figure("proxy_perplexity", perplexity_of(row)), perplexity_of(row));
      add("</tr>\n");
    }
    add("</tbody></table></div></section>\n");
  }

  void profiles() {
    add("<details id=\"tables\" data-short=\"Other tables\"><summary>What other tables say of "
        "these PEs</summary><div class=\"wide\"><table "
        "class=\"sortable\"><thead><tr><th>PE</th><th>table</th><th class=\"num\">node</th><th "
        "class=\"num\">area, INT8 = 1</th><th class=\"num\">energy a pass, INT8 = "
        "1</th><th></th><th>source</th></tr></thead><tbody>\n");
    for (const EqualAreaRow& row : result_.rows) {
      for (const ProfileRatio& p : row.profiles) {
        add("<tr><td>{}</td><td>{}</td><td class=\"num\" data-v=\"{}\">{}</td><td class=\"num\" "
            "data-v=\"{}\">{}</td><td class=\"num\" data-v=\"{}\">{}</td><td>{}</td><td "
            "class=\"dim\">{}</td></tr>\n",
            escaped(row.pe), escaped(p.table), p.node_nm, format_figure("node_nm", p.node_nm),
            p.area.value_or(-1), format_figure("area_over_int8", p.area), p.energy.value_or(-1),
            format_figure("energy_over_int8", p.energy), p.through_fp16 ? "through FP16" : "",
            escaped(p.source));
      }
    }
    add("</tbody></table></div></details>\n");
  }

  const EqualAreaResult& result_;
  std::size_t panels_ = 0;
  std::string out_;
};

// --- terminal and documents ----------------------------------------------------------------------

struct Column {
  std::string heading;
  bool text;
  std::function<std::string(const EqualAreaRow&)> cell;
};

/// Of the table, for a terminal and for a document.
std::vector<Column> columns_of(const EqualAreaResult& result) {
  const EqualAreaRow& base = result.base();
  const auto band = [](const Uncertain& figure) {
    const double plus = 100 * (figure.band.high / figure.value - 1),
                 minus = 100 * (1 - figure.band.low / figure.value);
    return fmt::format(" -{:.0f}/+{:.0f} %", minus, plus);
  };
  const auto energy = [band](const PhaseFigures& phase) {
    if (phase.tokens == 0) return std::string(kAbsent);
    const Uncertain figure = per_token(phase.energy_pj, phase.tokens);
    return format_figure("energy_per_token_pj", figure.value) + band(figure);
  };
  return {
      {"PE", true, [](const auto& r) { return r.pe; }},
      {"recipe", true, [](const auto& r) { return r.recipe; }},
      {"array", false, [](const auto& r) { return fmt::format("{}\u00d7{}", r.rows, r.cols); }},
      {std::string(figure_label("array_mm2")), false,
       [](const auto& r) { return format_figure("array_mm2", r.array_mm2); }},
      {std::string(figure_label("clock_mhz")), false,
       [](const auto& r) { return format_figure("clock_mhz", r.clock_mhz); }},
      {"prompt", false,
       [band](const auto& r) {
         return format_figure("time_ms", r.prefill.time_ms.value) + band(r.prefill.time_ms);
       }},
      {std::string(figure_label("speed_over_base")), false,
       [&base](const auto& r) {
         return format_figure("speed_over_base",
                              speed_ratio(r.prefill.time_ms, base.prefill.time_ms).value);
       }},
      {std::string(figure_label("utilisation")), false,
       [](const auto& r) { return format_figure("utilisation", r.prefill.utilisation); }},
      {"prompt, energy a token", false, [energy](const auto& r) { return energy(r.prefill); }},
      {"token", false,
       [](const auto& r) {
         return r.decode.tokens > 0 ? format_figure("time_ms", ms_per_token(r.decode))
                                    : std::string(kAbsent);
       }},
      {"generation, energy a token", false, [energy](const auto& r) { return energy(r.decode); }},
      {std::string(figure_label("proxy_perplexity")), false,
       [](const auto& r) { return format_figure("proxy_perplexity", perplexity_of(r)); }},
  };
}

std::string heading_of(const EqualAreaResult& result) {
  return fmt::format("{} on {} of PEs ({}, {}), else {}", result.model,
                     format_figure("area_mm2", result.area_mm2), result.energy_table,
                     format_figure("node_nm", result.node_nm), result.base_machine);
}

// --- JSON ----------------------------------------------------------------------------------------

using Json = nlohmann::ordered_json;

Json json_of(std::optional<double> value) {
  return value && std::isfinite(*value) ? Json(*value) : Json(nullptr);
}

void put(Json& object, const std::string& name, const std::string& unit, const Uncertain& figure) {
  object[name + unit] = figure.value;
  object[name + "_low" + unit] = figure.band.low;
  object[name + "_high" + unit] = figure.band.high;
  object[name + "_profiles_low" + unit] = figure.profiles.low;
  object[name + "_profiles_high" + unit] = figure.profiles.high;
}

Json json_of(const PhaseFigures& phase, const PhaseFigures& base) {
  Json object;
  object["tokens"] = phase.tokens;
  object["cycles"] = phase.cycles;
  put(object, "time", "_ms", phase.time_ms);
  object["tokens_per_second"] = json_of(tokens_per_second(phase));
  put(object, "speed_over_base", "", speed_ratio(phase.time_ms, base.time_ms));
  put(object, "energy", "_pj", phase.energy_pj);
  object["energy_with_glitches_pj"] = phase.energy_all_pj;
  const auto tokens = static_cast<double>(phase.tokens);
  object["energy_per_token_pj"] =
      json_of(phase.tokens > 0 ? std::optional(phase.energy_pj.value / tokens) : std::nullopt);
  object["utilisation"] = json_of(phase.utilisation);
  for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
    object["cycles_by_cause"][std::string(kCycleCauseNames[c])] = phase.cycles_by_cause[c];
  }
  return object;
}

}  // namespace

std::string equal_area_verdict(const EqualAreaResult& result) {
  std::vector<const EqualAreaRow*> all, keeping;
  const auto worse = [&](const EqualAreaRow& row) {
    return row.quality->perplexity / *result.reference_perplexity - 1;
  };
  for (const EqualAreaRow& row : result.rows) {
    all.push_back(&row);
    if (row.quality && result.reference_perplexity && worse(row) <= kQualityKept) {
      keeping.push_back(&row);
    }
  }
  const EqualAreaRow& base = result.base();
  const EqualAreaRow& winner = fastest(all);
  const auto claim = [&](const EqualAreaRow& row) {
    if (&row == &base) return std::string();
    const Uncertain speed = speed_ratio(row.prefill.time_ms, base.prefill.time_ms);
    return fmt::format(": {} the speed of {} ({} by the area bands)",
                       format_figure("speed_over_base", speed.value), base.pe,
                       span_text("speed_over_base", speed.band));
  };
  const auto quality = [&](const EqualAreaRow& row) {
    if (!row.quality || !result.reference_perplexity) return std::string();
    return fmt::format(", at a proxy perplexity {} {} fp32's", format_share(std::abs(worse(row))),
                       worse(row) < 0 ? "below" : "above");
  };
  std::string text = fmt::format("{} is the fastest on the prompt{}{}.", winner.pe, claim(winner),
                                 quality(winner));
  std::vector<const EqualAreaRow*> others;
  for (const EqualAreaRow* row : all) {
    if (row != &winner) others.push_back(row);
  }
  std::string ties;
  for (const EqualAreaRow* row : others) {
    if (row->prefill.time_ms.band.low > winner.prefill.time_ms.band.high) continue;
    ties += (ties.empty() ? "" : ", ") + row->pe;
  }
  if (!ties.empty()) text += " Within its bars, so not told apart: " + ties + ".";
  if (!keeping.empty()) {
    const EqualAreaRow& kept = fastest(keeping);
    if (&kept != &winner) {
      text += fmt::format(" Of the recipes within {} of fp32 the fastest is {}{}{}.",
                          format_share(kQualityKept), kept.pe, claim(kept), quality(kept));
    }
  }
  return text;
}

std::string equal_area_to_terminal(const EqualAreaResult& result, bool colour, unsigned width) {
  const auto styled = [&](std::string_view code, const std::string& text) {
    return colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
  };
  const std::vector<Column> columns = columns_of(result);
  const std::string title = wrapped(printable(heading_of(result)), width, 0);
  std::string out = styled("1", title) + "\n";
  std::vector<std::size_t> widths;
  for (const Column& column : columns) {
    std::size_t widest = display_width(column.heading);
    for (const EqualAreaRow& row : result.rows) {
      widest = std::max(widest, display_width(column.cell(row)));
    }
    widths.push_back(widest);
  }
  // As many columns as fit; the rest below, under the PEs' names again. A name gives way to a
  // figure.
  const std::size_t widest_figure = *std::max_element(widths.begin() + 2, widths.end());
  const std::size_t room = width > widest_figure + 2 ? width - widest_figure - 2 : 0;
  widths[0] = std::min(widths[0], std::max<std::size_t>(room, 6));
  std::size_t next = 1;
  while (next < columns.size()) {
    std::vector<std::size_t> shown = {0};
    std::size_t taken = widths[0];
    while (next < columns.size() && (shown.size() == 1 || taken + 2 + widths[next] <= width)) {
      taken += 2 + widths[next];
      shown.push_back(next++);
    }
    const auto line = [&](const auto& text_of) {
      std::string text;
      for (const std::size_t c : shown) {
        if (!text.empty()) text += "  ";
        const std::string cell = text_of(columns[c]);
        text += fit(cell, widths[c], !columns[c].text);
      }
      return text.substr(0, text.find_last_not_of(' ') + 1);
    };
    out += "\n" + styled("2", line([](const Column& c) { return c.heading; })) + "\n";
    for (const EqualAreaRow& row : result.rows) {
      out += line([&](const Column& c) { return printable(c.cell(row)); }) + "\n";
    }
  }
  out += "\n" + wrapped(printable(equal_area_verdict(result)), width, 0);
  std::string names;
  for (const auto& [name, text] : result.notes) names += (names.empty() ? "" : "; ") + name;
  return out + "\n" +
         styled("2", wrapped("Speed is relative to " + printable(result.base().pe) +
                                 "; notes in JSON and page: " + printable(names),
                             width, 0)) +
         "\n";
}

std::vector<Table> equal_area_tables(const EqualAreaResult& result) {
  Table table{heading_of(result) + "; speed is relative to " + result.base().pe, "", {{}}};
  const std::vector<Column> columns = columns_of(result);
  for (const Column& column : columns) {
    table.columns += column.text ? 'l' : 'r';
    table.lines[0].push_back(column.heading);
  }
  for (const EqualAreaRow& row : result.rows) {
    std::vector<std::string>& line = table.lines.emplace_back();
    for (const Column& column : columns) line.push_back(column.cell(row));
  }
  return {table};
}

std::string equal_area_to_csv(const EqualAreaResult& result, Separated how) {
  std::vector<std::string> cells = {"pe",       "recipe",          "dataflow",        "rows",
                                    "cols",     "array_mm2",       "array_area_band", "clock_mhz",
                                    "area_mm2", "proxy_perplexity"};
  for (const std::string phase : {"prefill_", "decode_"}) {
    for (const char* name : {"tokens", "cycles", "time_ms", "time_low_ms", "time_high_ms",
                             "speed_over_base", "energy_pj", "energy_low_pj", "energy_high_pj",
                             "energy_with_glitches_pj", "utilisation"}) {
      cells.push_back(phase + name);
    }
  }
  std::string out = separated_line(cells, how);
  const auto maybe = [](std::optional<double> value) { return value ? exact(*value) : ""; };
  for (const EqualAreaRow& row : result.rows) {
    cells = {row.pe,
             row.recipe,
             row.dataflow,
             std::to_string(row.rows),
             std::to_string(row.cols),
             exact(row.array_mm2),
             exact(row.array_area_band),
             exact(row.clock_mhz),
             exact(row.run.area_mm2),
             maybe(perplexity_of(row))};
    for (const auto phase : {&EqualAreaRow::prefill, &EqualAreaRow::decode}) {
      const PhaseFigures& f = row.*phase;
      const Uncertain speed = speed_ratio(f.time_ms, (result.base().*phase).time_ms);
      for (const std::string& cell :
           {std::to_string(f.tokens), std::to_string(f.cycles), exact(f.time_ms.value),
            exact(f.time_ms.band.low), exact(f.time_ms.band.high), exact(speed.value),
            exact(f.energy_pj.value), exact(f.energy_pj.band.low), exact(f.energy_pj.band.high),
            exact(f.energy_all_pj), maybe(f.utilisation)}) {
        cells.push_back(cell);
      }
    }
    out += separated_line(cells, how);
  }
  return out;
}

std::string equal_area_to_html(const EqualAreaResult& result) { return EqualAreaPage(result)(); }

std::string equal_area_to_json(const EqualAreaResult& result) {
  Json document;
  const EqualAreaRow& base = result.base();
  document["summary"] = {{"model", result.model},
                         {"area_mm2", result.area_mm2},
                         {"base_machine", result.base_machine},
                         {"energy_table", result.energy_table},
                         {"node_nm", result.node_nm},
                         {"base_pe", base.pe},
                         {"verdict", equal_area_verdict(result)},
                         {"proxy_model", result.proxy},
                         {"proxy_perplexity_fp32", json_of(result.reference_perplexity)},
                         {"version", result.version},
                         {"command", result.command}};
  document["rows"] = Json::array();
  for (const EqualAreaRow& row : result.rows) {
    Json entry = {{"pe", row.pe},
                  {"recipe", row.recipe},
                  {"dataflow", row.dataflow},
                  {"rows", row.rows},
                  {"cols", row.cols},
                  {"pe_um2", row.pe_um2},
                  {"array_mm2", row.array_mm2},
                  {"array_area_band", row.array_area_band},
                  {"clock_mhz", row.clock_mhz},
                  {"area_mm2", row.run.area_mm2},
                  {"area_low_mm2", row.run.area_range_mm2().low},
                  {"area_high_mm2", row.run.area_range_mm2().high},
                  {"proxy_perplexity",
                   json_of(row.quality ? std::optional(row.quality->perplexity) : std::nullopt)}};
    entry["prefill"] = json_of(row.prefill, base.prefill);
    entry["decode"] = json_of(row.decode, base.decode);
    entry["profiles"] = Json::array();
    for (const ProfileRatio& p : row.profiles) {
      entry["profiles"].push_back({{"table", p.table},
                                   {"node_nm", p.node_nm},
                                   {"area_over_int8", json_of(p.area)},
                                   {"energy_over_int8", json_of(p.energy)},
                                   {"through_fp16", p.through_fp16},
                                   {"source", p.source}});
    }
    entry["run"] = Json::parse(to_json(row.run));
    document["rows"].push_back(std::move(entry));
  }
  document["notes"] = Json::object();
  for (const auto& [name, text] : result.notes) document["notes"][name] = text;
  document["schema_version"] = kEqualAreaJsonSchemaVersion;
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace systole::reports
