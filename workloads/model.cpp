#include "workloads/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <unordered_set>

#include "sim/core/error.hpp"
#include "workloads/file.hpp"
#include "workloads/gguf.hpp"
#include "workloads/hf_model.hpp"
#include "workloads/llama2c.hpp"
#include "workloads/shape.hpp"
#include "workloads/text.hpp"

namespace systole::workloads {

using configs::ModelShape;

namespace {

std::string base_name(const std::string& path) {
  std::string name = path.substr(path.find_last_of('/') + 1);
  if (const std::size_t dot = name.find_last_of('.'); dot != std::string::npos && dot > 0)
    name.resize(dot);
  return name;
}

/// What would silently compute something else than the model is refused by name.
void refuse_unsupported(const GgufFile& file) {
  const std::string& architecture = file.string_value("general.architecture");
  if (architecture != "llama") {
    throw ConfigError(fmt::format("{}: general.architecture is {}, expected 'llama'", file.path(),
                                  printable(architecture)));
  }
  if (const GgufValue* scaling = file.find("llama.rope.scaling.type"); scaling != nullptr) {
    const std::string& type = file.string_value("llama.rope.scaling.type");
    if (type != "none") {
      throw ConfigError(fmt::format("{}: llama.rope.scaling.type is {}, expected 'none'",
                                    file.path(), printable(type)));
    }
  }
  if (file.unsigned_value("llama.expert_count", 0) != 0) {
    throw ConfigError(
        file.path() +
        ": a mixture of experts (llama.expert_count is not 0), expected a dense model");
  }
}

ModelShape gguf_shape(const GgufFile& file) {
  ModelShape shape;
  shape.source = file.path();
  shape.name = file.find("general.name") != nullptr ? file.string_value("general.name")
                                                    : base_name(file.path());
  shape.summary = "GGUF";
  shape.layers = file.unsigned_value("llama.block_count");
  shape.hidden = file.unsigned_value("llama.embedding_length");
  shape.intermediate = file.unsigned_value("llama.feed_forward_length");
  shape.heads = file.unsigned_value("llama.attention.head_count");
  shape.kv_heads = file.unsigned_value("llama.attention.head_count_kv", shape.heads);
  shape.head_dim = file.unsigned_value("llama.attention.key_length", 0);
  shape.max_positions = file.unsigned_value("llama.context_length");
  shape.rope_theta = file.float_value("llama.rope.freq_base", 10000.0);
  shape.norm_epsilon = file.float_value("llama.attention.layer_norm_rms_epsilon", 1e-5);
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) throw ConfigError(file.path() + ": has no tensor 'token_embd.weight'");
  shape.vocab = static_cast<std::uint32_t>(std::min<std::uint64_t>(embedding->rows(), UINT32_MAX));
  shape.tied_embedding = file.find_tensor("output.weight") == nullptr;
  shape = validated(std::move(shape), file.path());
  for (const char* key : {"llama.attention.value_length", "llama.rope.dimension_count"}) {
    const std::uint32_t value = file.unsigned_value(key, shape.head_dim);
    if (value != shape.head_dim) {
      throw ConfigError(fmt::format("{}: {} is {}, expected the head dimension {}", file.path(),
                                    key, value, shape.head_dim));
    }
  }
  return shape;
}

template <class T>
const T& tokenizer_list(const GgufFile& file, const std::string& key, std::string_view expected) {
  const GgufValue* value = file.find(key);
  if (value == nullptr)
    throw ConfigError(
        fmt::format("{}: has no key {} (expected {})", file.path(), printable(key), expected));
  const T* list = std::get_if<T>(&value->value);
  if (list == nullptr)
    throw ConfigError(fmt::format("{}: {} is not {}", file.path(), printable(key), expected));
  return *list;
}

Tokenizer gguf_tokenizer(const GgufFile& file) {
  const std::string& kind = file.string_value("tokenizer.ggml.model");
  if (kind != "llama") {
    throw ConfigError(fmt::format(
        "{}: tokenizer.ggml.model is {}, expected 'llama'; name a tokenizer file instead",
        file.path(), printable(kind)));
  }
  Vocabulary vocabulary;
  vocabulary.pieces =
      tokenizer_list<std::vector<std::string>>(file, "tokenizer.ggml.tokens", "a list of strings");
  for (const double score :
       tokenizer_list<std::vector<double>>(file, "tokenizer.ggml.scores", "a list of floats")) {
    vocabulary.scores.push_back(static_cast<float>(score));
  }
  for (const std::int64_t type : tokenizer_list<std::vector<std::int64_t>>(
           file, "tokenizer.ggml.token_type", "a list of int32")) {
    if (type < 1 || type > 6) {
      throw ConfigError(fmt::format("{}: tokenizer.ggml.token_type holds {}, expected 1 to 6",
                                    file.path(), type));
    }
    vocabulary.types.push_back(static_cast<TokenType>(type));
  }
  vocabulary.bos = file.unsigned_value("tokenizer.ggml.bos_token_id", 1);
  vocabulary.eos = file.unsigned_value("tokenizer.ggml.eos_token_id", 2);
  vocabulary.unknown = file.unsigned_value("tokenizer.ggml.unknown_token_id", 0);
  vocabulary.add_space_prefix = file.bool_value("tokenizer.ggml.add_space_prefix", true);
  return Tokenizer(std::move(vocabulary), file.path());
}

LlamaModel read_gguf_model(const std::string& path, bool with_tokenizer) {
  const GgufFile file = GgufFile::open(path);
  refuse_unsupported(file);
  LlamaModel model;
  model.shape = gguf_shape(file);
  const ModelShape& shape = model.shape;

  std::unordered_set<std::string> read;
  auto tensor = [&](const std::string& name, std::uint64_t rows, std::uint64_t cols) {
    read.insert(name);
    return file.read_tensor(name, rows, cols);
  };
  model.embedding = tensor("token_embd.weight", shape.vocab, shape.hidden);
  for (std::uint32_t i = 0; i < shape.layers; ++i) {
    const std::string block = fmt::format("blk.{}.", i);
    LayerWeights layer;
    layer.attn_norm = tensor(block + "attn_norm.weight", 1, shape.hidden);
    layer.q = tensor(block + "attn_q.weight", shape.q_dim(), shape.hidden);
    layer.k = tensor(block + "attn_k.weight", shape.kv_dim(), shape.hidden);
    layer.v = tensor(block + "attn_v.weight", shape.kv_dim(), shape.hidden);
    layer.output = tensor(block + "attn_output.weight", shape.hidden, shape.q_dim());
    layer.ffn_norm = tensor(block + "ffn_norm.weight", 1, shape.hidden);
    layer.gate = tensor(block + "ffn_gate.weight", shape.intermediate, shape.hidden);
    layer.up = tensor(block + "ffn_up.weight", shape.intermediate, shape.hidden);
    layer.down = tensor(block + "ffn_down.weight", shape.hidden, shape.intermediate);
    model.layers.push_back(std::move(layer));
  }
  model.final_norm = tensor("output_norm.weight", 1, shape.hidden);
  if (!shape.tied_embedding) model.head = tensor("output.weight", shape.vocab, shape.hidden);
  for (const GgufTensor& t : file.tensors()) {
    if (!read.contains(t.name)) {
      throw ConfigError(
          fmt::format("{}: tensor {} is not part of a Llama model of {} layers without biases",
                      path, printable(t.name), shape.layers));
    }
  }
  if (with_tokenizer && file.find("tokenizer.ggml.tokens") != nullptr)
    model.tokenizer = gguf_tokenizer(file);
  return model;
}

bool is_gguf(const std::string& path) {
  const FileBytes file = FileBytes::map(path);
  return file.text().starts_with("GGUF");
}

void check_finite(const std::vector<float>& values, const std::string& path,
                  std::string_view tensor) {
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad == values.end()) return;
  throw ConfigError(fmt::format("{}: {} holds {} at element {}, expected finite numbers", path,
                                tensor, *bad, bad - values.begin()));
}

