// Range rules, encoding and decoding of the integer formats. The contract is in the header.
#include "quant/quantise.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "quant/bfloat16.hpp"
#include "quant/check.hpp"
#include "quant/clones.hpp"
#include "quant/coded_matrix.hpp"
#include "quant/float16.hpp"
#include "quant/formats/codec.hpp"
#include "quant/formats/parameter.hpp"

namespace systole::quant {
namespace {

constexpr float largest_finite(Format f) {
  switch (f) {
    case Format::fp16:
      return Fp16::from_bits(0x7BFF).decode();
    case Format::bf16:
      return Bf16::from_bits(0x7F7F).decode();
    default:
      return std::numeric_limits<float>::max();
  }
}

/// As a parameter is stored: rounded to its format, never infinite.
float store(Format f, float value) {
  const float limit = largest_finite(f);
  return round_to(f, std::clamp(value, -limit, limit));
}

struct Range {
  float min = 0.0f;
  float max = 0.0f;
};

// The compiler vectorises these loops, once for each instruction set, chosen at run time; every
// element is computed as the definition says, so the bits are equal.

SYSTOLE_CLONES Range unordered_range(const float* x, std::size_t n) {
  constexpr std::size_t kLanes = 16;
  float low[kLanes];
  float high[kLanes];
  for (std::size_t j = 0; j < kLanes; ++j) low[j] = high[j] = x[0];
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      low[j] = x[i + j] < low[j] ? x[i + j] : low[j];
      high[j] = x[i + j] > high[j] ? x[i + j] : high[j];
    }
  }
  Range r{low[0], high[0]};
  for (; i < n; ++i) {
    r.min = x[i] < r.min ? x[i] : r.min;
    r.max = x[i] > r.max ? x[i] : r.max;
  }
  for (std::size_t j = 0; j < kLanes; ++j) {
    r.min = low[j] < r.min ? low[j] : r.min;
    r.max = high[j] > r.max ? high[j] : r.max;
  }
  return r;
}

/// Minimum and maximum of finite values; of +0 and -0 the first met wins.
Range range_of(std::span<const float> values) {
  Range r = unordered_range(values.data(), values.size());
  if (r.min == 0.0f || r.max == 0.0f) {
    const float first_zero = *std::ranges::find(values, 0.0f);
    if (r.min == 0.0f) r.min = first_zero;
    if (r.max == 0.0f) r.max = first_zero;
  }
  return r;
}

/// Round to nearest, ties to even, without a libm call: exact for |x| < 2^22, any larger value
/// saturates later anyway. The sum forces the fraction out; the default rounding mode does the
/// rest.
float round_nearest_even(float x) {
  constexpr float kShift = 0x1.8p23f;
  if (!(x > -0x1p22f && x < 0x1p22f)) return x;
  return (x + kShift) - kShift;
}

int clamped(float x, int low, int high) {
  return static_cast<int>(std::clamp(x, static_cast<float>(low), static_cast<float>(high)));
}

struct Parameters {
  float scale = 0.0f;
  float zero = 0.0f;  ///< minimum for float_min
};

float symmetric_scale(float absmax, const QuantSpec& spec) {
  return store(spec.scale, absmax / static_cast<float>(symmetric_max(spec.format)));
}

/// Of the affine forms.
Parameters parameters_of(Range range, const QuantSpec& spec) {
  Parameters p;
  const float levels = static_cast<float>(asymmetric_max(spec.format));
  p.scale = store(spec.scale, (range.max - range.min) / levels);
  if (spec.affine == Affine::float_min) {
    p.zero = store(spec.scale, range.min);
  } else if (p.scale != 0.0f) {
    const float z = -range.min / p.scale;
    p.zero = spec.affine == Affine::float_zero ? store(spec.scale, z)
                                               : std::clamp(round_nearest_even(z), 0.0f, levels);
  }
  return p;
}

int code_of(float x, const Parameters& p, const QuantSpec& spec) {
  if (p.scale == 0.0f) return 0;
  const int levels = asymmetric_max(spec.format);
  switch (spec.affine) {
    case Affine::symmetric:
      break;  // encode_symmetric
    case Affine::float_min:
      return clamped(round_nearest_even((x - p.zero) / p.scale), 0, levels);
    case Affine::integer_zero:
      return clamped(round_nearest_even(x / p.scale) + p.zero, 0, levels);
    case Affine::float_zero:
      return clamped(round_nearest_even(x / p.scale + p.zero), 0, levels);
  }
  return 0;
}

