// Floating-point activations times integer weights with one conversion at the end: mantissas
// aligned to the largest exponent of a group, then integer sums. Sources: FIGNA (HPCA 2024) and
// iFPU (ICLR 2023), through Anda (HPCA 2025); accelerators.md 6.5. The papers' text is not at hand:
// where bits lost in alignment are dropped or rounded is a parameter.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "quant/float16.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {

enum class Alignment : std::uint8_t {
  truncate,  ///< magnitude bits below the mantissa are dropped
  nearest,   ///< rounded, ties to even; a carry out of the mantissa saturates
};
inline constexpr std::array<std::string_view, 2> kAlignmentNames = {"truncate", "nearest"};

/// Bits of an aligned mantissa with the hidden bit, without the sign: FIGNA 13 (11 of FP16 and two
/// more), its variants M11 and M8; an iFPU-like unit is wider. 40 and more lose nothing of FP16 (29
/// steps of exponent, 11 bits).
inline constexpr unsigned kFignaMantissa = 13;
inline constexpr unsigned kExactMantissa = 40;

/// value of element i is mantissas[i] * 2^exponent.
struct AlignedGroup {
  int exponent = 0;
  std::vector<std::int64_t> mantissas;
};
/// NORMATIVE. M the largest exponent (of the 11-bit significand as an integer, from -24) of the
/// group; exponent = M - (mantissa_bits - 11); each significand shifted by its distance to that,
/// the bits below by `alignment`. mantissa_bits 1 ... 48. Errors: std::invalid_argument for NaN or
/// infinite activations and for mantissa_bits.
AlignedGroup align(std::span<const Fp16> a, unsigned mantissa_bits, Alignment alignment);

/// NORMATIVE. Exact integer sum of mantissas[i] * q[i], then one rounding to fp32. q: up to
/// 9 bits with sign. Errors: std::invalid_argument on sizes or more than 2^20 elements.
float figna_dot(const AlignedGroup& a, std::span<const std::int16_t> q);

/// NORMATIVE. iFPU: the same sum by weight bit planes, sum over planes b ascending of +-2^b times
/// the sum of the mantissas that plane selects. The bits of figna_dot. q must fit `weight_bits`,
/// two's complement.
float ifpu_dot(const AlignedGroup& a, std::span<const std::int16_t> q, unsigned weight_bits);

/// NORMATIVE. out[m][n]: acc = fma(figna_dot(group of a, codes of w), s_w[n][g], acc) from +0,
/// groups ascending, mantissas aligned once a row and weight group. w: symmetric, or integer_zero
/// with q = code - zero; a [M, K]. A row group with a NaN or infinite activation adds NaN. Errors:
/// std::invalid_argument on shapes and forms.
void figna_gemm(std::span<const Fp16> a, const QuantizedMatrix& w, unsigned mantissa_bits,
                Alignment alignment, std::span<float> out);

}  // namespace systole::quant