void check_finite(const LlamaModel& model, const std::string& path) {
  check_finite(model.embedding, path, "the embedding");
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const LayerWeights& layer = model.layers[i];
    const std::string name = fmt::format("a weight of layer {}", i);
    for (const auto* values : {&layer.attn_norm, &layer.q, &layer.k, &layer.v, &layer.output,
                               &layer.ffn_norm, &layer.gate, &layer.up, &layer.down}) {
      check_finite(*values, path, name);
    }
  }
  check_finite(model.final_norm, path, "the final norm");
  check_finite(model.head, path, "the head");
}

}  // namespace

LlamaModel load_model(const std::string& path, const std::string& tokenizer_path) {
  LlamaModel model = is_huggingface(path) ? read_huggingface(path)
                     : is_gguf(path)      ? read_gguf_model(path, tokenizer_path.empty())
                                          : read_llama2c(path);
  check_finite(model, path);
  if (!tokenizer_path.empty()) {
    model.tokenizer = tokenizer_path.ends_with(".vocab") ? read_sentencepiece_vocab(tokenizer_path)
                                                         : read_llama2c_tokenizer(tokenizer_path);
  }
  if (model.tokenizer && model.tokenizer->size() > model.shape.vocab) {
    throw ConfigError(fmt::format("{}: {} tokens, but the model {} has embeddings for {}",
                                  tokenizer_path.empty() ? path : tokenizer_path,
                                  model.tokenizer->size(), path, model.shape.vocab));
  }
  return model;
}

}  // namespace systole::workloads
