#include "reports/run_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <vector>

#include "reports/config_section.hpp"
#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "reports/icicle.hpp"
#include "reports/page.hpp"
#include "reports/roofline.hpp"
#include "reports/views.hpp"
#include "sim/core/shell_word.hpp"

namespace systole::reports {
namespace {

constexpr std::array<std::size_t, kTrafficClassCount> kClassColours = {0, 3, 6};

/// Rows that are seen at first where there are many.
constexpr std::size_t kFewRows = 16;

/// Parts of a machine that a reader thinks of together.
struct PartGroup {
  std::string_view name;
  std::vector<std::string_view> members;
};
const std::vector<PartGroup>& part_groups() {
  static const std::vector<PartGroup> groups = {
      {"compute", {"array", "vector", "dequantiser", "kv_dequantiser", "softmax"}},
      {"scratchpads", {"weight_scratchpad", "activation_scratchpad", "output_scratchpad"}},
      {"memory", {"cache", "dram", "noc"}}};
  return groups;
}
/// The name of the group a component is in; tiers and what is not known are memory.
std::string_view group_of(std::string_view component) {
  for (const PartGroup& group : part_groups()) {
    if (std::ranges::find(group.members, component) != group.members.end()) return group.name;
  }
  return "memory";
}

std::string cell(std::string_view content) { return fmt::format("<td>{}</td>", escaped(content)); }

/// A right-aligned figure; `sort` is what the script sorts by.
std::string figure_cell(std::string_view content, double sort) {
  return fmt::format("<td class=\"num\" data-v=\"{}\">{}</td>", std::isfinite(sort) ? sort : -1.0,
                     escaped(content));
}

double to_double(std::uint64_t count) { return static_cast<double>(count); }

/// A count, or a dash for none.
std::string count_or_none(std::uint64_t n) {
  return n == 0 ? std::string(kAbsent) : format_count(to_double(n));
}

class RunSections {
 public:
  RunSections(const RunResult& result, std::string_view prefix, const RoofBoundsByName* bounds)
      : r_(result), prefix_(prefix), bounds_(bounds) {}

  std::string operator()() {
    phases_ = phases_of(r_);
    for (const std::string& phase : phases_) merged_[phase] = merged_operations(r_, phase);
    tiles();
    glance();
    time();
    sensitivities();
    absences();
    over_time();
    excerpt();
    energy();
    area();
    roofline();
    traffic();
    kv_over_tokens();
    tiers();
    operations();
    mappings();
    components();
    notes();
    out_ += config_section(r_.config_echo, overrides_of(r_), id("config"), "Configuration");
    events();
    return std::move(out_);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  std::string id(std::string_view name) const { return fmt::format("{}{}", prefix_, name); }

  void tiles() {
    out_ += "<section class=\"tiles\">\n";
    for (const Figure& figure : headline(r_)) {
      out_ += tile_markup(figure.label, figure.value, figure.detail, figure.share);
    }
    out_ += "</section>\n";
  }

  // --- at a glance

  void glance_row(std::string_view name, std::string_view value,
                  const std::vector<Segment>& segments, double full, const std::string& legend) {
    add("<div class=\"what\">{}<br/> <span>{}</span></div><div>{}{}</div>\n", escaped(name),
        escaped(value), bar_svg(segments, full),
        legend.empty() ? "" : "<ul class=\"legend\">" + legend + "</ul>");
  }

  /// Four bars: of time, of energy, of area, of bytes.
  void glance() {
    const std::string said = verdict(r_);
    if (said.empty()) return;
    out_ += figure_top(id("glance"), "At a glance", "", "data-short=\"Glance\"");
    add("<p class=\"verdict\">{}</p>\n<div class=\"glance\">\n", escaped(said));
    FigureTable table{{"whole", "part", "value", "unit"}, {}};
    double longest = 0;
    for (const auto& [phase, rows] : merged_)
      longest = std::max(longest, to_double(cycles_of(rows)));
    for (const std::string& phase : phases_) {
      const std::vector<OperationRow>& rows = merged_.at(phase);
      const CyclesByCause causes = cycles_by_cause(rows);
      const double cycles = to_double(cycles_of(rows));
      std::string legend;
      for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
        table.rows.push_back({phase, std::string(cause_label(c)), causes[c], "cycles"});
        if (causes[c] > 0) {
          legend +=
              legend_item(c, fmt::format("{} {}", cause_label(c),
                                         format_share(share_of(to_double(causes[c]), cycles))));
        }
      }
      glance_row(phase, format_cycles_as_time(cycles, r_), cause_segments(causes, cycles, r_),
                 longest, legend);
    }
    const auto parts = [&](std::string_view name, double whole, auto value, auto text,
                           std::string_view unit) {
      if (!(whole > 0)) return;
      std::vector<ComponentRow> rows = r_.components;
      std::ranges::stable_sort(rows,
                               [&](const auto& a, const auto& b) { return value(a) > value(b); });
      std::vector<Segment> segments;
      std::string legend;
      for (const ComponentRow& row : rows) {
        table.rows.push_back({std::string(name), row.name, value(row), std::string(unit)});
        if (!(value(row) > 0)) continue;
        const std::string share = format_share(share_of(value(row), whole));
        segments.push_back({value(row), component_colour(row.name),
                            fmt::format("{}: {}, {}", row.name, text(value(row)), share)});
        legend += legend_item(component_colour(row.name), row.name + " " + share);
      }
      glance_row(name, text(whole), segments, whole, legend);
    };
    parts("energy", r_.energy_pj, energy_of, format_energy_pj, "pJ");
    parts(
        "area", r_.area_mm2, [](const ComponentRow& row) { return row.area_mm2; }, format_area_mm2,
        "mm2");
    const double bytes = to_double(r_.total_dram_bytes());
    if (bytes > 0) {
      std::vector<Segment> segments;
      std::string legend;
      for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
        std::uint64_t sum = 0;
        for (const OperationRow& row : r_.operations)
          sum += row.dram_read_bytes[c] + row.dram_write_bytes[c];
        table.rows.push_back({"DRAM traffic", std::string(class_label(c)), sum, "bytes"});
        if (sum == 0) continue;
        const std::string share = format_share(share_of(to_double(sum), bytes));
        segments.push_back(
            {to_double(sum), kClassColours[c],
             fmt::format("{}: {}, {}", class_label(c), format_bytes(to_double(sum)), share)});
        legend += legend_item(kClassColours[c], fmt::format("{} {}", class_label(c), share));
      }
      glance_row("DRAM traffic", format_bytes(bytes), segments, bytes, legend);
    }
    out_ += "</div>\n" + figure_data(table) + "</section>\n";
  }

