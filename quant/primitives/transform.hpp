// Linear transforms of vectors: Walsh-Hadamard, permutation, diagonal, dense rotation, Fourier.
// All normative, fp32, every operation rounded in the order written.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace systole::quant {

/// NORMATIVE. Walsh-Hadamard transform in place of each consecutive block of n = 2^k elements:
/// butterfly stages of stride 1, 2, 4, ...: (a, b) -> (a + b, a - b), each sum rounded; then one
/// multiplication of every element by float(1 / sqrt(n)). Its own inverse up to rounding.
/// FWHT-4 of [1,2,3,4] is [5,-1,-2,0] (quantization.md §13; §12 trap 15 for the order).
/// Errors: std::invalid_argument unless n is a power of two (1 ... 65536) that divides x.size().
void fwht(std::span<float> x, std::size_t n);

/// Largest power of two that divides `extent`, at most `wanted` (0: no limit): the fallback where a
/// transform's size does not divide a small model's axis.
std::size_t fwht_size(std::size_t extent, std::size_t wanted);

/// out[i] = x[order[i]]; order is a permutation of [0, n). Errors: std::invalid_argument.
void permute(std::span<const float> x, std::span<const std::uint32_t> order, std::span<float> out);
std::vector<std::uint32_t> inverse_permutation(std::span<const std::uint32_t> order);

/// x[i] *= factors[i].
void scale_by(std::span<float> x, std::span<const float> factors);

/// NORMATIVE. out[i] = sum over j ascending of rotation[i][j] * x[j] by fma from +0.
void rotate(std::span<const float> rotation, std::span<const float> x, std::span<float> out);
/// A random orthogonal [n][n] matrix, a function of the seed (Householder QR of normal variates, in
/// double, rounded once).
std::vector<float> random_rotation(std::size_t n, std::uint64_t seed);

/// NORMATIVE. Radix-2 decimation-in-time transform in place, fp32: bit reversal, then stages of
/// length 2, 4, ...: (a, b) -> (a + w b, a - w b), w = e^(-2 pi i k / length) with each part
/// rounded once from double (a quarter turn is exactly -i), w b = (br wr - bi wi, br wi + bi wr),
/// every product and sum rounded. The inverse conjugates w and multiplies by float(1/n) at the end.
/// n a power of two. Source of the use: VidKV (arXiv 2503.16257).
void fft(std::span<std::complex<float>> x);
void inverse_fft(std::span<std::complex<float>> x);

/// NORMATIVE. RoPE on half-split pairs (x[i], x[i + d/2]): the pairing of Hugging Face checkpoints.
/// Angles as in kernels/vector.hpp, operations as rope() there. rope_inverse turns interleaved
/// pairs back by the same angle: x0' = x0*c + x1*s, x1' = x1*c - x0*s.
struct RopeAngles;
void rope_half_split(std::span<float> x, const RopeAngles& angles);
void rope_inverse(std::span<float> x, const RopeAngles& angles);

}  // namespace systole::quant
