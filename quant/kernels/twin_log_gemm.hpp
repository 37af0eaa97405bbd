// Products with power-of-two weights by shifts: the multiplier is a small table of fractions.
// Source: LRQ-DiT (arXiv 2508.03485), twin-log weights; no code of it is public. quantization.md
// 2.3, primitive 21.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace systole::quant {

/// One weight: 0, or +-2^(f + r / 2^table_bits). The separate scale and zero of each sign (twin)
/// are in f and r already: s (q + z) in steps of 2^-table_bits.
struct LogCode {
  bool zero = false;
  bool negative = false;
  std::int8_t f = 0;
  std::uint8_t r = 0;

  friend bool operator==(const LogCode&, const LogCode&) = default;
};
/// The nearest code in the logarithm (ties to the larger magnitude) with f in [f_min, f_max]; what
/// lies outside saturates, zero is zero. Errors: std::invalid_argument for NaN and infinities.
LogCode log_encode(float value, int f_min, int f_max, unsigned table_bits);
/// By power_of_two of primitives/codebook.hpp.
float log_decode(LogCode code, unsigned table_bits);

/// NORMATIVE. For each element ascending: (a * T[r]) << (f - f_min), T[r] = round(2^(r /
/// 2^table_bits) * 2^16) an integer of 17 bits; added with the code's sign to an exact integer
/// accumulator; result = sum * 2^(f_min - 16), rounded once to fp32. The correctly rounded sum of a
/// * log_decode. Errors: std::invalid_argument on sizes, table_bits above 8, r beyond the table, or
/// f spanning more than 63.
float log_dot(std::span<const std::int8_t> a, std::span<const LogCode> w, unsigned table_bits);

/// NORMATIVE. out[m][n] = (log_dot * w_scales[n]) * a_scales[m], two roundings. a [M, K], w [N, K].
void log_gemm(std::span<const std::int8_t> a, std::span<const float> a_scales,
              std::span<const LogCode> w, std::span<const float> w_scales, std::size_t k,
              unsigned table_bits, std::span<float> out);

}  // namespace systole::quant
