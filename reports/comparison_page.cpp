#include "reports/comparison_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "reports/config_section.hpp"
#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "reports/markup.hpp"
#include "reports/page.hpp"
#include "reports/roofline.hpp"
#include "reports/run_page.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

double to_double(std::uint64_t count) { return static_cast<double>(count); }

/// Operations that have bars of their own.
constexpr std::size_t kTopOperations = 16;

/// More results than this stand under their letters: names would take the room of the figures.
constexpr std::size_t kNamedColumns = 4;

/// Tables with a column a result. Where the page is narrow a row becomes a few lines: what it is
/// of, then each result's figure behind its letter.
constexpr std::string_view kComparisonStyle = R"css(
ul.letters li{white-space:normal;overflow-wrap:anywhere}
ul.letters.few{display:none}
.apart th:first-child{position:sticky;left:0;background:var(--card);white-space:normal;overflow-wrap:anywhere;min-width:9rem}
.many{table-layout:fixed;min-width:860px}
.many th,.many td{padding-left:5px;padding-right:5px;white-space:normal;overflow-wrap:anywhere}
.many th:first-child{width:8.6rem;padding-left:0}
.apart.many th:first-child{width:13rem}
.many td .ratio{display:block;min-width:0}
.matrix.many th:first-child,.matrix.many td:first-child{width:10rem}
.matrix.many td.num svg.bar{min-width:0}
@media (max-width:620px){
ul.letters.few{display:flex}
.stacked td .ratio{margin-left:6px}
.stacked,.stacked tbody{display:block;min-width:0}.stacked thead{display:none}
.stacked tr{display:grid;grid-template-columns:repeat(auto-fill,minmax(7.4rem,1fr));gap:0 10px;padding:6px 0;border-bottom:1px solid var(--line)}
.stacked tr[hidden]{display:none}
.stacked tr>*,.stacked tbody tr:last-child>*{border:0;padding:1px 0;text-align:left;min-width:0;max-width:none;position:static}
.stacked tr>:not([data-of]){grid-column:1/-1;width:auto}
.stacked td.differs{padding-left:4px}
.stacked td[data-of]::before{content:attr(data-of) "\2002";color:var(--soft)}
.matrix.stacked td.num svg.bar{min-width:0}}
)css";

/// A stretch of time and figures over it, as large as any result's.
struct SharedScales {
  double end_ms = 0;
  double dram_bytes_per_second = 0, utilisation = 0;
  double first_context = 0, last_context = 0;
  double kv_bytes = 0, kv_bytes_read = 0, kv_bytes_written = 0;  ///< the latter two by a step
};

SharedScales scales_of(std::span<const RunResult> results) {
  SharedScales all;
  for (const RunResult& r : results) {
    double cycles = 0;
    for (const TimeWindow& window : r.windows) {
      std::uint64_t length = 0;
      for (const std::uint64_t each : window.cycles_by_cause) length += each;
      cycles += to_double(length);
      const double bytes = to_double(window.dram_read_bytes + window.dram_write_bytes);
      const double rate = share_of(bytes * r.clock_mhz * 1e6, to_double(length)).value_or(0);
      all.dram_bytes_per_second = std::max(all.dram_bytes_per_second, rate);
      const double most = to_double(length) * r.peak_macs_per_cycle;
      all.utilisation =
          std::max(all.utilisation, share_of(to_double(window.macs), most).value_or(0));
    }
    all.end_ms = std::max(all.end_ms, milliseconds_of(cycles, r).value_or(0));
    for (const StepRow& step : r.steps) {
      const double context = to_double(step.context), steps = to_double(step.steps);
      const bool first = all.last_context == 0;
      all.first_context = first ? context : std::min(all.first_context, context);
      all.last_context = std::max(all.last_context, context);
      all.kv_bytes = std::max(all.kv_bytes, to_double(step.kv_bytes));
      all.kv_bytes_read =
          std::max(all.kv_bytes_read, share_of(to_double(step.kv_bytes_read), steps).value_or(0));
      all.kv_bytes_written = std::max(
          all.kv_bytes_written, share_of(to_double(step.kv_bytes_written), steps).value_or(0));
    }
  }
  return all;
}

