// Bit packing. The contract is in the header.
#include "quant/packing.hpp"

#include <algorithm>
#include <bit>

#include "quant/bit_stream.hpp"
#include "quant/check.hpp"
#include "quant/elementary.hpp"

namespace systole::quant {
namespace {

void check_bits(unsigned bits, unsigned most) {
  require(bits >= 1 && bits <= most,
          most == 8 ? "codes have 1 to 8 bits" : "codes have 1 to 16 bits");
}

void check_word(const WordOrder& order) {
  require(order.word_bits == 8 || order.word_bits == 16 || order.word_bits == 32 ||
              order.word_bits == 64,
          "words have 8, 16, 32 or 64 bits");
}

/// Turns a big-endian byte stream of words into little-endian ones, and back.
void swap_words(std::span<std::uint8_t> bytes, unsigned word_bits) {
  const std::size_t size = word_bits / 8;
  for (std::size_t i = 0; i + size <= bytes.size(); i += size)
    std::ranges::reverse(bytes.subspan(i, size));
}

/// Where column k of a run of 64 goes within its row (TinyChat v2).
std::size_t awq_position(std::size_t k) {
  const std::size_t run = k / 32 * 32, a = k % 32 / 8, b = k % 8 / 2, c = k % 2;
  const std::size_t mixed = b * 8 + a * 2 + c;  // 0,1,8,9,... is the order it is read in
  const std::size_t eight = mixed / 8 * 8, d = mixed % 8;
  return run + eight + d % 2 * 4 + d / 2;
}

/// Index into the nibble stream of element (row, col).
std::size_t awq_index(std::size_t row, std::size_t col, std::size_t cols) {
  const std::size_t tile = row / 4 * (cols / 64) + col / 64;
  return tile * 256 + row % 4 * 64 + awq_position(col % 64);
}

void check_awq(std::size_t count, std::size_t rows, std::size_t cols) {
  require(rows % 4 == 0 && cols % 64 == 0, "AWQ order: rows in fours, columns in tiles of 64");
  require(cols == 0 ? count == 0 : count % cols == 0 && count / cols == rows,
          "AWQ order: not [rows, cols]");
}

}  // namespace

std::size_t packed_bytes(std::size_t count, unsigned bits) {
  check_bits(bits, 16);
  return count / 8 * bits + (count % 8 * bits + 7) / 8;
}

std::vector<std::uint8_t> pack(std::span<const std::int8_t> codes, unsigned bits) {
  check_bits(bits, 8);
  std::vector<std::uint8_t> out;
  out.reserve(packed_bytes(codes.size(), bits));
  BitWriter stream(out);
  for (const std::int8_t code : codes) stream.write(static_cast<std::uint8_t>(code), bits);
  stream.flush();
  return out;
}

std::vector<std::int8_t> unpack(std::span<const std::uint8_t> packed, std::size_t count,
                                unsigned bits, bool is_signed) {
  check_bits(bits, 8);
  require(packed.size() >= packed_bytes(count, bits), "unpack: fewer bytes than the codes need");
  std::vector<std::int8_t> out(count);
  const unsigned sign = is_signed ? 1u << (bits - 1) : 0u;
  BitReader stream(packed);
  for (std::int8_t& code : out) {
    const unsigned raw = stream.read(bits);
    code = static_cast<std::int8_t>(static_cast<int>(raw ^ sign) - static_cast<int>(sign));
  }
  return out;
}

std::size_t stream_bytes(std::size_t count, unsigned bits, WordOrder order) {
  check_word(order);
  const std::size_t word = order.word_bits / 8;
  return (packed_bytes(count, bits) + word - 1) / word * word;
}

std::vector<std::uint8_t> pack_stream(std::span<const std::uint16_t> codes, unsigned bits,
                                      WordOrder order) {
  std::vector<std::uint8_t> out;
  const std::size_t size = stream_bytes(codes.size(), bits, order);
  out.reserve(size);
  BitWriter stream(out, order.order == BitOrder::msb);
  for (const std::uint16_t code : codes) stream.write(code, bits);
  stream.flush();
  out.resize(size);
  if (order.order == BitOrder::msb) swap_words(out, order.word_bits);
  return out;
}

std::vector<std::uint16_t> unpack_stream(std::span<const std::uint8_t> packed, std::size_t count,
                                         unsigned bits, WordOrder order) {
  const std::size_t size = stream_bytes(count, bits, order);
  require(packed.size() >= size, "unpack: fewer bytes than the codes need");
  std::vector<std::uint8_t> swapped;
  if (order.order == BitOrder::msb) {
    swapped.assign(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size));
    swap_words(swapped, order.word_bits);
    packed = swapped;
  }
  std::vector<std::uint16_t> out(count);
  BitReader stream(packed, order.order == BitOrder::msb);
  for (std::uint16_t& code : out) code = static_cast<std::uint16_t>(stream.read(bits));
  return out;
}

std::vector<std::uint8_t> pack_parts(std::span<const std::uint16_t> codes, unsigned parts) {
  require(parts == 2 || parts == 4 || parts == 8, "parts: 2, 4 or 8");
  require(codes.size() % parts == 0, "parts: the count is no multiple of them");
  const unsigned bits = 8 / parts;
  const unsigned mask = (1u << bits) - 1;
  std::vector<std::uint8_t> out(codes.size() / parts);
  for (std::size_t j = 0; j < out.size(); ++j) {
    unsigned byte = 0;
    for (unsigned p = 0; p < parts; ++p) byte |= (codes[j + p * out.size()] & mask) << (p * bits);
    out[j] = static_cast<std::uint8_t>(byte);
  }
  return out;
}

