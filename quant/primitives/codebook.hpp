// Look-up tables and codebooks: nearest entry, k-means in one and several dimensions, codeword
// scores and gathers, exact shrinking of integer codes, power-of-two decoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace systole::quant {

/// NORMATIVE. Index of the entry with the least |x - entry|, in fp32; the lowest index wins ties
/// (quantization.md §12 trap 1). Errors: std::invalid_argument when empty.
std::uint32_t nearest_entry(float x, std::span<const float> table);

/// Weighted one-dimensional k-means (Lloyd), at most `iterations`, initial centres at the uniform
/// quantiles ((c + 1/2) / centres) of the weighted data, double sums in index order; a value half
/// way goes to the lower centre, an empty cluster keeps its centre; result ascending. Weights
/// empty: all 1. Errors: std::invalid_argument without data or centres, for values that are not
/// finite and for weights that are negative, not finite or all zero. Source: KVQuant (arXiv
/// 2401.18079), weights = diagonal Fisher information.
std::vector<float> kmeans_1d(std::span<const float> x, std::span<const float> weights,
                             std::size_t centres, unsigned iterations = 50);

/// k-means of vectors [n][length] -> [centres][length]; initial centres by k-means++ from `seed`.
std::vector<float> kmeans(std::span<const float> x, std::size_t length, std::size_t centres,
                          std::uint64_t seed, unsigned iterations = 25);
/// Index of the codeword with the least squared distance (fp32, element ascending); lowest wins.
std::uint32_t nearest_codeword(std::span<const float> x, std::span<const float> codebook);
/// scores[c] = dot(query, codeword c), fma from +0, element ascending: once a step (A2ATS).
std::vector<float> codeword_scores(std::span<const float> query, std::span<const float> codebook);

/// PM-KVQ exact shrink of a 2n-bit code to n bits, n = 1, 2, 4, 8:
/// (q (2^2n - 2^n + 1) + 2^(3n-1) - 2^(2n-1) + 2^(n-1)) >> 3n, which is q / (2^n + 1) rounded half
/// up (quantization.md B5). The scale becomes s (2^n + 1).
std::uint32_t shrink_code(std::uint32_t code, unsigned n);

/// NORMATIVE. +-2^(f + r / 2^table_bits) as a shift of a table entry: round(2^(r/2^table_bits) *
/// 2^16) * 2^(f - 16) (twin-log, LRQ-DiT). r < 2^table_bits <= 256.
float power_of_two(int f, unsigned r, unsigned table_bits, bool negative);

}  // namespace systole::quant
