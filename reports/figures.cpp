#include "reports/figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "reports/json.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::ordered_json;

FigureValue value_of(const Json& json) {
  if (json.is_null()) return std::monostate();
  if (json.is_boolean()) return std::string(json.get<bool>() ? "true" : "false");
  if (json.is_number_unsigned()) return json.get<std::uint64_t>();
  if (json.is_number()) return json.get<double>();
  return json.get<std::string>();
}

void flatten(const Json& json, const NamedFigure& at, std::vector<NamedFigure>& out) {
  if (!json.is_object()) {
    out.push_back(at);
    out.back().value = value_of(json);
    return;
  }
  for (const auto& [key, value] : json.items()) {
    NamedFigure inner = at;
    inner.name += (inner.name.empty() ? "" : ".") + key;
    flatten(value, inner, out);
  }
}

}  // namespace

std::vector<NamedFigure> figures_of(const RunResult& result) {
  const Json document = Json::parse(to_json(result));
  std::vector<NamedFigure> figures;
  for (const auto& [section, content] : document.items()) {
    // Columns of points to draw, which follow from the other figures or sum to them.
    if (section == "windows" || section == "steps" || section == "rooflines") continue;
    if (!content.is_array()) {
      if (content.is_object()) flatten(content, {section, "", "", {}}, figures);
      continue;
    }
    std::map<std::string, int> seen;
    for (const Json& row : content) {
      std::string name = row.value("name", row.value("change", ""));
      if (row.contains("phase")) name = row["phase"].get<std::string>() + " " + name;
      if (const int count = ++seen[name]; count > 1) name += fmt::format(" #{}", count);
      flatten(row, {section, name, "", {}}, figures);
    }
  }
  return figures;
}

bool is_setting(const NamedFigure& figure) {
  if (figure.section == "config" || figure.section == "notes") return true;
  if (!std::holds_alternative<std::string>(figure.value) && figure.name != "seed") return false;
  return figure.section == "summary" || figure.section == "components";
}

std::string exact_text(const FigureValue& value) {
  if (const auto* count = std::get_if<std::uint64_t>(&value)) return fmt::format("{}", *count);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return "";
}

std::string printed_text(const NamedFigure& figure) {
  if (const auto* text = std::get_if<std::string>(&figure.value)) return printable(*text);
  if (const auto* count = std::get_if<std::uint64_t>(&figure.value)) {
    return format_figure(figure.name, static_cast<double>(*count));
  }
  if (const auto* real = std::get_if<double>(&figure.value)) {
    return format_figure(figure.name, *real);
  }
  return std::string(kAbsent);
}

}  // namespace systole::reports