  // --- time

  void time() {
    if (r_.cycles == 0) return;
    out_ += figure_top(
        id("time"), "Where the time goes",
        fmt::format("Every cycle of an operation has one cause. Rows of equal name are summed over "
                    "layers{}.",
                    r_.decode_tokens > 1 ? " and decode steps" : ""),
        "data-scales=\"absolute|shares\" data-short=\"Time\"");
    out_ += "<ul class=\"legend\">";
    const CyclesByCause all = cycles_by_cause(r_.operations);
    for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
      if (all[c] > 0) out_ += legend_item(c, cause_label(c));
    }
    add("</ul>\n<table class=\"bars sortable searched\" data-few=\"{}\"><thead><tr><th "
        "class=\"n\" data-of=\"operation|layer|kind\">operation</th><th class=\"p\">phase</th><th "
        "class=\"num track\" "
        "style=\"text-align:left\">cycles by cause</th><th class=\"num t\">time</th><th "
        "class=\"num "
        "s\">of all</th><th class=\"b\">limited by</th></tr></thead>\n",
        kFewRows);
    FigureTable table{{"rows", "operation", "phase", "limited_by", "cycles"}, {}};
    for (const std::string_view cause : kCycleCauseNames)
      table.columns.push_back(fmt::format("{}_cycles", cause));
    const auto view = [&](const std::string& name, bool seen, const auto& rows_of) {
      std::vector<OperationRow> rows;
      for (const std::string& phase : phases_) {
        for (OperationRow& row : rows_of(phase)) rows.push_back(std::move(row));
      }
      std::ranges::stable_sort(rows,
                               [](const auto& a, const auto& b) { return a.cycles > b.cycles; });
      const double full = rows.empty() ? 1 : to_double(rows.front().cycles);
      add("<tbody data-view=\"{}\"{}>\n", name, seen ? "" : " hidden=\"hidden\"");
      for (const OperationRow& row : rows) {
        const double cycles = to_double(row.cycles);
        const std::optional<double> share = share_of(cycles, to_double(r_.cycles));
        add("<tr data-phase=\"{0}\"><th scope=\"row\" title=\"{1}\">{1}</th><td class=\"phase "
            "dim\">{0}</td><td class=\"track\" data-v=\"{2}\">{3}</td>{4}{5}<td class=\"optional "
            "dim\">{6}</td></tr>\n",
            escaped(row.phase), escaped(row.name), row.cycles,
            bar_svg(cause_segments(row.cycles_by_cause, cycles, r_), full),
            figure_cell(format_cycles_as_time(cycles, r_), cycles),
            figure_cell(format_share(share), share.value_or(-1)), escaped(row.bound));
        std::vector<FigureValue> values = {name, row.name, row.phase, row.bound, row.cycles};
        values.insert(values.end(), row.cycles_by_cause.begin(), row.cycles_by_cause.end());
        table.rows.push_back(std::move(values));
      }
      out_ += "</tbody>\n";
    };
    view("operations", true, [&](const std::string& phase) { return merged_.at(phase); });
    view("layers", false, [&](const std::string& phase) { return merged_by_layer(r_, phase); });
    view("kinds", false, [&](const std::string& phase) {
      return merged_operations(r_, phase, [](const OperationRow& row) { return row.kind; });
    });
    out_ += "</table>\n" + figure_data(table) + "</section>\n";
  }

