#include "sim/cli/forms.hpp"

#include <algorithm>

#include "reports/sweep.hpp"
#include "sim/core/error.hpp"

namespace systole::cli {

void FormChoice::declare(Options& options, const std::string& help, const std::string& besides) {
  names_ = "json|csv|tsv|md|latex" + besides;
  options.value("format", names_, form_, help)
      .value("out", "FILE", out_, "where --format goes (default: standard output)");
}

void FormChoice::check(const std::string& command) {
  if (!asked() && !out_.empty()) {
    std::string expected = names_;
    for (std::size_t at; (at = expected.find('|')) != std::string::npos;) {
      expected.replace(at, 1, expected.find('|', at + 1) == std::string::npos ? " or " : ", ");
    }
    throw ConfigError(command + ": --out needs --format " + expected);
  }
  if (!asked()) return;
  const std::vector<std::string_view> names = split(names_, '|');
  choice_of("--format", "format", form_, names);
  if (out_.empty()) out_ = "-";
  check_writable(out_);
}

void FormChoice::write(const Forms& forms) const {
  if (!asked()) return;
  if (form_ == "json") {
    write_text_file(out_, forms.json);
  } else if (form_ == "csv" || form_ == "tsv") {
    const auto how = form_ == "csv" ? reports::Separated::csv : reports::Separated::tsv;
    write_text_file(out_, [&](const TextSink& to) { forms.separated(how, to); });
  } else {
    const std::vector<reports::Table> tables = forms.tables();
    write_text_file(out_, form_ == "md" ? reports::markdown_of(tables) : reports::latex_of(tables));
  }
}

Forms sweep_forms(const SweepResult& sweep, const SweepSummary& summary) {
  return {[&](const TextSink& to) { reports::sweep_to_json(sweep, summary, to); },
          [&](reports::Separated how, const TextSink& to) {
            reports::sweep_to_csv(sweep, summary, to, how);
          },
          [&] { return reports::sweep_tables(sweep, summary); }};
}

std::function<void(const TextSink&)> whole_text(std::function<std::string()> text) {
  return [text = std::move(text)](const TextSink& to) { to(text()); };
}
std::function<void(reports::Separated, const TextSink&)> whole_table(
    std::function<std::string(reports::Separated)> text) {
  return [text = std::move(text)](reports::Separated how, const TextSink& to) { to(text(how)); };
}

}  // namespace systole::cli
