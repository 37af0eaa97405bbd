// systole run: what a model computes, how well, how fast, at what energy and area.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "configs/library.hpp"
#include "configs/sweep.hpp"
#include "reports/csv.hpp"
#include "reports/html.hpp"
#include "reports/json.hpp"
#include "reports/result_file.hpp"
#include "reports/terminal.hpp"
#include "reports/trace.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/models.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"
#include "sim/system/sensitivity.hpp"
#include "sim/system/simulate.hpp"
#include "workloads/captured_operands.hpp"
#include "workloads/kv_layout.hpp"
#include "workloads/lowering.hpp"
#include "workloads/observations.hpp"
#include "workloads/perplexity.hpp"

namespace systole::cli {
namespace {

constexpr std::string_view kDefaultRecipe = "mixpe-w4a8";

struct RunOptions {
  std::string model = kEmbeddedModel, tokenizer, machine = "mixpe-128x128", recipe, kv;
  std::uint64_t prefill = 128, decode = 32, batch = 1, shared_prefix = 0, threads = 0;
  std::string text, calibration, split = kTextDelimiter;
  std::vector<std::string> overrides;
  std::string out, json, html, csv, trace, trace_window, vcd, vcd_operation;
  std::string timing = "tile", overlap, prompt = "run";
  bool no_eval = false, no_kl = false, no_reuse = false, exact = false, quiet = false,
       sensitivity = false;
};

bool parse(const Arguments& arguments, RunOptions& o) {
  Options options(
      "run [options]",
      "Runs a quantised model on a simulated machine. A model with weights is executed bit-exactly "
      "for its\n"
      "perplexity; its program (prefill, then decode) is simulated in SystemC for time, energy and "
      "area.\n"
      "A model that is a shape only is simulated without values. Without options: the embedded "
      "model on a\n"
      "MixPE machine.",
      "  systole run\n"
      "  systole run --machine int8-128x94 --recipe w8a8 --out int8.h5 --html int8.html\n"
      "  systole run --model llama-2-7b --prefill 2048 --decode 64 --json out.json\n"
      "  systole run --set memory.dram.channels=4 --set array.dataflow=output_stationary\n"
      "  systole run --model llama-2-7b --kv kivi2 --prefill 32768 --machine fp16-kv-lpddr5\n"
      "  systole run --machine mixpe-16x16 --prefill 16 --decode 1 --timing pe\n");
  options.group("What to run")
      .value("model", "NAME|FILE", o.model,
             "a name of `systole list models`, a GGUF or llama2.c file, or a config.json "
             "(default: the embedded " +
                 std::string(kEmbeddedModel) + ")")
      .words("@models")
      .value("tokenizer", "FILE", o.tokenizer, "tokeniser of a llama2.c model (.bin or .vocab)")
      .value("machine", "NAME|FILE", o.machine,
             "machine, see `systole list machines` (default: " + o.machine + ")")
      .words("@machines")
      .value("recipe", "NAME|FILE", o.recipe,
             "quantisation, see `systole list recipes` (default: " + std::string(kDefaultRecipe) +
                 ", with --kv fp16)")
      .words("@recipes")
      .value("kv", "NAME|FILE", o.kv,
             "recipe whose keys and values (queries and probabilities where it has them) take the "
             "place of the recipe's: a KV-cache system; the context may exceed the model's "
             "positions")
      .words("@recipes")
      .list("set", "PATH=VALUE", o.overrides,
            "override a field of the machine; see `systole show MACHINE` for the paths")
      .value("timing", "pe|tile|analytic", o.timing,
             "pe: step every PE, on the model's own operands where it has weights; tile: closed "
             "form a tile in SystemC; analytic: peak "
             "rates only (default: tile)")
      .value("overlap", "serial|preload|ideal", o.overlap,
             "what an array-sized tile hides of its neighbours (default: the machine's)")
      .number("prefill", "TOKENS", o.prefill, "prompt length (default: 128)")
      .value("prompt", "run|cached", o.prompt,
             "cached: the prompt is in the KV cache already, the decode steps alone are timed "
             "(default: run)")
      .number("decode", "TOKENS", o.decode, "tokens generated after it (default: 32)")
      .number("batch", "N", o.batch,
              "equal sequences, each with a KV cache of its own: prompts pass one after the other, "
              "decode steps together (default: 1)")
      .number(
          "shared-prefix", "TOKENS", o.shared_prefix,
          "the first TOKENS tokens of all sequences of a batch are the same: computed once, and "
          "their pages of the KV cache shared until a sequence writes into one and copies it "
          "(default: 0)");
  options.group("Quality")
      .value("text", "FILE", o.text,
             "text to evaluate (default: the embedded model's held-out text)")
      .value("calibration", "FILE", o.calibration,
             "text to calibrate on, for recipes that ask for it (default: the embedded model's)")
      .value("split", "STRING", o.split, "what separates its documents (default: <|endoftext|>)")
      .flag("no-eval", o.no_eval,
            "do not execute the model, only time it (--timing pe: on random codes)")
      .flag("no-kl", o.no_kl,
            "do not execute the unquantised model (recipe fp32) beside the recipe's: perplexity "
            "only, without the KL divergence between what both say of the next token")
      .number("threads", "N", o.threads,
              "threads of the functional execution (default: all processors); the bits do not "
              "depend on it");
  options.group("Output")
      .value("out", "FILE.h5", o.out, "the whole result as HDF5 (see reports/SCHEMA.md)")
      .json(o.json, "the result (reports/SCHEMA.md)")
      .value("html", "FILE", o.html, "the result as a page")
      .value("csv", "FILE", o.csv, "the operations as a table")
      .value("trace", "FILE.json", o.trace,
             "what each part of the machine did when, for ui.perfetto.dev; simulates exactly")
      .value("trace-window", "FROM:TO", o.trace_window,
             "microseconds of the program whose tiles are all shown, repeated layers' too "
             "(default: those that were simulated)")
      .value(
          "vcd", "FILE.vcd", o.vcd,
          "--timing pe: the registers of every PE in one tile, clock by clock, for GTKWave (1 ns "
          "stands for a cycle); `vcd2fst FILE.vcd FILE.fst` makes a tenth of it")
      .value("vcd-operation", "NAME", o.vcd_operation,
             "the product whose first tile --vcd shows, such as attn_q or attention.scores "
             "(default: the first)")
      .flag(
          "no-reuse", o.no_reuse,
          "simulate every layer, also those equal to one already simulated (same figures, slower)")
      .flag("exact", o.exact,
            "with --kv: simulate every round of loops and every decode step; without this flag a "
            "few stand for the others, and the result bounds what that changes")
      .flag("sensitivity", o.sensitivity,
            "run the same work on machines with a tenth more of one thing (DRAM, clock, columns, "
            "scratchpads, lanes) as well: what would help most")
      .flag("quiet", o.quiet, "no table and no progress");
  return options.parse(arguments);
}

/// The first `prefill` tokens of the texts, which are read again from the start where they are
/// shorter.
std::vector<std::uint32_t> prompt_of(const workloads::LlamaModel& model,
                                     const std::vector<std::string>& texts, std::uint64_t prefill) {
  std::vector<std::uint32_t> prompt;
  for (std::size_t i = 0; prompt.size() < prefill; ++i) {
    const std::vector<std::uint32_t> ids =
        model.tokenizer->encode(texts.at(i % texts.size()), true);
    prompt.insert(prompt.end(), ids.begin(), ids.end());
  }
  prompt.resize(prefill);
  return prompt;
}

/// "120:180.5", in microseconds.
reports::TraceWindow parse_window(const std::string& text) {
  const auto fault = [&] {
    return ConfigError("--trace-window: found '" + text +
                       "'; expected microseconds FROM:TO such as 120:180.5");
  };
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() != 2) throw fault();
  const auto picoseconds = [&](std::string_view part) {
    double value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    // 1e12 us are eleven days.
    if (part.empty() || error != std::errc() || end != part.data() + part.size() ||
        !(value >= 0 && value <= 1e12)) {
      throw fault();
    }
    return static_cast<std::uint64_t>(std::llround(value * 1e6));
  };
  const reports::TraceWindow window{picoseconds(parts[0]), picoseconds(parts[1])};
  if (window.begin_ps >= window.end_ps) throw fault();
  return window;
}

}  // namespace

