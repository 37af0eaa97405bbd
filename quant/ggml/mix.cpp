#include "quant/ggml/mix.hpp"

#include "quant/check.hpp"
#include "quant/ggml/types.hpp"

namespace systole::quant {

namespace {

constexpr std::size_t kLayersOf70B = 80;

Format default_of(Mix mix) {
  switch (mix) {
    case Mix::q2_k:
      return Format::q2_k;
    case Mix::q3_k_m:
      return Format::q3_k;
    case Mix::q4_k_m:
      return Format::q4_k;
    case Mix::q5_k_m:
      return Format::q5_k;
  }
  return Format::q4_k;
}

Format attention_v(Mix mix, std::size_t layer, std::size_t layers, const MixModel& model) {
  Format format = default_of(mix);
  switch (mix) {
    case Mix::q2_k:
      format = model.query_heads_per_kv_head >= 4 ? Format::q4_k : Format::q3_k;
      break;
    case Mix::q3_k_m:
      format = layer < 2 ? Format::q5_k : Format::q4_k;
      break;
    case Mix::q4_k_m:
    case Mix::q5_k_m:
      if (use_more_bits(layer, layers)) format = Format::q6_k;
      break;
  }
  const bool is_70b = layers == kLayersOf70B && model.query_heads_per_kv_head > 1;
  const bool small = format == Format::q3_k || format == Format::q4_k;
  return is_70b && small ? Format::q5_k : format;
}

Format attention_output(Mix mix) {
  if (mix == Mix::q2_k) return Format::q3_k;
  if (mix == Mix::q3_k_m) return Format::q4_k;
  return default_of(mix);
}

Format ffn_down(Mix mix, std::size_t layer, std::size_t layers) {
  switch (mix) {
    case Mix::q2_k:
      return Format::q3_k;
    case Mix::q3_k_m:
      return layer < layers / 16 ? Format::q5_k : Format::q4_k;
    case Mix::q4_k_m:
    case Mix::q5_k_m:
      break;
  }
  return use_more_bits(layer, layers) ? Format::q6_k : default_of(mix);
}

Format output(std::size_t cols) { return cols % 256 == 0 ? Format::q6_k : Format::q8_0; }

Format before_fallback(Mix mix, TensorRole role, std::size_t layer, std::size_t layers,
                       std::size_t cols, const MixModel& model) {
  switch (role) {
    case TensorRole::output:
      return output(cols);
    case TensorRole::token_embedding:
      return model.tied_embeddings ? output(cols) : default_of(mix);
    case TensorRole::attention_v:
      return attention_v(mix, layer, layers, model);
    case TensorRole::attention_output:
      return attention_output(mix);
    case TensorRole::ffn_down:
      return ffn_down(mix, layer, layers);
    case TensorRole::attention_q:
    case TensorRole::attention_k:
    case TensorRole::ffn_gate:
    case TensorRole::ffn_up:
      return default_of(mix);
    case TensorRole::vector:
      break;
  }
  return Format::fp32;
}

bool in_a_layer(TensorRole role) {
  return role != TensorRole::token_embedding && role != TensorRole::output &&
         role != TensorRole::vector;
}

}  // namespace

std::optional<Mix> mix_of(Format format) {
  for (const Mix mix : {Mix::q2_k, Mix::q3_k_m, Mix::q4_k_m, Mix::q5_k_m}) {
    if (default_of(mix) == format) return mix;
  }
  return std::nullopt;
}

Format mixed_type(Mix mix, TensorRole role, std::size_t layer, std::size_t layers, std::size_t cols,
                  const MixModel& model) {
  require(!in_a_layer(role) || layer < layers, "a tensor's layer is one of the model's");
  return gguf_fallback(before_fallback(mix, role, layer, layers, cols, model), cols);
}

}  // namespace systole::quant
