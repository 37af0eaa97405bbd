#include "reports/comparison.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

/// A line of the table: a name, then a cell a result.
struct Line {
  std::string label;
  std::vector<std::string> cells;
};

std::string cell(const Metric& metric, const RunResult& result, const RunResult& base) {
  const std::optional<double> value = metric.value(result), reference = metric.value(base);
  std::string text = format_figure(metric.name, value);
  if (metric.ratio && metric.better != 0 && &result != &base && value && reference) {
    text += " (" + format_ratio(share_of(*value, *reference)) + ")";
  }
  return text;
}

std::vector<Line> lines_of(std::span<const RunResult> results) {
  std::vector<Line> lines;
  for (const auto& [label, member] : {std::pair("machine", &RunResult::machine),
                                      {"recipe", &RunResult::recipe},
                                      {"model", &RunResult::model}}) {
    Line& line = lines.emplace_back(Line{label, {}});
    for (const RunResult& r : results) line.cells.push_back(printable(r.*member));
  }
  for (const Metric& metric : metrics_of(results)) {
    Line& line = lines.emplace_back(Line{std::string(figure_label(metric.name)), {}});
    for (const RunResult& r : results) line.cells.push_back(cell(metric, r, results.front()));
  }
  return lines;
}

}  // namespace

std::string comparison_to_terminal(std::span<const RunResult> results, bool colour,
                                   unsigned width) {
  if (results.empty()) return "";
  const char* bold = colour ? "\033[1m" : "";
  const char* plain = colour ? "\033[0m" : "";
  const std::vector<Line> lines = lines_of(results);
  std::size_t label_width = 0, cell_width = 0, figure_width = 0;
  for (const Line& line : lines) {
    label_width = std::max(label_width, display_width(line.label));
    const bool is_figure = &line >= &lines[3];
    for (const std::string& text : line.cells) {
      cell_width = std::max(cell_width, display_width(text));
      if (is_figure) figure_width = std::max(figure_width, display_width(text));
    }
  }
  // Where there is no room for a name it is cut; figures never are: their labels are before them.
  const std::size_t room = width > 2 + figure_width ? width - 2 - figure_width : 0;
  label_width = std::min(label_width, std::max<std::size_t>(room, 8));
  const std::size_t left = width > label_width + 2 ? width - label_width - 2 : 0;
  cell_width = std::max(figure_width, std::min(cell_width, left));
  // As many results as fit beside each other; the others below, under the labels again.
  const std::size_t columns = std::max<std::size_t>(
      left / (cell_width + 2) + (left % (cell_width + 2) >= cell_width ? 1 : 0), 1);
  std::string text;
  for (std::size_t first = 0; first < results.size(); first += columns) {
    const std::size_t last = std::min(first + columns, results.size());
    if (first > 0) text += "\n";
    for (const Line& line : lines) {
      std::string row = fit(line.label, label_width);
      for (std::size_t i = first; i < last; ++i) row += "  " + fit(line.cells[i], cell_width, true);
      text += &line == &lines.front() ? bold + row + plain + "\n" : row + "\n";
    }
  }
  return text;
}

}  // namespace systole::reports
