// Products of a float vector with a quantised matrix, dequantised on the fly: what a memory-bound
// decode step does (KIVI, AWQ). The folded forms save the multiplication an element and round
// otherwise: they are contracts of their own. Source: KIVI (arXiv 2402.02750), AWQ (arXiv
// 2306.00978); quantization.md A2 for the folding.
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

enum class GemvAccumulator : std::uint8_t {
  fp32,  ///< elements decoded to fp32, acc = fma(x, w, acc) in fp32
  fp16,  ///< elements and x rounded to fp16, acc = fma(x, w, acc) rounded once to fp16
};
inline constexpr std::array<std::string_view, 2> kGemvAccumulatorNames = {"fp32", "fp16"};

/// a * b + c of fp16 numbers with one rounding to fp16, as IEEE has it.
Fp16 fma_fp16(Fp16 a, Fp16 b, Fp16 c);

/// NORMATIVE. out[n] = sum over k ascending of x[k] * w[n][k] from +0, each element decoded as
/// `dequantise` does it (one rounding to fp32), accumulated as `accumulator` says. x [K], out [N].
/// Errors: std::invalid_argument on sizes.
void gemv_dequantise(const QuantizedMatrix& w, std::span<const float> x, std::span<float> out,
                     GemvAccumulator accumulator = GemvAccumulator::fp32);

/// NORMATIVE, contract `folded`, scales along the sum. For each n, acc = +0; groups ascending:
///   dot = sum of x[k] * code (fma from +0, k ascending, codes as integers), xsum = sum of x[k];
///   symmetric     acc = fma(dot, s, acc)
///   float_min     acc = fma(dot, s, acc); acc = fma(xsum, m, acc)
///   integer_zero, float_zero   the same with m = -(z * s), rounded
/// fp32. xsum is one sum a group, shared by all outputs.
void gemv_folded(const QuantizedMatrix& w, std::span<const float> x, std::span<float> out);

/// Codes whose groups run along the outputs: KIVI's key cache, [tokens][channels] with one scale
/// (and minimum) for each `group` tokens of a channel.
struct ChannelGroups {
  std::size_t tokens = 0;
  std::size_t channels = 0;
  std::size_t group = 1;            ///< tokens that share a scale; the last may be fewer
  std::vector<std::uint8_t> codes;  ///< [tokens][channels]
  std::vector<float> scales;        ///< [ceil(tokens / group)][channels]
  std::vector<float> minima;        ///< the same shape; x = s * q + m
};
/// NORMATIVE. scores[t] = sum over channels ascending of q[c] * fma(code, s, m), fma from +0, fp32.
void channel_scores(const ChannelGroups& keys, std::span<const float> query,
                    std::span<float> scores);
/// NORMATIVE, contract `folded`: once a group of tokens q'[c] = q[c] * s (rounded) and b = sum of
/// q[c]
/// * m (fma from +0, channel ascending); then scores[t] = sum of q'[c] * code, fma from b, channel
/// ascending. Errors of both: std::invalid_argument on sizes.
void channel_scores_folded(const ChannelGroups& keys, std::span<const float> query,
                           std::span<float> scores);

}  // namespace systole::quant
