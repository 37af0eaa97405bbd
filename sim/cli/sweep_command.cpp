// systole sweep: many points at once, journalled as they finish; status, merge and export of what
// is there.
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "configs/assign.hpp"
#include "configs/sweep.hpp"
#include "configs/tree.hpp"
#include "reports/result_file.hpp"
#include "reports/sweep.hpp"
#include "reports/sweep_file.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/forms.hpp"
#include "sim/cli/options.hpp"
#include "sim/cli/sweep_plan.hpp"
#include "sim/cli/sweep_quality.hpp"
#include "sim/cli/sweep_reports.hpp"
#include "sim/core/error.hpp"
#include "sim/sweep/replay.hpp"

namespace systole::cli {
namespace {

namespace fs = std::filesystem;

/// What folders hold of a sweep.
struct Merged {
  configs::SweepConfig config;
  SweepResult result;
};

/// `empty`: may hold no finished point.
Merged merged(const std::vector<std::string>& folders, const std::string& name, Progress& progress,
              bool empty = false) {
  const SweepPlan plan = plan_of(folders.front(), name);
  const auto journals = std::make_shared<sweep::JournalIndex>();
  for (const std::string& folder : folders) journals->read(journals_of(folder));
  configs::SweepConfig config = configs::read_sweep(plan.text, plan.file);
  identify_quality(config);
  SweepResult result = sweep::replay(config, plan.search, SYSTOLE_VERSION, journals, progress);
  if (!empty && result.points->size() == 0 && journals->points() > 0) {
    throw ConfigError(fmt::format(
        "{}: no finished point of {}; the {} points in its journals are of other sweeps or of "
        "another build of systole, whose figures may differ: systole sweep --resume --out {} "
        "computes them again",
        folders.front(), result.name, journals->points(), folders.front()));
  }
  return {std::move(config), std::move(result)};
}

/// A merged file, or a folder that is merged in passing.
SweepResult open_sweep(const std::string& path, const std::string& name, Progress& progress) {
  return fs::is_directory(path) ? merged({path}, name, progress).result
                                : reports::read_sweep_result(path);
}

int status_command(const Arguments& arguments) {
  std::vector<std::string> folders;
  std::string json;
  Options options("sweep status DIR", "What a folder of sweeps holds.",
                  "  systole sweep status runs\n  systole sweep status runs --json\n");
  options.json(json, "the same", JsonFile::joined).positional(folders);
  if (!options.parse(arguments)) return 0;
  check_writable(json);
  if (folders.size() != 1) throw ConfigError("sweep status: expected one folder");
  const std::vector<std::string> names = plans_in(folders[0]);
  if (names.empty()) throw ConfigError(folders[0] + ": holds no sweep");
  sweep::JournalIndex contents;
  contents.read(journals_of(folders[0]));
  catch_interrupt();
  nlohmann::ordered_json document;
  const bool text = json != "-";
  for (const std::string& name : names) {
    ConsoleProgress progress(true);
    const SweepResult result = merged({folders[0]}, name, progress, true).result;
    const SweepSummary summary = summarise(result);
    document["sweeps"].push_back({{"name", name},
                                  {"planned", result.planned},
                                  {"finished", summary.points},
                                  {"refused", summary.refused},
                                  {"failed", summary.failed},
                                  {"feasible", summary.feasible},
                                  {"timing", result.timing},
                                  {"search", result.search}});
    if (!text) continue;
    fmt::print("{}: {} of {} points finished ({} refused, {} failed), {} feasible; {}, {}\n", name,
               summary.points, result.planned, summary.refused, summary.failed, summary.feasible,
               result.timing, result.search);
  }
  document["journals"] = {{"files", contents.files()},
                          {"points", contents.points()},
                          {"doubled_points", contents.doubled()},
                          {"torn_bytes", contents.torn_bytes()}};
  if (!json.empty()) write_text_file(json, document.dump(2) + "\n");
  if (text) {
    fmt::print("{} journals, {} points, {} doubled, {} bytes of torn records ignored\n",
               contents.files(), contents.points(), contents.doubled(), contents.torn_bytes());
  }
  return 0;
}

constexpr const char* kReportsHelp =
    "full reports, which the page opens: of the best points and of the front, then of others, "
    "evenly (default: at most 24, of the best and the front alone; 0: none)";

int merge_command(const Arguments& arguments) {
  std::vector<std::string> folders;
  std::string out, name, json;
  std::optional<std::uint64_t> reports;
  std::uint64_t jobs = 0;
  bool quiet = false;
  Options options("sweep merge DIR... --out FILE.h5",
                  "Writes the finished points of a sweep as one HDF5 file: the same bytes however "
                  "many\nworkers there were and however often they were interrupted. Several "
                  "folders: the shards\nof one sweep. The full reports of the best points are put "
                  "in; those that no folder keeps yet\nare computed.",
                  "  systole sweep merge runs --out all.h5\n");
  options.value("out", "FILE.h5", out, "the file (see reports/SCHEMA.md)")
      .value("sweep", "NAME", name, "which, where the folder holds several")
      .optional_number("reports", "N", reports, kReportsHelp)
      .number("jobs", "N", jobs, "processes that compute reports (default: all processors)")
      .json(json, "what was written", JsonFile::joined)
      .flag("quiet", quiet, "no progress")
      .positional(folders);
  if (!options.parse(arguments)) return 0;
  if (folders.empty()) throw ConfigError("sweep merge: expected a folder of a sweep");
  if (out.empty()) throw ConfigError("sweep merge: expected --out FILE.h5");
  const ReportWish wish = report_wish(reports);
  const unsigned processes = thread_count(jobs);
  check_writable(out);
  check_writable(json);
  catch_interrupt();
  ConsoleProgress progress(quiet);
  auto [config, result] = merged(folders, name, progress);
  result.reports = reports_of(result, config,
                              points_to_report(result, summarise(result), wish.most, wish.others),
                              {processes, folders}, progress);
  reports::write_sweep_result(out, result);
  if (!json.empty()) {
    const nlohmann::ordered_json document = {{"file", out},
                                             {"name", result.name},
                                             {"planned", result.planned},
                                             {"finished", result.points->size()}};
    write_text_file(json, document.dump(2) + "\n");
  }
  if (!quiet && json != "-") {
    fmt::print("{}: {} of {} points of {}, {} with a full report\n", out, result.points->size(),
               result.planned, result.name, result.reports.size());
  }
  return 0;
}

/// The full report of one point: a merged file has those of some, a folder is asked for any.
RunResult report_from(const std::string& path, const std::string& name, std::uint64_t id,
                      Progress& progress) {
  if (!fs::is_directory(path)) {
    const SweepResult result = reports::read_sweep_result(path);
    if (const SweepReport* report = result.report_of(id)) return report->result;
    std::string known;
    for (const SweepReport& report : result.reports) {
      known += (known.empty() ? "" : ", ") + std::to_string(report.id);
    }
    throw ConfigError(fmt::format("--point: {} has no full report of point {}; expected one of: {}",
                                  path, id, known.empty() ? "(it has none)" : known));
  }
  const Merged sweep = merged({path}, name, progress);
  std::vector<SweepPoint> points;
  sweep.result.points->each([&](const SweepPoint& point) {
    if (point.id == id) points.push_back(point);
  });
  if (points.empty()) {
    throw ConfigError(fmt::format("--point: {} has no finished point {}", path, id));
  }
  if (!points[0].done()) {
    throw ConfigError(fmt::format("--point: point {} cannot be: {}", id, points[0].record.message));
  }
  return reports_of(sweep.result, sweep.config, points, {1, {path}}, progress)[0].result;
}

int export_command(const Arguments& arguments) {
  std::vector<std::string> files;
  std::string csv, json, name;
  FormChoice form;
  std::optional<std::uint64_t> point;
  Options options(
      "sweep export FILE.h5|DIR [--csv FILE] [--json FILE] [--format F] [--point ID --out FILE.h5]",
      "Writes the points of a sweep as a table or as JSON, or all of one point as the "
      "result that `systole\nrun` of it gives.",
      "  systole sweep export all.h5 --csv points.csv\n"
      "  systole sweep export all.h5 --format latex --out front.tex\n"
      "  systole sweep export all.h5 --point 17 --out point.h5\n");
  options.value("csv", "FILE", csv, "a line a point, - for standard output")
      .json(json, "all that is known")
      .optional_number("point", "ID", point,
                       "whose full report --out gets: of a FILE one of those it has (sweep merge "
                       "--reports), of a DIR any, a FILE.h5 as of systole run --out");
  form.declare(options,
               "what --out gets without --point: the points, or the front and the best of them as "
               "tables for a document");
  options.value("sweep", "NAME", name, "which, where the folder holds several").positional(files);
  if (!options.parse(arguments)) return 0;
  if (files.size() != 1) throw ConfigError("sweep export: expected one merged file or folder");
  if (form.asked() && point) throw ConfigError("sweep export: --format takes no --point");
  if (!form.asked() && point.has_value() != !form.out().empty()) {
    throw ConfigError("sweep export: --point ID and --out FILE.h5 go together");
  }
  if (csv.empty() && json.empty() && !point && !form.asked()) {
    throw ConfigError("sweep export: expected --csv, --json, --format or --point");
  }
  if (!point) form.check("sweep export");
  for (const std::string& path : {csv, json, form.out()}) check_writable(path);
  catch_interrupt();
  ConsoleProgress progress(true);
  if (point) reports::write_result(form.out(), report_from(files[0], name, *point, progress));
  if (csv.empty() && json.empty() && !form.asked()) return 0;
  const SweepResult result = open_sweep(files[0], name, progress);
  const SweepSummary summary = summarise(result);
  const Forms forms = sweep_forms(result, summary);
  if (!csv.empty()) {
    write_text_file(csv, [&](const TextSink& to) { forms.separated(reports::Separated::csv, to); });
  }
  if (!json.empty()) write_text_file(json, forms.json);
  form.write(forms);
  return 0;
}

struct SweepOptions {
  std::vector<std::string> files, share;
  std::string out, search = "grid", shard, sweep, json;
  std::optional<std::uint64_t> budget;
  std::optional<std::uint64_t> reports;
  std::uint64_t jobs = 0, seed = 1;
  bool resume = false, quiet = false, slurm = false;
  SlurmSettings batch;
};

bool parse(const Arguments& arguments, SweepOptions& o) {
  Options options(
      "sweep FILE.yaml|NAME --out DIR [options]",
      "Evaluates the points of a sweep file in worker processes. Finished points are journalled "
      "and\nsurvive a kill or a power cut; --resume repeats none, and needs no FILE. Ctrl-C "
      "finishes "
      "the\npoints in flight.\n"
      "Also: systole sweep status DIR, sweep merge DIR --out FILE.h5, sweep export FILE.h5|DIR.",
      "  systole sweep mixpe-design-space --out runs --jobs 4\n"
      "  systole sweep --resume --out runs\n"
      "  systole sweep my.yaml --out runs --search nsga2 --budget 500\n"
      "  systole sweep my.yaml --out part2 --shard 2/8\n"
      "  systole sweep my.yaml --out runs --slurm --tasks 100 --time 30 && sbatch runs/my.sbatch\n"
      "  mpirun -n 64 systole sweep my.yaml --out runs    # or srun: the ranks share the points "
      "out\n"
      "  systole sweep merge runs --out all.h5\n"
      "  systole report all.h5 --html page.html\n");
  options.value("out", "DIR", o.out, "folder of journals and plans, made where it is missing")
      .number("jobs", "N", o.jobs, "worker processes (default: all processors; on Slurm: 1 a task)")
      .flag("resume", o.resume, "go on with a sweep that the folder holds")
      .value("sweep", "NAME", o.sweep, "which, to go on with without FILE, where DIR holds several")
      .list("share", "DIR", o.share, "another sweep's folder whose points need not be repeated")
      .value("shard", "I/N", o.shard, "every N-th point, from the I-th")
      .value("search", "KIND", o.search, "grid, random, sobol or nsga2 (default: grid)")
      .words("grid random sobol nsga2")
      .optional_number("budget", "N", o.budget, "points of a search other than grid")
      .number("seed", "S", o.seed, "of a search other than grid (default: 1)")
      .optional_number("reports", "N", o.reports, kReportsHelp)
      .json(o.json, "all points, as sweep export writes them,", JsonFile::joined)
      .flag("quiet", o.quiet, "no table and no progress")
      .positional(o.files, "status merge export @sweeps")
      .group("On a cluster")
      .flag("slurm", o.slurm,
            "evaluate nothing: write DIR/NAME.sbatch, a job array of shards, to submit with sbatch")
      .number("tasks", "N", o.batch.tasks, "of the array (default: 16)")
      .value("partition", "NAME", o.batch.partition, "of the cluster (default: its own)")
      .value("time", "LIMIT", o.batch.time, "of a task, as sbatch has it: minutes, or D-HH:MM:SS")
      .value("account", "NAME", o.batch.account, "that is charged");
  return options.parse(arguments);
}

/// The part of the points that --shard asks for.
void part_of(const SweepOptions& o, sweep::SearchSettings& search) {
  if (o.shard.empty()) return;
  const auto numbers = numbers_in("--shard", o.shard, '/', 2, "I/N with I from 1 to N");
  search.shard = numbers[0];
  search.shards = numbers[1];
  if (search.shard < 1 || search.shard > search.shards) {
    throw ConfigError("--shard: found '" + o.shard + "'; expected I/N with I from 1 to N");
  }
  if (search.kind == sweep::SearchKind::nsga2) {
    throw ConfigError(
        "--shard: nsga2 chooses points by the results of all others; expected another --search");
  }
}

sweep::SearchSettings search_of(const SweepOptions& o) {
  sweep::SearchSettings search;
  search.kind = static_cast<sweep::SearchKind>(
      choice_of("--search", "search", o.search, sweep::kSearchNames));
  search.seed = o.seed;
  const bool grid = search.kind == sweep::SearchKind::grid;
  if (grid && o.budget)
    throw ConfigError("--budget: grid takes all points; expected another --search");
  if (!grid && (!o.budget || *o.budget == 0)) {
    throw ConfigError("--search " + o.search + ": expected --budget N, 1 or more");
  }
  constexpr std::uint64_t kMostPoints = 50'000'000;
  search.budget = o.budget.value_or(0);
  if (search.budget > kMostPoints) {
    throw ConfigError(
        fmt::format("--budget: found {}; expected at most {}", search.budget, kMostPoints));
  }
  part_of(o, search);
  return search;
}

/// What to sweep: a file, or what the folder holds of one.
SweepPlan wanted_plan(const SweepOptions& o) {
  if (o.out.empty()) throw ConfigError("sweep: expected --out DIR");
  if (o.files.size() == 1) {
    if (!o.sweep.empty()) throw ConfigError("--sweep: the file has its name; expected no FILE");
    const std::string path = configs::sweep_path(o.files[0]);
    return {fs::absolute(path).lexically_normal().string(), search_of(o),
            configs::read_text_file(path)};
  }
  if (!o.files.empty() || !o.resume) {
    throw ConfigError("sweep: expected one sweep file or shipped name");
  }
  SweepPlan plan = plan_of(o.out, o.sweep);
  const bool other = o.budget || o.seed != 1 || o.search != "grid";
  if (other) throw ConfigError("--resume without FILE: goes on as begun; expected no other search");
  part_of(o, plan.search);
  return plan;
}

int slurm(const SweepOptions& o, const SweepPlan& plan, const configs::SweepConfig& config) {
  const std::string& name = config.name;
  SlurmSettings batch = o.batch;
  batch.jobs = o.jobs == 0 ? 1 : thread_count(o.jobs);
  // Shards know nothing of each other's results.
  batch.ranks = sweep::make_search(sweep::PointSpace(config), plan.search)->asks();
  constexpr std::uint64_t kMostTasks = 100'000;
  if (batch.tasks < 1 || batch.tasks > kMostTasks) {
    throw ConfigError(fmt::format("--tasks: found {}; expected 1 to {}", batch.tasks, kMostTasks));
  }
  if (!o.shard.empty())
    throw ConfigError("--shard: --slurm makes the shards; expected one of them");
  for (const auto& [option, text] : {std::pair("--partition", &o.batch.partition),
                                     {"--time", &o.batch.time},
                                     {"--account", &o.batch.account}}) {
    const bool word = std::ranges::none_of(
        *text, [](char c) { return std::isgraph(static_cast<unsigned char>(c)) == 0; });
    if (!word) throw ConfigError(fmt::format("{}: found '{}'; expected one word", option, *text));
  }
  const std::string folder = fs::canonical(o.out).string();
  if (std::ranges::any_of(folder, [](unsigned char c) { return std::iscntrl(c) != 0; })) {
    throw ConfigError("--out: a folder's name without line breaks is expected in a batch script");
  }
  write_plan(plan_path(o.out, name), plan);
  const std::string script = folder + "/" + name + ".sbatch";
  systole::sweep::write_durably(
      script, slurm_script(fs::canonical("/proc/self/exe").string(), folder, name, batch));
  if (!o.quiet) {
    fmt::print("{}: {} {} of {} processor{}\nsubmit it with: sbatch {}\n", script, batch.tasks,
               batch.ranks ? "ranks" : "tasks", batch.jobs, batch.jobs == 1 ? "" : "s", script);
  }
  return 0;
}

/// The most that this process has held.
std::uint64_t peak_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss);
}

