// The normative vector kernels. The contract is in the header.
#include "quant/kernels/vector.hpp"

#include <cmath>
#include <limits>

#include "quant/check.hpp"
#include "quant/elementary.hpp"

namespace systole::quant {

void rms_norm(std::span<const float> x, std::span<const float> weight, float eps,
              std::span<float> out) {
  require(!x.empty() && x.size() == weight.size() && x.size() == out.size(),
          "rms_norm: x, weight and out must have one non-zero size");
  float ss = 0.0f;
  for (const float v : x) ss += v * v;
  const float mean = ss / static_cast<float>(x.size());
  const float r = 1.0f / std::sqrt(mean + eps);
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = (x[i] * r) * weight[i];
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
  for (std::size_t i = 0; i < angles.cos.size(); ++i) {
    const float x0 = x[2 * i];
    const float x1 = x[2 * i + 1];
    const float c = angles.cos[i];
    const float s = angles.sin[i];
    x[2 * i] = x0 * c - x1 * s;
    x[2 * i + 1] = x0 * s + x1 * c;
  }
}

void softmax(std::span<float> x) {
  if (x.empty()) return;
  float max = x[0];
  for (const float v : x) {
    if (v > max) max = v;
  }
  float sum = 0.0f;
  for (float& v : x) {
    v = elementary::exp(v - max);
    sum += v;
  }
  for (float& v : x) v = v / sum;
}

void swiglu(std::span<const float> gate, std::span<const float> up, std::span<float> out) {
  require(gate.size() == up.size() && gate.size() == out.size(), "swiglu: the sizes differ");
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const float g = gate[i];
    out[i] = (g / (1.0f + elementary::exp(-g))) * up[i];
  }
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
