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
#include "sim/cli/forms.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"
#include "sim/core/point_command.hpp"
#include "sim/core/shell_word.hpp"

namespace systole::cli {
namespace {

std::string json_of(const std::vector<RunResult>& results) {
  return results.size() == 1 ? reports::to_json(results[0]) : reports::to_json(results);
}

Forms forms_of(const std::vector<RunResult>& results) {
  return {whole_text([&] { return json_of(results); }), whole_table([&](reports::Separated how) {
            return how == reports::Separated::csv ? reports::to_tidy_csv(results)
                                                  : reports::to_tidy_tsv(results);
          }),
          [&] { return reports::tables_of(results); }};
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

int report_sweep(const std::string& file, const std::string& html, const std::string& json,
                 const std::string& csv, const FormChoice& form, bool quiet) {
  if (form.form() == "perfetto") {
    throw ConfigError("report: " + file +
                      " is a sweep, which has no timeline; --format perfetto takes one of its "
                      "points: systole sweep export " +
                      shell_word(file) + " --point ID --out point.h5");
  }
  const SweepResult sweep = reports::read_sweep_result(file);
  const SweepSummary summary = summarise(sweep);
  const Forms forms = sweep_forms(sweep, summary);
  if (!html.empty())
    write_text_file(html, reports::sweep_to_html(sweep, summary, commands_of(sweep, file)));
  if (!json.empty()) write_text_file(json, forms.json);
  if (!csv.empty()) {
    write_text_file(csv, [&](const TextSink& to) { forms.separated(reports::Separated::csv, to); });
  }
  form.write(forms);
  if (form.asked() || quiet || html == "-" || json == "-" || csv == "-") return 0;
  print_text(reports::sweep_to_terminal(sweep, summary, colour_wanted(), output_columns()));
  return 0;
}

}  // namespace

int report_command(const Arguments& arguments) {
  std::vector<std::string> files;
  std::string html, json, csv;
  FormChoice form;
  bool quiet = false;
  Options options(
      "report FILE.h5... [options]",
      "Renders results that `systole run --out` wrote, or one that `systole sweep merge` "
      "wrote. Several\nresults are compared; the first is the base of the ratios.",
      "  systole report a.h5 b.h5 c.h5 --html page.html\n"
      "  systole report a.h5 b.h5 --format latex --out tables.tex\n");
  options.value("html", "FILE", html, "a self-contained page")
      .json(json, "the result, or several as results,")
      .value("csv", "FILE", csv, "the operations of one result as a table, - for standard output");
  form.declare(options,
               "what --out gets: the same JSON; all figures as a tidy table, or the points of a "
               "sweep; tables for a document; the rows, windows and excerpt of one result as a "
               "trace (systole run --trace has every tile)",
               "|perfetto");
  options.flag("quiet", quiet, "no table on the terminal").positional(files);
  if (!options.parse(arguments)) return 0;
  if (files.empty())
    throw ConfigError("report: expected at least one result file (systole run --out FILE.h5)");
  if (files.size() > 1 && !csv.empty()) {
    throw ConfigError(
        "report: --csv takes one result; several can be compared with --html, or have --format "
        "csv");
  }
  form.check("report");
  if (files.size() > 1 && form.form() == "perfetto")
    throw ConfigError("report: --format perfetto takes one result");
  for (const std::string* path : {&html, &json, &csv}) check_writable(*path);

  if (files.size() == 1 && reports::is_sweep_result(files[0])) {
    return report_sweep(files[0], html, json, csv, form, quiet);
  }
  std::vector<RunResult> results;
  for (const std::string& file : files) results.push_back(reports::read_result(file));
  if (!html.empty()) write_text_file(html, reports::to_html(results, command_line()));
  if (!json.empty()) write_text_file(json, json_of(results));
  if (!csv.empty()) write_text_file(csv, reports::operations_to_csv(results[0]));
  if (form.form() == "perfetto") {
    write_text_file(form.out(), reports::result_to_trace(results[0]));
  } else {
    form.write(forms_of(results));
  }
  if (form.asked() || quiet || html == "-" || json == "-" || csv == "-") return 0;
  if (results.size() > 1) {
    print_text(reports::comparison_to_terminal(results, colour_wanted(), output_columns()));
  } else {
    print_text(reports::to_terminal(results[0], colour_wanted(), output_columns()));
  }
  return 0;
}

}  // namespace systole::cli
