// Floats of eight bits and fewer as values: E4M3, E5M2, E3M2, E2M3, E2M1, and the scale formats
// E8M0 and UE4M3.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "quant/format.hpp"
#include "quant/formats/rounding.hpp"

namespace systole::quant {

/// What the codes of the largest exponent mean.
enum class Specials : std::uint8_t {
  none,      ///< they are numbers: no infinity, no NaN
  last_nan,  ///< the last magnitude is NaN, the others are numbers (E4M3)
  ieee,      ///< infinity and NaNs (E5M2)
};
/// What encode does with a magnitude that rounds beyond the largest finite one.
enum class Beyond : std::uint8_t {
  saturate,   ///< the largest finite value; infinity too
  propagate,  ///< infinity where the format has one, else NaN; else saturates
};

/// A float of 1 sign (none when !Signed), E exponent and M mantissa bits, bias Bias, with
/// subnormals. Source: OCP OFP8 and MX 1.0; accelerators.md §7.1 has the table of ranges.
template <unsigned E, unsigned M, int Bias, Specials S, bool Signed = true>
class Minifloat {
 public:
  static constexpr unsigned kBits = E + M + (Signed ? 1 : 0);
  static constexpr unsigned kSignShift = E + M;
  static constexpr std::uint8_t kMagnitudeMask = static_cast<std::uint8_t>((1u << (E + M)) - 1);
  /// Largest finite magnitude as a code.
  static constexpr std::uint8_t kLargest =
      static_cast<std::uint8_t>(S == Specials::none       ? kMagnitudeMask
                                : S == Specials::last_nan ? kMagnitudeMask - 1
                                                          : (((1u << E) - 1) << M) - 1);
  static constexpr int kEmin = 1 - Bias;  ///< exponent of the least normal
  static constexpr int kUnitExponent = kEmin - static_cast<int>(M);  ///< of the least subnormal
  static constexpr int kEmax = static_cast<int>(kLargest >> M) - Bias;

  constexpr Minifloat() = default;
  static constexpr Minifloat from_bits(std::uint8_t bits) {
    Minifloat f;
    f.bits_ = static_cast<std::uint8_t>(bits & ((1u << kBits) - 1));
    return f;
  }
  constexpr std::uint8_t to_bits() const { return bits_; }

  constexpr bool is_nan() const {
    const unsigned magnitude = bits_ & kMagnitudeMask;
    if (S == Specials::last_nan) return magnitude == kMagnitudeMask;
    return S == Specials::ieee && magnitude > kLargest + 1u;
  }
  constexpr bool is_infinite() const {
    return S == Specials::ieee && (bits_ & kMagnitudeMask) == kLargest + 1u;
  }
  constexpr bool negative() const { return Signed && ((bits_ >> kSignShift) & 1u) != 0; }

  /// The value over 2^kUnitExponent: exact; NaN and infinity give 0.
  constexpr std::int64_t to_integer() const {
    if (is_nan() || is_infinite()) return 0;
    const unsigned magnitude = bits_ & kMagnitudeMask;
    const unsigned exponent = magnitude >> M;
    const std::int64_t fraction = magnitude & ((1u << M) - 1);
    const std::int64_t value =
        exponent == 0 ? fraction : (fraction + (std::int64_t{1} << M)) << (exponent - 1);
    return negative() ? -value : value;
  }
  constexpr float decode() const {
    if (is_nan()) return std::numeric_limits<float>::quiet_NaN();
    const float sign = negative() ? -1.0f : 1.0f;
    if (is_infinite()) return sign * std::numeric_limits<float>::infinity();
    const std::int64_t value = to_integer();
    const auto magnitude = static_cast<float>(value < 0 ? -value : value);  // M + 1 digits: exact
    return sign * (magnitude * exact_power_of_two(kUnitExponent));
  }

