// Walsh-Hadamard, permutation, rotation, Fourier and the other rotary pairing. The contracts are in
// the header.
#include "quant/primitives/transform.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <utility>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/kernels/vector.hpp"
#include "quant/primitives/random.hpp"

namespace systole::quant {

void fwht(std::span<float> x, std::size_t n) {
  require(std::has_single_bit(n) && n <= 65536,
          "fwht: the size must be a power of two, 1 to 65536");
  require(x.size() % n == 0, "fwht: the size does not divide the vector");
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(n)));
  for (std::size_t block = 0; block < x.size(); block += n) {
    for (std::size_t stride = 1; stride < n; stride *= 2) {
      for (std::size_t i = 0; i < n; i += 2 * stride) {
        for (std::size_t j = block + i; j < block + i + stride; ++j) {
          const float a = x[j];
          const float b = x[j + stride];
          x[j] = a + b;
          x[j + stride] = a - b;
        }
      }
    }
    for (std::size_t j = block; j < block + n; ++j) x[j] *= scale;
  }
}

std::size_t fwht_size(std::size_t extent, std::size_t wanted) {
  if (extent == 0) return 1;
  const std::size_t largest = extent & (~extent + 1);  // the lowest set bit divides, no higher does
  const std::size_t limit = wanted == 0 ? largest : std::bit_floor(wanted);
  return std::min({largest, limit, std::size_t{65536}});
}

void permute(std::span<const float> x, std::span<const std::uint32_t> order, std::span<float> out) {
  require(x.size() == order.size() && x.size() == out.size(), "permute: the sizes differ");
  (void)inverse_permutation(order);  // refuses what is no permutation
  for (std::size_t i = 0; i < order.size(); ++i) out[i] = x[order[i]];
}

std::vector<std::uint32_t> inverse_permutation(std::span<const std::uint32_t> order) {
  require(order.size() < UINT32_MAX, "permute: too many elements");
  std::vector<std::uint32_t> inverse(order.size(), UINT32_MAX);
  for (std::size_t i = 0; i < order.size(); ++i) {
    require(order[i] < order.size() && inverse[order[i]] == UINT32_MAX,
            "permute: the order is not a permutation");
    inverse[order[i]] = static_cast<std::uint32_t>(i);
  }
  return inverse;
}

void scale_by(std::span<float> x, std::span<const float> factors) {
  require(x.size() == factors.size(), "scale_by: one factor an element");
  for (std::size_t i = 0; i < x.size(); ++i) x[i] *= factors[i];
}

void rotate(std::span<const float> rotation, std::span<const float> x, std::span<float> out) {
  require(x.empty() ? rotation.empty()
                    : rotation.size() % x.size() == 0 && rotation.size() / x.size() == out.size(),
          "rotate: the matrix is not [out][x]");
  for (std::size_t i = 0; i < out.size(); ++i) {
    float acc = 0.0f;
    for (std::size_t j = 0; j < x.size(); ++j)
      acc = std::fma(rotation[i * x.size() + j], x[j], acc);
    out[i] = acc;
  }
}

namespace {

/// Applies I - 2 v v^T / (v^T v), v at rows first .., to the columns of a [n][n] matrix.
void reflect(std::vector<double>& m, std::size_t n, std::span<const double> v, std::size_t first) {
  double vv = 0.0;
  for (const double e : v) vv += e * e;
  if (vv == 0.0) return;
  for (std::size_t column = 0; column < n; ++column) {
    double dot = 0.0;
    for (std::size_t i = 0; i < v.size(); ++i) dot += v[i] * m[(first + i) * n + column];
    const double factor = 2.0 * dot / vv;
    for (std::size_t i = 0; i < v.size(); ++i) m[(first + i) * n + column] -= factor * v[i];
  }
}

}  // namespace

