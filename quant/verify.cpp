// Case generation and comparison. The contract is in the header.
#include "quant/verify.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>

#include "quant/check.hpp"
#include "quant/kernels/packed_gemm.hpp"
#include "quant/packing.hpp"

namespace systole::quant {

namespace {

/// SplitMix64 (Steele, Lea, Flood 2014): one 64-bit state, any seed good. quant includes std only
/// and the standard distributions differ between libraries, so the little that is needed is here.
class Stream {
 public:
  explicit Stream(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, n), n > 0 and small: the bias of the remainder is below n / 2^64.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
  float unit() { return static_cast<float>(next() >> 40) * 0x1p-24f; }
  /// Sum of four uniforms: bell-shaped enough, and the same bits everywhere.
  float bell() { return (unit() + unit() + unit() + unit() - 2.0f) * 1.7320508f; }
  template <class T, std::size_t N>
  T pick(const std::array<T, N>& from) {
    return from[below(N)];
  }

 private:
  std::uint64_t state_;
};

enum class Kind : std::uint8_t { integer, affine, fp32, fp16, quantise, packing };

struct Suite {
  std::string_view name;
  Kind kind;
  Format weight;      ///< fp32: drawn
  Format activation;  ///< fp32: drawn
};

constexpr std::array<Suite, 8> kSuites = {{
    {"gemm_w4a8", Kind::integer, Format::int4, Format::int8},
    {"gemm_w8a8", Kind::integer, Format::int8, Format::int8},
    {"gemm_integer", Kind::integer, Format::fp32, Format::fp32},
    {"gemm_affine", Kind::affine, Format::fp32, Format::fp32},
    {"gemm_fp32", Kind::fp32, Format::fp32, Format::fp32},
    {"gemm_fp16", Kind::fp16, Format::fp16, Format::fp16},
    {"quantise", Kind::quantise, Format::fp32, Format::fp32},
    {"packing", Kind::packing, Format::fp32, Format::fp32},
}};

const Suite& find_suite(std::string_view name) {
  const auto it = std::ranges::find(kSuites, name, &Suite::name);
  require(it != kSuites.end(), "verify: unknown suite");
  return *it;
}

constexpr std::array<Format, 7> kIntegers = {Format::int2, Format::int3, Format::int4, Format::int5,
                                             Format::int6, Format::int7, Format::int8};
constexpr std::array<Format, 3> kScales = {Format::fp32, Format::fp16, Format::bf16};
/// Around the tile and panel sizes, primes, one.
constexpr std::array<std::size_t, 19> kEdges = {1,  2,  3,  4,  5,  7,  8,  9,  13, 15,
                                                16, 17, 31, 32, 33, 63, 64, 65, 97};
/// Around the segments of K.
constexpr std::array<std::size_t, 12> kDepths = {1,   2,   3,   127, 128, 129,
                                                 255, 257, 511, 512, 513, 1031};
constexpr std::array<std::size_t, 12> kGroups = {1, 2, 3, 4, 5, 8, 16, 31, 32, 64, 100, 128};

std::size_t extent(Stream& random) {
  return random.below(2) == 0 ? random.pick(kEdges) : 1 + random.below(48);
}

/// qmax: the largest code of the symmetric format these values meet, for Values::ties.
std::vector<float> operand(Stream& random, std::size_t size, Values values, int qmax = 7) {
  std::vector<float> x(size);
  for (float& v : x) {
    v = random.bell();
    const std::size_t dice = random.below(64);
    switch (values) {
      case Values::normal:
        break;
      case Values::outliers:
        if (dice == 0) v *= 1000.0f;
        break;
      case Values::ties:  // with a value of qmax among them the step is 1
        v = dice == 0
                ? static_cast<float>(qmax)
                : static_cast<float>(random.below(static_cast<std::size_t>(4 * qmax) + 1)) * 0.5f -
                      static_cast<float>(qmax);
        break;
      case Values::extremes:
        v = std::copysign(3.0f, v);
        break;
      case Values::zeros:
        v = dice == 0 ? 1.0f : std::copysign(0.0f, v);
        break;
      case Values::subnormal:
        v *= dice % 2 == 0 ? 0x1p-126f : 0x1p-140f;
        break;
      case Values::non_finite:
        if (dice == 0) v = std::numeric_limits<float>::quiet_NaN();
        if (dice == 1) v = std::copysign(std::numeric_limits<float>::infinity(), v);
        if (dice == 2) v = std::copysign(std::numeric_limits<float>::max(), v);
        break;
    }
  }
  return x;
}

std::string hex(std::uint32_t bits) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0x%08X", static_cast<unsigned>(bits));
  return text.data();
}

void add(CaseOutcome& to, const CaseOutcome& from) {
  to.elements += from.elements;
  to.mismatches += from.mismatches;
  if (to.first_mismatch.empty()) to.first_mismatch = from.first_mismatch;
}

std::string label(const KernelCase& c, Path path, unsigned threads) {
  return describe(c) + ", path " + std::string(name_of(path)) + ", " + std::to_string(threads) +
         " threads";
}

/// run(path, threads, out) against `expected`, for every path and thread count.
template <class Run>
CaseOutcome compare_paths(const KernelCase& c, std::span<const float> expected, const Run& run) {
  CaseOutcome outcome;
  std::vector<float> actual(expected.size());
  const std::vector<Path> paths = available_paths();
  for (const Path path : paths) {
    if (path == Path::reference && paths.size() > 1) continue;  // itself: nothing to learn
    for (const unsigned threads : {1u, c.threads}) {
      std::ranges::fill(actual, -1.0f);
      run(path, threads, std::span<float>(actual));
      add(outcome, compare_bits(expected, actual, label(c, path, threads)));
      if (c.threads == 1) break;
    }
  }
  return outcome;
}

CaseOutcome run_integer(const KernelCase& c, Stream& random) {
  const auto& [m, n, k] = c.shape;
  const QuantizedMatrix a = quantise(
      operand(random, m * k, c.values, symmetric_max(c.activation.format)), m, k, c.activation);
  const QuantizedMatrix w =
      quantise(operand(random, n * k, c.values, symmetric_max(c.weight.format)), n, k, c.weight);
  std::vector<float> expected(m * n);
  gemm_dequantise_after(a, w, expected);
  return compare_paths(c, expected, [&](Path path, unsigned threads, std::span<float> out) {
    gemm_dequantise_after(a, PackedWeights(w, path), out, threads);
  });
}

CaseOutcome run_float(const KernelCase& c, Stream& random, Format operands) {
  // Plain copies: clang 14 does not capture structured bindings.
  const std::size_t m = c.shape.m;
  const std::size_t n = c.shape.n;
  const std::size_t k = c.shape.k;
  const std::vector<float> a = operand(random, m * k, c.values);
  const std::vector<float> w = operand(random, n * k, c.values);
  std::vector<float> expected(m * n);
  if (operands == Format::fp32) {
    gemm_fp32(a, w, c.shape, expected);
  } else {
    gemm_fp16(a, w, c.shape, c.chunk, expected);
  }
  return compare_paths(c, expected, [&](Path path, unsigned threads, std::span<float> out) {
    const PackedFloatWeights packed(w, n, k, operands, path);
    if (operands == Format::fp32) {
      gemm_fp32(a, packed, m, out, threads);
    } else {
      gemm_fp16(a, packed, m, c.chunk, out, threads);
    }
  });
}

/// The codes once more from the stored scales and zeros, with the C library's rounding and double
/// arithmetic where that is exact, and the decoded values with one rounding of an exact double.
CaseOutcome run_quantise(const KernelCase& c, Stream& random) {
  const auto& [m, n, k] = c.shape;
  const std::vector<float> x = operand(random, n * k, c.values, symmetric_max(c.weight.format));
  const QuantizedMatrix q = quantise(x, n, k, c.weight);
  const std::vector<float> decoded = dequantise(q);
  const int levels = asymmetric_max(c.weight.format);
  const int qmax = symmetric_max(c.weight.format);
  std::vector<float> expected;
  std::vector<float> actual;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float s = q.scale(i / k, i % k / q.group);
    const float z = q.zero(i / k, i % k / q.group);
    const int code = q.code(i / k, i % k);
    float want = 0.0f;
    float value = 0.0f;
    switch (c.weight.affine) {
      case Affine::symmetric:
        want = std::clamp<float>(std::nearbyint(x[i] / s), static_cast<float>(-qmax),
                                 static_cast<float>(qmax));
        value = static_cast<float>(static_cast<double>(s) * code);
        break;
      case Affine::float_min:
        want = std::nearbyint((x[i] - z) / s);
        value = std::fma(static_cast<float>(code), s, z);
        break;
      case Affine::integer_zero:
        want = std::nearbyint(x[i] / s) + z;
        value = static_cast<float>(static_cast<double>(s) * (static_cast<double>(code) - z));
        break;
      case Affine::float_zero:
        want = std::nearbyint(x[i] / s + z);
        value = std::fma(static_cast<float>(code), s, -(z * s));
        break;
    }
    if (c.weight.affine != Affine::symmetric)
      want = std::clamp(want, 0.0f, static_cast<float>(levels));
    expected.push_back(s == 0.0f ? 0.0f : want + 0.0f);  // + 0: a code has no sign of zero
    actual.push_back(static_cast<float>(code));
    expected.push_back(value);
    actual.push_back(decoded[i]);
  }
  return compare_bits(expected, actual, describe(c));
}

