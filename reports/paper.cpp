#include "reports/paper.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/csv.hpp"
#include "reports/format.hpp"
#include "reports/markup.hpp"
#include "reports/page.hpp"

namespace systole::reports {
namespace {

/// More metrics than this are layers of one network: they share a table, and the page draws the
/// ones that every pair has.
constexpr std::size_t kMostTables = 12;

/// Colours of published, reproduced and physical bars.
constexpr std::size_t kPublishedColour = 5, kReproducedColour = 0, kPhysicalColour = 2;

/// Distinct values of a field, in order of first appearance.
std::vector<std::string> distinct(const std::vector<PaperRow>& rows, std::string PaperRow::*field) {
  std::vector<std::string> values;
  std::set<std::string_view> seen;
  for (const PaperRow& row : rows) {
    if (seen.insert(row.*field).second) values.push_back(row.*field);
  }
  return values;
}

/// "prefill_onchip_uj" -> "prefill onchip uJ".
std::string title_of_metric(std::string_view metric) {
  std::string title(metric);
  std::ranges::replace(title, '_', ' ');
  for (const auto& [key, unit] : {std::pair<std::string_view, std::string_view>{" uj", " µJ"},
                                  {" mj", " mJ"},
                                  {" onchip", " on-chip"}}) {
    if (const std::size_t at = title.find(key); at != std::string::npos)
      title.replace(at, key.size(), unit);
  }
  return title;
}

/// As many decimals as the printed value has.
std::string like(const PaperRow& row, double value) {
  const std::size_t point = row.published.find('.');
  const std::size_t decimals = point == std::string::npos ? 0 : row.published.size() - point - 1;
  return fmt::format("{:.{}f}", value, decimals);
}

std::string cell_of(const PaperRow& row) {
  if (row.equal) return row.reproduced;
  return fmt::format("{} ({})", row.reproduced, row.published);
}

class Index {
 public:
  explicit Index(const PaperResult& result) {
    for (const PaperRow& row : result.rows) rows_[{row.network, row.machine, row.metric}] = &row;
  }
  const PaperRow* find(const std::string& network, const std::string& machine,
                       const std::string& metric) const {
    const auto it = rows_.find({network, machine, metric});
    return it == rows_.end() ? nullptr : it->second;
  }

 private:
  std::map<std::array<std::string, 3>, const PaperRow*> rows_;
};

bool has_physical(const PaperResult& result) {
  return std::ranges::any_of(result.rows,
                             [](const PaperRow& r) { return r.tile_timing.has_value(); });
}

/// The causes, each with the values it is about.
std::vector<std::pair<std::string, std::string>> causes(const PaperResult& result) {
  std::vector<std::pair<std::string, std::vector<const PaperRow*>>> by_note;
  for (const PaperRow& row : result.rows) {
    if (row.note.empty()) continue;
    const auto it = std::ranges::find(by_note, row.note, [](const auto& n) { return n.first; });
    if (it != by_note.end()) {
      it->second.push_back(&row);
    } else {
      by_note.push_back({row.note, {&row}});
    }
  }
  std::vector<std::pair<std::string, std::string>> result_notes;
  for (const auto& [note, rows] : by_note) {
    std::string about;
    std::set<std::string> said;
    for (const PaperRow* row : rows) {
      const std::string pair = row->network + " " + row->machine;
      if (said.insert(pair).second && said.size() <= 3) about += (about.empty() ? "" : ", ") + pair;
    }
    if (said.size() > 3) about += fmt::format(" and {} more", said.size() - 3);
    result_notes.emplace_back(std::move(about), note);
  }
  return result_notes;
}

// --- terminal ------------------------------------------------------------------------------------

struct Line {
  std::string label;
  std::string network, metric;
  bool physical = false;
};

class Terminal {
 public:
  Terminal(const PaperResult& result, bool colour, unsigned width)
      : result_(result), index_(result), colour_(colour), width_(std::max(40u, width)) {}

