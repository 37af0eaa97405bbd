#include "workloads/hf_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "sim/core/error.hpp"
#include "workloads/hf_config.hpp"
#include "workloads/safetensors.hpp"
#include "workloads/text.hpp"

namespace systole::workloads {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr const char* kWeights = "model.safetensors";

/// A scaled rotary embedding changes values, so a model that asks for one is not run without it.
/// The text has been accepted by parse_hf_config.
void refuse_rope_scaling(std::string_view config, const std::string& name) {
  const json document = json::parse(config);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto it = document.find(key);
    if (it == document.end() || !it->is_object()) continue;
    for (const char* type : {"rope_type", "type"}) {
      const auto kind = it->find(type);
      if (kind == it->end() || *kind == "default") continue;
      throw ConfigError(
          fmt::format("{}: {}.{} is not 'default'; scaled rotary embeddings are not "
                      "supported",
                      name, key, type));
    }
  }
}

/// Takes tensors out of a file by their Hugging Face names and remembers which.
class Checkpoint {
 public:
  explicit Checkpoint(const SafetensorsFile& file) : file_(file) {}

  std::vector<float> vector(const std::string& name, std::uint64_t size) {
    return take(name, std::array{size});
  }
  std::vector<float> matrix(const std::string& name, std::uint64_t rows, std::uint64_t cols) {
    return take(name, std::array{rows, cols});
  }
  void ignore(const std::string& name) { taken_.insert(name); }

  void refuse_others(std::uint32_t layers) const {
    for (const SafetensorsTensor& tensor : file_.tensors()) {
      // Old checkpoints store the rotary frequencies, which follow from the configuration.
      if (taken_.contains(tensor.name) || tensor.name.ends_with("rotary_emb.inv_freq")) continue;
      throw ConfigError(
          fmt::format("{}: tensor {} is not part of a Llama model of {} layers without biases",
                      file_.path(), printable(tensor.name), layers));
    }
  }

 private:
  std::vector<float> take(const std::string& name, std::span<const std::uint64_t> shape) {
    taken_.insert(name);
    return file_.read(name, shape);
  }

  const SafetensorsFile& file_;
  std::unordered_set<std::string> taken_;
};

LayerWeights layer_of(Checkpoint& file, const configs::ModelShape& shape, std::uint32_t index) {
  const std::string block = fmt::format("model.layers.{}.", index);
  const std::string attention = block + "self_attn.", mlp = block + "mlp.";
  LayerWeights layer;
  layer.attn_norm = file.vector(block + "input_layernorm.weight", shape.hidden);
  layer.q =
      interleave_rotary_rows(file.matrix(attention + "q_proj.weight", shape.q_dim(), shape.hidden),
                             shape.head_dim, shape.hidden);
  layer.k =
      interleave_rotary_rows(file.matrix(attention + "k_proj.weight", shape.kv_dim(), shape.hidden),
                             shape.head_dim, shape.hidden);
  layer.v = file.matrix(attention + "v_proj.weight", shape.kv_dim(), shape.hidden);
  layer.output = file.matrix(attention + "o_proj.weight", shape.hidden, shape.q_dim());
  layer.ffn_norm = file.vector(block + "post_attention_layernorm.weight", shape.hidden);
  layer.gate = file.matrix(mlp + "gate_proj.weight", shape.intermediate, shape.hidden);
  layer.up = file.matrix(mlp + "up_proj.weight", shape.intermediate, shape.hidden);
  layer.down = file.matrix(mlp + "down_proj.weight", shape.hidden, shape.intermediate);
  return layer;
}

}  // namespace

std::vector<float> interleave_rotary_rows(std::span<const float> rows, std::size_t head_dim,
                                          std::size_t cols) {
  std::vector<float> out(rows.size());
  const std::size_t half = head_dim / 2;
  const std::size_t heads = rows.size() / (head_dim * cols);
  for (std::size_t head = 0; head < heads; ++head) {
    for (std::size_t i = 0; i < half; ++i) {
      for (std::size_t part = 0; part < 2; ++part) {
        const std::size_t from = head * head_dim + part * half + i;
        const std::size_t to = head * head_dim + 2 * i + part;
        std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(from * cols), cols,
                    out.begin() + static_cast<std::ptrdiff_t>(to * cols));
      }
    }
  }
  return out;
}

bool is_huggingface(const std::string& path) {
  std::error_code ignored;
  return path.ends_with(".safetensors") || fs::is_directory(path, ignored);
}

LlamaModel huggingface_model(const SafetensorsFile& weights, std::string_view config,
                             const std::string& config_name) {
  LlamaModel model;
  model.shape = parse_hf_config(config, config_name);
  if (model.shape.experts != 0) {
    throw ConfigError(config_name +
                      ": a mixture of experts is timed as a shape, not executed; expected a dense "
                      "model, or the config.json alone");
  }
  refuse_rope_scaling(config, config_name);
  const configs::ModelShape& shape = model.shape;
  Checkpoint file(weights);
  model.embedding = file.matrix("model.embed_tokens.weight", shape.vocab, shape.hidden);
  for (std::uint32_t i = 0; i < shape.layers; ++i) model.layers.push_back(layer_of(file, shape, i));
  model.final_norm = file.vector("model.norm.weight", shape.hidden);
  if (shape.tied_embedding) {
    file.ignore("lm_head.weight");
  } else {
    model.head = file.matrix("lm_head.weight", shape.vocab, shape.hidden);
  }
  file.refuse_others(shape.layers);
  return model;
}

LlamaModel read_huggingface(const std::string& path) {
  std::error_code ignored;
  fs::path weights = path;
  if (fs::is_directory(weights, ignored)) {
    if (fs::exists(weights / "model.safetensors.index.json", ignored)) {
      throw ConfigError(path + ": a checkpoint in several files; expected one model.safetensors");
    }
    weights /= kWeights;
  }
  const fs::path config = weights.parent_path() / "config.json";
  const FileBytes text = FileBytes::map(config.string());
  return huggingface_model(SafetensorsFile::open(weights.string()), text.text(), config.string());
}

}  // namespace systole::workloads
