// Golden kernels with floating-point operands: block-scaled minifloats, dot units, FIGNA, BitMoD,
// and matrix-vector products dequantised on the fly.
#include <algorithm>
#include <array>
#include <cmath>

#include "quant/coded_matrix.hpp"
#include "quant/golden/problems.hpp"
#include "quant/kernels/bitmod_dot.hpp"
#include "quant/kernels/block_scaled_gemm.hpp"
#include "quant/kernels/exact.hpp"
#include "quant/kernels/figna_dot.hpp"
#include "quant/kernels/gemv_dequantise.hpp"
#include "quant/kernels/packed_gemm.hpp"

namespace systole::quant::golden {

namespace {

Arrays coded_arrays(const std::string& prefix, const CodedMatrix& x) {
  Arrays arrays{
      array_of(prefix + "_codes", {x.rows, x.cols}, std::span<const std::uint16_t>(x.codes)),
      array_of(prefix + "_scales", {x.rows, x.groups}, std::span<const float>(x.scales))};
  arrays.push_back(
      array_of(prefix + "_tensor_scale", {1}, std::span<const float>(&x.tensor_scale, 1)));
  return arrays;
}

/// Products of elements in units of 2^-32, which holds every one of them exactly (E5M2: 2^-32 to
/// 2^31.6), added in 128 bits.
struct ExactSum {
  Int128 units = 0;
  void add(float a, float w) {
    units += static_cast<Int128>(std::ldexp(static_cast<double>(a), 16)) *
             static_cast<Int128>(std::ldexp(static_cast<double>(w), 16));
  }
  float rounded() const { return round_scaled(units, -32); }
};

struct CodedPair {
  CodedMatrix a, w;
  float a_value(std::size_t m, std::size_t k) const {
    return element_value(a.spec.format, a.codes[m * a.cols + k]);
  }
  float w_value(std::size_t n, std::size_t k) const {
    return element_value(w.spec.format, w.codes[n * w.cols + k]);
  }
};

float block_result(const CodedPair& x, std::size_t m, std::size_t n, const Recorder& record) {
  float acc = 0.0f;
  for (std::size_t g = 0; g < x.w.groups; ++g) {
    ExactSum sum;
    const std::size_t end = std::min(x.w.cols, (g + 1) * x.w.group);
    for (std::size_t k = g * x.w.group; k < end; ++k) {
      const float a = x.a_value(m, k), w = x.w_value(n, k);
      sum.add(a, w);
      if (record.steps != nullptr) {
        record(
            [&] {
              return "k " + std::to_string(k) +
                     ": block sum (exact, shown rounded) += " + text_of(a) + " * " + text_of(w);
            },
            sum.rounded());
      }
    }
    const float scale = x.a.scales[m * x.a.groups + g] * x.w.scales[n * x.w.groups + g];
    acc = std::fma(sum.rounded(), scale, acc);
    record([&] { return "block " + std::to_string(g) + ": acc = fma(block sum, X_a * X_w, acc)"; },
           acc);
  }
  const float out = acc * (x.a.tensor_scale * x.w.tensor_scale);
  record([] { return "out = acc * (t_a * t_w)"; }, out);
  return out;
}

}  // namespace

Problem block_scaled_product(const KernelCase& c) {
  Stream random(c.seed);
  auto x = std::make_shared<CodedPair>();
  x->a = encode(draw(random, c.shape.m * c.shape.k, c.values), c.shape.m, c.shape.k, c.activation);
  x->w = encode(draw(random, c.shape.n * c.shape.k, c.values), c.shape.n, c.shape.k, c.weight);
  Problem problem;
  problem.operands = [x] {
    Arrays arrays = coded_arrays("a", x->a);
    for (Array& array : coded_arrays("w", x->w)) arrays.push_back(std::move(array));
    return arrays;
  };
  problem.reference = [c, x] {
    std::vector<float> out(c.shape.m * c.shape.n);
    block_scaled_gemm(x->a, x->w, out);
    return out_of(c, out);
  };
  add_second_computation(problem, c, "second computation",
                         [x](std::size_t m, std::size_t n, const Recorder& record) {
                           return block_result(*x, m, n, record);
                         });
  return problem;
}

Problem unit_product(const KernelCase& c) {
  struct Operands {
    std::vector<std::uint16_t> a, w;
    std::vector<float> a_values, w_values;
  };
  Stream random(c.seed);
  auto x = std::make_shared<Operands>();
  const Format format = c.weight.format;
  const auto make = [&](std::size_t size, std::vector<std::uint16_t>& codes,
                        std::vector<float>& values) {
    // A minifloat without a scale: code the drawn values as they are.
    for (const float v : draw(random, size, c.values)) {
      codes.push_back(encode_element(format, v));
      values.push_back(element_value(format, codes.back()));
    }
  };
  make(c.shape.m * c.shape.k, x->a, x->a_values);
  make(c.shape.n * c.shape.k, x->w, x->w_values);
  Problem problem;
  problem.operands = [c, x] {
    return Arrays{
        array_of("a_codes", {c.shape.m, c.shape.k}, std::span<const std::uint16_t>(x->a)),
        array_of("w_codes", {c.shape.n, c.shape.k}, std::span<const std::uint16_t>(x->w))};
  };
  problem.reference = [c, x, format] {
    std::vector<float> out(c.shape.m * c.shape.n);
    gemm_units(format, x->a, format, x->w, c.shape, c.chunk, out);
    return out_of(c, out);
  };
  add_second_computation(problem, c, "second computation",
                         [c, x](std::size_t m, std::size_t n, const Recorder& record) {
                           const float* a = x->a_values.data() + m * c.shape.k;
                           const float* w = x->w_values.data() + n * c.shape.k;
                           float total = 0.0f;
                           for (std::size_t begin = 0; begin < c.shape.k; begin += c.chunk) {
                             float sum = 0.0f;
                             for (std::size_t k = begin; k < std::min(c.shape.k, begin + c.chunk);
                                  ++k) {
                               sum += a[k] * w[k];
                               record(
                                   [&] {
                                     return "k " + std::to_string(k) + ": sum += " + text_of(a[k]) +
                                            " * " + text_of(w[k]);
                                   },
                                   sum);
                             }
                             total += sum;
                             record([] { return "total += sum"; }, total);
                           }
                           return total;
                         });
  if (format == Format::bf16) return problem;
  add_paths(problem, c, [c, x](Path path, unsigned threads) {  // every minifloat is an fp16 number
    std::vector<float> out(c.shape.m * c.shape.n);
    const PackedFloatWeights packed(x->w_values, c.shape.n, c.shape.k, Format::fp16, path);
    gemm_fp16(x->a_values, packed, c.shape.m, c.chunk, out, threads);
    return out_of(c, out);
  });
  return problem;
}

Problem figna_product(const KernelCase& c) {
  struct Operands {
    std::vector<Fp16> a;
    QuantizedMatrix w;
  };
  Stream random(c.seed);
  auto x = std::make_shared<Operands>();
  for (const float v : draw(random, c.shape.m * c.shape.k, c.values)) {
    x->a.push_back(Fp16::encode(std::clamp(v, -60000.0f, 60000.0f)));
  }
  x->w = quantise(draw(random, c.shape.n * c.shape.k, c.values), c.shape.n, c.shape.k, c.weight);
  Problem problem;
  problem.operands = [c, x] {
    std::vector<std::uint16_t> bits;
    for (const Fp16 v : x->a) bits.push_back(v.to_bits());
    Arrays arrays{array_of("a_fp16", {c.shape.m, c.shape.k}, std::span<const std::uint16_t>(bits))};
    for (Array& array : arrays_of("w", x->w)) arrays.push_back(std::move(array));
    return arrays;
  };
  problem.reference = [c, x] {
    std::vector<float> out(c.shape.m * c.shape.n);
    figna_gemm(x->a, x->w, kFignaMantissa, Alignment::truncate, out);
    return out_of(c, out);
  };
  add_second_computation(
      problem, c, "bit planes",  // iFPU's: another sum of the same integers
      [c, x](std::size_t m, std::size_t n, const Recorder& record) {
        float acc = 0.0f;
        for (std::size_t g = 0; g < x->w.groups; ++g) {
          const std::size_t begin = g * x->w.group;
          std::vector<std::int16_t> q;
          for (std::size_t k = begin; k < begin + x->w.group; ++k) {
            q.push_back(static_cast<std::int16_t>(x->w.code(n, k)));
          }
          const AlignedGroup aligned =
              align(std::span(x->a).subspan(m * c.shape.k + begin, x->w.group), kFignaMantissa,
                    Alignment::truncate);
          const float dot = ifpu_dot(aligned, q, bits_of(c.weight.format));
          record(
              [&] {
                return "group " + std::to_string(g) + ": dot, mantissas at 2^" +
                       std::to_string(aligned.exponent);
              },
              dot);
          acc = std::fma(dot, x->w.scale(n, g), acc);
          record([&] { return "group " + std::to_string(g) + ": acc = fma(dot, s_w, acc)"; }, acc);
        }
        return acc;
      });
  return problem;
}

namespace {

/// One cycle of four lanes in doubles, every operation of which is exact here.
double bitmod_cycle(std::span<const Fp16> a, std::span<const Term> terms) {
  int largest = -1000;
  const auto exponent = [](Fp16 v) {
    const int field = v.to_bits() >> 10 & 31;
    return (field == 0 ? 1 : field) - 25;
  };
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (terms[i].man) largest = std::max(largest, exponent(a[i]) + terms[i].exp);
  }
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!terms[i].man) continue;
    const double significand =
        std::ldexp(std::fabs(static_cast<double>(a[i].decode())), -exponent(a[i]));
    const double aligned =
        std::trunc(std::ldexp(significand, 3 + exponent(a[i]) + terms[i].exp - largest));
    const bool minus = (a[i].to_bits() >> 15 != 0) != terms[i].negative;
    sum += minus ? -aligned : aligned;
  }
  return std::ldexp(sum, largest - 3 + terms[0].bsig);
}

