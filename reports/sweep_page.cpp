// The page of a sweep.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "reports/html.hpp"
#include "reports/markup.hpp"
#include "reports/page.hpp"
#include "reports/sweep.hpp"
#include "reports/sweep_script.hpp"
#include "sim/core/fidelity.hpp"
#include "sim/core/point_command.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::ordered_json;

/// A browser draws so many lines without a wait; of more, the front and an even sample are drawn.
constexpr std::size_t kDrawn = 3000;
constexpr std::size_t kTableRows = 200;
/// Full reports that are more than this leave their timelines out.
constexpr std::size_t kHeavyBytes = 4'000'000;

/// Of Print, in its order, as the script knows them.
constexpr std::array<std::string_view, 12> kPrintNames = {"number", "count",    "exact", "whole",
                                                          "share",  "change",   "ratio", "setting",
                                                          "time",   "prefixed", "bytes", "binary"};

class SweepPage {
 public:
  SweepPage(const SweepResult& result, const SweepSummary& summary, std::string_view command)
      : r_(result), s_(summary), command_(command), front_(summary.front) {
    collect();
  }

  std::string operator()() {
    PageHead head;
    head.title = printable(r_.name);
    head.kind = "sweep";
    head.remark = r_.summary;
    head.style = kSweepStyle;
    out_ = page_top(head);
    out_ += "<section class=\"tiles\">";
    tile(
        "points", format_exact(s_.points),
        fmt::format("of a grid of {}; {}, {}", format_exact(r_.grid_points), r_.search, r_.timing));
    tile("feasible", format_exact(s_.feasible), constraints_text());
    tile("on the Pareto front", format_exact(front_.size()), objectives_text());
    tile("cannot be", format_exact(s_.refused + s_.failed), "refused, each with its reason");
    for (const FidelityAgreement& agreement : fidelity_agreement(r_)) {
      const std::string text = to_text(agreement, r_);
      tile("order of both timings", std::string(figure_label(agreement.figure)),
           text.substr(agreement.figure.size() + 2));
    }
    out_ += "</section>\n";
    if (s_.points > 0 && !r_.objectives.empty()) plots();
    front_table();
    best_table();
    effects();
    about();
    out_ +=
        "<p class=\"note\">The points as a table, to the last digit: systole sweep export. Tables "
        "saved here have six digits of figures that are no objectives.</p>\n";
    if (s_.points == 0 || r_.objectives.empty()) return out_ + page_bottom(r_.version, command_);
    out_ += reports_data();
    return out_ +
           page_bottom(r_.version, command_, fmt::format("const D={};\n{}", data(), kSweepScript));
  }

