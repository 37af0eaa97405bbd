// systole compare: PEs on the same silicon, each with a recipe that suits it; or KV-cache systems
// on several machines.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "configs/library.hpp"
#include "pe/design.hpp"
#include "reports/equal_area.hpp"
#include "reports/kv_comparison.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/forms.hpp"
#include "sim/cli/models.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"
#include "sim/system/equal_area.hpp"
#include "sim/system/kv_comparison.hpp"
#include "workloads/perplexity.hpp"

namespace systole::cli {
namespace {

struct CompareOptions {
  std::string area, pes, model = "llama-2-7b", machine = "mixpe-128x128", energy, recipe, recipes;
  std::string kv, machines, batch = "1";
  std::string proxy = kEmbeddedModel, html, json, csv;
  FormChoice form;
  std::uint64_t prefill = 2048, decode = 8, threads = 0;
  std::vector<std::string> overrides;
  bool recipe_per_pe = false, no_eval = false, exact = false, quiet = false;
};

bool parse(const Arguments& arguments, CompareOptions& o) {
  Options options(
      "compare --equal-area MM2 --pes A,B,... | --kv A,B,... --machines M,N,... [options]",
      "Gives every PE the same array area, in otherwise the same machine, and runs one model on "
      "each with a\n"
      "recipe that suits it: time, energy and where they go, with the bands of the prices and the "
      "disagreement\n"
      "of other tables as error bars, and the recipe's perplexity on a small model as a proxy.\n"
      "The area is PEs x the area of one PE in the energy table: the array alone. Rows in steps "
      "of 8, columns\n"
      "of 2, sides at most 2 : 1; of the arrays that fill it, the one on which the model's "
      "products take the\n"
      "fewest cycles.\n"
      "With --kv: the decode steps of one model with each KV cache on each machine and batch: "
      "bytes, "
      "bursts,\n"
      "row hits, time, energy, and which resource binds.",
      "  systole compare --equal-area 9.7 --pes mixpe-w4a8,int8-mac,fp16-mac --recipe-per-pe "
      "--html page.html\n"
      "  systole compare --equal-area 2 --pes olive,ant,int8-mac --prefill 512 --json out.json\n"
      "  systole compare --kv fp16,kivi2,kvquant-nuq3-1pct,qserve-kv4,rotatekv2,zipcache "
      "--machines fp16-kv-lpddr5,fp16-kv-hbm2e --batch 1,8,64 --prefill 32768 --html page.html\n");
  options.group("What to compare")
      .value("equal-area", "MM2", o.area, "square millimetres of PEs for each")
      .value("pes", "A,B,...", o.pes, "processing elements, see `systole list pes`")
      .words("@pes")
      .flag("recipe-per-pe", o.recipe_per_pe,
            "each PE with the recipe that configs/compare/recipes.yaml names (the default)")
      .value("recipes", "FILE.yaml", o.recipes, "another such table, recipes: {PE: RECIPE}")
      .value("recipe", "NAME|FILE", o.recipe, "one recipe for all instead")
      .words("@recipes")
      .value("model", "NAME|FILE", o.model,
             "a name of `systole list models` or a file, by its shape (default: " + o.model + ")")
      .words("@models")
      .number("prefill", "TOKENS", o.prefill, "prompt length (default: 2048)")
      .number("decode", "TOKENS", o.decode, "tokens generated after it (default: 8)")
      .value("machine", "NAME|FILE", o.machine,
             "what is not the array is this machine's (default: " + o.machine + ")")
      .words("@machines")
      .value("energy", "NAME|FILE", o.energy, "energy table (default: the machine's)")
      .words("@energy");
  options.group("KV caches")
      .value("kv", "A,B,...", o.kv,
             "recipes whose keys and values are compared, see `systole list recipes`")
      .words("@recipes")
      .value("machines", "M,N,...", o.machines, "machines to compare them on")
      .words("@machines")
      .value("batch", "N,...", o.batch, "sequences decoded together (default: 1)")
      .list("set", "PATH=VALUE", o.overrides, "override a field of every machine")
      .flag("exact", o.exact, "simulate every decode step and round, as `systole run --exact`")
      .value("csv", "FILE", o.csv, "a line a point");
  options.group("Quality")
      .value("proxy", "NAME|FILE", o.proxy,
             "model with weights whose perplexity stands for the compared one's (default: the "
             "embedded one)")
      .words("@models")
      .flag("no-eval", o.no_eval, "no perplexity")
      .number("threads", "N", o.threads, "of the perplexity (default: all processors)");
  options.group("Output")
      .value("html", "FILE", o.html, "the comparison as a page, - for standard output")
      .json(o.json, "everything");
  o.form.declare(options,
                 "what --out gets: the same JSON, a line a PE or point, or a table for a document");
  options.flag("quiet", o.quiet, "no table and no progress");
  return options.parse(arguments);
}

double parse_area(const std::string& text) {
  if (text.empty()) throw ConfigError("compare: expected --equal-area MM2");
  double area = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), area);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(area) ||
      area <= 0) {
    throw ConfigError("--equal-area: found '" + text + "'; expected square millimetres above 0");
  }
  return area;
}

