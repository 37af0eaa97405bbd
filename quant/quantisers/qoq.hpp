// QoQ, QServe's W4A8 weights: int8 by output channel within a protective range, then unsigned 4-bit
// groups inside the int8, so that decoding a weight is integer arithmetic on packed bytes.
//
// Source: QServe (arXiv 2405.04532), mit-han-lab/deepcompressor and omniserve; quantization.md C4
// and §12 traps 4 and 5.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/format.hpp"
#include "quant/quantisers/gptq.hpp"

namespace systole::quant {

/// Where the level-1 zero lives, and with it the largest |int8| that can never overflow.
enum class QoqZero : std::uint8_t {
  before_scale,  ///< w8 = (q4 - z) * s, z in 0 ... 15: bound 119, as in the paper
  after_scale,   ///< w8 = q4 * s + zneg (wrapping byte add), zneg = the group's minimum: bound 120
};
constexpr int protective_bound(QoqZero zero) { return zero == QoqZero::before_scale ? 119 : 120; }

/// One level-1 group: NORMATIVE. s = max(1, rne((max - min) / 15));
///   before_scale: z = clamp(rne(-min / s), 0, 15), q = clamp(rne(w8 / s) + z, 0, 15)
///   after_scale:  zneg = min, q = clamp(rne((w8 - min) / s), 0, 15)
/// rne on exact quotients, ties to even.
struct QoqGroup {
  std::int32_t scale = 1;
  std::int32_t zero = 0;  ///< z or zneg
};
QoqGroup qoq_group(std::span<const std::int8_t> values, QoqZero zero);
std::uint8_t qoq_encode(std::int32_t w8, const QoqGroup& group, QoqZero zero);
/// The value before it is put in a byte: outside -128 ... 127 exactly when the range is violated.
std::int32_t qoq_decode_wide(std::uint8_t code, const QoqGroup& group, QoqZero zero);
/// Four codes, one a byte, decoded as the kernel does: one 32-bit multiplication, one packed byte
/// addition that wraps. zneg is -z * s for before_scale.
std::uint32_t qoq_decode_packed(std::uint32_t codes, const QoqGroup& group, QoqZero zero);

struct QoqWeight {
  std::size_t n = 0, k = 0, group = 0;
  QoqZero zero = QoqZero::before_scale;
  std::vector<float> scales;        ///< [n], level 0, fp16 values
  std::vector<QoqGroup> groups;     ///< [n][k / group]
  std::vector<std::uint8_t> codes;  ///< [n][k], 0 ... 15
  /// w8 of each element, by qoq_decode_packed's arithmetic.
  std::vector<std::int8_t> level0() const;
  /// scale * w8, one fp32 product.
  std::vector<float> values() const;
  /// 4 bits, 16 a group (scale and zero, a byte each), 16 a row.
  double stored_bits() const;
};
/// Level 0: s = fp16(absmax / bound), w8 = clamp(rne(w / s), -bound, bound). Errors:
/// std::invalid_argument unless group divides k; std::domain_error for a value that is not finite.
QoqWeight qoq_quantise(std::span<const float> weight, std::size_t n, std::size_t k,
                       std::size_t group, QoqZero zero = QoqZero::before_scale);
/// The same under GPTQ: columns are coded by both levels, errors move on.
QoqWeight qoq_gptq(std::span<const float> weight, std::size_t n, std::size_t k, std::size_t group,
                   const GptqHessian& hessian, const GptqOptions& options,
                   QoqZero zero = QoqZero::before_scale);

/// A token's activations: codes by fp32 127 / absmax, the stored scale is fp16(absmax / 127): not
/// the same number (trap 4). sum: fp16 of the sum of the *unquantised* activations (fp32, index
/// ascending), for the zero of per-channel weights.
struct QoqToken {
  std::vector<std::int8_t> codes;
  float scale = 0;
  float sum = 0;
};
/// NORMATIVE. codes = clamp(rne(x * (127 / absmax)), -127, 127); absmax 0: codes and scale 0.
QoqToken qoq_activation(std::span<const float> x);

/// NORMATIVE. One output of the group kernel: int32 sum over k of w8 * a8, then
/// fp16((float(sum) * w_scale) * a_scale), each step rounded.
float qoq_dot(const QoqWeight& weight, std::size_t row, const QoqToken& token);

/// Per-channel variant: unsigned 4-bit codes of whole rows, fp16 s and fp16 s * z.
struct QoqChannelWeight {
  std::size_t n = 0, k = 0;
  std::vector<std::uint8_t> codes;          ///< [n][k]
  std::vector<float> scales, scaled_zeros;  ///< [n], fp16 values
  double stored_bits() const;               ///< 4 + 32 / k
};
QoqChannelWeight qoq_quantise_channels(std::span<const float> weight, std::size_t n, std::size_t k);
/// NORMATIVE. fp16((float(int32 sum of code * a8) * s) * a_scale - (s z) * token.sum), fp32 steps.
float qoq_dot(const QoqChannelWeight& weight, std::size_t row, const QoqToken& token);

}  // namespace systole::quant