  /// The same work on machines with a tenth more of one thing.
  void sensitivities() {
    if (r_.sensitivities.empty()) return;
    const double base = milliseconds_of(to_double(r_.cycles), r_).value_or(0);
    out_ += figure_top(id("help"), "What would help most",
                       "The same work, simulated on machines with a tenth more of one thing. Bar: "
                       "share of the time saved; orange: lost.",
                       "data-short=\"Help\"");
    out_ +=
        "<table class=\"bars sortable\"><thead><tr><th class=\"n\">change</th><th class=\"num "
        "track\" "
        "style=\"text-align:left\">time saved</th><th class=\"num t\">time</th><th class=\"num "
        "s\">saved</th><th class=\"num s optional\">energy</th><th class=\"num s "
        "optional\">area</th></tr></thead><tbody>\n";
    FigureTable table{{"change", "set", "time_ms", "ttft_ms", "tpot_ms", "energy_pj", "area_mm2"},
                      {}};
    const std::vector<const SensitivityRow*> rows = by_time_saved(r_);
    double full = 0;
    const auto saved = [&](const SensitivityRow& row) {
      return base > 0 ? 1 - row.time_ms / base : 0;
    };
    for (const SensitivityRow* row : rows) full = std::max(full, std::abs(saved(*row)));
    for (const SensitivityRow* row : rows) {
      const double share = saved(*row);
      const Segment bar{std::abs(share), share < 0 ? 2u : 6u,
                        fmt::format("{}: {}, {} {}", row->path, format_time_ms(row->time_ms),
                                    format_share(std::abs(share)), share < 0 ? "lost" : "saved")};
      add("<tr><th scope=\"row\" title=\"{}\">{}</th><td class=\"track\" data-v=\"{}\">{}</td>{}{}",
          escaped(row->path), escaped(row->change), share, bar_svg({&bar, 1}, full),
          figure_cell(format_time_ms(row->time_ms), row->time_ms),
          figure_cell(format_change(share), share));
      add("<td class=\"num optional dim\" data-v=\"{}\">{}</td><td class=\"num optional dim\" "
          "data-v=\"{}\">{}</td></tr>\n",
          row->energy_pj, format_change(row->energy_pj, r_.energy_pj), row->area_mm2,
          format_change(row->area_mm2, r_.area_mm2));
      table.rows.push_back({row->change, row->path, row->time_ms, row->ttft_ms, row->tpot_ms,
                            row->energy_pj, row->area_mm2});
    }
    out_ += "</tbody></table>\n" + figure_data(table) + "</section>\n";
  }

