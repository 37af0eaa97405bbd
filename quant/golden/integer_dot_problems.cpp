// Golden kernels whose multiplier is not one: shifts and a small table (twin-log), fixed point with
// a rounding a product, and FPMA's integer addition.
#include <algorithm>
#include <cmath>

#include "quant/golden/problems.hpp"
#include "quant/kernels/fixed_point.hpp"
#include "quant/kernels/twin_log_gemm.hpp"

namespace systole::quant::golden {

namespace {

constexpr int kLeastLog = -6, kMostLog = 5;  // exponents of the twin-log weights

struct LogOperands {
  QuantizedMatrix a;
  std::vector<LogCode> w;
  std::vector<float> scales;
  unsigned table_bits = 2;

  /// Weight as an integer in units of 2^(kLeastLog - 16).
  std::int64_t units(std::size_t i) const {
    const double value = log_decode(w[i], table_bits);
    return static_cast<std::int64_t>(std::ldexp(value, 16 - kLeastLog));
  }
};

float log_result(const LogOperands& x, std::size_t m, std::size_t n, const Recorder& record) {
  const auto rounded = [](std::int64_t sum) {
    return std::ldexp(static_cast<float>(sum), kLeastLog - 16);
  };
  std::int64_t sum = 0;
  for (std::size_t k = 0; k < x.a.cols; ++k) {
    sum += x.a.code(m, k) * x.units(n * x.a.cols + k);
    record(
        [&] {
          return "k " + std::to_string(k) +
                 ": sum (exact, shown rounded) += " + std::to_string(x.a.code(m, k)) + " * " +
                 text_of(log_decode(x.w[n * x.a.cols + k], x.table_bits));
        },
        rounded(sum));
  }
  const float scaled = rounded(sum) * x.scales[n];
  record([] { return "sum * s_w"; }, scaled);
  const float out = scaled * x.a.scale(m, 0);
  record([] { return "out = that * s_a"; }, out);
  return out;
}

}  // namespace

Problem log_product(const KernelCase& c) {
  Stream random(c.seed);
  auto x = std::make_shared<LogOperands>();
  x->table_bits = static_cast<unsigned>(c.chunk);
  x->a =
      quantise(draw(random, c.shape.m * c.shape.k, c.values), c.shape.m, c.shape.k, c.activation);
  for (const float v : draw(random, c.shape.n * c.shape.k, c.values)) {
    x->w.push_back(log_encode(v, kLeastLog, kMostLog, x->table_bits));
  }
  for (std::size_t n = 0; n < c.shape.n; ++n) {
    x->scales.push_back(0x1p-6f * (1.0f + static_cast<float>(random.below(1024)) * 0x1p-10f));
  }
  Problem problem;
  problem.operands = [c, x] {
    std::vector<std::uint8_t> sign, r;
    std::vector<std::int8_t> f;
    for (const LogCode& code : x->w) {
      sign.push_back(static_cast<std::uint8_t>(code.zero ? 2 : code.negative));
      f.push_back(code.f);
      r.push_back(code.r);
    }
    Arrays arrays = arrays_of("a", x->a);
    const std::vector<std::size_t> shape{c.shape.n, c.shape.k};
    arrays.push_back(array_of("w_sign", shape, std::span<const std::uint8_t>(sign)));  // 2: zero
    arrays.push_back(array_of("w_exponent", shape, std::span<const std::int8_t>(f)));
    arrays.push_back(array_of("w_fraction", shape, std::span<const std::uint8_t>(r)));
    arrays.push_back(array_of("w_scales", {c.shape.n}, std::span<const float>(x->scales)));
    return arrays;
  };
  problem.reference = [c, x] {
    std::vector<float> out(c.shape.m * c.shape.n);
    log_gemm(x->a.codes, x->a.scales, x->w, x->scales, c.shape.k, x->table_bits, out);
    return out_of(c, out);
  };
  add_second_computation(problem, c, "second computation",
                         [x](std::size_t m, std::size_t n, const Recorder& record) {
                           return log_result(*x, m, n, record);
                         });
  return problem;
}

namespace {

struct FixedOperands {
  FixedFormat a_format{3, 12}, w_format{3, 12}, sum_format{15, 16};
  Rounding rounding = Rounding::even;
  Overflow overflow = Overflow::saturate;
  std::vector<std::int32_t> a, w;
};

/// A product in doubles, where products of 32 bits and their halves are exact.
double rounded_product(double product, Rounding rounding) {
  switch (rounding) {
    case Rounding::even:
      return std::nearbyint(product);
    case Rounding::away:
      return std::round(product);
    case Rounding::half_up:
      return std::floor(product + 0.5);
    case Rounding::down:
      return std::copysign(std::ceil(std::fabs(product) - 0.5), product);
    case Rounding::floor:
      break;
  }
  return std::floor(product);
}

std::int32_t fixed_result(const FixedOperands& x, std::size_t k_size, std::size_t m, std::size_t n,
                          const Recorder& record) {
  const double half = std::ldexp(1.0, static_cast<int>(x.sum_format.bits()) - 1);
  const int shift = static_cast<int>(x.sum_format.fraction_bits) -
                    static_cast<int>(x.a_format.fraction_bits + x.w_format.fraction_bits);
  double sum = 0.0;
  for (std::size_t k = 0; k < k_size; ++k) {
    const double product = static_cast<double>(x.a[m * k_size + k]) * x.w[n * k_size + k];
    sum += rounded_product(std::ldexp(product, shift), x.rounding);
    if (x.overflow == Overflow::saturate) {
      sum = std::clamp(sum, -half, half - 1.0);
    } else {
      sum -= 2.0 * half * std::floor((sum + half) / (2.0 * half));
    }
    record(
        [&] {
          return "k " + std::to_string(k) + ": sum += " + std::to_string(x.a[m * k_size + k]) +
                 " * " + std::to_string(x.w[n * k_size + k]) + " >> " + std::to_string(-shift);
        },
        static_cast<std::int32_t>(sum));
  }
  return static_cast<std::int32_t>(sum);
}

/// Formats of 16 bits and a register of 32, saturating; drawn: any of up to 16 and of 16 to 32.
FixedOperands draw_fixed_formats(Stream& random, const KernelCase& c) {
  FixedOperands x;
  if (!c.drawn) return x;
  const auto operand = [&random] {
    const auto bits = static_cast<unsigned>(3 + random.below(13));
    const auto fraction = static_cast<unsigned>(random.below(bits + 1));
    return FixedFormat{bits - fraction, fraction};
  };
  x.a_format = operand();
  x.w_format = operand();
  const auto bits = static_cast<unsigned>(15 + random.below(17));
  const auto fraction = static_cast<unsigned>(random.below(bits + 1));
  x.sum_format = {bits - fraction, fraction};
  x.rounding = static_cast<Rounding>(random.below(kRoundingNames.size()));
  x.overflow = random.below(2) == 0 ? Overflow::wrap : Overflow::saturate;
  return x;
}

}  // namespace

Problem fixed_point_product(const KernelCase& c) {
  Stream random(c.seed);
  auto x = std::make_shared<FixedOperands>(draw_fixed_formats(random, c));
  const auto encoded = [&](std::size_t size, FixedFormat format) {
    std::vector<std::int32_t> codes;
    for (const float v : draw(random, size, c.values)) {
      codes.push_back(fixed_encode(v, format, x->rounding));
    }
    return codes;
  };
  x->a = encoded(c.shape.m * c.shape.k, x->a_format);
  x->w = encoded(c.shape.n * c.shape.k, x->w_format);
  Problem problem;
  problem.operands = [c, x] {
    const std::vector<std::int32_t> formats{static_cast<std::int32_t>(x->a_format.integer_bits),
                                            static_cast<std::int32_t>(x->a_format.fraction_bits),
                                            static_cast<std::int32_t>(x->w_format.integer_bits),
                                            static_cast<std::int32_t>(x->w_format.fraction_bits),
                                            static_cast<std::int32_t>(x->sum_format.integer_bits),
                                            static_cast<std::int32_t>(x->sum_format.fraction_bits),
                                            static_cast<std::int32_t>(x->rounding),
                                            static_cast<std::int32_t>(x->overflow)};
    return Arrays{array_of("a_codes", {c.shape.m, c.shape.k}, std::span<const std::int32_t>(x->a)),
                  array_of("w_codes", {c.shape.n, c.shape.k}, std::span<const std::int32_t>(x->w)),
                  array_of("formats", {formats.size()}, std::span<const std::int32_t>(formats))};
  };
  problem.reference = [c, x] {
    std::vector<std::int32_t> out;
    for (std::size_t i = 0; i < c.shape.m * c.shape.n; ++i) {
      out.push_back(fixed_dot(std::span(x->a).subspan(i / c.shape.n * c.shape.k, c.shape.k),
                              x->a_format,
                              std::span(x->w).subspan(i % c.shape.n * c.shape.k, c.shape.k),
                              x->w_format, x->sum_format, x->rounding, x->overflow));
    }
    return out_of(c, out);
  };
  add_second_computation(problem, c, "second computation",
                         [c, x](std::size_t m, std::size_t n, const Recorder& record) {
                           return fixed_result(*x, c.shape.k, m, n, record);
                         });
  return problem;
}

namespace {

/// Mitchell's logarithm in doubles: exponent plus fraction, added, and back.
float mitchell(Fp16 a, Fp16 b, int compensation) {
  const double x = static_cast<double>(a.decode()), y = static_cast<double>(b.decode());
  if (!std::isfinite(x) || !std::isfinite(y))
    return Fp16::encode(static_cast<float>(x * y)).decode();
  const bool minus = std::signbit(x) != std::signbit(y);
  const auto with_sign = [minus](double v) { return static_cast<float>(minus ? -v : v); };
  if (std::fabs(x) < 0x1p-14 || std::fabs(y) < 0x1p-14) return with_sign(0.0);
  const auto logarithm = [](double v) {
    const int exponent = std::ilogb(v);
    return exponent + std::ldexp(std::fabs(v), -exponent) - 1.0;
  };
  const double sum = logarithm(x) + logarithm(y) + compensation * 0x1p-10;
  const double exponent = std::floor(sum);
  if (exponent < -14.0) return with_sign(0.0);
  if (exponent > 15.0) return with_sign(static_cast<double>(INFINITY));
  return with_sign(std::ldexp(1.0 + (sum - exponent), static_cast<int>(exponent)));
}

struct FpmaOperands {
  std::vector<Fp16> a, w;
  int compensation = 0;
};

}  // namespace

Problem fpma_product(const KernelCase& c) {
  Stream random(c.seed);
  auto x = std::make_shared<FpmaOperands>();
  if (c.drawn) x->compensation = static_cast<int>(random.below(129)) - 64;
  for (const float v : draw(random, c.shape.m * c.shape.k, c.values)) {
    x->a.push_back(Fp16::encode(v));
  }
  for (const float v : draw(random, c.shape.n * c.shape.k, c.values)) {
    x->w.push_back(Fp16::encode(v));
  }
  Problem problem;
  problem.operands = [c, x] {
    const auto bits = [](const std::vector<Fp16>& values) {
      std::vector<std::uint16_t> codes;
      for (const Fp16 v : values) codes.push_back(v.to_bits());
      return codes;
    };
    const auto a = bits(x->a), w = bits(x->w);
    const std::array compensation{static_cast<std::int32_t>(x->compensation)};
    return Arrays{array_of("a_fp16", {c.shape.m, c.shape.k}, std::span<const std::uint16_t>(a)),
                  array_of("w_fp16", {c.shape.n, c.shape.k}, std::span<const std::uint16_t>(w)),
                  array_of("compensation", {1}, std::span<const std::int32_t>(compensation))};
  };
  problem.reference = [c, x] {
    std::vector<float> out;
    for (std::size_t i = 0; i < c.shape.m * c.shape.n; ++i) {
      out.push_back(fpma_dot(std::span(x->a).subspan(i / c.shape.n * c.shape.k, c.shape.k),
                             std::span(x->w).subspan(i % c.shape.n * c.shape.k, c.shape.k),
                             x->compensation));
    }
    return out_of(c, out);
  };
  add_second_computation(problem, c, "second computation",
                         [c, x](std::size_t m, std::size_t n, const Recorder& record) {
                           float acc = 0.0f;
                           for (std::size_t k = 0; k < c.shape.k; ++k) {
                             const Fp16 a = x->a[m * c.shape.k + k], w = x->w[n * c.shape.k + k];
                             acc += mitchell(a, w, x->compensation);
                             record(
                                 [&] {
                                   return "k " + std::to_string(k) +
                                          ": acc += " + text_of(a.decode()) + " x " +
                                          text_of(w.decode()) + ", magnitudes added";
                                 },
                                 acc);
                           }
                           return acc;
                         });
  return problem;
}

}  // namespace systole::quant::golden
