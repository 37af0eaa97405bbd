// Floats as integers times powers of two, and back with one rounding: what the kernels with aligned
// mantissas, term-serial and block-exact sums are defined with.
#pragma once

#include <cstdint>

#include "quant/float16.hpp"

namespace systole::quant {

/// Exact sums of up to 127 bits: blocks of E5M2 need 70 (accelerators.md 7.4).
__extension__ typedef __int128 Int128;

/// value = significand * 2^exponent, exactly. Zero: significand 0.
struct Parts {
  std::int64_t significand = 0;
  int exponent = 0;
};

/// A finite fp32 number: 24 bits of significand, exponent -149 ... 104; signed zeros are equal.
Parts parts_of(float value);
/// A finite fp16 number: 11 bits with the hidden one, exponent -24 ... 5 (subnormals as they are).
Parts parts_of(Fp16 value);
constexpr bool is_finite(Fp16 value) { return (value.to_bits() & 0x7C00u) != 0x7C00u; }

/// NORMATIVE. significand * 2^exponent rounded once to fp32 (fp16): to nearest, ties to even,
/// subnormals kept, overflow to infinity; zero is +0. |significand| < 2^126.
float round_scaled(Int128 significand, int exponent);
Fp16 round_scaled_fp16(Int128 significand, int exponent);

}  // namespace systole::quant
