// systole verify: every kernel and the clocked arrays against their definitions, bit for bit, on
// random and adversarial cases; one kernel at one shape; vectors for somebody else's block, and
// what that block gave.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "pe/verify.hpp"
#include "quant/verify.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/golden_files.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"
#include "sim/core/progress.hpp"
#include "sim/kernel/simulation.hpp"

namespace systole::cli {
namespace {

/// Cases a suite: enough that every path meets every edge, within seconds. The clocked arrays
/// simulate every cycle, a thousand times slower.
constexpr std::uint64_t kDefaultCases = 2000;
constexpr std::uint64_t kFewestCases = 50;  ///< of a kernel with a costly definition
constexpr std::uint64_t kDefaultArrayCases = 500;
constexpr std::uint64_t kMostCases = 100'000'000;

struct Request {
  std::string suite = "all", json, kernel, shape, values = "normal", options = "usual", fault;
  std::string export_folder, against;
  std::uint64_t seed = 1, threads = 0;
  std::optional<std::uint64_t> cases, only_case;
  bool quiet = false;
};

struct SuiteReport {
  std::string suite;
  std::uint64_t cases = 0, elements = 0, mismatches = 0;
  double seconds = 0;
  std::string first_mismatch{};               ///< empty when there is none
  std::optional<std::uint64_t> first_case{};  ///< its number
  std::string repeat{};                       ///< the command that runs it again

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

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}
double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

std::vector<std::string> kernel_names() { return quant::suite_names(); }
std::vector<std::string> all_suites() {
  std::vector<std::string> names = quant::suite_names();
  names.emplace_back(pe::kVerifySuite);
  return names;
}

std::string known_name(const std::string& kind, const std::string& name,
                       const std::vector<std::string>& names) {
  if (std::ranges::find(names, name) != names.end()) return name;
  throw ConfigError(unknown_name_message(kind, name, names));
}

quant::GemmShape shape_of(const std::string& text) {
  const auto sides = numbers_in("--shape", text, 'x', 3, "MxNxK, such as 64x64x128");
  return {sides[0], sides[1], sides[2]};
}

/// "PATH:ELEMENT:BIT".
std::optional<quant::Fault> fault_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  constexpr const char* kExpected = "PATH:ELEMENT:BIT, such as avx2:17:0";
  const auto parts = split(text, ':');
  if (parts.size() != 3) {
    throw ConfigError(fmt::format("--plant-fault: found '{}'; expected {}", text, kExpected));
  }
  return quant::Fault{std::string(parts[0]), number_of(parts[1], "--plant-fault", text, kExpected),
                      static_cast<unsigned>(number_of(parts[2], "--plant-fault", text, kExpected))};
}

quant::KernelCase case_of(const Request& request) {
  if (request.shape.empty()) throw ConfigError("--kernel: expected --shape MxNxK with it");
  const std::vector<std::string> values(quant::kValuesNames.begin(), quant::kValuesNames.end());
  known_name("kernel", request.kernel, kernel_names());
  known_name("kind of values", request.values, values);
  known_name("kind of options", request.options, {"usual", "drawn"});
  const auto kind = std::ranges::find(values, request.values) - values.begin();
  try {
    return quant::golden_case(request.kernel, shape_of(request.shape), request.seed,
                              static_cast<quant::Values>(kind), request.options == "drawn");
  } catch (const std::invalid_argument& error) {
    throw ConfigError(
        fmt::format("--kernel {} --shape {}: {}", request.kernel, request.shape, error.what()));
  }
}

SuiteReport run_quant_suite(const std::string& suite, std::uint64_t seed, std::uint64_t first,
                            std::uint64_t cases, unsigned threads, const quant::Fault* fault,
                            Progress& progress) {
  SuiteReport report{.suite = suite};
  const std::uint64_t at_once = 64 * std::uint64_t{threads};
  for (std::uint64_t done = 0; done < cases;) {
    const std::uint64_t count = std::min(at_once, cases - done);
    const auto outcomes = quant::run_cases(suite, seed, first + done, count, threads, fault);
    for (std::uint64_t i = 0; i < count; ++i) {
      report.add(first + done + i, outcomes[i].elements, outcomes[i].mismatches,
                 outcomes[i].first_mismatch);
    }
    done += count;
    progress.report(suite, done, cases);
    if (progress.cancelled()) throw Interrupted();
  }
  if (report.first_case) {
    report.repeat =
        "systole " + quant::repeat_arguments(quant::make_case(suite, seed, *report.first_case));
  }
  return report;
}

SuiteReport run_array_suite(std::uint64_t seed, std::uint64_t first, std::uint64_t cases,
                            const quant::Fault* fault, Progress& progress) {
  SuiteReport report{.suite = std::string(pe::kVerifySuite)};
  std::vector<std::uint64_t> indices(cases);
  std::iota(indices.begin(), indices.end(), first);
  kernel::run_simulation([&] {
    const auto outcomes = pe::verify_cases(
        seed, indices,
        [&](std::uint64_t done) { progress.report(report.suite, done, indices.size()); }, fault);
    for (const pe::VerifyOutcome& outcome : outcomes) {
      report.add(outcome.index, outcome.elements, outcome.mismatches, outcome.first_mismatch);
    }
    return 0;
  });
  if (report.first_case) {
    report.repeat = fmt::format("systole verify --suite {} --seed {} --case {}", report.suite, seed,
                                *report.first_case);
  }
  return report;
}

/// A planted fault is part of the command that finds it again.
std::string planted(const Request& request) {
  return request.fault.empty() ? "" : " --plant-fault '" + request.fault + "'";
}

std::vector<SuiteReport> run_suites(const Request& request) {
  std::vector<std::string> suites = all_suites();
  if (request.suite != "all") suites = {known_name("suite", request.suite, suites)};
  if (request.only_case && suites.size() > 1) {
    throw ConfigError("--case: expected one --suite with it");
  }
  if (request.cases && (*request.cases == 0 || *request.cases > kMostCases)) {
    throw ConfigError(
        fmt::format("--cases: expected 1 to {}, found {}", kMostCases, *request.cases));
  }
  const std::optional<quant::Fault> fault = fault_of(request.fault);
  const unsigned threads = thread_count(request.threads);
  const std::uint64_t first = request.only_case.value_or(0);
  ConsoleProgress progress(request.quiet);
  std::vector<SuiteReport> reports;
  for (const std::string& name : suites) {
    const auto start = Clock::now();
    const bool array = name == pe::kVerifySuite;
    const std::uint64_t usual =
        array ? kDefaultArrayCases
              : std::max(kFewestCases, kDefaultCases / quant::golden_kernel(name).cost);
    const std::uint64_t cases = request.only_case ? 1 : request.cases.value_or(usual);
    const quant::Fault* planted_fault = fault ? &*fault : nullptr;
    reports.push_back(array ? run_array_suite(request.seed, first, cases, planted_fault, progress)
                            : run_quant_suite(name, request.seed, first, cases, threads,
                                              planted_fault, progress));
    reports.back().seconds = seconds_since(start);
    if (reports.back().first_case) reports.back().repeat += planted(request);
  }
  return reports;
}

SuiteReport run_one_kernel(const Request& request) {
  const quant::KernelCase c = case_of(request);
  const std::optional<quant::Fault> fault = fault_of(request.fault);
  const auto start = Clock::now();
  const quant::CaseOutcome outcome = quant::run_case(c, fault ? &*fault : nullptr);
  SuiteReport report{.suite = std::string(c.kernel)};
  report.add(0, outcome.elements, outcome.mismatches, outcome.first_mismatch);
  report.seconds = seconds_since(start);
  if (report.first_case) report.repeat = "systole " + quant::repeat_arguments(c) + planted(request);
  return report;
}

SuiteReport total_of(const std::vector<SuiteReport>& reports) {
  SuiteReport total{.suite = "all"};
  for (const SuiteReport& report : reports) {
    total.cases += report.cases;
    total.elements += report.elements;
    total.mismatches += report.mismatches;
    total.seconds += report.seconds;
  }
  return total;
}

nlohmann::ordered_json figures(const SuiteReport& report) {
  return {{"cases", report.cases},
          {"elements", report.elements},
          {"mismatches", report.mismatches},
          {"elements_per_second", rate(static_cast<double>(report.elements), report.seconds)},
          {"cases_per_second", rate(static_cast<double>(report.cases), report.seconds)}};
}

void write_json(const std::string& path, const std::vector<SuiteReport>& reports,
                std::uint64_t seed) {
  nlohmann::ordered_json document;
  document["summary"] = figures(total_of(reports));
  document["summary"]["seed"] = seed;
  for (const SuiteReport& report : reports) {
    auto entry = figures(report);
    if (report.first_case) {
      entry["first_mismatch"] = report.first_mismatch;
      entry["repeat"] = report.repeat;
    }
    document["suites"][report.suite] = std::move(entry);
  }
  write_text_file(path, document.dump(2) + "\n");
}

void print_row(const SuiteReport& report) {
  fmt::print("{:<24}{:>10}{:>14}{:>12}{:>12.0f}{:>14.3g}\n", report.suite, report.cases,
             report.elements, report.mismatches,
             rate(static_cast<double>(report.cases), report.seconds),
             rate(static_cast<double>(report.elements), report.seconds));
}

void print_table(const std::vector<SuiteReport>& reports) {
  fmt::print("{:<24}{:>10}{:>14}{:>12}{:>12}{:>14}\n", "suite", "cases", "elements", "mismatches",
             "cases/s", "elements/s");
  for (const SuiteReport& report : reports) print_row(report);
  if (reports.size() > 1) print_row(total_of(reports));
  for (const SuiteReport& report : reports) {
    if (!report.first_case) continue;
    fmt::print("\nfirst mismatch: {}\nrepeat with:    {}\n", report.first_mismatch, report.repeat);
  }
}

int report_all(const Request& request, const std::vector<SuiteReport>& reports) {
  if (!request.json.empty()) write_json(request.json, reports, request.seed);
  if (!request.quiet && request.json != "-") print_table(reports);
  return total_of(reports).mismatches == 0 ? 0 : 1;
}

int export_vectors(const Request& request) {
  if (request.kernel.empty()) throw ConfigError("--export: expected --kernel and --shape with it");
  const std::vector<std::string> files = export_kernel(request.export_folder, case_of(request));
  if (!request.json.empty()) {
    nlohmann::ordered_json document;
    document["summary"] = {{"kernel", request.kernel},
                           {"shape", request.shape},
                           {"seed", request.seed},
                           {"folder", request.export_folder}};
    document["files"] = files;
    write_text_file(request.json, document.dump(2) + "\n");
  }
  if (request.quiet || request.json == "-") return 0;
  for (const std::string& file : files) fmt::print("{}/{}\n", request.export_folder, file);
  return 0;
}

/// The steps that lead to a result: all of them, or the first and the last where they are many.
void print_steps(const std::vector<quant::Step>& steps) {
  constexpr std::size_t kFirst = 512, kLast = 64;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps.size() > kFirst + kLast && i == kFirst) {
      i = steps.size() - kLast;
      fmt::print("    ... {} steps (all of them: --json FILE)\n", i - kFirst);
    }
    fmt::print("    {:<44} -> {}\n", steps[i].what,
               quant::describe(steps[i].type, steps[i].accumulator));
  }
}