struct BitmodOperands {
  std::vector<Fp16> a;
  std::vector<std::int8_t> w;  ///< values
  std::vector<std::uint8_t> scales;
  std::vector<float> channel;
  TermCode code = TermCode::fp4;
  std::size_t group = 128, groups = 1;
};

float bitmod_result(const BitmodOperands& x, std::size_t k_size, std::size_t m, std::size_t n,
                    const Recorder& record) {
  float total = 0.0f;
  for (std::size_t g = 0; g < x.groups; ++g) {
    float acc = 0.0f;
    const std::size_t end = std::min(k_size, (g + 1) * x.group);
    for (std::size_t k = g * x.group; k < end; k += 4) {
      std::array<Fp16, 4> a{};
      std::array<std::vector<Term>, 4> terms;
      for (std::size_t lane = 0; lane < 4; ++lane) {
        const bool there = k + lane < end;
        if (there) a[lane] = x.a[m * k_size + k + lane];
        terms[lane] = encode_terms(there ? x.w[n * k_size + k + lane] : 0, x.code);
      }
      for (unsigned t = 0; t < terms_of(x.code); ++t) {
        const std::array<Term, 4> cycle{terms[0][t], terms[1][t], terms[2][t], terms[3][t]};
        // The cycle's sum has at most 20 bits: exact as fp32.
        acc += static_cast<float>(bitmod_cycle(a, cycle));
        record(
            [&] {
              return "k " + std::to_string(k) + "-" + std::to_string(k + 3) + ", term " +
                     std::to_string(t) + ": acc += adder tree";
            },
            acc);
      }
    }
    total += static_cast<float>(static_cast<double>(acc) * x.scales[n * x.groups + g]);
    record([&] { return "group " + std::to_string(g) + ": total += acc * scale"; }, total);
  }
  const float out = total * x.channel[n];
  record([] { return "out = total * channel scale"; }, out);
  return out;
}

}  // namespace

