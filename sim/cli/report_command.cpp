// systole report: results turned into a page, a table or JSON; several side by side.
#include <fmt/core.h>

#include <algorithm>

#include "configs/sweep.hpp"
#include "reports/comparison.hpp"
#include "reports/csv.hpp"
#include "reports/html.hpp"
#include "reports/json.hpp"
#include "reports/result_file.hpp"
#include "reports/sweep.hpp"
#include "reports/sweep_file.hpp"
#include "reports/tables.hpp"
#include "reports/terminal.hpp"
#include "reports/trace.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"
#include "sim/core/point_command.hpp"

namespace systole::cli {
namespace {

constexpr std::string_view kFormats[] = {"json", "csv", "tsv", "md", "latex", "perfetto"};

std::string json_of(const std::vector<RunResult>& results) {
  return results.size() == 1 ? reports::to_json(results[0]) : reports::to_json(results);
}

std::string rendered(std::string_view format, const std::vector<RunResult>& results) {
  if (format == "csv") return reports::to_tidy_csv(results);
  if (format == "tsv") return reports::to_tidy_tsv(results);
  if (format == "md") return reports::to_markdown(results);
  if (format == "latex") return reports::to_latex(results);
  if (format == "perfetto") return reports::result_to_trace(results[0]);
  return json_of(results);
}

/// What makes a sweep's page, from nothing.
std::string commands_of(const SweepResult& sweep, const std::string& file) {
  bool ours = false;
  try {
    const std::vector<configs::Entry> shipped = configs::list_sweeps();
    ours = std::ranges::find(shipped, sweep.name, &configs::Entry::name) != shipped.end();
  } catch (const ConfigError&) {  // a report needs no library
  }
  return sweep_commands(sweep, ours ? sweep.name : sweep.name + ".yaml", file) + "\n" +
         command_line();
}

}  // namespace

int report_command(const Arguments& arguments) {
  std::vector<std::string> files;
  std::string html, json, csv, format, out;
  bool quiet = false;
  Options options(
      "report FILE.h5... [options]",
      "Renders results that `systole run --out` wrote, or one that `systole sweep merge` "
      "wrote. Several\nresults are compared; the first is the base of the ratios.",
      "  systole report a.h5 b.h5 c.h5 --html page.html\n"
      "  systole report a.h5 b.h5 --format latex --out tables.tex\n");
  options.value("html", "FILE", html, "a self-contained page")
      .json(json, "the result, or several as results,")
      .value("csv", "FILE", csv, "the operations of one result as a table, - for standard output")
      .value("format", "json|csv|tsv|md|latex|perfetto", format,
             "what --out gets: the same JSON, all figures as a tidy table, tables for a "
             "document, or its rows, windows and excerpt as a trace (systole run --trace has every "
             "tile)")
      .value("out", "FILE", out, "where --format goes (default: standard output)")
      .flag("quiet", quiet, "no table on the terminal")
      .positional(files);
  if (!options.parse(arguments)) return 0;
  if (files.empty())
    throw ConfigError("report: expected at least one result file (systole run --out FILE.h5)");
  if (files.size() > 1 && !csv.empty()) {
    throw ConfigError(
        "report: --csv takes one result; several can be compared with --html, or have --format "
        "csv");
  }
  if (format.empty() && !out.empty())
    throw ConfigError("report: --out needs --format json, csv, tsv, md, latex or perfetto");
  if (!format.empty()) {
    choice_of("--format", "format", format, kFormats);
    if (files.size() > 1 && format == "perfetto")
      throw ConfigError("report: --format perfetto takes one result");
    if (out.empty()) out = "-";
  }
  for (const std::string* path : {&html, &json, &csv, &out}) check_writable(*path);

  if (files.size() == 1 && reports::is_sweep_result(files[0])) {
    if (!format.empty())
      throw ConfigError("report: --format takes results of runs; " + files[0] +
                        " is a sweep, which has --html, --json and --csv");
    const SweepResult sweep = reports::read_sweep_result(files[0]);
    const SweepSummary summary = summarise(sweep);
    if (!html.empty())
      write_text_file(html, reports::sweep_to_html(sweep, summary, commands_of(sweep, files[0])));
    if (!json.empty()) {
      write_text_file(json,
                      [&](const TextSink& to) { reports::sweep_to_json(sweep, summary, to); });
    }
    if (!csv.empty()) {
      write_text_file(csv, [&](const TextSink& to) { reports::sweep_to_csv(sweep, summary, to); });
    }
    if (quiet || html == "-" || json == "-" || csv == "-") return 0;
    print_text(reports::sweep_to_terminal(sweep, summary, colour_wanted(), output_columns()));
    return 0;
  }
  std::vector<RunResult> results;
  for (const std::string& file : files) results.push_back(reports::read_result(file));
  if (!html.empty()) write_text_file(html, reports::to_html(results, command_line()));
  if (!json.empty()) write_text_file(json, json_of(results));
  if (!csv.empty()) write_text_file(csv, reports::operations_to_csv(results[0]));
  if (!format.empty()) write_text_file(out, rendered(format, results));
  if (!format.empty() || quiet || html == "-" || json == "-" || csv == "-") return 0;
  if (results.size() > 1) {
    print_text(reports::comparison_to_terminal(results, colour_wanted(), output_columns()));
  } else {
    print_text(reports::to_terminal(results[0], colour_wanted(), output_columns()));
  }
  return 0;
}

}  // namespace systole::cli
