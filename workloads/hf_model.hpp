// A Llama-architecture checkpoint of Hugging Face: model.safetensors beside config.json.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "workloads/model.hpp"

namespace systole::workloads {

/// True for a folder that holds model.safetensors, and for a path that ends in .safetensors.
bool is_huggingface(const std::string& path);

/// Reads the checkpoint: a folder, or its .safetensors file (config.json is beside it). Rows of q
/// and k are stored there for half-split rotary pairs and are reordered for interleaved ones (see
/// `interleave_rotary_rows`). With tie_word_embeddings the classifier is the embedding, whatever
/// lm_head.weight holds, as in transformers. Without a tokeniser: name one. Errors: ConfigError
/// naming the file: a missing tensor, one of another shape, one that no such model has, a scaled
/// rotary embedding, a checkpoint in several files.
LlamaModel read_huggingface(const std::string& path);

/// The same from two files in memory; the names stand for the paths in messages.
class SafetensorsFile;
LlamaModel huggingface_model(const SafetensorsFile& weights, std::string_view config,
                             const std::string& config_name);

/// [heads * head_dim, cols]: within each head, row 2i is old row i and row 2i + 1 is old row
/// i + head_dim / 2. Source: transformers' rotate_half pairs element i with i + d/2; the rows here
/// pair 2i with 2i + 1 (llama2.c, GGUF).
std::vector<float> interleave_rotary_rows(std::span<const float> rows, std::size_t head_dim,
                                          std::size_t cols);

}  // namespace systole::workloads