Problem bitmod_product(const KernelCase& c) {
  Stream random(c.seed);
  auto x = std::make_shared<BitmodOperands>();
  x->code = c.weight.format == Format::int6   ? TermCode::int6
            : c.weight.format == Format::int8 ? TermCode::int8
                                              : TermCode::fp4;
  x->group = std::min<std::size_t>(c.chunk, c.shape.k);
  x->groups = (c.shape.k + x->group - 1) / x->group;
  for (const float v : draw(random, c.shape.m * c.shape.k, c.values)) {
    x->a.push_back(Fp16::encode(std::clamp(v, -60000.0f, 60000.0f)));
  }
  // FP4 values of the catalogue's bitmod4 in its units, special values included.
  constexpr std::array<int, 10> kFp4 = {0, 1, 2, 3, 4, 5, 6, 8, 12, 16};
  for (std::size_t i = 0; i < c.shape.n * c.shape.k; ++i) {
    const int magnitude =
        x->code == TermCode::fp4
            ? random.pick(kFp4)
            : static_cast<int>(random.below(x->code == TermCode::int6 ? 32 : 128));
    x->w.push_back(static_cast<std::int8_t>(random.below(2) == 0 ? magnitude : -magnitude));
  }
  for (std::size_t i = 0; i < c.shape.n * x->groups; ++i) {
    x->scales.push_back(static_cast<std::uint8_t>(1 + random.below(255)));
  }
  for (std::size_t n = 0; n < c.shape.n; ++n) {
    x->channel.push_back(0x1p-10f * (1.0f + static_cast<float>(random.below(1024)) * 0x1p-10f));
  }
  Problem problem;
  problem.operands = [c, x] {
    std::vector<std::uint16_t> bits;
    for (const Fp16 v : x->a) bits.push_back(v.to_bits());
    return Arrays{array_of("a_fp16", {c.shape.m, c.shape.k}, std::span<const std::uint16_t>(bits)),
                  array_of("w_values", {c.shape.n, c.shape.k}, std::span<const std::int8_t>(x->w)),
                  array_of("w_group_scales", {c.shape.n, x->groups},
                           std::span<const std::uint8_t>(x->scales)),
                  array_of("w_channel_scales", {c.shape.n}, std::span<const float>(x->channel))};
  };
  problem.reference = [c, x] {
    std::vector<float> out;
    for (std::size_t i = 0; i < c.shape.m * c.shape.n; ++i) {
      const std::size_t m = i / c.shape.n, n = i % c.shape.n;
      out.push_back(bitmod_dot(std::span(x->a).subspan(m * c.shape.k, c.shape.k),
                               std::span(x->w).subspan(n * c.shape.k, c.shape.k), x->code, x->group,
                               std::span(x->scales).subspan(n * x->groups, x->groups),
                               x->channel[n]));
    }
    return out_of(c, out);
  };
  add_second_computation(problem, c, "second computation",
                         [c, x](std::size_t m, std::size_t n, const Recorder& record) {
                           return bitmod_result(*x, c.shape.k, m, n, record);
                         });
  return problem;
}