  /// NORMATIVE. The nearest number; `rounding` decides ties as round_value does, of the value over
  /// the local unit in the last place (even: the even mantissa; floor: towards -infinity).
  /// Subnormals are kept, the sign of zero too. A value that rounds beyond the largest finite one:
  /// `overflow`. NaN: the NaN of the format with the sign of `value`; where it has none, the
  /// largest magnitude (saturating formats have nothing better; MX encoders refuse NaN before).
  /// Unsigned formats: negative values give 0.
  static constexpr Minifloat encode(float value, Rounding rounding = Rounding::even,
                                    Beyond overflow = Beyond::saturate) {
    const std::uint32_t x = std::bit_cast<std::uint32_t>(value);
    const bool minus = (x >> 31) != 0;
    const unsigned sign = Signed && minus ? 1u << kSignShift : 0u;
    const std::uint32_t magnitude = x & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u)
      return from_bits(
          static_cast<std::uint8_t>(sign | (S == Specials::none ? kLargest : kMagnitudeMask)));
    if (!Signed && minus) return from_bits(0);
    const unsigned code = encode_magnitude(magnitude, minus, rounding);
    if (code <= kLargest) return from_bits(static_cast<std::uint8_t>(sign | code));
    if (overflow == Beyond::saturate || S == Specials::none)
      return from_bits(static_cast<std::uint8_t>(sign | kLargest));
    return from_bits(static_cast<std::uint8_t>(sign | (kLargest + 1u)));
  }

  static constexpr Minifloat largest() { return from_bits(kLargest); }
  friend constexpr bool operator==(Minifloat, Minifloat) = default;  ///< of the bits

 private:
  /// The code of a magnitude (binary32 bits), which may exceed kLargest.
  static constexpr unsigned encode_magnitude(std::uint32_t magnitude, bool minus,
                                             Rounding rounding) {
    if (magnitude == 0) return 0;
    if (magnitude >= 0x7F800000u) return 0x100;
    const float v = std::bit_cast<float>(magnitude);
    const int exponent = floor_log2(v) < kEmin ? kEmin : floor_log2(v);
    if (exponent > kEmax) return 0x100;
    // The binary32 digits as an integer; `drop` of them (16 or more) lie below the last place kept.
    const std::uint64_t significand = integer_significand(magnitude);
    const int drop = exponent - static_cast<int>(M) - unit_exponent(magnitude);
    if (drop >= 40) return rounds_up(0, -1, minus, rounding) ? 1 : 0;
    std::uint64_t whole = significand >> static_cast<unsigned>(drop);
    const std::uint64_t rest =
        significand & ((std::uint64_t{1} << static_cast<unsigned>(drop)) - 1);
    const std::uint64_t half = std::uint64_t{1} << static_cast<unsigned>(drop - 1);
    const int cmp = rest < half ? -1 : (rest == half ? 0 : 1);  // the remainder against one half
    if (rest != 0 && rounds_up(whole, cmp, minus, rounding)) ++whole;
    const unsigned biased =
        static_cast<unsigned>(exponent - kEmin);          // 0: subnormal or least normal
    return static_cast<unsigned>(whole) + (biased << M);  // a carry moves to the next exponent
  }
  /// Exponent of the last place of the binary32 number, and its digits as an integer.
  static constexpr int unit_exponent(std::uint32_t magnitude) {
    const int field = static_cast<int>(magnitude >> 23);
    return (field == 0 ? 1 : field) - 150;
  }
  static constexpr std::uint64_t integer_significand(std::uint32_t magnitude) {
    const std::uint32_t fraction = magnitude & 0x7FFFFFu;
    return (magnitude >> 23) == 0 ? fraction : fraction | 0x800000u;
  }
  static constexpr bool rounds_up(std::uint64_t whole, int cmp, bool minus, Rounding rounding) {
    switch (rounding) {
      case Rounding::even:
        return cmp > 0 || (cmp == 0 && (whole & 1) != 0);
      case Rounding::away:
        return cmp >= 0;
      case Rounding::half_up:
        return minus ? cmp > 0 : cmp >= 0;
      case Rounding::down:
        return cmp > 0;
      case Rounding::floor:
        return minus;
    }
    return false;
  }
  std::uint8_t bits_ = 0;
};

using E4M3 = Minifloat<4, 3, 7, Specials::last_nan>;
using E5M2 = Minifloat<5, 2, 15, Specials::ieee>;
using E3M2 = Minifloat<3, 2, 3, Specials::none>;
using E2M3 = Minifloat<2, 3, 1, Specials::none>;
using E2M1 = Minifloat<2, 1, 1, Specials::none>;
/// A scale without a sign, as NVFP4 stores it: 7 bits of a byte, code 0x7F is NaN.
using UE4M3 = Minifloat<4, 3, 7, Specials::last_nan, false>;