nlohmann::ordered_json json_of(const DumpOutcome& outcome) {
  nlohmann::ordered_json document;
  document["summary"] = {{"kernel", outcome.kernel_case.kernel},
                         {"elements", outcome.elements},
                         {"mismatches", outcome.mismatches},
                         {"results", outcome.results}};
  if (!outcome.first) return document;
  auto& first = document["first_mismatch"];
  first = {{"result", outcome.first->result},
           {"index", outcome.first->place},
           {"expected", outcome.first->expected},
           {"actual", outcome.first->actual}};
  for (const quant::Step& step : outcome.first->steps) {
    first["steps"].push_back(
        {{"step", step.what}, {"accumulator", quant::describe(step.type, step.accumulator)}});
  }
  return document;
}

int check_against(const Request& request) {
  const DumpOutcome outcome = check_dump(request.against);
  if (!request.json.empty()) write_text_file(request.json, json_of(outcome).dump(2) + "\n");
  if (request.quiet || request.json == "-") return outcome.first ? 1 : 0;
  fmt::print("{}\n{} elements of {} compared, {} differ\n", quant::describe(outcome.kernel_case),
             outcome.elements, fmt::join(outcome.results, ", "), outcome.mismatches);
  if (!outcome.first) return 0;
  fmt::print(
      "\nfirst mismatch: {}{}\n    expected {}\n    actual   {}\nhow the expected value comes "
      "about "
      "(step -> accumulator):\n",
      outcome.first->result, outcome.first->place, outcome.first->expected, outcome.first->actual);
  print_steps(outcome.first->steps);
  return 1;
}

