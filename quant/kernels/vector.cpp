// The normative vector kernels. The contract is in the header.
#include "quant/kernels/vector.hpp"

#include <cmath>
#include <limits>

#include "quant/check.hpp"
#include "quant/clones.hpp"
#include "quant/elementary.hpp"
#include "quant/kernels/exponentials.hpp"

namespace systole::quant {

namespace {

// The compiler vectorises these loops, once for each instruction set, chosen at run time. Nothing
// is contracted (-ffp-contract=off) and every sum keeps its order, so the bits are equal.

using detail::kSums;

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

SYSTOLE_CLONES float sum_of_squares(const float* x, std::size_t n) {
  float sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (std::size_t j = 0; j < kSums; ++j) sums[j] += x[i + j] * x[i + j];
  }
  for (std::size_t j = 0; i + j < n; ++j) sums[j] += x[i + j] * x[i + j];
  return fold(sums);
}

SYSTOLE_CLONES void scale_by(const float* x, float r, const float* weight, float* out,
                             std::size_t n) {
  in_blocks(
      n, out, [&](std::size_t i) __attribute__((always_inline)) { return (x[i] * r) * weight[i]; });
}

/// Of at least one element. In lanes: which of two equal values is met does not matter (zeros of
/// either sign give the same differences), and a NaN in front stays in every lane.
SYSTOLE_CLONES float largest(const float* x, std::size_t n) {
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
SYSTOLE_CLONES float of_differences(float* x, float max, std::size_t n) {
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

SYSTOLE_CLONES void divide(float* x, float by, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] = x[i] / by;
}

SYSTOLE_CLONES void gate_with(const float* gate, const float* up, float* out, std::size_t n) {
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

SYSTOLE_CLONES double sum_of_exponentials(const float* x, double max, std::size_t n) {
  double sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (std::size_t j = 0; j < kSums; ++j) sums[j] += exponential(x[i + j], max);
  }
  for (std::size_t j = 0; i + j < n; ++j) sums[j] += exponential(x[i + j], max);
  return fold(sums);
}

SYSTOLE_CLONES void rotate(float* x, const float* cos, const float* sin, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const float x0 = x[2 * i];
    const float x1 = x[2 * i + 1];
    x[2 * i] = x0 * cos[i] - x1 * sin[i];
    x[2 * i + 1] = x0 * sin[i] + x1 * cos[i];
  }
}

const detail::Exponentials& fastest() {
  static const detail::Exponentials& chosen = detail::exponentials(best_path());
  return chosen;
}

}  // namespace

const detail::Exponentials& detail::exponentials(Path path) {
  static constexpr Exponentials portable = {largest, of_differences, gate_with};
#if defined(__x86_64__)
  if (path >= Path::avx512_vnni) return avx512_exponentials();
#endif
  static_cast<void>(path);
  return portable;
}

void rms_norm(std::span<const float> x, std::span<const float> weight, float eps,
              std::span<float> out) {
  require(!x.empty() && x.size() == weight.size() && x.size() == out.size(),
          "rms_norm: x, weight and out must have one non-zero size");
  const float mean = sum_of_squares(x.data(), x.size()) / static_cast<float>(x.size());
  const float r = 1.0f / std::sqrt(mean + eps);
  scale_by(x.data(), r, weight.data(), out.data(), x.size());
}

std::vector<double> rope_frequencies(std::size_t head_dim, double theta) {
  require(head_dim % 2 == 0, "rope: the head dimension must be even");
  require(theta >= 1.0 && theta <= std::numeric_limits<double>::max(),
          "rope: theta must be finite and >= 1");
  std::vector<double> frequencies(head_dim / 2);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = -static_cast<double>(2 * i) / static_cast<double>(head_dim);
    frequencies[i] = elementary::pow(theta, exponent);
  }
  return frequencies;
}

RopeAngles rope_angles(std::size_t position, std::span<const double> frequencies) {
  RopeAngles angles;
  angles.cos.reserve(frequencies.size());
  angles.sin.reserve(frequencies.size());
  for (const double frequency : frequencies) {
    const double angle = static_cast<double>(position) * frequency;
    require(angle >= -0x1p20 && angle <= 0x1p20, "rope: a position beyond 2^20 radians");
    const elementary::SinCos sc = elementary::sincos(angle);
    angles.cos.push_back(sc.cos);
    angles.sin.push_back(sc.sin);
  }
  return angles;
}

void rope(std::span<float> x, const RopeAngles& angles) {
  require(x.size() == 2 * angles.cos.size() && angles.sin.size() == angles.cos.size(),
          "rope: one pair of elements an angle");
  rotate(x.data(), angles.cos.data(), angles.sin.data(), angles.cos.size());
}

void softmax(std::span<float> x) {
  if (x.empty()) return;
  const float sum =
      fastest().of_differences(x.data(), fastest().largest(x.data(), x.size()), x.size());
  divide(x.data(), sum, x.size());
}

void swiglu(std::span<const float> gate, std::span<const float> up, std::span<float> out) {
  require(gate.size() == up.size() && gate.size() == out.size(), "swiglu: the sizes differ");
  fastest().gate(gate.data(), up.data(), out.data(), gate.size());
}

double log_sum_exp(std::span<const float> x) {
  require(!x.empty(), "log_sum_exp of nothing");
  const double max = fastest().largest(x.data(), x.size());
  return elementary::log(sum_of_exponentials(x.data(), max, x.size())) + max;
}

std::size_t argmax(std::span<const float> x) {
  require(!x.empty(), "argmax of nothing");
  std::size_t best = 0;
  for (std::size_t i = 1; i < x.size(); ++i) {
    if (x[i] > x[best] || (std::isnan(x[best]) && !std::isnan(x[i]))) best = i;
  }
  return best;
}

}  // namespace systole::quant
