// systole report: results turned into a page, a table or JSON; several side by side.
#include <fmt/core.h>

#include "reports/comparison.hpp"
#include "reports/csv.hpp"
#include "reports/html.hpp"
#include "reports/json.hpp"
#include "reports/result_file.hpp"
#include "reports/sweep.hpp"
#include "reports/sweep_file.hpp"
#include "reports/terminal.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"

namespace systole::cli {

int report_command(const Arguments& arguments) {
  std::vector<std::string> files;
  std::string html, json, csv;
  bool quiet = false;
  Options options("report FILE.h5... [options]",
                  "Renders results that `systole run --out` wrote, or one that `systole sweep merge` "
                  "wrote. Several\nresults are compared; the first is the base of the ratios.",
                  "  systole report a.h5 b.h5 c.h5 --html page.html\n");
  options.value("html", "FILE", html, "a self-contained page")
      .value("json", "FILE", json, "JSON of one result, - for standard output")
      .value("csv", "FILE", csv, "the operations of one result as a table, - for standard output")
      .flag("quiet", quiet, "no table on the terminal")
      .positional(files);
  if (!options.parse(arguments)) return 0;
  if (files.empty())
    throw ConfigError("report: expected at least one result file (systole run --out FILE.h5)");
  if (files.size() > 1 && !(json.empty() && csv.empty())) {
    throw ConfigError(
        "report: --json and --csv take one result; several can be compared with --html");
  }
  for (const std::string* path : {&html, &json, &csv}) check_writable(*path);

  if (files.size() == 1 && reports::is_sweep_result(files[0])) {
    const SweepResult sweep = reports::read_sweep_result(files[0]);
    if (!html.empty()) write_text_file(html, reports::sweep_to_html(sweep));
    if (!json.empty()) write_text_file(json, reports::sweep_to_json(sweep));
    if (!csv.empty()) write_text_file(csv, reports::sweep_to_csv(sweep));
    if (quiet || html == "-" || json == "-" || csv == "-") return 0;
    fmt::print("{}", reports::sweep_to_terminal(sweep, colour_wanted(), output_columns()));
    return 0;
  }
  std::vector<RunResult> results;
  for (const std::string& file : files) results.push_back(reports::read_result(file));
  if (!html.empty()) write_text_file(html, reports::to_html(results));
  if (!json.empty()) write_text_file(json, reports::to_json(results[0]));
  if (!csv.empty()) write_text_file(csv, reports::operations_to_csv(results[0]));
  if (quiet || html == "-" || json == "-" || csv == "-") return 0;
  if (results.size() > 1) {
    fmt::print("{}", reports::comparison_to_terminal(results, colour_wanted(), output_columns()));
  } else {
    fmt::print("{}", reports::to_terminal(results[0], colour_wanted(), output_columns()));
  }
  return 0;
}

}  // namespace systole::cli
