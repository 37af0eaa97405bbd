// A small model with seeded random weights, in memory and as the files that could hold it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "configs/recipe.hpp"
#include "sim/core/random.hpp"
#include "workloads/gguf.hpp"
#include "workloads/model.hpp"

namespace systole::workloads::testing_tools {

struct TinyShape {
  std::uint32_t layers = 2, hidden = 32, intermediate = 64, heads = 4, kv_heads = 2, vocab = 270,
                positions = 48;
  bool tied = true;
};

inline std::vector<float> random_weights(Random& random, std::uint64_t count, double scale) {
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random.normal() * scale);
  return values;
}

/// 3 special tokens, 256 bytes, then letters and a few pairs of them.
inline Vocabulary tiny_vocabulary(std::uint32_t size) {
  Vocabulary vocabulary;
  auto add = [&](std::string piece, float score, TokenType type) {
    if (vocabulary.pieces.size() == size) return;
    vocabulary.pieces.push_back(std::move(piece));
    vocabulary.scores.push_back(score);
    vocabulary.types.push_back(type);
  };
  add("<unk>", 0, TokenType::unknown);
  add("<s>", 0, TokenType::control);
  add("</s>", 0, TokenType::control);
  for (int b = 0; b < 256; ++b) {
    constexpr char digits[] = "0123456789ABCDEF";
    add(std::string("<0x") + digits[b / 16] + digits[b % 16] + ">", 0, TokenType::byte);
  }
  for (const char* piece : {"\xe2\x96\x81", "a", "b", "c",
                            "\xe2\x96\x81"
                            "a",
                            "ab", "bc", "abc", "aa", "\xc3\xa9"}) {
    add(piece, -static_cast<float>(vocabulary.pieces.size()), TokenType::normal);
  }
  while (vocabulary.pieces.size() < size) {
    add("unused" + std::to_string(vocabulary.pieces.size()), -1000, TokenType::normal);
  }
  return vocabulary;
}

inline LlamaModel tiny_model(std::uint64_t seed, const TinyShape& tiny = {}) {
  Random random(seed);
  LlamaModel model;
  configs::ModelShape& shape = model.shape;
  shape.name = "tiny";
  shape.layers = tiny.layers;
  shape.hidden = tiny.hidden;
  shape.intermediate = tiny.intermediate;
  shape.heads = tiny.heads;
  shape.kv_heads = tiny.kv_heads;
  shape.head_dim = tiny.hidden / tiny.heads;
  shape.vocab = tiny.vocab;
  shape.max_positions = tiny.positions;
  shape.tied_embedding = tiny.tied;
  const std::uint64_t h = shape.hidden, q = shape.q_dim(), kv = shape.kv_dim(),
                      f = shape.intermediate;
  auto gain = [&] {
    std::vector<float> values = random_weights(random, h, 0.1);
    for (float& v : values) v += 1;
    return values;
  };
  model.embedding = random_weights(random, shape.vocab * h, 0.5);
  for (std::uint32_t i = 0; i < shape.layers; ++i) {
    LayerWeights layer;
    layer.attn_norm = gain();
    layer.q = random_weights(random, q * h, 0.3);
    layer.k = random_weights(random, kv * h, 0.3);
    layer.v = random_weights(random, kv * h, 0.3);
    layer.output = random_weights(random, h * q, 0.2);
    layer.ffn_norm = gain();
    layer.gate = random_weights(random, f * h, 0.3);
    layer.up = random_weights(random, f * h, 0.3);
    layer.down = random_weights(random, h * f, 0.2);
    model.layers.push_back(std::move(layer));
  }
  model.final_norm = gain();
  if (!shape.tied_embedding) model.head = random_weights(random, shape.vocab * h, 0.5);
  model.tokenizer.emplace(tiny_vocabulary(shape.vocab), "tiny");
  return model;
}

