// Private: where the bits of every block lie. One function a layout, in both directions, shared by
// the encoders, the decoders and the dot products.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "quant/ggml/blocks.hpp"

namespace systole::quant::ggml {

using Codes32 = std::array<std::int8_t, 32>;
using Codes64 = std::array<std::int8_t, 64>;
using Codes256 = std::array<std::int8_t, 256>;
using Unsigned32 = std::array<std::uint8_t, 32>;
using Unsigned256 = std::array<std::uint8_t, 256>;

/// 2H codes of 4 bits in H bytes: byte j holds codes j (low nibble) and j + H (high).
template <std::size_t H>
void unpack_nibbles(std::span<const std::uint8_t, H> bytes, std::span<std::uint8_t, 2 * H> codes) {
  for (std::size_t j = 0; j < H; ++j) {
    codes[j] = bytes[j] & 0x0F;
    codes[j + H] = bytes[j] >> 4;
  }
}
template <std::size_t H>
void pack_nibbles(std::span<const std::uint8_t, 2 * H> codes, std::span<std::uint8_t, H> bytes) {
  for (std::size_t j = 0; j < H; ++j) {
    bytes[j] = static_cast<std::uint8_t>((codes[j] & 0x0F) | ((codes[j + H] & 0x0F) << 4));
  }
}

/// 256 codes as 256 / (2H) runs of 2H, each packed as above.
template <std::size_t H>
Unsigned256 unpack_nibble_runs(const std::array<std::uint8_t, 128>& bytes) {
  Unsigned256 codes;
  for (std::size_t run = 0; run < 128 / H; ++run) {
    unpack_nibbles<H>(std::span<const std::uint8_t, H>(bytes.data() + run * H, H),
                      std::span<std::uint8_t, 2 * H>(codes.data() + run * 2 * H, 2 * H));
  }
  return codes;
}
template <std::size_t H>
void pack_nibble_runs(const Unsigned256& codes, std::array<std::uint8_t, 128>& bytes) {
  for (std::size_t run = 0; run < 128 / H; ++run) {
    pack_nibbles<H>(std::span<const std::uint8_t, 2 * H>(codes.data() + run * 2 * H, 2 * H),
                    std::span<std::uint8_t, H>(bytes.data() + run * H, H));
  }
}

/// Two bits an element: of each 128 elements 32 bytes; element e = 128 h + 32 p + l is bits 2p and
/// 2p + 1 of byte 32 h + l.
inline Unsigned256 unpack_pairs(const std::array<std::uint8_t, 64>& bytes) {
  Unsigned256 codes;
  for (std::size_t h = 0; h < 2; ++h) {
    for (std::size_t p = 0; p < 4; ++p) {
      for (std::size_t l = 0; l < 32; ++l) {
        codes[128 * h + 32 * p + l] = static_cast<std::uint8_t>((bytes[32 * h + l] >> (2 * p)) & 3);
      }
    }
  }
  return codes;
}
/// Takes bits 0 and 1 of every code.
inline void pack_pairs(const Unsigned256& codes, std::array<std::uint8_t, 64>& bytes) {
  bytes.fill(0);
  for (std::size_t h = 0; h < 2; ++h) {
    for (std::size_t p = 0; p < 4; ++p) {
      for (std::size_t l = 0; l < 32; ++l) {
        bytes[32 * h + l] = static_cast<std::uint8_t>(
            bytes[32 * h + l] | ((codes[128 * h + 32 * p + l] & 3) << (2 * p)));
      }
    }
  }
}

/// One bit an element: element e is bit e / 32 of byte e % 32. Adds it to `codes` at `bit`.
inline void unpack_plane(const std::array<std::uint8_t, 32>& bytes, unsigned bit,
                         Unsigned256& codes) {
  for (std::size_t p = 0; p < 8; ++p) {
    for (std::size_t l = 0; l < 32; ++l) {
      codes[32 * p + l] =
          static_cast<std::uint8_t>(codes[32 * p + l] | (((bytes[l] >> p) & 1) << bit));
    }
  }
}
/// Takes bit `bit` of every code.
inline void pack_plane(const Unsigned256& codes, unsigned bit,
                       std::array<std::uint8_t, 32>& bytes) {
  bytes.fill(0);
  for (std::size_t p = 0; p < 8; ++p) {
    for (std::size_t l = 0; l < 32; ++l) {
      bytes[l] = static_cast<std::uint8_t>(bytes[l] | (((codes[32 * p + l] >> bit) & 1) << p));
    }
  }
}

/// Fifth bits of the 32-element formats: element j is bit j % 8 of byte j / 8.
inline void unpack_fifth_bits(const std::array<std::uint8_t, 4>& bytes, Unsigned32& codes) {
  for (std::size_t j = 0; j < 32; ++j) {
    codes[j] = static_cast<std::uint8_t>(codes[j] | (((bytes[j / 8] >> (j % 8)) & 1) << 4));
  }
}
inline void pack_fifth_bits(const Unsigned32& codes, std::array<std::uint8_t, 4>& bytes) {
  bytes.fill(0);
  for (std::size_t j = 0; j < 32; ++j) {
    bytes[j / 8] = static_cast<std::uint8_t>(bytes[j / 8] | (((codes[j] >> 4) & 1) << (j % 8)));
  }
}

template <std::size_t N>
std::array<std::int8_t, N> minus(const std::array<std::uint8_t, N>& codes, int offset) {
  std::array<std::int8_t, N> result;
  for (std::size_t i = 0; i < N; ++i) result[i] = static_cast<std::int8_t>(codes[i] - offset);
  return result;
}
template <std::size_t N>
std::array<std::int8_t, N> look_up(const std::array<std::uint8_t, N>& codes,
                                   const std::array<std::int8_t, 16>& levels) {
  std::array<std::int8_t, N> result;
  for (std::size_t i = 0; i < N; ++i) result[i] = levels[codes[i]];
  return result;
}

inline Unsigned32 nibbles_of(const std::array<std::uint8_t, 16>& bytes) {
  Unsigned32 codes;
  unpack_nibbles<16>(bytes, codes);
  return codes;
}

// ---- the integers a block multiplies, by format

inline Codes32 integers_of(const BlockQ4_0& b) { return minus(nibbles_of(b.quants), 8); }
inline Codes32 integers_of(const BlockQ4_1& b) { return minus(nibbles_of(b.quants), 0); }
inline Codes32 integers_of(const BlockQ5_0& b) {
  Unsigned32 codes = nibbles_of(b.quants);
  unpack_fifth_bits(b.high, codes);
  return minus(codes, 16);
}
inline Codes32 integers_of(const BlockQ5_1& b) {
  Unsigned32 codes = nibbles_of(b.quants);
  unpack_fifth_bits(b.high, codes);
  return minus(codes, 0);
}
inline const Codes32& integers_of(const BlockQ8_0& b) { return b.quants; }
inline const Codes32& integers_of(const BlockQ8_1& b) { return b.quants; }
inline Codes256 integers_of(const BlockQ2_K& b) { return minus(unpack_pairs(b.quants), 0); }
inline Codes256 integers_of(const BlockQ3_K& b) {
  Unsigned256 codes = unpack_pairs(b.quants);
  unpack_plane(b.high, 2, codes);
  return minus(codes, 4);
}
inline Codes256 integers_of(const BlockQ4_K& b) {
  return minus(unpack_nibble_runs<32>(b.quants), 0);
}
inline Codes256 integers_of(const BlockQ5_K& b) {
  Unsigned256 codes = unpack_nibble_runs<32>(b.quants);
  unpack_plane(b.high, 4, codes);
  return minus(codes, 0);
}
inline Codes256 integers_of(const BlockQ6_K& b) {
  const Unsigned256 low = unpack_nibble_runs<64>(b.low);
  const Unsigned256 high = unpack_pairs(b.high);
  Codes256 result;
  for (std::size_t i = 0; i < 256; ++i) {
    result[i] = static_cast<std::int8_t>((low[i] | (high[i] << 4)) - 32);
  }
  return result;
}
inline const Codes256& integers_of(const BlockQ8_K& b) { return b.quants; }
inline Codes32 integers_of(const BlockIQ4_NL& b) {
  return look_up(nibbles_of(b.quants), kIq4Levels);
}
inline Codes256 integers_of(const BlockIQ4_XS& b) {
  return look_up(unpack_nibble_runs<16>(b.quants), kIq4Levels);
}
inline Codes256 integers_of(const BlockTQ2_0& b) { return minus(unpack_pairs(b.quants), 1); }
inline Codes32 integers_of(const BlockMXFP4& b) {
  return look_up(nibbles_of(b.quants), kE2m1Doubled);
}
inline Codes64 integers_of(const BlockNVFP4& b) {
  std::array<std::uint8_t, 64> codes;
  for (std::size_t s = 0; s < 4; ++s) {
    unpack_nibbles<8>(std::span<const std::uint8_t, 8>(b.quants.data() + 8 * s, 8),
                      std::span<std::uint8_t, 16>(codes.data() + 16 * s, 16));
  }
  return look_up(codes, kE2m1Doubled);
}

/// Bytes of a TQ1_0 block that hold their elements at one stride.
struct TritRun {
  std::size_t byte;     ///< the first
  std::size_t width;    ///< bytes, and elements between two trits of one byte
  std::size_t element;  ///< the first
  std::size_t trits;    ///< in a byte
};
inline constexpr std::array<TritRun, 3> kTritRuns = {TritRun{0, 32, 0, 5}, TritRun{32, 16, 160, 5},
                                                     TritRun{48, 4, 240, 4}};

inline Codes256 integers_of(const BlockTQ1_0& b) {
  Codes256 result;
  for (const TritRun& run : kTritRuns) {
    for (std::size_t m = 0; m < run.width; ++m) {
      unsigned rest = b.trits[run.byte + m];
      for (std::size_t n = 0; n < run.trits; ++n) {
        result[run.element + n * run.width + m] =
            static_cast<std::int8_t>(int((rest * 3) >> 8) - 1);
        rest = (rest * 3) & 0xFF;
      }
    }
  }
  return result;
}

// ---- sub-block scales

/// What multiplies the sub-blocks of a K format: x = (d * scale) * q - dmin * min.
template <std::size_t S>
struct SubScales {
  std::array<int, S> scale;
  std::array<int, S> min;
};

inline SubScales<16> scales_of(const BlockQ2_K& b) {
  SubScales<16> result;
  for (std::size_t s = 0; s < 16; ++s) {
    result.scale[s] = b.scales[s] & 0x0F;
    result.min[s] = b.scales[s] >> 4;
  }
  return result;
}

/// The 12 bytes of Q4_K and Q5_K: for s < 4 byte s is scale s and byte s + 4 is min s in bits 0-5;
/// for s >= 4 byte s + 4 has the low nibbles (scale, min), and bits 6-7 of bytes s - 4 and s the
/// upper two.
inline SubScales<8> unpack_six_bit(const std::array<std::uint8_t, 12>& bytes) {
  SubScales<8> result;
  for (std::size_t s = 0; s < 4; ++s) {
    result.scale[s] = bytes[s] & 63;
    result.min[s] = bytes[s + 4] & 63;
    result.scale[s + 4] = (bytes[s + 8] & 15) | ((bytes[s] >> 6) << 4);
    result.min[s + 4] = (bytes[s + 8] >> 4) | ((bytes[s + 4] >> 6) << 4);
  }
  return result;
}
inline std::array<std::uint8_t, 12> pack_six_bit(const SubScales<8>& s) {
  std::array<std::uint8_t, 12> bytes;
  for (std::size_t i = 0; i < 4; ++i) {
    bytes[i] = static_cast<std::uint8_t>(s.scale[i] | ((s.scale[i + 4] >> 4) << 6));
    bytes[i + 4] = static_cast<std::uint8_t>(s.min[i] | ((s.min[i + 4] >> 4) << 6));
    bytes[i + 8] = static_cast<std::uint8_t>((s.scale[i + 4] & 15) | ((s.min[i + 4] & 15) << 4));
  }
  return bytes;
}
inline SubScales<8> scales_of(const BlockQ4_K& b) { return unpack_six_bit(b.scales); }
inline SubScales<8> scales_of(const BlockQ5_K& b) { return unpack_six_bit(b.scales); }

/// The 12 bytes of Q3_K: low nibbles of scales 0-7 and high nibbles for 8-15 in bytes 0-7; bits 4-5
/// of scale s at bit 2 (s / 4) of byte 8 + s % 4. Stored plus 32.
inline std::array<int, 16> scales_of(const BlockQ3_K& b) {
  std::array<int, 16> result;
  for (std::size_t s = 0; s < 16; ++s) {
    const int low = (b.scales[s % 8] >> (4 * (s / 8))) & 15;
    const int high = (b.scales[8 + s % 4] >> (2 * (s / 4))) & 3;
    result[s] = (low | (high << 4)) - 32;
  }
  return result;
}
/// `stored` in [0, 63].
inline std::array<std::uint8_t, 12> pack_scales_q3_k(const std::array<int, 16>& stored) {
  std::array<std::uint8_t, 12> bytes{};
  for (std::size_t s = 0; s < 16; ++s) {
    bytes[s % 8] = static_cast<std::uint8_t>(bytes[s % 8] | ((stored[s] & 15) << (4 * (s / 8))));
    bytes[8 + s % 4] =
        static_cast<std::uint8_t>(bytes[8 + s % 4] | ((stored[s] >> 4) << (2 * (s / 4))));
  }
  return bytes;
}

inline std::array<int, 16> scales_of(const BlockQ6_K& b) {
  std::array<int, 16> result;
  for (std::size_t s = 0; s < 16; ++s) result[s] = b.scales[s];
  return result;
}

inline std::array<int, 8> scales_of(const BlockIQ4_XS& b) {
  std::array<int, 8> result;
  for (std::size_t s = 0; s < 8; ++s) {
    const int low = (b.scales_low[s / 2] >> (4 * (s % 2))) & 15;
    const int high = (b.scales_high >> (2 * s)) & 3;
    result[s] = (low | (high << 4)) - 32;
  }
  return result;
}

}  // namespace systole::quant::ggml
