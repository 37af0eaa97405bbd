// Fixed-point multiply-accumulate with saturation, and the floating-point multiplication that is an
// integer addition (FPMA).
#pragma once

#include <cstdint>
#include <span>

#include "quant/float16.hpp"
#include "quant/format.hpp"
#include "quant/kernels/overflow.hpp"

namespace systole::quant {

/// Q(i.f): a sign, i integer and f fraction bits; value = code * 2^-f, code in [-2^(i+f), 2^(i+f) -
/// 1]. i + f at most 31.
struct FixedFormat {
  unsigned integer_bits = 0;
  unsigned fraction_bits = 0;

  unsigned bits() const { return 1 + integer_bits + fraction_bits; }
};

/// value / 2^shift rounded as `rounding` says (ties to the even result, away from zero, upwards,
/// towards zero; floor: downwards). shift 0 ... 62.
std::int64_t shift_right(std::int64_t value, unsigned shift, Rounding rounding);

/// NORMATIVE. The nearest code of a finite value, ties by `rounding`, saturated. Errors:
/// std::invalid_argument for NaN, infinities and formats that are too wide.
std::int32_t fixed_encode(float value, FixedFormat format, Rounding rounding);
float fixed_decode(std::int32_t code, FixedFormat format);  ///< one rounding to fp32

/// NORMATIVE. One step: the exact product (a_format.f + b_format.f fraction bits) is brought to
/// acc_format.f fraction bits (`rounding` where bits are lost), then added to acc, a register of
/// acc_format.bits(), under `overflow`. Errors: std::invalid_argument for formats that are too wide
/// or an accumulator with more than 30 fraction bits above the product's; std::overflow_error.
void fixed_mac(std::int32_t& acc, FixedFormat acc_format, std::int32_t a, FixedFormat a_format,
               std::int32_t b, FixedFormat b_format, Rounding rounding, Overflow overflow);
/// NORMATIVE. fixed_mac over the elements, ascending, from 0.
std::int32_t fixed_dot(std::span<const std::int32_t> a, FixedFormat a_format,
                       std::span<const std::int32_t> b, FixedFormat b_format,
                       FixedFormat acc_format, Rounding rounding, Overflow overflow);

/// NORMATIVE. FPMA: sign by XOR; magnitude = bits(a) + bits(b) - (15 << 10) + compensation, the bit
/// patterns of fp16 without sign as integers. This is Mitchell's logarithm: with compensation 0 the
/// result is never above the product in magnitude, at most 1/9 below, and exact when a factor is a
/// power of two. A zero or subnormal operand, or a result below the least normal: zero with the
/// sign; a result above the largest finite: infinity. NaN and infinite operands: as the IEEE
/// product rounded to fp16. Source: FPMA, used by AxCore (MICRO 2025); accelerators.md 6.5; what
/// happens to subnormals and at the ends of the range is ours. Errors: std::invalid_argument for a
/// compensation of more than 15 bits.
Fp16 fpma_multiply(Fp16 a, Fp16 b, int compensation = 0);
/// NORMATIVE. acc = acc + fpma_multiply(a[i], b[i]), fp32 from +0, index ascending. An integer or
/// FP4 weight is first written as fp16, exactly.
float fpma_dot(std::span<const Fp16> a, std::span<const Fp16> b, int compensation = 0);

}  // namespace systole::quant
