// Progressive int8 / uint4 weights. The contract is in the header.
#include "quant/quantisers/qoq.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

std::int32_t rounded_quotient(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(
      elementary::round_to_integer(static_cast<double>(a) / static_cast<double>(b)));
}

float nearest_even(float x) { return static_cast<float>(elementary::round_to_integer(double{x})); }

float fp16(float x) { return round_to(Format::fp16, x); }

float absmax_of(std::span<const float> x) {
  float m = 0;
  for (const float v : x) m = std::max(m, std::fabs(v));
  return m;
}

std::uint32_t repeated(std::int32_t byte) {
  return (static_cast<std::uint32_t>(byte) & 0xFFu) * 0x01010101u;
}

/// Four byte sums modulo 256, side by side.
std::uint32_t add_bytes(std::uint32_t a, std::uint32_t b) {
  return ((a & 0x7F7F7F7Fu) + (b & 0x7F7F7F7Fu)) ^ ((a ^ b) & 0x80808080u);
}

std::int8_t decoded_byte(std::uint8_t code, const QoqGroup& group, QoqZero zero) {
  return static_cast<std::int8_t>(qoq_decode_packed(code, group, zero) & 0xFFu);
}

void check_weight(std::span<const float> weight, std::size_t n, std::size_t k, std::size_t group) {
  require(n != 0 && k != 0 && weight.size() / k == n && weight.size() % k == 0,
          "qoq: the weight is not [n, k]");
  require(group != 0 && k % group == 0, "qoq: groups divide the columns");
  for (const float w : weight) {
    if (!std::isfinite(w)) throw std::domain_error("qoq: a weight is not finite");
  }
}

std::int32_t to_level0(float w, float scale, int bound) {
  if (scale == 0) return 0;
  const float limit = static_cast<float>(bound);
  return static_cast<std::int32_t>(std::clamp(nearest_even(w / scale), -limit, limit));
}

QoqWeight empty_weight(std::span<const float> weight, std::size_t n, std::size_t k,
                       std::size_t group, QoqZero zero) {
  check_weight(weight, n, k, group);
  QoqWeight out;
  out.n = n;
  out.k = k;
  out.group = group;
  out.zero = zero;
  out.scales.resize(n);
  out.groups.resize(n * (k / group));
  out.codes.resize(n * k);
  for (std::size_t r = 0; r < n; ++r) {
    out.scales[r] =
        fp16(absmax_of(weight.subspan(r * k, k)) / static_cast<float>(protective_bound(zero)));
  }
  return out;
}

/// Both levels as GPTQ sees them: level-0 scales of the original rows, groups fitted as they come.
class QoqCodec final : public GptqCodec {
 public:
  explicit QoqCodec(QoqWeight& weight) : weight_(weight) {}
  std::size_t group() const override { return weight_.group; }
  void fit(std::size_t row, std::size_t group, std::span<const float> values,
           std::span<const std::uint32_t>) override {
    std::vector<std::int8_t> level0(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      level0[i] = static_cast<std::int8_t>(
          to_level0(values[i], weight_.scales[row], protective_bound(weight_.zero)));
    }
    box(row, group) = qoq_group(level0, weight_.zero);
  }
  float quantise(std::size_t row, std::size_t group, std::uint32_t column, float w) override {
    const QoqGroup& g = box(row, group);
    const float scale = weight_.scales[row];
    const std::uint8_t code =
        qoq_encode(to_level0(w, scale, protective_bound(weight_.zero)), g, weight_.zero);
    weight_.codes[row * weight_.k + column] = code;
    return scale * static_cast<float>(decoded_byte(code, g, weight_.zero));
  }

 private:
  QoqGroup& box(std::size_t row, std::size_t group) {
    return weight_.groups[row * (weight_.k / weight_.group) + group];
  }
  QoqWeight& weight_;
};

}  // namespace

QoqGroup qoq_group(std::span<const std::int8_t> values, QoqZero zero) {
  require(!values.empty(), "qoq: an empty group");
  const auto ends = std::minmax_element(values.begin(), values.end());
  const std::int32_t low = *ends.first, high = *ends.second;
  QoqGroup g;
  g.scale = std::max(1, rounded_quotient(high - low, 15));
  g.zero = zero == QoqZero::after_scale ? low : std::clamp(rounded_quotient(-low, g.scale), 0, 15);
  return g;
}

std::uint8_t qoq_encode(std::int32_t w8, const QoqGroup& group, QoqZero zero) {
  const std::int32_t q = zero == QoqZero::after_scale
                             ? rounded_quotient(w8 - group.zero, group.scale)
                             : rounded_quotient(w8, group.scale) + group.zero;
  return static_cast<std::uint8_t>(std::clamp(q, 0, 15));
}

std::int32_t qoq_decode_wide(std::uint8_t code, const QoqGroup& group, QoqZero zero) {
  const std::int32_t q = code;
  return zero == QoqZero::after_scale ? q * group.scale + group.zero
                                      : (q - group.zero) * group.scale;
}