  std::string operator()() {
    const std::vector<std::string> metrics = distinct(result_.rows, &PaperRow::metric);
    const std::vector<std::string> networks = distinct(result_.rows, &PaperRow::network);
    out_ += wrapped_bold(printable(result_.summary)) + "\n";
    for (std::size_t i = 0; i < width_; ++i) out_ += "\u2500";
    out_ += "\n" + wrapped(paper_verdict(result_), width_, 0) + "\n";
    out_ += styled("2", wrapped(printable(result_.figure), width_, 0)) + "\n";
    out_ += styled("2", wrapped("A figure is the printed one, reproduced; where the two differ: "
                                "reproduced (printed).",
                                width_, 0)) +
            "\n";
    if (metrics.size() <= kMostTables) {
      for (const std::string& metric : metrics) {
        std::vector<Line> lines;
        for (const std::string& network : networks) add_lines(lines, network, network, metric);
        table(title_of_metric(metric), lines);
      }
    } else {
      for (const std::string& network : networks) {
        std::vector<Line> lines;
        for (const std::string& metric : metrics)
          add_lines(lines, title_of_metric(metric), network, metric);
        // In the order of the network's own rows: a shorter one has its sum earlier than others.
        std::ranges::stable_sort(lines, {}, [&](const Line& line) {
          return std::ranges::find_if(result_.rows,
                                      [&](const PaperRow& row) {
                                        return row.network == network && row.metric == line.metric;
                                      }) -
                 result_.rows.begin();
        });
        table(network, lines);
      }
    }
    notes();
    return std::move(out_);
  }

 private:
  std::string styled(std::string_view code, std::string_view text) const {
    if (!colour_ || text.empty()) return std::string(text);
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
  }
  std::string wrapped_bold(std::string_view text) const {
    return styled("1", wrapped(text, width_, 0));
  }

  void add_lines(std::vector<Line>& lines, const std::string& label, const std::string& network,
                 const std::string& metric) const {
    bool any = false, physical = false;
    for (const std::string& machine : distinct(result_.rows, &PaperRow::machine)) {
      const PaperRow* row = index_.find(network, machine, metric);
      any |= row != nullptr;
      physical |= row != nullptr && row->tile_timing.has_value();
    }
    if (!any) return;
    lines.push_back({label, network, metric});
    if (physical) lines.push_back({"  physical", network, metric, true});
  }

  std::string text_of(const Line& line, const std::string& machine) const {
    const PaperRow* row = index_.find(line.network, machine, line.metric);
    if (row == nullptr) return "";
    if (!line.physical) return printable(cell_of(*row));
    return row->tile_timing ? like(*row, *row->tile_timing) : std::string(kAbsent);
  }

  /// Red where a value should be equal and is not even near; dim where the print is known wrong.
  std::string style_of(const Line& line, const std::string& machine, std::string_view text) const {
    const PaperRow* row = index_.find(line.network, machine, line.metric);
    if (row == nullptr) return std::string(text);
    if (line.physical || !row->matched) return styled("2", text);
    if (row->equal) return std::string(text);
    return styled(deviation(*row) <= result_.tolerance ? "33" : "31", text);
  }

  void table(const std::string& title, const std::vector<Line>& lines) {
    std::size_t label_width = display_width(title);
    for (const Line& line : lines)
      label_width = std::max(label_width, display_width(printable(line.label)));
    std::vector<std::pair<std::string, std::size_t>> columns;
    for (const std::string& machine : distinct(result_.rows, &PaperRow::machine)) {
      std::size_t width = 0;
      for (const Line& line : lines) width = std::max(width, display_width(text_of(line, machine)));
      if (width > 0) columns.emplace_back(machine, std::max(width, display_width(machine)));
    }
    for (std::size_t first = 0; first < columns.size();) {
      std::size_t last = first, used = label_width;
      while (last < columns.size() &&
             (last == first || used + 2 + columns[last].second <= width_)) {
        used += 2 + columns[last++].second;
      }
      std::string head = fit(title, label_width);
      for (std::size_t c = first; c < last; ++c)
        head += "  " + fit(printable(columns[c].first), columns[c].second, true);
      out_ += "\n" + styled("1", head) + "\n";
      for (const Line& line : lines) {
        std::string text = fit(printable(line.label), label_width);
        if (line.physical) text = styled("2", text);
        std::string cells;
        for (std::size_t c = first; c < last; ++c) {
          const auto& [machine, width] = columns[c];
          cells += "  " + style_of(line, machine, fit(text_of(line, machine), width, true));
        }
        // Padding at the end of a line is invisible and breaks copying.
        text += cells;
        out_ += text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
      }
      first = last;
    }
  }

