#include "sim/cli/sweep_quality.hpp"

#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "configs/assign.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/models.hpp"
#include "sim/core/error.hpp"
#include "workloads/calibrated.hpp"
#include "workloads/perplexity.hpp"

namespace systole::cli {
namespace {

struct Sources {
  std::string model, tokenizer, text;  ///< paths, or the embedded model's name
};

Sources sources_of(const configs::SweepConfig& config) {
  const configs::SweepQuality& quality = *config.quality;
  const auto path = [&](const std::string& name) {
    return name.empty() ? name : configs::named_from(config.folder, name);
  };
  Sources sources{quality.model, path(quality.tokenizer), path(quality.text)};
  const bool embedded = sources.model == kEmbeddedModel;
  if (!embedded) sources.model = path(sources.model);
  if (sources.text.empty() && embedded) sources.text = embedded_folder() + "/eval.txt";
  if (sources.text.empty()) {
    throw ConfigError("quality.text: missing; expected a file with the text to predict (only " +
                      std::string(kEmbeddedModel) + " has one of its own)");
  }
  return sources;
}

/// The content of a file; nothing for no name.
void add_file(configs::Digest& digest, const std::string& path) {
  if (path.empty()) return;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw ConfigError("quality: " + path + ": cannot be read");
  std::string piece(1 << 20, '\0');
  do {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    digest.add(std::string_view(piece).substr(0, static_cast<std::size_t>(file.gcount())));
  } while (file);
}

}  // namespace

void identify_quality(configs::SweepConfig& config) {
  if (!config.quality) return;
  const Sources sources = sources_of(config);
  const std::string model = sources.model == kEmbeddedModel
                                ? embedded_folder() + "/" + kEmbeddedModel + ".gguf"
                                : sources.model;
  configs::Digest digest;
  for (const std::string* file : {&model, &sources.tokenizer, &sources.text}) {
    add_file(digest, *file);
  }
  digest.add(config.quality->max_context);
  digest.add(config.quality->documents);
  config.quality->content = digest.value();
}

std::function<double(const configs::Recipe&)> quality_measure(const configs::SweepConfig& config) {
  if (!config.quality) return nullptr;
  const Sources sources = sources_of(config);
  const auto model = std::make_shared<Model>(resolve_model(sources.model, sources.tokenizer));
  if (!model->weights) {
    throw ConfigError("quality.model: '" + sources.model +
                      "' is a shape only; expected a model with weights: " +
                      std::string(kEmbeddedModel) + ", a GGUF or a llama2.c file");
  }
  if (!model->weights->tokenizer) {
    throw ConfigError("quality.model: " + sources.model +
                      " holds no tokeniser; expected one as quality.tokenizer");
  }
  std::vector<std::string> texts = workloads::read_texts(sources.text, kTextDelimiter);
  const std::uint64_t most = config.quality->documents;
  if (most > 0 && most < texts.size()) texts.resize(most);
  const std::uint64_t context = config.quality->max_context;
  return [model, context, texts = std::move(texts)](const configs::Recipe& recipe) {
    ConsoleProgress quiet(true);
    constexpr unsigned kThreads = 1;  // workers are as many as there are processors
    const auto calibrated = calibrate_for(recipe, *model->weights, model->calibration_text,
                                          kTextDelimiter, kThreads, quiet);
    workloads::FunctionalExecutor executor(*model->weights, recipe, kThreads,
                                           workloads::Kernels::fast, 0,
                                           calibrated ? &*calibrated : nullptr);
    return workloads::perplexity(executor, *model->weights->tokenizer, texts, context,
                                 [](std::uint64_t, std::uint64_t) {})
        .perplexity;
  };
}

}  // namespace systole::cli
