// A matrix in any format of the catalogue: codes, parameters, values and bytes. The one place where
// a format name becomes numbers; quantise.hpp has the integer forms at speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "quant/format.hpp"

namespace systole::quant {

/// Codes and parameters of a matrix [rows][cols] under a QuantSpec. What a code means, format by
/// format, is in kFormatCatalogue; decode() is the definition.
struct CodedMatrix {
  std::size_t rows = 0;
  std::size_t cols = 0;
  QuantSpec spec;
  std::size_t group = 0;             ///< elements along cols that share a scale
  std::size_t groups = 0;            ///< scales a row; the last may cover fewer elements
  std::vector<std::uint16_t> codes;  ///< [rows][cols] the bits as stored, so intN is two's
                                     ///< complement; vector formats: [rows][cols / length]
  std::vector<float> scales;         ///< [rows][groups] as decoded from their stored format;
                                     ///< twinlog: [rows][groups][sign], as zeros
  std::vector<float> zeros;          ///< [rows][groups] minimum or zero; empty when there is none
  std::vector<std::uint8_t> tags;    ///< [rows][groups] chosen special value or type; often empty
  float tensor_scale = 1.0f;         ///< NVFP4, two-level scales
  std::vector<float> table;          ///< lut, codebook: [codes] or [codes][length]; lut with
                                     ///< range kmeans: [rows][groups][codes]
  std::vector<std::uint8_t> bytes;   ///< GGUF formats: the blocks themselves; otherwise empty
};

/// Encodes values [rows, cols] (row-major). ieee formats: codes are the bits (fp32 is refused: it
/// has no 16-bit code). MX and NVFP4: where cols is no whole number of blocks, the last block of a
/// row is shorter; a machine or file that cannot have that refuses earlier. `table` is what lut and
/// codebook formats were calibrated to: [codes] or [codes][vector_length]; lut without one makes
/// its own, see formats/lut.cpp.
/// Errors: std::invalid_argument when sizes disagree or the format needs what the spec or the shape
/// lacks (GGUF: cols not a whole number of blocks), or when it has no codec (the message names it);
/// std::domain_error naming the element when a value is NaN or infinite.
CodedMatrix encode(std::span<const float> values, std::size_t rows, std::size_t cols,
                   const QuantSpec& spec, std::span<const float> table = {});

/// Decodes: value = scale * element, rounded as the format's definition says.
std::vector<float> decode(const CodedMatrix& matrix);

/// The matrix as bytes in memory, codes first, then scales, zeros, tags (metadata `separate`), each
/// row padded to whole bytes, then the tensor's scale and the table, if there are any; GGUF: the
/// blocks. Per-tensor parameters once. Its size in bits equals stored_bits().
std::vector<std::uint8_t> pack(const CodedMatrix& matrix);
/// The inverse. Errors: std::invalid_argument when `bytes` is not as long as the spec implies.
CodedMatrix unpack(std::span<const std::uint8_t> bytes, std::size_t rows, std::size_t cols,
                   const QuantSpec& spec);

/// The element values of a format as integers: value = integers[code] * unit (times the scale).
/// Nothing for formats whose elements are no integers times one power of two, whose codes have no
/// fixed meaning (lut, codebook, gguf) or that need more than 16 bits. Pair formats: the decoded
/// operand of one slot is in ovp.hpp.
struct IntegerGrid {
  std::vector<std::int32_t> integers;  ///< by code; codes that are not used: 0
  float unit = 1.0f;                   ///< a power of two
};
std::optional<IntegerGrid> integer_grid(const QuantSpec& spec, std::uint8_t tag = 0);

/// The decoded elements before any scale, as integers [rows][cols] times `unit`; nothing where
/// integer_grid has nothing. For pair formats victims are 0 and outliers their full value.
std::optional<std::vector<std::int32_t>> element_integers(const CodedMatrix& matrix, float& unit);

}  // namespace systole::quant
