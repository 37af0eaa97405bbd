// Private to the OVP codec: one value to its grid entry by rounding, without a branch, so that
// loops over independent values vectorise. The definition is ovp_nearest_scan.
//
// Ties go to the larger value, so up for positive and down for negative magnitudes. Taking one ulp
// off the magnitude of a negative value makes that one rule, half up: for a threshold t that is a
// float, m - ulp >= t is m > t.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "quant/formats/ovp.hpp"

namespace systole::quant::detail {

struct OvpLimits {
  float top = 0;       ///< largest normal
  float first = 0;     ///< least outlier
  float last = 0;      ///< largest outlier
  float at_least = 0;  ///< magnitudes from here are outliers
  float cap = 0;       ///< magnitudes are cut to this (infinity: not)
  float reach = 0;     ///< beyond last by more than this: 0 (infinity: no limit)
};

inline OvpLimits ovp_limits(const OvpType& type, const OvpRules& rules) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  OvpLimits l;
  l.top = static_cast<float>(type.largest_normal);
  l.first = static_cast<float>(type.outlier.smallest());
  l.last = static_cast<float>(type.outlier.largest());
  const float border = rules.border * l.top;
  l.at_least =
      rules.border > 0
          ? std::bit_cast<float>(std::bit_cast<std::uint32_t>(border) + 1)  // next up: "> border"
          : 0.5f * (l.top + l.first);
  l.cap = rules.clip > 0 ? std::min(rules.clip, l.last) : l.last;
  if (rules.reach > 0) l.cap = kInfinity;
  l.reach = rules.reach > 0 ? rules.reach : kInfinity;
  return l;
}

enum class OvpKind { int_signed, int_unsigned, flint_signed, flint_unsigned };
constexpr OvpKind ovp_kind(const OvpType& t) {
  if (t.flint) return t.is_signed ? OvpKind::flint_signed : OvpKind::flint_unsigned;
  return t.is_signed ? OvpKind::int_signed : OvpKind::int_unsigned;
}

// Inlined always: a caller compiled for wider vectors could not inline them by itself.
#define SYSTOLE_LANE [[gnu::always_inline]] inline

/// condition ? a : b, in masks: a conditional would be made a branch, and no loop with it a vector.
SYSTOLE_LANE float select(bool condition, float a, float b) {
  const std::uint32_t mask = 0u - static_cast<std::uint32_t>(condition);
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(a) & mask) |
                              (std::bit_cast<std::uint32_t>(b) & ~mask));
}
SYSTOLE_LANE float step(float m, float threshold, float increment) {
  return select(m >= threshold, increment, 0.0f);
}

/// Magnitude to a normal entry, half up. The thresholds of flint are its midpoints.
template <OvpKind kKind>
SYSTOLE_LANE float normal_magnitude(float m, float top) {
  if constexpr (kKind == OvpKind::flint_signed) {  // 0 1 2 3 4 6 8 16
    return step(m, 0.5f, 1) + step(m, 1.5f, 1) + step(m, 2.5f, 1) + step(m, 3.5f, 1) +
           step(m, 5, 2) + step(m, 7, 2) + step(m, 12, 8);
  } else if constexpr (kKind == OvpKind::flint_unsigned) {  // 0..7 8 10 12 14 16 24 32 64
    float sum = 0;
    for (int k = 0; k < 8; ++k) sum += step(m, static_cast<float>(k) + 0.5f, 1);
    for (int k = 0; k < 4; ++k) sum += step(m, static_cast<float>(9 + 2 * k), 2);
    return sum + step(m, 20, 8) + step(m, 28, 8) + step(m, 48, 32);
  } else {
    constexpr float kShift = 0x1.8p23f;  // forces the fraction out: nearest, ties to even
    const float limited = m < top ? m : top;
    const float even = (limited + kShift) - kShift;
    return even + select(limited - even == 0.5f, 1.0f, 0.0f);
  }
}

/// Magnitude to an outlier entry: mantissa rounded half up to kMantissa bits, then the ends.
template <unsigned kMantissa>
SYSTOLE_LANE float outlier_magnitude(float m, const OvpLimits& l) {
  constexpr std::uint32_t kHalf = 1u << (22 - kMantissa);
  const float limited = m < l.last ? m : l.last;
  const float rounded =
      std::bit_cast<float>((std::bit_cast<std::uint32_t>(limited) + kHalf) & ~(2 * kHalf - 1));
  return rounded > l.first ? rounded : l.first;
}

/// An entry; a zero may have a sign.
template <OvpKind kKind, unsigned kMantissa>
SYSTOLE_LANE float ovp_lane(float v, const OvpLimits& l) {
  constexpr bool kSigned = kKind == OvpKind::int_signed || kKind == OvpKind::flint_signed;
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(v);
  const std::uint32_t sign = bits & 0x80000000u;
  float m = kSigned ? std::bit_cast<float>(bits ^ sign) : v;
  if constexpr (!kSigned) m = m > 0.0f ? m : 0.0f;
  const float beyond = m - l.last;
  m = m < l.cap ? m : l.cap;
  float nudged = m;
  if constexpr (kSigned) {
    // Of a zero nothing can be taken; one ulp more than the smallest magnitude changes no rounding.
    constexpr float kTiny = 0x1p-100f;
    nudged = m > kTiny ? m : kTiny;
    nudged = std::bit_cast<float>(std::bit_cast<std::uint32_t>(nudged) - (sign >> 31));
  }
  const float normal = normal_magnitude<kKind>(nudged, l.top);
  float outlier = outlier_magnitude<kMantissa>(nudged, l);
  outlier = select(beyond > l.reach, 0.0f, outlier);
  const float q = select(m >= l.at_least, outlier, normal);
  return kSigned ? std::bit_cast<float>(std::bit_cast<std::uint32_t>(q) | sign) : q;
}

/// Calls work.template operator()<kind, mantissa bits>() for the type's pair of them.
template <class Work>
decltype(auto) with_ovp_lane(const OvpType& type, const Work& work) {
  switch (ovp_kind(type)) {
    case OvpKind::flint_signed:
      return work.template operator()<OvpKind::flint_signed, 1>();
    case OvpKind::flint_unsigned:
      return work.template operator()<OvpKind::flint_unsigned, 2>();
    case OvpKind::int_unsigned:
      return work.template operator()<OvpKind::int_unsigned, 2>();
    case OvpKind::int_signed:
      break;
  }
  switch (type.outlier.mantissa_bits) {
    case 3:
      return work.template operator()<OvpKind::int_signed, 3>();
    case 5:
      return work.template operator()<OvpKind::int_signed, 5>();
    default:
      return work.template operator()<OvpKind::int_signed, 1>();
  }
}

/// Pairs begin at even distances from the start of a line.
constexpr std::size_t line_length(const OvpShape& shape, const OvpRules& rules) {
  return rules.flattened ? shape.rows * shape.cols : shape.cols;
}
/// Of two outliers, whether the left one stays.
inline bool left_stays(float left, float right, const OvpRules& rules) {
  const float l = left < 0 ? -left : left;
  const float r = right < 0 ? -right : right;
  return rules.keep_left || l >= r;
}

#undef SYSTOLE_LANE

}  // namespace systole::quant::detail