/// Symmetric codes: rounding what is clamped already is the same, as the limits are integers.
SYSTOLE_CLONES void encode_symmetric(const float* x, std::size_t n, float scale, float qmax,
                                     std::int8_t* codes) {
  constexpr float kShift = 0x1.8p23f;
  for (std::size_t i = 0; i < n; ++i) {
    float q = x[i] / scale;
    q = q < -qmax ? -qmax : q;
    q = q > qmax ? qmax : q;
    codes[i] = static_cast<std::int8_t>(static_cast<std::int32_t>((q + kShift) - kShift));
  }
}

constexpr std::int32_t kLargestFinite = 0x7F7FFFFF;  // as the bits of a magnitude

/// The largest magnitude as bits: integers order non-negative floats, and put infinities and NaNs
/// above kLargestFinite. A maximum of integers may be taken in any order.
SYSTOLE_CLONES std::int32_t largest_magnitude(const float* x, std::size_t n) {
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    largest = std::max(largest, std::bit_cast<std::int32_t>(x[i]) & 0x7FFFFFFF);
  }
  return largest;
}

SYSTOLE_CLONES bool all_finite(const float* x, std::size_t n) {
  std::int32_t bad = 0;
  for (std::size_t i = 0; i < n; ++i) {
    bad |= std::fabs(x[i]) <= std::numeric_limits<float>::max() ? 0 : 1;
  }
  return bad == 0;
}

void check_finite(std::span<const float> values, std::size_t cols) {
  if (all_finite(values.data(), values.size())) return;
  const auto bad = std::ranges::find_if_not(values, [](float x) { return std::isfinite(x); });
  if (bad == values.end()) return;
  const auto index = static_cast<std::size_t>(bad - values.begin());
  throw std::domain_error("cannot quantise row " + std::to_string(index / cols) + ", column " +
                          std::to_string(index % cols) + ": the value is not finite");
}

/// Whether parameters_of and encode above say it all.
bool is_usual(const QuantSpec& spec) {
  return spec.range == RangeRule::automatic && spec.rounding == Rounding::even &&
         spec.zero_bits == 0 && is_ieee(spec.scale);
}

/// Every other range rule, rounding and scale format: coded_matrix.hpp has the definition.
QuantizedMatrix quantise_by_codec(std::span<const float> values, std::size_t rows, std::size_t cols,
                                  const QuantSpec& spec) {
  CodedMatrix coded = encode(values, rows, cols, spec);
  QuantizedMatrix out{rows, cols, spec, coded.group, coded.groups, {}, {}, {}};
  out.scales = std::move(coded.scales);
  out.zeros = std::move(coded.zeros);
  const unsigned sign = spec.affine == Affine::symmetric ? 1u << (bits_of(spec.format) - 1) : 0u;
  for (const std::uint16_t code : coded.codes) {
    const int q = static_cast<int>(code ^ sign) - static_cast<int>(sign);
    out.codes.push_back(static_cast<std::int8_t>(q));
  }
  return out;
}

/// Fills codes and scales of a matrix that is laid out.
void quantise_symmetric(std::span<const float> values, QuantizedMatrix& out) {
  const auto scale_of = [&](std::span<const float> part) {
    const std::int32_t largest = largest_magnitude(part.data(), part.size());
    if (largest > kLargestFinite) check_finite(values, out.cols);  // throws
    return symmetric_scale(std::bit_cast<float>(largest), out.spec);
  };
  const auto qmax = static_cast<float>(symmetric_max(out.spec.format));
  const bool whole_tensor = out.spec.granularity == Granularity::tensor;
  float scale = whole_tensor ? scale_of(values) : 0.0f;
  for (std::size_t i = 0; i < out.scales.size(); ++i) {
    const std::span<const float> part = values.subspan(i * out.group, out.group);
    if (!whole_tensor) scale = scale_of(part);
    out.scales[i] = scale;
    if (scale == 0.0f) continue;  // codes stay 0
    encode_symmetric(part.data(), part.size(), scale, qmax, out.codes.data() + i * out.group);
  }
}

}  // namespace

