#include "quant/ggml/types.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "quant/check.hpp"
#include "quant/ggml/blocks.hpp"

namespace systole::quant {

namespace {

template <class Block>
constexpr GgmlTypeInfo block_type(GgmlType type, std::string_view name, GgmlType activation) {
  return {type, name, Block::kElements, sizeof(Block), activation};
}

constexpr std::array kTypes = {
    GgmlTypeInfo{GgmlType::f32, "F32", 1, 4, GgmlType::f32},
    GgmlTypeInfo{GgmlType::f16, "F16", 1, 2, GgmlType::f16},
    block_type<BlockQ4_0>(GgmlType::q4_0, "Q4_0", GgmlType::q8_0),
    block_type<BlockQ4_1>(GgmlType::q4_1, "Q4_1", GgmlType::q8_1),
    block_type<BlockQ5_0>(GgmlType::q5_0, "Q5_0", GgmlType::q8_0),
    block_type<BlockQ5_1>(GgmlType::q5_1, "Q5_1", GgmlType::q8_1),
    block_type<BlockQ8_0>(GgmlType::q8_0, "Q8_0", GgmlType::q8_0),
    block_type<BlockQ8_1>(GgmlType::q8_1, "Q8_1", GgmlType::q8_1),
    block_type<BlockQ2_K>(GgmlType::q2_k, "Q2_K", GgmlType::q8_k),
    block_type<BlockQ3_K>(GgmlType::q3_k, "Q3_K", GgmlType::q8_k),
    block_type<BlockQ4_K>(GgmlType::q4_k, "Q4_K", GgmlType::q8_k),
    block_type<BlockQ5_K>(GgmlType::q5_k, "Q5_K", GgmlType::q8_k),
    block_type<BlockQ6_K>(GgmlType::q6_k, "Q6_K", GgmlType::q8_k),
    block_type<BlockQ8_K>(GgmlType::q8_k, "Q8_K", GgmlType::q8_k),
    block_type<BlockIQ4_NL>(GgmlType::iq4_nl, "IQ4_NL", GgmlType::q8_0),
    block_type<BlockIQ4_XS>(GgmlType::iq4_xs, "IQ4_XS", GgmlType::q8_k),
    GgmlTypeInfo{GgmlType::bf16, "BF16", 1, 2, GgmlType::bf16},
    block_type<BlockTQ1_0>(GgmlType::tq1_0, "TQ1_0", GgmlType::q8_k),
    block_type<BlockTQ2_0>(GgmlType::tq2_0, "TQ2_0", GgmlType::q8_k),
    block_type<BlockMXFP4>(GgmlType::mxfp4, "MXFP4", GgmlType::q8_0),
    block_type<BlockNVFP4>(GgmlType::nvfp4, "NVFP4", GgmlType::q8_0),
};

struct Pair {
  Format format;
  GgmlType type;
};
constexpr std::array kPairs = {
    Pair{Format::fp32, GgmlType::f32},      Pair{Format::fp16, GgmlType::f16},
    Pair{Format::bf16, GgmlType::bf16},     Pair{Format::q4_0, GgmlType::q4_0},
    Pair{Format::q4_1, GgmlType::q4_1},     Pair{Format::q5_0, GgmlType::q5_0},
    Pair{Format::q5_1, GgmlType::q5_1},     Pair{Format::q8_0, GgmlType::q8_0},
    Pair{Format::q2_k, GgmlType::q2_k},     Pair{Format::q3_k, GgmlType::q3_k},
    Pair{Format::q4_k, GgmlType::q4_k},     Pair{Format::q5_k, GgmlType::q5_k},
    Pair{Format::q6_k, GgmlType::q6_k},     Pair{Format::iq4_nl, GgmlType::iq4_nl},
    Pair{Format::iq4_xs, GgmlType::iq4_xs}, Pair{Format::tq1_0, GgmlType::tq1_0},
    Pair{Format::tq2_0, GgmlType::tq2_0},   Pair{Format::gguf_mxfp4, GgmlType::mxfp4},
};

/// What llama.cpp takes instead of a type of 256 elements; the others stand.
Format smaller_block(Format wanted) {
  switch (wanted) {
    case Format::iq4_xs:
      return Format::iq4_nl;
    case Format::q2_k:
    case Format::q3_k:
    case Format::tq1_0:
    case Format::tq2_0:
      return Format::q4_0;
    case Format::q4_k:
      return Format::q5_0;
    case Format::q5_k:
      return Format::q5_1;
    case Format::q6_k:
      return Format::q8_0;
    default:
      return wanted;
  }
}

bool fits(Format format, std::size_t cols) {
  const std::optional<GgmlType> type = ggml_type_of(format);
  return !type || cols % info_of(*type).elements == 0;
}

}  // namespace

std::span<const GgmlTypeInfo> ggml_types() { return kTypes; }

const GgmlTypeInfo* find_ggml_type(std::uint32_t id) {
  const auto it = std::find_if(kTypes.begin(), kTypes.end(), [id](const GgmlTypeInfo& info) {
    return static_cast<std::uint32_t>(info.type) == id;
  });
  return it == kTypes.end() ? nullptr : &*it;
}

const GgmlTypeInfo& info_of(GgmlType type) {
  const GgmlTypeInfo* info = find_ggml_type(static_cast<std::uint32_t>(type));
  require(info != nullptr, "not a GGUF tensor type");
  return *info;
}

std::optional<GgmlType> ggml_type_of(Format format) {
  for (const Pair& pair : kPairs) {
    if (pair.format == format) return pair.type;
  }
  return std::nullopt;
}

std::optional<Format> format_of(GgmlType type) {
  for (const Pair& pair : kPairs) {
    if (pair.type == type) return pair.format;
  }
  return std::nullopt;
}

std::size_t ggml_row_bytes(GgmlType type, std::size_t cols) {
  const GgmlTypeInfo& info = info_of(type);
  if (cols % info.elements != 0) {
    throw std::invalid_argument("a row of " + std::string(info.name) + " has a multiple of " +
                                std::to_string(info.elements) + " elements, not " +
                                std::to_string(cols));
  }
  return cols / info.elements * info.bytes;
}

Format gguf_fallback(Format wanted, std::size_t cols) {
  if (fits(wanted, cols)) return wanted;
  const Format smaller = smaller_block(wanted);
  return fits(smaller, cols) ? smaller : Format::fp16;
}

}  // namespace systole::quant
