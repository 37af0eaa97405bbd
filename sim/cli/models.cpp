#include "sim/cli/models.hpp"

#include <cstdlib>
#include <filesystem>

#include "configs/library.hpp"
#include "sim/core/error.hpp"
#include "workloads/hf_config.hpp"
#include "workloads/perplexity.hpp"

namespace systole::cli {
namespace fs = std::filesystem;

std::string embedded_folder() { return SYSTOLE_EMBEDDED_DIR; }

Model resolve_model(const std::string& name, const std::string& tokenizer_path) {
  const auto with_weights = [&](const std::string& path) {
    Model model;
    model.weights = workloads::load_model(path, tokenizer_path);
    model.shape = model.weights->shape;
    return model;
  };
  if (name == kEmbeddedModel) {
    Model model = with_weights(embedded_folder() + "/" + kEmbeddedModel + ".gguf");
    model.default_text = embedded_folder() + "/eval.txt";
    model.calibration_text = embedded_folder() + "/calibration.txt";
    return model;
  }
  const bool is_path = name.find('/') != std::string::npos || fs::is_regular_file(name);
  if (is_path) {
    if (!fs::exists(name)) throw ConfigError(name + ": no such file");
    if (!fs::is_regular_file(name))
      throw ConfigError(name + ": not a regular file; expected a model file");
    const std::string suffix = fs::path(name).extension().string();
    if (suffix == ".json") return {workloads::read_hf_config(name), std::nullopt, "", ""};
    if (suffix == ".yaml" || suffix == ".yml")
      return {configs::load_model_shape(name), std::nullopt, "", ""};
    return with_weights(name);
  }
  std::vector<std::string> known = {kEmbeddedModel};
  for (const configs::Entry& entry : configs::list(configs::Kind::model)) {
    if (entry.name == name) return {configs::load_model_shape(name), std::nullopt, "", ""};
    known.push_back(entry.name);
  }
  throw ConfigError(unknown_name_message("model", name, known));
}

std::string calibration_cache() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::string root = variable("XDG_CACHE_HOME");
  if (root.empty()) {
    const std::string home = variable("HOME");
    if (home.empty()) return "";
    root = home + "/.cache";
  }
  std::error_code failed;
  fs::create_directories(root + "/systole", failed);
  return failed ? "" : root + "/systole/calibration.bin";
}

std::optional<workloads::CalibratedModel> calibrate_for(const configs::Recipe& recipe,
                                                        const workloads::LlamaModel& model,
                                                        const std::string& text,
                                                        const std::string& split, unsigned threads,
                                                        ConsoleProgress& progress) {
  if (!workloads::needs_calibration(recipe)) return std::nullopt;
  if (text.empty()) {
    throw ConfigError("--calibration: recipe " + recipe.name +
                      " has calibrated parameters; expected a text to find them with");
  }
  workloads::CalibrationOptions options = workloads::calibration_options(recipe, threads);
  options.progress = [&](std::uint64_t done, std::uint64_t all) {
    progress.report("calibrating", done, all);
    if (progress.cancelled()) throw Interrupted();
  };
  const auto sequences =
      workloads::calibration_sequences(model, workloads::read_texts(text, split), options);
  return workloads::CalibratedModel(
      model.shape, workloads::calibrate(model, sequences, options, calibration_cache()),
      recipe.calibration.seed);
}

}  // namespace systole::cli
