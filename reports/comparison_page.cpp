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

#include "reports/format.hpp"
#include "reports/markup.hpp"
#include "reports/page.hpp"
#include "reports/run_page.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

double to_double(std::uint64_t count) { return static_cast<double>(count); }

/// Operations that have bars of their own.
constexpr std::size_t kTopOperations = 16;

class ComparisonPage {
 public:
  ComparisonPage(std::span<const RunResult> results, std::string_view command)
      : results_(results), command_(command), names_(short_names(results)) {}

  std::string operator()() {
    PageHead head;
    head.title =
        results_.empty() ? "No results" : fmt::format("Comparison of {} runs", results_.size());
    head.kind = "comparison";
    for (std::size_t i = 0; i < results_.size(); ++i) {
      head.remark += (i == 0 ? "" : " \u00a0 ") + letter(i) + " \u00b7 " + title_of(results_[i]);
    }
    out_ = page_top(head);
    if (!results_.empty()) {
      sides();
      panels();
      operations();
      differences();
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

  void run(std::size_t i) {
    const RunResult& r = results_[i];
    add("<article id=\"r{}\" data-short=\"{}\">\n<h2>{}</h2><p class=\"sub\">{}</p>\n", i,
        letter(i), escaped(letter(i) + " \u00b7 " + title_of(r)), escaped(run_remark(r)));
    const std::string prefix = fmt::format("r{}-", i);
    if (i == 0) {
      out_ += run_sections(r, prefix);
    } else {
      // A thousand keys once are enough: what is not as in the first stands further up.
      RunResult shown = r;
      shown.config_echo.clear();
      out_ += run_sections(shown, prefix);
      add("<section><h3>Configuration</h3><p class=\"note\">As that of {}, but for <a "
          "href=\"#config\">what differs</a>.</p></section>\n",
          escaped(names_[0]));
    }
    if (!r.command.empty()) {
      add("<section><h3>Run it again</h3><pre>{}</pre></section>\n", escaped(r.command));
    }
    out_ += "</article>\n";
  }

  struct Metric {
    std::string_view label;
    std::function<std::optional<double>(const RunResult&)> value;
    std::function<std::string(double)> text;
    int better;         ///< -1 lower, +1 higher, 0 neither
    bool ratio = true;  ///< to the first says something: not where values span decades
  };

  static std::vector<Metric> metrics() {
    using R = RunResult;
    const auto plain = [](double v) { return number(v); };
    return {
        {"perplexity",
         [](const R& r) { return r.quality ? std::optional(r.quality->perplexity) : std::nullopt; },
         [](double v) { return number(v, 4); }, -1},
        {"KL from unquantised, nats",
         [](const R& r) { return r.quality ? r.quality->kl : std::nullopt; },
         [](double v) { return format_figure("kl_divergence", v); }, -1, false},
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
        "of a row.{}</p>\n<div "
        "class=\"wide\"><table class=\"sides\"><thead><tr><th></th>",
        escaped(names_[0]),
        same_work ? ""
                  : " <strong>These runs differ in model or token counts: times and energies do "
                    "not compare.</strong>");
    for (const std::string& name : names_) add("<th class=\"num\">{}</th>", escaped(name));
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
      add("<tr><th>{}</th>", metric.label);
      std::vector<FigureValue>& exact = table.rows.emplace_back();
      exact.emplace_back(std::string(metric.label));
      for (const auto& value : values) exact.push_back(value ? FigureValue(*value) : FigureValue());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::optional<double> ratio =
            values[i] && values[0] ? share_of(*values[i], *values[0]) : std::nullopt;
        add("<td class=\"num{}\">{}{}</td>", best && values[i] == best && !all_equal ? " best" : "",
            values[i] ? escaped(metric.text(*values[i])) : std::string(kAbsent),
            fmt::format("<span class=\"ratio\">{}</span>",
                        i != 0 && ratio && metric.better != 0 && metric.ratio
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
    std::string cause_legend;
    for (std::size_t c = 0; c < kCycleCauseCount; ++c)
      cause_legend += legend_item(c, cause_label(c));

    panel(
        "TTFT by cause", "Time to first token; lower is better.", cause_legend,
        [&](const RunResult& r) { return std::optional(r.ttft_ms); }, format_time_ms,
        [&](const RunResult& r) { return time_segments(r, "prefill", r.ttft_ms); });
    panel(
        "TPOT by cause", "Time per output token; lower is better.", cause_legend,
        [&](const RunResult& r) { return r.tpot_ms; }, format_time_ms,
        [&](const RunResult& r) { return time_segments(r, "decode", r.tpot_ms.value_or(0)); });

    std::string component_legend;
    std::set<std::string> seen;
    for (const RunResult& r : results_) {
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
        "Energy by component", "Dynamic and static, whole run; lower is better.", component_legend,
        [](const RunResult& r) { return std::optional(r.energy_pj); }, format_energy_pj,
        [&](const RunResult& r) { return by_component(r, energy_of, format_energy_pj); });
    panel(
        "Area by component", "On-chip parts.", component_legend,
        [](const RunResult& r) { return std::optional(r.area_mm2); }, format_area_mm2,
        [&](const RunResult& r) {
          return by_component(
              r, [](const ComponentRow& row) { return row.area_mm2; }, format_area_mm2);
        });
    panel(
        "Perplexity", "Lower is better; the bar starts at 0.", "",
        [](const RunResult& r) {
          return r.quality ? std::optional(r.quality->perplexity) : std::nullopt;
        },
        [](double v) { return number(v, 4); },
        [](const RunResult& r) {
          const double value = r.quality ? r.quality->perplexity : 0;
          return std::vector<Segment>{{value, 0, number(value, 4), false}};
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
      add("<div class=\"row short\"><span class=\"name\">{}</span><span "
          "class=\"track\">{}</span><span "
          "class=\"num\" data-ratio=\"{}\">{}</span><span class=\"num dim\">{}</span></div>\n",
          escaped(names_[i]), bar_svg(parts, full), escaped(ratio), escaped(figure),
          escaped(ratio));
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
    for (std::size_t c = 0; c < kCycleCauseCount; ++c) legend += legend_item(c, cause_label(c));
    add("<ul class=\"legend\">{}</ul><div class=\"wide\"><table class=\"sortable searched "
        "operations "
        "matrix\" data-few=\"{}\"><thead><tr><th>operation</th><th>phase</th>",
        legend, kTopOperations);
    FigureTable table{{"operation", "phase"}, {}};
    for (const std::string& name : names_) {
      add("<th class=\"num\">{}</th>", escaped(name));
      table.columns.push_back(name + " [ms]");
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
          out_ += "<td class=\"num\" data-v=\"-1\">" + std::string(kAbsent) + "</td>";
          exact.emplace_back();
          continue;
        }
        const double ms = milliseconds(i, *row), cycles = to_double(row->cycles);
        std::vector<Segment> segments = cause_segments(row->cycles_by_cause, cycles, results_[i]);
        for (Segment& segment : segments) segment.value *= ms / std::max(cycles, 1.0);
        add("<td class=\"num\" data-v=\"{}\">{}{}</td>", ms, escaped(format_time_ms(ms)),
            bar_svg(segments, full));
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
      for (const auto& value : of_runs) {
        rows += fmt::format("<td{}>{}</td>", value == of_runs[0] ? "" : " class=\"differs\"",
                            value ? escaped(*value) : std::string(kAbsent));
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
      add("<div class=\"wide\"><table class=\"searched apart\" "
          "data-few=\"30\"><thead><tr><th>key</th>");
      for (const std::string& name : names_) add("<th>{}</th>", escaped(name));
      add("</tr></thead><tbody>\n{}</tbody></table></div>\n", rows);
    }
    out_ += figure_data(table) + "</section>\n";
  }

  std::span<const RunResult> results_;
  std::string_view command_;
  std::vector<std::string> names_;
  std::size_t panels_ = 0;
  std::string out_;
};

}  // namespace

std::string comparison_to_html(std::span<const RunResult> results, std::string_view command) {
  return ComparisonPage(results, command)();
}

}  // namespace systole::reports
