#include "reports/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/csv.hpp"
#include "reports/format.hpp"
#include "sim/core/fidelity.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> kStatusNames = {"done", "refused", "failed"};

std::string_view status_of(const SweepPoint& point) {
  return kStatusNames[static_cast<std::size_t>(point.record.status)];
}

/// Shortest decimal that reads back; empty where absent.
std::string exact(double value) { return std::isfinite(value) ? fmt::format("{}", value) : ""; }

Json json_of(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

std::string figure_text(double value) {
  return std::isfinite(value) ? number(value, 4) : std::string(kAbsent);
}

/// "machine.array.rows" where only it ends so: "rows".
std::string short_name(const SweepResult& result, const std::string& path) {
  const std::string last = path.substr(path.rfind('.') + 1);
  const auto ends = [&](const std::string& other) {
    return other.substr(other.rfind('.') + 1) == last;
  };
  auto count = std::ranges::count_if(result.derived, ends);
  for (const SweepAxis& axis : result.axes) count += ends(axis.path) ? 1 : 0;
  return count == 1 ? last : path;
}

std::string figure_heading(const SweepFigure& figure) {
  return figure.unit == "1" ? std::string(figure.name)
                            : fmt::format("{} [{}]", figure.name, figure.unit);
}

using Rows = std::vector<std::vector<std::string>>;

/// Columns as wide as their widest cell; the first row is the heading.
std::string table(const Rows& rows, std::size_t left_columns, bool colour, unsigned width) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      widths[c] = std::max(widths[c], display_width(row[c]));
    }
  }
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t c = 0; c < rows[r].size(); ++c) {
      if (c > 0) line += "  ";
      line += fit(printable(rows[r][c]), widths[c], c >= left_columns);
    }
    while (line.ends_with(' ')) line.pop_back();
    // A row too wide is cut, not broken: the page and the CSV have all of it.
    if (display_width(line) > width) line = fit(line, width);
    out += r == 0 && colour ? "\x1b[2m" + line + "\x1b[0m\n" : line + "\n";
  }
  return out;
}

/// The axes' values of a point, and the objectives' figures.
std::vector<std::string> cells_of(const SweepResult& result, const SweepPoint& point) {
  std::vector<std::string> cells;
  for (std::size_t a = 0; a < result.axes.size(); ++a) {
    cells.push_back(result.axes[a].values[point.axis[a]]);
  }
  for (const SweepObjective& objective : result.objectives) {
    cells.push_back(figure_text(point.record.figures[find_figure(objective.figure)]));
  }
  return cells;
}

std::vector<std::string> headings(const SweepResult& result) {
  std::vector<std::string> cells;
  for (const SweepAxis& axis : result.axes) cells.push_back(short_name(result, axis.path));
  for (const SweepObjective& objective : result.objectives) {
    cells.push_back(figure_heading(kSweepFigures[find_figure(objective.figure)]));
  }
  return cells;
}

/// ", for each prefill and batch", where axes are no choice.
std::string for_each_scenario(const SweepResult& result) {
  std::string text;
  for (const SweepAxis& axis : result.axes) {
    if (axis.scenario)
      text += (text.empty() ? ", for each " : " and ") + short_name(result, axis.path);
  }
  return text;
}

void append(std::vector<std::string>& to, std::vector<std::string> cells) {
  to.insert(to.end(), cells.begin(), cells.end());
}

}  // namespace

