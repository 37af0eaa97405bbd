// systole paper: the printed values of a paper beside what its own model gives here.
#include <fmt/core.h>

#include "configs/library.hpp"
#include "reports/paper.hpp"
#include "sim/analytic/paper.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/forms.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"
#include "sim/system/physical_twin.hpp"

namespace systole::cli {

int paper_command(const Arguments& arguments) {
  std::vector<std::string> words;
  std::string json, html, csv;
  FormChoice form;
  bool quiet = false, no_tile = false;
  Options options(
      "paper NAME|FILE.yaml [options]",
      "Prints every value of a published table beside what the paper's own closed-form model gives "
      "here:\n"
      "equal at the printed digits, or with the cause of the difference. `systole list papers` "
      "names the\n"
      "papers; `systole show NAME` prints their machines, layers, prices and sources.\n"
      "Beside both stands what the physical timing of `run` says of the same machine and layers: "
      "with fill,\n"
      "drain and DRAM, which these models leave out.\n"
      "Exit code 1: a value is neither equal nor within the paper's tolerance.",
      "  systole paper ant\n  systole paper bitmod --html bitmod.html --json bitmod.json\n");
  options.json(json, "the rows")
      .value("html", "FILE", html, "the rows as a page with bars")
      .value("csv", "FILE", csv, "the rows as a table, - for standard output");
  form.declare(options, "what --out gets: the rows, or for a document the table of the terminal");
  options
      .flag("no-tile", no_tile,
            "do not run the same machines and layers in the physical timing as well (faster)")
      .flag("quiet", quiet, "no table on the terminal")
      .positional(words, "@papers");
  if (!options.parse(arguments)) return 0;
  if (words.empty()) throw ConfigError("paper: expected a name; see `systole list papers`");
  if (words.size() > 1)
    throw ConfigError("paper: expected one name, found '" + words[1] + "' as well");
  for (const std::string* path : {&html, &json, &csv}) check_writable(*path);
  form.check("paper");

  catch_interrupt();
  const configs::PaperConfig paper = configs::load_paper(words[0]);
  const std::vector<analytic::PhysicalTwin> twins = analytic::physical_twins(paper);
  std::vector<std::optional<analytic::PhysicalTime>> times(twins.size());
  if (!no_tile) {
    ConsoleProgress progress(quiet);
    times = sim::time_twins(twins, progress);
  }
  // reproduce() asks for each twin in the order in which physical_twins() lists them.
  const auto timing =
      [&](const analytic::PhysicalTwin& twin) -> std::optional<analytic::PhysicalTime> {
    for (std::size_t i = 0; i < twins.size(); ++i) {
      if (twins[i].network == twin.network && twins[i].machine == twin.machine &&
          twins[i].part == twin.part) {
        return times[i];
      }
    }
    return std::nullopt;
  };
  PaperResult result = analytic::reproduce(paper, timing);
  result.version = SYSTOLE_VERSION;
  result.command = command_line();
  if (!html.empty()) write_text_file(html, reports::paper_to_html(result));
  if (!json.empty()) write_text_file(json, reports::paper_to_json(result));
  if (!csv.empty()) write_text_file(csv, reports::paper_to_csv(result));
  form.write(
      {whole_text([&] { return reports::paper_to_json(result); }),
       whole_table([&](reports::Separated how) { return reports::paper_to_csv(result, how); }),
       [&] { return reports::paper_tables(result); }});
  if (!form.asked() && !quiet && html != "-" && json != "-" && csv != "-") {
    print_text(reports::paper_to_terminal(result, colour_wanted(), output_columns()));
  }
  const PaperResult::Tally values = result.tally(false), means = result.tally(true);
  return values.within == values.compared && means.within == means.compared ? 0 : 1;
}

}  // namespace systole::cli