std::uint32_t qoq_decode_packed(std::uint32_t codes, const QoqGroup& group, QoqZero zero) {
  const std::int32_t offset = zero == QoqZero::after_scale ? group.zero : -group.zero * group.scale;
  return add_bytes(codes * static_cast<std::uint32_t>(group.scale), repeated(offset));
}

std::vector<std::int8_t> QoqWeight::level0() const {
  std::vector<std::int8_t> out(codes.size());
  for (std::size_t i = 0; i < codes.size(); ++i) {
    out[i] = decoded_byte(codes[i], groups[i / k * (k / group) + i % k / group], zero);
  }
  return out;
}

std::vector<float> QoqWeight::values() const {
  const std::vector<std::int8_t> w8 = level0();
  std::vector<float> out(w8.size());
  for (std::size_t i = 0; i < w8.size(); ++i) out[i] = scales[i / k] * static_cast<float>(w8[i]);
  return out;
}

double QoqWeight::stored_bits() const {
  return 4.0 + 16.0 / static_cast<double>(group) + 16.0 / static_cast<double>(k);
}

QoqWeight qoq_quantise(std::span<const float> weight, std::size_t n, std::size_t k,
                       std::size_t group, QoqZero zero) {
  QoqWeight out = empty_weight(weight, n, k, group, zero);
  QoqCodec codec(out);
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t g = 0; g < k / group; ++g) {
      codec.fit(r, g, weight.subspan(r * k + g * group, group), {});
      for (std::size_t j = g * group; j < (g + 1) * group; ++j) {
        codec.quantise(r, g, static_cast<std::uint32_t>(j), weight[r * k + j]);
      }
    }
  }
  return out;
}

QoqWeight qoq_gptq(std::span<const float> weight, std::size_t n, std::size_t k, std::size_t group,
                   const GptqHessian& hessian, const GptqOptions& options, QoqZero zero) {
  require(!options.act_order || options.static_groups,
          "qoq: act-order needs static groups, as groups are of the stored order");
  QoqWeight out = empty_weight(weight, n, k, group, zero);
  QoqCodec codec(out);
  gptq(weight, n, k, hessian, codec, options);
  return out;
}

QoqToken qoq_activation(std::span<const float> x) {
  QoqToken token;
  token.codes.resize(x.size());
  const float absmax = absmax_of(x);
  float sum = 0;
  for (const float v : x) sum += v;
  token.sum = fp16(sum);
  if (absmax == 0) return token;
  const float factor = 127.0f / absmax;
  token.scale = fp16(absmax / 127.0f);
  for (std::size_t i = 0; i < x.size(); ++i) {
    token.codes[i] =
        static_cast<std::int8_t>(std::clamp(nearest_even(x[i] * factor), -127.0f, 127.0f));
  }
  return token;
}

float qoq_dot(const QoqWeight& weight, std::size_t row, const QoqToken& token) {
  require(row < weight.n && token.codes.size() == weight.k, "qoq_dot: sizes disagree");
  std::int32_t sum = 0;
  for (std::size_t j = 0; j < weight.k; ++j) {
    const QoqGroup& g = weight.groups[row * (weight.k / weight.group) + j / weight.group];
    sum += std::int32_t{decoded_byte(weight.codes[row * weight.k + j], g, weight.zero)} *
           std::int32_t{token.codes[j]};
  }
  return fp16((static_cast<float>(sum) * weight.scales[row]) * token.scale);
}

double QoqChannelWeight::stored_bits() const { return 4.0 + 32.0 / static_cast<double>(k); }

QoqChannelWeight qoq_quantise_channels(std::span<const float> weight, std::size_t n,
                                       std::size_t k) {
  check_weight(weight, n, k, k);
  QuantSpec spec;
  spec.format = Format::int4;
  spec.granularity = Granularity::channel;
  spec.affine = Affine::integer_zero;
  spec.scale = Format::fp16;
  const QuantizedMatrix coded = quantise(weight, n, k, spec);
  QoqChannelWeight out;
  out.n = n;
  out.k = k;
  out.codes.resize(n * k);
  for (std::size_t r = 0; r < n; ++r) {
    out.scales.push_back(coded.scale(r, 0));
    out.scaled_zeros.push_back(fp16(coded.scale(r, 0) * coded.zero(r, 0)));
    for (std::size_t j = 0; j < k; ++j) {
      out.codes[r * k + j] = static_cast<std::uint8_t>(coded.code(r, j));
    }
  }
  return out;
}

float qoq_dot(const QoqChannelWeight& weight, std::size_t row, const QoqToken& token) {
  require(row < weight.n && token.codes.size() == weight.k, "qoq_dot: sizes disagree");
  std::int32_t sum = 0;
  for (std::size_t j = 0; j < weight.k; ++j) {
    sum += std::int32_t{weight.codes[row * weight.k + j]} * std::int32_t{token.codes[j]};
  }
  const float product = (static_cast<float>(sum) * weight.scales[row]) * token.scale;
  return fp16(product - weight.scaled_zeros[row] * token.sum);
}

}  // namespace systole::quant
