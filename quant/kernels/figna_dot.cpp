// Aligned mantissas and integer sums. The contracts are in the header.
#include "quant/kernels/figna_dot.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/check.hpp"
#include "quant/kernels/exact.hpp"

namespace systole::quant {

namespace {

std::int64_t shifted_right(std::int64_t significand, int drop, unsigned mantissa_bits,
                           Alignment alignment) {
  const std::int64_t magnitude = std::abs(significand);
  std::int64_t kept = magnitude >> drop;
  if (alignment == Alignment::nearest) {
    const std::int64_t rest = magnitude - (kept << drop);
    const std::int64_t half = std::int64_t{1} << (drop - 1);
    if (rest > half || (rest == half && (kept & 1) != 0)) ++kept;
    kept = std::min(kept, (std::int64_t{1} << mantissa_bits) - 1);
  }
  return significand < 0 ? -kept : kept;
}

}  // namespace

AlignedGroup align(std::span<const Fp16> a, unsigned mantissa_bits, Alignment alignment) {
  require(mantissa_bits >= 1 && mantissa_bits <= 48, "figna: mantissas of 1 to 48 bits");
  int largest = -24;
  for (const Fp16 activation : a) {
    require(is_finite(activation), "figna: a NaN or infinite activation");
    const Parts parts = parts_of(activation);
    if (parts.significand != 0) largest = std::max(largest, parts.exponent);
  }
  AlignedGroup group;
  group.exponent = largest - (static_cast<int>(mantissa_bits) - 11);
  for (const Fp16 activation : a) {
    const Parts parts = parts_of(activation);
    const int drop = group.exponent - parts.exponent;
    if (parts.significand == 0) {
      group.mantissas.push_back(0);
    } else if (drop <= 0) {
      group.mantissas.push_back(parts.significand * (std::int64_t{1} << -drop));
    } else {
      group.mantissas.push_back(shifted_right(parts.significand, drop, mantissa_bits, alignment));
    }
  }
  return group;
}

float figna_dot(const AlignedGroup& a, std::span<const std::int16_t> q) {
  require(a.mantissas.size() == q.size() && q.size() <= 1u << 20, "figna: the sizes differ");
  Int128 sum = 0;
  for (std::size_t i = 0; i < q.size(); ++i) sum += Int128{a.mantissas[i]} * q[i];
  return round_scaled(sum, a.exponent);
}

float ifpu_dot(const AlignedGroup& a, std::span<const std::int16_t> q, unsigned weight_bits) {
  require(a.mantissas.size() == q.size() && q.size() <= 1u << 20, "ifpu: the sizes differ");
  require(weight_bits >= 1 && weight_bits <= 9, "ifpu: weights of 1 to 9 bits");
  for (const std::int16_t code : q) {
    require(code >= -(1 << (weight_bits - 1)) && code < 1 << (weight_bits - 1),
            "ifpu: a weight does not fit");
  }
  Int128 sum = 0;
  for (unsigned b = 0; b < weight_bits; ++b) {
    Int128 plane = 0;
    for (std::size_t i = 0; i < q.size(); ++i) {
      if (((static_cast<unsigned>(q[i]) >> b) & 1u) != 0) plane += a.mantissas[i];
    }
    plane *= std::int64_t{1} << b;
    sum = b + 1 == weight_bits ? sum - plane : sum + plane;
  }
  return round_scaled(sum, a.exponent);
}

void figna_gemm(std::span<const Fp16> a, const QuantizedMatrix& w, unsigned mantissa_bits,
                Alignment alignment, std::span<float> out) {
  require(w.spec.affine == Affine::symmetric || w.spec.affine == Affine::integer_zero,
          "figna: the weight must be symmetric or have an integer zero");
  require(w.cols != 0 && a.size() % w.cols == 0, "figna: the activation is not [m, k]");
  const std::size_t rows = a.size() / w.cols;
  require(out.size() == rows * w.rows, "figna: out is not [m, n]");
  std::fill(out.begin(), out.end(), 0.0f);
  std::vector<std::int16_t> q(w.group);
  for (std::size_t m = 0; m < rows; ++m) {
    for (std::size_t g = 0; g < w.groups; ++g) {
      const auto part = a.subspan(m * w.cols + g * w.group, w.group);
      const bool finite = std::all_of(part.begin(), part.end(), is_finite);
      const AlignedGroup aligned = finite ? align(part, mantissa_bits, alignment) : AlignedGroup{};
      for (std::size_t n = 0; n < w.rows; ++n) {
        float& acc = out[m * w.rows + n];
        if (!finite) {
          acc = std::numeric_limits<float>::quiet_NaN();
          continue;
        }
        const int zero = w.spec.affine == Affine::symmetric ? 0 : static_cast<int>(w.zero(n, g));
        for (std::size_t i = 0; i < w.group; ++i) {
          q[i] = static_cast<std::int16_t>(w.code(n, g * w.group + i) - zero);
        }
        acc = std::fma(figna_dot(aligned, q), w.scale(n, g), acc);
      }
    }
  }
}

}  // namespace systole::quant
