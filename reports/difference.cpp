#include "reports/difference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "reports/format.hpp"
#include "reports/text_table.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::ordered_json;
using Key = std::tuple<std::string, std::string, std::string>;

Key key_of(const NamedFigure& figure) { return {figure.section, figure.row, figure.name}; }

std::string row_key(const NamedFigure& figure) { return figure.section + ": " + figure.row; }

/// All but the runner-up tilings: what was weighed and not run is no outcome.
std::vector<NamedFigure> outcomes_of(const RunResult& result) {
  std::vector<NamedFigure> figures = figures_of(result);
  std::erase_if(figures,
                [](const NamedFigure& f) { return f.name.starts_with("mapping.runner_up"); });
  return figures;
}

std::optional<double> real_of(const FigureValue& value) {
  if (const auto* count = std::get_if<std::uint64_t>(&value)) return static_cast<double>(*count);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return std::nullopt;
}

double relative_difference(const FigureValue& a, const FigureValue& b) {
  constexpr double kWhole = std::numeric_limits<double>::infinity();
  if (a == b) return 0;
  // Integers beyond 2^53 may differ where their doubles do not.
  if (std::holds_alternative<std::uint64_t>(a) && std::holds_alternative<std::uint64_t>(b)) {
    const std::uint64_t from = std::get<std::uint64_t>(a), to = std::get<std::uint64_t>(b);
    if (from == 0) return kWhole;
    const double by = static_cast<double>(to > from ? to - from : from - to);
    return (to > from ? by : -by) / static_cast<double>(from);
  }
  const std::optional<double> from = real_of(a), to = real_of(b);
  if (!from || !to) return kWhole;
  if (*from == *to) return 0;
  return *from == 0 ? std::copysign(kWhole, *to) : (*to - *from) / std::abs(*from);
}

std::string setting_name(const NamedFigure& figure) {
  return figure.section + "." + (figure.row.empty() ? "" : figure.row + ".") + figure.name;
}

/// Both values in the usual digits, or in all where those cannot tell them apart.
std::pair<std::string, std::string> told_apart(const NamedFigure& a, const NamedFigure& b) {
  std::pair<std::string, std::string> texts{printed_text(a), printed_text(b)};
  if (texts.first == texts.second) {
    texts = {printable(exact_text(a.value)), printable(exact_text(b.value))};
  }
  return texts;
}

void add_list(std::string& text, const std::vector<std::string>& rows, std::string_view title,
              std::size_t columns) {
  if (rows.empty()) return;
  text += fmt::format("\n{}\n", title);
  for (const std::string& row : rows) {
    const std::string safe = printable(row);
    text += "  " + wrapped(safe, columns - 2, 4) + "\n";
  }
}

}  // namespace

Difference difference(const RunResult& a, const RunResult& b, double threshold) {
  Difference found;
  found.threshold = threshold;
  const std::vector<NamedFigure> left = outcomes_of(a), right = outcomes_of(b);
  std::map<Key, const NamedFigure*> in_left, in_right;
  std::set<std::string> rows_left, rows_right;
  for (const NamedFigure& figure : left) {
    in_left[key_of(figure)] = &figure;
    rows_left.insert(row_key(figure));
  }
  for (const NamedFigure& figure : right) {
    in_right[key_of(figure)] = &figure;
    rows_right.insert(row_key(figure));
  }

  const auto compare = [&](const NamedFigure& one, const NamedFigure& other) {
    if (is_setting(one) || is_setting(other)) {
      if (one.value != other.value) {
        found.settings.push_back(
            {setting_name(one), exact_text(one.value), exact_text(other.value)});
      }
      return;
    }
    const double relative = relative_difference(one.value, other.value);
    if (std::abs(relative) > threshold) found.figures.push_back({one, other, relative});
  };
  const auto absent = [](NamedFigure figure) {
    figure.value = std::monostate();
    return figure;
  };
  std::set<std::string> named;
  for (const NamedFigure& figure : left) {
    const auto other = in_right.find(key_of(figure));
    if (other != in_right.end()) {
      found.compared += is_setting(figure) ? 0 : 1;
      compare(figure, *other->second);
    } else if (rows_right.contains(row_key(figure))) {
      compare(figure, absent(figure));
    } else if (named.insert(row_key(figure)).second) {
      found.only_a.push_back(row_key(figure));
    }
  }
  named.clear();
  for (const NamedFigure& figure : right) {
    if (in_left.contains(key_of(figure))) continue;
    if (rows_left.contains(row_key(figure))) {
      compare(absent(figure), figure);
    } else if (named.insert(row_key(figure)).second) {
      found.only_b.push_back(row_key(figure));
    }
  }
  std::ranges::stable_sort(found.figures, [](const auto& one, const auto& other) {
    return std::abs(one.relative) > std::abs(other.relative);
  });
  return found;
}

