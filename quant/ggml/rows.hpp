// Rows of any GGUF tensor type as bytes, and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/ggml/types.hpp"

namespace systole::quant {

/// Encodes values as blocks back to back; f32, f16 and bf16 element by element (RNE). Q8_1 and
/// Q8_K, which no file holds, are encoded as well. Errors: std::invalid_argument unless
/// values.size() is a whole number of blocks. A row of a matrix must be one too: see
/// ggml_row_bytes.
std::vector<std::uint8_t> encode_rows(GgmlType type, std::span<const float> values);

/// Decodes a whole number of blocks. The second form writes to `out`. Errors: std::invalid_argument
/// when bytes are part of a block or out has another size.
std::vector<float> decode_rows(GgmlType type, std::span<const std::uint8_t> bytes);
void decode_rows(GgmlType type, std::span<const std::uint8_t> bytes, std::span<float> out);

}  // namespace systole::quant
