#include "reports/html.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "reports/format.hpp"
#include "reports/html_style.hpp"
#include "reports/markup.hpp"
#include "reports/roofline.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

/// Operations with a bar of their own; the rest is summed in one.
constexpr std::size_t kTopBars = 14;

/// Series colour of a component. The ones that machines usually have keep theirs on every page.
std::size_t component_colour(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, std::size_t>, 7> kKnown = {
      {{"array", 0},
       {"activation_scratchpad", 1},
       {"dram", 2},
       {"weight_scratchpad", 3},
       {"dequantiser", 4},
       {"vector", 6},
       {"output_scratchpad", 7}}};
  for (const auto& [known, colour] : kKnown) {
    if (name == known) return colour;
  }
  std::size_t sum = 7;
  for (const char c : name) sum += static_cast<unsigned char>(c);
  return sum % kSeriesColours;
}

constexpr std::array<std::size_t, kTrafficClassCount> kClassColours = {0, 3, 6};

std::string cell(std::string_view content) { return fmt::format("<td>{}</td>", escaped(content)); }

/// A right-aligned figure; `sort` is what the script sorts by.
std::string figure_cell(std::string_view content, double sort) {
  return fmt::format("<td class=\"num\" data-v=\"{}\">{}</td>", std::isfinite(sort) ? sort : -1.0,
                     escaped(content));
}

std::string legend_item(std::size_t colour, std::string_view text, bool light = false) {
  return fmt::format("<li>{}{}</li>", swatch_svg(colour, light), escaped(text));
}

/// One labelled bar: name, bar, figure, share and, unless the row is short, a remark.
std::string bar_row(std::string_view name, std::span<const Segment> segments, double full,
                    std::string_view value, std::string_view share,
                    std::optional<std::string_view> remark) {
  return fmt::format(
      "<div class=\"row{}\"><span class=\"name\" title=\"{}\">{}</span><span "
      "class=\"track\">{}</span><span "
      "class=\"num\">{}</span><span class=\"num dim\">{}</span>{}</div>\n",
      remark ? "" : " short", escaped(name), escaped(name), bar_svg(segments, full), escaped(value),
      escaped(share),
      remark ? fmt::format("<span class=\"bound\">{}</span>", escaped(*remark)) : "");
}

double to_double(std::uint64_t count) { return static_cast<double>(count); }

std::vector<Segment> cause_segments(const CyclesByCause& causes, double total, const RunResult& r) {
  std::vector<Segment> segments;
  for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
    const double cycles = to_double(causes[c]);
    segments.push_back(
        {cycles, c,
         fmt::format("{}: {} cycles, {}, {}", cause_label(c), format_count(cycles),
                     format_cycles_as_time(cycles, r), format_share(share_of(cycles, total)))});
  }
  return segments;
}