std::string spaced(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, " "));
}

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

/// Which of the four things the command does; the options of another are refused by name.
void check_together(const Request& request) {
  if (!request.against.empty() && (!request.kernel.empty() || !request.export_folder.empty())) {
    throw ConfigError("--against: the dump says its kernel; expected no --kernel or --export");
  }
  if (!request.kernel.empty() && (request.suite != "all" || request.cases || request.only_case)) {
    throw ConfigError("--kernel: one case; expected no --suite, --cases or --case");
  }
  if (request.kernel.empty() && !request.shape.empty()) {
    throw ConfigError("--shape: expected --kernel with it");
  }
}

}  // namespace

int verify_command(const Arguments& arguments) {
  Request request;
  Options options(
      "verify [options]",
      "Compares every implementation with the one definition of each operation, bit for bit: the "
      "kernels of\n"
      "every instruction set of this processor at several thread counts, and the clocked arrays in "
      "SystemC,\n"
      "their values with the definition and their cycles with the closed form. With --export, "
      "writes operands\n"
      "and expected results for another implementation (RTL, a kernel); with --against, checks "
      "what it gave.\n\n"
      "Kernels: " +
          joined(kernel_names()) + "\nSuites: all, every kernel, " + std::string(pe::kVerifySuite),
      "  systole verify\n"
      "  systole verify --suite gemm_w4a8 --seed 7 --cases 10000\n"
      "  systole verify --kernel gemm_w4a8 --shape 64x64x256 --seed 7\n"
      "  systole verify --export vectors --kernel gemm_w4a8 --shape 8x8x128\n"
      "  systole verify --against vectors/dut_out.npy\n");
  options.group("Random cases")
      .value("suite", "NAME", request.suite, "a suite, or all (default)")
      .words("all " + spaced(all_suites()))
      .number("seed", "N", request.seed, "which random cases or operands (default: 1)")
      .optional_number(
          "cases", "N", request.cases,
          fmt::format("cases a suite (default: {}, fewer where the definition is costly)",
                      kDefaultCases))
      .optional_number("case", "N", request.only_case, "only the case of this number")
      .number("threads", "N", request.threads, "cases at a time (default: one a processor)");
  options.group("One kernel")
      .value("kernel", "NAME", request.kernel, "this kernel, at one --shape")
      .words(spaced(kernel_names()))
      .value("shape", "MxNxK", request.shape, "activation [M, K], weight [N, K], result [M, N]")
      .value("values", "KIND", request.values,
             joined({quant::kValuesNames.begin(), quant::kValuesNames.end()}))
      .words(spaced({quant::kValuesNames.begin(), quant::kValuesNames.end()}))
      .value("options", "KIND", request.options,
             "usual formats and groups (default), or drawn from the seed as the suites do")
      .words("usual drawn");
  options.group("Vectors for others")
      .value("export", "DIR", request.export_folder,
             "write operands and expected results: HDF5, NPY, $readmemh, manifest.json")
      .value("against", "FILE", request.against,
             "check a dump: .npy, .hex or .h5, or a manifest.json that names \"actual\" files");
  options.group("Output")
      .json(request.json, "the figures, or the files written,")
      .value("plant-fault", "PATH:ELEMENT:BIT", request.fault,
             "flip one bit of what a fast path or the clocked array gives, to see that it is found")
      .flag("quiet", request.quiet, "no table and no progress");
  if (!options.parse(arguments)) return 0;
  catch_interrupt();
  check_writable(request.json);
  check_together(request);
  if (!request.against.empty()) return check_against(request);
  if (!request.export_folder.empty()) return export_vectors(request);
  if (!request.kernel.empty()) return report_all(request, {run_one_kernel(request)});
  return report_all(request, run_suites(request));
}

}  // namespace systole::cli
