// bfloat16 as a value: the upper half of a binary32, 1 sign, 8 exponent (bias 127), 7 fraction
// bits.
#pragma once

#include <bit>
#include <cstdint>

namespace systole::quant {

/// A bfloat16 number. Encoding rounds to nearest, ties to even; overflow gives infinity; subnormals
/// are kept. A NaN stays a NaN with its sign and upper payload and becomes quiet; decoding only
/// appends zeros.
class Bf16 {
 public:
  constexpr Bf16() = default;
  static constexpr Bf16 from_bits(std::uint16_t bits) {
    Bf16 b;
    b.bits_ = bits;
    return b;
  }
  constexpr std::uint16_t to_bits() const { return bits_; }

  static constexpr Bf16 encode(float value) {
    const std::uint32_t x = std::bit_cast<std::uint32_t>(value);
    if ((x & 0x7FFFFFFFu) > 0x7F800000u)
      return from_bits(static_cast<std::uint16_t>((x >> 16) | 0x40u));
    return from_bits(static_cast<std::uint16_t>((x + 0x7FFFu + ((x >> 16) & 1u)) >> 16));
  }
  constexpr float decode() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits_) << 16);
  }

  friend constexpr bool operator==(Bf16, Bf16) = default;  ///< of the bits

 private:
  std::uint16_t bits_ = 0;
};

static_assert(sizeof(Bf16) == 2);

}  // namespace systole::quant