/// What ranks that belong together agree in: the launch and what is swept. The text of a launch is
/// that of its environment, so of any length: a digest.
std::string launch_identity(const sweep::Rank& rank, const SweepPlan& plan) {
  configs::Digest digest;
  for (const std::string& text : {rank.launch, plan.text}) digest.add(std::string_view(text));
  for (const std::uint64_t each :
       {rank.size, static_cast<std::uint64_t>(plan.search.kind), plan.search.budget,
        plan.search.seed, plan.search.shard, plan.search.shards}) {
    digest.add(each);
  }
  return "systole-claims 1 " + sweep::key_text(digest.value());
}

std::string claims_path(const SweepOptions& o, const std::string& name) {
  const std::size_t slash = o.shard.find('/');
  const std::string part =
      o.shard.empty() ? "" : "-" + o.shard.substr(0, slash) + "-of-" + o.shard.substr(slash + 1);
  return o.out + "/" + name + part + ".claims";
}

int sweep(const SweepOptions& o) {
  for (const std::string* text : {&o.batch.partition, &o.batch.time, &o.batch.account}) {
    if (!o.slurm && !text->empty()) throw ConfigError("'" + *text + "' is for --slurm");
  }
  const ReportWish wish = report_wish(o.reports);
  const SweepPlan plan = wanted_plan(o);
  configs::SweepConfig config = configs::read_sweep(plan.text, plan.file);
  identify_quality(config);
  sweep::Company company{sweep::rank_of_environment()};
  const bool alone = company.rank.size == 1 || o.slurm;
  // Ranks are started as many as there are processors.
  sweep::PoolSettings pool{o.jobs == 0 && !alone ? 1 : thread_count(o.jobs), journals_of(o.out),
                           SYSTOLE_VERSION};
  pool.timings_folder = o.out + "/timings";
  pool.quality = quality_measure(config);
  // A tile point takes as long as a hundred analytic ones.
  if (config.base.timing == configs::SweepTiming::tile) pool.largest_batch = 32;

  sweep::make_folder(pool.journal_folder);
  const std::string plan_file = plan_path(o.out, config.name);
  std::optional<sweep::Claims> claims;
  if (!alone) {
    claims.emplace(claims_path(o, config.name), launch_identity(company.rank, plan));
    company.claims = &*claims;
  }
  // A rank that comes late finds what the others began; where it cannot know, the first one tells.
  const bool begins =
      alone || (claims->first() && (company.rank.rank == 0 || !company.rank.launch.empty()));
  if (begins && fs::exists(plan_file) && !o.resume) {
    throw ConfigError(o.out + ": holds sweep '" + config.name +
                      "' already; expected --resume to go on with it, or another --out");
  }
  if (o.slurm) {
    if (!o.json.empty()) throw ConfigError("--json: --slurm evaluates nothing");
    return slurm(o, plan, config);
  }
  if (!o.files.empty() && (alone || claims->first())) write_plan(plan_file, plan);
  if (claims) claims->begin();
  const auto known = std::make_shared<sweep::JournalIndex>();
  sweep::JournalIndex shared;
  known->read(pool.journal_folder);
  for (const std::string& folder : o.share) {
    if (!fs::is_directory(journals_of(folder))) {
      throw ConfigError("--share: " + folder + " holds no journals");
    }
    shared.read(journals_of(folder));
  }

  const bool talks = company.rank.rank == 0;
  ConsoleProgress progress(o.quiet || !talks);
  const auto start = std::chrono::steady_clock::now();
  const sweep::SweepRun run =
      sweep::run_sweep(config, plan.search, pool, *known, shared, progress, company);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (!talks) return run.interrupted ? 130 : 0;
  known->read(pool.journal_folder);
  Progress silent;
  const SweepResult result =
      sweep::replay(config, plan.search, SYSTOLE_VERSION, known, silent, run.keys);
  const SweepSummary summary = summarise(result);
  if (!o.json.empty()) {
    write_text_file(o.json,
                    [&](const TextSink& to) { reports::sweep_to_json(result, summary, to); });
  }
  if (!o.quiet && o.json != "-") {
    fmt::print("{}",
               reports::sweep_to_terminal(result, summary, colour_wanted(), output_columns()));
    fmt::print("\n{} points computed and {} taken from journals in {:.2f} s by {} worker{}",
               run.counts.computed, run.counts.known, took.count(), pool.jobs,
               pool.jobs == 1 ? "" : "s");
    if (!alone) fmt::print(" of rank 0 of {}", company.rank.size);
    if (run.counts.computed > 0) {
      fmt::print(" ({:.0f} a minute), {:.0f} MiB each at most",
                 60 * static_cast<double>(run.counts.computed) / took.count(),
                 static_cast<double>(run.counts.peak_worker_kib) / 1024);
    }
    if (config.base.timing == configs::SweepTiming::tile && run.counts.computed > 0) {
      fmt::print("; {} simulated, the others shared or in closed form", run.counts.simulated);
    }
    fmt::print("; {:.0f} MiB here\n", static_cast<double>(peak_kib()) / 1024);
  }
  if (run.interrupted) {
    fmt::print(stderr, "systole: interrupted; finished points are kept, --resume goes on\n");
    return 130;
  }
  if (summary.first_failed) {
    throw InternalError(fmt::format("point {} of the sweep: {}", summary.first_failed->id,
                                    summary.first_failed->record.message));
  }
  // Which points are the best is known once all are there; of parts, to the merge.
  if (result.points->size() < result.planned || plan.search.shards > 1) return 0;
  try {
    reports_of(result, config, points_to_report(result, summary, wish.most, wish.others),
               {pool.jobs, {o.out}}, progress);
  } catch (const Interrupted&) {
    fmt::print(stderr,
               "systole: interrupted; all points are there, and finished reports are kept: "
               "--resume or sweep merge computes the others\n");
    return 130;
  }
  return 0;
}

}  // namespace

int sweep_command(const Arguments& arguments) {
  if (!arguments.empty()) {
    const Arguments rest(arguments.begin() + 1, arguments.end());
    if (arguments[0] == "status") return status_command(rest);
    if (arguments[0] == "merge") return merge_command(rest);
    if (arguments[0] == "export") return export_command(rest);
  }
  SweepOptions o;
  if (!parse(arguments, o)) return 0;
  check_writable(o.json);
  catch_interrupt();
  return sweep(o);
}

}  // namespace systole::cli
