// systole verify: every kernel and the clocked arrays against their definitions, bit for bit, on
// random and adversarial cases, each a function of suite, seed and number.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "pe/verify.hpp"
#include "quant/verify.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"
#include "sim/core/progress.hpp"
#include "sim/kernel/simulation.hpp"

namespace systole::cli {
namespace {

struct SuiteReport {
  std::string suite;
  std::uint64_t cases = 0, elements = 0, mismatches = 0;
  double seconds = 0;
  std::string first_mismatch{};               ///< empty when there is none
  std::optional<std::uint64_t> first_case{};  ///< its number

  void add(std::uint64_t index, std::uint64_t compared, std::uint64_t different,
           const std::string& what) {
    ++cases;
    elements += compared;
    mismatches += different;
    if (different > 0 && !first_case) {
      first_case = index;
      first_mismatch = what;
    }
  }
};

using Indices = std::vector<std::uint64_t>;

SuiteReport run_quant_suite(const std::string& suite, std::uint64_t seed, const Indices& indices,
                            Progress& progress) {
  SuiteReport report{.suite = suite};
  for (const std::uint64_t index : indices) {
    const quant::CaseOutcome outcome = quant::run_case(suite, seed, index);
    report.add(index, outcome.elements, outcome.mismatches, outcome.first_mismatch);
    progress.report(suite, report.cases, indices.size());
    if (progress.cancelled()) throw Interrupted();
  }
  return report;
}

SuiteReport run_array_suite(std::uint64_t seed, const Indices& indices, Progress& progress) {
  SuiteReport report{.suite = std::string(pe::kVerifySuite)};
  kernel::run_simulation([&] {
    const auto outcomes = pe::verify_cases(seed, indices, [&](std::uint64_t done) {
      progress.report(report.suite, done, indices.size());
    });
    for (const pe::VerifyOutcome& outcome : outcomes) {
      report.add(outcome.index, outcome.elements, outcome.mismatches, outcome.first_mismatch);
    }
    return 0;
  });
  return report;
}

std::vector<std::string> all_suites() {
  std::vector<std::string> names = quant::suite_names();
  names.emplace_back(pe::kVerifySuite);
  return names;
}

double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

}  // namespace

int verify_command(const Arguments& arguments) {
  std::string suite = "all", json;
  std::uint64_t seed = 1, cases = 2000;
  std::optional<std::uint64_t> only_case;
  bool quiet = false;
  std::string suite_list;
  for (const std::string& name : all_suites())
    suite_list += (suite_list.empty() ? "" : ", ") + name;
  Options options(
      "verify [options]",
      "Compares every implementation with the one definition of each operation, bit for bit: the "
      "kernels of\n"
      "every instruction set of this processor at several thread counts, and the clocked arrays in "
      "SystemC,\n"
      "their values with the definition and their cycles with the closed form.\n\nSuites: " +
          suite_list,
      "  systole verify\n"
      "  systole verify --suite gemm_w4a8 --seed 7 --cases 10000\n"
      "  systole verify --suite gemm_w4a8 --seed 7 --case 123        (one case again)\n");
  options.value("suite", "NAME", suite, "a suite, or all (default)")
      .number("seed", "N", seed, "which random cases (default: 1)")
      .number("cases", "N", cases, "cases a suite (default: 2000)")
      .optional_number("case", "N", only_case, "only the case of this number")
      .value("json", "FILE", json, "the figures as JSON, - for standard output")
      .flag("quiet", quiet, "no table and no progress");
  if (!options.parse(arguments)) return 0;
  catch_interrupt();
  check_writable(json);

  std::vector<std::string> suites = all_suites();
  if (suite != "all") {
    if (std::ranges::find(suites, suite) == suites.end()) {
      throw ConfigError(unknown_name_message("suite", suite, suites));
    }
    suites = {suite};
  }
  if (only_case && suites.size() > 1) throw ConfigError("--case: expected one --suite with it");
  constexpr std::uint64_t kMostCases = 100'000'000;
  if (cases == 0 || cases > kMostCases) {
    throw ConfigError(fmt::format("--cases: expected 1 to {}, found {}", kMostCases, cases));
  }
  Indices indices(only_case ? 1 : cases);
  std::iota(indices.begin(), indices.end(), only_case.value_or(0));

  ConsoleProgress progress(quiet);
  std::vector<SuiteReport> reports;
  for (const std::string& name : suites) {
    const auto start = std::chrono::steady_clock::now();
    reports.push_back(name == pe::kVerifySuite ? run_array_suite(seed, indices, progress)
                                               : run_quant_suite(name, seed, indices, progress));
    reports.back().seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  SuiteReport total{.suite = "all"};
  for (const SuiteReport& report : reports) {
    total.cases += report.cases;
    total.elements += report.elements;
    total.mismatches += report.mismatches;
    total.seconds += report.seconds;
  }
  const auto repeat = [&](const SuiteReport& report) {
    return fmt::format("systole verify --suite {} --seed {} --case {}", report.suite, seed,
                       *report.first_case);
  };
  if (!json.empty()) {
    nlohmann::ordered_json document;
    const auto figures = [](const SuiteReport& report) {
      return nlohmann::ordered_json{
          {"cases", report.cases},
          {"elements", report.elements},
          {"mismatches", report.mismatches},
          {"elements_per_second", rate(static_cast<double>(report.elements), report.seconds)},
          {"cases_per_second", rate(static_cast<double>(report.cases), report.seconds)}};
    };
    document["summary"] = figures(total);
    document["summary"]["seed"] = seed;
    for (const SuiteReport& report : reports) {
      auto entry = figures(report);
      if (report.first_case) {
        entry["first_mismatch"] = report.first_mismatch;
        entry["repeat"] = repeat(report);
      }
      document["suites"][report.suite] = std::move(entry);
    }
    write_text_file(json, document.dump(2) + "\n");
  }
  if (!quiet && json != "-") {
    fmt::print("{:<24}{:>10}{:>14}{:>12}{:>12}{:>14}\n", "suite", "cases", "elements", "mismatches",
               "cases/s", "elements/s");
    reports.push_back(total);
    for (const SuiteReport& report : reports) {
      if (reports.size() == 2 && &report == &reports.back()) break;  // the one suite is the total
      fmt::print("{:<24}{:>10}{:>14}{:>12}{:>12.0f}{:>14.3g}\n", report.suite, report.cases,
                 report.elements, report.mismatches,
                 rate(static_cast<double>(report.cases), report.seconds),
                 rate(static_cast<double>(report.elements), report.seconds));
    }
    for (const SuiteReport& report : reports) {
      if (!report.first_case) continue;
      fmt::print("\nfirst mismatch: {}\nrepeat with:    {}\n", report.first_mismatch,
                 repeat(report));
    }
  }
  return total.mismatches == 0 ? 0 : 1;
}

}  // namespace systole::cli