Problem dequantising_gemv(const KernelCase& c) {
  struct Operands {
    std::vector<float> x;
    QuantizedMatrix w;
  };
  Stream random(c.seed);
  auto o = std::make_shared<Operands>();
  o->x = draw(random, c.shape.m * c.shape.k, c.values);
  o->w = quantise(draw(random, c.shape.n * c.shape.k, c.values), c.shape.n, c.shape.k, c.weight);
  Problem problem;
  problem.operands = [c, o] {
    Arrays arrays{array_of("x", {c.shape.m, c.shape.k}, std::span<const float>(o->x))};
    for (Array& array : arrays_of("w", o->w)) arrays.push_back(std::move(array));
    return arrays;
  };
  problem.reference = [c, o] {
    std::vector<float> out(c.shape.m * c.shape.n);
    for (std::size_t m = 0; m < c.shape.m; ++m) {
      gemv_dequantise(o->w, std::span(o->x).subspan(m * c.shape.k, c.shape.k),
                      std::span(out).subspan(m * c.shape.n, c.shape.n));
    }
    return out_of(c, out);
  };
  add_paths(problem, c, [c, o](Path path, unsigned threads) {
    std::vector<float> out(c.shape.m * c.shape.n);
    const PackedFloatWeights packed(dequantise(o->w), c.shape.n, c.shape.k, Format::fp32, path);
    gemm_fp32(o->x, packed, c.shape.m, out, threads);
    return out_of(c, out);
  });
  problem.trace = [c, o](std::size_t, std::size_t element) {
    const std::vector<float> w = dequantise(o->w);
    const std::size_t m = element / c.shape.n, n = element % c.shape.n;
    std::vector<Step> steps;
    float acc = 0.0f;
    for (std::size_t k = 0; k < c.shape.k; ++k) {
      acc = std::fma(o->x[m * c.shape.k + k], w[n * c.shape.k + k], acc);
      steps.push_back(step("k " + std::to_string(k) + ": acc = fma(" +
                               text_of(o->x[m * c.shape.k + k]) + ", " +
                               text_of(w[n * c.shape.k + k]) + ", acc)",
                           acc));
    }
    return steps;
  };
  return problem;
}

}  // namespace systole::quant::golden
