// systole eval: perplexity of a model under a recipe, or under many, without a machine; or what it
// writes.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "configs/library.hpp"
#include "reports/recipe_table.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/forms.hpp"
#include "sim/cli/models.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"
#include "workloads/calibrated.hpp"
#include "workloads/outliers.hpp"
#include "workloads/perplexity.hpp"

namespace systole::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kReference = "fp32";

struct EvalOptions {
  std::string model = kEmbeddedModel, tokenizer, recipe, recipes, text, split = kTextDelimiter;
  std::string prompt, calibration, json, html, csv;
  std::uint64_t threads = 0, context = 0, limit = 0, generate = 0, outliers = 0;
  FormChoice form;
  bool no_kl = false, quiet = false;
};

bool parse(const Arguments& arguments, EvalOptions& o) {
  Options options("eval [options]",
                  "Executes a model bit-exactly under a recipe and measures its perplexity on a "
                  "text. Each document is\n"
                  "encoded alone behind a beginning-of-text token and cut at the model's context; "
                  "every token after the\n"
                  "first is predicted; one mean over all. With --recipes: the same of each, beside "
                  "fp32.",
                  "  systole eval --recipe w4-g32 --json\n"
                  "  systole eval --recipes w4-g32,gptq-w4-g128,kivi2 --html recipes.html\n"
                  "  systole eval --model stories260K.bin --tokenizer tok512.bin --text "
                  "stories.txt --recipe fp32\n"
                  "  systole eval --recipe mixpe-w4a8 --prompt 'In the beginning' --generate 40\n");
  options.group("What to evaluate")
      .value("model", "NAME|FILE", o.model,
             "the embedded model (default), a GGUF or a llama2.c file")
      .words("@models")
      .value("tokenizer", "FILE", o.tokenizer, "tokeniser of a llama2.c model (.bin or .vocab)")
      .value("recipe", "NAME|FILE", o.recipe,
             "quantisation, see `systole list recipes` (default: fp32)")
      .words("@recipes")
      .value("recipes", "A,B,...|all", o.recipes,
             "several recipes beside fp32, or all that ship (minutes); one that the model cannot "
             "take is left out with its reason")
      .words("all @recipes")
      .value("text", "FILE", o.text,
             "text to predict (default: the embedded model's held-out text)")
      .value("split", "STRING", o.split, "what separates its documents (default: <|endoftext|>)")
      .number("max-context", "TOKENS", o.context,
              "cut documents here (default: the model's context)")
      .number("limit", "N", o.limit, "only the first N documents")
      .value("prompt", "TEXT", o.prompt, "with --generate: what to continue")
      .number("generate", "TOKENS", o.generate, "continue the prompt greedily instead of measuring")
      .number("inject-outliers", "K", o.outliers,
              "make activation channels K times larger without changing the function (try 64)")
      .value("calibration", "FILE", o.calibration,
             "text for recipes with calibrated parameters (default: the embedded model's)")
      .flag("no-kl", o.no_kl,
            "do not execute the unquantised model (recipe fp32) beside: perplexity only, without "
            "the KL divergence between what both say of the next token")
      .number("threads", "N", o.threads, "default: all processors; the bits do not depend on it");
  options.group("Output")
      .json(o.json, "the figures, or what was written,")
      .value("html", "FILE", o.html, "with --recipes: the table as a page, - for standard output")
      .value("csv", "FILE", o.csv, "with --recipes: a line a recipe, - for standard output");
  o.form.declare(options, "with --recipes, what --out gets: the rows, or a table for a document");
  options.flag("quiet", o.quiet, "no table and no progress");
  return options.parse(arguments);
}

/// A text of ours by its name, so that reports do not depend on where Systole lies; others by path.
std::string text_name(const std::string& path) {
  const std::string ours = embedded_folder() + "/";
  return path.starts_with(ours) ? path.substr(ours.size()) + " of " + kEmbeddedModel : path;
}

