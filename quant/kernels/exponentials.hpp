// What softmax and SwiGLU do over a row, by instruction set. All give
// the bits of the scalar definitions in vector.hpp. Not for callers: use vector.hpp.
#pragma once

#include <cstddef>

#include "quant/kernels/path.hpp"

namespace systole::quant::detail {

/// The number of partial sums of vector.hpp's sixteenfold sum.
constexpr std::size_t kSums = 16;

struct Exponentials {
  /// The largest of at least one element, by x > max. A NaN in front stays; of +0 and -0 either.
  float (*largest)(const float* x, std::size_t n);
  /// x = exp(x - max), x: [n]; returns the sixteenfold sum of the results.
  float (*of_differences)(float* x, float max, std::size_t n);
  /// out = (gate / (1 + exp(-gate))) * up, all [n]; out may be an operand.
  void (*gate)(const float* gate, const float* up, float* out, std::size_t n);
};

/// The fastest that the path allows, which the CPU must have.
const Exponentials& exponentials(Path path);

#if defined(__x86_64__)
const Exponentials& avx512_exponentials();
#endif

}  // namespace systole::quant::detail