std::vector<float> random_rotation(std::size_t n, std::uint64_t seed) {
  require(n <= 16384, "random_rotation: at most 16384 rows");
  SplitMix random(seed);
  std::vector<double> a(n * n);  // becomes R
  for (double& e : a) e = random.normal();
  std::vector<double> q(n * n, 0.0);  // becomes the transpose of Q: the reflections applied to I
  for (std::size_t i = 0; i < n; ++i) q[i * n + i] = 1.0;
  std::vector<double> v;
  for (std::size_t k = 0; k + 1 < n; ++k) {
    v.resize(n - k);
    double norm = 0.0;
    for (std::size_t i = k; i < n; ++i) {
      v[i - k] = a[i * n + k];
      norm += v[i - k] * v[i - k];
    }
    norm = std::sqrt(norm);
    v[0] += v[0] < 0.0 ? -norm : norm;
    reflect(a, n, v, k);
    reflect(q, n, v, k);
  }
  // Rows whose diagonal of R is negative are turned, so that Q is uniform over all rotations and
  // reflections (Mezzadri, arXiv math-ph/0609050).
  std::vector<float> rotation(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    const double sign = a[i * n + i] < 0.0 ? -1.0 : 1.0;
    for (std::size_t j = 0; j < n; ++j)
      rotation[i * n + j] = static_cast<float>(sign * q[i * n + j]);
  }
  return rotation;
}

namespace {

std::complex<float> times(std::complex<float> a, std::complex<float> b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

/// e^(-2 pi i k / n), k < n / 2, each part rounded once; a quarter turn is exact.
std::complex<float> twiddle(std::size_t k, std::size_t n) {
  if (k == 0) return {1.0f, 0.0f};
  if (4 * k == n) return {0.0f, -1.0f};
  const double angle = -2.0 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
  const elementary::SinCos sc = elementary::sincos(angle);
  return {sc.cos, sc.sin};
}

void transform(std::span<std::complex<float>> x, bool inverse) {
  const std::size_t n = x.size();
  require(std::has_single_bit(n), "fft: the size must be a power of two");
  for (std::size_t i = 0, j = 0; i < n; ++i) {  // j: i with its bits reversed
    if (i < j) std::swap(x[i], x[j]);
    std::size_t bit = n >> 1;
    for (; (j & bit) != 0; bit >>= 1) j ^= bit;
    j |= bit;
  }
  for (std::size_t length = 2; length <= n; length *= 2) {
    for (std::size_t k = 0; k < length / 2; ++k) {
      const std::complex<float> w = inverse ? std::conj(twiddle(k, length)) : twiddle(k, length);
      for (std::size_t begin = k; begin < n; begin += length) {
        const std::complex<float> a = x[begin];
        const std::complex<float> b = times(x[begin + length / 2], w);
        x[begin] = {a.real() + b.real(), a.imag() + b.imag()};
        x[begin + length / 2] = {a.real() - b.real(), a.imag() - b.imag()};
      }
    }
  }
}

}  // namespace

void fft(std::span<std::complex<float>> x) { transform(x, false); }

void inverse_fft(std::span<std::complex<float>> x) {
  transform(x, true);
  const float scale = 1.0f / static_cast<float>(x.size());
  for (std::complex<float>& v : x) v = {v.real() * scale, v.imag() * scale};
}

namespace {

void check_pairs(std::span<const float> x, const RopeAngles& angles) {
  require(x.size() == 2 * angles.cos.size() && angles.sin.size() == angles.cos.size(),
          "rope: one pair of elements an angle");
}

}  // namespace

void rope_half_split(std::span<float> x, const RopeAngles& angles) {
  check_pairs(x, angles);
  const std::size_t half = x.size() / 2;
  for (std::size_t i = 0; i < half; ++i) {
    const float x0 = x[i];
    const float x1 = x[i + half];
    x[i] = x0 * angles.cos[i] - x1 * angles.sin[i];
    x[i + half] = x0 * angles.sin[i] + x1 * angles.cos[i];
  }
}

void rope_inverse(std::span<float> x, const RopeAngles& angles) {
  check_pairs(x, angles);
  for (std::size_t i = 0; i < angles.cos.size(); ++i) {
    const float x0 = x[2 * i];
    const float x1 = x[2 * i + 1];
    x[2 * i] = x0 * angles.cos[i] + x1 * angles.sin[i];
    x[2 * i + 1] = x1 * angles.cos[i] - x0 * angles.sin[i];
  }
}

}  // namespace systole::quant