void check_together(const EvalOptions& o) {
  if (!o.recipes.empty() && (!o.recipe.empty() || o.generate > 0)) {
    throw ConfigError("--recipes: expected no --recipe and no --generate with it");
  }
  if (o.recipes.empty() && (!o.html.empty() || !o.csv.empty() || o.form.asked())) {
    throw ConfigError(
        "--html, --csv and --format show a table of recipes; expected --recipes A,B,...");
  }
}

std::vector<configs::Recipe> recipes_of(const std::string& text) {
  const std::vector<std::string> names =
      text == "all" ? configs::names(configs::Kind::recipe)
                    : names_of("--recipes", text, "names with commas, or all");
  std::vector<configs::Recipe> recipes;
  for (const std::string& name : names) recipes.push_back(configs::load_recipe(name));
  return recipes;
}

/// A model with what it is evaluated on.
class Evaluation {
 public:
  Evaluation(const EvalOptions& o, ConsoleProgress& progress)
      : o_(o),
        threads_(thread_count(o.threads)),
        model_(resolve_model(o.model, o.tokenizer)),
        progress_(progress) {
    if (!model_.weights) {
      throw ConfigError("model '" + model_.shape.name +
                        "' is a shape only: it has no weights to evaluate");
    }
    if (!model_.weights->tokenizer) {
      throw ConfigError(o.model + ": holds no tokeniser; give one with --tokenizer");
    }
    if (o.outliers > 0)
      workloads::inject_outliers(*model_.weights, static_cast<double>(o.outliers));
  }

  struct Outcome {
    workloads::Quality quality;
    workloads::StoredModel stored;
  };

  const configs::ModelShape& shape() const { return model_.shape; }
  const workloads::Tokenizer& words() const { return *model_.weights->tokenizer; }
  std::string text() const { return text_name(text_); }

  workloads::FunctionalExecutor executor(const configs::Recipe& recipe) {
    const std::string& text = o_.calibration.empty() ? model_.calibration_text : o_.calibration;
    calibrated_ = calibrate_for(recipe, *model_.weights, text, o_.split, threads_, progress_);
    return {*model_.weights,          recipe, threads_,
            workloads::Kernels::fast, 0,      calibrated_ ? &*calibrated_ : nullptr};
  }

  void read_texts() {
    text_ = o_.text.empty() ? model_.default_text : o_.text;
    if (text_.empty()) throw ConfigError("--text: expected a file with the text to predict");
    texts_ = workloads::read_texts(text_, o_.split);
    if (o_.limit > 0 && o_.limit < texts_.size()) texts_.resize(o_.limit);
  }

  /// Executes fp32 beside what is measured from here on, for the KL divergence.
  void compare_with_unquantised() {
    reference_.emplace(*model_.weights, configs::load_recipe(kReference), threads_);
  }

  /// `label`: what progress says is done.
  Outcome operator()(workloads::FunctionalExecutor& executor, const std::string& label) {
    Outcome outcome;
    outcome.quality = workloads::perplexity(
        executor, words(), texts_, o_.context,
        [&](std::uint64_t done, std::uint64_t all) {
          progress_.report(label, done, all);
          if (progress_.cancelled()) throw Interrupted();
        },
        reference_ ? &*reference_ : nullptr);
    outcome.stored = executor.stored(
        o_.context > 0 ? o_.context : std::max<std::uint64_t>(1, model_.shape.max_positions));
    return outcome;
  }

 private:
  const EvalOptions& o_;
  unsigned threads_;
  Model model_;
  ConsoleProgress& progress_;
  std::string text_;
  std::vector<std::string> texts_;
  std::optional<workloads::CalibratedModel> calibrated_;
  std::optional<workloads::FunctionalExecutor> reference_;
};

