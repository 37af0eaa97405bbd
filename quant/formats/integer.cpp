// Uniform integers: int1..int16, uint1..uint16, and the level counts that are no power of two
// (levels, base5). For int2..int8 the same numbers as quantise.hpp, bit for bit.
#include <algorithm>
#include <bit>
#include <cmath>

#include "quant/check.hpp"
#include "quant/formats/codec.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/formats/range.hpp"
#include "quant/formats/rounding.hpp"
#include "quant/packing.hpp"

namespace systole::quant {
namespace {

bool is_unsigned(Format f) { return f >= Format::uint1 && f <= Format::uint16; }
bool is_radix(Format f) { return f == Format::levels || f == Format::base5; }
/// The sign alone: codes 0 and 1 are -1 and +1.
bool is_sign_bit(const QuantSpec& spec) {
  return spec.format == Format::int1 && spec.affine == Affine::symmetric;
}

std::uint32_t level_count(const QuantSpec& spec) {
  if (spec.format == Format::base5) return 5;
  if (spec.format != Format::levels) return 1u << bits_of(spec.format);
  require(spec.levels >= 2 && spec.levels <= 65536, "levels: between 2 and 65536 of them");
  return spec.levels;
}

/// The integers that codes stand for.
struct CodeRange {
  std::int32_t low = 0, high = 0;
};
CodeRange code_range(const QuantSpec& spec) {
  const auto count = static_cast<std::int32_t>(level_count(spec));
  if (spec.affine != Affine::symmetric || is_unsigned(spec.format)) return {0, count - 1};
  if (is_sign_bit(spec)) return {-1, 1};
  if (spec.range == RangeRule::absmax_signed) return {-(count / 2), (count - 1) / 2};
  return {-((count - 1) / 2), (count - 1) / 2};
}

/// How a code is written: two's complement for intN, offset from the lowest for base L.
std::uint16_t to_code(std::int32_t q, const QuantSpec& spec, const CodeRange& range,
                      std::uint32_t mask) {
  if (is_sign_bit(spec)) return q > 0 ? 1 : 0;
  if (is_radix(spec.format)) return static_cast<std::uint16_t>(q - range.low);
  return static_cast<std::uint16_t>(static_cast<std::uint32_t>(q) & mask);
}
std::int32_t from_code(std::uint16_t code, const QuantSpec& spec, const CodeRange& range) {
  if (is_sign_bit(spec)) return code != 0 ? 1 : -1;
  if (is_radix(spec.format)) return static_cast<std::int32_t>(code) + range.low;
  if (range.low >= 0) return code;
  const std::int32_t sign = 1 << (bits_of(spec.format) - 1);
  return (static_cast<std::int32_t>(code) ^ sign) - sign;
}

unsigned code_width(const QuantSpec& spec) {
  return static_cast<unsigned>(std::bit_width(level_count(spec) - 1));
}

/// A zero that is not as wide as a code is a signed integer of its own: RotateKV's int8 zero
/// reaches beyond the codes when all values have one sign.
CodeRange zero_range(const CodecLayout& l) {
  const auto span = static_cast<std::int32_t>(1u << l.zero_bits);
  if (l.zero == ZeroKind::signed_integer) return {-span / 2, span / 2 - 1};
  return {0, span - 1};
}

class IntegerCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    require(is_parameter_format(spec.scale),
            "scales are stored as a float or an 8-bit scale format");
    CodecLayout l;
    l.codes.word_bits = code_width(spec);
    if (is_radix(spec.format)) l.codes = radix_layout(level_count(spec));
    l.scale = spec.scale;
    if (spec.affine == Affine::integer_zero) {
      const unsigned width = code_width(spec);
      l.zero_bits = spec.zero_bits == 0 ? width : spec.zero_bits;
      require(l.zero_bits <= 16, "an integer zero has 16 bits or fewer");
      l.zero = l.zero_bits > width ? ZeroKind::signed_integer : ZeroKind::unsigned_integer;
    } else if (spec.affine != Affine::symmetric) {
      l.zero = ZeroKind::floating;
      l.zero_format = zero_format(spec);
      l.zero_bits = bits_of(l.zero_format);
    }
    return l;
  }

  BoxParameters parameters(std::span<const float> values, const QuantSpec& spec,
                           std::span<const float>) const override {
    return spec.affine == Affine::symmetric ? symmetric(values, spec) : affine(values, spec);
  }

