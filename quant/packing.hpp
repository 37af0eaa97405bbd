// Codes of b bits back to back in bytes, as they lie in memory, and the published orders of them:
// words, interleaves, bit planes, bases that are no power of two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/policy.hpp"

namespace systole::quant {

/// Bytes for `count` codes of `bits` bits (1..16): ceil(count * bits / 8).
std::size_t packed_bytes(std::size_t count, unsigned bits);

/// Packs the low `bits` bits (1..8) of each code, LSB first: code i occupies bits [i*bits,
/// (i+1)*bits) of the stream, bit j of which is bit j%8 of byte j/8. Unused bits of the last byte
/// are 0. Signed codes are kept in two's complement.
std::vector<std::uint8_t> pack(std::span<const std::int8_t> codes, unsigned bits);

/// The inverse, for `count` codes; sign-extends when `is_signed`.
/// Errors: std::invalid_argument when `packed` is shorter than packed_bytes(count, bits).
std::vector<std::int8_t> unpack(std::span<const std::uint8_t> packed, std::size_t count,
                                unsigned bits, bool is_signed);

// --- streams of 1 to 16 bits ---------------------------------------------------------------------

/// How a stream of codes fills words. lsb: the first code in the lowest bits (KIVI, QServe); msb:
/// in the highest (PM-KVQ: 16-bit words; ABQ planes: 32-bit words). Words lie little-endian in
/// memory and the last one is filled with zeros; codes may straddle words.
struct WordOrder {
  BitOrder order = BitOrder::lsb;
  unsigned word_bits = 8;  ///< 8, 16, 32 or 64
  friend bool operator==(const WordOrder&, const WordOrder&) = default;
};
/// Bytes of `count` codes of `bits` bits in whole words.
std::size_t stream_bytes(std::size_t count, unsigned bits, WordOrder order = {});
/// The low `bits` bits (1..16) of each code.
std::vector<std::uint8_t> pack_stream(std::span<const std::uint16_t> codes, unsigned bits,
                                      WordOrder order = {});
/// The inverse. Errors: std::invalid_argument when `packed` is shorter than stream_bytes.
std::vector<std::uint16_t> unpack_stream(std::span<const std::uint8_t> packed, std::size_t count,
                                         unsigned bits, WordOrder order = {});

/// One byte holds codes that lie a half (2 parts of 4 bits: ggml, ZipCache) or a quarter (4 parts
/// of 2 bits: ZipCache) of the row apart: byte j = sum over p of code[j + p n/parts] << (p
/// 8/parts). Errors: std::invalid_argument unless parts is 2, 4 or 8 and divides the count.
std::vector<std::uint8_t> pack_parts(std::span<const std::uint16_t> codes, unsigned parts);
std::vector<std::uint16_t> unpack_parts(std::span<const std::uint8_t> packed, unsigned parts);

/// AWQ's TinyChat v2 order of 4-bit codes [rows, cols] (quantization.md C2): runs of 32 along cols
/// in the order 0,1,8,9,16,17,24,25,2,3,...; every 8 of those in the order 0,2,4,6,1,3,5,7; four
/// rows interleaved in tiles of 64 columns; four codes a 16-bit word, the first lowest. Errors:
/// std::invalid_argument unless rows % 4 == 0 and cols % 64 == 0.
std::vector<std::uint8_t> pack_awq(std::span<const std::uint16_t> codes, std::size_t rows,
                                   std::size_t cols);
std::vector<std::uint16_t> unpack_awq(std::span<const std::uint8_t> packed, std::size_t rows,
                                      std::size_t cols);

/// Bit planes: plane b holds bit b of every code as a stream of 1-bit codes, in whole words. `top`:
/// the plane of the highest bit comes first (ABQ, any-precision: a reader of fewer bits reads a
/// prefix).
std::vector<std::uint8_t> pack_planes(std::span<const std::uint16_t> codes, unsigned bits,
                                      bool top_plane_first, WordOrder order = {});
std::vector<std::uint16_t> unpack_planes(std::span<const std::uint8_t> packed, std::size_t count,
                                         unsigned bits, bool top_plane_first, WordOrder order = {});

// --- bases that are no power of two
// ---------------------------------------------------------------

/// How codes lie in memory: words of `word_bits` bits that hold `symbols` codes each in base
/// `base`, the first least significant (base 0: one code a word, as it is). Words follow each other
/// LSB first; each row is padded to whole bytes.
struct CodeLayout {
  unsigned word_bits = 8;
  unsigned symbols = 1;
  unsigned base = 0;
  unsigned vector = 1;  ///< elements that one code stands for
  friend bool operator==(const CodeLayout&, const CodeLayout&) = default;
};
/// The layout of codes 0..levels-1: of all words of 16 bits or fewer the one with the fewest bits a
/// symbol, of those the shortest. Base 3: five in 8 bits (1.6 a code); base 5: three in 7 (2.333);
/// where no word holds more than ceil(log2 levels) allows, one code a word. levels 2..65536.
CodeLayout radix_layout(std::uint32_t levels);
/// Sizes of `count` codes of `levels` levels: rounded up to whole bits each, in radix_layout's
/// words, and what no packing can beat, count * log2(levels).
struct RadixSizes {
  std::uint64_t ceil_bits = 0;
  std::uint64_t word_bits = 0;
  double ideal_bits = 0;
};
RadixSizes radix_sizes(std::uint64_t count, std::uint32_t levels);
/// Codes 0..base-1 in words of `layout`, padded to whole bytes. Errors: std::invalid_argument for a
/// code that is not below the base.
std::vector<std::uint8_t> pack_radix(std::span<const std::uint16_t> codes,
                                     const CodeLayout& layout);
std::vector<std::uint16_t> unpack_radix(std::span<const std::uint8_t> packed, std::size_t count,
                                        const CodeLayout& layout);

}  // namespace systole::quant