std::size_t group_length(std::size_t cols, const QuantSpec& spec) {
  if (spec.granularity != Granularity::group) return cols;
  require(spec.group != 0, "group granularity needs a group of at least one element");
  return cols % spec.group == 0 ? std::min<std::size_t>(spec.group, cols) : cols;
}

QuantizedMatrix quantise(std::span<const float> values, std::size_t rows, std::size_t cols,
                         const QuantSpec& spec) {
  require(is_integer(spec.format), "quantise needs an integer format; round_to is for floats");
  require(is_parameter_format(spec.scale), "scales are stored as a float or an 8-bit scale format");
  require(cols == 0 ? values.empty() : values.size() / cols == rows && values.size() % cols == 0,
          "quantise: values is not [rows, cols]");
  if (!is_usual(spec)) return quantise_by_codec(values, rows, cols, spec);
  QuantizedMatrix out;
  out.rows = rows;
  out.cols = cols;
  out.spec = spec;
  out.group = group_length(cols, spec);
  out.groups = cols == 0 ? 0 : cols / out.group;
  if (values.empty()) return out;
  out.codes.resize(values.size());
  out.scales.resize(rows * out.groups);
  if (spec.affine == Affine::symmetric) {
    quantise_symmetric(values, out);
    return out;
  }
  check_finite(values, cols);
  out.zeros.resize(rows * out.groups);
  const bool whole_tensor = spec.granularity == Granularity::tensor;
  Parameters p;
  if (whole_tensor) p = parameters_of(range_of(values), spec);
  for (std::size_t i = 0; i < out.scales.size(); ++i) {
    const std::span<const float> part = values.subspan(i * out.group, out.group);
    if (!whole_tensor) p = parameters_of(range_of(part), spec);
    out.scales[i] = p.scale;
    out.zeros[i] = p.zero;
    for (std::size_t j = 0; j < out.group; ++j) {
      out.codes[i * out.group + j] = static_cast<std::int8_t>(code_of(part[j], p, spec));
    }
  }
  return out;
}

std::vector<float> dequantise(const QuantizedMatrix& m) {
  std::vector<float> out(m.rows * m.cols);
  for (std::size_t row = 0; row < m.rows; ++row) {
    for (std::size_t col = 0; col < m.cols; ++col) {
      const std::size_t g = col / m.group;
      const float s = m.scale(row, g);
      const float z = m.zero(row, g);
      const float q = static_cast<float>(m.code(row, col));
      float& x = out[row * m.cols + col];
      switch (m.spec.affine) {
        case Affine::symmetric:
          x = s * q;
          break;
        case Affine::float_min:
          x = std::fma(q, s, z);
          break;
        case Affine::integer_zero:
          x = s * (q - z);
          break;  // the difference is exact: both are small integers
        case Affine::float_zero:
          x = std::fma(q, s, -(z * s));
          break;
      }
    }
  }
  return out;
}

float round_to(Format format, float value) {
  switch (format) {
    case Format::fp32:
      return value;
    case Format::fp16:
      return Fp16::encode(value).decode();
    case Format::bf16:
      return Bf16::encode(value).decode();
    default:
      throw std::invalid_argument("round_to needs a float format; quantise is for integers");
  }
}

void round_to(Format format, std::span<float> values) {
  require(!is_integer(format), "round_to needs a float format; quantise is for integers");
  if (format == Format::fp32) return;
  for (float& x : values) x = round_to(format, x);
}

std::vector<float> fake_quantise(std::span<const float> values, std::size_t rows, std::size_t cols,
                                 const QuantSpec& spec) {
  if (is_integer(spec.format)) return dequantise(quantise(values, rows, cols, spec));
  if (!is_ieee(spec.format)) return decode(encode(values, rows, cols, spec));
  std::vector<float> out(values.begin(), values.end());
  round_to(spec.format, out);
  return out;
}

std::uint64_t stored_bits(std::uint64_t rows, std::uint64_t cols, const QuantSpec& spec) {
  if (rows == 0 || cols == 0) return 0;
  return codec_of(spec.format).stored(rows, cols, spec).total();
}

}  // namespace systole::quant
