// Golden kernels: the other formulations of an integer product (shift and add, bit planes, look-up
// tables, element grids, outlier-victim pairs, Tender's shifting accumulator).
#include <algorithm>
#include <cmath>

#include "quant/coded_matrix.hpp"
#include "quant/formats/ovp.hpp"
#include "quant/golden/problems.hpp"
#include "quant/kernels/bit_plane_gemm.hpp"
#include "quant/kernels/grid_gemm.hpp"
#include "quant/kernels/lut_gemm.hpp"
#include "quant/kernels/packed_gemm.hpp"
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

struct GridOperands {
  CodedMatrix a, w;
  std::vector<std::int32_t> a_integers, w_integers;
  float a_unit = 1.0f, w_unit = 1.0f;
};

Array codes_of(const std::string& name, const CodedMatrix& x) {
  return array_of(name, {x.codes.size()}, std::span<const std::uint16_t>(x.codes));
}
Array integers_of(const std::string& name, const CodedMatrix& x,
                  const std::vector<std::int32_t>& integers) {
  return array_of(name, {x.rows, x.cols}, std::span<const std::int32_t>(integers));
}
Array scales_of(const std::string& name, const CodedMatrix& x) {
  return array_of(name, {x.rows, x.groups}, std::span<const float>(x.scales));
}

GridMatrix grid_of(const CodedMatrix& x, const std::vector<std::int32_t>& integers, float unit) {
  GridMatrix grid;
  grid.rows = x.rows;
  grid.cols = x.cols;
  grid.group = x.group;
  grid.groups = x.groups;
  grid.unit = unit;
  grid.integers.assign(integers.begin(), integers.end());
  grid.scales = x.scales;
  return grid;
}

bool fits_bytes(const std::vector<std::int32_t>& integers) {
  return std::ranges::all_of(integers, [](std::int32_t v) { return v >= -127 && v <= 127; });
}

/// Element integers under group scales, in 64 bits and doubles as far as they are exact.
std::vector<float> grid_again(const GridOperands& x) {
  std::vector<float> out;
  for (std::size_t m = 0; m < x.a.rows; ++m) {
    for (std::size_t n = 0; n < x.w.rows; ++n) {
      float acc = 0.0f;
      for (std::size_t g = 0; g < x.w.groups; ++g) {
        std::int64_t sum = 0;
        const std::size_t end = std::min(x.w.cols, (g + 1) * x.w.group);
        for (std::size_t k = g * x.w.group; k < end; ++k) {
          sum += std::int64_t{x.a_integers[m * x.a.cols + k]} * x.w_integers[n * x.w.cols + k];
        }
        acc = std::fma(static_cast<float>(sum) * (x.a_unit * x.w_unit),
                       x.w.scales[n * x.w.groups + g], acc);
      }
      out.push_back(acc * x.a.scales[m * x.a.groups]);
    }
  }
  return out;
}

std::vector<Step> trace_grid(const GridOperands& x, std::size_t element) {
  const std::size_t m = element / x.w.rows, n = element % x.w.rows;
  std::vector<Step> steps;
  float acc = 0.0f;
  for (std::size_t g = 0; g < x.w.groups; ++g) {
    std::int32_t sum = 0;
    const std::size_t end = std::min(x.w.cols, (g + 1) * x.w.group);
    for (std::size_t k = g * x.w.group; k < end; ++k) {
      const std::int32_t a = x.a_integers[m * x.a.cols + k], w = x.w_integers[n * x.w.cols + k];
      sum += a * w;
      steps.push_back(step(
          "k " + std::to_string(k) + ": isum += " + std::to_string(a) + " * " + std::to_string(w),
          sum));
    }
    acc = std::fma(static_cast<float>(sum) * (x.a_unit * x.w_unit), x.w.scales[n * x.w.groups + g],
                   acc);
    steps.push_back(step("group " + std::to_string(g) + ": acc = fma(isum * unit, s_w, acc)", acc));
  }
  steps.push_back(step("out = acc * s_a", acc * x.a.scales[m * x.a.groups]));
  return steps;
}