  /// The command with one option fewer and one more.
  std::string command_with(std::string_view added, std::string_view without = "") const {
    std::string text;
    const std::vector<std::string> words = shell_words(r_.command);
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (!without.empty() &&
          (words[i] == without || words[i].starts_with(std::string(without) + "="))) {
        // --no-eval stands alone; --timing has its value behind it.
        if (words[i] == without && !without.starts_with("--no-")) ++i;
        continue;
      }
      text += (text.empty() ? "" : " ") + shell_word(words[i]);
    }
    if (!added.empty()) text += " " + std::string(added);
    return text;
  }

  /// What this page could show and does not: why, and the command that gives it.
  void absences() {
    if (r_.cycles == 0) return;
    const std::vector<std::string> words = shell_words(r_.command);
    const bool ours = words.size() > 1 && words[1] == "run";
    const auto has = [&](std::string_view word) {
      return std::ranges::find(words, word) != words.end();
    };
    std::string timing = "tile";
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (words[i] == "--timing" && i + 1 < words.size()) timing = words[i + 1];
      if (words[i].starts_with("--timing=")) timing = words[i].substr(9);
    }
    std::string rows;
    const auto row = [&](std::string_view what, std::string_view why, const std::string& command) {
      rows += "<tr><th>" + escaped(what) + "</th><td>" + escaped(why);
      if (ours && !command.empty()) rows += "<pre>" + escaped(command) + "</pre>";
      rows += "</td></tr>\n";
    };
    if (r_.sensitivities.empty()) {
      const bool steps = timing == "pe";
      row("What would help most",
          steps
              ? "--sensitivity simulates several machines, which takes --timing tile or analytic:"
              : "Not asked for: --sensitivity runs the same work on machines with a tenth more of "
                "one thing.",
          command_with("--sensitivity", steps ? "--timing" : ""));
    }
    if (!r_.quality) {
      if (has("--no-eval")) {
        row("Perplexity",
            "The model was not executed: without --no-eval it is, where it has weights.",
            command_with("", "--no-eval"));
      } else {
        row("Perplexity",
            "Nothing was executed: a shape has no weights. A model with weights has a perplexity "
            "(--model FILE.gguf or a folder of safetensors, or the embedded one, without --model).",
            "");
      }
    }
    const bool still = std::ranges::none_of(r_.windows, [](const TimeWindow& window) {
      return window.dram_read_bytes + window.dram_write_bytes > 0;
    });
    if (r_.windows.size() > 1 && still) {
      row("DRAM bandwidth over time",
          r_.tiers.empty()
              ? "Nothing passes the DRAM."
              : "Nothing passes the DRAM: other memories feed the array. A result keeps "
                "their sums, which stand under Memories, not their course over time.",
          "");
    }
    if (r_.excerpt.bars.empty() || r_.windows.empty()) {
      const std::string_view what =
          r_.windows.empty() ? "Over time, and what each part did" : "What each part did";
      if (timing == "analytic") {
        row(what, "Closed forms know no times: --timing tile or pe has them.",
            command_with("", "--timing"));
      } else {
        row(what,
            "This result was written without it; a run that writes a page or a result has it.",
            command_with(""));
      }
    }
    if (rows.empty()) return;
    add("<section id=\"{}\" data-short=\"Not here\"><h3>Not here, and what gives it</h3><table "
        "class=\"pairs absent\"><tbody>\n{}</tbody></table></section>\n",
        id("absent"), rows);
  }

  // --- over time: drawn by the page's script from the tables

  void over_time() {
    if (r_.windows.size() < 2 || !(r_.clock_mhz > 0)) return;
    out_ += figure_top(id("curves"), "Over time",
                       fmt::format("The run in {} windows.", r_.windows.size()),
                       "data-short=\"Over time\"");
    std::string labels;
    for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
      labels += fmt::format("{}\"{}\"", c == 0 ? "" : ",", cause_label(c));
    }
    add("<div class=\"curves\" data-what=\"windows\" data-clock=\"{}\" data-bytes=\"{}\" "
        "data-macs=\"{}\" "
        "data-labels=\"[{}]\" data-capacities=\"{}\"></div>\n",
        r_.clock_mhz, r_.peak_dram_bytes_per_cycle, r_.peak_macs_per_cycle, escaped(labels),
        escaped(capacities([](const ScratchpadUse& use) { return use.name; })));
    FigureTable table{{"begin_ms"}, {}};
    for (const std::string_view cause : kCycleCauseNames) {
      table.columns.push_back(fmt::format("{}_cycles", cause));
    }
    table.columns.insert(table.columns.end(), {"macs", "dram_read_bytes", "dram_write_bytes"});
    for (const ScratchpadUse& use : r_.scratchpads) {
      table.columns.push_back(use.name + "_held_bytes");
    }
    for (std::size_t i = 0; i < r_.windows.size(); ++i) {
      const TimeWindow& window = r_.windows[i];
      std::vector<FigureValue>& row = table.rows.emplace_back();
      row = {to_double(i * r_.window_cycles) / r_.clock_mhz * 1e-3};
      row.insert(row.end(), window.cycles_by_cause.begin(), window.cycles_by_cause.end());
      row.insert(row.end(), {window.macs, window.dram_read_bytes, window.dram_write_bytes});
      const std::uint64_t cycles = std::accumulate(window.cycles_by_cause.begin(),
                                                   window.cycles_by_cause.end(), std::uint64_t{0});
      for (std::size_t s = 0; s < r_.scratchpads.size(); ++s) {
        row.emplace_back(window.held_byte_cycles[s] / std::max<std::uint64_t>(cycles, 1));
      }
    }
    out_ += figure_data(table) + "</section>\n";
  }

  /// {"weight_scratchpad": 262144, ...}, called as the figure's table has them.
  std::string capacities(std::string (*name_of)(const ScratchpadUse&)) const {
    std::string all;
    for (const ScratchpadUse& use : r_.scratchpads) {
      all += fmt::format("{}\"{}\":{}", all.empty() ? "" : ",", name_of(use), use.capacity_bytes);
    }
    return "{" + all + "}";
  }

  void kv_over_tokens() {
    FigureTable table{
        {"phase", "steps", "context", "cycles", "kv_bytes", "kv_bytes_read", "kv_bytes_written"},
        {}};
    for (const StepRow& row : r_.steps) {
      if (row.phase != "decode" || row.steps == 0) continue;
      table.rows.push_back({row.phase, row.steps, row.context, row.cycles, row.kv_bytes,
                            row.kv_bytes_read, row.kv_bytes_written});
    }
    if (table.rows.size() < 2 || r_.kv_bytes == 0) return;
    out_ += figure_top(id("kv"), "KV cache over tokens",
                       fmt::format("All layers and sequences; {} held at the end.",
                                   format_bytes(to_double(r_.kv_bytes))),
                       "data-short=\"KV cache\"");
    out_ +=
        "<div class=\"curves\" data-what=\"steps\"></div>\n" + figure_data(table) + "</section>\n";
  }

  void excerpt() {
    const Excerpt& e = r_.excerpt;
    if (e.bars.empty() || e.operations.empty() || !(r_.clock_mhz > 0)) return;
    const bool shortened = std::ranges::any_of(e.operations, [](const ExcerptOperation& op) {
      return op.stretch.ends_with(kRoundsLeftOut);
    });
    const std::string left_out =
        shortened ? " Equal rounds of a loop that were not simulated are left out, so that "
                    "operations are shorter here than in the run; --exact simulates them."
                  : "";
    out_ += figure_top(id("gantt"), "What each part did",
                       "An excerpt, piece by piece: the first layer of the prefill and of a decode "
                       "step. The paler a bar, the more gaps it has." +
                           left_out,
                       "data-short=\"Timeline\"");
    if (!e.dram.empty()) {
      out_ += "<ul class=\"legend\"><li>Banks of the first DRAM channel:</li>" +
              legend_item(5, kDramActNames[0], true) + legend_item(0, kDramActNames[1]) +
              legend_item(3, kDramActNames[2]) + legend_item(2, kDramActNames[3]) +
              fmt::format("<li>the first {} commands one by one</li></ul>\n", kExactDramSlices);
    }
    // As high as it will be, so that nothing moves when the script draws it.
    std::set<std::uint64_t> tracks, banks, scratchpads;
    for (const ExcerptBar& bar : e.bars) tracks.insert(bar.track);
    for (const ExcerptDramBar& bar : e.dram) banks.insert(bar.bank);
    for (const ExcerptLevel& level : e.levels) scratchpads.insert(level.scratchpad);
    const std::size_t height = 28 + 38 +  // operations; the axis
                               28 * tracks.size() + 34 * scratchpads.size() + 15 * banks.size();
    add("<div class=\"gantt\" data-capacities=\"{}\" style=\"min-height:{}px\"></div>\n",
        escaped(capacities(lane_of)), height);
    FigureTable table{
        {"stretch", "track", "operation", "begin_ps", "end_ps", "busy_ps", "pieces", "bytes"}, {}};
    const double ps_per_cycle = 1e6 / r_.clock_mhz;
    // One after the other, as their pieces are: in the run there may be equal sequences between.
    std::map<std::string, std::uint64_t> done;
    for (const ExcerptOperation& op : e.operations) {
      std::uint64_t& at = done[op.stretch];
      const auto ps = [&](std::uint64_t cycles) {
        return static_cast<std::uint64_t>(std::min(to_double(cycles) * ps_per_cycle, 1e18));
      };
      const std::uint64_t begin = ps(at), length = ps(op.cycles);
      at += op.cycles;
      table.rows.push_back({op.stretch, "operation", op.name, begin, begin + length, length,
                            std::uint64_t{1}, std::uint64_t{0}});
    }
    for (const ExcerptBar& bar : e.bars) {
      // A damaged file may name what is not there.
      if (bar.operation >= e.operations.size() || bar.track >= kTimelineTrackCount) continue;
      const ExcerptOperation& op = e.operations[bar.operation];
      table.rows.push_back({op.stretch, std::string(kTimelineTrackNames[bar.track]), op.name,
                            bar.begin_ps, bar.end_ps, bar.busy_ps, bar.pieces, bar.bytes});
    }
    add_levels(table);
    add_banks(table);
    out_ += figure_data(table) + "</section>\n";
  }

  /// Lanes of the scratchpads in the excerpt's table.
  void add_levels(FigureTable& table) const {
    for (const ExcerptLevel& level : r_.excerpt.levels) {
      if (level.operation >= r_.excerpt.operations.size() ||
          level.scratchpad >= r_.scratchpads.size()) {
        continue;
      }
      table.rows.push_back({r_.excerpt.operations[level.operation].stretch,
                            lane_of(r_.scratchpads[level.scratchpad]), "held", level.begin_ps,
                            level.end_ps, level.end_ps - std::min(level.begin_ps, level.end_ps),
                            std::uint64_t{1}, level.bytes});
    }
  }
  /// "weight scratchpad"
  static std::string lane_of(const ScratchpadUse& use) {
    std::string name = use.name;
    std::ranges::replace(name, '_', ' ');
    return name;
  }

  /// Lanes of the DRAM's banks in the excerpt's table, bank by bank, open rows beneath the rest.
  void add_banks(FigureTable& table) const {
    std::vector<const ExcerptDramBar*> bars;
    for (const ExcerptDramBar& bar : r_.excerpt.dram) {
      if (bar.operation < r_.excerpt.operations.size() && bar.act < kDramActCount) {
        bars.push_back(&bar);
      }
    }
    std::ranges::stable_sort(bars, {}, [](const ExcerptDramBar* bar) {
      return std::tuple(bar->operation, bar->bank, bar->act);
    });
    for (const ExcerptDramBar* bar : bars) {
      table.rows.push_back({r_.excerpt.operations[bar->operation].stretch,
                            fmt::format("DRAM bank {}", bar->bank),
                            std::string(kDramActNames[bar->act]), bar->begin_ps, bar->end_ps,
                            bar->busy_ps, bar->pieces, bar->bytes});
    }
  }

  // --- energy and area

  static Part energy_part(std::string name, double pj, std::size_t colour, bool pale = false) {
    return {std::move(name), pj, format_energy_pj(pj), colour, pale, {}};
  }
  static double sum_of(const std::vector<Part>& parts) {
    double sum = 0;
    for (const Part& part : parts) sum += std::isfinite(part.value) ? part.value : 0;
    return sum;
  }

  /// What work a component's dynamic energy went to.
  Part dynamic_part(const ComponentRow& row, std::size_t colour) const {
    Part dynamic = energy_part("dynamic", row.dynamic_pj, colour);
    for (const std::string& phase : phases_) {
      std::vector<Part> operations;
      for (const OperationRow& op : merged_.at(phase)) {
        const auto it = op.energy_pj.find(row.name);
        if (it != op.energy_pj.end())
          operations.push_back(energy_part(op.name, it->second, colour));
      }
      Part part = energy_part(phase, sum_of(operations), colour);
      part.parts = std::move(operations);
      dynamic.parts.push_back(std::move(part));
    }
    return dynamic;
  }

  void energy() {
    if (!(r_.energy_pj > 0) || r_.components.empty()) return;
    out_ += figure_top(
        id("energy"), "Where the energy goes",
        fmt::format("{} in all. Pale: static, that is leakage, clock, DRAM background and "
                    "refresh over the run.",
                    format_energy_pj(r_.energy_pj)),
        "data-short=\"Energy\"");
    FigureTable table{{"component", "dynamic_pj", "static_pj", "phase", "operation"}, {}};
    Part by_component = energy_part("all", r_.energy_pj, 5);
    for (const ComponentRow& row : components_by_energy(r_)) {
      const std::size_t colour = component_colour(row.name);
      Part part = energy_part(row.name, energy_of(row), colour);
      part.parts = {dynamic_part(row, colour), energy_part("static", row.static_pj, colour, true)};
      by_component.parts.push_back(std::move(part));
      table.rows.push_back(
          {row.name, row.dynamic_pj, row.static_pj, std::monostate(), std::monostate()});
    }
    Part by_operation = energy_part("all", r_.energy_pj, 5);
    for (std::size_t p = 0; p < phases_.size(); ++p) {
      std::vector<Part> operations;
      for (const OperationRow& op : merged_.at(phases_[p])) {
        std::vector<Part> parts;
        for (const auto& [component, pj] : op.energy_pj) {
          parts.push_back(energy_part(component, pj, component_colour(component)));
          table.rows.push_back({component, pj, std::monostate(), phases_[p], op.name});
        }
        Part part = energy_part(op.name, sum_of(parts), p == 0 ? 0 : 2);
        part.parts = std::move(parts);
        operations.push_back(std::move(part));
      }
      Part phase = energy_part(phases_[p], sum_of(operations), p == 0 ? 0 : 2);
      phase.parts = std::move(operations);
      by_operation.parts.push_back(std::move(phase));
    }
    std::vector<Part> standing;
    for (const ComponentRow& row : r_.components) {
      standing.push_back(energy_part(row.name, row.static_pj, component_colour(row.name), true));
    }
    Part rest = energy_part("static", sum_of(standing), 5, true);
    rest.parts = std::move(standing);
    by_operation.parts.push_back(std::move(rest));
    add("<div data-view=\"by component\">{}</div><div data-view=\"by operation\" "
        "hidden=\"hidden\">{}</div>\n",
        icicle_html(by_component, "energy by component"),
        icicle_html(by_operation, "energy by operation"));
    out_ += figure_data(table) + "</section>\n";
  }

  void area() {
    if (!(r_.area_mm2 > 0)) return;
    const auto part = [](std::string name, double mm2, std::size_t colour) {
      return Part{std::move(name), mm2, format_area_mm2(mm2), colour, false, {}};
    };
    out_ += figure_top(id("area"), "Where the area goes",
                       format_area_mm2(r_.area_mm2) +
                           " on the chip. Control, interconnect and clock "
                           "tree are not modelled.",
                       "data-short=\"Area\"");
    FigureTable table{{"group", "component", "area_mm2"}, {}};
    Part whole = part("all", r_.area_mm2, 5);
    for (const PartGroup& group : part_groups()) {
      std::vector<Part> members;
      for (const ComponentRow& row : r_.components) {
        if (group_of(row.name) != group.name || !(row.area_mm2 > 0)) continue;
        members.push_back(part(row.name, row.area_mm2, component_colour(row.name)));
        table.rows.push_back({std::string(group.name), row.name, row.area_mm2});
      }
      if (members.empty()) continue;
      Part sum = part(std::string(group.name), sum_of(members), members.front().colour);
      sum.parts = std::move(members);
      whole.parts.push_back(std::move(sum));
    }
    out_ += icicle_html(whole, "area by component") + figure_data(table) + "</section>\n";
  }

  // --- memory

  void roofline() {
    const std::vector<Roof> roofs = roofs_of(r_);
    if (roofs.empty()) return;
    out_ += figure_top(
        id("roofline"), "Roofline",
        "What each operation attains, under what the machine allows: the slope is the peak "
        "bandwidth of a memory level, the flat part the peak rate for the recipe's linear-layer "
        "formats (operations in other formats may have a lower roof). What is written to a "
        "scratchpad "
        "is counted but holds nothing up, so it may be above its roof. A mark's area grows with "
        "its "
        "share of the cycles.",
        "data-short=\"Roofline\"");
    out_ += "<ul class=\"legend\">";
    for (std::size_t p = 0; p < std::min<std::size_t>(phases_.size(), 2); ++p) {
      add("<li><svg class=\"swatch\" viewBox=\"0 0 10 10\" aria-hidden=\"true\">{}</svg>{}</li>",
          p == 0 ? "<circle class=\"p0\" cx=\"5\" cy=\"5\" r=\"5\"/>"
                 : "<path class=\"p1\" d=\"M5 0 L10 5 L5 10 L0 5 Z\"/>",
          escaped(phases_[p]));
    }
    out_ += "</ul>\n";
    FigureTable table{{"level", "operation", "phase", "macs", "bytes", "cycles", "macs_per_byte",
                       "macs_per_cycle", "attainable_macs_per_cycle"},
                      {}};
    for (const Roof& roof : roofs) {
      add("<div data-view=\"{}\"{}>", escaped(roof.label),
          &roof == roofs.data() ? "" : " hidden=\"hidden\"");
      roofline_of(roof);
      out_ += "</div>\n";
      for (const RoofPoint& point : roof.points) {
        table.rows.push_back({roof.name, point.operation, point.phase, point.macs, point.bytes,
                              point.cycles, point.macs_per_byte(), point.macs_per_cycle(),
                              roof.attainable(point)});
      }
    }
    out_ += figure_data(table) + "</section>\n";
  }

  void roofline_of(const Roof& roof) {
    const RoofBounds* bounds = nullptr;
    if (bounds_ != nullptr && bounds_->contains(roof.name)) bounds = &bounds_->at(roof.name);
    const Roofline drawn = roofline_svg(r_, roof, bounds);
    add("<div class=\"wide\">{}</div>", drawn.svg);
    std::string remark;
    if (roof.left_out != 0) {
      remark = fmt::format("Not drawn: {} operations without MACs or without bytes here.",
                           roof.left_out);
    }
    if (drawn.unlabelled != 0) {
      remark += fmt::format("{}Without a label for want of room: {}; their tooltips name them.",
                            remark.empty() ? "" : " ", drawn.unlabelled);
    }
    if (!remark.empty()) add("<p class=\"note\">{}</p>", escaped(remark));
  }

  void traffic() {
    const double all = to_double(r_.total_dram_bytes());
    if (!(all > 0)) return;
    out_ += figure_top(
        id("traffic"), "DRAM traffic by class",
        format_bytes(all) + " in all, scales and zero points counted with their tensors.",
        "data-short=\"Traffic\"");
    add("<ul class=\"legend\">{}{}</ul>\n", legend_item(0, "read"),
        legend_item(0, "written", true));
    std::vector<std::array<BytesByClass, 2>> sums;
    std::uint64_t largest = 0;
    FigureTable table{{"phase", "class", "read_bytes", "written_bytes"}, {}};
    for (const std::string& phase : phases_) {
      std::array<BytesByClass, 2>& sum = sums.emplace_back();
      for (const OperationRow& row : merged_.at(phase)) {
        for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
          sum[0][c] += row.dram_read_bytes[c];
          sum[1][c] += row.dram_write_bytes[c];
        }
      }
      for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
        largest = std::max(largest, sum[0][c] + sum[1][c]);
        table.rows.push_back({phase, std::string(class_label(c)), sum[0][c], sum[1][c]});
      }
    }
    for (std::size_t p = 0; p < phases_.size(); ++p) {
      add("<h4>{}</h4>\n", escaped(phases_[p]));
      for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
        const double read = to_double(sums[p][0][c]), written = to_double(sums[p][1][c]);
        const std::array<Segment, 2> segments = {
            {{read, 0, fmt::format("{} read: {}", class_label(c), format_bytes(read)), false},
             {written, 0, fmt::format("{} written: {}", class_label(c), format_bytes(written)),
              true}}};
        add("<div class=\"row short\"><span class=\"name\">{}</span><span "
            "class=\"track\">{}</span><span "
            "class=\"num\">{}</span><span class=\"num dim\">{}</span></div>\n",
            escaped(class_label(c)), bar_svg(segments, to_double(largest)),
            escaped(format_bytes(read + written)),
            escaped(format_share(share_of(read + written, all))));
      }
    }
    out_ += figure_data(table) + "</section>\n";
  }

  void tiers() {
    if (r_.tiers.empty()) return;
    const TierRow* binding = r_.binding_tier();
    add("<section id=\"{}\">", id("memories"));
    out_ +=
        "<h3>Memories</h3><div class=\"wide\"><table><thead><tr><th>memory</th><th "
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
    for (const TierRow& row : r_.tiers) {
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

  void operations() {
    if (r_.operations.empty()) return;
    add("<section id=\"{}\" data-short=\"Operations\"><div class=\"head\"><h3>All "
        "operations</h3></div><p "
        "class=\"note\">Shape: "
        "m\u00d7n\u00d7k of one of the instances counted. Of peak: MACs per cycle over the peak "
        "rate. "
        "The two bounds are the cycles that peak arithmetic alone and peak DRAM bandwidth alone "
        "would need, as shares of the cycles taken.</p>\n<div class=\"wide\"><table "
        "class=\"sortable "
        "searched operations\" data-few=\"{}\"><thead><tr>",
        id("operations"), kFewRows);
    for (const std::string_view text : {"operation", "phase", "formats", "shape"})
      add("<th>{}</th>", text);
    // With the unit of what is sorted by and saved; the time is saved as it stands.
    for (const auto& [figure, unit] :
         {std::pair("count", ""), std::pair("MACs", ""), std::pair("DRAM", "bytes"),
          std::pair("energy", "pJ"), std::pair("cycles", "")}) {
      add("<th class=\"num\" data-unit=\"{}\">{}</th>", unit, figure);
    }
    out_ += "<th class=\"num\">time</th>";
    for (const std::string_view share : {"of all", "of peak"}) {
      add("<th class=\"num\" data-unit=\"\">{}</th>", share);
    }
    out_ +=
        "<th>limited by</th><th class=\"num\" data-unit=\"\">compute bound</th><th "
        "class=\"num\" data-unit=\"\">DRAM bound</th></tr></thead><tbody>\n";
    for (const std::string& phase : phases_) {
      for (const OperationRow& row : merged_.at(phase)) operation(row);
    }
    out_ += "</tbody></table></div></section>\n";
  }

  void operation(const OperationRow& row) {
    const double cycles = to_double(row.cycles), bytes = to_double(dram_bytes_of(row));
    const std::optional<double> utilisation = utilisation_of(row, r_);
    const std::optional<double> share = share_of(cycles, to_double(r_.cycles));
    const std::optional<double> compute = share_of(to_double(row.compute_bound_cycles), cycles);
    const std::optional<double> bandwidth = share_of(to_double(row.bandwidth_bound_cycles), cycles);
    double energy = 0;
    for (const auto& [component, pj] : row.energy_pj) energy += pj;
    out_ += "<tr data-phase=\"" + escaped(row.phase) + "\">" + cell(row.name) + cell(row.phase) +
            cell(formats_of(row)) + cell(shape_of(row)) +
            figure_cell(count_or_none(row.repeats), to_double(row.repeats)) +
            figure_cell(count_or_none(row.macs), to_double(row.macs)) +
            figure_cell(bytes == 0 ? std::string(kAbsent) : format_bytes(bytes), bytes) +
            figure_cell(energy > 0 ? format_energy_pj(energy) : std::string(kAbsent), energy) +
            figure_cell(count_or_none(row.cycles), cycles) +
            figure_cell(format_cycles_as_time(cycles, r_), cycles) +
            figure_cell(format_share(share), share.value_or(-1)) +
            figure_cell(format_share(utilisation), utilisation.value_or(-1)) + cell(row.bound) +
            figure_cell(format_share(compute), compute.value_or(-1)) +
            figure_cell(format_share(bandwidth), bandwidth.value_or(-1)) + "</tr>\n";
  }

  void mappings() {
    const auto products =
        std::count_if(r_.operations.begin(), r_.operations.end(),
                      [](const OperationRow& row) { return row.mapping.has_value(); });
    if (products == 0) return;
    add("<details id=\"{}\" data-short=\"Mapping\"><summary>Mapping of the matrix products "
        "({})</summary><p class=\"note\">Tile "
        "m\u00d7n\u00d7k, which operand waits while the other passes, and how much worse the next "
        "best is, by the closed form that chose; its cycles of all instances beside the simulated "
        "ones.</p><div class=\"wide\"><table class=\"sortable\"><thead><tr><th>phase</th>"
        "<th>operation</th><th>shape</th><th>mapping</th><th class=\"num\" "
        "data-unit=\"cycles\">estimated</th><th class=\"num\" "
        "data-unit=\"cycles\">simulated</th></tr></thead><tbody>\n",
        id("mapping"), products);
    for (const std::string& phase : phases_) {
      for (const OperationRow& row : merged_.at(phase)) {
        if (!row.mapping) continue;
        const double estimated = to_double(row.mapping->estimated_cycles);
        out_ += "<tr>" + cell(phase) + cell(row.name) + cell(shape_of(row)) +
                cell(mapping_of(row)) + figure_cell(format_count(estimated), estimated) +
                figure_cell(format_count(to_double(row.cycles)), to_double(row.cycles)) + "</tr>\n";
      }
    }
    out_ += "</tbody></table></div></details>\n";
  }

  void components() {
    if (r_.components.empty()) return;
    add("<section id=\"{}\" data-short=\"Sources\">", id("parts"));
    out_ +=
        "<h3>Parts and sources</h3><div class=\"wide\"><table "
        "class=\"sources\"><thead><tr><th>part</th><th "
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
    for (const ComponentRow& row : r_.components) {
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
        format_energy_pj(r_.energy_pj), format_energy_pj(dynamic), format_energy_pj(rest),
        format_area_mm2(r_.area_mm2));
    out_ += "</tbody></table></div></section>\n";
  }

  void notes() {
    if (r_.notes.empty()) return;
    add("<details id=\"{}\" data-short=\"Trust\" open=\"open\"><summary>Assumptions and "
        "approximations ({})</summary><table class=\"pairs{}\"><tbody>\n",
        id("trust"), r_.notes.size(), r_.notes.size() > kFewRows ? " searched long" : "");
    for (const auto& [name, text] : r_.notes)
      add("<tr><th>{}</th><td>{}</td></tr>\n", escaped(name), escaped(text));
    out_ += "</tbody></table></details>\n";
  }

  void events() {
    if (r_.events.begin() == r_.events.end()) return;
    add("<details id=\"{}\" data-short=\"Events\">", id("events"));
    out_ +=
        "<summary>Events counted</summary><p class=\"note\">Counted during the run; the "
        "energy is "
        "these times the "
        "prices.</p><table class=\"pairs long\"><tbody>\n";
    for (const auto& [event, count] : r_.events) {
      add("<tr><th>{}</th><td class=\"num\">{}</td></tr>\n", escaped(event), format_exact(count));
    }
    out_ += "</tbody></table></details>\n";
  }

  const RunResult& r_;
  std::string_view prefix_;
  const RoofBoundsByName* bounds_;
  std::vector<std::string> phases_;
  std::map<std::string, std::vector<OperationRow>> merged_;
  std::string out_;
};

}  // namespace

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

