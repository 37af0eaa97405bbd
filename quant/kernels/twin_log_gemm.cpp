// Shifts and a table of fractions. The contracts are in the header.
#include "quant/kernels/twin_log_gemm.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/kernels/exact.hpp"
#include "quant/primitives/codebook.hpp"

namespace systole::quant {

LogCode log_encode(float value, int f_min, int f_max, unsigned table_bits) {
  require(std::isfinite(value), "log_encode: a NaN or infinite value");
  require(table_bits <= 8 && f_min <= f_max && f_min >= -126 && f_max <= 127,
          "log_encode: an exponent range beyond int8 or more than 8 fraction bits");
  if (value == 0.0f) return {true, false, 0, 0};
  const double steps = static_cast<double>(1u << table_bits);
  const double log2 = elementary::log(std::fabs(static_cast<double>(value))) / elementary::log(2.0);
  const double nearest = std::floor(log2 * steps + 0.5);
  const double low = f_min * steps;
  const double high = f_max * steps + steps - 1.0;
  const auto step = static_cast<int>(std::clamp(nearest, low, high));
  const int f = step >> table_bits;  // rounds down
  return {false, value < 0.0f, static_cast<std::int8_t>(f),
          static_cast<std::uint8_t>(step - (f << table_bits))};
}

float log_decode(LogCode code, unsigned table_bits) {
  return code.zero ? 0.0f : power_of_two(code.f, code.r, table_bits, code.negative);
}

namespace {

std::array<std::int32_t, 256> fraction_table(unsigned table_bits) {
  require(table_bits <= 8, "log_dot: at most 8 fraction bits");
  std::array<std::int32_t, 256> table{};
  for (unsigned r = 0; r < 1u << table_bits; ++r) {
    table[r] = static_cast<std::int32_t>(power_of_two(16, r, table_bits, false));  // an integer
  }
  return table;
}

float dot(std::span<const std::int8_t> a, std::span<const LogCode> w, unsigned table_bits,
          const std::array<std::int32_t, 256>& table) {
  int lowest = 127;
  int highest = -128;
  for (const LogCode& code : w) {
    if (code.zero) continue;
    require(code.r < 1u << table_bits, "log_dot: r is beyond the table");
    lowest = std::min<int>(lowest, code.f);
    highest = std::max<int>(highest, code.f);
  }
  require(highest - lowest <= 63, "log_dot: exponents span more than 63");
  Int128 sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (w[i].zero) continue;
    const Int128 shifted = Int128{a[i] * table[w[i].r]} * (Int128{1} << (w[i].f - lowest));
    sum = w[i].negative ? sum - shifted : sum + shifted;
  }
  return round_scaled(sum, lowest - 16);
}

}  // namespace

float log_dot(std::span<const std::int8_t> a, std::span<const LogCode> w, unsigned table_bits) {
  require(a.size() == w.size(), "log_dot: the operands differ in length");
  return dot(a, w, table_bits, fraction_table(table_bits));
}

void log_gemm(std::span<const std::int8_t> a, std::span<const float> a_scales,
              std::span<const LogCode> w, std::span<const float> w_scales, std::size_t k,
              unsigned table_bits, std::span<float> out) {
  require(a.size() == a_scales.size() * k && w.size() == w_scales.size() * k &&
              out.size() == a_scales.size() * w_scales.size(),
          "log_gemm: the operands and scales disagree");
  const std::array<std::int32_t, 256> table = fraction_table(table_bits);
  for (std::size_t m = 0; m < a_scales.size(); ++m) {
    for (std::size_t n = 0; n < w_scales.size(); ++n) {
      const float sum = dot(a.subspan(m * k, k), w.subspan(n * k, k), table_bits, table);
      out[m * w_scales.size() + n] = sum * w_scales[n] * a_scales[m];
    }
  }
}

}  // namespace systole::quant