  void notes() {
    const auto list = causes(result_);
    if (list.empty() && result_.note.empty()) return;
    out_ += "\n" + styled("1", "Notes") + "\n";
    if (!result_.note.empty()) out_ += wrapped(printable(result_.note), width_, 0) + "\n";
    for (const auto& [about, note] : list)
      out_ += wrapped("\u2022 " + printable(about) + ": " + printable(note), width_, 2) + "\n";
  }

  const PaperResult& result_;
  Index index_;
  bool colour_;
  std::size_t width_;
  std::string out_;
};

// --- page ----------------------------------------------------------------------------------------

class PaperPage {
 public:
  explicit PaperPage(const PaperResult& result)
      : result_(result), index_(result), physical_(has_physical(result)) {}

  std::string operator()() {
    PageHead head;
    head.title = result_.name;
    head.kind = "a paper's printed values beside its own model's";
    head.heading = result_.summary;
    head.remark = result_.figure;
    head.verdict = paper_verdict(result_);
    head.body_class = "paper";
    out_ = page_top(head);
    tiles();
    legend();
    charts();
    notes();
    rows();
    return out_ + page_bottom(result_.version, result_.command);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... arguments) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(arguments)...);
  }

  void tile(std::string_view label, std::string_view value, std::string_view detail) {
    out_ += tile_markup(label, value, detail);
  }

  void tally_tile(std::string_view label, const PaperResult::Tally& tally) {
    if (tally.compared == 0) return tile(label, kAbsent, "none printed");
    if (result_.tolerance > 0) {
      return tile(label, fmt::format("{} of {}", tally.within, tally.compared),
                  fmt::format("within {}; {} equal at the printed digits",
                              format_share(result_.tolerance), tally.equal));
    }
    tile(label, fmt::format("{} of {}", tally.equal, tally.compared),
         "equal at the printed digits");
  }

  void tiles() {
    out_ += "<section class=\"tiles\">\n";
    tally_tile("values by network", result_.tally(false));
    tally_tile("means over networks", result_.tally(true));
    tile("known errors in print", fmt::format("{}", result_.errata()),
         result_.errata() == 0 ? "none" : "shown, not matched");
    tile("physical timing", physical_ ? "shown" : kAbsent,
         physical_ ? "the timing of systole run, same machine and layers" : "not run");
    out_ += "</section>\n";
  }

  void legend() {
    out_ += "<ul class=\"legend\">";
    const auto item = [&](std::size_t colour, std::string_view text) {
      add("<li>{}{}</li>", swatch_svg(colour), escaped(text));
    };
    item(kPublishedColour, "printed in the paper");
    item(kReproducedColour, "reproduced by the paper's own model");
    if (physical_) item(kPhysicalColour, "physical: systole's timing of the same machine");
    out_ += "</ul>\n";
  }

  /// The metrics that are drawn: all, or where these are too many the ones that most pairs have.
  std::vector<std::string> drawn() const {
    std::vector<std::string> metrics = distinct(result_.rows, &PaperRow::metric);
    if (metrics.size() <= kMostTables) return metrics;
    std::map<std::string, std::size_t> pairs;
    std::size_t most = 0;
    for (const PaperRow& row : result_.rows) most = std::max(most, ++pairs[row.metric]);
    std::erase_if(metrics, [&](const std::string& metric) { return pairs[metric] < most; });
    return metrics;
  }

  void charts() {
    const std::vector<std::string> metrics = drawn();
    for (const std::string& metric : metrics) {
      const std::string title = title_of_metric(metric);
      out_ += bare_figure_top(
          metric, title,
          fmt::format("Bars of a network share one scale. Figures: printed, reproduced{}.",
                      physical_ ? ", physical" : ""),
          title);
      out_ += "<div class=\"two\">\n";
      FigureTable table{{"network", "accelerator", "printed", "reproduced", "equal", "tile_timing"},
                        {}};
      for (const PaperRow& row : result_.rows) {
        if (row.metric != metric) continue;
        table.rows.push_back({row.network, row.machine, row.published_value, row.reproduced_value,
                              row.equal ? "yes" : "no",
                              row.tile_timing ? FigureValue(*row.tile_timing) : FigureValue()});
      }
      for (const std::string& network : distinct(result_.rows, &PaperRow::network))
        chart(network, metric);
      out_ += "</div>\n" + figure_data(table) + "</section>\n";
    }
  }

