// Boxes of single values. The contract is in the header.
#include "quant/quantisers/box_codec.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "quant/bfloat16.hpp"
#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/float16.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

constexpr bool is_unsigned(Format f) { return f >= Format::uint1 && f <= Format::uint16; }

float largest_finite(Format f) {
  switch (f) {
    case Format::fp16:
      return Fp16::from_bits(0x7BFF).decode();
    case Format::bf16:
      return Bf16::from_bits(0x7F7F).decode();
    default:
      return std::numeric_limits<float>::max();
  }
}

/// |x| beyond 2^22 saturates whatever the rounding, and NaN never gets here.
float rounded(float x, Rounding rounding) {
  if (!(x > -0x1p22f && x < 0x1p22f)) return x;
  const double v = double{x};
  const double even = elementary::round_to_integer(v);
  switch (rounding) {
    case Rounding::even:
      return static_cast<float>(even);
    case Rounding::away: {
      const double magnitude = v < 0 ? -v : v;
      const double r = std::floor(magnitude + 0.5);
      return static_cast<float>(v < 0 ? -r : r);
    }
    case Rounding::half_up:
      return static_cast<float>(std::floor(v + 0.5));
    case Rounding::down: {
      const double magnitude = v < 0 ? -v : v;
      const double r = std::ceil(magnitude - 0.5);
      return static_cast<float>(v < 0 ? -r : r);
    }
    case Rounding::floor:
      return static_cast<float>(std::floor(v));
  }
  return static_cast<float>(even);
}

}  // namespace

BoxCodec::BoxCodec(const QuantSpec& spec) : spec_(spec) {
  const FormatClass kind = info_of(spec.format).kind;
  if (kind == FormatClass::ieee) return;
  require(kind == FormatClass::integer || spec.format == Format::levels,
          "a box codec needs a format in which every value has a code of its own");
  const int bits = static_cast<int>(bits_of(spec.format));
  if (spec.format == Format::levels) {
    require(spec.levels >= 1 && spec.levels <= 65536, "levels: 1 to 65536");
    low_ = 0;
    high_ = static_cast<int>(spec.levels) - 1;
    spec_.affine = Affine::float_min;
  } else if (spec.affine != Affine::symmetric || is_unsigned(spec.format)) {
    high_ = (1 << bits) - 1;
  } else if (bits == 1) {
    low_ = -1;
    high_ = 1;
  } else {
    high_ = (1 << (bits - 1)) - 1;
    low_ = spec.range == RangeRule::absmax_signed ? -high_ - 1 : -high_;
  }
}

BoxCodec::BoxCodec(const QuantSpec& spec, std::span<const float> elements) : spec_(spec) {
  tables_.push_back(table_of(elements));
}

BoxCodec::Table BoxCodec::table_of(std::span<const float> elements) {
  require(!elements.empty() && elements.size() <= 65536, "a codec needs 1 to 65536 elements");
  Table table;
  table.elements.assign(elements.begin(), elements.end());
  std::vector<std::uint16_t> order;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (std::isfinite(elements[i])) order.push_back(static_cast<std::uint16_t>(i));
  }
  require(!order.empty(), "a codec needs a finite element");
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint16_t a, std::uint16_t b) { return elements[a] < elements[b]; });
  for (const std::uint16_t code : order) {
    if (!table.sorted.empty() && table.sorted.back() == elements[code]) continue;
    table.sorted.push_back(elements[code]);
    table.code.push_back(code);
    table.largest = std::max(table.largest, std::fabs(elements[code]));
  }
  return table;
}

bool BoxCodec::two_sided() const { return tables_.empty() && spec_.affine != Affine::symmetric; }

float BoxCodec::stored(float value) const {
  if (!is_ieee(spec_.scale)) return value;
  const float limit = largest_finite(spec_.scale);
  return round_to(spec_.scale, std::clamp(value, -limit, limit));
}

float BoxCodec::largest_element(std::uint8_t tag) const {
  if (!tables_.empty()) return tables_.at(tag).largest;
  return static_cast<float>(std::max(high_, -low_));
}

