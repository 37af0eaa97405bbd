// Exponentials for any CPU, by the definition in elementary.hpp.
#include "quant/kernels/exponentials.hpp"

#include "quant/elementary.hpp"

namespace systole::quant::detail {

namespace {

// The compiler vectorises these loops, once for each instruction set, chosen at run time. Nothing
// is contracted (-ffp-contract=off) and every sum keeps its order, so the bits are equal.
#if defined(__x86_64__)
#define SYSTOLE_VECTOR_CLONES [[gnu::target_clones("default", "avx2", "avx512f")]]
#else
#define SYSTOLE_VECTOR_CLONES
#endif

/// out[i] = value(i) by way of a small block, so that the loop vectorises where out is an operand.
template <class Value>
[[gnu::always_inline]] inline void in_blocks(std::size_t n, float* out, const Value& value) {
  constexpr std::size_t kBlock = 64;
  float block[kBlock];
  std::size_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    for (std::size_t j = 0; j < kBlock; ++j) block[j] = value(i + j);
    for (std::size_t j = 0; j < kBlock; ++j) out[i + j] = block[j];
  }
  for (; i < n; ++i) out[i] = value(i);
}

template <class Number>
[[gnu::always_inline]] inline Number fold(Number (&sums)[kSums]) {
  for (std::size_t half = kSums / 2; half != 0; half /= 2) {
    for (std::size_t j = 0; j < half; ++j) sums[j] += sums[j + half];
  }
  return sums[0];
}

/// Of at least one element. In lanes: which of two equal values is met does not matter (zeros of
/// either sign give the same differences), and a NaN in front stays in every lane.
SYSTOLE_VECTOR_CLONES float largest(const float* x, std::size_t n) {
  float lanes[kSums];
  for (float& lane : lanes) lane = x[0];
  std::size_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (std::size_t j = 0; j < kSums; ++j) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  }
  for (std::size_t j = 0; i + j < n; ++j) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  float max = lanes[0];
  for (const float lane : lanes) max = lane > max ? lane : max;
  return max;
}

/// x = exp(x - max); returns the sum. The rest of a row, of which attention has many short ones,
/// goes through a block of its own.
SYSTOLE_VECTOR_CLONES float of_differences(float* x, float max, std::size_t n) {
  float sums[kSums] = {};
  float block[kSums];
  std::size_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (std::size_t j = 0; j < kSums; ++j) block[j] = elementary::exp(x[i + j] - max);
    for (std::size_t j = 0; j < kSums; ++j) x[i + j] = block[j];
    for (std::size_t j = 0; j < kSums; ++j) sums[j] += block[j];
  }
  if (i < n) {
    for (std::size_t j = 0; j < kSums; ++j) block[j] = i + j < n ? x[i + j] : max;
    for (std::size_t j = 0; j < kSums; ++j) block[j] = elementary::exp(block[j] - max);
    for (std::size_t j = 0; i + j < n; ++j) {
      x[i + j] = block[j];
      sums[j] += block[j];
    }
  }
  return fold(sums);
}

SYSTOLE_VECTOR_CLONES void gate_with(const float* gate, const float* up, float* out,
                                     std::size_t n) {
  in_blocks(
      n, out, [&](std::size_t i) __attribute__((always_inline)) {
        return (gate[i] / (1.0f + elementary::exp(-gate[i]))) * up[i];
      });
}

constexpr double kExponentRange = 700.0;  // the domain of elementary::exp

[[gnu::always_inline]] inline double exponential(float x, double max) {
  const double d = static_cast<double>(x) - max;
  const double e = elementary::exp(d > -kExponentRange ? d : -kExponentRange);
  return d > -kExponentRange ? e : 0.0;
}

SYSTOLE_VECTOR_CLONES double sum(const float* x, double max, std::size_t n) {
  double sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (std::size_t j = 0; j < kSums; ++j) sums[j] += exponential(x[i + j], max);
  }
  for (std::size_t j = 0; i + j < n; ++j) sums[j] += exponential(x[i + j], max);
  return fold(sums);
}

}  // namespace

const Exponentials& exponentials(Path path) {
  static constexpr Exponentials portable = {largest, of_differences, gate_with, sum};
#if defined(__x86_64__)
  if (path == Path::avx512_vnni) return avx512_exponentials();
#endif
  static_cast<void>(path);
  return portable;
}

}  // namespace systole::quant::detail