/// The PEs, all known and each once, with their recipes.
std::vector<sim::Contender> contenders(const CompareOptions& o) {
  if (o.pes.empty()) throw ConfigError("compare: expected --pes A,B,...; see `systole list pes`");
  if (!o.recipe.empty() && (o.recipe_per_pe || !o.recipes.empty())) {
    throw ConfigError(
        "--recipe gives all PEs one recipe; expected it without --recipe-per-pe and "
        "--recipes");
  }
  std::map<std::string, std::string> table;
  if (o.recipe.empty()) table = configs::load_pe_recipes(o.recipes);
  std::vector<sim::Contender> list;
  std::set<std::string> seen;
  for (const std::string_view part : split(o.pes, ',')) {
    const std::string pe(part);
    if (pe.empty()) throw ConfigError("--pes: found '" + o.pes + "'; expected names with commas");
    pe::find_design(pe);
    if (!seen.insert(pe).second) throw ConfigError("--pes: '" + pe + "' is named twice");
    const auto entry = table.find(pe);
    if (o.recipe.empty() && entry == table.end()) {
      throw ConfigError("PE '" + pe + "' has no recipe in " +
                        (o.recipes.empty() ? "configs/compare/recipes.yaml" : o.recipes) +
                        "; name one for all with --recipe, or a table with --recipes");
    }
    list.push_back({pe, configs::load_recipe(o.recipe.empty() ? entry->second : o.recipe)});
  }
  return list;
}

/// Perplexity of the proxy under each recipe, equal ones once. `fp16_chunk`: see
/// FunctionalExecutor.
class ProxyEvaluation {
 public:
  ProxyEvaluation(const CompareOptions& o, Model model, Progress& progress)
      : threads_(thread_count(o.threads)), model_(std::move(model)), progress_(progress) {
    texts_ = workloads::read_texts(model_.default_text, kTextDelimiter);
  }

  Quality operator()(const configs::Recipe& recipe, std::uint32_t fp16_chunk) {
    // The order of sums matters to float products only.
    if (!quant::is_ieee(recipe[configs::Target::activation].format)) fp16_chunk = 0;
    const std::pair key(recipe.name, fp16_chunk);
    if (const auto known = known_.find(key); known != known_.end()) return known->second;
    workloads::FunctionalExecutor executor(*model_.weights, recipe, threads_,
                                           workloads::Kernels::fast, fp16_chunk);
    const workloads::Quality quality =
        workloads::perplexity(executor, *model_.weights->tokenizer, texts_, 0,
                              [&](std::uint64_t done, std::uint64_t all) {
                                progress_.report("evaluating " + recipe.name, done, all);
                                if (progress_.cancelled()) throw Interrupted();
                              });
    return known_[key] = {quality.perplexity, quality.nll, quality.tokens,
                          "eval.txt of " + model_.shape.name};
  }

 private:
  unsigned threads_;
  Model model_;
  std::vector<std::string> texts_;
  Progress& progress_;
  std::map<std::pair<std::string, std::uint32_t>, Quality> known_;
};

Model proxy_model(const CompareOptions& o) {
  Model model = resolve_model(o.proxy, "");
  if (!model.weights) {
    throw ConfigError("--proxy: model '" + model.shape.name +
                      "' is a shape only: it has no weights to evaluate");
  }
  if (!model.weights->tokenizer) throw ConfigError("--proxy: " + o.proxy + " holds no tokeniser");
  // Another model is evaluated on the embedded one's text.
  if (model.default_text.empty()) model.default_text = embedded_folder() + "/eval.txt";
  return model;
}

}  // namespace

