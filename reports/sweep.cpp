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
#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "reports/text_table.hpp"
#include "sim/core/fidelity.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> kStatusNames = {"done", "refused", "failed"};

std::string_view status_of(const SweepPoint& point) {
  return kStatusNames[static_cast<std::size_t>(point.record.status)];
}

Json json_of(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

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

/// The axes' values of a point, and the objectives' figures.
std::vector<std::string> cells_of(const SweepResult& result, const SweepPoint& point) {
  std::vector<std::string> cells;
  for (std::size_t a = 0; a < result.axes.size(); ++a) {
    cells.push_back(result.axes[a].values[point.axis[a]]);
  }
  for (const SweepObjective& objective : result.objectives) {
    cells.push_back(
        format_figure(objective.figure, point.record.figures[find_figure(objective.figure)]));
  }
  return cells;
}

/// Of these, what is sought is never left out, then the axes, the first the last to go.
std::vector<TextColumn> columns_of(const SweepResult& result) {
  std::vector<TextColumn> columns;
  for (const SweepAxis& axis : result.axes) {
    columns.push_back(
        {short_name(result, axis.path), !axis.numeric, 1 + static_cast<int>(columns.size())});
  }
  for (const SweepObjective& objective : result.objectives) {
    columns.push_back({std::string(figure_label(objective.figure))});
  }
  return columns;
}
/// What limits a point: a sentence of its own, the first to go.
TextColumn limit_column() { return {"limited by", true, 1000}; }

/// ", for each prefill and batch", where axes are no choice.
std::string for_each_scenario(const SweepResult& result) {
  std::string text;
  for (const SweepAxis& axis : result.axes) {
    if (axis.scenario)
      text += (text.empty() ? ", for each " : " and ") + short_name(result, axis.path);
  }
  return text;
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

std::string objective_label(const SweepObjective& objective) {
  return fmt::format("{} {}", objective.maximise ? "max" : "min", figure_label(objective.figure));
}

std::string sweep_to_terminal(const SweepResult& result, const SweepSummary& summary, bool colour,
                              unsigned width) {
  constexpr std::size_t kShownFront = 20;
  const auto bold = [&](const std::string& text) {
    return colour ? "\x1b[1m" + text + "\x1b[0m" : text;
  };
  const auto title = [&](const std::string& text) { return bold(wrapped(text, width, 0)) + "\n"; };
  std::string out = title(fmt::format(
      "{}: {} points of {} ({}, {})", printable(result.name), format_exact(summary.points),
      format_exact(result.grid_points), result.search, result.timing));
  std::string feasible = format_exact(summary.feasible) + " feasible";
  if (summary.refused > 0) {
    feasible += fmt::format("; {} cannot be, the first: {}", format_exact(summary.refused),
                            printable(summary.first_refused->record.message));
  }
  out += wrapped(feasible, width, 0) + "\n";

  for (const FidelityAgreement& agreement : fidelity_agreement(result)) {
    const std::string text = to_text(agreement, result).substr(agreement.figure.size());
    out += wrapped(fmt::format("order of both timings, {}{}", figure_label(agreement.figure), text),
                   width, 2) +
           "\n";
  }

  const std::vector<SweepPoint>& front = summary.front;
  if (front.empty()) return out;
  out += "\n" + title(fmt::format("Pareto front{}: {} points", for_each_scenario(result),
                                  format_exact(front.size())));
  std::vector<TextColumn> columns = columns_of(result);
  columns.push_back(limit_column());
  TextTable front_table(columns);
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
    std::vector<std::string> cells = cells_of(result, point);
    cells.push_back(point.record.limit);
    front_table.add(std::move(cells));
  }
  out += front_table.print(width, colour);
  if (shown.size() > kShownFront) {
    out += wrapped(fmt::format("({} of {}, evenly along the first objective)", kShownFront,
                               format_exact(shown.size())),
                   width, 1) +
           "\n";
  }

  out += "\n" + title("Best of each objective" + for_each_scenario(result) +
                      ", and without each constraint");
  columns = {{"objective", true}, {"constraints", true}};
  append(columns, columns_of(result));
  columns.push_back(limit_column());
  TextTable best_table(columns);
  for (std::size_t o = 0; o < result.objectives.size(); ++o) {
    const SweepObjective& objective = result.objectives[o];
    const std::string way = objective_label(objective);
    for (const SweepSummary::Scenario& scenario : summary.scenarios) {
      const std::vector<std::optional<SweepPoint>>& best = scenario.best[o];
      const auto add = [&](const std::string& label, const std::optional<SweepPoint>& point) {
        std::vector<std::string> cells = {way, label};
        if (!point) {
          std::size_t value = 0;
          for (const SweepAxis& axis : result.axes) {
            cells.push_back(axis.scenario ? axis.values[scenario.values[value++]]
                                          : std::string(kAbsent));
          }
          cells.resize(columns.size(), std::string(kAbsent));
        } else {
          append(cells, cells_of(result, *point));
          cells.push_back(point->record.limit);
        }
        best_table.add(std::move(cells));
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
  out += best_table.print(width, colour);

  out +=
      "\n" + title("Main effect of each axis: share of the variance, largest mean over smallest");
  columns = {{"axis", true}};
  for (const SweepObjective& objective : result.objectives) {
    columns.push_back(
        {std::string(figure_label(objective.figure)), false, static_cast<int>(columns.size()) - 1});
  }
  std::vector<std::vector<std::string>> rows;
  for (const SweepAxis& axis : result.axes) rows.push_back({short_name(result, axis.path)});
  for (const std::vector<MainEffect>& effects : summary.effects) {
    for (const MainEffect& effect : effects) {
      rows[effect.axis].push_back(
          fmt::format("{}, {}", format_share(effect.explained), format_ratio(effect.ratio)));
    }
  }
  TextTable effects_table(columns);
  for (std::vector<std::string>& row : rows) effects_table.add(std::move(row));
  return out + effects_table.print(width, colour);
}

void sweep_to_csv(const SweepResult& result, const SweepSummary& summary, const TextSink& out,
                  Separated how) {
  std::vector<std::string> cells = {"id", "status", "feasible", "front"};
  for (const SweepAxis& axis : result.axes) cells.push_back(axis.path);
  append(cells, result.derived);
  for (const SweepFigure& figure : kSweepFigures) cells.emplace_back(figure.name);
  append(cells, {"limit", "message"});
  out(separated_line(cells, how));
  result.points->each([&](const SweepPoint& point) {
    cells = {std::to_string(point.id), std::string(status_of(point)), point.feasible() ? "1" : "0",
             summary.on_front(point.id) ? "1" : "0"};
    for (std::size_t a = 0; a < result.axes.size(); ++a) {
      cells.push_back(result.axes[a].values[point.axis[a]]);
    }
    for (const double value : point.derived) cells.push_back(exact(value));
    for (const double value : point.record.figures) cells.push_back(exact(value));
    append(cells, {point.record.limit, point.record.message});
    out(separated_line(cells, how));
  });
}

std::vector<Table> sweep_tables(const SweepResult& result, const SweepSummary& summary) {
  constexpr std::size_t kMostRows = 200;
  std::string columns;
  std::vector<std::string> heads;
  for (const TextColumn& column : columns_of(result)) {
    columns += column.text ? 'l' : 'r';
    heads.push_back(column.heading);
  }
  const std::size_t rows = std::min(kMostRows, summary.front.size());
  Table front{fmt::format("{}: Pareto front{}", result.name, for_each_scenario(result)),
              columns + "l",
              {heads}};
  if (rows < summary.front.size()) {
    front.title += fmt::format(", the first {} of {} points", rows, summary.front.size());
  }
  front.lines[0].emplace_back("limited by");
  for (std::size_t i = 0; i < rows; ++i) {
    front.lines.push_back(cells_of(result, summary.front[i]));
    front.lines.back().push_back(summary.front[i].record.limit);
  }
  Table best{fmt::format("{}: best of each objective{}", result.name, for_each_scenario(result)),
             "l" + columns + "l",
             {{"objective"}}};
  append(best.lines[0], heads);
  best.lines[0].emplace_back("limited by");
  for (std::size_t o = 0; o < result.objectives.size(); ++o) {
    for (const SweepSummary::Scenario& scenario : summary.scenarios) {
      if (!scenario.best[o][0]) continue;
      const SweepPoint& point = *scenario.best[o][0];
      best.lines.push_back({objective_label(result.objectives[o])});
      append(best.lines.back(), cells_of(result, point));
      best.lines.back().push_back(point.record.limit);
    }
  }
  return {front, best};
}

void sweep_to_json(const SweepResult& result, const SweepSummary& summary, const TextSink& out) {
  Json document;
  document["name"] = result.name;
  document["summary"] = result.summary;
  document["source"] = result.source;
  document["version"] = result.version;
  document["timing"] = result.timing;
  document["fidelity"] = Json::array();
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
  document["base"] = Json::object();
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
  out(fmt::format("\n ],\n \"schema_version\": {}\n}}\n", kSweepJsonSchemaVersion));
}

}  // namespace systole::reports
