// A Llama-architecture model with its weights, from whichever file holds it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "configs/model.hpp"
#include "workloads/tokenizer.hpp"

namespace systole::workloads {

/// Weights of one block, fp32, [output, input] row-major.
struct LayerWeights {
  std::vector<float> attn_norm;  ///< [hidden]
  std::vector<float> q, k,
      v;  ///< [q_dim, hidden], [kv_dim, hidden] twice; rows for interleaved rotary pairs
  std::vector<float> output;    ///< [hidden, q_dim]
  std::vector<float> ffn_norm;  ///< [hidden]
  std::vector<float> gate, up;  ///< [intermediate, hidden]
  std::vector<float> down;      ///< [hidden, intermediate]
};

struct LlamaModel {
  configs::ModelShape shape;     ///< validated
  std::vector<float> embedding;  ///< [vocab, hidden]
  std::vector<LayerWeights> layers;
  std::vector<float> final_norm;  ///< [hidden]
  std::vector<float> head;        ///< [vocab, hidden]; empty when tied
  std::optional<Tokenizer> tokenizer;

  const std::vector<float>& classifier() const { return head.empty() ? embedding : head; }
};

/// Reads a Hugging Face checkpoint (a folder, or a path ending in .safetensors), a GGUF file (by
/// its magic) or a llama2.c checkpoint (anything else). `tokenizer_path`,
/// when not empty, is a llama2.c tokenizer, or a SentencePiece `.vocab` by its suffix, and replaces
/// one in the model file. Errors: ConfigError naming the file; also when the tokeniser has more
/// tokens than the model has embeddings.
LlamaModel load_model(const std::string& path, const std::string& tokenizer_path = {});

}  // namespace systole::workloads