/// `reference` over the operands, against the packed paths (where the integers fit a byte) and a
/// second computation.
Problem grid_problem(const KernelCase& c, std::shared_ptr<GridOperands> x,
                     std::function<void(std::span<float>)> reference) {
  Problem problem;
  problem.operands = [x] {
    return Arrays{codes_of("a_codes", x->a),
                  integers_of("a_integers", x->a, x->a_integers),
                  scales_of("a_scales", x->a),
                  codes_of("w_codes", x->w),
                  integers_of("w_integers", x->w, x->w_integers),
                  scales_of("w_scales", x->w)};
  };
  problem.reference = [c, reference = std::move(reference)] {
    std::vector<float> out(c.shape.m * c.shape.n);
    reference(out);
    return out_of(c, out);
  };
  if (fits_bytes(x->a_integers) && fits_bytes(x->w_integers)) {
    add_paths(problem, c, [c, x](Path path, unsigned threads) {
      std::vector<float> out(c.shape.m * c.shape.n);
      gemm_grid(grid_of(x->a, x->a_integers, x->a_unit),
                PackedWeights(grid_of(x->w, x->w_integers, x->w_unit), path), out, threads);
      return out_of(c, out);
    });
  }
  problem.twins.push_back({"second computation", [c, x] { return out_of(c, grid_again(*x)); }});
  problem.trace = [x](std::size_t, std::size_t element) { return trace_grid(*x, element); };
  return problem;
}

}  // namespace

Problem shift_add_gemm(const KernelCase& c) { return formulation(c, gemm_shift_add); }
Problem lut_gemm(const KernelCase& c) { return formulation(c, gemm_lut); }
Problem bit_plane_product(const KernelCase& c) { return formulation(c, plane_gemm); }

Problem element_grid_gemm(const KernelCase& c) {
  Stream random(c.seed);
  auto x = std::make_shared<GridOperands>();
  x->a = encode(draw(random, c.shape.m * c.shape.k, c.values), c.shape.m, c.shape.k, c.activation);
  x->w = encode(draw(random, c.shape.n * c.shape.k, c.values), c.shape.n, c.shape.k, c.weight);
  x->a_integers = element_integers(x->a, x->a_unit).value();
  x->w_integers = element_integers(x->w, x->w_unit).value();
  return grid_problem(c, x,
                      [x](std::span<float> out) { grid_gemm(x->a, x->w, out, Overflow::error); });
}

/// One scale an operand, the paper's contract: pairs in a row, the larger outlier kept.
Problem ovp_pair_gemm(const KernelCase& c) {
  Stream random(c.seed);
  struct Pairs : GridOperands {
    std::vector<ExponentInteger> a_operands, w_operands;
  };
  auto x = std::make_shared<Pairs>();
  const OvpType type = ovp_type(c.weight.format, Contract::paper);
  const OvpRules rules = ovp_rules(c.weight.format, Contract::paper);
  const auto make = [&](CodedMatrix& matrix, std::vector<ExponentInteger>& operands,
                        std::vector<std::int32_t>& integers, std::size_t rows) {
    const std::vector<float> values = draw(random, rows * c.shape.k, c.values);
    // Three standard deviations of the drawn values at the largest normal: outliers beyond.
    const float scale = 3.0f / static_cast<float>(type.largest_normal);
    std::vector<float> entries(values.size());
    ovp_quantise_scan(values, {rows, c.shape.k, values.size()}, std::array{scale}, type, rules,
                      entries);
    matrix.rows = rows;
    matrix.cols = matrix.group = c.shape.k;
    matrix.groups = 1;
    matrix.spec = c.weight;
    matrix.codes = ovp_encode_slots(entries, c.shape.k, type, rules);
    matrix.scales.assign(rows, scale);
    operands = ovp_decode_slots(matrix.codes, rows, c.shape.k, type, rules);
    // What the codes stand for: the entries themselves, not what a decoder makes of the codes.
    integers.assign(entries.begin(), entries.end());
  };
  make(x->a, x->a_operands, x->a_integers, c.shape.m);
  make(x->w, x->w_operands, x->w_integers, c.shape.n);
  return grid_problem(c, x, [c, x](std::span<float> out) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t m = i / c.shape.n, n = i % c.shape.n;
      std::int32_t isum = 0;
      for (std::size_t k = 0; k < c.shape.k; ++k) {
        const ExponentInteger product =
            multiply(x->a_operands[m * c.shape.k + k], x->w_operands[n * c.shape.k + k]);
        accumulate(isum, product.value(), Overflow::error);
      }
      out[i] = std::fma(static_cast<float>(isum), x->w.scales[n], 0.0f) * x->a.scales[m];
    }
  });
}

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