int run_command(const Arguments& arguments) {
  RunOptions o;
  if (!parse(arguments, o)) return 0;
  catch_interrupt();
  for (const std::string* path : {&o.out, &o.json, &o.html, &o.csv, &o.trace, &o.vcd})
    check_writable(*path);

  // All that the user can get wrong is found before anything takes time.
  const unsigned threads = thread_count(o.threads);
  const auto timing =
      static_cast<sim::Timing>(choice_of("--timing", "choice", o.timing, sim::kTimingNames));
  std::optional<reports::TraceWindow> window;
  if (!o.trace_window.empty()) window = parse_window(o.trace_window);
  if (window && o.trace.empty()) throw ConfigError("--trace-window needs --trace FILE.json");
  if (!o.trace.empty() && timing == sim::Timing::analytic) {
    throw ConfigError("--trace: --timing analytic knows no times; expected tile or pe");
  }
  check_waveform(o.vcd, timing == sim::Timing::pe, o.timing);
  if (o.vcd.empty() && !o.vcd_operation.empty()) {
    throw ConfigError("--vcd-operation needs --vcd FILE.vcd");
  }
  if (o.sensitivity && timing == sim::Timing::pe) {
    throw ConfigError("--sensitivity runs several machines; expected --timing tile or analytic");
  }
  const bool cached = choice_of("--prompt", "choice", o.prompt, configs::kSweepPromptNames) ==
                      static_cast<std::size_t>(configs::SweepPrompt::cached);
  if (!o.overlap.empty()) {
    choice_of("--overlap", "choice", o.overlap, configs::kFoldOverlapNames);
    o.overrides.push_back("array.fold_overlap=" + o.overlap);
  }
  const configs::MachineConfig machine = configs::load_machine(o.machine, o.overrides);
  const bool kv_study = !o.kv.empty();
  if (o.recipe.empty()) o.recipe = kv_study ? "fp16" : kDefaultRecipe;
  configs::Recipe recipe = configs::load_recipe(o.recipe);
  if (kv_study) recipe = workloads::with_kv(std::move(recipe), configs::load_recipe(o.kv));
  const Model model = resolve_model(o.model, o.tokenizer);
  const std::string text = o.text.empty() ? model.default_text : o.text;
  if (!o.text.empty() && !model.weights) {
    throw ConfigError("--text: model '" + model.shape.name +
                      "' is a shape only and computes no values");
  }
  const bool evaluate = model.weights && !text.empty() && !o.no_eval;
  if (evaluate && !model.weights->tokenizer) {
    throw ConfigError(o.model + ": holds no tokeniser; give one with --tokenizer, or --no-eval");
  }
  // Precision that depends on the data is found by running it.
  const bool decide =
      evaluate && (workloads::needs_passes(recipe) || workloads::needs_shares(recipe));
  const auto lowered = [&](const workloads::PrecisionDecisions* decisions) {
    workloads::Program program = workloads::lower(model.shape, recipe, o.prefill, o.decode,
                                                  decisions, kv_study, o.batch, o.shared_prefix);
    if (cached) workloads::without_prefill(program);
    return program;
  };
  std::optional<workloads::Program> program;
  if (!decide) program = lowered(nullptr);
  const std::vector<std::string> texts =
      evaluate ? workloads::read_texts(text, o.split) : std::vector<std::string>{};

  ConsoleProgress progress(o.quiet);
  // What happened when is drawn and stored, never printed: it costs a third of a large run's time.
  const bool kept = !o.out.empty() || !o.json.empty() || !o.html.empty();
  sim::SimulateOptions simulate_options{.reuse = !o.no_reuse,
                                        .extrapolate = kv_study && !o.exact && o.trace.empty(),
                                        .timing = timing,
                                        .over_time = kept};
  std::optional<workloads::CalibratedModel> calibrated;
  std::optional<workloads::PrecisionDecisions> decisions;
  std::optional<workloads::FunctionalExecutor> executor;
  if (evaluate) {
    // fp16 products are summed in the order of this machine's array: one that holds operands rounds
    // once a fold.
    const std::uint32_t fp16_chunk =
        machine.array.dataflow == configs::Dataflow::output_stationary ? 0 : machine.array.rows;
    calibrated = calibrate_for(recipe, *model.weights,
                               o.calibration.empty() ? model.calibration_text : o.calibration,
                               o.split, threads, progress);
    executor.emplace(*model.weights, recipe, threads, workloads::Kernels::fast, fp16_chunk,
                     calibrated ? &*calibrated : nullptr);
    // What the values look like: for PEs that depend on them, and for their energy.
    constexpr std::size_t kObservedTokens = 256;
    std::vector<std::uint32_t> tokens = model.weights->tokenizer->encode(texts.at(0), true);
    tokens.resize(std::min(
        {tokens.size(), kObservedTokens, static_cast<std::size_t>(model.shape.max_positions)}));
    if (!tokens.empty()) {
      simulate_options.observations = workloads::observe(*executor, tokens);
    }
    if (decide) {
      tokens.resize(std::min<std::uint64_t>(tokens.size(), o.prefill));
      decisions =
          workloads::decide_precision(*executor, *model.weights->tokenizer, tokens, o.decode);
      program = lowered(&*decisions);
    }
  }
  std::optional<workloads::CapturedOperands> operands;
  // A speculative run computes more than it keeps, a sliding window less than is cached, a cached
  // prompt nothing: their passes are stepped on random codes.
  const std::uint64_t window_size = model.shape.sliding_window;
  const bool hides = window_size != 0 && o.prefill + o.decode > window_size;
  if (evaluate && timing == sim::Timing::pe && o.prefill > 0 && !cached && !hides &&
      !(decide && workloads::needs_passes(recipe))) {
    operands.emplace(*executor, prompt_of(*model.weights, texts, o.prefill));
    simulate_options.operands = &*operands;
  }
  const sim::WaveformRequest waveform{o.vcd, o.vcd_operation};
  if (!o.vcd.empty()) simulate_options.waveform = &waveform;
  Timeline timeline;
  if (!o.trace.empty()) simulate_options.timeline = &timeline;
  std::vector<sim::MachineChange> changes;
  std::vector<sim::TimedProgram> programs{{*program, machine}};
  std::string left_out;
  if (o.sensitivity) {
    for (sim::MachineChange& change : sim::tenth_more(machine, sim::has_coded_cache(*program))) {
      configs::Overrides overrides = o.overrides;
      overrides.insert(overrides.end(), change.overrides.begin(), change.overrides.end());
      try {
        programs.push_back({*program, configs::load_machine(o.machine, overrides)});
        changes.push_back(std::move(change));
      } catch (const ConfigError& error) {  // there is no such machine
        left_out += (left_out.empty() ? "" : "; ") + change.name + " (" + error.what() + ")";
      }
    }
  }
  std::vector<RunResult> results = sim::simulate_all(programs, simulate_options, progress);
  RunResult result = std::move(results.front());
  for (std::size_t i = 0; i < changes.size(); ++i) {
    result.sensitivities.push_back(sim::sensitivity_of(changes[i], results[i + 1]));
  }
  if (!left_out.empty()) result.notes.emplace_back("sensitivity", "left out: " + left_out);
  operands.reset();
  if (decisions) result.notes.emplace_back("precision", "decided by " + decisions->source);
  result.version = SYSTOLE_VERSION;
  result.command = command_line();
  result.config_echo = configs::echo(machine, recipe);

  if (evaluate) {
    std::optional<workloads::FunctionalExecutor> reference;
    if (!o.no_kl) reference.emplace(*model.weights, configs::load_recipe("fp32"), threads);
    const workloads::Quality quality = workloads::perplexity(
        *executor, *model.weights->tokenizer, texts, 0,
        [&](std::uint64_t done, std::uint64_t all) {
          progress.report("evaluating text", done, all);
          if (progress.cancelled()) throw Interrupted();
        },
        reference ? &*reference : nullptr);
    // The embedded text by its name: where the source tree lies is no part of a result.
    const std::string text_name = o.text.empty() ? "eval.txt of " + model.shape.name : o.text;
    result.quality =
        Quality{quality.perplexity, quality.nll, quality.tokens, text_name, quality.kl};
  }

  if (!o.out.empty()) reports::write_result(o.out, result);
  if (!o.json.empty()) write_text_file(o.json, reports::to_json(result));
  if (!o.html.empty()) write_text_file(o.html, reports::to_html({&result, 1}));
  if (!o.csv.empty()) write_text_file(o.csv, reports::operations_to_csv(result));
  if (!o.trace.empty()) {
    write_text_file(o.trace, reports::to_trace(timeline, window ? &*window : nullptr));
  }
  const bool stdout_taken = o.trace == "-" || o.json == "-" || o.html == "-" || o.csv == "-";
  if (!o.quiet && !stdout_taken) {
    print_text(reports::to_terminal(result, colour_wanted(), output_columns()));
  }
  return 0;
}

}  // namespace systole::cli
