// systole diff: two results, figure by figure, with an exit status that a regression test can use.
#include <fmt/core.h>

#include <charconv>
#include <cmath>

#include "reports/difference.hpp"
#include "reports/result_file.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"

namespace systole::cli {
namespace {

/// "1%", "0.5 %" or a plain share such as "0.01".
double parse_threshold(std::string text) {
  const std::string whole = text;
  const bool percent = text.ends_with('%');
  if (percent) text.pop_back();
  while (text.ends_with(' ')) text.pop_back();
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() ||
      !std::isfinite(value) || value < 0) {
    throw ConfigError("--threshold: found '" + whole +
                      "'; expected a share of 0 or more such as 1% or 0.01");
  }
  return percent ? value / 100 : value;
}

}  // namespace

int diff_command(const Arguments& arguments) {
  std::vector<std::string> files;
  std::string threshold = "0%", json;
  bool quiet = false;
  Options options("diff A.h5 B.h5 [options]",
                  "Compares every figure of two results: of the summary, of operations, components "
                  "and events. Rows\n"
                  "that only one of them has are differences; other settings are listed and are "
                  "none by themselves.\n"
                  "A figure that was 0 and is not differs at every threshold; tilings that were "
                  "weighed and not run are\n"
                  "not compared.\n"
                  "Exit status: 0 equal within the threshold, 1 different, 2 bad input.",
                  "  systole diff before.h5 after.h5\n"
                  "  systole diff before.h5 after.h5 --threshold 1% --json\n");
  options
      .value("threshold", "SHARE", threshold,
             "relative difference that still counts as equal, of A's value: 1% or 0.01 "
             "(default: 0)")
      .json(json, "the differences", JsonFile::joined)
      .flag("quiet", quiet, "the exit status alone")
      .positional(files);
  if (!options.parse(arguments)) return 0;
  if (files.size() != 2) {
    throw ConfigError(
        fmt::format("diff: expected two result files (systole run --out FILE.h5), "
                    "found {}",
                    files.size()));
  }
  check_writable(json);
  const double share = parse_threshold(threshold);
  const reports::Difference difference =
      reports::difference(reports::read_result(files[0]), reports::read_result(files[1]), share);
  if (!json.empty()) write_text_file(json, reports::difference_to_json(difference));
  if (!quiet && json != "-") {
    print_text(reports::difference_to_terminal(difference, colour_wanted(), output_columns()));
  }
  return difference.equal() ? 0 : 1;
}

}  // namespace systole::cli