/// A power of two, 2^(code - 127), code 0xFF is NaN; there is no zero. Source: OCP MX 1.0.
class E8M0 {
 public:
  constexpr E8M0() = default;
  static constexpr E8M0 from_bits(std::uint8_t bits) {
    E8M0 e;
    e.bits_ = bits;
    return e;
  }
  constexpr std::uint8_t to_bits() const { return bits_; }
  constexpr bool is_nan() const { return bits_ == 0xFFu; }
  constexpr int exponent() const { return static_cast<int>(bits_) - 127; }
  constexpr float decode() const {
    if (is_nan()) return std::numeric_limits<float>::quiet_NaN();
    return exact_power_of_two(exponent());
  }
  /// 2^exponent; below 2^-127 becomes 2^-127, above 2^127 becomes NaN (accelerators.md §7.2).
  static constexpr E8M0 of_exponent(int exponent) {
    if (exponent > 127) return from_bits(0xFF);
    return from_bits(static_cast<std::uint8_t>(exponent < -127 ? 0 : exponent + 127));
  }
  /// NORMATIVE. The nearest power of two in value (1.5 is the tie between 1 and 2; even: the even
  /// exponent code; away, half_up: the larger; down: the smaller); floor: the largest power not
  /// above. Zero and negative values give 2^-127, NaN and what rounds above 2^127 NaN.
  static constexpr E8M0 encode(float value, Rounding rounding = Rounding::even) {
    if (value != value) return from_bits(0xFF);
    if (value <= 0x1p-127f) return from_bits(0);
    if (value > std::numeric_limits<float>::max()) return from_bits(0xFF);
    const int below = floor_log2(value);
    const float mantissa = value * exact_power_of_two(below < -126 ? 126 : -below);
    const float scaled = below < -126 ? mantissa * exact_power_of_two(-below - 126) : mantissa;
    bool up = scaled > 1.5f;
    if (scaled == 1.5f)
      up = rounding == Rounding::away || rounding == Rounding::half_up ||
           (rounding == Rounding::even && ((below + 127) & 1) != 0);
    if (rounding == Rounding::floor) up = false;
    return of_exponent(below + (up ? 1 : 0));
  }
  friend constexpr bool operator==(E8M0, E8M0) = default;

 private:
  std::uint8_t bits_ = 0;
};

// --- exact integer arithmetic inside a block (accelerators.md §7.4) ------------------------------
/// Exponent of the unit of a product of two elements: every product is an integer times 2^this.
template <class F>
constexpr int product_unit_exponent() {
  return 2 * F::kUnitExponent;
}
/// log2 of the largest product in that unit, as digits: significand digits and the shift.
/// The largest element is ((2^(M+1) - 1 or so) << (kEmax - kEmin)) units.
template <class F>
constexpr unsigned element_magnitude_bits() {
  std::uint64_t largest = static_cast<std::uint64_t>(F::largest().to_integer());
  unsigned bits = 0;
  for (; largest != 0; largest >>= 1) ++bits;
  return bits;
}
/// Bits of a signed integer that holds `terms` products of two elements exactly: the two's
/// complement width of +-terms * largest^2.
template <class F>
constexpr unsigned accumulator_bits(std::uint64_t terms) {
  __extension__ using Wide = unsigned __int128;
  const Wide largest = static_cast<Wide>(F::largest().to_integer());
  Wide sum = largest * largest * terms;  // E5M2: 2^63.6 * 2^terms
  unsigned bits = 1;                     // the sign
  for (; sum != 0; sum >>= 1) ++bits;
  return bits;
}
/// MXINT8: elements k * 2^-6, |k| <= 128; `full` counts -128 too.
constexpr unsigned mxint8_accumulator_bits(std::uint64_t terms, bool full = true) {
  std::uint64_t sum = (full ? 128ull * 128ull : 127ull * 127ull) * terms;
  unsigned bits = 1;
  for (; sum != 0; sum >>= 1) ++bits;
  return bits;
}

}  // namespace systole::quant