  /// NORMATIVE, with quantise.hpp: fp32, IEEE division, round = round_value(spec.rounding).
  ///   symmetric     q = clamp(round(x / s), low, high)       int1: q = +1 for x >= 0, else -1
  ///   float_min     q = clamp(round((x - m) / s), 0, levels - 1)
  ///   integer_zero  q = clamp(round(x / s) + z, 0, levels - 1)
  ///   float_zero    q = clamp(round(x / s + z), 0, levels - 1)
  /// s = 0: q = 0.
  void encode_box(std::span<const float> values, const BoxParameters& p, const QuantSpec& spec,
                  std::span<std::uint16_t> codes) const override {
    const CodeRange range = code_range(spec);
    const std::uint32_t mask = level_count(spec) - 1;
    const float s = p.scale[0], z = p.zero[0];
    const auto low = static_cast<float>(range.low), high = static_cast<float>(range.high);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float x = values[i];
      float q = 0;
      if (is_sign_bit(spec)) {
        q = x >= 0 ? 1.0f : -1.0f;
      } else if (s != 0) {
        switch (spec.affine) {
          case Affine::symmetric:
            q = round_value(x / s, spec.rounding);
            break;
          case Affine::float_min:
            q = round_value((x - z) / s, spec.rounding);
            break;
          case Affine::integer_zero:
            q = round_value(x / s, spec.rounding) + z;
            break;
          case Affine::float_zero:
            q = round_value(x / s + z, spec.rounding);
            break;
        }
      }
      codes[i] = to_code(static_cast<std::int32_t>(std::clamp(q, low, high)), spec, range, mask);
    }
  }

  /// NORMATIVE, with quantise.hpp: symmetric s*q; float_min fma(q, s, m); integer_zero s*(q - z);
  /// float_zero fma(q, s, -(z*s)).
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters& p,
                  const QuantSpec& spec, std::span<float> values) const override {
    const CodeRange range = code_range(spec);
    const float s = p.scale[0], z = p.zero[0];
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const auto q = static_cast<float>(from_code(codes[i], spec, range));
      switch (spec.affine) {
        case Affine::symmetric:
          values[i] = s * q;
          break;
        case Affine::float_min:
          values[i] = std::fma(q, s, z);
          break;
        case Affine::integer_zero:
          values[i] = s * (q - z);
          break;
        case Affine::float_zero:
          values[i] = std::fma(q, s, -(z * s));
          break;
      }
    }
  }

  std::optional<IntegerGrid> integers(const QuantSpec& spec, std::uint8_t) const override {
    IntegerGrid grid;
    const CodeRange range = code_range(spec);
    const std::uint32_t count = level_count(spec);
    for (std::uint32_t code = 0; code < count; ++code)
      grid.integers.push_back(from_code(static_cast<std::uint16_t>(code), spec, range));
    return grid;
  }

 private:
  /// As the scale is, unless that is too coarse for an offset or the policy says how wide.
  static Format zero_format(const QuantSpec& spec) {
    switch (spec.zero_bits) {
      case 0:
        return is_ieee(spec.scale) ? spec.scale : Format::fp16;
      case 8:
        return Format::fp8_e4m3;
      case 16:
        return spec.scale == Format::bf16 ? Format::bf16 : Format::fp16;
      case 32:
        return Format::fp32;
      default:
        require(false, "a float zero or minimum has 8, 16 or 32 bits");
        return Format::fp32;
    }
  }

  /// NORMATIVE. s = magnitude / high, rounded to its stored format; unsigned: the largest value (0
  /// if none is positive) / (2^b - 1); absmax_signed: s = m / low, of either sign (Q4_0's rule);
  /// int1: mean magnitude (VidKV).
  static BoxParameters symmetric(std::span<const float> values, const QuantSpec& spec) {
    const CodeRange range = code_range(spec);
    const auto high = static_cast<float>(range.high);
    float s = 0;
    if (is_sign_bit(spec)) {
      s = spec.range == RangeRule::automatic ? mean_abs(values) : magnitude_of(values, spec);
    } else if (is_unsigned(spec.format)) {
      s = std::max(0.0f, extent_of(values, spec).max) / high;
    } else if (spec.range == RangeRule::absmax_signed) {
      require(is_ieee(spec.scale), "a signed scale is stored as a float");
      s = magnitude_of(values, spec) / static_cast<float>(range.low);
    } else {
      s = high == 0 ? 0 : magnitude_of(values, spec) / high;
    }
    BoxParameters p;
    p.scale[0] = store_parameter(spec.scale, s);
    return p;
  }

  /// NORMATIVE, with quantise.hpp: s = (max - min) / (levels - 1); float_min m = min; integer_zero
  /// z = clamp(round(-min / s)) to what its bits hold (and to the codes unless it has more bits);
  /// float_zero z = -min / s; s, m and float z rounded to their stored format first.
  BoxParameters affine(std::span<const float> values, const QuantSpec& spec) const {
    const Range extent = extent_of(values, spec);
    const CodecLayout l = layout(spec);
    const CodeRange range = code_range(spec);
    BoxParameters p;
    p.scale[0] =
        store_parameter(spec.scale, (extent.max - extent.min) / static_cast<float>(range.high));
    if (spec.affine == Affine::float_min) {
      p.zero[0] = store_parameter(l.zero_format, extent.min);
    } else if (p.scale[0] != 0) {
      const float z = -extent.min / p.scale[0];
      p.zero[0] = spec.affine == Affine::float_zero ? store_parameter(l.zero_format, z)
                                                    : integer_zero(z, l, spec);
    }
    return p;
  }

  static float integer_zero(float z, const CodecLayout& l, const QuantSpec& spec) {
    CodeRange limits = zero_range(l);
    if (l.zero == ZeroKind::unsigned_integer)
      limits.high = std::min(limits.high, code_range(spec).high);
    return std::clamp(round_value(z, spec.rounding), static_cast<float>(limits.low),
                      static_cast<float>(limits.high));
  }
};

}  // namespace

const Codec* integer_codec(Format) {
  static const IntegerCodec codec;
  return &codec;
}

}  // namespace systole::quant