std::string sweep_to_terminal(const SweepResult& result, const SweepSummary& summary, bool colour,
                              unsigned width) {
  constexpr std::size_t kShownFront = 20;
  const auto bold = [&](const std::string& text) {
    return colour ? "\x1b[1m" + text + "\x1b[0m" : text;
  };
  std::string out =
      bold(fmt::format("{}: {} points of {} ({}, {})", printable(result.name), summary.points,
                       result.grid_points, result.search, result.timing)) +
      "\n";
  out += fmt::format("{} feasible", summary.feasible);
  if (summary.refused > 0) {
    out += fmt::format("; {} cannot be, the first: {}", summary.refused,
                       printable(summary.first_refused->record.message));
  }
  out += "\n";

  for (const FidelityAgreement& agreement : fidelity_agreement(result)) {
    out += "order of both timings, " + to_text(agreement, result) + "\n";
  }

  const std::vector<SweepPoint>& front = summary.front;
  if (front.empty()) return out;
  out += "\n" +
         bold(fmt::format("Pareto front{}: {} points", for_each_scenario(result), front.size())) +
         "\n";
  Rows rows = {headings(result)};
  rows[0].emplace_back("limited by");
  std::vector<std::size_t> shown(front.size());
  std::iota(shown.begin(), shown.end(), std::size_t{0});
  // By the first objective, from its best.
  std::ranges::stable_sort(
      shown, {}, [&](std::size_t i) { return result.cost(front[i], result.objectives.front()); });
  for (std::size_t i = 0; i < std::min(kShownFront, shown.size()); ++i) {
    // Evenly along the front where it is long, both ends included.
    const std::size_t at =
        shown.size() <= kShownFront ? i : i * (shown.size() - 1) / (kShownFront - 1);
    const SweepPoint& point = front[shown[at]];
    rows.push_back(cells_of(result, point));
    rows.back().push_back(point.record.limit);
  }
  out += table(rows, 0, colour, width);
  if (shown.size() > kShownFront) {
    out += fmt::format("({} of {}, evenly along the first objective)\n", kShownFront, shown.size());
  }

  out +=
      "\n" +
      bold("Best of each objective" + for_each_scenario(result) + ", and without each constraint") +
      "\n";
  rows = {{"objective", "constraints"}};
  append(rows[0], headings(result));
  rows[0].emplace_back("limited by");
  for (std::size_t o = 0; o < result.objectives.size(); ++o) {
    const SweepObjective& objective = result.objectives[o];
    const std::string way = (objective.maximise ? "max " : "min ") + objective.figure;
    for (const SweepSummary::Scenario& scenario : summary.scenarios) {
      const std::vector<std::optional<SweepPoint>>& best = scenario.best[o];
      const auto add = [&](const std::string& label, const std::optional<SweepPoint>& point) {
        rows.push_back({way, label});
        if (!point) {
          std::size_t value = 0;
          for (const SweepAxis& axis : result.axes) {
            rows.back().push_back(axis.scenario ? axis.values[scenario.values[value++]]
                                                : std::string(kAbsent));
          }
          rows.back().resize(rows[0].size(), std::string(kAbsent));
        } else {
          append(rows.back(), cells_of(result, *point));
          rows.back().push_back(point->record.limit);
        }
      };
      add("all", best[0]);
      for (std::size_t c = 0; c < result.constraints.size(); ++c) {
        // Where it is the same point the constraint costs nothing.
        if (best[c + 1] && (!best[0] || best[c + 1]->id != best[0]->id)) {
          add("without " + result.constraints[c], best[c + 1]);
        }
      }
    }
  }
  out += table(rows, 2, colour, width);

  out += "\n" +
         bold("Main effect of each axis: share of the variance, largest mean over smallest") + "\n";
  rows = {{"axis"}};
  for (const SweepObjective& objective : result.objectives) rows[0].push_back(objective.figure);
  for (const SweepAxis& axis : result.axes) rows.push_back({short_name(result, axis.path)});
  for (const std::vector<MainEffect>& effects : summary.effects) {
    for (const MainEffect& effect : effects) {
      rows[effect.axis + 1].push_back(
          fmt::format("{:.0f} %, {}", 100 * effect.explained, format_ratio(effect.ratio)));
    }
  }
  return out + table(rows, 1, colour, width);
}

