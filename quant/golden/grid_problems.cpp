// Golden kernels: products of element integers (small floats, flint, few levels, BitMoD, the table
// of IQ4_NL) and of outlier-victim pairs.
#include <algorithm>
#include <cmath>

#include "quant/coded_matrix.hpp"
#include "quant/formats/ovp.hpp"
#include "quant/ggml/blocks.hpp"
#include "quant/golden/problems.hpp"
#include "quant/kernels/element_grid.hpp"
#include "quant/kernels/grid_gemm.hpp"
#include "quant/kernels/ovp_gemm.hpp"
#include "quant/kernels/packed_gemm.hpp"

namespace systole::quant::golden {

namespace {

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

/// What a register of 32 bits keeps of a sum: itself but for ovp8_int, whose outliers reach 2^15.
std::int32_t wrapped(std::int64_t sum) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(sum));
}

/// Element integers under group scales, summed in 64 bits.
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
        acc = std::fma(static_cast<float>(wrapped(sum)) * (x.a_unit * x.w_unit),
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
    std::int64_t sum = 0;
    const std::size_t end = std::min(x.w.cols, (g + 1) * x.w.group);
    for (std::size_t k = g * x.w.group; k < end; ++k) {
      const std::int32_t a = x.a_integers[m * x.a.cols + k], w = x.w_integers[n * x.w.cols + k];
      sum += std::int64_t{a} * w;
      steps.push_back(step(
          "k " + std::to_string(k) + ": isum += " + std::to_string(a) + " * " + std::to_string(w),
          wrapped(sum)));
    }
    acc = std::fma(static_cast<float>(wrapped(sum)) * (x.a_unit * x.w_unit),
                   x.w.scales[n * x.w.groups + g], acc);
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
  if (fits_grid(x->a_integers) && fits_grid(x->w_integers)) {
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

/// A pair matrix. Three standard deviations of the drawn values at the largest normal: outliers
/// beyond. Each box has this scale times a power of two of its own.
CodedMatrix draw_pairs(Stream& random, const KernelCase& c, std::size_t rows, const QuantSpec& spec,
                       std::vector<std::int32_t>& integers) {
  const OvpType type = ovp_type(spec.format, spec.contract);
  const OvpRules rules = ovp_rules(spec);
  CodedMatrix matrix;
  matrix.rows = rows;
  matrix.cols = c.shape.k;
  matrix.spec = spec;
  matrix.group = group_length(c.shape.k, spec);
  matrix.groups = c.shape.k / matrix.group;
  const bool apart = spec.granularity != Granularity::tensor;
  for (std::size_t i = 0; i < rows * matrix.groups; ++i) {
    const int power = apart ? static_cast<int>(random.below(3)) - 1 : 0;
    matrix.scales.push_back(std::ldexp(3.0f / static_cast<float>(type.largest_normal), power));
  }
  std::vector<float> entries(rows * c.shape.k);
  ovp_quantise_scan(draw(random, entries.size(), c.values, type.largest_normal),
                    {rows, c.shape.k, matrix.group}, matrix.scales, type, rules, entries);
  matrix.codes = ovp_encode_slots(entries, c.shape.k, type, rules);
  // What the codes stand for: the entries themselves, not what a decoder makes of the codes.
  integers.assign(entries.begin(), entries.end());
  return matrix;
}

/// A weight as IQ4_NL blocks hold it: levels of a table, one fp16 scale for 32 elements.
CodedMatrix draw_iq4(Stream& random, const KernelCase& c, std::vector<std::int32_t>& integers) {
  CodedMatrix matrix;
  matrix.rows = c.shape.n;
  matrix.cols = c.shape.k;
  matrix.spec = c.weight;
  matrix.group = kGgmlBlock;
  matrix.groups = c.shape.k / kGgmlBlock;
  const std::vector<float> values = draw(random, c.shape.n * c.shape.k, c.values);
  for (std::size_t begin = 0; begin < values.size(); begin += kGgmlBlock) {
    const BlockIQ4_NL block = encode_iq4_nl(std::span(values).subspan(begin).first<kGgmlBlock>());
    matrix.scales.push_back(block.d.decode());
    for (std::size_t i = 0; i < kGgmlBlock; ++i) {  // low halves first, then high halves
      const unsigned byte = block.quants[i % 16];
      matrix.codes.push_back(static_cast<std::uint16_t>(i < 16 ? byte & 15 : byte >> 4));
      integers.push_back(kIq4Levels[matrix.codes.back()]);
    }
  }
  return matrix;
}

}  // namespace

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

Problem iq4_table_gemm(const KernelCase& c) {
  Stream random(c.seed);
  auto x = std::make_shared<GridOperands>();
  x->a = encode(draw(random, c.shape.m * c.shape.k, c.values), c.shape.m, c.shape.k, c.activation);
  x->a_integers = element_integers(x->a, x->a_unit).value();
  x->w = draw_iq4(random, c, x->w_integers);
  return grid_problem(c, x, [x](std::span<float> out) {
    gemm_grid(grid_of(x->a, x->a_integers, x->a_unit), grid_of(x->w, x->w_integers, x->w_unit),
              out);
  });
}

/// Sums that wrap: exact but for ovp8_int, and then in any order.
Problem ovp_pair_gemm(const KernelCase& c) {
  Stream random(c.seed);
  auto x = std::make_shared<GridOperands>();
  x->a = draw_pairs(random, c, c.shape.m, c.activation, x->a_integers);
  x->w = draw_pairs(random, c, c.shape.n, c.weight, x->w_integers);
  return grid_problem(c, x,
                      [x](std::span<float> out) { ovp_gemm(x->a, x->w, out, Overflow::wrap); });
}

}  // namespace systole::quant::golden
