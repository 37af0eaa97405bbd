// Shift-and-add products and their sums. The contracts are in the header.
#include "quant/kernels/shift_add.hpp"

#include "quant/check.hpp"
#include "quant/kernels/exact.hpp"
#include "quant/kernels/group_epilogue.hpp"

namespace systole::quant {

std::int32_t shift_add_product(std::int32_t a, std::uint32_t code, unsigned bits, bool is_signed) {
  require(bits >= 1 && bits <= 8, "shift_add: 1 to 8 bits");
  std::int32_t sum = 0;
  for (unsigned k = 0; k < bits; ++k) {
    if (((code >> k) & 1u) == 0) continue;
    const std::int32_t shifted = a << k;
    sum = is_signed && k + 1 == bits ? sum - shifted : sum + shifted;
  }
  return sum;
}

std::int32_t shift_add_dot(std::span<const std::int8_t> a, std::span<const std::uint8_t> codes,
                           unsigned bits, bool is_signed, Overflow overflow) {
  require(a.size() == codes.size(), "shift_add: the operands differ in length");
  std::int32_t acc = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    accumulate(acc, shift_add_product(a[i], codes[i], bits, is_signed), overflow);
  }
  return acc;
}

void gemm_shift_add(const QuantizedMatrix& a, const QuantizedMatrix& w, std::span<float> out) {
  const bool is_signed = w.spec.affine == Affine::symmetric;
  integer_gemm(a, w, out, [&](std::size_t m, std::size_t n, std::size_t begin, std::size_t end) {
    std::int32_t sum = 0;
    for (std::size_t k = begin; k < end; ++k) {
      sum += shift_add_product(a.code(m, k), static_cast<std::uint32_t>(w.code(n, k)),
                               bits_of(w.spec.format), is_signed);
    }
    return sum;
  });
}

float shift_add_dot_fp16(std::span<const Fp16> a, std::span<const std::uint8_t> codes,
                         unsigned bits, bool is_signed) {
  require(a.size() == codes.size(), "shift_add: the operands differ in length");
  float acc = 0.0f;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!is_finite(a[i])) {
      acc += a[i].decode() * static_cast<float>(shift_add_product(1, codes[i], bits, is_signed));
      continue;
    }
    const Parts activation = parts_of(a[i]);
    const std::int32_t product = shift_add_product(
        static_cast<std::int32_t>(activation.significand), codes[i], bits, is_signed);
    acc += round_scaled(product, activation.exponent);  // at most 19 bits: the conversion is exact
  }
  return acc;
}

}  // namespace systole::quant
