#include "reports/tables.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "reports/csv.hpp"
#include "reports/figure_table.hpp"
#include "reports/figures.hpp"
#include "reports/format.hpp"
#include "reports/html.hpp"
#include "reports/json.hpp"
#include "reports/terminal.hpp"
#include "tests/reports/sample_results.hpp"

namespace systole::reports {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::vector<std::string>> tsv_lines(const std::string& text) {
  std::vector<std::vector<std::string>> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string>& cells = lines.emplace_back();
    std::size_t at = 0;
    for (std::size_t tab; (tab = line.find('\t', at)) != std::string::npos; at = tab + 1) {
      cells.push_back(line.substr(at, tab - at));
    }
    cells.push_back(line.substr(at));
  }
  return lines;
}

TEST(Tables, EveryRenderingPrintsTheSameCharactersForTheSameFigure) {
  for (const RunResult& r : {sample_small(), sample_7b(), sample_7b(SampleMachine::fp16)}) {
    const auto json = nlohmann::json::parse(to_json(r));
    const std::string text = to_terminal(r, false, 140), html = to_html({&r, 1});
    const std::string markdown = to_markdown({&r, 1}), latex = to_latex({&r, 1});
    const std::string csv = to_tidy_csv({&r, 1});
    const auto expect_everywhere = [&](const std::string& label, const std::string& printed) {
      EXPECT_THAT(text, HasSubstr(printed)) << label;
      EXPECT_THAT(html, HasSubstr(printed)) << label;
      EXPECT_THAT(markdown, HasSubstr("| " + markdown_text(printed) + " |")) << label;
      EXPECT_THAT(latex, HasSubstr("& " + latex_text(printed) + " ")) << label;
      EXPECT_THAT(csv, HasSubstr("," + csv_cell(printed) + "\r\n")) << label;
    };
    for (const char* name : {"perplexity", "ttft_ms", "tpot_ms", "energy_pj", "area_mm2",
                             "utilisation", "bandwidth_share", "cycles"}) {
      const auto& value = json.at("summary").at(name);
      if (!value.is_null()) expect_everywhere(name, format_figure(name, value.get<double>()));
    }
    // What JSON and CSV give with every digit is the same number.
    for (const auto& cells : tsv_lines(to_tidy_tsv({&r, 1}))) {
      if (cells[1] != "summary" || !json.at("summary").at(cells[3]).is_number()) continue;
      EXPECT_EQ(std::stod(cells[4]), json.at("summary").at(cells[3]).get<double>()) << cells[3];
    }
    for (const auto& part : json.at("components")) {
      const double energy =
          part.at("dynamic_pj").get<double>() + part.at("static_pj").get<double>();
      if (energy == 0) continue;
      const std::string printed = format_energy_pj(energy);
      EXPECT_THAT(text, HasSubstr(printed));
      EXPECT_THAT(html, HasSubstr(printed));
      EXPECT_THAT(markdown, HasSubstr("| " + printed + " |"));
      EXPECT_THAT(latex, HasSubstr("& " + latex_text(printed) + " "));
    }
  }
}

TEST(Tables, TidyHasEveryFigureOfEveryResultOnce) {
  const std::vector<RunResult> results = {sample_small(), sample_7b()};
  const auto lines = tsv_lines(to_tidy_tsv(results));
  EXPECT_EQ(lines.size(), 1 + figures_of(results[0]).size() + figures_of(results[1]).size());
  for (const auto& cells : lines) EXPECT_EQ(cells.size(), 6u);
  EXPECT_EQ(lines[0][3], "figure");
  EXPECT_EQ(lines[1][0], "1");
  EXPECT_EQ(lines.back()[0], "2");
}

TEST(Tables, HostileNamesStayInTheirCells) {
  RunResult r = sample_small();
  r.model = "a|b\t\"c\",\\input{x}$_&%#~^<b>\n";
  r.operations[0].name = r.model;
  for (const auto& cells : tsv_lines(to_tidy_tsv({&r, 1}))) EXPECT_EQ(cells.size(), 6u);
  EXPECT_THAT(to_tidy_csv({&r, 1}), HasSubstr("\"a|b\t\"\"c\"\",\\input{x}$_&%#~^<b>\n\""));
  EXPECT_THAT(to_markdown({&r, 1}), HasSubstr("a\\|b \"c\",\\\\input{x}$\\_&%\\#~^\\<b\\> "));
  const std::string latex = to_latex({&r, 1});
  EXPECT_THAT(latex, Not(HasSubstr("\\input")));
  EXPECT_THAT(latex, HasSubstr("\\textbackslash{}input\\{x\\}\\$\\_\\&\\%\\#\\textasciitilde{}"));
}

TEST(Tables, LatexRulesAndColumnsAreBalanced) {
  const std::vector<RunResult> results = {sample_7b(), sample_7b(SampleMachine::int8)};
  std::istringstream latex(to_latex(results));
  std::size_t columns = 0, tables = 0, rows = 0;
  for (std::string line; std::getline(latex, line);) {
    if (line.starts_with("\\begin{tabular}")) {
      columns = line.size() - std::string("\\begin{tabular}{}").size();
      ++tables;
    }
    if (line.ends_with("\\\\")) {
      std::size_t separators = 0;
      for (std::size_t i = 1; i < line.size(); ++i) {
        separators += line[i] == '&' && line[i - 1] != '\\' ? 1 : 0;
      }
      EXPECT_EQ(separators + 1, columns) << line;
      ++rows;
    }
    for (const char c : line) EXPECT_LT(static_cast<unsigned char>(c), 0x80) << line;
  }
  EXPECT_EQ(tables, 1u + 2 * 3);
  EXPECT_GT(rows, 40u);
}

TEST(Tables, NothingOfNoResult) {
  EXPECT_EQ(to_markdown({}), "");
  EXPECT_THAT(to_latex({}), Not(HasSubstr("tabular")));
}

}  // namespace
}  // namespace systole::reports
