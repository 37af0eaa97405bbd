// IEEE 754 binary16 as a value: 1 sign, 5 exponent (bias 15), 10 fraction bits.
#pragma once

#include <bit>
#include <cstdint>

namespace systole::quant {

/// A binary16 number. Encoding rounds to nearest, ties to even; overflow gives infinity; subnormals
/// are kept on both sides. A NaN stays a NaN, keeps its sign and the top of its payload and becomes
/// quiet, in both directions (as VCVTPS2PH and VCVTPH2PS do; tests compare all codes with them).
class Fp16 {
 public:
  constexpr Fp16() = default;
  static constexpr Fp16 from_bits(std::uint16_t bits) {
    Fp16 h;
    h.bits_ = bits;
    return h;
  }
  constexpr std::uint16_t to_bits() const { return bits_; }

  static constexpr Fp16 encode(float value) {
    const std::uint32_t x = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (x >> 16) & 0x8000u;
    const std::uint32_t magnitude = x & 0x7FFFFFFFu;
    std::uint32_t h = 0;
    if (magnitude > 0x7F800000u) {
      h = 0x7E00u | ((magnitude >> 13) & 0x03FFu);
    } else if (magnitude >=
               0x477FF000u) {  // 65520, half way between 65504 and 2^16: rounds to infinity
      h = 0x7C00u;
    } else if (magnitude >=
               0x38800000u) {  // normal: rebias the exponent by 112, round away 13 bits
      h = (magnitude - 0x38000000u + 0x0FFFu + ((magnitude >> 13) & 1u)) >> 13;
    } else {  // subnormal or zero: adding 2^-1 puts the last place of binary16 (2^-24) at that of
              // binary32
      h = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3F000000u;
    }
    return from_bits(static_cast<std::uint16_t>(sign | h));
  }

  constexpr float decode() const {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits_ & 0x8000u) << 16;
    const std::uint32_t exponent = (bits_ >> 10) & 0x1Fu;
    const std::uint32_t fraction = bits_ & 0x03FFu;
    if (exponent == 0x1Fu) {
      const std::uint32_t quiet = fraction != 0 ? 0x00400000u : 0u;
      return std::bit_cast<float>(sign | 0x7F800000u | quiet | (fraction << 13));
    }
    if (exponent == 0) {
      const float value = static_cast<float>(fraction) * 0x1p-24f;  // exact
      return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
    }
    return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (fraction << 13));
  }

  friend constexpr bool operator==(Fp16, Fp16) =
      default;  ///< of the bits: -0 is not +0, a NaN equals itself

 private:
  std::uint16_t bits_ = 0;
};

static_assert(sizeof(Fp16) == 2);

}  // namespace systole::quant
