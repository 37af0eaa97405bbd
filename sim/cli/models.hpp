// What --model means: the embedded model, a file with weights, or a shape from the library or a
// config.json.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "configs/model.hpp"
#include "sim/cli/console.hpp"
#include "workloads/calibrated.hpp"
#include "workloads/model.hpp"

namespace systole::cli {

/// The model that ships with Systole, see workloads/embedded/README.md.
inline constexpr const char* kEmbeddedModel = "systole-kjv-3m";
std::string embedded_folder();

struct Model {
  configs::ModelShape shape;
  std::optional<workloads::LlamaModel> weights;  ///< absent for a shape only
  std::string default_text;                      ///< path of a held-out text, or empty
  std::string calibration_text;                  ///< path of another held-out text, or empty
};

/// `name` is the embedded model's name, a file (GGUF, llama2.c checkpoint, HF config.json), or a
/// shape of the library. Throws ConfigError with the nearest known name.
Model resolve_model(const std::string& name, const std::string& tokenizer_path);

/// Where calibration runs are kept: $XDG_CACHE_HOME/systole or ~/.cache/systole, one file for the
/// last one; empty when there is no home.
std::string calibration_cache();

/// Statistics of the model on the calibration text, when the recipe needs them. Errors: ConfigError
/// when it does and `text` is empty.
std::optional<workloads::CalibratedModel> calibrate_for(const configs::Recipe& recipe,
                                                        const workloads::LlamaModel& model,
                                                        const std::string& text,
                                                        const std::string& split, unsigned threads,
                                                        ConsoleProgress& progress);

/// The delimiter of the texts that ship with Systole.
inline constexpr const char* kTextDelimiter = "<|endoftext|>";

}  // namespace systole::cli
