#include "workloads/hf_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "sim/core/error.hpp"
#include "workloads/file.hpp"
#include "workloads/shape.hpp"
#include "workloads/text.hpp"

namespace systole::workloads {

using configs::ModelShape;
using nlohmann::json;

namespace {

constexpr std::size_t kLargestFile = 16u << 20;
constexpr std::array<std::string_view, 3> kArchitectures = {
    "LlamaForCausalLM", "MistralForCausalLM", "MixtralForCausalLM"};

/// Typed access to the members of the object, absent and null being the same.
class ConfigObject {
 public:
  ConfigObject(const json& object, std::string file, std::string path = {})
      : object_(object), file_(std::move(file)), path_(std::move(path)) {}

  const json* find(const char* key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }

  std::optional<std::uint32_t> integer(const char* key) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() > UINT32_MAX) {
      fail(key, *value, "an integer from 0 to 4294967295");
    }
    return static_cast<std::uint32_t>(value->get<std::uint64_t>());
  }
  std::uint32_t required(const char* key) const {
    if (const auto value = integer(key)) return *value;
    throw ConfigError(fmt::format("{}: {}{} is missing, expected an integer", file_, path_, key));
  }
  std::optional<double> number(const char* key) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number()) fail(key, *value, "a number");
    return value->get<double>();
  }
  bool flag(const char* key, bool fallback) const {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) fail(key, *value, "true or false");
    return value->get<bool>();
  }
  std::optional<std::string> string(const char* key) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) fail(key, *value, "a string");
    return value->get<std::string>();
  }
  [[noreturn]] void fail(const std::string& key, const json& found,
                         std::string_view expected) const {
    // A damaged string must not end in an exception of the JSON library.
    const std::string text = found.dump(-1, ' ', true, json::error_handler_t::replace);
    throw ConfigError(
        fmt::format("{}: {}{} is {}, expected {}", file_, path_, key, printable(text), expected));
  }

 private:
  const json& object_;
  std::string file_, path_;
};

std::string architecture_of(const ConfigObject& config, const std::string& file) {
  const json* list = config.find("architectures");
  if (list == nullptr)
    throw ConfigError(file + ": architectures is missing, expected a list of one name");
  if (!list->is_array() || list->size() != 1 || !list->front().is_string()) {
    config.fail("architectures", *list, "a list of one name");
  }
  return list->front().get<std::string>();
}

double rope_theta(const ConfigObject& config, const std::string& file) {
  if (const auto theta = config.number("rope_theta")) return *theta;
  if (const json* parameters = config.find("rope_parameters");
      parameters != nullptr) {  // transformers >= 5
    if (!parameters->is_object()) config.fail("rope_parameters", *parameters, "an object");
    if (const auto theta = ConfigObject(*parameters, file, "rope_parameters.").number("rope_theta"))
      return *theta;
  }
  return 10000.0;  // default of transformers' LlamaConfig
}

}  // namespace

ModelShape parse_hf_config(std::string_view text, const std::string& name) {
  if (text.size() > kLargestFile) {
    throw ConfigError(
        fmt::format("{}: {} bytes, a config.json has at most {}", name, text.size(), kLargestFile));
  }
  json document;
  try {
    document = json::parse(text);
  } catch (const json::exception& error) {
    throw ConfigError(fmt::format("{}: not JSON: {}", name, error.what()));
  }
  if (!document.is_object()) throw ConfigError(name + ": expected a JSON object");
  const ConfigObject config(document, name);

  const std::string architecture = architecture_of(config, name);
  if (std::find(kArchitectures.begin(), kArchitectures.end(), architecture) ==
      kArchitectures.end()) {
    throw ConfigError(fmt::format("{}: architecture {} is not supported; expected {}", name,
                                  printable(architecture), fmt::join(kArchitectures, " or ")));
  }
  for (const char* bias : {"attention_bias", "mlp_bias"}) {
    if (config.flag(bias, false))
      throw ConfigError(fmt::format("{}: {} is true; biases are not supported", name, bias));
  }
  if (const auto act = config.string("hidden_act"); act && *act != "silu") {
    throw ConfigError(fmt::format("{}: hidden_act is {}, expected 'silu'", name, printable(*act)));
  }

  ModelShape shape;
  shape.source = name;
  shape.name = config.string("_name_or_path").value_or("");
  if (shape.name.empty()) shape.name = name;
  shape.summary = architecture;
  shape.layers = config.required("num_hidden_layers");
  shape.hidden = config.required("hidden_size");
  shape.intermediate = config.required("intermediate_size");
  shape.experts = config.integer("num_local_experts").value_or(0);
  shape.experts_per_token = config.integer("num_experts_per_tok").value_or(0);
  shape.heads = config.required("num_attention_heads");
  shape.kv_heads = config.integer("num_key_value_heads").value_or(shape.heads);
  shape.head_dim = config.integer("head_dim").value_or(0);
  shape.vocab = config.required("vocab_size");
  shape.max_positions = config.integer("max_position_embeddings").value_or(0);
  shape.sliding_window = config.integer("sliding_window").value_or(0);
  shape.rope_theta = rope_theta(config, name);
  shape.norm_epsilon =
      config.number("rms_norm_eps").value_or(1e-6);  // default of transformers' LlamaConfig
  shape.tied_embedding = config.flag("tie_word_embeddings", false);
  return validated(std::move(shape), name);
}

ModelShape read_hf_config(const std::string& path) {
  const FileBytes file = FileBytes::map(path);
  return parse_hf_config(file.text(), path);
}

}  // namespace systole::workloads