void sweep_to_csv(const SweepResult& result, const SweepSummary& summary, const TextSink& out) {
  std::string line = "id,status,feasible,front";
  for (const SweepAxis& axis : result.axes) line += "," + csv_cell(axis.path);
  for (const std::string& name : result.derived) line += "," + csv_cell(name);
  for (const SweepFigure& figure : kSweepFigures) line += "," + std::string(figure.name);
  out(line + ",limit,message\r\n");
  result.points->each([&](const SweepPoint& point) {
    line = fmt::format("{},{},{},{}", point.id, status_of(point), point.feasible() ? 1 : 0,
                       summary.on_front(point.id) ? 1 : 0);
    for (std::size_t a = 0; a < result.axes.size(); ++a) {
      line += "," + csv_cell(result.axes[a].values[point.axis[a]]);
    }
    for (const double value : point.derived) line += "," + exact(value);
    for (const double value : point.record.figures) line += "," + exact(value);
    out(line + "," + csv_cell(point.record.limit) + "," + csv_cell(point.record.message) + "\r\n");
  });
}

void sweep_to_json(const SweepResult& result, const SweepSummary& summary, const TextSink& out) {
  Json document;
  document["name"] = result.name;
  document["summary"] = result.summary;
  document["source"] = result.source;
  document["version"] = result.version;
  document["timing"] = result.timing;
  for (const FidelityAgreement& agreement : fidelity_agreement(result)) {
    document["fidelity"].push_back({{"figure", agreement.figure},
                                    {"points", agreement.points},
                                    {"spearman", json_of(agreement.spearman.value_or(NAN))},
                                    {"kendall", json_of(agreement.kendall.value_or(NAN))},
                                    {"mean_ratio", agreement.mean_ratio}});
  }
  document["search"] = result.search;
  document["grid_points"] = result.grid_points;
  document["planned"] = result.planned;
  for (const auto& [key, value] : result.base) document["base"][key] = value;
  document["axes"] = Json::array();
  for (const SweepAxis& axis : result.axes) {
    document["axes"].push_back({{"path", axis.path},
                                {"numeric", axis.numeric},
                                {"scenario", axis.scenario},
                                {"values", axis.values}});
  }
  document["derived"] = result.derived;
  document["conditions"] = result.conditions;
  document["constraints"] = result.constraints;
  document["objectives"] = Json::array();
  for (const SweepObjective& objective : result.objectives) {
    document["objectives"].push_back(
        {{objective.maximise ? "maximise" : "minimise", objective.figure}});
  }
  document["figures"] = Json::array();
  for (const SweepFigure& figure : kSweepFigures) {
    document["figures"].push_back(
        {{"name", figure.name}, {"unit", figure.unit}, {"meaning", figure.meaning}});
  }
  document["effects"] = Json::object();
  for (std::size_t o = 0; o < summary.effects.size(); ++o) {
    Json effects = Json::array();
    for (const MainEffect& effect : summary.effects[o]) {
      Json means = Json::array();
      for (const double mean : effect.means) means.push_back(json_of(mean));
      effects.push_back({{"axis", result.axes[effect.axis].path},
                         {"explained", effect.explained},
                         {"ratio", effect.ratio},
                         {"means", means}});
    }
    document["effects"][result.objectives[o].figure] = effects;
  }
  const auto text = [](const Json& json, int indent) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
  };
  // The points follow one by one, a line each.
  std::string head = text(document, 1);
  head.resize(head.rfind("\n}"));
  out(head + ",\n \"points\": [");
  bool first = true;
  result.points->each([&](const SweepPoint& point) {
    Json figures = Json::object(), derived = Json::array(), violations = Json::array();
    for (std::size_t f = 0; f < kSweepFigureCount; ++f) {
      figures[std::string(kSweepFigures[f].name)] = json_of(point.record.figures[f]);
    }
    for (const double value : point.derived) derived.push_back(json_of(value));
    for (const double value : point.violations) violations.push_back(json_of(value));
    const Json one = {{"id", point.id},
                      {"key", fmt::format("{:016x}{:016x}", point.key[0], point.key[1])},
                      {"status", status_of(point)},
                      {"feasible", point.feasible()},
                      {"front", summary.on_front(point.id)},
                      {"axis", point.axis},
                      {"derived", derived},
                      {"violations", violations},
                      {"figures", figures},
                      {"limit", point.record.limit},
                      {"message", point.record.message}};
    out((std::exchange(first, false) ? "\n  " : ",\n  ") + text(one, -1));
  });
  out("\n ]\n}\n");
}

}  // namespace systole::reports