std::string difference_to_terminal(const Difference& found, bool colour, unsigned width) {
  const std::string_view bold = colour ? "\x1b[1m" : "", plain = colour ? "\x1b[0m" : "";
  const std::size_t columns = std::clamp<std::size_t>(width, 40, 140);
  std::string text;

  if (!found.figures.empty()) {
    TextTable table({{"where", true}, {"figure", true}, {"A"}, {"B"}, {"change", false, 1}});
    for (const FigureDifference& figure : found.figures) {
      const auto [a, b] = told_apart(figure.a, figure.b);
      const std::string& row = figure.a.row.empty() ? figure.a.section : figure.a.row;
      table.add({row, figure.a.name, a, b, format_change(figure.relative)});
    }
    text += table.print(columns, colour);
  }
  add_list(text, found.only_a, "Only in A", columns);
  add_list(text, found.only_b, "Only in B", columns);
  if (!found.settings.empty()) {
    text += fmt::format("\n{}What was run differs{}\n", bold, plain);
    for (const SettingDifference& setting : found.settings) {
      const auto value = [](const std::string& v) {
        return v.empty() ? std::string(kAbsent) : printable(v);
      };
      const std::string line = fmt::format("{}: {} \u2192 {}", printable(setting.name),
                                           value(setting.a), value(setting.b));
      text += "  " + wrapped(line, columns - 2, 4) + "\n";
    }
  }
  if (!text.empty()) text += "\n";
  const std::size_t rows = found.only_a.size() + found.only_b.size();
  const std::string beyond = fmt::format("{} %", number(found.threshold * 100));
  const std::string verdict =
      found.equal()
          ? fmt::format("equal: {} figures compared, none differs by more than {}", found.compared,
                        beyond)
          : fmt::format(
                "different: {} of {} figures differ by more than {}, {} rows have no counterpart",
                found.figures.size(), found.compared, beyond, rows);
  return text + wrapped(verdict, columns, 0) + "\n";
}

std::string difference_to_json(const Difference& found) {
  const auto value = [](const FigureValue& v) -> Json {
    if (const auto* count = std::get_if<std::uint64_t>(&v)) return *count;
    if (const auto* real = std::get_if<double>(&v)) return *real;
    if (const auto* text = std::get_if<std::string>(&v)) return *text;
    return nullptr;
  };
  Json root;
  root["equal"] = found.equal();
  root["threshold"] = found.threshold;
  root["compared"] = found.compared;
  root["differences"] = Json::array();
  for (const FigureDifference& figure : found.figures) {
    root["differences"].push_back(
        {{"section", figure.a.section},
         {"row", figure.a.row},
         {"figure", figure.a.name},
         {"a", value(figure.a.value)},
         {"b", value(figure.b.value)},
         {"relative", std::isinf(figure.relative) ? Json(nullptr) : Json(figure.relative)}});
  }
  root["only_in_a"] = found.only_a;
  root["only_in_b"] = found.only_b;
  root["settings"] = Json::array();
  for (const SettingDifference& setting : found.settings) {
    root["settings"].push_back({{"name", setting.name}, {"a", setting.a}, {"b", setting.b}});
  }
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace systole::reports
