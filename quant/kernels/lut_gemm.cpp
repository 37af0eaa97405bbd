// Tables of signed sums and products by look-up. The contracts are in the header.
#include "quant/kernels/lut_gemm.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/kernels/group_epilogue.hpp"

namespace systole::quant {

LutTable lut_table(std::span<const std::int32_t> a) {
  require(a.size() <= kLutGroup, "lut_table: at most four activations");
  LutTable table;
  for (unsigned i = 0; i < 8; ++i) {
    for (std::size_t j = 0; j < a.size(); ++j) {
      table.entries[i] += ((i >> j) & 1u) != 0 ? a[j] : -a[j];
    }
  }
  for (const std::int32_t v : a) table.sum += v;
  return table;
}

std::int32_t lut_entry(const LutTable& table, unsigned index) {
  return (index & 8u) != 0 ? -table.entries[~index & 7u] : table.entries[index & 7u];
}

namespace {

void check(std::size_t activations, std::size_t codes, unsigned bits) {
  require(activations == codes, "lut_dot: the operands differ in length");
  require(bits >= 1 && bits <= 8, "lut_dot: 1 to 8 bits");
}

std::int32_t plane_weight(unsigned b, unsigned bits, bool is_signed) {
  return is_signed && b + 1 == bits ? -(1 << b) : 1 << b;
}

std::int32_t plane_weights(unsigned bits, bool is_signed) {
  return is_signed ? -1 : (1 << bits) - 1;
}

/// Bit b of up to four codes, as an index; missing codes count as 0.
unsigned plane_index(std::span<const std::uint8_t> codes, unsigned b) {
  unsigned index = 0;
  for (std::size_t j = 0; j < codes.size(); ++j) {
    index |= ((static_cast<unsigned>(codes[j]) >> b) & 1u) << j;
  }
  return index;
}

}  // namespace

std::int64_t lut_dot(std::span<const std::int8_t> a, std::span<const std::uint8_t> codes,
                     unsigned bits, bool is_signed) {
  check(a.size(), codes.size(), bits);
  std::int64_t twice = 0;
  for (std::size_t begin = 0; begin < a.size(); begin += kLutGroup) {
    const std::size_t count = std::min(kLutGroup, a.size() - begin);
    const std::array<std::int32_t, kLutGroup> four = [&] {
      std::array<std::int32_t, kLutGroup> v{};
      std::copy_n(a.begin() + static_cast<std::ptrdiff_t>(begin), count, v.begin());
      return v;
    }();
    const LutTable table = lut_table(four);
    for (unsigned b = 0; b < bits; ++b) {
      const std::int32_t entry = lut_entry(table, plane_index(codes.subspan(begin, count), b));
      twice += std::int64_t{plane_weight(b, bits, is_signed)} * entry;
    }
    twice += std::int64_t{plane_weights(bits, is_signed)} * table.sum;
  }
  return twice / 2;  // always even
}

void gemm_lut(const QuantizedMatrix& a, const QuantizedMatrix& w, std::span<float> out) {
  check_integer_operands(a, w, out.size());
  const bool is_signed = w.spec.affine == Affine::symmetric;
  const std::vector<std::uint8_t> codes(w.codes.begin(), w.codes.end());
  integer_gemm(a, w, out, [&](std::size_t m, std::size_t n, std::size_t begin, std::size_t end) {
    return static_cast<std::int32_t>(
        lut_dot(std::span(a.codes).subspan(m * a.cols + begin, end - begin),
                std::span(codes).subspan(n * w.cols + begin, end - begin), bits_of(w.spec.format),
                is_signed));
  });
}

namespace {

/// Sum of p_b times the rounded table entry of one four.
std::int32_t rounded_four(std::span<const float> a, std::span<const std::uint8_t> codes,
                          float reciprocal, unsigned bits, bool is_signed) {
  std::int32_t sum = 0;
  for (unsigned b = 0; b < bits; ++b) {
    const unsigned index = plane_index(codes, b);
    float entry = 0.0f;
    for (std::size_t j = 0; j < a.size(); ++j) entry += ((index >> j) & 1u) != 0 ? a[j] : -a[j];
    const double code = elementary::round_to_integer(static_cast<double>(entry * reciprocal));
    sum += plane_weight(b, bits, is_signed) * static_cast<std::int32_t>(code);
  }
  return sum;
}

}  // namespace

float lut_dot_int8_tables(std::span<const float> a, std::span<const std::uint8_t> codes,
                          unsigned bits, bool is_signed, std::size_t table_group) {
  check(a.size(), codes.size(), bits);
  require(table_group != 0 && table_group % kLutGroup == 0 && table_group <= 65536,
          "lut_dot: the table group must be a multiple of 4, at most 65536");
  for (const float v : a) {
    if (!std::isfinite(v)) return std::numeric_limits<float>::quiet_NaN();
  }
  float acc = 0.0f;
  for (std::size_t run = 0; run < a.size(); run += table_group) {
    const std::size_t length = std::min(table_group, a.size() - run);
    float largest = 0.0f;
    float asum = 0.0f;
    for (std::size_t begin = run; begin < run + length; begin += kLutGroup) {
      float magnitudes = 0.0f;
      for (std::size_t k = begin; k < std::min(begin + kLutGroup, run + length); ++k) {
        magnitudes += std::fabs(a[k]);
        asum += a[k];
      }
      largest = std::max(largest, magnitudes);
    }
    const float s = largest / 127.0f;
    const float reciprocal = 1.0f / s;
    std::int32_t sum = 0;
    if (s > 0.0f && std::isfinite(reciprocal) && std::isfinite(s)) {
      for (std::size_t begin = run; begin < run + length; begin += kLutGroup) {
        const std::size_t count = std::min(kLutGroup, run + length - begin);
        sum += rounded_four(a.subspan(begin, count), codes.subspan(begin, count), reciprocal, bits,
                            is_signed);
      }
    }
    acc = std::fma(static_cast<float>(sum), 0.5f * s, acc);
    acc = std::fma(asum, 0.5f * static_cast<float>(plane_weights(bits, is_signed)), acc);
  }
  return acc;
}

}  // namespace systole::quant
