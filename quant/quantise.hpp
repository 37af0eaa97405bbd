// Turning a matrix of floats into codes and scales and back: the one definition of every integer
// policy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/format.hpp"

namespace systole::quant {

/// Largest code magnitude of a symmetric b-bit format: 2^(b-1) - 1. The most negative code is not
/// used.
constexpr int symmetric_max(Format f) { return (1 << (bits_of(f) - 1)) - 1; }
/// Largest code of an asymmetric b-bit format: 2^b - 1. The smallest is 0.
constexpr int asymmetric_max(Format f) { return (1 << bits_of(f)) - 1; }

/// What arrays with signed multipliers take off every code: 2^(b-1) for the affine forms, whose
/// codes are 0 .. 2^b - 1; 0 for symmetric ones.
constexpr int middle_code(const QuantSpec& spec) {
  return spec.affine == Affine::symmetric ? 0 : 1 << (bits_of(spec.format) - 1);
}

/// The elements along K that share one scale: spec.group for group granularity when it divides
/// cols, else all of the row. Errors: std::invalid_argument for group granularity with group 0.
std::size_t group_length(std::size_t cols, const QuantSpec& spec);

/// A quantised matrix [rows][cols], unpacked.
struct QuantizedMatrix {
  std::size_t rows = 0;
  std::size_t cols = 0;
  QuantSpec spec;
  std::size_t group = 0;   ///< elements along cols that share a scale: see group_length
  std::size_t groups = 0;  ///< scales a row: cols / group (0 for an empty row)
  std::vector<std::int8_t>
      codes;  ///< [rows][cols]; asymmetric codes are the bits of a uint8: use code()
  std::vector<float>
      scales;  ///< [rows][groups], already rounded to spec.scale; per-tensor: repeated
  std::vector<float>
      zeros;  ///< [rows][groups] minimum or zero point by spec.affine; empty when symmetric

  /// The code as the number it is: signed for symmetric, 0..255 for the affine forms.
  int code(std::size_t row, std::size_t col) const {
    const std::int8_t raw = codes[row * cols + col];
    return spec.affine == Affine::symmetric ? raw : static_cast<std::uint8_t>(raw);
  }
  float scale(std::size_t row, std::size_t g) const { return scales[row * groups + g]; }
  float zero(std::size_t row, std::size_t g) const {
    return zeros.empty() ? 0.0f : zeros[row * groups + g];
  }
};

/// Quantises values [rows, cols] (row-major) to an integer format.
/// Numbers: fp32 throughout, IEEE division, rne = round to nearest, ties to even. Over each scale's
/// elements:
///   symmetric     s = absmax / qmax;          q = clamp(rne(x / s), -qmax, qmax)
///   float_min     s = (max - min) / levels, m = min;                q = clamp(rne((x - m) / s), 0,
///   levels) integer_zero  s as above, z = clamp(rne(-min / s), 0, levels);  q = clamp(rne(x / s) +
///   z, 0, levels) float_zero    s as above, z = -min / s;                         q = clamp(rne(x
///   / s + z), 0, levels) with qmax = 2^(b-1)-1, levels = 2^b-1. s, m and float z are rounded to
///   spec.scale before any code is computed from them; what exceeds the largest finite value of
///   that format becomes that value. s = 0 gives codes 0 and a zero point of 0 (m stays: a constant
///   row decodes to m).
/// Errors: std::invalid_argument when sizes disagree, spec.format is not an integer or spec.scale
/// not a float;
///   std::domain_error naming the element when a value is NaN or infinite.
QuantizedMatrix quantise(std::span<const float> values, std::size_t rows, std::size_t cols,
                         const QuantSpec& spec);

/// Decodes with one fp32 rounding an element: symmetric s*q; float_min fma(q, s, m); integer_zero
/// s*(q - z) with the difference exact; float_zero fma(q, s, -(z*s)) with z*s rounded to fp32 first
/// (as the GEMM's epilogue has it).
std::vector<float> dequantise(const QuantizedMatrix& matrix);

/// Rounds each value to a float format and back (fp32: nothing). RNE; overflow gives infinity.
/// Errors: std::invalid_argument for an integer format.
void round_to(Format format, std::span<float> values);
float round_to(Format format, float value);

/// What `quantise` followed by `dequantise`, or `round_to`, makes of a matrix: for any format of
/// QuantSpec.
std::vector<float> fake_quantise(std::span<const float> values, std::size_t rows, std::size_t cols,
                                 const QuantSpec& spec);

/// Bits that a [rows, cols] tensor occupies in any format: what pack() of coded_matrix.hpp makes.
/// Codes with each row padded to whole bytes, one scale a group (a row, the tensor) in spec.scale,
/// and for the affine forms one zero more: float forms in spec.scale, integer zeros with as many
/// bits as a code (or zero_bits), each row of them padded to whole bytes (per-tensor: one byte).
/// ieee formats: rows * cols * bits. quant/storage.hpp splits it by part and adds outliers and
/// pages. Errors: std::overflow_error when the count does not fit 64 bits; std::invalid_argument
/// for a format without a codec.
std::uint64_t stored_bits(std::uint64_t rows, std::uint64_t cols, const QuantSpec& spec);

}  // namespace systole::quant
