// One box of a cache as codes and parameters, with the arithmetic each system's encoder really
// does. The forms and their traps: reference/quantization.md §3, §4, §12.
#pragma once

#include <cstdint>
#include <span>

#include "quant/kv/plan.hpp"

namespace systole::quant {

/// Scale and zero of one box as stored: symmetric, sign, ternary: scale; float_min: scale, minimum;
/// float_zero, integer_zero: scale, zero; lut: range (as scale), offset (as zero).
struct KvParameters {
  float scale = 0, zero = 0;
  friend bool operator==(const KvParameters&, const KvParameters&) = default;
};

/// Tables of a lut rule: normalised entries, ascending. Decoding may use corrected entries
/// (Q-Norm).
struct BoxTables {
  std::span<const float> encode, decode;
};

/// NORMATIVE. Parameters of a box with values `x` (kept outliers left out). fp32 throughout except
/// where said; levels = 2^b - 1; h() stores in the scale format
/// (formats/parameter.hpp: nearest even, saturated).
///   symmetric    s = h(absmax / (2^(b-1) - 1))
///   float_min    s = h((max - min) / levels), m = h(min). Contract reference with an fp16 scale
///                (KIVI, ZipCache): the elements are fp16, and h is applied to the difference too:
///                s = h(h(max - min) / levels).
///   float_zero   s = h((max - min) / levels), z = h((-levels * min) / (max - min)) from the
///                unrounded range (QServe); an empty range gives s = z = 0
///   integer_zero s = h((max - min) / levels), z = rne(-min / s), clamped to the stored zero:
///                [0, levels], or signed in zero_bits. Contract reference (RotateKV): s divides by
///                b^2 - 1 instead, codes are still clamped to levels.
///   sign, ternary s = h(sum |x| / n), sum index ascending
///   lut          r = h((max - min) / 2), o = h((max + min) / 2)
/// range clip: minimum and maximum times range_value first. Empty x: zeros.
KvParameters box_parameters(std::span<const float> x, const BoxRule& rule);
/// The same from a calibrated range instead of the values.
KvParameters box_parameters_of_range(float minimum, float maximum, const BoxRule& rule);

/// NORMATIVE. The code of one value (symmetric: two's complement in 16 bits); rne: ties to even.
///   symmetric    clamp(rne(x / s), -qmax, qmax); s = 0: 0
///   float_min    clamp(rne((x - m) / s), 0, levels); s = 0: 0. Contract reference with an fp16
///                scale: rne(clamp(h(h(x - m) / s), 0, levels)); 0 / 0, which the released code
///                converts to an integer with no defined result, is code 0 here.
///   float_zero   rne(x * (1 / s) + z), reciprocal, product and sum each rounded; saturated to
///   0..255
///                and cut to the low b bits under contract reference (a value that rounds to 2^b
///                wraps), saturated at levels under corrected. s = 0: 0. b > 8: no cut.
///   integer_zero clamp(rne(x / s) + z, 0, levels); s = 0: clamp(z)
///   sign         x >= 0 ? 1 : 0 (an exact zero is positive: one bit cannot say 0)
///   ternary      x > s / 2 ? 2 : x < -s / 2 ? 0 : 1
///   lut          the nearest entry to (x - o) / r, the lowest index wins ties; r = 0: nearest to 0
std::uint16_t encode_in_box(float x, const KvParameters& p, const BoxRule& rule,
                            const BoxTables& tables);

/// NORMATIVE. symmetric s * q; float_min fma(q, s, m); float_zero and integer_zero s * (q - z), the
/// difference rounded; sign +-s; ternary (q - 1) * s, without s under contract reference (VidKV);
/// lut fma(L[q], r, o).
float decode_in_box(std::uint16_t code, const KvParameters& p, const BoxRule& rule,
                    const BoxTables& tables);

/// The exact shrink of a float_min box from 2n to n bits (PM-KVQ): codes by shrink_code, the scale
/// times (2^n + 1), rounded to its format; the minimum stays.
KvParameters shrink_parameters(const KvParameters& p, unsigned n, Format scale);

}  // namespace systole::quant