/// Packed codes bit by bit, and back.
CaseOutcome run_packing(const KernelCase& c, Stream& random) {
  const unsigned bits = bits_of(c.weight.format);
  const bool is_signed = c.weight.affine == Affine::symmetric;
  std::vector<std::int8_t> codes(c.shape.k);
  for (std::int8_t& code : codes) {
    const int raw = static_cast<int>(random.below(std::size_t{1} << bits));
    code = static_cast<std::int8_t>(is_signed ? raw - (1 << (bits - 1)) : raw);
  }
  const std::vector<std::uint8_t> packed = pack(codes, bits);
  const std::vector<std::int8_t> back = unpack(packed, codes.size(), bits, is_signed);
  std::vector<float> expected{static_cast<float>((codes.size() * bits + 7) / 8)};
  std::vector<float> actual{static_cast<float>(packed.size())};
  for (std::size_t i = 0; i < codes.size(); ++i) {
    expected.push_back(codes[i]);
    actual.push_back(back[i]);
    for (unsigned j = 0; j < bits; ++j) {
      const std::size_t place = i * bits + j;
      expected.push_back(static_cast<float>((static_cast<unsigned>(codes[i]) >> j) & 1u));
      actual.push_back(static_cast<float>((packed[place / 8] >> (place % 8)) & 1u));
    }
  }
  return compare_bits(expected, actual, describe(c));
}