int write_continuation(const EvalOptions& o, const configs::Recipe& recipe,
                       Evaluation& evaluation) {
  workloads::FunctionalExecutor executor = evaluation.executor(recipe);
  // Decoded together: the space that opens the continuation belongs to its first piece.
  auto ids = evaluation.words().encode(o.prompt, true);
  workloads::DraftTally tally;
  const auto continuation =
      workloads::generate(executor, evaluation.words(), ids, o.generate, &tally);
  ids.insert(ids.end(), continuation.begin(), continuation.end());
  const std::string written = evaluation.words().decode(ids);
  if (!o.json.empty()) {
    Json report;
    report["summary"] = {{"model", evaluation.shape().name},
                         {"recipe", recipe.name},
                         {"prompt", o.prompt},
                         {"text", written},
                         {"generated_tokens", continuation.size()},
                         {"draft_accepted_tokens", tally.accepted},
                         {"verifier_passes", tally.rounds}};
    write_text_file(o.json, report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  if (o.json != "-") fmt::print("{}\n", written);
  if (tally.rounds > 0 && !o.quiet) {
    fmt::print(stderr,
               "draft: {} of its tokens accepted in {} verifier passes, {:.2f} tokens a pass\n",
               tally.accepted, tally.rounds,
               1.0 + static_cast<double>(tally.accepted) / static_cast<double>(tally.rounds));
  }
  return 0;
}

int measure(const EvalOptions& o, const configs::Recipe& recipe, Evaluation& evaluation) {
  workloads::FunctionalExecutor executor = evaluation.executor(recipe);
  evaluation.read_texts();
  if (!o.no_kl) evaluation.compare_with_unquantised();
  const auto start = std::chrono::steady_clock::now();
  const Evaluation::Outcome outcome = evaluation(executor, "evaluating text");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const workloads::Quality& quality = outcome.quality;
  const workloads::StoredModel& stored = outcome.stored;
  if (!o.json.empty()) {
    Json report;
    report["summary"] = {{"perplexity", quality.perplexity},
                         {"nll", quality.nll},
                         {"kl_divergence", quality.kl ? Json(*quality.kl) : Json(nullptr)},
                         {"tokens", quality.tokens},
                         {"texts", quality.texts},
                         {"model", evaluation.shape().name},
                         {"recipe", recipe.name},
                         {"text", evaluation.text()},
                         {"inject_outliers", o.outliers},
                         {"stored_bits_per_weight", stored.bits_per_weight()},
                         {"stored_bits_per_kv", stored.bits_per_kv()},
                         {"kv_bytes_per_token", stored.kv_bytes_per_token()},
                         {"kv_tokens", stored.kv_tokens}};
    write_text_file(o.json, report.dump(2) + "\n");
  }
  if (o.quiet || o.json == "-") return 0;
  fmt::print("model       {}\nrecipe      {}\ntext        {} ({} documents, {} predicted tokens)\n",
             evaluation.shape().name, recipe.name, evaluation.text(), quality.texts,
             quality.tokens);
  fmt::print(
      "stored      {:.4f} bits a weight, {:.4f} bits a KV element, {:.1f} KV bytes a token (at "
      "{} tokens)\n",
      stored.bits_per_weight(), stored.bits_per_kv(), stored.kv_bytes_per_token(),
      stored.kv_tokens);
  fmt::print("perplexity  {:.4f}\nnll         {:.5f} nats a token\n", quality.perplexity,
             quality.nll);
  if (quality.kl)
    fmt::print("kl          {:.6f} nats a token from the unquantised model\n", *quality.kl);
  fmt::print("time        {:.2f} s, {:.0f} tokens a second\n", seconds.count(),
             static_cast<double>(quality.tokens) / seconds.count());
  return 0;
}

/// Whether a tensor is kept in a plain float format, every token alike.
bool is_float(const configs::Recipe& recipe, configs::Target target) {
  const quant::TensorPolicy& policy = recipe[target];
  return quant::is_ieee(policy.format) && policy.tokens.empty();
}

RecipeRow row_of(const configs::Recipe& recipe) {
  using configs::Target;
  RecipeRow row;
  row.recipe = recipe.name;
  row.summary = recipe.summary;
  row.source = recipe.source;
  row.config = configs::echo(recipe);
  row.weights = !is_float(recipe, Target::weight);
  row.activations = !is_float(recipe, Target::activation);
  row.cache = !is_float(recipe, Target::key) || !is_float(recipe, Target::value);
  return row;
}

void put(RecipeRow& row, const Evaluation::Outcome& outcome) {
  row.perplexity = outcome.quality.perplexity;
  row.nll = outcome.quality.nll;
  row.kl = outcome.quality.kl;
  row.bits_per_weight = outcome.stored.bits_per_weight();
  row.bits_per_kv = outcome.stored.bits_per_kv();
  row.weight_bytes = static_cast<double>(outcome.stored.weight_bits) / 8;
  row.kv_bytes_per_token = outcome.stored.kv_bytes_per_token();
}

RecipeTable table_of(const EvalOptions& o, const std::vector<configs::Recipe>& recipes,
                     Evaluation& evaluation, Progress& progress) {
  const auto outcome_of = [&](const configs::Recipe& recipe) {
    workloads::FunctionalExecutor executor = evaluation.executor(recipe);
    return evaluation(executor, recipe.name);
  };
  evaluation.read_texts();
  if (!o.no_kl) evaluation.compare_with_unquantised();
  const configs::Recipe fp32 = configs::load_recipe(kReference);
  RecipeTable table;
  table.reference = row_of(fp32);
  const Evaluation::Outcome reference = outcome_of(fp32);
  put(table.reference, reference);
  table.model = evaluation.shape().name;
  table.text = evaluation.text();
  table.texts = reference.quality.texts;
  table.tokens = reference.quality.tokens;
  table.kv_tokens = reference.stored.kv_tokens;
  table.inject_outliers = o.outliers;
  table.version = SYSTOLE_VERSION;
  table.command = command_line();
  for (std::size_t i = 0; i < recipes.size(); ++i) {
    RecipeRow& row = table.rows.emplace_back(row_of(recipes[i]));
    try {
      put(row, recipes[i] == fp32 ? reference : outcome_of(recipes[i]));
    } catch (const ConfigError& error) {  // it does not fit this model
      row.refusal = error.what();
    }
    progress.report("recipes", i + 1, recipes.size());
  }
  return table;
}

int compare_recipes(const EvalOptions& o, const std::vector<configs::Recipe>& recipes,
                    Evaluation& evaluation, Progress& progress) {
  const RecipeTable table = table_of(o, recipes, evaluation, progress);
  if (!o.html.empty()) write_text_file(o.html, reports::recipe_table_to_html(table));
  if (!o.json.empty()) write_text_file(o.json, reports::recipe_table_to_json(table));
  if (!o.csv.empty()) write_text_file(o.csv, reports::recipe_table_to_csv(table));
  o.form.write({whole_text([&] { return reports::recipe_table_to_json(table); }),
                whole_table([&](reports::Separated how) {
                  return reports::recipe_table_to_csv(table, how);
                }),
                [&] { return reports::recipe_table_tables(table); }});
  if (!o.form.asked() && !o.quiet && o.html != "-" && o.json != "-" && o.csv != "-") {
    print_text(reports::recipe_table_to_terminal(table, colour_wanted(), output_columns()));
  }
  return 0;
}

}  // namespace

int eval_command(const Arguments& arguments) {
  EvalOptions o;
  if (!parse(arguments, o)) return 0;
  catch_interrupt();
  for (const std::string* path : {&o.json, &o.html, &o.csv}) check_writable(*path);
  o.form.check("eval");
  check_together(o);
  const bool several = !o.recipes.empty();
  const std::vector<configs::Recipe> recipes =
      several ? recipes_of(o.recipes)
              : std::vector{configs::load_recipe(o.recipe.empty() ? kReference : o.recipe)};
  ConsoleProgress progress(o.quiet || o.generate > 0), silent(true);
  // Of many recipes each takes seconds: how many are done says more.
  Evaluation evaluation(o, several ? silent : progress);
  if (several) return compare_recipes(o, recipes, evaluation, progress);
  if (o.generate > 0) return write_continuation(o, recipes.front(), evaluation);
  return measure(o, recipes.front(), evaluation);
}

}  // namespace systole::cli
