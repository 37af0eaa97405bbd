// Codes of b bits back to back in bytes, as they lie in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace systole::quant {

/// Bytes for `count` codes of `bits` bits (1..8): ceil(count * bits / 8).
std::size_t packed_bytes(std::size_t count, unsigned bits);

/// Packs the low `bits` bits (1..8) of each code, LSB first: code i occupies bits [i*bits,
/// (i+1)*bits) of the stream, bit j of which is bit j%8 of byte j/8. Unused bits of the last byte
/// are 0. Signed codes are kept in two's complement.
std::vector<std::uint8_t> pack(std::span<const std::int8_t> codes, unsigned bits);

/// The inverse, for `count` codes; sign-extends when `is_signed`.
/// Errors: std::invalid_argument when `packed` is shorter than packed_bytes(count, bits).
std::vector<std::int8_t> unpack(std::span<const std::uint8_t> packed, std::size_t count,
                                unsigned bits, bool is_signed);

}  // namespace systole::quant