BoxParameters BoxCodec::integer_parameters(float low, float high) const {
  BoxParameters p;
  if (spec_.affine == Affine::symmetric) {
    p.scale = stored(std::max(std::fabs(low), std::fabs(high)) / static_cast<float>(high_));
    return p;
  }
  if (high_ == 0) return {0, stored(low + (high - low) * 0.5f), 0};  // one level: the middle
  p.scale = stored((high - low) / static_cast<float>(high_));
  if (spec_.affine == Affine::float_min) {
    p.zero = stored(low);
  } else if (p.scale != 0.0f) {
    const float z = -low / p.scale;
    p.zero = spec_.affine == Affine::float_zero
                 ? stored(z)
                 : std::clamp(rounded(z, Rounding::even), 0.0f, static_cast<float>(high_));
  }
  return p;
}

BoxParameters BoxCodec::parameters(float low, float high, std::uint8_t tag) const {
  if (is_ieee(spec_.format)) return {};
  if (tables_.empty()) return integer_parameters(low, high);
  BoxParameters p;
  p.tag = tag;
  const float largest = tables_.at(tag).largest;
  if (largest > 0) p.scale = stored(std::max(std::fabs(low), std::fabs(high)) / largest);
  return p;
}

std::uint16_t BoxCodec::integer_encode(float x, const BoxParameters& p) const {
  if (p.scale == 0.0f) return 0;
  float q = 0;
  switch (spec_.affine) {
    case Affine::symmetric:
      if (spec_.format == Format::int1) return std::signbit(x) ? 1 : 0;
      q = rounded(x / p.scale, spec_.rounding);
      break;
    case Affine::float_min:
      q = rounded((x - p.zero) / p.scale, spec_.rounding);
      break;
    case Affine::integer_zero:
      q = rounded(x / p.scale, spec_.rounding) + p.zero;
      break;
    case Affine::float_zero:
      q = rounded(x / p.scale + p.zero, spec_.rounding);
      break;
  }
  const int code =
      static_cast<int>(std::clamp(q, static_cast<float>(low_), static_cast<float>(high_)));
  const unsigned mask = (1u << bits_of(spec_.format)) - 1u;
  return static_cast<std::uint16_t>(static_cast<unsigned>(code) &
                                    (spec_.format == Format::levels ? 0xFFFFu : mask));
}

std::uint16_t BoxCodec::encode(float x, const BoxParameters& p) const {
  if (tables_.empty()) return integer_encode(x, p);
  const Table& table = tables_.at(p.tag);
  const auto value = [&](std::size_t i) { return table.sorted[i] * p.scale + p.zero; };
  std::size_t low = 0, high = table.sorted.size();  // first element whose value is not below x
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (value(middle) < x) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == table.sorted.size()) return table.code.back();
  if (low > 0 && double{x} - double{value(low - 1)} <= double{value(low)} - double{x}) --low;
  return table.code[low];
}

float BoxCodec::decode(std::uint16_t code, const BoxParameters& p) const {
  if (!tables_.empty()) return tables_.at(p.tag).elements.at(code) * p.scale + p.zero;
  if (spec_.format == Format::int1 && spec_.affine == Affine::symmetric) {
    return code != 0 ? -p.scale : p.scale;
  }
  switch (spec_.affine) {
    case Affine::symmetric: {
      int q = code;
      const int bits = static_cast<int>(bits_of(spec_.format));
      if (low_ < 0 && q >= 1 << (bits - 1)) q -= 1 << bits;
      return p.scale * static_cast<float>(q);
    }
    case Affine::float_min:
      return std::fma(static_cast<float>(code), p.scale, p.zero);
    case Affine::integer_zero:
      return p.scale * (static_cast<float>(code) - p.zero);
    case Affine::float_zero:
      return std::fma(static_cast<float>(code), p.scale, -(p.zero * p.scale));
  }
  return 0;
}

}  // namespace systole::quant
