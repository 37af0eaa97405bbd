// What a codec did, in operations that hardware has: the timing model prices these and never
// derives them again.
#pragma once

#include <cstdint>

namespace systole::quant {

struct OpCounts {
  std::uint64_t unpack = 0;       ///< shift-and-mask of one code
  std::uint64_t multiply = 0;
  std::uint64_t add = 0;
  std::uint64_t fma = 0;
  std::uint64_t lookup = 0;       ///< table reads
  std::uint64_t compare = 0;
  std::uint64_t sparse_mac = 0;   ///< indexed multiply-accumulates
  std::uint64_t shift = 0;
  std::uint64_t popcount = 0;     ///< XOR or AND and count of one word of 64 bits
  std::uint64_t gather = 0;       ///< elements moved by an index
  std::uint64_t special = 0;      ///< exp, sqrt, reciprocal, divide, sine
  std::uint64_t read_bytes = 0;   ///< of the stored cache
  std::uint64_t write_bytes = 0;

  OpCounts& operator+=(const OpCounts& o) {
    unpack += o.unpack;
    multiply += o.multiply;
    add += o.add;
    fma += o.fma;
    lookup += o.lookup;
    compare += o.compare;
    sparse_mac += o.sparse_mac;
    shift += o.shift;
    popcount += o.popcount;
    gather += o.gather;
    special += o.special;
    read_bytes += o.read_bytes;
    write_bytes += o.write_bytes;
    return *this;
  }
  friend bool operator==(const OpCounts&, const OpCounts&) = default;
};

}  // namespace systole::quant