class ComparisonPage {
 public:
  ComparisonPage(std::span<const RunResult> results, std::string_view command)
      : results_(results),
        command_(command),
        names_(short_names(results)),
        bounds_(common_bounds(results)) {}

  std::string operator()() {
    PageHead head;
    head.title =
        results_.empty() ? "No results" : fmt::format("Comparison of {} runs", results_.size());
    head.kind = "comparison";
    head.style = kComparisonStyle;
    for (std::size_t i = 0; i < results_.size(); ++i) {
      head.remark += (i == 0 ? "" : " \u00a0 ") + letter(i) + " \u00b7 " + title_of(results_[i]);
    }
    out_ = page_top(head);
    if (!results_.empty()) {
      sides();
      panels();
      operations();
      differences();
      each();
      for (std::size_t i = 0; i < results_.size(); ++i) run(i);
    }
    std::set<std::string> versions;
    for (const RunResult& r : results_) {
      if (!r.version.empty()) versions.insert(printable(r.version));
    }
    std::string version;
    for (const std::string& each : versions) version += (version.empty() ? "" : ", ") + each;
    return out_ + page_bottom(version, commands_of(results_, command_));
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  static std::string letter(std::size_t i) {
    return i < 26 ? std::string(1, static_cast<char>('A' + i)) : fmt::format("{}", i + 1);
  }

  bool many() const { return results_.size() > kNamedColumns; }
  /// The heading of a result's column.
  std::string column_name(std::size_t i) const { return many() ? letter(i) : names_[i]; }
  std::string column_head(std::size_t i, std::string_view kind) const {
    return fmt::format("<th{}{}>{}</th>", kind.empty() ? "" : fmt::format(" class=\"{}\"", kind),
                       many() ? fmt::format(" title=\"{}\"", escaped(names_[i])) : "",
                       escaped(column_name(i)));
  }
  /// Which letter is which, where the columns do not say it.
  std::string letters() const {
    std::string out = fmt::format("<ul class=\"legend letters{}\">", many() ? "" : " few");
    for (const std::string& name : names_) out += "<li>" + escaped(name) + "</li>";
    return out + "</ul>\n";
  }

  /// What holds for all results that follow one by one.
  void each() {
    const SharedScales s = scales_of(results_);
    if (!(s.end_ms > 0) && bounds_.empty()) return;
    out_ +=
        "<section id=\"each\" data-short=\"One by one\"><h3>One by one</h3><p class=\"note\">All "
        "of each result. Their rooflines and their figures over time have common axes.</p>\n";
    add("<div class=\"controls\" data-shared=\"{}\"></div></section>\n",
        escaped(fmt::format("{{\"windows\":[[0,{}],{},{}],\"steps\":[[{},{}],{},{},{}]}}", s.end_ms,
                            s.dram_bytes_per_second, s.utilisation, s.first_context, s.last_context,
                            s.kv_bytes, s.kv_bytes_read, s.kv_bytes_written)));
  }

  void run(std::size_t i) {
    const RunResult& r = results_[i];
    const std::string hint = overrides_hint(overrides_of(r));
    add("<article id=\"r{}\" data-short=\"{}\">\n<h2{}>{}</h2><p class=\"sub\">{}</p>\n", i,
        letter(i), hint.empty() ? "" : fmt::format(" title=\"{}\"", escaped(hint)),
        escaped(letter(i) + " \u00b7 " + title_of(r)), escaped(run_remark(r)));
    const std::string prefix = fmt::format("r{}-", i);
    if (i == 0) {
      out_ += run_sections(r, prefix, &bounds_);
    } else {
      // A thousand keys once are enough: what is not as in the first stands further up.
      RunResult shown = r;
      shown.config_echo.clear();
      out_ += run_sections(shown, prefix, &bounds_);
      add("<section><h3>Configuration</h3><p class=\"note\">As that of {}, but for <a "
          "href=\"#config\">what differs</a>.</p></section>\n",
          escaped(names_[0]));
    }
    if (!r.command.empty()) {
      add("<section><h3>Run it again</h3><pre>{}</pre></section>\n", escaped(r.command));
    }
    out_ += "</article>\n";
  }

  /// "A · mixpe-w4a8 · mixpe-128x128 + memory.dram.channels=4": only what the results do not share.
  static std::vector<std::string> short_names(std::span<const RunResult> results) {
    const auto differs = [&](auto value_of) {
      return std::any_of(results.begin(), results.end(), [&](const RunResult& r) {
        return std::invoke(value_of, r) != std::invoke(value_of, results[0]);
      });
    };
    const auto work = [](const RunResult& r) {
      return std::tuple(r.prefill_tokens, r.decode_tokens, r.sequences);
    };
    // What all set alike tells none apart.
    std::vector<KeyValues> all;
    for (const RunResult& r : results) all.push_back(overrides_of(r));
    std::vector<KeyValues> settings = all;
    for (KeyValues& of_run : settings) {
      std::erase_if(of_run, [&](const auto& setting) {
        return std::ranges::all_of(all, [&](const KeyValues& other) {
          return std::ranges::find(other, setting) != other.end();
        });
      });
    }
    const bool machines_differ =
        differs(&RunResult::machine) || !std::ranges::all_of(settings, &KeyValues::empty);
    std::vector<std::string> names;
    for (std::size_t i = 0; i < results.size(); ++i) {
      std::vector<std::string> parts;
      if (differs(&RunResult::model)) parts.push_back(printable(results[i].model));
      if (differs(&RunResult::recipe)) parts.push_back(printable(results[i].recipe));
      if (machines_differ)
        parts.push_back(printable(results[i].machine) + overrides_text(settings[i]));
      if (differs(work)) {
        parts.push_back(
            fmt::format("{} + {} tokens{}", results[i].prefill_tokens, results[i].decode_tokens,
                        results[i].sequences ? fmt::format(" of {}", *results[i].sequences) : ""));
      }
      std::string name = letter(i);
      for (const std::string& part : parts) name += " \u00b7 " + part;
      names.push_back(std::move(name));
    }
    return names;
  }

  void sides() {
    const RunResult& base = results_[0];
    const bool same_work = std::all_of(results_.begin(), results_.end(), [&](const RunResult& r) {
      return r.model == base.model && r.prefill_tokens == base.prefill_tokens &&
             r.decode_tokens == base.decode_tokens;
    });
    out_ += figure_top("sides", "Side by side", "", "data-short=\"Side by side\"");
    add("<p class=\"note\">\u00d7: relative to {}. Bold: the best "
        "of a row.{}</p>\n{}<div "
        "class=\"wide\"><table class=\"sides stacked{}\"><thead><tr><th></th>",
        escaped(names_[0]),
        same_work ? ""
                  : " <strong>These runs differ in model or token counts: times and energies do "
                    "not compare.</strong>",
        letters(), many() ? " many" : "");
    for (std::size_t i = 0; i < results_.size(); ++i) out_ += column_head(i, "num");
    out_ += "</tr></thead><tbody>\n";
    FigureTable table{{"figure"}, {}};
    table.columns.insert(table.columns.end(), names_.begin(), names_.end());
    for (const Metric& metric : metrics()) {
      std::vector<std::optional<double>> values;
      std::optional<double> best;
      for (const RunResult& r : results_) {
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
      const std::string_view label = figure_label(metric.name);
      add("<tr><th>{}</th>", label);
      std::vector<FigureValue>& exact = table.rows.emplace_back();
      exact.emplace_back(std::string(label));
      for (const auto& value : values) exact.push_back(value ? FigureValue(*value) : FigureValue());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::optional<double> ratio =
            values[i] && values[0] ? share_of(*values[i], *values[0]) : std::nullopt;
        add("<td class=\"num{}\" data-of=\"{}\">{}{}</td>",
            best && values[i] == best && !all_equal ? " best" : "", letter(i),
            escaped(format_figure(metric.name, values[i])),
            fmt::format("<span class=\"ratio\">{}</span>", i != 0 && ratio && metric.better != 0
                                                               ? escaped(format_ratio(ratio))
                                                               : std::string()));
      }
      out_ += "</tr>\n";
    }
    out_ += "</tbody></table></div>\n" + figure_data(table) + "</section>\n";
  }

  /// What the runs cost, one bar a run, to one scale.
  void panels() {
    out_ +=
        "<div class=\"two compared\" data-scales=\"absolute|relative|shares\"><div "
        "class=\"controls\"></div>\n";
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
    // Only what some result has.
    const auto cause_legend = [&](std::string_view phase) {
      std::string legend;
      for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
        if (std::ranges::any_of(results_,
                                [&](const RunResult& r) { return phase_causes(r, phase)[c] > 0; }))
          legend += legend_item(c, cause_label(c));
      }
      return legend;
    };

    panel(
        "TTFT by cause", "Time to first token; lower is better.", cause_legend("prefill"),
        [&](const RunResult& r) { return std::optional(r.ttft_ms); }, format_time_ms,
        [&](const RunResult& r) { return time_segments(r, "prefill", r.ttft_ms); });
    panel(
        "TPOT by cause", "Time per output token; lower is better.", cause_legend("decode"),
        [&](const RunResult& r) { return r.tpot_ms; }, format_time_ms,
        [&](const RunResult& r) { return time_segments(r, "decode", r.tpot_ms.value_or(0)); });

    const auto component_legend = [&](const auto& value) {
      std::string legend;
      std::set<std::string> seen;
      for (const RunResult& r : results_) {
        for (const ComponentRow& row : r.components) {
          if (value(row) > 0 && seen.insert(row.name).second)
            legend += legend_item(component_colour(row.name), row.name);
        }
      }
      return legend;
    };
    const auto area_of = [](const ComponentRow& row) { return row.area_mm2; };
    const auto by_component = [](const RunResult& r, auto value, auto text) {
      std::vector<Segment> segments;
      for (const ComponentRow& row : r.components) {
        segments.push_back({value(row), component_colour(row.name),
                            fmt::format("{}: {}", row.name, text(value(row)))});
      }
      return segments;
    };
    panel(
        "Energy by component", "Dynamic and static, whole run; lower is better.",
        component_legend(energy_of), [](const RunResult& r) { return std::optional(r.energy_pj); },
        format_energy_pj,
        [&](const RunResult& r) { return by_component(r, energy_of, format_energy_pj); });
    panel(
        "Area by component", "On-chip parts.", component_legend(area_of),
        [](const RunResult& r) { return std::optional(r.area_mm2); }, format_area_mm2,
        [&](const RunResult& r) { return by_component(r, area_of, format_area_mm2); });
    panel(
        "Perplexity", "Lower is better; the bar starts at 0.", "",
        [](const RunResult& r) {
          return r.quality ? std::optional(r.quality->perplexity) : std::nullopt;
        },
        [](double v) { return format_figure("perplexity", v); },
        [](const RunResult& r) {
          const double value = r.quality ? r.quality->perplexity : 0;
          return std::vector<Segment>{{value, 0, format_figure("perplexity", value), false}};
        });
    panel(
        "KL from unquantised",
        "Mean nats a token between what the unquantised model and this one say of the next token; "
        "lower is better.",
        "", [](const RunResult& r) { return r.quality ? r.quality->kl : std::nullopt; },
        [](double v) { return format_figure("kl_divergence", v); },
        [](const RunResult& r) {
          const double value = r.quality ? r.quality->kl.value_or(0) : 0;
          return std::vector<Segment>{
              {value, 2, format_figure("kl_divergence", value) + " nats", false}};
        });
    panel(
        "DRAM traffic by class", "Both directions, whole run; lower is better.",
        [] {
          std::string legend;
          for (std::size_t c = 0; c < kTrafficClassCount; ++c)
            legend += legend_item(class_colour(c), class_label(c));
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
            segments.push_back({bytes, class_colour(c),
                                fmt::format("{}: {}", class_label(c), format_bytes(bytes))});
          }
          return segments;
        });
    out_ += "</div>\n";
  }

  /// One bar a result, all on the scale of the largest; left out when no result has the figure.
  template <class Value, class Text, class Segments>
  void panel(std::string_view title, std::string_view note, std::string_view legend, Value value,
             Text text, Segments segments) {
    double full = 0;
    for (const RunResult& r : results_) {
      const std::optional<double> v = value(r);
      if (v && std::isfinite(*v)) full = std::max(full, *v);
    }
    if (!(full > 0)) return;
    out_ += figure_top(fmt::format("panel{}", ++panels_), title, note);
    FigureTable table{{"result", "part", "value"}, {}};
    if (!legend.empty()) add("<ul class=\"legend\">{}</ul>\n", legend);
    const std::optional<double> base = value(results_[0]);
    for (std::size_t i = 0; i < results_.size(); ++i) {
      const std::optional<double> v = value(results_[i]);
      const std::vector<Segment> parts = v ? segments(results_[i]) : std::vector<Segment>{};
      const std::string ratio = v && base ? format_ratio(share_of(*v, *base)) : std::string();
      const std::string figure = v ? text(*v) : std::string(kAbsent);
      add("<div class=\"row short\"><span class=\"name\"{}>{}</span><span "
          "class=\"track\">{}</span><span "
          "class=\"num\" data-ratio=\"{}\">{}</span><span class=\"num dim\">{}</span></div>\n",
          many() ? fmt::format(" title=\"{}\"", escaped(names_[i])) : "", escaped(column_name(i)),
          bar_svg(parts, full), escaped(ratio), escaped(figure), escaped(ratio));
      for (const Segment& part : parts) table.rows.push_back({names_[i], part.title, part.value});
    }
    out_ += figure_data(table) + "</section>\n";
  }

  /// Each operation's time in every run, to one scale.
  void operations() {
    using Key = std::pair<std::string, std::string>;  // phase, operation
    std::vector<Key> keys;
    std::map<Key, std::vector<std::optional<OperationRow>>> rows;
    for (std::size_t i = 0; i < results_.size(); ++i) {
      for (const std::string& phase : phases_of(results_[i])) {
        for (OperationRow& row : merged_operations(results_[i], phase)) {
          const Key key(phase, row.name);
          const auto [it, is_new] = rows.try_emplace(key, results_.size());
          if (is_new) keys.push_back(key);
          it->second[i] = std::move(row);
        }
      }
    }
    const auto milliseconds = [&](std::size_t i, const OperationRow& row) {
      return milliseconds_of(to_double(row.cycles), results_[i]).value_or(0);
    };
    std::map<Key, double> longest;
    double full = 0;
    for (const auto& [key, of_runs] : rows) {
      for (std::size_t i = 0; i < of_runs.size(); ++i) {
        if (of_runs[i]) longest[key] = std::max(longest[key], milliseconds(i, *of_runs[i]));
      }
      full = std::max(full, longest[key]);
    }
    if (!(full > 0)) return;
    std::ranges::stable_sort(
        keys, [&](const Key& a, const Key& b) { return longest.at(a) > longest.at(b); });
    out_ +=
        figure_top("operations", "Time by operation",
                   "Rows of equal name are summed over layers and steps; all bars share one scale.",
                   "data-short=\"Operations\"");
    std::string legend;
    CyclesByCause seen{};
    for (const RunResult& r : results_) {
      const CyclesByCause causes = cycles_by_cause(r.operations);
      for (std::size_t c = 0; c < kCycleCauseCount; ++c) seen[c] += causes[c];
    }
    for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
      if (seen[c] > 0) legend += legend_item(c, cause_label(c));
    }
    add("<ul class=\"legend\">{}<div class=\"wide\"><table class=\"sortable searched "
        "operations "
        "matrix stacked{}\" data-few=\"{}\"><thead><tr><th>operation</th><th>phase</th>",
        legend + "</ul>" + letters(), many() ? " many" : "", kTopOperations);
    FigureTable table{{"operation", "phase"}, {}};
    for (std::size_t i = 0; i < results_.size(); ++i) {
      out_ += column_head(i, "num");
      table.columns.push_back(names_[i] + " [ms]");
    }
    out_ += "</tr></thead><tbody>\n";
    for (const Key& key : keys) {
      add("<tr data-phase=\"{0}\"><td>{1}</td><td>{0}</td>", escaped(key.first),
          escaped(key.second));
      std::vector<FigureValue>& exact = table.rows.emplace_back();
      exact = {key.second, key.first};
      for (std::size_t i = 0; i < results_.size(); ++i) {
        const std::optional<OperationRow>& row = rows.at(key)[i];
        if (!row) {
          add("<td class=\"num\" data-of=\"{}\" data-v=\"-1\">{}</td>", letter(i), kAbsent);
          exact.emplace_back();
          continue;
        }
        const double ms = milliseconds(i, *row), cycles = to_double(row->cycles);
        std::vector<Segment> segments = cause_segments(row->cycles_by_cause, cycles, results_[i]);
        for (Segment& segment : segments) segment.value *= ms / std::max(cycles, 1.0);
        add("<td class=\"num\" data-of=\"{}\" data-v=\"{}\">{}{}</td>", letter(i), ms,
            escaped(format_time_ms(ms)), bar_svg(segments, full));
        exact.emplace_back(ms);
      }
      out_ += "</tr>\n";
    }
    out_ += "</tbody></table></div>\n" + figure_data(table) + "</section>\n";
  }

  /// What the configurations do not share; what differs from the first is marked.
  void differences() {
    std::vector<std::string> keys;
    std::map<std::string, std::vector<std::optional<std::string>>> values;
    for (std::size_t i = 0; i < results_.size(); ++i) {
      for (const auto& [key, value] : results_[i].config_echo) {
        const auto [it, is_new] = values.try_emplace(key, results_.size());
        if (is_new) keys.push_back(key);
        it->second[i] = value;
      }
    }
    std::size_t equal = 0;
    std::string rows;
    FigureTable table{{"key"}, {}};
    table.columns.insert(table.columns.end(), names_.begin(), names_.end());
    for (const std::string& key : keys) {
      const auto& of_runs = values.at(key);
      if (std::ranges::all_of(of_runs, [&](const auto& value) { return value == of_runs[0]; })) {
        ++equal;
        continue;
      }
      rows += "<tr><th>" + escaped(key) + "</th>";
      std::vector<FigureValue>& exact = table.rows.emplace_back();
      exact.emplace_back(key);
      for (std::size_t i = 0; i < of_runs.size(); ++i) {
        const auto& value = of_runs[i];
        rows += fmt::format("<td{} data-of=\"{}\">{}</td>",
                            value == of_runs[0] ? "" : " class=\"differs\"", letter(i),
                            value ? escaped(config_value(key, *value)) : std::string(kAbsent));
        exact.push_back(value ? FigureValue(*value) : FigureValue());
      }
      rows += "</tr>\n";
    }
    if (keys.empty()) return;
    out_ +=
        figure_top("config", "What differs in the configurations",
                   fmt::format("{} of {} keys; the others are equal. Marked: what is not as in {}.",
                               keys.size() - equal, keys.size(), names_[0]),
                   "data-short=\"Configurations\"");
    if (!rows.empty()) {
      add("{}<div class=\"wide\"><table class=\"searched apart stacked{}\" "
          "data-few=\"30\"><thead><tr><th>key</th>",
          letters(), many() ? " many" : "");
      for (std::size_t i = 0; i < results_.size(); ++i) out_ += column_head(i, "");
      add("</tr></thead><tbody>\n{}</tbody></table></div>\n", rows);
    }
    out_ += figure_data(table) + "</section>\n";
  }

  std::span<const RunResult> results_;
  std::string_view command_;
  std::vector<std::string> names_;
  RoofBoundsByName bounds_;
  std::size_t panels_ = 0;
  std::string out_;
};

}  // namespace

std::string comparison_to_html(std::span<const RunResult> results, std::string_view command) {
  return ComparisonPage(results, command)();
}

}  // namespace systole::reports
