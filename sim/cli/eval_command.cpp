// systole eval: perplexity of a model under a recipe, without a machine.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "configs/library.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/models.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"
#include "workloads/calibrated.hpp"
#include "workloads/outliers.hpp"
#include "workloads/perplexity.hpp"

namespace systole::cli {
namespace {

/// A text of ours by its name, so that reports do not depend on where Systole lies; others by path.
std::string text_name(const std::string& path) {
  const std::string ours = embedded_folder() + "/";
  return path.starts_with(ours) ? path.substr(ours.size()) + " of " + kEmbeddedModel : path;
}

}  // namespace

int eval_command(const Arguments& arguments) {
  std::string model_name = kEmbeddedModel, tokenizer, recipe_name = "fp32", text,
              split = kTextDelimiter;
  std::string json, prompt, calibration_text;
  std::uint64_t threads = 0, context = 0, limit = 0, generate = 0, outliers = 0;
  bool quiet = false, no_kl = false;
  Options options("eval [options]",
                  "Executes a model bit-exactly under a recipe and measures its perplexity on a "
                  "text. Each document is\n"
                  "encoded alone behind a beginning-of-text token and cut at the model's context; "
                  "every token after the\n"
                  "first is predicted; one mean over all.",
                  "  systole eval --recipe w4-g32 --json\n"
                  "  systole eval --model stories260K.bin --tokenizer tok512.bin --text "
                  "stories.txt --recipe fp32\n"
                  "  systole eval --recipe mixpe-w4a8 --prompt 'In the beginning' --generate 40\n");
  options.group("What to evaluate")
      .value("model", "NAME|FILE", model_name,
             "the embedded model (default), a GGUF or a llama2.c file")
      .value("tokenizer", "FILE", tokenizer, "tokeniser of a llama2.c model (.bin or .vocab)")
      .value("recipe", "NAME|FILE", recipe_name,
             "quantisation, see `systole list recipes` (default: fp32)")
      .value("text", "FILE", text, "text to predict (default: the embedded model's held-out text)")
      .value("split", "STRING", split, "what separates its documents (default: <|endoftext|>)")
      .number("max-context", "TOKENS", context, "cut documents here (default: the model's context)")
      .number("limit", "N", limit, "only the first N documents")
      .value("prompt", "TEXT", prompt, "with --generate: what to continue")
      .number("generate", "TOKENS", generate, "continue the prompt greedily instead of measuring")
      .number("inject-outliers", "K", outliers,
              "make activation channels K times larger without changing the function (try 64)")
      .value("calibration", "FILE", calibration_text,
             "text for recipes with calibrated parameters (default: the embedded model's)")
      .flag("no-kl", no_kl,
            "do not execute the unquantised model (recipe fp32) beside: perplexity only, without "
            "the KL divergence between what both say of the next token")
      .number("threads", "N", threads, "default: all processors; the bits do not depend on it");
  options.group("Output")
      .json(json, "the figures, or what was written,")
      .flag("quiet", quiet, "no table and no progress");
  if (!options.parse(arguments)) return 0;
  catch_interrupt();
  check_writable(json);

  const configs::Recipe recipe = configs::load_recipe(recipe_name);
  Model model = resolve_model(model_name, tokenizer);
  if (!model.weights) {
    throw ConfigError("model '" + model.shape.name +
                      "' is a shape only: it has no weights to evaluate");
  }
  if (!model.weights->tokenizer) {
    throw ConfigError(model_name + ": holds no tokeniser; give one with --tokenizer");
  }
  const workloads::Tokenizer& words = *model.weights->tokenizer;
  if (outliers > 0) workloads::inject_outliers(*model.weights, static_cast<double>(outliers));
  ConsoleProgress progress(quiet || generate > 0);
  if (calibration_text.empty()) calibration_text = model.calibration_text;
  const auto calibrated = calibrate_for(recipe, *model.weights, calibration_text, split,
                                        thread_count(threads), progress);
  workloads::FunctionalExecutor executor(*model.weights, recipe, thread_count(threads),
                                         workloads::Kernels::fast, 0,
                                         calibrated ? &*calibrated : nullptr);

  if (generate > 0) {
    // Decoded together: the space that opens the continuation belongs to its first piece.
    auto ids = words.encode(prompt, true);
    workloads::DraftTally tally;
    const auto continuation = workloads::generate(executor, words, ids, generate, &tally);
    ids.insert(ids.end(), continuation.begin(), continuation.end());
    const std::string written = words.decode(ids);
    if (!json.empty()) {
      nlohmann::ordered_json report;
      report["summary"] = {{"model", model.shape.name},
                           {"recipe", recipe.name},
                           {"prompt", prompt},
                           {"text", written},
                           {"generated_tokens", continuation.size()},
                           {"draft_accepted_tokens", tally.accepted},
                           {"verifier_passes", tally.rounds}};
      write_text_file(
          json,
          report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
    }
    if (json != "-") fmt::print("{}\n", written);
    if (tally.rounds > 0 && !quiet) {
      fmt::print(stderr,
                 "draft: {} of its tokens accepted in {} verifier passes, {:.2f} tokens a pass\n",
                 tally.accepted, tally.rounds,
                 1.0 + static_cast<double>(tally.accepted) / static_cast<double>(tally.rounds));
    }
    return 0;
  }
  if (text.empty()) text = model.default_text;
  if (text.empty()) throw ConfigError("--text: expected a file with the text to predict");
  std::vector<std::string> texts = workloads::read_texts(text, split);
  if (limit > 0 && limit < texts.size()) texts.resize(limit);

  const auto start = std::chrono::steady_clock::now();
  std::optional<workloads::FunctionalExecutor> reference;
  if (!no_kl)
    reference.emplace(*model.weights, configs::load_recipe("fp32"), thread_count(threads));
  const workloads::Quality quality = workloads::perplexity(
      executor, words, texts, context,
      [&](std::uint64_t done, std::uint64_t all) {
        progress.report("evaluating text", done, all);
        if (progress.cancelled()) throw Interrupted();
      },
      reference ? &*reference : nullptr);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;

  const workloads::StoredModel stored = executor.stored(
      context > 0 ? context : std::max<std::uint64_t>(1, model.shape.max_positions));
  if (!json.empty()) {
    nlohmann::ordered_json report;
    report["summary"] = {{"perplexity", quality.perplexity},
                         {"nll", quality.nll},
                         {"kl_divergence", quality.kl ? nlohmann::ordered_json(*quality.kl)
                                                      : nlohmann::ordered_json(nullptr)},
                         {"tokens", quality.tokens},
                         {"texts", quality.texts},
                         {"model", model.shape.name},
                         {"recipe", recipe.name},
                         {"text", text_name(text)},
                         {"inject_outliers", outliers},
                         {"stored_bits_per_weight", stored.bits_per_weight()},
                         {"stored_bits_per_kv", stored.bits_per_kv()},
                         {"kv_bytes_per_token", stored.kv_bytes_per_token()},
                         {"kv_tokens", stored.kv_tokens}};
    write_text_file(json, report.dump(2) + "\n");
  }
  if (!quiet && json != "-") {
    fmt::print(
        "model       {}\nrecipe      {}\ntext        {} ({} documents, {} predicted tokens)\n",
        model.shape.name, recipe.name, text_name(text), quality.texts, quality.tokens);
    fmt::print(
        "stored      {:.4f} bits a weight, {:.4f} bits a KV element, {:.1f} KV bytes a token (at "
        "{} tokens)\n",
        stored.bits_per_weight(), stored.bits_per_kv(), stored.kv_bytes_per_token(),
        stored.kv_tokens);
    fmt::print("perplexity  {:.4f}\nnll         {:.5f} nats a token\n", quality.perplexity,
               quality.nll);
    if (quality.kl) {
      fmt::print("kl          {:.6f} nats a token from the unquantised model\n", *quality.kl);
    }
    fmt::print("time        {:.2f} s, {:.0f} tokens a second\n", seconds.count(),
               static_cast<double>(quality.tokens) / seconds.count());
  }
  return 0;
}

}  // namespace systole::cli