  void chart(const std::string& network, const std::string& metric) {
    std::vector<const PaperRow*> bars;
    double full = 0;
    std::size_t digits = 4;
    for (const std::string& machine : distinct(result_.rows, &PaperRow::machine)) {
      const PaperRow* row = index_.find(network, machine, metric);
      if (row == nullptr) continue;
      bars.push_back(row);
      digits = std::max({digits, row->published.size(), row->reproduced.size()});
      full = std::max(
          {full, row->published_value, row->reproduced_value, row->tile_timing.value_or(0)});
    }
    if (bars.empty()) return;
    // Figures of one width, so that the bars of a section start and end alike.
    add("<section style=\"--figure:{}ch\"><h3>{}</h3>\n", digits + 1,
        escaped(network == "mean" ? "mean over networks" : network));
    for (const PaperRow* row : bars) {
      std::string tracks;
      const auto track = [&](double value, std::size_t colour, std::string_view what,
                             std::string_view text) {
        const Segment segment{value, colour, fmt::format("{}, {}: {}", row->machine, what, text)};
        tracks += bar_svg({&segment, 1}, full);
      };
      track(row->published_value, kPublishedColour, "printed", row->published);
      track(row->reproduced_value, kReproducedColour, "reproduced", row->reproduced);
      std::string physical;
      if (row->tile_timing) {
        physical = like(*row, *row->tile_timing);
        track(*row->tile_timing, kPhysicalColour, "physical", physical);
      }
      add("<div class=\"row{}\"><span class=\"name\" title=\"{}\">{}</span><span "
          "class=\"track\">{}</span><span class=\"num dim\">{}</span><span class=\"num\">{} "
          "{}</span>",
          row->matched ? "" : " wrong", escaped(row->machine), escaped(row->machine), tracks,
          escaped(row->published), row->equal ? "=" : "\u2260", escaped(row->reproduced));
      if (physical_) add("<span class=\"num\">{}</span>", escaped(physical));
      out_ += "</div>\n";
    }
    out_ += "</section>\n";
  }

  void notes() {
    const auto list = causes(result_);
    out_ += "<section id=\"notes\"><h3>Notes</h3>\n";
    if (!result_.note.empty()) add("<p>{}</p>\n", escaped(result_.note));
    if (!list.empty()) {
      out_ += "<table class=\"pairs\"><tbody>\n";
      for (const auto& [about, note] : list)
        add("<tr><th>{}</th><td>{}</td></tr>\n", escaped(about), escaped(note));
      out_ += "</tbody></table>\n";
    }
    add("<p class=\"note\">Source: {}</p></section>\n", escaped(result_.source));
  }

  void rows() {
    add("<details id=\"values\" data-short=\"All values\"><summary>All {} values</summary>\n<div "
        "class=\"wide\"><table "
        "class=\"sortable "
        "searched\"><thead><tr><th>network</th><th>accelerator</th><th>metric</th><th "
        "class=\"num\">printed</th><th class=\"num\">reproduced</th><th class=\"num\">physical</th>"
        "<th>note</th></tr></thead><tbody>\n",
        result_.rows.size());
    const auto figure = [&](std::string_view text, double sort, bool strong) {
      add("<td class=\"num{}\" data-v=\"{}\">{}</td>", strong ? " best" : "",
          std::isfinite(sort) ? sort : -1.0, escaped(text));
    };
    for (const PaperRow& row : result_.rows) {
      add("<tr><td>{}</td><td>{}</td><td>{}</td>", escaped(row.network), escaped(row.machine),
          escaped(title_of_metric(row.metric)));
      figure(row.published, row.published_value, false);
      figure((row.equal ? "= " : "\u2260 ") + row.reproduced, row.reproduced_value, !row.equal);
      figure(row.tile_timing ? like(row, *row.tile_timing) : std::string(kAbsent),
             row.tile_timing.value_or(-1), false);
      add("<td>{}</td></tr>\n", escaped(row.note));
    }
    out_ += "</tbody></table></div></details>\n";
  }

  const PaperResult& result_;
  Index index_;
  bool physical_;
  std::string out_;
};

}  // namespace

std::string paper_verdict(const PaperResult& result) {
  const auto counted = [&](const PaperResult::Tally& tally, std::string_view what) {
    std::string text =
        fmt::format("{} of {} {} equal at their printed digits", tally.equal, tally.compared, what);
    if (result.tolerance > 0) {
      text += fmt::format(", {} of {} within {}", tally.within, tally.compared,
                          format_share(result.tolerance));
    }
    return text;
  };
  const PaperResult::Tally values = result.tally(false), means = result.tally(true);
  std::string text;
  if (values.compared > 0) text = counted(values, "values");
  if (means.compared > 0) text += (text.empty() ? "" : "; ") + counted(means, "means");
  if (result.errata() > 0) {
    text += fmt::format("; {} known to be wrong in print, shown and not matched", result.errata());
  }
  return text;
}

