// abfloat, the adaptive biased float of OliVe's outliers: sign, exponent, mantissa and a bias that
// starts the range just above the normal values.
// Source: OliVe (ISCA 2023, arXiv 2304.07493); accelerators.md §1.3, §1.4.
#pragma once

#include <cstdint>
#include <vector>

#include "quant/formats/exponent_integer.hpp"

namespace systole::quant {

/// value = (-1)^s (2^mb + m) << (e + bias), code = s | e | m from the top. e = 0, m = 0 is not a
/// value: with a sign it is the identifier of a pair, without one zero.
struct Abfloat {
  unsigned exponent_bits = 2;
  unsigned mantissa_bits = 1;
  unsigned bias = 2;

  constexpr unsigned magnitude_bits() const { return exponent_bits + mantissa_bits; }
  constexpr std::uint32_t sign_bit() const { return 1u << magnitude_bits(); }
  constexpr std::int32_t smallest() const {
    return static_cast<std::int32_t>(((1u << mantissa_bits) + 1u) << bias);
  }
  constexpr std::int32_t largest() const {
    return static_cast<std::int32_t>(((2u << mantissa_bits) - 1u)
                                     << ((1u << exponent_bits) - 1u + bias));
  }
  friend constexpr bool operator==(const Abfloat&, const Abfloat&) = default;
};

inline constexpr Abfloat kOutlierOfInt4{2, 1, 2};    ///< 12, 16, 24, 32, 48, 64, 96
inline constexpr Abfloat kOutlierOfFlint4{2, 1, 3};  ///< 24, 32, 48, 64, 96, 128, 192
/// E4M3 as the paper has it: 144, 160, 176 ... 15 << 19.
inline constexpr Abfloat kOutlierOfInt8{4, 3, 4};
/// E2M5 as the released quantiser makes it, whatever the width: 132, 136 ... 2016.
inline constexpr Abfloat kOutlierOfInt8Code{2, 5, 2};
/// The released quantiser's grids for unsigned tensors (E2M2): 20 ... 224 beside uint4, 80 ... 896
/// beside uflint4.
inline constexpr Abfloat kOutlierOfUint4{2, 2, 2};
inline constexpr Abfloat kOutlierOfUflint4{2, 2, 4};

/// NORMATIVE. The operand of a code: <e + bias, +-(2^mb + m)>; <0, 0> of the two codes that are no
/// values. Errors: std::invalid_argument when the code is wider than the format.
ExponentInteger abfloat_decode(std::uint32_t code, const Abfloat& format);

/// The code of a value that is one of the format's. Errors: std::invalid_argument when it is not.
std::uint32_t abfloat_encode(std::int32_t value, const Abfloat& format);

/// The magnitudes, ascending: 2^(exponent_bits + mantissa_bits) - 1 of them.
std::vector<std::int32_t> abfloat_magnitudes(const Abfloat& format);

/// NORMATIVE. The smallest bias at which the least outlier exceeds the largest normal value
/// (7 -> 2, 16 -> 3 for E2M1; 127 -> 4 for E4M3). Source: inferred from those published cases.
unsigned abfloat_bias(unsigned mantissa_bits, std::int32_t largest_normal);

}  // namespace systole::quant
