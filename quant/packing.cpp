// LSB-first bit packing. The contract is in the header.
#include "quant/packing.hpp"

#include "quant/check.hpp"

namespace systole::quant {

std::size_t packed_bytes(std::size_t count, unsigned bits) {
  require(bits >= 1 && bits <= 8, "codes have 1 to 8 bits");
  return count / 8 * bits + (count % 8 * bits + 7) / 8;
}

std::vector<std::uint8_t> pack(std::span<const std::int8_t> codes, unsigned bits) {
  std::vector<std::uint8_t> out;
  out.reserve(packed_bytes(codes.size(), bits));
  const unsigned mask = (1u << bits) - 1;
  unsigned window = 0;  // bits waiting for a whole byte, the oldest lowest
  unsigned waiting = 0;
  for (const std::int8_t code : codes) {
    window |= (static_cast<unsigned>(code) & mask) << waiting;
    for (waiting += bits; waiting >= 8; waiting -= 8, window >>= 8) {
      out.push_back(static_cast<std::uint8_t>(window & 0xFFu));
    }
  }
  if (waiting != 0) out.push_back(static_cast<std::uint8_t>(window));
  return out;
}

std::vector<std::int8_t> unpack(std::span<const std::uint8_t> packed, std::size_t count,
                                unsigned bits, bool is_signed) {
  require(packed.size() >= packed_bytes(count, bits), "unpack: fewer bytes than the codes need");
  std::vector<std::int8_t> out(count);
  const unsigned mask = (1u << bits) - 1;
  const unsigned sign = is_signed ? 1u << (bits - 1) : 0u;
  unsigned window = 0;
  unsigned waiting = 0;
  std::size_t next = 0;
  for (std::int8_t& code : out) {
    if (waiting < bits) {
      window |= static_cast<unsigned>(packed[next++]) << waiting;
      waiting += 8;
    }
    const unsigned raw = window & mask;
    code = static_cast<std::int8_t>(static_cast<int>(raw ^ sign) - static_cast<int>(sign));
    window >>= bits;
    waiting -= bits;
  }
  return out;
}

}  // namespace systole::quant
