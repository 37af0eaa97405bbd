// Products of element integers. The contract is in the header.
#include "quant/kernels/grid_gemm.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "quant/check.hpp"

namespace systole::quant {

namespace {

bool one_scale(const CodedMatrix& m) { return m.groups <= 1; }

/// Formats with an offset of their own (sign: a mean) have zeros under a symmetric form.
Affine form_of(const CodedMatrix& m) {
  const bool offset = m.spec.affine == Affine::symmetric && !m.zeros.empty();
  return offset ? Affine::float_min : m.spec.affine;
}

const char* refusal(const CodedMatrix& a, const CodedMatrix& w) {
  if (a.cols != w.cols) return "grid_gemm: activation and weight differ in k";
  if (form_of(a) != Affine::symmetric) return "grid_gemm: the activation must be symmetric";
  if (a.scales.size() != a.rows * a.groups || w.scales.size() != w.rows * w.groups)
    return "grid_gemm: an operand has not one scale a group";
  if (form_of(w) != Affine::symmetric && w.zeros.size() != w.scales.size())
    return "grid_gemm: an affine weight has not one zero a group";
  if (!one_scale(a) && !one_scale(w) && a.group != w.group)
    return "grid_gemm: the groups of the operands differ";
  return nullptr;
}

/// What the sums of one run need.
struct Run {
  std::int64_t products = 0;
  std::int64_t activations = 0;
};

Run sum_run(std::span<const std::int32_t> a, std::span<const std::int32_t> w, bool affine,
            unsigned bits, Overflow overflow) {
  Run run;
  for (std::size_t k = 0; k < a.size(); ++k) {
    accumulate(run.products, std::int64_t{a[k]} * w[k], bits, overflow);
    if (affine) accumulate(run.activations, a[k], bits, overflow);
  }
  return run;
}

}  // namespace

const char* grid_gemm_refuses(const CodedMatrix& a, const CodedMatrix& w) {
  if (const char* why = refusal(a, w)) return why;
  float unit = 1.0f;
  if (!element_integers(a, unit) || !element_integers(w, unit))
    return "grid_gemm: a format whose elements are no integers of 16 bits";
  return nullptr;
}

void grid_gemm(const CodedMatrix& a, const CodedMatrix& w, std::span<float> out, Overflow overflow,
               unsigned accumulator_bits) {
  if (const char* why = refusal(a, w)) require(false, why);
  require(out.size() == a.rows * w.rows, "grid_gemm: out is not [m, n]");
  require(accumulator_bits >= 2 && accumulator_bits <= 64, "grid_gemm: a register of 2 to 64 bits");
  if (a.cols == 0 || out.empty()) {
    std::fill(out.begin(), out.end(), 0.0f);
    return;
  }
  float a_unit = 1.0f;
  float w_unit = 1.0f;
  const auto a_integers = element_integers(a, a_unit);
  const auto w_integers = element_integers(w, w_unit);
  require(a_integers && w_integers,
          "grid_gemm: a format whose elements are no integers of 16 bits");

  const Affine form = form_of(w);
  const float unit = a_unit * w_unit;
  const float tensor = a.tensor_scale * w.tensor_scale;
  const std::size_t length = one_scale(a) ? w.group : a.group;
  require(length != 0, "grid_gemm: a group of no elements");
  for (std::size_t m = 0; m < a.rows; ++m) {
    for (std::size_t n = 0; n < w.rows; ++n) {
      float acc = 0.0f;
      for (std::size_t begin = 0, g = 0; begin < a.cols; begin += length, ++g) {
        const std::size_t count = std::min(length, a.cols - begin);
        Run run = sum_run(std::span(*a_integers).subspan(m * a.cols + begin, count),
                          std::span(*w_integers).subspan(n * w.cols + begin, count),
                          form != Affine::symmetric, accumulator_bits, overflow);
        const std::size_t w_group = n * w.groups + (one_scale(w) ? 0 : g);
        const float s_w = w.scales[w_group];
        const float s_a = one_scale(a) ? 1.0f : a.scales[m * a.groups + g];
        const float z = form == Affine::symmetric ? 0.0f : w.zeros[w_group];
        if (form == Affine::integer_zero) {
          const auto correction = -std::int64_t{static_cast<std::int32_t>(z)} * run.activations;
          accumulate(run.products, correction, accumulator_bits, overflow);
        }
        acc = std::fma(static_cast<float>(run.products) * unit, s_w * s_a, acc);
        if (form == Affine::float_min || form == Affine::float_zero) {
          const float minimum = form == Affine::float_min ? z : -(z * s_w);
          acc = std::fma(static_cast<float>(run.activations) * a_unit, minimum * s_a, acc);
        }
      }
      if (one_scale(a)) acc *= a.scales[m];
      out[m * w.rows + n] = tensor == 1.0f ? acc : acc * tensor;
    }
  }
}

}  // namespace systole::quant