std::size_t class_colour(std::size_t traffic_class) { return kClassColours[traffic_class]; }

std::string legend_item(std::size_t colour, std::string_view text, bool light) {
  return fmt::format("<li>{}{}</li>", swatch_svg(colour, light), escaped(text));
}

std::vector<Segment> cause_segments(const CyclesByCause& causes, double whole, const RunResult& r) {
  std::vector<Segment> segments;
  for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
    const double cycles = to_double(causes[c]);
    segments.push_back(
        {cycles, c,
         fmt::format("{}: {} cycles, {}, {}", cause_label(c), format_count(cycles),
                     format_cycles_as_time(cycles, r), format_share(share_of(cycles, whole)))});
  }
  return segments;
}

std::string run_remark(const RunResult& r) {
  std::string text = fmt::format("{} prompt tokens", r.prefill_tokens);
  if (r.decode_tokens != 0) text += fmt::format(", {} decoded", r.decode_tokens);
  if (r.sequences) text += fmt::format(", {} sequences", *r.sequences);
  text += fmt::format(" \u00b7 {} \u00b7 seed {}", format_figure("clock_mhz", r.clock_mhz), r.seed);
  if (!r.version.empty()) text += " \u00b7 systole " + r.version;
  return text;
}

std::string run_sections(const RunResult& result, std::string_view prefix,
                         const RoofBoundsByName* bounds) {
  return RunSections(result, prefix, bounds)();
}

}  // namespace systole::reports
