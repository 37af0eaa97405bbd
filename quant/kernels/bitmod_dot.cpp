// Terms, the cycle, the group and its dequantisation. The contracts are in the header.
#include "quant/kernels/bitmod_dot.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "quant/check.hpp"
#include "quant/kernels/exact.hpp"

namespace systole::quant {

namespace {

constexpr int kGuardBits = 3;

std::vector<Term> booth_terms(int value, TermCode code) {
  const unsigned bits = code == TermCode::int8 ? 8 : code == TermCode::int6 ? 6 : 5;
  require(value >= -(1 << (bits - 1)) && value < 1 << (bits - 1), "bitmod: a value out of range");
  const unsigned code_bits = static_cast<unsigned>(value) << 1;  // bit -1 of the digits is 0
  std::vector<Term> terms;
  for (unsigned i = 0; i < terms_of(code); ++i) {
    const unsigned window = (code_bits >> (2 * i)) & 7u;
    const int digit = static_cast<int>(window & 1u) + static_cast<int>((window >> 1) & 1u) -
                      2 * static_cast<int>((window >> 2) & 1u);
    terms.push_back({digit < 0, static_cast<std::uint8_t>(std::abs(digit) == 2 ? 1 : 0), digit != 0,
                     static_cast<std::uint8_t>(2 * i)});
  }
  return terms;
}

}  // namespace

std::vector<Term> encode_terms(int value, TermCode code) {
  if (code != TermCode::fp3 && code != TermCode::fp4) return booth_terms(value, code);
  require(value >= -16 && value <= 16, "bitmod: a value out of range");
  auto rest = static_cast<unsigned>(std::abs(value));
  require(std::popcount(rest) <= 2, "bitmod: a value of more than two terms");
  std::vector<Term> terms(terms_of(code));
  for (Term& term : terms) {
    if (rest == 0) break;
    const auto top = static_cast<unsigned>(std::bit_width(rest)) - 1;
    term = {value < 0, static_cast<std::uint8_t>(top), true, 0};
    rest ^= 1u << top;
  }
  return terms;
}

BitmodStep bitmod_step(std::span<const Fp16, 4> a, std::span<const Term, 4> terms) {
  std::array<Parts, 4> lanes;
  int largest = std::numeric_limits<int>::min();
  for (std::size_t i = 0; i < 4; ++i) {
    require(is_finite(a[i]), "bitmod: a NaN or infinite activation");
    require(terms[i].bsig == terms[0].bsig, "bitmod: the terms of a cycle differ in bsig");
    lanes[i] = parts_of(a[i]);
    if (lanes[i].significand == 0) lanes[i].exponent = -24;
    lanes[i].exponent += terms[i].exp;
    if (terms[i].man) largest = std::max(largest, lanes[i].exponent);
  }
  BitmodStep step;
  if (largest == std::numeric_limits<int>::min()) return step;
  step.exponent = largest - kGuardBits + terms[0].bsig;
  for (std::size_t i = 0; i < 4; ++i) {
    if (!terms[i].man) continue;
    const std::int64_t magnitude = std::abs(lanes[i].significand) << kGuardBits;
    const auto aligned =
        static_cast<std::int32_t>(magnitude >> std::min(largest - lanes[i].exponent, 62));
    const bool negative = (lanes[i].significand < 0) != terms[i].negative;
    step.sum += negative ? -aligned : aligned;
  }
  return step;
}

float bitmod_group(std::span<const Fp16> a, std::span<const std::int8_t> values, TermCode code) {
  require(a.size() == values.size(), "bitmod: the operands differ in length");
  for (const Fp16 activation : a) {
    if (!is_finite(activation)) return std::numeric_limits<float>::quiet_NaN();
  }
  float acc = 0.0f;
  for (std::size_t begin = 0; begin < a.size(); begin += 4) {
    std::array<Fp16, 4> lanes{};
    std::array<std::vector<Term>, 4> terms;
    for (std::size_t i = 0; i < 4; ++i) {
      const bool exists = begin + i < a.size();
      if (exists) lanes[i] = a[begin + i];
      terms[i] = encode_terms(exists ? values[begin + i] : 0, code);
    }
    for (unsigned t = 0; t < terms_of(code); ++t) {
      std::array<Term, 4> cycle = {terms[0][t], terms[1][t], terms[2][t], terms[3][t]};
      const BitmodStep step = bitmod_step(lanes, cycle);
      acc += round_scaled(step.sum, step.exponent);  // at most 17 bits: the conversion is exact
    }
  }
  return acc;
}

float bitmod_dequantise(float acc, std::uint8_t scale) {
  if (!std::isfinite(acc)) return acc * static_cast<float>(scale);
  const Parts parts = parts_of(acc);
  std::int64_t product = 0;
  for (unsigned bit = 0; bit < 8; ++bit) {
    if (((static_cast<unsigned>(scale) >> bit) & 1u) != 0) product += parts.significand << bit;
  }
  const float value = round_scaled(product, parts.exponent);
  return product == 0 ? std::copysign(value, acc) : value;
}

float bitmod_dot(std::span<const Fp16> a, std::span<const std::int8_t> values, TermCode code,
                 std::size_t group, std::span<const std::uint8_t> scales, float channel_scale) {
  require(group != 0 && a.size() == values.size(), "bitmod: the sizes differ");
  require(scales.size() == (a.empty() ? 0 : (a.size() - 1) / group + 1),
          "bitmod: one scale a group");
  float total = 0.0f;
  for (std::size_t g = 0; g < scales.size(); ++g) {
    const std::size_t begin = g * group;
    const std::size_t count = std::min(group, a.size() - begin);
    const float acc = bitmod_group(a.subspan(begin, count), values.subspan(begin, count), code);
    total += bitmod_dequantise(acc, scales[g]);
  }
  return total * channel_scale;
}

}  // namespace systole::quant