std::vector<std::uint16_t> unpack_parts(std::span<const std::uint8_t> packed, unsigned parts) {
  require(parts == 2 || parts == 4 || parts == 8, "parts: 2, 4 or 8");
  const unsigned bits = 8 / parts;
  const unsigned mask = (1u << bits) - 1;
  std::vector<std::uint16_t> out(packed.size() * parts);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto p = static_cast<unsigned>(i / packed.size());
    out[i] = static_cast<std::uint16_t>((packed[i % packed.size()] >> (p * bits)) & mask);
  }
  return out;
}

std::vector<std::uint8_t> pack_awq(std::span<const std::uint16_t> codes, std::size_t rows,
                                   std::size_t cols) {
  check_awq(codes.size(), rows, cols);
  std::vector<std::uint8_t> out(codes.size() / 2);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t col = 0; col < cols; ++col) {
      const std::size_t i = awq_index(row, col, cols);
      const unsigned nibble = (codes[row * cols + col] & 15u) << (i % 2 * 4);
      out[i / 2] = static_cast<std::uint8_t>(out[i / 2] | nibble);
    }
  }
  return out;
}

std::vector<std::uint16_t> unpack_awq(std::span<const std::uint8_t> packed, std::size_t rows,
                                      std::size_t cols) {
  check_awq(packed.size() * 2, rows, cols);
  std::vector<std::uint16_t> out(packed.size() * 2);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t col = 0; col < cols; ++col) {
      const std::size_t i = awq_index(row, col, cols);
      out[row * cols + col] = (packed[i / 2] >> (i % 2 * 4)) & 15u;
    }
  }
  return out;
}

std::vector<std::uint8_t> pack_planes(std::span<const std::uint16_t> codes, unsigned bits,
                                      bool top_plane_first, WordOrder order) {
  check_bits(bits, 16);
  std::vector<std::uint8_t> out;
  std::vector<std::uint16_t> plane(codes.size());
  for (unsigned i = 0; i < bits; ++i) {
    const unsigned b = top_plane_first ? bits - 1 - i : i;
    std::ranges::transform(codes, plane.begin(),
                           [b](std::uint16_t c) { return static_cast<std::uint16_t>(c >> b & 1); });
    const auto bytes = pack_stream(plane, 1, order);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  return out;
}

std::vector<std::uint16_t> unpack_planes(std::span<const std::uint8_t> packed, std::size_t count,
                                         unsigned bits, bool top_plane_first, WordOrder order) {
  check_bits(bits, 16);
  const std::size_t size = stream_bytes(count, 1, order);
  require(packed.size() >= size * bits, "unpack: fewer bytes than the planes need");
  std::vector<std::uint16_t> out(count);
  for (unsigned i = 0; i < bits; ++i) {
    const unsigned b = top_plane_first ? bits - 1 - i : i;
    const auto plane = unpack_stream(packed.subspan(i * size, size), count, 1, order);
    for (std::size_t k = 0; k < count; ++k)
      out[k] = static_cast<std::uint16_t>(out[k] | plane[k] << b);
  }
  return out;
}

CodeLayout radix_layout(std::uint32_t levels) {
  require(levels >= 2 && levels <= 65536, "a code has 2 to 65536 levels");
  CodeLayout best;
  best.word_bits = static_cast<unsigned>(std::bit_width(levels - 1));
  std::uint64_t states = levels;
  for (unsigned symbols = 2; states <= 65536 / levels; ++symbols) {
    states *= levels;
    const auto bits = static_cast<unsigned>(std::bit_width(states - 1));
    if (bits * best.symbols < best.word_bits * symbols) {
      best.word_bits = bits;
      best.symbols = symbols;
      best.base = levels;
    }
  }
  return best;
}

RadixSizes radix_sizes(std::uint64_t count, std::uint32_t levels) {
  const CodeLayout layout = radix_layout(levels);
  const std::uint64_t words = count / layout.symbols + (count % layout.symbols != 0 ? 1 : 0);
  const double log2 = elementary::log(static_cast<double>(levels)) / elementary::log(2.0);
  return {count * static_cast<unsigned>(std::bit_width(levels - 1)), words * layout.word_bits,
          static_cast<double>(count) * log2};
}

std::vector<std::uint8_t> pack_radix(std::span<const std::uint16_t> codes,
                                     const CodeLayout& layout) {
  std::vector<std::uint8_t> out;
  BitWriter stream(out);
  const std::uint32_t base = layout.base == 0 ? 1u << layout.word_bits : layout.base;
  for (std::size_t i = 0; i < codes.size(); i += layout.symbols) {
    std::uint32_t word = 0;
    for (std::size_t j = std::min<std::size_t>(i + layout.symbols, codes.size()); j-- > i;) {
      require(codes[j] < base, "a code is not below its base");
      word = word * base + codes[j];
    }
    stream.write(word, layout.word_bits);
  }
  stream.flush();
  return out;
}

std::vector<std::uint16_t> unpack_radix(std::span<const std::uint8_t> packed, std::size_t count,
                                        const CodeLayout& layout) {
  const std::size_t words = (count + layout.symbols - 1) / layout.symbols;
  require(packed.size() >= packed_bytes(words, layout.word_bits),
          "unpack: fewer bytes than the codes need");
  std::vector<std::uint16_t> out(count);
  BitReader stream(packed);
  const std::uint32_t base = layout.base == 0 ? 1u << layout.word_bits : layout.base;
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i % layout.symbols == 0) word = stream.read(layout.word_bits);
    out[i] = static_cast<std::uint16_t>(word % base);
    word /= base;
  }
  return out;
}

}  // namespace systole::quant