class Page {
 public:
  std::string operator()(std::span<const RunResult> results) {
    const std::string title =
        results.size() == 1 ? title_of(results[0]) : fmt::format("{} results", results.size());
    out_ =
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
        // Nothing is fetched, and nothing that a name smuggles in could be.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'; "
        "script-src 'unsafe-inline'\"/>\n";
    add("<title>{} \u2013 Systole</title>\n<style>{}</style>\n</head>\n<body>\n", escaped(title),
        kPageStyle);
    if (results.size() == 1) {
      add("<header><h1>{}</h1>{}</header>\n<main>\n", escaped(title.empty() ? "Result" : title),
          subtitle(results[0]));
      result(results[0]);
    } else {
      add("<header><h1>{}</h1>",
          results.empty() ? "No results" : fmt::format("Comparison of {} runs", results.size()));
      if (!results.empty()) {
        out_ += "<nav aria-label=\"Results\">";
        for (std::size_t i = 0; i < results.size(); ++i) {
          add("<a href=\"#r{}\">{}</a>", i, escaped(letter(i) + " \u00b7 " + title_of(results[i])));
        }
        out_ += "</nav>";
      }
      out_ += "</header>\n<main>\n";
      if (!results.empty()) comparison(results);
      for (std::size_t i = 0; i < results.size(); ++i) {
        add("<article id=\"r{}\">\n<h2>{}</h2>{}\n", i,
            escaped(letter(i) + " \u00b7 " + title_of(results[i])), subtitle(results[i]));
        result(results[i]);
        out_ += "</article>\n";
      }
    }
    std::set<std::string> versions;
    for (const RunResult& r : results) {
      if (!r.version.empty()) versions.insert(printable(r.version));
    }
    std::string version;
    for (const std::string& v : versions) version += (version.empty() ? " " : ", ") + v;
    add("</main>\n<footer>Systole{}: cycle-approximate, bit-exact simulation of mixed-precision "
        "accelerators. This "
        "page is one file and loads nothing.</footer>\n<script>{}</script>\n</body>\n</html>\n",
        escaped(version), kPageScript);
    return std::move(out_);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  static std::string letter(std::size_t i) {
    return i < 26 ? std::string(1, static_cast<char>('A' + i)) : fmt::format("{}", i + 1);
  }

  static std::string subtitle(const RunResult& r) {
    std::string text = fmt::format("{} prompt tokens", r.prefill_tokens);
    if (r.decode_tokens != 0) text += fmt::format(", {} decoded", r.decode_tokens);
    text += fmt::format(" \u00b7 {} MHz \u00b7 seed {}", number(r.clock_mhz, 4), r.seed);
    if (!r.version.empty()) text += " \u00b7 systole " + r.version;
    return fmt::format("<p class=\"sub\">{}</p>", escaped(text));
  }

  // --- one result
  // ----------------------------------------------------------------------------------

  void result(const RunResult& r) {
    tiles(r);
    std::map<std::string, std::vector<OperationRow>> merged;
    const std::vector<std::string> phases = phases_of(r);
    for (const std::string& phase : phases) merged[phase] = merged_operations(r, phase);
    time(r, phases, merged);
    const bool energy = r.energy_pj > 0 && !r.components.empty();
    const bool traffic = r.total_dram_bytes() != 0;
    if (energy && traffic) out_ += "<div class=\"two\">\n";
    if (energy) energy_by_component(r);
    if (traffic) traffic_by_class(r, phases, merged);
    if (energy && traffic) out_ += "</div>\n";
    roofline(r, phases);
    operations(r, phases, merged);
    mappings(r, phases, merged);
    components(r);
    tiers(r);
    key_values("Assumptions and approximations", r.notes, true);
    key_values("Configuration", r.config_echo, false);
    events(r);
    if (!r.command.empty()) {
      add("<section><h3>Run it again</h3><p class=\"note\">Same command, configuration, seed and "
          "version give the "
          "same figures to the last digit.</p><pre>{}</pre></section>\n",
          escaped(r.command));
    }
  }

  void tiles(const RunResult& r) {
    out_ += "<section class=\"tiles\">\n";
    for (const Figure& figure : headline(r)) {
      add("<div class=\"tile\"><div class=\"label\">{}</div><div class=\"value\">{}</div><div "
          "class=\"detail\">{}</div></div>\n",
          escaped(figure.label), escaped(figure.value), escaped(figure.detail));
    }
    out_ += "</section>\n";
  }

  using Merged = std::map<std::string, std::vector<OperationRow>>;

  void time(const RunResult& r, const std::vector<std::string>& phases, const Merged& merged) {
    if (r.cycles == 0) return;
    add("<section><h3>Where the time goes</h3><p class=\"note\">Every cycle of an operation has "
        "one cause. Rows of "
        "equal name are summed over layers{}. Bars of a phase share one scale.</p>\n",
        r.decode_tokens > 1 ? " and decode steps" : "");
    for (const std::string& phase : phases) {
      std::vector<OperationRow> rows = merged.at(phase);
      const double total = to_double(cycles_of(rows));
      const CyclesByCause causes = cycles_by_cause(rows);
      add("<h4>{}: {}, {} of all cycles</h4>\n", escaped(phase), format_cycles_as_time(total, r),
          escaped(format_share(share_of(total, to_double(r.cycles)))));
      out_ += bar_svg(cause_segments(causes, total, r), total);
      out_ += "<ul class=\"legend\">";
      for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
        if (causes[c] == 0) continue;
        out_ += legend_item(c, fmt::format("{} {}", cause_label(c),
                                           format_share(share_of(to_double(causes[c]), total))));
      }
      out_ += "</ul>\n";
      std::stable_sort(rows.begin(), rows.end(), [](const OperationRow& a, const OperationRow& b) {
        return a.cycles > b.cycles;
      });
      const double full = rows.empty() ? 1 : to_double(rows.front().cycles);
      const auto one = [&](std::string_view name, const CyclesByCause& by_cause, double cycles,
                           std::string_view bound) {
        out_ +=
            bar_row(name, cause_segments(by_cause, cycles, r), full,
                    format_cycles_as_time(cycles, r), format_share(share_of(cycles, total)), bound);
      };
      const std::size_t shown = rows.size() <= kTopBars + 1 ? rows.size() : kTopBars;
      for (std::size_t i = 0; i < shown; ++i) {
        one(rows[i].name, rows[i].cycles_by_cause, to_double(rows[i].cycles), rows[i].bound);
      }
      if (shown < rows.size()) {
        const std::span<const OperationRow> rest = std::span(rows).subspan(shown);
        one(fmt::format("{} more", rest.size()), cycles_by_cause(rest), to_double(cycles_of(rest)),
            "");
      }
    }
    out_ += "</section>\n";
  }

