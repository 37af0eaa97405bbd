#include "reports/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "reports/csv.hpp"
#include "reports/figures.hpp"
#include "reports/format.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

/// A table before any syntax: the first line names the columns, the first column the rows.
struct Table {
  std::string title;
  std::vector<std::vector<std::string>> lines;
};

std::string tidy(std::span<const RunResult> results, std::string_view separator,
                 std::string_view line_end, std::string (*cell)(std::string_view)) {
  std::string out;
  const auto line = [&](std::initializer_list<std::string_view> cells) {
    std::size_t i = 0;
    for (const std::string_view text : cells) {
      if (i++ > 0) out += separator;
      out += cell(text);
    }
    out += line_end;
  };
  line({"result", "section", "row", "figure", "value", "printed"});
  for (std::size_t i = 0; i < results.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    for (const NamedFigure& figure : figures_of(results[i])) {
      line({number, figure.section, figure.row, figure.name, exact_text(figure.value),
            printed_text(figure)});
    }
  }
  return out;
}

std::string tsv_cell(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(
      out, [](char c) { return c == '\t' || c == '\n' || c == '\r'; }, ' ');
  return out;
}

Table headline_table(std::span<const RunResult> results) {
  Table table{"Headline", {{"figure"}}};
  for (const Figure& figure : headline(results.front())) table.lines.push_back({figure.label});
  for (const RunResult& result : results) {
    table.lines[0].push_back(title_of(result));
    const std::vector<Figure> figures = headline(result);
    for (std::size_t i = 0; i < figures.size(); ++i) {
      table.lines[i + 1].push_back(figures[i].value);
    }
  }
  return table;
}

Table operations_table(const RunResult& result, const std::string& phase, std::string title) {
  Table table{std::move(title),
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
  Table table{std::move(title), {{"component", "energy", "share", "dynamic", "static", "area"}}};
  for (const ComponentRow& row : components_by_energy(result)) {
    table.lines.push_back({printable(row.name), format_energy_pj(energy_of(row)),
                           format_share(share_of(energy_of(row), result.energy_pj)),
                           format_energy_pj(row.dynamic_pj), format_energy_pj(row.static_pj),
                           format_area_mm2(row.area_mm2)});
  }
  return table;
}

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

}  // namespace

std::string to_tidy_csv(std::span<const RunResult> results) {
  return tidy(results, ",", "\r\n", csv_cell);
}

std::string to_tidy_tsv(std::span<const RunResult> results) {
  return tidy(results, "\t", "\n", tsv_cell);
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
  constexpr std::array<std::pair<std::string_view, std::string_view>, 18> kCommands = {
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
       {"\u2009", "\\,"}}};
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

std::string to_markdown(std::span<const RunResult> results) {
  std::string out;
  for (const Table& table : tables_of(results)) {
    if (!out.empty()) out += "\n";
    out += fmt::format("### {}\n\n", markdown_text(table.title));
    for (std::size_t l = 0; l < table.lines.size(); ++l) {
      for (const std::string& cell : table.lines[l]) out += "| " + markdown_text(cell) + " ";
      out += "|\n";
      if (l > 0) continue;
      for (std::size_t c = 0; c < table.lines[0].size(); ++c) out += c == 0 ? "| --- " : "| ---: ";
      out += "|\n";
    }
  }
  return out;
}

std::string to_latex(std::span<const RunResult> results) {
  std::string out = "% \\usepackage{booktabs} and \\usepackage{textcomp} in the preamble.\n";
  for (const Table& table : tables_of(results)) {
    out += "\\begin{table}\n\\centering\n";
    out += fmt::format("\\caption{{{}}}\n", latex_text(table.title));
    out += fmt::format("\\begin{{tabular}}{{l{}}}\n\\toprule\n",
                       std::string(table.lines[0].size() - 1, 'r'));
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

}  // namespace systole::reports
