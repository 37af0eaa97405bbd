// `--format` and `--out`: a result in the form that another program or a document takes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "reports/csv.hpp"
#include "reports/tables.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/sweep_result.hpp"

namespace systole::cli {

/// What a kind of result can be turned into; `separated` may make many lines.
struct Forms {
  std::function<void(const TextSink&)> json;
  std::function<void(reports::Separated, const TextSink&)> separated;
  std::function<std::vector<reports::Table>()> tables;
};

class FormChoice {
 public:
  /// Adds the two options to the group that is begun. `besides`: forms that only this command has,
  /// such as "|perfetto".
  void declare(Options& options, const std::string& help, const std::string& besides = "");
  /// Throws ConfigError for an unknown form, --out without --format, and what cannot be written.
  void check(const std::string& command);

  bool asked() const { return !form_.empty(); }
  const std::string& form() const { return form_; }
  const std::string& out() const { return out_; }
  /// Writes what is asked for, which is none of `besides`.
  void write(const Forms& forms) const;

 private:
  std::string form_, out_, names_;
};

Forms sweep_forms(const SweepResult& sweep, const SweepSummary& summary);

/// `text` as a whole, for Forms.
std::function<void(const TextSink&)> whole_text(std::function<std::string()> text);
std::function<void(reports::Separated, const TextSink&)> whole_table(
    std::function<std::string(reports::Separated)> text);

}  // namespace systole::cli
