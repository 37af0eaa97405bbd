// The tensor types of GGUF files: ids, block sizes, what each is multiplied with, and which type
// stands in where a row does not fit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "quant/format.hpp"

namespace systole::quant {

/// Ids as files store them. Source: ggml-org/ggml, include/ggml.h, enum ggml_type. (The IQ1, IQ2
/// and IQ3 lattice types, Q1_0, Q2_0 and the integer and double types are not here.)
enum class GgmlType : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q8_1 = 9,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  q8_k = 15,
  iq4_nl = 20,
  iq4_xs = 23,
  bf16 = 30,
  tq1_0 = 34,
  tq2_0 = 35,
  mxfp4 = 39,
  nvfp4 = 40
};

struct GgmlTypeInfo {
  GgmlType type;
  std::string_view name;  ///< as ggml prints it: "Q4_K"
  std::size_t elements;   ///< of a block
  std::size_t bytes;      ///< of a block
  GgmlType activation;    ///< what activations are quantised to for a product with it
};
/// Every type of the enumeration, ids ascending.
std::span<const GgmlTypeInfo> ggml_types();
/// Nothing when the id is not of the enumeration.
const GgmlTypeInfo* find_ggml_type(std::uint32_t id);
/// Errors: std::invalid_argument for a value outside the enumeration.
const GgmlTypeInfo& info_of(GgmlType type);

/// The GGUF type of a format of the catalogue (q4_0 ... gguf_mxfp4, fp32, fp16, bf16) and back.
/// Nothing for the others; Q8_1, Q8_K and NVFP4 (ggml) have no name in the catalogue.
std::optional<GgmlType> ggml_type_of(Format format);
std::optional<Format> format_of(GgmlType type);

/// Bytes of a row of `cols` elements. Errors: std::invalid_argument, saying which multiple is
/// needed, when cols is not a whole number of blocks (256 for K, IQ4_XS and TQ types, 64 for NVFP4,
/// 32 for the other block types).
std::size_t ggml_row_bytes(GgmlType type, std::size_t cols);

/// The format llama.cpp stores instead of `wanted` when a row of `cols` elements is no whole number
/// of its blocks: IQ4_XS -> IQ4_NL; Q2_K, Q3_K, TQ1_0, TQ2_0 -> Q4_0; Q4_K -> Q5_0; Q5_K -> Q5_1;
/// Q6_K -> Q8_0; and fp16 when cols is no multiple of 32 either. `wanted` where it fits, and where
/// it has no blocks. Source: ggml-org/llama.cpp, src/llama-quant.cpp, tensor_type_fallback. One
/// difference: for a wanted type of 32 elements llama.cpp refuses, we give fp16.
Format gguf_fallback(Format wanted, std::size_t cols);

}  // namespace systole::quant