 private:
  template <class... T>
  void add(fmt::format_string<T...> format, T&&... values) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<T>(values)...);
  }

  struct Best {
    double cost = 0;
    std::uint64_t id = 0;
  };

  void tile(std::string_view label, const std::string& value, const std::string& detail) {
    out_ += tile_markup(label, value, detail);
  }

  std::string constraints_text() const {
    std::string text;
    for (const std::string& each : r_.constraints) text += (text.empty() ? "" : "; ") + each;
    return text.empty() ? "no constraints" : text;
  }
  std::string objectives_text() const {
    std::string text;
    for (const SweepObjective& objective : r_.objectives) {
      text += (text.empty() ? "" : ", ") + objective_label(objective);
    }
    std::string scenarios;
    for (const SweepAxis& axis : r_.axes) {
      if (axis.scenario)
        scenarios += (scenarios.empty() ? "; for each " : " and ") + short_name(axis.path);
    }
    return text + scenarios;
  }

  std::string short_name(const std::string& path) const {
    const std::string last = path.substr(path.rfind('.') + 1);
    const auto same = std::ranges::count_if(r_.axes, [&](const SweepAxis& axis) {
      return axis.path.substr(axis.path.rfind('.') + 1) == last;
    });
    return same == 1 ? last : path;
  }

  /// The points that are drawn: all, or the front, those with a report and an even sample of the
  /// rest; and beside them,
  /// for the heat maps, the best of each cell of two axes, which a sample would miss.
  void collect() {
    const std::uint64_t front = std::min<std::uint64_t>(front_.size(), kDrawn / 2);
    const std::uint64_t stride = s_.points / (kDrawn - front) + 1;
    sampled_ = stride > 1;
    std::map<std::array<std::uint64_t, 5>, Best> best;  // objective, two axes, their values
    std::uint64_t number = 0, of_front = 0;
    const std::uint64_t front_stride = front_.size() / (kDrawn / 2) + 1;
    r_.points->each([&](const SweepPoint& point) {
      bool shown = number++ % stride == 0;
      if (s_.on_front(point.id)) shown = shown || of_front++ % front_stride == 0;
      shown = shown || r_.report_of(point.id) != nullptr;
      if (shown) {
        drawn_.push_back(point);
        return;
      }
      if (!point.feasible()) return;
      for (std::size_t o = 0; o < r_.objectives.size(); ++o) {
        const double cost = r_.cost(point, r_.objectives[o]);
        if (!std::isfinite(cost)) continue;
        for (std::size_t a = 0; a < r_.axes.size(); ++a) {
          for (std::size_t b = a + 1; b < r_.axes.size(); ++b) {
            const std::array<std::uint64_t, 5> cell = {o, a, b, point.axis[a], point.axis[b]};
            const auto [it, added] = best.try_emplace(cell, Best{cost, point.id});
            if (!added && cost < it->second.cost) it->second = {cost, point.id};
          }
        }
      }
    });
    drawn_count_ = drawn_.size();
    std::set<std::uint64_t> wanted;
    for (const auto& [cell, each] : best) {
      if (wanted.size() < kDrawn) wanted.insert(each.id);
    }
    if (wanted.empty()) return;
    r_.points->each([&](const SweepPoint& point) {
      if (wanted.contains(point.id)) drawn_.push_back(point);
    });
  }

  void plots() {
    out_ += "<div class=\"needs-script\" id=\"points\" hidden=\"hidden\">" +
            figure_top("axes", "All axes and objectives",
                       "A line is a point: blue on the front, dashed where a constraint does not "
                       "hold. The arrow says which way is better.") +
            "<p class=\"note hint\">Point at a line for its figures, click to keep it, Escape lets "
            "go." +
            (r_.reports.empty() ? ""
                                : " A click on a point with a full report opens it; the tables "
                                  "say which have one.") +
            "</p>";
    out_ += "<div class=\"wide\">" + plot("parallel", "parallel coordinates") + "</div>" +
            figure_data({}) +
            "</section></div>\n<div class=\"views needs-script\" hidden=\"hidden\">" +
            figure_top("two", "Two figures", "") + "<div class=\"controls\">" +
            chooser("across", "sx") + chooser("up", "sy") + "</div>" + plot("scatter", "scatter") +
            figure_data({}) + "</section>" + figure_top("best-of-two", "Best over two axes", "") +
            "<div class=\"controls\">" + chooser("across", "hx") + chooser("up", "hy") +
            chooser("figure", "hf") + "</div>" + plot("heat", "heat map") + figure_data({}) +
            "</section>" + "</div>\n<section id=\"point\" hidden=\"hidden\"></section>\n";
    if (sampled_) {
      add("<p class=\"note\">Drawn: {} of {} points, the front and an even sample of the rest. The "
          "heat maps of the objectives are of all points, unless the axes have very many values; "
          "tables and bars are of all.</p>\n",
          format_exact(drawn_count_), format_exact(s_.points));
    }
  }

  /// Drawn by the script, which also fills in the table that is saved.
  static std::string plot(std::string_view id, std::string_view label) {
    return fmt::format("<svg id=\"{}\" class=\"plot\" role=\"img\" aria-label=\"{}\"></svg>", id,
                       label);
  }
  static std::string chooser(std::string_view label, std::string_view id) {
    return fmt::format("<label>{} <select id=\"{}\"></select></label>", label, id);
  }

  std::string heading_cells() const {
    std::string text;
    for (const SweepAxis& axis : r_.axes) {
      text += fmt::format("<th{}>{}</th>", axis.numeric ? " class=\"num\"" : "",
                          escaped(short_name(axis.path)));
    }
    for (const SweepObjective& objective : r_.objectives) {
      const SweepFigure& figure = kSweepFigures.at(find_figure(objective.figure));
      text += fmt::format("<th class=\"num\" data-unit=\"{}\">{}</th>",
                          figure.unit == "1" ? "" : figure.unit,
                          escaped(figure_label(objective.figure)));
    }
    return text;
  }

  std::string point_cells(const SweepPoint& point) const {
    std::string text;
    for (std::size_t a = 0; a < r_.axes.size(); ++a) {
      text += fmt::format("<td{}>{}</td>", r_.axes[a].numeric ? " class=\"num\"" : "",
                          escaped(r_.axes[a].values[point.axis[a]]));
    }
    for (const SweepObjective& objective : r_.objectives) {
      const double figure = point.record.figures.at(find_figure(objective.figure));
      text += fmt::format("<td class=\"num\" data-v=\"{}\">{}</td>", figure,
                          escaped(format_figure(objective.figure, figure)));
    }
    return text;
  }

  /// A column of buttons, where any point has a report.
  std::string report_heading() const {
    return r_.reports.empty() ? "" : "<th class=\"act\">report</th>";
  }
  std::string report_cell(const SweepPoint& point) const {
    if (r_.reports.empty()) return "";
    if (r_.report_of(point.id) == nullptr) return "<td class=\"act\"></td>";
    return fmt::format(
        "<td class=\"act\"><button type=\"button\" class=\"needs-script\" hidden=\"hidden\" "
        "data-report=\"{}\">Open</button></td>",
        point.id);
  }

  void front_table() {
    if (front_.empty()) return;
    add("<section id=\"front\"><h3>Pareto front</h3><p class=\"note\">No feasible point is better "
        "in all of: "
        "{}.{}</p><div class=\"wide\"><table "
        "class=\"sortable\"><thead><tr>{}{}<th>limited by</th></tr></thead><tbody>\n",
        escaped(objectives_text()),
        front_.size() > kTableRows ? fmt::format(" The first {} of {}.", kTableRows, front_.size())
                                   : "",
        report_heading(), heading_cells());
    for (std::size_t i = 0; i < std::min(kTableRows, front_.size()); ++i) {
      const SweepPoint& point = front_[i];
      add("<tr>{}{}<td>{}</td></tr>\n", report_cell(point), point_cells(point),
          escaped(point.record.limit));
    }
    out_ += "</tbody></table></div></section>\n";
  }

  void best_table() {
    if (front_.empty()) return;
    add("<section id=\"best\" data-short=\"Best\"><h3>Best of each objective, and what each "
        "constraint costs</h3><p "
        "class=\"note\">A constraint is listed where without it the best would be another "
        "point.</p><div class=\"wide\"><table><thead><tr>{}<th>objective</th><th>constraints</th>{}"
        "<th>limited by</th></tr></thead><tbody>\n",
        report_heading(), heading_cells());
    for (std::size_t o = 0; o < r_.objectives.size(); ++o) {
      const SweepObjective& objective = r_.objectives[o];
      for (const SweepSummary::Scenario& scenario : s_.scenarios) {
        const std::vector<std::optional<SweepPoint>>& best = scenario.best[o];
        const auto row = [&](const std::string& label, const SweepPoint& point) {
          add("<tr>{}<td>{}</td><td>{}</td>{}<td>{}</td></tr>\n", report_cell(point),
              escaped(objective_label(objective)), escaped(label), point_cells(point),
              escaped(point.record.limit));
        };
        if (best[0]) row("all", *best[0]);
        for (std::size_t c = 0; c < r_.constraints.size(); ++c) {
          if (best[c + 1] && (!best[0] || best[c + 1]->id != best[0]->id)) {
            row("without " + r_.constraints[c], *best[c + 1]);
          }
        }
      }
    }
    out_ += "</tbody></table></div></section>\n";
  }

  void effects() {
    if (s_.points == 0) return;
    out_ +=
        figure_top("effects", "What each axis does",
                   "Main effects over all points that were computed, feasible or not: the share of "
                   "the figure's variance that lies between the values of one axis, and the "
                   "largest mean over the smallest. What axes do together is in no bar.",
                   "data-short=\"Effects\"") +
        "<div class=\"two\">";
    FigureTable table{{"figure", "axis", "explained", "ratio"}, {}};
    for (std::size_t o = 0; o < r_.objectives.size(); ++o) {
      add("<div><h4>{}</h4>", escaped(figure_label(r_.objectives[o].figure)));
      std::vector<MainEffect> all = s_.effects[o];
      std::ranges::stable_sort(all, std::ranges::greater{}, &MainEffect::explained);
      for (const MainEffect& effect : all) {
        const Segment bar{effect.explained, 0, format_share(effect.explained)};
        add("<div class=\"effect\"><span class=\"name\">{}</span>{}<span class=\"num\">{}, "
            "{}</span></div>",
            escaped(short_name(r_.axes[effect.axis].path)), bar_svg({&bar, 1}, 1.0),
            format_share(effect.explained), format_ratio(effect.ratio));
        table.rows.push_back({std::string(r_.objectives[o].figure), r_.axes[effect.axis].path,
                              effect.explained, effect.ratio});
      }
      out_ += "</div>";
    }
    out_ += "</div>\n" + figure_data(table) + "</section>\n";
  }

  void about() {
    out_ +=
        "<details id=\"about\"><summary>The sweep</summary><div class=\"wide\"><table "
        "class=\"pairs\"><tbody>";
    const auto row = [&](const std::string& name, const std::string& text) {
      if (!text.empty()) add("<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(text));
    };
    row("source", r_.source);
    for (const auto& [name, value] : r_.base) row("base " + name, value);
    for (const SweepAxis& axis : r_.axes) {
      std::string values;
      for (const std::string& value : axis.values) values += (values.empty() ? "" : ", ") + value;
      row(axis.path, values);
    }
    for (const std::string& condition : r_.conditions) row("condition", condition);
    for (const std::string& constraint : r_.constraints) row("constraint", constraint);
    row("objectives", objectives_text());
    out_ += "</tbody></table></div></details>\n";
  }

  static Json json_of(double value) {
    // Six digits: what is drawn and shown needs no more, and the page stays small.
    if (!std::isfinite(value)) return nullptr;
    return std::stod(fmt::format("{:.6g}", value));
  }

  /// As JSON that stays inside its script element.
  std::string data() const {
    Json d;
    d["axes"] = Json::array();
    for (const SweepAxis& axis : r_.axes) {
      Json values = Json::array(), words = Json::array();
      for (const std::string& value : axis.values) {
        values.push_back(printable(value));
        words.push_back(printable(command_word(r_, value)));
      }
      d["axes"].push_back({{"name", printable(axis.path)},
                           {"short", printable(short_name(axis.path))},
                           {"values", values}});
      if (words != values) d["axes"].back()["words"] = words;
    }
    d["derived"] = Json::array();
    for (const std::string& name : r_.derived) d["derived"].push_back(printable(name));
    d["figures"] = Json::array();
    for (const SweepFigure& figure : kSweepFigures) {
      const FigureStyle& style = figure_style(figure.name);
      d["figures"].push_back({{"name", figure.name},
                              {"label", figure_label(figure.name)},
                              {"print", kPrintNames.at(static_cast<std::size_t>(style.print))},
                              {"unit", style.unit},
                              {"scale", style.scale},
                              {"digits", style.digits}});
    }
    d["objectives"] = Json::array();
    for (const SweepObjective& objective : r_.objectives) {
      d["objectives"].push_back(
          {{"figure", find_figure(objective.figure)}, {"max", objective.maximise}});
    }
    d["command"] = Json::array();
    const auto index = [](const std::optional<std::size_t>& place) {
      return place ? Json(*place) : Json(nullptr);
    };
    for (const CommandPart& part : command_parts(r_)) {
      d["command"].push_back({printable(part.text), index(part.axis), index(part.derived)});
    }
    d["points"] = Json::array();
    d["drawn"] = drawn_count_;
    for (const SweepPoint& point : drawn_) {
      Json figures = Json::array(), derived = Json::array();
      for (std::size_t f = 0; f < kSweepFigureCount; ++f) {
        const double value = point.record.figures[f];
        // What is sought is exact in the tables that are saved.
        const bool sought = std::ranges::any_of(
            r_.objectives, [f](const SweepObjective& o) { return find_figure(o.figure) == f; });
        figures.push_back(sought && std::isfinite(value) ? Json(value) : json_of(value));
      }
      // Exact: the command that the page gives sets them.
      for (const double value : point.derived) {
        derived.push_back(std::isfinite(value) ? Json(value) : Json(nullptr));
      }
      Json one = {{"id", point.id},
                  {"a", point.axis},
                  {"d", derived},
                  {"f", figures},
                  {"done", point.done()},
                  {"ok", point.feasible()},
                  {"front", s_.on_front(point.id)},
                  {"l", printable(point.record.limit)}};
      if (r_.report_of(point.id) != nullptr) one["r"] = true;
      if (!point.done()) one["m"] = printable(point.record.message);
      d["points"].push_back(std::move(one));
    }
    return in_script(d.dump(-1, ' ', false, Json::error_handler_t::replace));
  }

  /// The pages of the reports, as `systole report` makes each, for the script; without their
  /// timelines where they would be too much for one page.
  std::string reports_data() const {
    if (r_.reports.empty()) return "";
    std::string data = report_pages(true);
    if (data.size() > kHeavyBytes) {
      data =
          "<p class=\"note\">The reports here are without their timelines: systole sweep export "
          "--point gives all of one.</p>\n" +
          report_pages(false);
    }
    return data;
  }

  /// They have the style and the script of this page, marked by a character that no text has, and
  /// most of their lines in common: those are there once.
  std::string report_pages(bool timelines) const {
    constexpr std::string_view kStyleMark = "\x01", kScriptMark = "\x02";
    std::map<std::string, std::size_t, std::less<>> numbers;
    Json d = {{"lines", Json::array()}, {"pages", Json::object()}};
    for (const SweepReport& report : r_.reports) {
      RunResult result = report.result;
      if (!timelines) result.excerpt = {};
      std::string page = to_html({&result, 1});
      page.replace(page.find(kPageStyle), kPageStyle.size(), kStyleMark);
      page.replace(page.find(kPageScript), kPageScript.size(), kScriptMark);
      Json lines = Json::array();
      for (std::size_t from = 0, to = 0; to != std::string::npos; from = to + 1) {
        to = page.find('\n', from);
        const auto known = numbers.try_emplace(page.substr(from, to - from), numbers.size());
        if (known.second) d["lines"].push_back(known.first->first);
        lines.push_back(known.first->second);
      }
      d["pages"][std::to_string(report.id)] = std::move(lines);
    }
    return "<script type=\"application/json\" id=\"reports\">" +
           in_script(d.dump(-1, ' ', false, Json::error_handler_t::replace)) + "</script>\n";
  }

  const SweepResult& r_;
  const SweepSummary& s_;
  std::string_view command_;
  const std::vector<SweepPoint>& front_;
  std::vector<SweepPoint> drawn_;
  std::size_t drawn_count_ = 0;  ///< the others are for the heat maps
  bool sampled_ = false;
  std::string out_;
};

}  // namespace

std::string sweep_to_html(const SweepResult& result, const SweepSummary& summary,
                          std::string_view command) {
  return SweepPage(result, summary, command)();
}

}  // namespace systole::reports