  void energy_by_component(const RunResult& r) {
    add("<section><h3>Energy by component</h3><p class=\"note\">{} in all. Static: leakage, clock, "
        "DRAM background and "
        "refresh over the run.</p>\n<ul class=\"legend\">{}{}</ul>\n",
        format_energy_pj(r.energy_pj), legend_item(0, "dynamic"), legend_item(0, "static", true));
    const std::vector<ComponentRow> rows = components_by_energy(r);
    for (const ComponentRow& row : rows) {
      const std::array<Segment, 2> segments = {
          {{row.dynamic_pj, 0,
            fmt::format("{}, dynamic: {}", row.name, format_energy_pj(row.dynamic_pj)), false},
           {row.static_pj, 0,
            fmt::format("{}, static: {}", row.name, format_energy_pj(row.static_pj)), true}}};
      out_ += bar_row(row.name, segments, energy_of(rows.front()), format_energy_pj(energy_of(row)),
                      format_share(share_of(energy_of(row), r.energy_pj)), std::nullopt);
    }
    out_ += "</section>\n";
  }

  void traffic_by_class(const RunResult& r, const std::vector<std::string>& phases,
                        const Merged& merged) {
    const double all = to_double(r.total_dram_bytes());
    add("<section><h3>DRAM traffic by class</h3><p class=\"note\">{} in all, scales and zero "
        "points counted with "
        "their tensors.</p>\n<ul class=\"legend\">{}{}</ul>\n",
        format_bytes(all), legend_item(0, "read"), legend_item(0, "written", true));
    std::vector<std::array<BytesByClass, 2>> sums;
    std::uint64_t largest = 0;
    for (const std::string& phase : phases) {
      std::array<BytesByClass, 2>& sum = sums.emplace_back();
      for (const OperationRow& row : merged.at(phase)) {
        for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
          sum[0][c] += row.dram_read_bytes[c];
          sum[1][c] += row.dram_write_bytes[c];
        }
      }
      for (std::size_t c = 0; c < kTrafficClassCount; ++c)
        largest = std::max(largest, sum[0][c] + sum[1][c]);
    }
    for (std::size_t p = 0; p < phases.size(); ++p) {
      add("<h4>{}</h4>\n", escaped(phases[p]));
      for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
        const double read = to_double(sums[p][0][c]), written = to_double(sums[p][1][c]);
        const std::array<Segment, 2> segments = {
            {{read, 0, fmt::format("{} read: {}", class_label(c), format_bytes(read)), false},
             {written, 0, fmt::format("{} written: {}", class_label(c), format_bytes(written)),
              true}}};
        out_ += bar_row(class_label(c), segments, to_double(largest), format_bytes(read + written),
                        format_share(share_of(read + written, all)), std::nullopt);
      }
    }
    out_ += "</section>\n";
  }

  void roofline(const RunResult& r, const std::vector<std::string>& phases) {
    const Roofline roof = roofline_svg(r);
    if (roof.svg.empty()) return;
    add("<section><h3>Roofline</h3><p class=\"note\">What each operation attains, under what the "
        "machine allows: the "
        "slope is peak DRAM bandwidth, the flat part the peak rate for the recipe's linear-layer "
        "formats (operations in "
        "other formats may have a lower roof). A mark's area grows with its share of the "
        "cycles.</p>\n<ul "
        "class=\"legend\">");
    for (std::size_t p = 0; p < std::min<std::size_t>(phases.size(), 2); ++p) {
      add("<li><svg class=\"swatch\" viewBox=\"0 0 10 10\" aria-hidden=\"true\">{}</svg>{}</li>",
          p == 0 ? "<circle class=\"p0\" cx=\"5\" cy=\"5\" r=\"5\"/>"
                 : "<path class=\"p1\" d=\"M5 0 L10 5 L5 10 L0 5 Z\"/>",
          escaped(phases[p]));
    }
    add("</ul>\n<div class=\"wide\">{}</div>", roof.svg);
    std::string remark;
    if (roof.left_out != 0) {
      remark = fmt::format("Not drawn: {} operations without MACs or without DRAM traffic.",
                           roof.left_out);
    }
    if (roof.unlabelled != 0) {
      remark += fmt::format("{}Without a label for want of room: {}; their tooltips name them.",
                            remark.empty() ? "" : " ", roof.unlabelled);
    }
    if (!remark.empty()) add("<p class=\"note\">{}</p>", escaped(remark));
    out_ += "</section>\n";
  }

  void operations(const RunResult& r, const std::vector<std::string>& phases,
                  const Merged& merged) {
    if (r.operations.empty()) return;
    out_ +=
        "<section><h3>Operations</h3><p class=\"note\">A click on a heading sorts. Shape: "
        "m\u00d7n\u00d7k of one of the instances counted. Of peak: MACs per cycle over the peak "
        "rate. The "
        "two bounds are the cycles that peak arithmetic alone and peak DRAM bandwidth alone would "
        "need, as shares of the cycles taken.</p>\n";
    for (const std::string& phase : phases) {
      add("<h4>{}</h4>\n<div class=\"wide\"><table class=\"sortable operations\"><thead><tr>",
          escaped(phase));
      for (const std::string_view text : {"operation", "formats", "shape"})
        add("<th>{}</th>", text);
      for (const std::string_view figure :
           {"count", "MACs", "DRAM", "cycles", "time", "share", "of peak"}) {
        add("<th class=\"num\">{}</th>", figure);
      }
      out_ +=
          "<th>limited by</th><th class=\"num\">compute bound</th><th "
          "class=\"num\">DRAM "
          "bound</th></tr></thead><tbody>\n";
      for (const OperationRow& row : merged.at(phase)) operation(r, row);
      out_ += "</tbody></table></div>\n";
    }
    out_ += "</section>\n";
  }

  void operation(const RunResult& r, const OperationRow& row) {
    const double cycles = to_double(row.cycles), bytes = to_double(dram_bytes_of(row));
    const std::optional<double> utilisation = utilisation_of(row, r);
    const std::optional<double> share = share_of(cycles, to_double(r.cycles));
    const std::optional<double> compute = share_of(to_double(row.compute_bound_cycles), cycles);
    const std::optional<double> bandwidth = share_of(to_double(row.bandwidth_bound_cycles), cycles);
    const auto count = [](std::uint64_t n) {
      return n == 0 ? std::string(kAbsent) : format_count(to_double(n));
    };
    out_ += "<tr>" + cell(row.name) + cell(formats_of(row)) + cell(shape_of(row)) +
            figure_cell(count(row.repeats), to_double(row.repeats)) +
            figure_cell(count(row.macs), to_double(row.macs)) +
            figure_cell(bytes == 0 ? std::string(kAbsent) : format_bytes(bytes), bytes) +
            figure_cell(count(row.cycles), cycles) +
            figure_cell(format_cycles_as_time(cycles, r), cycles) +
            figure_cell(format_share(share), share.value_or(-1)) +
            figure_cell(format_share(utilisation), utilisation.value_or(-1)) + cell(row.bound) +
            figure_cell(format_share(compute), compute.value_or(-1)) +
            figure_cell(format_share(bandwidth), bandwidth.value_or(-1)) + "</tr>\n";
  }

  void mappings(const RunResult& r, const std::vector<std::string>& phases, const Merged& merged) {
    const auto products =
        std::count_if(r.operations.begin(), r.operations.end(),
                      [](const OperationRow& row) { return row.mapping.has_value(); });
    if (products == 0) return;
    add("<details><summary>Mapping of the matrix products ({})</summary><p class=\"note\">Tile "
        "m\u00d7n\u00d7k, which operand waits while the other passes, and how much worse the next "
        "best is, by the closed form that chose; its cycles of all instances beside the simulated "
        "ones.</p><div class=\"wide\"><table class=\"sortable\"><thead><tr><th>phase</th>"
        "<th>operation</th><th>shape</th><th>mapping</th><th class=\"num\">estimated</th><th "
        "class=\"num\">simulated</th></tr></thead><tbody>\n",
        products);
    for (const std::string& phase : phases) {
      for (const OperationRow& row : merged.at(phase)) {
        if (!row.mapping) continue;
        const double estimated = to_double(row.mapping->estimated_cycles);
        out_ += "<tr>" + cell(phase) + cell(row.name) + cell(shape_of(row)) +
                cell(mapping_of(row)) + figure_cell(format_count(estimated), estimated) +
                figure_cell(format_count(to_double(row.cycles)), to_double(row.cycles)) + "</tr>\n";
      }
    }
    out_ += "</tbody></table></div></details>\n";
  }

  void components(const RunResult& r) {
    if (r.components.empty()) return;
    out_ +=
        "<section><h3>Parts and sources</h3><div class=\"wide\"><table><thead><tr><th>part</th><th "
        "class=\"num\">dynamic</th><th class=\"num\">static</th><th "
        "class=\"num\">area</th><th>area from</th><th>energy "
        "from</th></tr></thead><tbody>\n";
    const auto band = [](double value) {
      return value > 0 ? fmt::format(" \u00b1{:.0f} %", 100 * value) : std::string();
    };
    const auto high = [](const ComponentRow& row) {
      return row.dynamic_high_pj > row.dynamic_pj
                 ? " (" + format_energy_pj(row.dynamic_high_pj) + " with glitches)"
                 : std::string();
    };
    double dynamic = 0, rest = 0;
    for (const ComponentRow& row : r.components) {
      dynamic += row.dynamic_pj;
      rest += row.static_pj;
      out_ += "<tr>" + cell(row.name) +
              figure_cell(format_energy_pj(row.dynamic_pj) + high(row) + band(row.energy_band),
                          row.dynamic_pj) +
              figure_cell(format_energy_pj(row.static_pj) + band(row.energy_band), row.static_pj) +
              figure_cell(row.area_mm2 == 0 ? std::string(kAbsent)
                                            : format_area_mm2(row.area_mm2) + band(row.area_band),
                          row.area_mm2) +
              cell(row.area_source) + cell(row.energy_source) + "</tr>\n";
    }
    add("<tr><th>sum ({})</th><td class=\"num\">{}</td><td class=\"num\">{}</td><td "
        "class=\"num\">{}</td><td></td><td></td></tr>\n",
        format_energy_pj(r.energy_pj), format_energy_pj(dynamic), format_energy_pj(rest),
        format_area_mm2(r.area_mm2));
    out_ += "</tbody></table></div></section>\n";
  }

  void tiers(const RunResult& r) {
    if (r.tiers.empty()) return;
    const TierRow* binding = r.binding_tier();
    out_ +=
        "<section><h3>Memories</h3><div class=\"wide\"><table><thead><tr><th>memory</th><th "
        "class=\"num\">capacity</th><th class=\"num\">placed</th><th class=\"num\">spilled</th><th "
        "class=\"num\">read</th><th class=\"num\">written</th><th class=\"num\">busy</th><th "
        "class=\"num\">link</th><th class=\"num\">waited for, cycles</th><th "
        "class=\"num\">energy</th><th class=\"num\">lines written</th><th "
        "class=\"num\">lasts, years</th></tr></thead><tbody>\n";
    const auto bytes = [&](double value) { return figure_cell(format_bytes(value), value); };
    const auto sum = [](const BytesByClass& of) {
      return static_cast<double>(std::accumulate(of.begin(), of.end(), std::uint64_t{0}));
    };
    const auto count = [&](std::uint64_t value) {
      return figure_cell(format_count(static_cast<double>(value)), static_cast<double>(value));
    };
    for (const TierRow& row : r.tiers) {
      out_ += "<tr>" + cell(row.name + (&row == binding ? " (binds)" : "")) +
              bytes(static_cast<double>(row.capacity_bytes)) +
              bytes(static_cast<double>(row.placed_bytes)) +
              bytes(static_cast<double>(row.spilled_bytes)) + bytes(sum(row.read_bytes)) +
              bytes(sum(row.written_bytes)) +
              figure_cell(format_share(row.busy_fraction), row.busy_fraction) +
              figure_cell(format_share(row.link_fraction), row.link_fraction) +
              count(row.wait_cycles) + figure_cell(format_energy_pj(row.energy_pj), row.energy_pj) +
              count(row.line_writes) +
              figure_cell(row.lifetime_years > 0 ? fmt::format("{:.3g}", row.lifetime_years)
                                                 : std::string(kAbsent),
                          row.lifetime_years) +
              "</tr>\n";
    }
    out_ += "</tbody></table></div></section>\n";
  }

  void key_values(std::string_view title, const KeyValues& pairs, bool open) {
    if (pairs.empty()) return;
    add("<details{}><summary>{} ({})</summary><table class=\"pairs\"><tbody>\n",
        open ? " open=\"open\"" : "", title, pairs.size());
    for (const auto& [key, value] : pairs)
      add("<tr><th>{}</th><td>{}</td></tr>\n", escaped(key), escaped(value));
    out_ += "</tbody></table></details>\n";
  }

  void events(const RunResult& r) {
    if (r.events.begin() == r.events.end()) return;
    out_ +=
        "<details><summary>Events counted</summary><p class=\"note\">Counted during the run; the "
        "energy is "
        "these times the "
        "prices.</p><table class=\"pairs\"><tbody>\n";
    for (const auto& [event, count] : r.events) {
      add("<tr><th>{}</th><td class=\"num\">{}</td></tr>\n", escaped(event), format_exact(count));
    }
    out_ += "</tbody></table></details>\n";
  }

  // --- several results
  // -----------------------------------------------------------------------------

  struct Metric {
    std::string_view label;
    std::function<std::optional<double>(const RunResult&)> value;
    std::function<std::string(double)> text;
    int better;  ///< -1 lower, +1 higher, 0 neither
  };

  static std::vector<Metric> metrics() {
    using R = RunResult;
    const auto plain = [](double v) { return number(v); };
    return {
        {"perplexity",
         [](const R& r) { return r.quality ? std::optional(r.quality->perplexity) : std::nullopt; },
         [](double v) { return number(v, 4); }, -1},
        {"TTFT", [](const R& r) { return std::optional(r.ttft_ms); }, format_time_ms, -1},
        {"TPOT", [](const R& r) { return r.tpot_ms; }, format_time_ms, -1},
        {"energy", [](const R& r) { return std::optional(r.energy_pj); }, format_energy_pj, -1},
        {"area", [](const R& r) { return std::optional(r.area_mm2); }, format_area_mm2, -1},
        {"cycles", [](const R& r) { return std::optional(to_double(r.cycles)); }, format_count, -1},
        {"tokens/s, decode", [](const R& r) { return r.tokens_per_second(); }, plain, 1},
        {"tokens/J", [](const R& r) { return r.tokens_per_joule(); }, plain, 1},
        {"TOPS/W", [](const R& r) { return r.tops_per_watt(); }, plain, 1},
        {"TOPS/mm\u00b2", [](const R& r) { return r.tops_per_mm2(); }, plain, 1},
        {"utilisation", [](const R& r) { return r.utilisation(); },
         [](double v) { return format_share(v); }, 0},
        {"DRAM bandwidth", [](const R& r) { return r.bandwidth_share(); },
         [](double v) { return format_share(v); }, 0},
        {"DRAM traffic", [](const R& r) { return std::optional(to_double(r.total_dram_bytes())); },
         format_bytes, -1},
    };
  }

  /// "A · mixpe-w4a8 · mixpe-128x128": only what the results do not share, or everything if they
  /// share all.
  static std::vector<std::string> short_names(std::span<const RunResult> results) {
    const auto differs = [&](auto member) {
      return std::any_of(results.begin(), results.end(),
                         [&](const RunResult& r) { return r.*member != results[0].*member; });
    };
    std::vector<std::string> names;
    for (std::size_t i = 0; i < results.size(); ++i) {
      std::string name = letter(i);
      for (const auto member : {&RunResult::model, &RunResult::recipe, &RunResult::machine}) {
        if (differs(member)) name += " \u00b7 " + printable(results[i].*member);
      }
      names.push_back(std::move(name));
    }
    return names;
  }

  void comparison(std::span<const RunResult> results) {
    const std::vector<std::string> names = short_names(results);
    const RunResult& base = results[0];
    const bool same_work = std::all_of(results.begin(), results.end(), [&](const RunResult& r) {
      return r.model == base.model && r.prefill_tokens == base.prefill_tokens &&
             r.decode_tokens == base.decode_tokens;
    });
    add("<section><h3>Side by side</h3><p class=\"note\">\u00d7: relative to {}. Bold: the best "
        "of a row.{}</p>\n<div "
        "class=\"wide\"><table class=\"sides\"><thead><tr><th></th>",
        escaped(names[0]),
        same_work ? ""
                  : " <strong>These runs differ in model or token counts: times and energies do "
                    "not compare.</strong>");
    for (const std::string& name : names) add("<th class=\"num\">{}</th>", escaped(name));
    out_ += "</tr></thead><tbody>\n";
    for (const Metric& metric : metrics()) {
      std::vector<std::optional<double>> values;
      std::optional<double> best;
      for (const RunResult& r : results) {
        std::optional<double> value = metric.value(r);
        if (value && !std::isfinite(*value)) value.reset();
        values.push_back(value);
        if (value && metric.better != 0 && (!best || (*value - *best) * metric.better > 0))
          best = value;
      }
      if (std::none_of(values.begin(), values.end(), [](const auto& v) { return v.has_value(); }))
        continue;
      const bool all_equal =
          std::all_of(values.begin(), values.end(), [&](const auto& v) { return v == values[0]; });
      add("<tr><th>{}</th>", metric.label);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::optional<double> ratio =
            values[i] && values[0] ? share_of(*values[i], *values[0]) : std::nullopt;
        add("<td class=\"num{}\">{}{}</td>", best && values[i] == best && !all_equal ? " best" : "",
            values[i] ? escaped(metric.text(*values[i])) : std::string(kAbsent),
            fmt::format("<span class=\"ratio\">{}</span>", i != 0 && ratio && metric.better != 0
                                                               ? format_ratio(ratio)
                                                               : std::string()));
      }
      out_ += "</tr>\n";
    }
    out_ += "</tbody></table></div></section>\n";

    out_ += "<div class=\"two compared\">\n";
    const auto phase_causes = [](const RunResult& r, std::string_view phase) {
      CyclesByCause sum{};
      for (const OperationRow& row : r.operations) {
        if (row.phase != phase) continue;
        for (std::size_t c = 0; c < kCycleCauseCount; ++c) sum[c] += row.cycles_by_cause[c];
      }
      return sum;
    };
    // A time split in the proportion of its phase's causes.
    const auto time_segments = [&](const RunResult& r, std::string_view phase,
                                   double milliseconds) {
      std::vector<Segment> segments;
      const CyclesByCause causes = phase_causes(r, phase);
      double total = 0;
      for (const std::uint64_t cycles : causes) total += to_double(cycles);
      if (!(total > 0))
        return std::vector<Segment>{{milliseconds, 0, format_time_ms(milliseconds), false}};
      for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
        const double part = milliseconds * (to_double(causes[c]) / total);
        segments.push_back({part, c, fmt::format("{}: {}", cause_label(c), format_time_ms(part))});
      }
      return segments;
    };
    std::string cause_legend;
    for (std::size_t c = 0; c < kCycleCauseCount; ++c)
      cause_legend += legend_item(c, cause_label(c));

    panel(
        results, names, "TTFT by cause", "Time to first token; lower is better.", cause_legend,
        [&](const RunResult& r) { return std::optional(r.ttft_ms); }, format_time_ms,
        [&](const RunResult& r) { return time_segments(r, "prefill", r.ttft_ms); });
    panel(
        results, names, "TPOT by cause", "Time per output token; lower is better.", cause_legend,
        [&](const RunResult& r) { return r.tpot_ms; }, format_time_ms,
        [&](const RunResult& r) { return time_segments(r, "decode", r.tpot_ms.value_or(0)); });

    std::string component_legend;
    std::set<std::string> seen;
    for (const RunResult& r : results) {
      for (const ComponentRow& row : r.components) {
        if (seen.insert(row.name).second)
          component_legend += legend_item(component_colour(row.name), row.name);
      }
    }
    const auto by_component = [](const RunResult& r, auto value, auto text) {
      std::vector<Segment> segments;
      for (const ComponentRow& row : r.components) {
        segments.push_back({value(row), component_colour(row.name),
                            fmt::format("{}: {}", row.name, text(value(row)))});
      }
      return segments;
    };
    panel(
        results, names, "Energy by component", "Dynamic and static, whole run; lower is better.",
        component_legend, [](const RunResult& r) { return std::optional(r.energy_pj); },
        format_energy_pj,
        [&](const RunResult& r) { return by_component(r, energy_of, format_energy_pj); });
    panel(
        results, names, "Area by component", "On-chip parts.", component_legend,
        [](const RunResult& r) { return std::optional(r.area_mm2); }, format_area_mm2,
        [&](const RunResult& r) {
          return by_component(
              r, [](const ComponentRow& row) { return row.area_mm2; }, format_area_mm2);
        });
    panel(
        results, names, "Perplexity", "Lower is better; the bar starts at 0.", "",
        [](const RunResult& r) {
          return r.quality ? std::optional(r.quality->perplexity) : std::nullopt;
        },
        [](double v) { return number(v, 4); },
        [](const RunResult& r) {
          const double value = r.quality ? r.quality->perplexity : 0;
          return std::vector<Segment>{{value, 0, number(value, 4), false}};
        });
    panel(
        results, names, "DRAM traffic by class", "Both directions, whole run; lower is better.",
        [] {
          std::string legend;
          for (std::size_t c = 0; c < kTrafficClassCount; ++c)
            legend += legend_item(kClassColours[c], class_label(c));
          return legend;
        }(),
        [](const RunResult& r) { return std::optional(to_double(r.total_dram_bytes())); },
        format_bytes,
        [](const RunResult& r) {
          std::vector<Segment> segments;
          for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
            double bytes = 0;
            for (const OperationRow& row : r.operations)
              bytes += to_double(row.dram_read_bytes[c] + row.dram_write_bytes[c]);
            segments.push_back({bytes, kClassColours[c],
                                fmt::format("{}: {}", class_label(c), format_bytes(bytes))});
          }
          return segments;
        });
    out_ += "</div>\n";
  }

  /// One bar a result, all on the scale of the largest; left out when no result has the figure.
  template <class Value, class Text, class Segments>
  void panel(std::span<const RunResult> results, const std::vector<std::string>& names,
             std::string_view title, std::string_view note, std::string_view legend, Value value,
             Text text, Segments segments) {
    double full = 0;
    for (const RunResult& r : results) {
      const std::optional<double> v = value(r);
      if (v && std::isfinite(*v)) full = std::max(full, *v);
    }
    if (!(full > 0)) return;
    add("<section><h3>{}</h3><p class=\"note\">{}</p>\n", escaped(title), escaped(note));
    if (!legend.empty()) add("<ul class=\"legend\">{}</ul>\n", legend);
    const std::optional<double> base = value(results[0]);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const std::optional<double> v = value(results[i]);
      out_ += bar_row(names[i], v ? segments(results[i]) : std::vector<Segment>{}, full,
                      v ? text(*v) : std::string(kAbsent),
                      v && base ? format_ratio(share_of(*v, *base)) : std::string(), std::nullopt);
    }
    out_ += "</section>\n";
  }

  std::string out_;
};

}  // namespace

std::string to_html(std::span<const RunResult> results) { return Page()(results); }

}  // namespace systole::reports