namespace {

int compare_kv(const CompareOptions& o) {
  if (!o.area.empty() || !o.pes.empty() || o.recipe_per_pe || !o.recipes.empty()) {
    throw ConfigError(
        "--kv compares caches; expected it without --equal-area, --pes and their "
        "recipes");
  }
  if (o.machines.empty()) {
    throw ConfigError("compare --kv: expected --machines M,N,...; see `systole list machines`");
  }
  std::vector<configs::Recipe> systems;
  for (const std::string& name : names_of("--kv", o.kv)) {
    systems.push_back(configs::load_recipe(name));
  }
  std::vector<configs::MachineConfig> machines;
  for (const std::string& name : names_of("--machines", o.machines)) {
    machines.push_back(configs::load_machine(name, o.overrides));
    if (!o.energy.empty()) machines.back().energy = configs::load_energy(o.energy);
  }
  std::vector<std::uint64_t> batches;
  for (const std::string_view part : split(o.batch, ',')) {
    batches.push_back(number_of(part, "--batch", o.batch, "numbers of sequences with commas"));
  }
  const configs::Recipe recipe = configs::load_recipe(o.recipe.empty() ? "fp16" : o.recipe);
  const Model model = resolve_model(o.model, "");
  ConsoleProgress progress(o.quiet);
  KvComparisonResult result = sim::compare_kv(systems, machines, batches, recipe, model.shape,
                                              o.prefill, o.decode, o.exact, progress);
  result.version = SYSTOLE_VERSION;
  result.command = command_line();
  for (KvPoint& point : result.points) {
    point.run.version = result.version;
    point.run.command = result.command;
  }
  if (!o.html.empty()) write_text_file(o.html, reports::kv_comparison_to_html(result));
  if (!o.json.empty()) write_text_file(o.json, reports::kv_comparison_to_json(result));
  if (!o.csv.empty()) write_text_file(o.csv, reports::kv_comparison_to_csv(result));
  o.form.write({whole_text([&] { return reports::kv_comparison_to_json(result); }),
                whole_table([&](reports::Separated how) {
                  return reports::kv_comparison_to_csv(result, how);
                }),
                [&] { return reports::kv_comparison_tables(result); }});
  if (!o.form.asked() && !o.quiet && o.html != "-" && o.json != "-" && o.csv != "-") {
    print_text(reports::kv_comparison_to_terminal(result, colour_wanted(), output_columns()));
  }
  return 0;
}

}  // namespace

int compare_command(const Arguments& arguments) {
  CompareOptions o;
  if (!parse(arguments, o)) return 0;
  catch_interrupt();
  for (const std::string* path : {&o.html, &o.json, &o.csv}) check_writable(*path);
  o.form.check("compare");
  if (!o.kv.empty()) return compare_kv(o);
  if (!o.machines.empty() || !o.csv.empty() || o.exact || o.batch != "1" || !o.overrides.empty()) {
    throw ConfigError("--machines, --batch, --set, --exact and --csv go with --kv A,B,...");
  }

  const double area = parse_area(o.area);
  const std::vector<sim::Contender> list = contenders(o);
  configs::MachineConfig base = configs::load_machine(o.machine);
  if (!o.energy.empty()) base.energy = configs::load_energy(o.energy);
  const Model model = resolve_model(o.model, "");
  ConsoleProgress progress(o.quiet);
  std::optional<ProxyEvaluation> evaluate;
  if (!o.no_eval) evaluate.emplace(o, proxy_model(o), progress);

  EqualAreaResult result =
      sim::compare_at_equal_area(base, area, list, model.shape, o.prefill, o.decode, progress);
  result.version = SYSTOLE_VERSION;
  result.command = command_line();
  if (evaluate) {
    result.proxy = o.proxy;
    result.reference_perplexity = (*evaluate)(configs::load_recipe("fp32"), 0).perplexity;
    for (std::size_t i = 0; i < list.size(); ++i) {
      EqualAreaRow& row = result.rows[i];
      // fp16 products are summed in the order of this machine's array, as in `run`.
      row.quality = (*evaluate)(list[i].recipe, row.dataflow == "weight_stationary" ? row.rows : 0);
    }
    result.notes.emplace_back(
        "proxy perplexity",
        "of " + result.proxy + " on its held-out text, not of " + result.model +
            ": a small model without the outliers of large ones. It orders recipes; 4-bit "
            "activations usually cost a large model more, and outlier formats such as OliVe's earn "
            "more there.");
  }
  for (EqualAreaRow& row : result.rows) {
    row.run.version = result.version;
    row.run.command = result.command;
  }

  if (!o.html.empty()) write_text_file(o.html, reports::equal_area_to_html(result));
  if (!o.json.empty()) write_text_file(o.json, reports::equal_area_to_json(result));
  o.form.write(
      {whole_text([&] { return reports::equal_area_to_json(result); }),
       whole_table([&](reports::Separated how) { return reports::equal_area_to_csv(result, how); }),
       [&] { return reports::equal_area_tables(result); }});
  if (!o.form.asked() && !o.quiet && o.html != "-" && o.json != "-") {
    print_text(reports::equal_area_to_terminal(result, colour_wanted(), output_columns()));
  }
  return 0;
}

}  // namespace systole::cli
