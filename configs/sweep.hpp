// A sweep: points of machine x recipe x model x run, what each must satisfy and what is sought.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "configs/expression.hpp"
#include "configs/library.hpp"
#include "sim/core/sweep_result.hpp"

namespace systole::configs {

enum class SweepTiming : std::uint8_t { tile, analytic };
inline constexpr std::array<std::string_view, 2> kSweepTimingNames = {"tile", "analytic"};

enum class SweepPrompt : std::uint8_t {
  run,     ///< the prefill is timed, then the decode steps
  cached,  ///< the prefill is in the cache already: only the decode steps are timed
};
inline constexpr std::array<std::string_view, 2> kSweepPromptNames = {"run", "cached"};

/// What every point starts from.
struct SweepBase {
  std::string machine, recipe, model;
  std::string kv;  ///< recipe whose keys and values take the place of the recipe's; empty: none
  std::uint64_t prefill = 2048, decode = 1;
  std::uint64_t batch = 1;  ///< equal sequences, decoded together
  SweepTiming timing = SweepTiming::analytic;
  SweepPrompt prompt = SweepPrompt::run;
};

/// Whose value a path sets.
enum class SweepTarget : std::uint8_t {
  machine_name,
  recipe_name,
  model_name,
  kv_name,
  prefill,
  decode,
  batch,
  timing,  ///< the run's own
  machine,
  recipe,
  model,    ///< a field below it, as --set has it
  nothing,  ///< a derived value that is only looked at
};

struct SweepParameter {
  std::string path;  ///< as the file has it: "machine.memory.dram.channels", "prefill"
  SweepTarget target = SweepTarget::nothing;
  std::string field;  ///< "memory.dram.channels"
};

struct SweepAxisConfig {
  SweepParameter parameter;
  std::vector<SweepValue> values;
  bool scenario = false;  ///< not a choice: points are compared where they have the same value
};

struct SweepDerived {
  SweepParameter parameter;
  Expression value;  ///< over the axes and the derived values before it
};

/// Points are looked at with a cheap timing, the best of them again with a dear one. Which is which
/// is the first axis, `timing`; that it is the dear one, the first constraint.
struct SweepFidelity {
  SweepTiming screen = SweepTiming::analytic, confirm = SweepTiming::tile;
  std::uint64_t points = 32;  ///< that are confirmed
};

/// A model with weights that is executed under each point's recipe: where `perplexity` comes from.
/// It need not be the model that is timed.
struct SweepQuality {
  std::string model = "systole-kjv-3m";  ///< the embedded one, a GGUF or a llama2.c file
  std::string tokenizer, text;           ///< empty: the model's own
  std::uint64_t max_context = 0;         ///< documents are cut there; 0: at the model's
  std::uint64_t documents = 0;           ///< the first so many; 0: all
  /// Of model and text as they are; whoever has read them fills it in.
  std::array<std::uint64_t, 2> content{};
};

struct SweepConfig {
  std::string name, summary, source;
  std::string folder;  ///< of the file: relative names in it start there
  SweepBase base;      ///< where there is a fidelity, `timing` is that of its confirmation
  std::optional<SweepFidelity> fidelity;
  std::optional<SweepQuality> quality;
  std::vector<SweepAxisConfig> axes;
  std::vector<SweepDerived> derived;
  std::vector<Comparison> conditions;   ///< over axes and derived values
  std::vector<Comparison> constraints;  ///< over axes, derived values and figures
  std::vector<SweepObjective> objectives;
};

/// Strict: every fault of the file at once, `file:line:column: path: message`; every value of every
/// axis is tried on the base. Throws ConfigError.
SweepConfig read_sweep(std::string_view text, const std::string& file);
/// A shipped name or a path.
SweepConfig load_sweep(const std::string& name_or_path);
/// The path of a shipped name; a path as it is.
std::string sweep_path(const std::string& name_or_path);
std::vector<Entry> list_sweeps();

/// A name of the library, or a path that is relative to `folder`.
std::string named_from(const std::string& folder, const std::string& name);

}  // namespace systole::configs
