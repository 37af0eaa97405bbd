// Lowering: a Llama-architecture shape and a recipe become the Program that the machine is timed
// on.
#pragma once

#include <cstdint>

#include "configs/model.hpp"
#include "configs/recipe.hpp"
#include "workloads/program.hpp"
#include "workloads/timed_precision.hpp"

namespace systole::workloads {

/// One prefill step of `prefill_tokens`, then `decode_tokens` steps of one token each; decode step
/// i ends with prefill_tokens + i + 1 tokens in the cache. Segments of a step: "embedding", "layer"
/// x layers, "head".
///
/// Operations of a layer, in order (those in brackets only where an integer format asks for them):
///   attn_norm [attn_quantise] attn_q attn_k attn_v rope [qkv_quantise] k_append v_append attention
///   [attn_out_quantise] attn_output attn_residual ffn_norm [ffn_quantise] ffn_gate ffn_up swiglu
///   [ffn_down_quantise] ffn_down ffn_residual
/// (with experts: ffn_route [ffn_quantise], ffn_gate ... ffn_down of each expert that tokens go to,
/// ffn_combine)
/// and of the head, for the last token only: final_norm [head_quantise] classifier argmax.
///
/// Bytes on chip: the residual stream, gemm results and everything between operations are fp32; the
/// input of a linear layer is as the activation policy stores it (int8 per token: one byte an
/// element and one scale a token), and a float activation policy is applied by the operation that
/// produces the value. attention reads queries as the query policy stores them.
///
/// DRAM, from address 0: embedding, head (absent when tied and stored alike), final norm; then for
/// each layer its weights, its K and its V region (head after head, each for prefill + decode
/// tokens, a token's codes and metadata together); then the activation region.
/// Tensors start on 64 bytes. A layer block begins on and is rounded up to a multiple of 1 MiB, so
/// that every operand moves by the one `layer_stride_bytes` from layer to layer. Norm gains are
/// stored fp32.
///
/// Precision: every weight as WeightPrecision says; the first tokens, where a token policy of the
/// activations keeps them in another format, pass a linear layer apart. `decisions`: what a
/// functional run found; with its passes, they take the place of `decode_tokens` steps.
///
/// KV cache: policies of one scale a tensor, channel, token or group lie token by token, as above.
/// Others, and all with `kv_study`, lie as kv_layout says: decode reads what the codec stores,
/// prefill attends to fp16 keys and values that are kept beside it for the time of a layer, and
/// k_append, v_append code what is due, maintenance included.
///
/// `sequences` equal ones: prompts pass one after the other (Step::rounds), decode steps together,
/// so that the weights are read once a step; each has K and V regions of its own in every layer,
/// and its cache operations are written once (Segment: the first sequence's).
///
/// `shared_prefix` > 0: the first so many tokens of all prompts are the same. A step of its own
/// computes them once, into a cache in pages that lies in the layer before those of the sequences;
/// what is left of a prompt passes sequence by sequence over the cache (coded where it is coded),
/// and each writes its own pages (memory::KvCache). Caches are then laid out in pages, also plain
/// ones.
///
/// Errors: ConfigError for an invalid shape or recipe, no prompt, or more tokens than
/// `max_positions` (when not 0; with `kv_study` a note instead).
Program lower(const configs::ModelShape& shape, const configs::Recipe& recipe,
              std::uint64_t prefill_tokens, std::uint64_t decode_tokens,
              const PrecisionDecisions* decisions = nullptr, bool kv_study = false,
              std::uint64_t sequences = 1, std::uint64_t shared_prefix = 0);

/// The same with its prompts in the cache already: the decode steps alone. Throws ConfigError where
/// there are none.
void without_prefill(Program& program);

}  // namespace systole::workloads
