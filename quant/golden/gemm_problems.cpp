// Golden kernels: the integer, fp32 and fp16 matrix products.
#include <cmath>
#include <optional>

#include "quant/golden/problems.hpp"
#include "quant/kernels/packed_gemm.hpp"

namespace systole::quant::golden {

namespace {

std::string product_text(std::size_t k, int a, int w) {
  return "k " + std::to_string(k) + ": isum += " + std::to_string(a) + " * " + std::to_string(w);
}

/// The steps of gemm_dequantise_after for one output.
std::vector<Step> trace_integer(const IntegerOperands& x, std::size_t element) {
  const std::size_t m = element / x.w.rows;
  const std::size_t n = element % x.w.rows;
  std::vector<Step> steps;
  float acc = 0.0f;
  for (std::size_t g = 0; g < x.w.groups; ++g) {
    std::int32_t isum = 0;
    std::int32_t asum = 0;
    for (std::size_t k = g * x.w.group; k < (g + 1) * x.w.group; ++k) {
      isum += x.a.code(m, k) * x.w.code(n, k);
      asum += x.a.code(m, k);
      steps.push_back(step(product_text(k, x.a.code(m, k), x.w.code(n, k)), isum));
    }
    const float s = x.w.scale(n, g);
    const float z = x.w.zero(n, g);
    const std::string group = "group " + std::to_string(g) + ": ";
    if (x.w.spec.affine == Affine::integer_zero) {
      isum -= static_cast<std::int32_t>(z) * asum;
      steps.push_back(step(group + "isum -= zero * sum of a", isum));
    }
    acc = std::fma(static_cast<float>(isum), s, acc);
    steps.push_back(step(group + "acc = fma(isum, s_w, acc)", acc));
    if (x.w.spec.affine == Affine::float_min) acc = std::fma(static_cast<float>(asum), z, acc);
    if (x.w.spec.affine == Affine::float_zero) {
      acc = std::fma(static_cast<float>(asum), -(z * s), acc);
    }
    if (x.w.spec.affine == Affine::float_min || x.w.spec.affine == Affine::float_zero) {
      steps.push_back(step(group + "acc = fma(sum of a, minimum, acc)", acc));
    }
  }
  steps.push_back(step("out = acc * s_a", acc * x.a.scale(m, 0)));
  return steps;
}

/// The exact sums before any scale: what an integer array hands to its dequantiser.
Array group_sums(const IntegerOperands& x) {
  std::vector<std::int32_t> sums;
  for (std::size_t m = 0; m < x.a.rows; ++m) {
    for (std::size_t n = 0; n < x.w.rows; ++n) {
      for (std::size_t g = 0; g < x.w.groups; ++g) {
        std::int32_t isum = 0;
        for (std::size_t k = g * x.w.group; k < (g + 1) * x.w.group; ++k) {
          isum += x.a.code(m, k) * x.w.code(n, k);
        }
        sums.push_back(isum);
      }
    }
  }
  return array_of("group_sums", {x.a.rows, x.w.rows, x.w.groups},
                  std::span<const std::int32_t>(sums));
}

struct FloatOperands {
  std::vector<float> a, w;
};

Problem float_gemm(const KernelCase& c, Format operands) {
  Stream random(c.seed);
  auto x = std::make_shared<FloatOperands>();
  x->a = draw(random, c.shape.m * c.shape.k, c.values);
  x->w = draw(random, c.shape.n * c.shape.k, c.values);
  round_to(operands, x->a);
  round_to(operands, x->w);
  Problem problem;
  problem.operands = [c, x] {
    return Arrays{array_of("a", {c.shape.m, c.shape.k}, std::span<const float>(x->a)),
                  array_of("w", {c.shape.n, c.shape.k}, std::span<const float>(x->w))};
  };
  problem.reference = [c, x, operands] {
    std::vector<float> out(c.shape.m * c.shape.n);
    if (operands == Format::fp32) {
      gemm_fp32(x->a, x->w, c.shape, out);
    } else {
      gemm_fp16(x->a, x->w, c.shape, c.chunk, out);
    }
    return out_of(c, out);
  };
  add_paths(problem, c, [c, x, operands](Path path, unsigned threads) {
    std::vector<float> out(c.shape.m * c.shape.n);
    const PackedFloatWeights packed(x->w, c.shape.n, c.shape.k, operands, path);
    if (operands == Format::fp32) {
      gemm_fp32(x->a, packed, c.shape.m, out, threads);
    } else {
      gemm_fp16(x->a, packed, c.shape.m, c.chunk, out, threads);
    }
    return out_of(c, out);
  });
  problem.trace = [c, x, operands](std::size_t, std::size_t element) {
    const std::size_t chunk = operands == Format::fp32 ? c.shape.k : c.chunk;
    const float* a = x->a.data() + element / c.shape.n * c.shape.k;
    const float* w = x->w.data() + element % c.shape.n * c.shape.k;
    std::vector<Step> steps;
    float total = 0.0f;
    for (std::size_t begin = 0; begin < c.shape.k; begin += std::min(chunk, c.shape.k - begin)) {
      float sum = 0.0f;
      const std::size_t end = begin + std::min(chunk, c.shape.k - begin);
      for (std::size_t k = begin; k < end; ++k) {
        sum = operands == Format::fp32 ? std::fma(a[k], w[k], sum) : sum + a[k] * w[k];
        steps.push_back(step(
            "k " + std::to_string(k) + ": sum += " + text_of(a[k]) + " * " + text_of(w[k]), sum));
      }
      total = operands == Format::fp32 ? sum : total + sum;
      if (operands != Format::fp32) steps.push_back(step("total += sum", total));
    }
    return steps;
  };
  return problem;
}

}  // namespace

Arrays out_of(const KernelCase& c, std::span<const float> out) {
  return {array_of("out", {c.shape.m, c.shape.n}, out)};
}
Arrays out_of(const KernelCase& c, std::span<const std::int32_t> out) {
  return {array_of("out", {c.shape.m, c.shape.n}, out)};
}

IntegerOperands integer_operands(const KernelCase& c) {
  Stream random(c.seed);
  IntegerOperands x;
  x.a = quantise(draw(random, c.shape.m * c.shape.k, c.values, symmetric_max(c.activation.format)),
                 c.shape.m, c.shape.k, c.activation);
  x.w = quantise(draw(random, c.shape.n * c.shape.k, c.values, symmetric_max(c.weight.format)),
                 c.shape.n, c.shape.k, c.weight);
  return x;
}

Problem integer_gemm(const KernelCase& c) {
  const auto x = std::make_shared<IntegerOperands>(integer_operands(c));
  Problem problem;
  problem.operands = [x] {
    Arrays arrays = arrays_of("a", x->a);
    for (Array& array : arrays_of("w", x->w)) arrays.push_back(std::move(array));
    return arrays;
  };
  problem.reference = [c, x] {
    std::vector<float> out(c.shape.m * c.shape.n);
    gemm_dequantise_after(x->a, x->w, out);
    return out_of(c, out);
  };
  add_paths(problem, c, [c, x](Path path, unsigned threads) {
    std::vector<float> out(c.shape.m * c.shape.n);
    gemm_dequantise_after(x->a, PackedWeights(x->w, path), out, threads);
    return out_of(c, out);
  });
  problem.intermediate = [x] { return Arrays{group_sums(*x)}; };
  problem.trace = [x](std::size_t result, std::size_t element) {
    if (result == 0) return trace_integer(*x, element);
    std::vector<Step> steps;  // group_sums
    const std::size_t g = element % x->w.groups;
    const std::size_t n = element / x->w.groups % x->w.rows;
    const std::size_t m = element / x->w.groups / x->w.rows;
    std::int32_t isum = 0;
    for (std::size_t k = g * x->w.group; k < (g + 1) * x->w.group; ++k) {
      isum += x->a.code(m, k) * x->w.code(n, k);
      steps.push_back(step(product_text(k, x->a.code(m, k), x->w.code(n, k)), isum));
    }
    return steps;
  };
  return problem;
}

Problem fp32_gemm(const KernelCase& c) { return float_gemm(c, Format::fp32); }
Problem fp16_gemm(const KernelCase& c) { return float_gemm(c, Format::fp16); }

}  // namespace systole::quant::golden
