// The contract is in the header.
#include "quant/kv/box_codec.hpp"

#include <algorithm>
#include <cmath>

#include "quant/check.hpp"
#include "quant/float16.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/primitives/codebook.hpp"

namespace systole::quant {
namespace {

/// Round to nearest, ties to even, exact below 2^22; what is larger saturates afterwards.
float nearest_even(float x) {
  constexpr float kShift = 0x1.8p23f;
  if (!(x > -0x1p22f && x < 0x1p22f)) return x;
  return (x + kShift) - kShift;
}

float levels_of(const BoxRule& rule) { return static_cast<float>((1u << rule.bits) - 1u); }
float symmetric_limit(const BoxRule& rule) {
  return rule.bits == 1 ? 1.0f : static_cast<float>((1u << (rule.bits - 1u)) - 1u);
}
bool is_sign(const BoxRule& rule) {
  return rule.format == Format::sign || rule.format == Format::int1;
}
bool is_ternary(const BoxRule& rule) {
  return rule.format == Format::ternary || rule.format == Format::ternary_b3;
}
/// KIVI and ZipCache: everything on the way in is fp16 arithmetic.
bool half_encoder(const BoxRule& rule) {
  return rule.affine == Affine::float_min && rule.scale == Format::fp16 &&
         follows_code(rule.contract) && rule.scalar();
}
float half(float x) { return Fp16::encode(x).decode(); }

std::uint16_t to_code(float q) {
  return static_cast<std::uint16_t>(static_cast<std::int32_t>(q) & 0xFFFF);
}

KvParameters float_min_parameters(float lo, float hi, const BoxRule& rule) {
  if (!half_encoder(rule))
    return {store_parameter(rule.scale, (hi - lo) / levels_of(rule)),
            store_parameter(rule.scale, lo)};
  const float m = half(lo);
  return {store_parameter(Format::fp16, half(half(hi) - m) / levels_of(rule)), m};
}

KvParameters float_zero_parameters(float lo, float hi, const BoxRule& rule) {
  const float range = hi - lo;
  if (range == 0.0f) return {};
  const float levels = levels_of(rule);
  return {store_parameter(rule.scale, range / levels),
          store_parameter(rule.scale, (-levels * lo) / range)};
}

KvParameters integer_zero_parameters(float lo, float hi, const BoxRule& rule) {
  const float bits = static_cast<float>(rule.bits);
  const float steps = follows_code(rule.contract) ? bits * bits - 1.0f : levels_of(rule);
  KvParameters p;
  p.scale = store_parameter(rule.scale, (hi - lo) / steps);
  float low = 0.0f, high = levels_of(rule);
  if (rule.signed_zero) {
    high = static_cast<float>((1u << (rule.zero_bits - 1u)) - 1u);
    low = -high - 1.0f;
  }
  if (p.scale != 0.0f) p.zero = std::clamp(nearest_even(-lo / p.scale), low, high);
  return p;
}

}  // namespace

KvParameters box_parameters_of_range(float lo, float hi, const BoxRule& rule) {
  if (rule.range == RangeRule::clip) {
    lo *= static_cast<float>(rule.range_value);
    hi *= static_cast<float>(rule.range_value);
  }
  if (rule.format == Format::lut)
    return {store_parameter(rule.scale, (hi - lo) / 2.0f),
            store_parameter(rule.scale, (hi + lo) / 2.0f)};
  switch (rule.affine) {
    case Affine::symmetric:
      return {store_parameter(rule.scale,
                              std::max(std::fabs(lo), std::fabs(hi)) / symmetric_limit(rule)),
              0.0f};
    case Affine::float_min:
      return float_min_parameters(lo, hi, rule);
    case Affine::float_zero:
      return float_zero_parameters(lo, hi, rule);
    case Affine::integer_zero:
      return integer_zero_parameters(lo, hi, rule);
  }
  return {};
}

KvParameters box_parameters(std::span<const float> x, const BoxRule& rule) {
  if (x.empty()) return {};
  if (is_sign(rule) || is_ternary(rule)) {
    float sum = 0.0f;
    for (const float v : x) sum += std::fabs(v);
    return {store_parameter(rule.scale, sum / static_cast<float>(x.size())), 0.0f};
  }
  float lo = x[0], hi = x[0];
  for (const float v : x) {
    if (v < lo) lo = v;
    if (v > hi) hi = v;
  }
  return box_parameters_of_range(lo, hi, rule);
}

std::uint16_t encode_in_box(float x, const KvParameters& p, const BoxRule& rule,
                            const BoxTables& tables) {
  if (is_sign(rule)) return x >= 0.0f ? 1 : 0;
  if (is_ternary(rule)) {
    const float threshold = 0.5f * p.scale;
    return x > threshold ? 2 : (x < -threshold ? 0 : 1);
  }
  if (rule.format == Format::lut) {
    const float normalised = p.scale == 0.0f ? 0.0f : (x - p.zero) / p.scale;
    return static_cast<std::uint16_t>(nearest_entry(normalised, tables.encode));
  }
  const float levels = levels_of(rule);
  switch (rule.affine) {
    case Affine::symmetric: {
      if (p.scale == 0.0f) return 0;
      const float limit = symmetric_limit(rule);
      return to_code(std::clamp(nearest_even(x / p.scale), -limit, limit));
    }
    case Affine::float_min: {
      if (p.scale == 0.0f) return 0;
      if (half_encoder(rule)) {
        const float position = half(half(half(x) - p.zero) / p.scale);
        return to_code(nearest_even(std::clamp(position, 0.0f, levels)));
      }
      return to_code(std::clamp(nearest_even((x - p.zero) / p.scale), 0.0f, levels));
    }
    case Affine::float_zero: {
      if (p.scale == 0.0f) return 0;
      const float reciprocal = 1.0f / p.scale;
      const float q = nearest_even(x * reciprocal + p.zero);
      if (!follows_code(rule.contract) || rule.bits > 8)
        return to_code(std::clamp(q, 0.0f, levels));
      return static_cast<std::uint16_t>(to_code(std::clamp(q, 0.0f, 255.0f)) &
                                        ((1u << rule.bits) - 1u));
    }
    case Affine::integer_zero: {
      const float q = p.scale == 0.0f ? 0.0f : nearest_even(x / p.scale);
      return to_code(std::clamp(q + p.zero, 0.0f, levels));
    }
  }
  return 0;
}

float decode_in_box(std::uint16_t code, const KvParameters& p, const BoxRule& rule,
                    const BoxTables& tables) {
  if (is_sign(rule)) return code != 0 ? p.scale : -p.scale;
  const float q = static_cast<float>(code);
  if (is_ternary(rule)) return follows_code(rule.contract) ? q - 1.0f : (q - 1.0f) * p.scale;
  if (rule.format == Format::lut) return std::fma(tables.decode[code], p.scale, p.zero);
  switch (rule.affine) {
    case Affine::symmetric:
      return p.scale * static_cast<float>(static_cast<std::int16_t>(code));
    case Affine::float_min:
      return std::fma(q, p.scale, p.zero);
    case Affine::float_zero:
    case Affine::integer_zero:
      return p.scale * (q - p.zero);
  }
  return 0.0f;
}

KvParameters shrink_parameters(const KvParameters& p, unsigned n, Format scale) {
  const float factor = static_cast<float>((1u << n) + 1u);
  return {store_parameter(scale, p.scale * factor), p.zero};
}

}  // namespace systole::quant