constexpr std::array<std::string_view, 7> kValuesNames = {
    "normal", "outliers", "ties", "extremes", "zeros", "subnormal", "non_finite"};

}  // namespace

std::string describe(const KernelCase& c) {
  return std::to_string(c.shape.m) + " x " + std::to_string(c.shape.n) + " x " +
         std::to_string(c.shape.k) + " (m, n, k), a " + describe(c.activation) + ", w " +
         describe(c.weight) + ", chunk " + std::to_string(c.chunk) + ", " +
         std::string(kValuesNames[static_cast<std::size_t>(c.values)]) + " values";
}

std::vector<std::string> suite_names() {
  std::vector<std::string> names;
  for (const Suite& suite : kSuites) names.emplace_back(suite.name);
  return names;
}

KernelCase make_case(std::string_view suite_name, std::uint64_t seed, std::uint64_t index) {
  const Suite& suite = find_suite(suite_name);
  // Three SplitMix steps mix seed, suite and index so that neighbours share nothing.
  const auto which = static_cast<std::uint64_t>(&suite - kSuites.data());
  Stream random(Stream(Stream(Stream(seed).next() ^ which).next() ^ index).next());

  KernelCase c;
  c.shape = {extent(random), extent(random),
             random.below(3) == 0 ? random.pick(kDepths) : extent(random) * 3};
  c.threads = random.pick(std::array<unsigned, 4>{1, 2, 3, 7});
  c.chunk = random.below(4) == 0 ? c.shape.k : random.pick(kEdges);
  const bool floats = suite.kind == Kind::fp32 || suite.kind == Kind::fp16;
  c.values = static_cast<Values>(random.below(kValuesNames.size() - (floats ? 0 : 1)));
  c.activation.format = suite.activation;
  c.weight.format = suite.weight;
  if (!floats) {
    if (suite.activation == Format::fp32) c.activation.format = random.pick(kIntegers);
    if (suite.weight == Format::fp32) c.weight.format = random.pick(kIntegers);
    c.activation.granularity = random.below(4) == 0 ? Granularity::tensor : Granularity::token;
    c.activation.scale = random.pick(kScales);
    c.weight.scale = random.pick(kScales);
    c.weight.granularity = random.pick(std::array{Granularity::tensor, Granularity::channel,
                                                  Granularity::group, Granularity::group});
    if (c.weight.granularity == Granularity::group) {
      c.weight.group = static_cast<std::uint32_t>(random.pick(kGroups));
      if (random.below(8) != 0)
        c.shape.k = std::max<std::size_t>(1, c.shape.k / c.weight.group) * c.weight.group;
    }
    const bool affine =
        suite.kind == Kind::affine ||
        ((suite.kind == Kind::quantise || suite.kind == Kind::packing) && random.below(4) != 0);
    if (affine) {
      c.weight.affine =
          random.pick(std::array{Affine::float_min, Affine::integer_zero, Affine::float_zero});
    }
  }
  c.stream = random.next();
  return c;
}

CaseOutcome run_case(std::string_view suite_name, std::uint64_t seed, std::uint64_t index) {
  const Suite& suite = find_suite(suite_name);
  const KernelCase c = make_case(suite_name, seed, index);
  Stream random(c.stream);
  switch (suite.kind) {
    case Kind::integer:
    case Kind::affine:
      return run_integer(c, random);
    case Kind::fp32:
      return run_float(c, random, Format::fp32);
    case Kind::fp16:
      return run_float(c, random, Format::fp16);
    case Kind::quantise:
      return run_quantise(c, random);
    case Kind::packing:
      return run_packing(c, random);
  }
  return {};
}

CaseOutcome compare_bits(std::span<const float> expected, std::span<const float> actual,
                         std::string_view label) {
  require(expected.size() == actual.size(), "compare_bits: the sizes differ");
  CaseOutcome outcome;
  outcome.elements = expected.size();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto want = std::bit_cast<std::uint32_t>(expected[i]);
    const auto got = std::bit_cast<std::uint32_t>(actual[i]);
    if (want == got || (std::isnan(expected[i]) && std::isnan(actual[i]))) continue;
    if (outcome.mismatches++ == 0) {
      outcome.first_mismatch = std::string(label) + ": element " + std::to_string(i) +
                               " should be " + hex(want) + " and is " + hex(got);
    }
  }
  return outcome;
}

}  // namespace systole::quant
