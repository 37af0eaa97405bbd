// BitMoD's term-serial dot product: each weight is a few signed powers of two, four terms meet four
// FP16 activations a cycle. Source: BitMoD (HPCA 2025, arXiv 2411.11745); accelerators.md 4.2.
// What the source leaves open (how bits lost in alignment are treated, the accumulator's width) is
// decided here and marked "ours".
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "quant/float16.hpp"

namespace systole::quant {

/// What a weight is before it becomes terms: integers by radix-4 Booth digits, BitMoD's FP3 and FP4
/// values (in the units of format.cpp's bitmod3, bitmod4: 0 ... 16) by their set bits.
enum class TermCode : std::uint8_t { fp3, fp4, int5, int6, int8 };
inline constexpr std::array<std::string_view, 5> kTermCodeNames = {"fp3", "fp4", "int5", "int6",
                                                                   "int8"};
/// Cycles a group of four weights takes: FP3, FP4 2; INT5, INT6 3; INT8 4.
constexpr unsigned terms_of(TermCode code) {
  return code == TermCode::int8 ? 4 : code == TermCode::int6 || code == TermCode::int5 ? 3 : 2;
}

/// (-1)^negative * 2^exp * man * 2^bsig.
struct Term {
  bool negative = false;
  std::uint8_t exp = 0;   ///< 0 ... 4, added to the activation's exponent before alignment
  bool man = false;       ///< false: the term is zero
  std::uint8_t bsig = 0;  ///< the same for every weight of a cycle: applied after the adder tree

  int value() const {
    const int magnitude = man ? 1 << (exp + bsig) : 0;
    return negative ? -magnitude : magnitude;
  }
  friend bool operator==(const Term&, const Term&) = default;
};

/// The terms of a value, terms_of(code) of them, which sum to it. Integers: Booth digit i in {-2
/// ... 2}, bsig 2i, least significant first. FP3 and FP4: set bits, most significant first, bsig 0.
/// Errors: std::invalid_argument when the value is not of that code (FP3, FP4: more than two set
/// bits or above 16; INTb: outside the two's complement range).
std::vector<Term> encode_terms(int value, TermCode code);

/// One cycle of the PE, before the floating-point accumulator: what RTL is compared with.
struct BitmodStep {
  int exponent = 0;      ///< the contribution is sum * 2^exponent
  std::int32_t sum = 0;  ///< the adder tree's output, 3 guard bits included
};
/// NORMATIVE. Lanes: activation = (-1)^s * m * 2^e with m of 11 bits (hidden bit included,
/// subnormals without), e from -24. E = e + exp; M the largest E of the lanes whose term is not
/// zero. Each such lane gives (m << 3) >> (M - E), bits below dropped (3 guard bits, magnitudes
/// truncated: ours), with the sign s XOR negative; sum is their exact sum, exponent = M - 3 + bsig.
/// No lane: sum 0. Errors: std::invalid_argument for a NaN or infinite activation or terms that
/// differ in bsig.
BitmodStep bitmod_step(std::span<const Fp16, 4> a, std::span<const Term, 4> terms);

/// NORMATIVE. One group: elements four at a time, ascending (missing lanes are zero), terms
/// ascending within; after each cycle acc = acc + sum * 2^exponent, fp32 from +0, to nearest even
/// (fp32: ours). Any NaN or infinite activation: NaN. Errors: std::invalid_argument on sizes and
/// values.
float bitmod_group(std::span<const Fp16> a, std::span<const std::int8_t> values, TermCode code);

/// NORMATIVE. Bit-serial dequantisation: acc's significand times the 8-bit scale, one bit of it a
/// cycle, exact, then one rounding to fp32. The bits of acc * float(scale).
float bitmod_dequantise(float acc, std::uint8_t scale);

/// NORMATIVE. total = total + bitmod_dequantise(bitmod_group(g), scales[g]), fp32 from +0, groups
/// ascending; result = total * channel_scale (group scales are INT8 relative to the channel's).
/// scales: one for each `group` elements, the last group may be shorter. Errors:
/// std::invalid_argument on sizes.
float bitmod_dot(std::span<const Fp16> a, std::span<const std::int8_t> values, TermCode code,
                 std::size_t group, std::span<const std::uint8_t> scales, float channel_scale);

}  // namespace systole::quant
