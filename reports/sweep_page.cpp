// The page of a sweep.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "reports/format.hpp"
#include "reports/html_style.hpp"
#include "reports/markup.hpp"
#include "reports/sweep.hpp"
#include "reports/sweep_script.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::ordered_json;

/// A browser draws so many lines without a wait; of more, the front and an even sample are drawn.
constexpr std::size_t kDrawn = 3000;
constexpr std::size_t kTableRows = 200;

class SweepPage {
 public:
  explicit SweepPage(const SweepResult& result) : r_(result), front_(pareto_front(result)) {
    on_front_.resize(r_.points.size());
    for (const std::size_t i : front_) on_front_[i] = true;
  }

  std::string operator()() {
    const auto count = [&](const auto& predicate) {
      return static_cast<std::uint64_t>(std::ranges::count_if(r_.points, predicate));
    };
    out_ +=
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'; script-src 'unsafe-inline'\"/>\n";
    add("<title>{} \u2013 "
        "Systole</title>\n<style>{}{}</style>\n</head>\n<body>\n<header><h1>{}</h1>"
        "<p class=\"sub\">{}</p></header>\n<main>\n",
        escaped(r_.name), kPageStyle, kSweepStyle, escaped(r_.name), escaped(r_.summary));
    out_ += "<section class=\"tiles\">";
    tile(
        "points", format_exact(r_.points.size()),
        fmt::format("of a grid of {}; {}, {}", format_exact(r_.grid_points), r_.search, r_.timing));
    tile("feasible", format_exact(count([](const SweepPoint& p) { return p.feasible(); })),
         constraints_text());
    tile("on the Pareto front", format_exact(front_.size()), objectives_text());
    tile("cannot be", format_exact(count([](const SweepPoint& p) { return !p.done(); })),
         "refused, each with its reason");
    out_ += "</section>\n";
    if (!r_.points.empty() && !r_.objectives.empty()) plots();
    front_table();
    best_table();
    effects();
    about();
    add("</main>\n<footer>Systole {}. The points as a table: systole sweep export.</footer>\n"
        "<script>{}</script>\n",
        escaped(r_.version), kPageScript);
    if (!r_.points.empty() && !r_.objectives.empty()) {
      add("<script>const D={};\n{}</script>\n", data(), kSweepScript);
    }
    out_ += "</body>\n</html>\n";
    return std::move(out_);
  }

