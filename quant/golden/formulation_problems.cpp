// Golden kernels: the other formulations of an integer product (shift and add, bit planes, look-up
// tables, Tender's shifting accumulator).
#include <algorithm>
#include <cmath>

#include "quant/golden/problems.hpp"
#include "quant/kernels/bit_plane_gemm.hpp"
#include "quant/kernels/lut_gemm.hpp"
#include "quant/kernels/shift_add.hpp"
#include "quant/kernels/tender_gemm.hpp"

namespace systole::quant::golden {

namespace {

using Gemm = void (*)(const QuantizedMatrix&, const QuantizedMatrix&, std::span<float>);

/// A formulation with the bits of gemm_dequantise_after: its definition against the multiplying
/// one and every packed path.
Problem formulation(const KernelCase& c, Gemm gemm) {
  Problem problem = integer_gemm(c);
  problem.twins.push_back({"multiplication", problem.reference});
  const auto x = std::make_shared<IntegerOperands>(integer_operands(c));
  problem.reference = [c, x, gemm] {
    std::vector<float> out(c.shape.m * c.shape.n);
    gemm(x->a, x->w, out);
    return out_of(c, out);
  };
  return problem;
}

void plane_gemm(const QuantizedMatrix& a, const QuantizedMatrix& w, std::span<float> out) {
  const auto planes = [](const QuantizedMatrix& x) {
    const std::vector<std::int16_t> codes(x.codes.begin(), x.codes.end());
    return to_bit_planes(codes, x.rows, x.cols, bits_of(x.spec.format), true);
  };
  bit_plane_gemm(planes(a), a.scales, planes(w), w.scales, out, Overflow::wrap);
}

}  // namespace

Problem shift_add_gemm(const KernelCase& c) { return formulation(c, gemm_shift_add); }
Problem lut_gemm(const KernelCase& c) { return formulation(c, gemm_lut); }
Problem bit_plane_product(const KernelCase& c) { return formulation(c, plane_gemm); }

Problem tender_product(const KernelCase& c) {
  struct Operands {
    TenderClasses classes;
    std::vector<std::int8_t> a;
    QuantizedMatrix w;
  };
  Stream random(c.seed);
  auto x = std::make_shared<Operands>();
  std::vector<float> values = draw(random, c.shape.m * c.shape.k, c.values);
  std::vector<float> minima(c.shape.k), maxima(c.shape.k);
  for (std::size_t k = 0; k < c.shape.k; ++k) {
    const float spread = std::ldexp(1.0f, static_cast<int>(random.below(6)));
    for (std::size_t m = 0; m < c.shape.m; ++m) {
      float& v = values[m * c.shape.k + k];
      v *= spread;
      minima[k] = m == 0 ? v : std::min(minima[k], v);
      maxima[k] = m == 0 ? v : std::max(maxima[k], v);
    }
  }
  const unsigned bits = bits_of(c.activation.format);
  x->classes = tender_classes(minima, maxima, 6);
  x->a = tender_quantise(values, c.shape.m, x->classes, bits);
  x->w = quantise(draw(random, c.shape.n * c.shape.k, c.values), c.shape.n, c.shape.k, c.weight);
  /// sum over classes of 2^(classes - 1 - g) P_g, and the biases' share.
  const auto sums = [c, x](std::size_t m, std::size_t n) {
    std::int64_t sum = 0;
    for (std::size_t k = 0; k < c.shape.k; ++k) {
      const unsigned shift = x->classes.classes - 1 - x->classes.channel_class[k];
      sum += (std::int64_t{x->a[m * c.shape.k + k]} * x->w.code(n, k)) * (std::int64_t{1} << shift);
    }
    return sum;
  };
  const auto bias = [c, x](std::size_t n) {
    float b = 0.0f;
    for (std::size_t k = 0; k < c.shape.k; ++k) {
      b = std::fma(x->classes.bias[k], static_cast<float>(x->w.code(n, k)), b);
    }
    return b;
  };
  Problem problem;
  problem.operands = [c, x] {
    Arrays arrays{array_of("a_codes", {c.shape.m, c.shape.k}, std::span<const std::int8_t>(x->a)),
                  array_of("channel_class", {c.shape.k},
                           std::span<const std::uint8_t>(x->classes.channel_class)),
                  array_of("channel_bias", {c.shape.k}, std::span<const float>(x->classes.bias))};
    for (Array& array : arrays_of("w", x->w)) arrays.push_back(std::move(array));
    return arrays;
  };
  problem.reference = [c, x, bits] {
    std::vector<float> out(c.shape.m * c.shape.n);
    tender_gemm(x->a, x->classes, bits, x->w, out, Overflow::error);
    return out_of(c, out);
  };
  const auto output = [x, bits, sums, bias](std::size_t m, std::size_t n) {
    const float last = x->classes.scale(x->classes.classes - 1, bits);
    return std::fma(static_cast<float>(sums(m, n)), last, bias(n)) * x->w.scale(n, 0);
  };
  problem.twins.push_back({"sum of classes", [c, output] {
                             std::vector<float> out;
                             for (std::size_t i = 0; i < c.shape.m * c.shape.n; ++i) {
                               out.push_back(output(i / c.shape.n, i % c.shape.n));
                             }
                             return out_of(c, out);
                           }});
  problem.trace = [c, x, output, bias](std::size_t, std::size_t element) {
    const std::size_t m = element / c.shape.n, n = element % c.shape.n;
    std::vector<Step> steps;
    std::int32_t acc = 0;
    for (unsigned g = 0; g < x->classes.classes; ++g) {
      if (g > 0) steps.push_back(step("class " + std::to_string(g) + ": A <<= 1", acc *= 2));
      for (std::size_t k = 0; k < c.shape.k; ++k) {
        if (x->classes.channel_class[k] != g) continue;
        acc += x->a[m * c.shape.k + k] * x->w.code(n, k);
        steps.push_back(step("channel " + std::to_string(k) + ": A += a * w", acc));
      }
    }
    steps.push_back(step("bias of the channels", bias(n)));
    steps.push_back(step("out = fma(A, s_last, bias) * s_w", output(m, n)));
    return steps;
  };
  return problem;
}

}  // namespace systole::quant::golden