std::string paper_to_terminal(const PaperResult& result, bool colour, unsigned width) {
  return Terminal(result, colour, width)();
}

std::string paper_to_html(const PaperResult& result) { return PaperPage(result)(); }

std::string paper_to_json(const PaperResult& result) {
  const auto value_of = [](const std::string& text) {
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  };
  nlohmann::ordered_json document;
  const PaperResult::Tally values = result.tally(false), means = result.tally(true);
  document["summary"] = {{"paper", result.name},          {"figure", result.figure},
                         {"source", result.source},       {"note", result.note},
                         {"tolerance", result.tolerance}, {"values", values.compared},
                         {"values_equal", values.equal},  {"values_within", values.within},
                         {"means", means.compared},       {"means_equal", means.equal},
                         {"means_within", means.within},  {"errata", result.errata()}};
  document["rows"] = nlohmann::ordered_json::array();
  for (const PaperRow& row : result.rows) {
    nlohmann::ordered_json entry = {{"network", row.network},
                                    {"accelerator", row.machine},
                                    {"metric", row.metric},
                                    {"published", value_of(row.published)},
                                    {"reproduced", value_of(row.reproduced)},
                                    {"reproduced_unrounded", row.reproduced_value},
                                    {"equal", row.equal},
                                    {"matched", row.matched},
                                    {"tile_timing", nullptr},
                                    {"note", row.note}};
    if (row.tile_timing) entry["tile_timing"] = *row.tile_timing;
    document["rows"].push_back(std::move(entry));
  }
  document["schema_version"] = kPaperJsonSchemaVersion;
  return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string paper_to_csv(const PaperResult& result, Separated how) {
  std::string out = separated_line({"network", "accelerator", "metric", "published", "reproduced",
                                    "equal", "matched", "tile_timing", "note"},
                                   how);
  for (const PaperRow& row : result.rows) {
    out += separated_line({row.network, row.machine, row.metric, row.published, row.reproduced,
                           row.equal ? "true" : "false", row.matched ? "true" : "false",
                           row.tile_timing ? exact(*row.tile_timing) : "", row.note},
                          how);
  }
  return out;
}

std::vector<Table> paper_tables(const PaperResult& result) {
  const Index index(result);
  const std::vector<std::string> machines = distinct(result.rows, &PaperRow::machine);
  std::vector<Table> tables;
  const auto start = [&](const std::string& title, std::string_view what) {
    tables.push_back({title + " (reproduced; printed in brackets where it differs)",
                      "l" + std::string(machines.size(), 'r'),
                      {{std::string(what)}}});
    tables.back().lines[0].insert(tables.back().lines[0].end(), machines.begin(), machines.end());
  };
  const auto add = [&](const std::string& label, const std::string& network,
                       const std::string& metric) {
    std::vector<std::string> cells = {label}, physical = {label + ", physical"};
    bool any = false, timed = false;
    for (const std::string& machine : machines) {
      const PaperRow* row = index.find(network, machine, metric);
      any |= row != nullptr;
      timed |= row != nullptr && row->tile_timing.has_value();
      cells.push_back(row == nullptr ? std::string(kAbsent) : cell_of(*row));
      physical.push_back(row != nullptr && row->tile_timing ? like(*row, *row->tile_timing)
                                                            : std::string(kAbsent));
    }
    if (any) tables.back().lines.push_back(std::move(cells));
    if (timed) tables.back().lines.push_back(std::move(physical));
  };
  const std::vector<std::string> metrics = distinct(result.rows, &PaperRow::metric),
                                 networks = distinct(result.rows, &PaperRow::network);
  if (metrics.size() <= kMostTables) {
    for (const std::string& metric : metrics) {
      start(result.name + ": " + title_of_metric(metric), "network");
      for (const std::string& network : networks) add(network, network, metric);
    }
  } else {
    for (const std::string& network : networks) {
      start(result.name + ": " + network, "metric");
      for (const std::string& metric : metrics) add(title_of_metric(metric), network, metric);
    }
  }
  return tables;
}

}  // namespace systole::reports
