#include "reports/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "reports/csv.hpp"
#include "reports/figure_table.hpp"
#include "reports/figures.hpp"
#include "reports/format.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

std::string tidy(std::span<const RunResult> results, Separated how) {
  std::string out = separated_line({"result", "section", "row", "figure", "value", "printed"}, how);
  for (std::size_t i = 0; i < results.size(); ++i) {
    for (const NamedFigure& figure : figures_of(results[i])) {
      out += separated_line({std::to_string(i + 1), figure.section, figure.row, figure.name,
                             exact_text(figure.value), printed_text(figure)},
                            how);
    }
  }
  return out;
}

/// The figures that results are compared by; those that none has are left out.
Table headline_table(std::span<const RunResult> results) {
  Table table{"Headline", "l" + std::string(results.size(), 'r'), {{"figure"}}};
  for (const RunResult& result : results) table.lines[0].push_back(title_of(result));
  for (const Metric& metric : metrics_of(results)) {
    std::vector<std::string>& line = table.lines.emplace_back();
    line.emplace_back(figure_label(metric.name));
    for (const RunResult& r : results) line.push_back(format_figure(metric.name, metric.value(r)));
  }
  return table;
}

Table operations_table(const RunResult& result, const std::string& phase, std::string title) {
  Table table{std::move(title),
              "lllrrrrrl",
              {{"operation", "shape", "formats", "cycles", "share", "time", "DRAM", "utilisation",
                "bound"}}};
  const std::vector<OperationRow> rows = merged_operations(result, phase);
  const auto total = static_cast<double>(cycles_of(rows));
  for (const OperationRow& row : rows) {
    const auto cycles = static_cast<double>(row.cycles);
    table.lines.push_back({printable(row.name), shape_of(row), formats_of(row),
                           format_count(cycles), format_share(share_of(cycles, total)),
                           format_cycles_as_time(cycles, result),
                           format_bytes(static_cast<double>(dram_bytes_of(row))),
                           format_share(utilisation_of(row, result)), printable(row.bound)});
  }
  return table;
}

Table components_table(const RunResult& result, std::string title) {
  Table table{
      std::move(title), "lrrrrr", {{"component", "energy", "share", "dynamic", "static", "area"}}};
  for (const ComponentRow& row : components_by_energy(result)) {
    table.lines.push_back({printable(row.name), format_energy_pj(energy_of(row)),
                           format_share(share_of(energy_of(row), result.energy_pj)),
                           format_energy_pj(row.dynamic_pj), format_energy_pj(row.static_pj),
                           format_area_mm2(row.area_mm2)});
  }
  return table;
}

}  // namespace

std::vector<Table> tables_of(std::span<const RunResult> results) {
  std::vector<Table> tables;
  if (results.empty()) return tables;
  tables.push_back(headline_table(results));
  for (const RunResult& result : results) {
    const std::string of = results.size() > 1 ? ": " + title_of(result) : "";
    for (const std::string& phase : phases_of(result)) {
      tables.push_back(operations_table(result, phase, printable(phase) + of));
    }
    tables.push_back(components_table(result, "Energy and area" + of));
  }
  return tables;
}

std::string to_tidy_csv(std::span<const RunResult> results) {
  return tidy(results, Separated::csv);
}
std::string to_tidy_tsv(std::span<const RunResult> results) {
  return tidy(results, Separated::tsv);
}

std::string markdown_text(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    if (std::string_view("\\|*_<>[]`#").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string latex_text(std::string_view text) {
  // What format.hpp prints beyond ASCII is put as commands, so that every engine has it.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 21> kCommands = {
      {{"\\", "\\textbackslash{}"},
       {"{", "\\{"},
       {"}", "\\}"},
       {"%", "\\%"},
       {"&", "\\&"},
       {"#", "\\#"},
       {"$", "\\$"},
       {"_", "\\_"},
       {"~", "\\textasciitilde{}"},
       {"^", "\\textasciicircum{}"},
       {"<", "\\textless{}"},
       {">", "\\textgreater{}"},
       {"\u00b5", "\\textmu{}"},
       {"\u00b2", "\\textsuperscript{2}"},
       {"\u00d7", "\\texttimes{}"},
       {"\u00b7", "\\textperiodcentered{}"},
       {"\u2013", "\\textendash{}"},
       {"\u2009", "\\,"},
       {"\u2264", "$\\leq$"},
       {"\u2260", "$\\neq$"},
       {"\u2020", "\\dag{}"}}};
  const std::string safe = printable(text);
  std::string out;
  for (std::size_t i = 0; i < safe.size();) {
    const std::string_view rest = std::string_view(safe).substr(i);
    const auto command = std::ranges::find_if(
        kCommands, [&](const auto& entry) { return rest.starts_with(entry.first); });
    if (command == kCommands.end()) {
      out += safe[i++];
    } else {
      out += command->second;
      i += command->first.size();
    }
  }
  return out;
}

std::string markdown_of(std::span<const Table> tables) {
  std::string out;
  for (const Table& table : tables) {
    if (!out.empty()) out += "\n";
    out += fmt::format("### {}\n\n", markdown_text(table.title));
    for (std::size_t l = 0; l < table.lines.size(); ++l) {
      for (const std::string& cell : table.lines[l]) out += "| " + markdown_text(cell) + " ";
      out += "|\n";
      if (l > 0) continue;
      for (const char column : table.columns) out += column == 'l' ? "| --- " : "| ---: ";
      out += "|\n";
    }
  }
  return out;
}

std::string latex_of(std::span<const Table> tables) {
  std::string out = "% \\usepackage{booktabs} and \\usepackage{textcomp} in the preamble.\n";
  for (const Table& table : tables) {
    out += "\\begin{table}\n\\centering\n";
    out += fmt::format("\\caption{{{}}}\n", latex_text(table.title));
    out += fmt::format("\\begin{{tabular}}{{{}}}\n\\toprule\n", table.columns);
    for (std::size_t l = 0; l < table.lines.size(); ++l) {
      for (std::size_t c = 0; c < table.lines[l].size(); ++c) {
        out += (c == 0 ? "" : " & ") + latex_text(table.lines[l][c]);
      }
      out += " \\\\\n";
      if (l == 0) out += "\\midrule\n";
    }
    out += "\\bottomrule\n\\end{tabular}\n\\end{table}\n";
  }
  return out;
}

std::string to_markdown(std::span<const RunResult> results) {
  return markdown_of(tables_of(results));
}
std::string to_latex(std::span<const RunResult> results) { return latex_of(tables_of(results)); }

}  // namespace systole::reports
