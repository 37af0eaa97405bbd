// Exact blocks, fp32 across them. The contracts are in the header.
#include "quant/kernels/block_scaled_gemm.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "quant/bfloat16.hpp"
#include "quant/check.hpp"
#include "quant/float16.hpp"
#include "quant/formats/minifloat.hpp"
#include "quant/kernels/exact.hpp"

namespace systole::quant {

namespace {

/// An element as integer * 2^unit, or a NaN or infinity.
struct Element {
  std::int64_t integer = 0;
  float value = 0;
  bool finite = true;
};
struct ElementKind {
  int unit = 0;
  Element (*decode)(std::uint16_t) = nullptr;
};

template <class F>
ElementKind minifloat_kind() {
  return {F::kUnitExponent, [](std::uint16_t code) {
            const F f = F::from_bits(static_cast<std::uint8_t>(code));
            return Element{f.to_integer(), f.decode(), !f.is_nan() && !f.is_infinite()};
          }};
}

ElementKind mxint8_kind() {
  return {-6, [](std::uint16_t code) {
            const auto integer = static_cast<std::int8_t>(code & 0xFFu);
            return Element{integer, static_cast<float>(integer) * 0x1p-6f, true};
          }};
}

ElementKind kind_of(Format format) {
  switch (format) {
    case Format::fp8_e4m3:
    case Format::mxfp8_e4m3:
      return minifloat_kind<E4M3>();
    case Format::fp8_e5m2:
    case Format::mxfp8_e5m2:
      return minifloat_kind<E5M2>();
    case Format::fp6_e3m2:
    case Format::mxfp6_e3m2:
      return minifloat_kind<E3M2>();
    case Format::fp6_e2m3:
    case Format::mxfp6_e2m3:
      return minifloat_kind<E2M3>();
    case Format::fp4_e2m1:
    case Format::mxfp4:
    case Format::nvfp4:
      return minifloat_kind<E2M1>();
    case Format::mxint8:
      return mxint8_kind();
    default:
      require(false, "block_scaled: the format has no minifloat elements");
      return {};
  }
}

}  // namespace

float element_value(Format format, std::uint16_t code) {
  if (format == Format::fp16) return Fp16::from_bits(code).decode();
  if (format == Format::bf16) return Bf16::from_bits(code).decode();
  return kind_of(format).decode(code).value;
}

float block_dot(Format a_format, std::span<const std::uint16_t> a, Format w_format,
                std::span<const std::uint16_t> w) {
  require(a.size() == w.size(), "block_dot: the operands differ in length");
  const ElementKind a_kind = kind_of(a_format);
  const ElementKind w_kind = kind_of(w_format);
  Int128 sum = 0;
  float special = 0.0f;
  bool finite = true;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const Element x = a_kind.decode(a[i]);
    const Element y = w_kind.decode(w[i]);
    finite = finite && x.finite && y.finite;
    sum += Int128{x.integer} * y.integer;
    special += x.value * y.value;
  }
  return finite ? round_scaled(sum, a_kind.unit + w_kind.unit) : special;
}

void block_scaled_gemm(const CodedMatrix& a, const CodedMatrix& w, std::span<float> out) {
  require(a.cols == w.cols, "block_scaled: activation and weight differ in k");
  require(out.size() == a.rows * w.rows, "block_scaled: out is not [m, n]");
  require(a.codes.size() == a.rows * a.cols && w.codes.size() == w.rows * w.cols &&
              a.scales.size() == a.rows * a.groups && w.scales.size() == w.rows * w.groups,
          "block_scaled: the operands need one code an element and one scale a block");
  require(a.groups <= 1 || w.groups <= 1 || a.group == w.group,
          "block_scaled: the blocks of the operands differ");
  if (a.cols == 0) {
    std::fill(out.begin(), out.end(), 0.0f);
    return;
  }
  const std::size_t block = a.groups <= 1 ? w.group : a.group;
  require(block != 0, "block_scaled: a block of no elements");
  const float tensor = a.tensor_scale * w.tensor_scale;
  for (std::size_t m = 0; m < a.rows; ++m) {
    for (std::size_t n = 0; n < w.rows; ++n) {
      float acc = 0.0f;
      for (std::size_t begin = 0, b = 0; begin < a.cols; begin += block, ++b) {
        const std::size_t count = std::min(block, a.cols - begin);
        const float dot =
            block_dot(a.spec.format, std::span(a.codes).subspan(m * a.cols + begin, count),
                      w.spec.format, std::span(w.codes).subspan(n * w.cols + begin, count));
        const float x_a = a.scales[m * a.groups + (a.groups <= 1 ? 0 : b)];
        const float x_w = w.scales[n * w.groups + (w.groups <= 1 ? 0 : b)];
        acc = std::fma(dot, x_a * x_w, acc);
      }
      out[m * w.rows + n] = acc * tensor;
    }
  }
}

float unit_dot(Format a_format, std::span<const std::uint16_t> a, Format w_format,
               std::span<const std::uint16_t> w, std::size_t chunk) {
  require(a.size() == w.size(), "unit_dot: the operands differ in length");
  require(chunk != 0, "unit_dot: a chunk has at least one product");
  float total = 0.0f;
  for (std::size_t begin = 0; begin < a.size(); begin += std::min(chunk, a.size() - begin)) {
    float sum = 0.0f;
    for (std::size_t k = begin; k < begin + std::min(chunk, a.size() - begin); ++k) {
      sum += element_value(a_format, a[k]) * element_value(w_format, w[k]);
    }
    total += sum;
  }
  return total;
}

void gemm_units(Format a_format, std::span<const std::uint16_t> a, Format w_format,
                std::span<const std::uint16_t> w, GemmShape shape, std::size_t chunk,
                std::span<float> out) {
  require(a.size() == shape.m * shape.k && w.size() == shape.n * shape.k &&
              out.size() == shape.m * shape.n,
          "gemm_units: the operands and the shape disagree");
  for (std::size_t m = 0; m < shape.m; ++m) {
    for (std::size_t n = 0; n < shape.n; ++n) {
      out[m * shape.n + n] = unit_dot(a_format, a.subspan(m * shape.k, shape.k), w_format,
                                      w.subspan(n * shape.k, shape.k), chunk);
    }
  }
}

}  // namespace systole::quant