/// The model as GGUF; matrices in `type`, norms in F32.
inline GgufWriter as_gguf(const LlamaModel& model, GgmlType type) {
  const configs::ModelShape& s = model.shape;
  GgufWriter out;
  out.add("general.architecture", GgufValue::of("llama"));
  out.add("general.name", GgufValue::of(s.name));
  out.add("llama.block_count", GgufValue::of(s.layers));
  out.add("llama.embedding_length", GgufValue::of(s.hidden));
  out.add("llama.feed_forward_length", GgufValue::of(s.intermediate));
  out.add("llama.attention.head_count", GgufValue::of(s.heads));
  out.add("llama.attention.head_count_kv", GgufValue::of(s.kv_heads));
  out.add("llama.context_length", GgufValue::of(s.max_positions));
  out.add("llama.rope.freq_base", GgufValue::of(static_cast<float>(s.rope_theta)));
  out.add("llama.attention.layer_norm_rms_epsilon",
          GgufValue::of(static_cast<float>(s.norm_epsilon)));
  const Vocabulary vocabulary = tiny_vocabulary(s.vocab);
  std::vector<std::int32_t> types;
  for (const TokenType t : vocabulary.types) types.push_back(static_cast<std::int32_t>(t));
  out.add("tokenizer.ggml.model", GgufValue::of("llama"));
  out.add("tokenizer.ggml.tokens", GgufValue::of(vocabulary.pieces));
  out.add("tokenizer.ggml.scores", GgufValue::of(vocabulary.scores));
  out.add("tokenizer.ggml.token_type", GgufValue::of(types));
  out.add("tokenizer.ggml.bos_token_id", GgufValue::of(vocabulary.bos));
  out.add("tokenizer.ggml.add_space_prefix", GgufValue::of(true));

  auto matrix = [&](const std::string& name, std::uint64_t rows, std::uint64_t cols,
                    const std::vector<float>& values) {
    out.add_tensor(name, {cols, rows}, type, values);
  };
  matrix("token_embd.weight", s.vocab, s.hidden, model.embedding);
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const LayerWeights& w = model.layers[i];
    const std::string block = "blk." + std::to_string(i) + ".";
    out.add_tensor(block + "attn_norm.weight", {s.hidden}, GgmlType::f32, w.attn_norm);
    matrix(block + "attn_q.weight", s.q_dim(), s.hidden, w.q);
    matrix(block + "attn_k.weight", s.kv_dim(), s.hidden, w.k);
    matrix(block + "attn_v.weight", s.kv_dim(), s.hidden, w.v);
    matrix(block + "attn_output.weight", s.hidden, s.q_dim(), w.output);
    out.add_tensor(block + "ffn_norm.weight", {s.hidden}, GgmlType::f32, w.ffn_norm);
    matrix(block + "ffn_gate.weight", s.intermediate, s.hidden, w.gate);
    matrix(block + "ffn_up.weight", s.intermediate, s.hidden, w.up);
    matrix(block + "ffn_down.weight", s.hidden, s.intermediate, w.down);
  }
  out.add_tensor("output_norm.weight", {s.hidden}, GgmlType::f32, model.final_norm);
  if (!s.tied_embedding) matrix("output.weight", s.vocab, s.hidden, model.head);
  return out;
}

inline void append(std::vector<std::byte>& out, const void* data, std::size_t size) {
  if (size == 0) return;
  out.resize(out.size() + size);
  std::memcpy(out.data() + out.size() - size, data, size);
}
template <class T>
void append(std::vector<std::byte>& out, T value) {
  append(out, &value, sizeof value);
}

/// The model as a llama2.c checkpoint of version 0 or 1.
inline std::vector<std::byte> as_llama2c(const LlamaModel& model, int version) {
  const configs::ModelShape& s = model.shape;
  std::vector<std::byte> out;
  if (version == 1) {
    append(out, std::uint32_t{0x616b3432});
    append(out, std::int32_t{1});
  }
  const std::int32_t vocab = static_cast<std::int32_t>(s.vocab);
  for (const std::uint32_t v : {s.hidden, s.intermediate, s.layers, s.heads, s.kv_heads})
    append(out, v);
  append(out, version == 0 && !s.tied_embedding ? -vocab : vocab);
  append(out, s.max_positions);
  if (version == 1) {
    append(out, static_cast<std::uint8_t>(s.tied_embedding));
    out.resize(256);
  }
  auto put = [&](const std::vector<float>& values) {
    append(out, values.data(), values.size() * sizeof(float));
  };
  auto put_all = [&](std::vector<float> LayerWeights::*member) {
    for (const LayerWeights& layer : model.layers) put(layer.*member);
  };
  const std::vector<float> rotary(std::size_t{s.max_positions} * s.head_dim, 0.25f);
  if (version == 0) {
    put(model.embedding);
    put_all(&LayerWeights::attn_norm);
  } else {
    put_all(&LayerWeights::attn_norm);
    put_all(&LayerWeights::ffn_norm);
    put(model.final_norm);
    put(model.embedding);
  }
  put_all(&LayerWeights::q);
  put_all(&LayerWeights::k);
  put_all(&LayerWeights::v);
  put_all(&LayerWeights::output);
  if (version == 0) put_all(&LayerWeights::ffn_norm);
  put_all(&LayerWeights::gate);
  put_all(&LayerWeights::down);
  put_all(&LayerWeights::up);
  if (version == 0) {
    put(model.final_norm);
    put(rotary);
  }
  if (!s.tied_embedding) put(model.head);
  return out;
}

}  // namespace systole::workloads::testing_tools
