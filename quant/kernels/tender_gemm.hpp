// Tender's products: activation channels classed by powers of two of their range, so that the
// accumulator changes scale by a shift. Source: Tender (ISCA 2024), by third-party description;
// accelerators.md 6.4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/kernels/overflow.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {

/// Channels by range. Class g = 0 ... classes - 1 stands for the source's group g + 1.
struct TenderClasses {
  unsigned classes = 1;
  float largest = 0;                        ///< TMax: the largest CMax
  std::vector<std::uint8_t> channel_class;  ///< [channels]
  std::vector<float> bias;                  ///< [channels] (max + min) / 2, subtracted

  /// s_g = TMax / (2^g (2^(b-1) - 1)), formed as float(TMax / (2^(b-1) - 1)) * 2^-g.
  float scale(unsigned g, unsigned bits) const;
};
/// CMax_i = (max_i - min_i) / 2, what is left of the channel after its bias. Channel i is in class
/// g iff TMax / 2^(g+1) < CMax_i <= TMax / 2^g; what is smaller than all: the last class. Errors:
/// std::invalid_argument on sizes, classes not 1 ... 32, ranges that are not finite or max < min.
TenderClasses tender_classes(std::span<const float> minima, std::span<const float> maxima,
                             unsigned classes);

/// x [rows, channels] as codes: clamp(rne((x - bias) / s), -qmax, qmax), s the class's scale, qmax
/// = 2^(bits-1) - 1; s = 0 gives 0. bits 2 ... 8.
std::vector<std::int8_t> tender_quantise(std::span<const float> x, std::size_t rows,
                                         const TenderClasses& classes, unsigned bits);

/// NORMATIVE. Classes from the largest scale to the smallest: A = A << 1 at each class boundary
/// (also into empty classes), then A = A + a * w for the class's channels, index ascending. int32;
/// each doubling and each addition under `overflow`. Equal to the sum over g of 2^(classes-1-g)
/// P_g, P_g the class's dot product. Errors: std::invalid_argument on sizes.
std::int32_t tender_dot(std::span<const std::int8_t> a, std::span<const std::int8_t> w,
                        const TenderClasses& classes, Overflow overflow);

/// NORMATIVE. out[m][n] = fma(float(A), s_last, b[n]) * s_w[n], b[n] = sum over channels ascending
/// of bias * w_code, fma from +0: the biases' share, the same for every row. w: symmetric, one
/// scale a row, [n][channels]; a: codes of tender_quantise. The description leaves open where
/// biases are added: ours. Errors: std::invalid_argument on sizes and forms.
void tender_gemm(std::span<const std::int8_t> a, const TenderClasses& classes, unsigned a_bits,
                 const QuantizedMatrix& w, std::span<float> out, Overflow overflow);

}  // namespace systole::quant
