#include "sim/cli/models.hpp"

#include <filesystem>

#include "configs/library.hpp"
#include "sim/core/error.hpp"
#include "workloads/hf_config.hpp"

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

}  // namespace systole::cli
