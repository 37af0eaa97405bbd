// Hugging Face config.json: the shape of a model without its weights.
#pragma once

#include <string>
#include <string_view>

#include "configs/model.hpp"

namespace systole::workloads {

/// Reads the shape. Architectures taken: LlamaForCausalLM and MistralForCausalLM (the same graph
/// but for a sliding window). A RoPE scaling is
/// ignored: it changes values, not shapes. Errors: one ConfigError naming the file and the key:
/// another architecture, a missing, mistyped or out-of-range value, biases, another activation than
/// silu, an invalid shape.
configs::ModelShape read_hf_config(const std::string& path);

/// The same from text; `name` stands for the path in messages.
configs::ModelShape parse_hf_config(std::string_view text, const std::string& name);

}  // namespace systole::workloads
