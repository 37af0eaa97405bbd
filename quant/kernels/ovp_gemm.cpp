// The exponent-integer product, as a definition. The contract is in the header.
#include "quant/kernels/ovp_gemm.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "quant/check.hpp"
#include "quant/formats/flint.hpp"
#include "quant/formats/ovp.hpp"

namespace systole::quant {

std::int32_t accumulate(std::int32_t acc, ExponentInteger product, Overflow overflow) {
  constexpr std::int64_t kLow = std::numeric_limits<std::int32_t>::min();
  constexpr std::int64_t kHigh = std::numeric_limits<std::int32_t>::max();
  const std::int64_t sum = acc + product.value();
  if (sum >= kLow && sum <= kHigh) return static_cast<std::int32_t>(sum);
  switch (overflow) {
    case Overflow::wrap:
      return static_cast<std::int32_t>(static_cast<std::uint32_t>(sum));
    case Overflow::saturate:
      return static_cast<std::int32_t>(std::clamp(sum, kLow, kHigh));
    case Overflow::error:
      break;
  }
  throw std::overflow_error("exponent-integer dot: the sum leaves int32");
}

std::int32_t exponent_integer_dot(std::span<const ExponentInteger> a,
                                  std::span<const ExponentInteger> w, Overflow overflow) {
  require(a.size() == w.size(), "exponent-integer dot: the operands differ in length");
  std::int32_t acc = 0;
  for (std::size_t k = 0; k < a.size(); ++k) acc = accumulate(acc, multiply(a[k], w[k]), overflow);
  return acc;
}

std::vector<ExponentInteger> operands_of(const CodedMatrix& m) {
  if (info_of(m.spec.format).kind == FormatClass::pair) return ovp_operands(m);
  std::vector<ExponentInteger> out;
  out.reserve(m.rows * m.cols);
  if (is_ant_grid(m.spec.format)) {
    for (const std::uint16_t code : m.codes) out.push_back(ant_operand(code, m.spec.format));
    return out;
  }
  float unit = 1.0f;
  const auto integers = element_integers(m, unit);
  require(integers.has_value() && unit == 1.0f, "ovp_gemm: the elements are no integers");
  for (const std::int32_t i : *integers) {
    require(std::abs(i) <= 46340, "ovp_gemm: a product of two elements would leave int32");
    out.push_back({0, i});
  }
  return out;
}

void ovp_gemm(const CodedMatrix& a, const CodedMatrix& w, std::span<float> out, Overflow overflow) {
  require(a.cols == w.cols, "ovp_gemm: activation and weight differ in k");
  require(w.rows == 0 ? out.empty() : out.size() % w.rows == 0 && out.size() / w.rows == a.rows,
          "ovp_gemm: out is not [m, n]");
  require(a.groups <= 1, "ovp_gemm: the activation must have one scale a row");
  require(a.zeros.empty() && w.zeros.empty(), "ovp_gemm: the operands must be symmetric");
  const std::vector<ExponentInteger> a_operands = operands_of(a);
  const std::vector<ExponentInteger> w_operands = operands_of(w);
  const std::size_t k = w.cols;
  for (std::size_t m = 0; m < a.rows; ++m) {
    for (std::size_t n = 0; n < w.rows; ++n) {
      float acc = 0.0f;
      for (std::size_t g = 0; g < w.groups; ++g) {
        const std::size_t length = std::min(w.group, k - g * w.group);
        const std::int32_t isum = exponent_integer_dot(
            std::span(a_operands).subspan(m * k + g * w.group, length),
            std::span(w_operands).subspan(n * k + g * w.group, length), overflow);
        acc = std::fma(static_cast<float>(isum), w.scales[n * w.groups + g], acc);
      }
      out[m * w.rows + n] = k == 0 ? 0.0f : acc * a.scales[m];
    }
  }
}

}  // namespace systole::quant