 private:
  template <class... T>
  void add(fmt::format_string<T...> format, T&&... values) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<T>(values)...);
  }

  void tile(std::string_view label, const std::string& value, const std::string& detail) {
    add("<div class=\"tile\"><div class=\"label\">{}</div><div class=\"value\">{}</div><div "
        "class=\"detail\">{}</div></div>",
        label, value, escaped(detail));
  }

  std::string constraints_text() const {
    std::string text;
    for (const std::string& each : r_.constraints) text += (text.empty() ? "" : "; ") + each;
    return text.empty() ? "no constraints" : text;
  }
  std::string objectives_text() const {
    std::string text;
    for (const SweepObjective& objective : r_.objectives) {
      text += (text.empty() ? "" : ", ") + std::string(objective.maximise ? "max " : "min ") +
              objective.figure;
    }
    return text;
  }

  std::string short_name(const std::string& path) const {
    const std::string last = path.substr(path.rfind('.') + 1);
    const auto same = std::ranges::count_if(r_.axes, [&](const SweepAxis& axis) {
      return axis.path.substr(axis.path.rfind('.') + 1) == last;
    });
    return same == 1 ? last : path;
  }

  /// The points that are drawn.
  std::vector<std::size_t> drawn() const {
    std::vector<std::size_t> all;
    const std::size_t rest = kDrawn > front_.size() ? kDrawn - front_.size() : 0;
    const std::size_t stride = rest == 0 ? r_.points.size() + 1 : r_.points.size() / rest + 1;
    for (std::size_t i = 0; i < r_.points.size(); ++i) {
      if (on_front_[i] || i % stride == 0) all.push_back(i);
    }
    return all;
  }

  void plots() {
    out_ +=
        "<section class=\"needs-script\" hidden><h3>All axes and objectives</h3><p "
        "class=\"note\">A "
        "line is a point: blue on the front, dashed where a constraint does not hold. The arrow "
        "says which way is better. Point at a line for its figures, click to keep it, Escape lets "
        "go.</p><svg id=\"parallel\" class=\"plot\" role=\"img\" aria-label=\"parallel "
        "coordinates\"></svg></section>\n"
        "<div class=\"views needs-script\" hidden><section><h3>Two figures</h3><div "
        "class=\"controls\"><label>across <select id=\"sx\"></select></label><label>up <select "
        "id=\"sy\"></select></label></div><svg id=\"scatter\" class=\"plot\" role=\"img\" "
        "aria-label=\"scatter\"></svg></section><section><h3>Best over two axes</h3><div "
        "class=\"controls\"><label>across <select id=\"hx\"></select></label><label>up <select "
        "id=\"hy\"></select></label><label>figure <select id=\"hf\"></select></label></div><svg "
        "id=\"heat\" class=\"plot\" role=\"img\" aria-label=\"heat map\"></svg></section></div>\n"
        "<section id=\"point\" hidden></section>\n";
    const std::size_t shown = drawn().size();
    if (shown < r_.points.size()) {
      add("<p class=\"note\">Drawn: {} of {} points, the front and an even sample of the "
          "rest.</p>\n",
          format_exact(shown), format_exact(r_.points.size()));
    }
  }

  std::string heading_cells() const {
    std::string text;
    for (const SweepAxis& axis : r_.axes) {
      text += fmt::format("<th{}>{}</th>", axis.numeric ? " class=\"num\"" : "",
                          escaped(short_name(axis.path)));
    }
    for (const SweepObjective& objective : r_.objectives) {
      const SweepFigure& figure = kSweepFigures.at(find_figure(objective.figure));
      text += fmt::format("<th class=\"num\">{}{}</th>", figure.name,
                          figure.unit == "1" ? "" : fmt::format(" [{}]", figure.unit));
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
                          std::isfinite(figure) ? number(figure, 4) : std::string(kAbsent));
    }
    return text;
  }

  void front_table() {
    if (front_.empty()) return;
    add("<section><h3>Pareto front</h3><p class=\"note\">No feasible point is better in all of: "
        "{}.{} A click on a heading sorts.</p><div class=\"wide\"><table "
        "class=\"sortable\"><thead><tr>{}<th>limited by</th></tr></thead><tbody>\n",
        escaped(objectives_text()),
        front_.size() > kTableRows ? fmt::format(" The first {} of {}.", kTableRows, front_.size())
                                   : "",
        heading_cells());
    for (std::size_t i = 0; i < std::min(kTableRows, front_.size()); ++i) {
      const SweepPoint& point = r_.points[front_[i]];
      add("<tr>{}<td>{}</td></tr>\n", point_cells(point), escaped(point.record.limit));
    }
    out_ += "</tbody></table></div></section>\n";
  }

  void best_table() {
    if (front_.empty()) return;
    add("<section><h3>Best of each objective, and what each constraint costs</h3><p "
        "class=\"note\">A constraint is listed where without it the best would be another "
        "point.</p><div class=\"wide\"><table><thead><tr><th>objective</th><th>constraints</th>{}"
        "<th>limited by</th></tr></thead><tbody>\n",
        heading_cells());
    for (const SweepObjective& objective : r_.objectives) {
      const std::size_t best = best_point(r_, objective);
      const auto row = [&](const std::string& label, std::size_t i) {
        if (i == kNoPoint) return;
        add("<tr><td>{} {}</td><td>{}</td>{}<td>{}</td></tr>\n", objective.maximise ? "max" : "min",
            objective.figure, escaped(label), point_cells(r_.points[i]),
            escaped(r_.points[i].record.limit));
      };
      row("all", best);
      for (std::size_t c = 0; c < r_.constraints.size(); ++c) {
        const std::size_t without = best_point(r_, objective, c);
        if (without != best) row("without " + r_.constraints[c], without);
      }
    }
    out_ += "</tbody></table></div></section>\n";
  }

  void effects() {
    if (r_.points.empty()) return;
    out_ +=
        "<section><h3>What each axis does</h3><p class=\"note\">Main effects over all points that "
        "were computed, feasible or not: the share of the figure's variance that lies between the "
        "values of one axis, and the largest mean over the smallest. What axes do together is in "
        "no bar.</p><div class=\"two\">";
    for (const SweepObjective& objective : r_.objectives) {
      add("<div><h4>{}</h4>", objective.figure);
      std::vector<MainEffect> all = main_effects(r_, find_figure(objective.figure));
      std::ranges::stable_sort(all, std::ranges::greater{}, &MainEffect::explained);
      for (const MainEffect& effect : all) {
        const Segment bar{effect.explained, 0, fmt::format("{:.1f} %", 100 * effect.explained)};
        add("<div class=\"effect\"><span class=\"name\">{}</span>{}<span class=\"num\">{:.0f} %, "
            "{}</span></div>",
            escaped(short_name(r_.axes[effect.axis].path)), bar_svg({&bar, 1}, 1.0),
            100 * effect.explained, format_ratio(effect.ratio));
      }
      out_ += "</div>";
    }
    out_ += "</div></section>\n";
  }

  void about() {
    out_ +=
        "<details><summary>The sweep</summary><div class=\"wide\"><table class=\"pairs\"><tbody>";
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
      Json values = Json::array();
      for (const std::string& value : axis.values) values.push_back(printable(value));
      d["axes"].push_back({{"name", printable(axis.path)},
                           {"short", printable(short_name(axis.path))},
                           {"values", values}});
    }
    d["derived"] = Json::array();
    for (const std::string& name : r_.derived) d["derived"].push_back(printable(name));
    d["figures"] = Json::array();
    for (const SweepFigure& figure : kSweepFigures) {
      d["figures"].push_back({{"name", figure.name}, {"unit", figure.unit}});
    }
    d["objectives"] = Json::array();
    for (const SweepObjective& objective : r_.objectives) {
      d["objectives"].push_back(
          {{"figure", find_figure(objective.figure)}, {"max", objective.maximise}});
    }
    d["command"] = command();
    d["points"] = Json::array();
    for (const std::size_t i : drawn()) {
      const SweepPoint& point = r_.points[i];
      Json figures = Json::array(), derived = Json::array();
      for (const double value : point.record.figures) figures.push_back(json_of(value));
      for (const double value : point.derived) derived.push_back(json_of(value));
      Json one = {{"id", point.id},
                  {"a", point.axis},
                  {"d", derived},
                  {"f", figures},
                  {"done", point.done()},
                  {"ok", point.feasible()},
                  {"front", static_cast<bool>(on_front_[i])},
                  {"l", printable(point.record.limit)}};
      if (!point.done()) one["m"] = printable(point.record.message);
      d["points"].push_back(std::move(one));
    }
    std::string text = d.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::string safe;
    safe.reserve(text.size());
    for (const char c : text) safe += c == '<' ? std::string("\\u003c") : std::string(1, c);
    return safe;
  }

  /// What runs the base; the page puts a point's values in. Empty where a run cannot say them.
  std::string command() const {
    for (const SweepAxis& axis : r_.axes) {
      if (axis.path.starts_with("recipe.") || axis.path.starts_with("model.")) return "";
    }
    std::string text = "systole run";
    for (const auto& [name, value] : r_.base) {
      if (name == "prompt") continue;  // a run times its prompt
      text += " --" + printable(name) + " " + printable(value);
    }
    return text + " --timing " + r_.timing + " --no-eval";
  }

  const SweepResult& r_;
  std::vector<std::size_t> front_;
  std::vector<bool> on_front_;
  std::string out_;
};

}  // namespace

std::string sweep_to_html(const SweepResult& result) { return SweepPage(result)(); }

}  // namespace systole::reports
