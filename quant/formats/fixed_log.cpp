// Fixed point Q(i.f) and twin-log: formats whose steps are powers of two.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "quant/check.hpp"
#include "quant/elementary.hpp"
#include "quant/formats/codec.hpp"
#include "quant/formats/range.hpp"
#include "quant/formats/rounding.hpp"
#include "quant/primitives/codebook.hpp"

namespace systole::quant {
namespace {

/// F11: a sign, i integer and f fraction bits; q * 2^-f with |q| <= 2^(i+f) - 1, two's complement.
class FixedCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    require(spec.affine == Affine::symmetric, "fixed point has no zero point");
    require(spec.integer_bits <= 15 && spec.fraction_bits <= 15 && magnitude_bits(spec) >= 1 &&
                magnitude_bits(spec) <= 15,
            "fixed point: integer_bits + fraction_bits from 1 to 15");
    CodecLayout l;
    l.codes.word_bits = 1 + magnitude_bits(spec);
    l.scales = 0;
    return l;
  }
  BoxParameters parameters(std::span<const float>, const QuantSpec&,
                           std::span<const float>) const override {
    return {};
  }
  /// NORMATIVE. corrected: q = clamp(round(x 2^f)). reference (the U-Net code): the fraction and
  /// the integer part of |x| apart, round(fraction 2^f) + min(integer, 2^i - 1) 2^f, so that a
  /// value beyond the range keeps its fraction; with f = 0 the fraction is cut off. Where that code
  /// reaches 2^i, which Q(i.f) cannot hold, the largest q. Source: quantization.md §8, U-Net fixed
  /// point.
  void encode_box(std::span<const float> values, const BoxParameters&, const QuantSpec& spec,
                  std::span<std::uint16_t> codes) const override {
    const auto top = static_cast<float>((1 << magnitude_bits(spec)) - 1);
    const std::uint32_t mask = (2u << magnitude_bits(spec)) - 1;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const float q = follows_code(spec.contract)
                          ? apart(values[i], spec)
                          : round_value(values[i] * step(spec), spec.rounding);
      const auto integer = static_cast<std::int32_t>(std::clamp(q, -top, top));
      codes[i] = static_cast<std::uint16_t>(static_cast<std::uint32_t>(integer) & mask);
    }
  }
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters&, const QuantSpec& spec,
                  std::span<float> values) const override {
    for (std::size_t i = 0; i < codes.size(); ++i)
      values[i] = static_cast<float>(integer_of(codes[i], spec)) / step(spec);  // exact
  }
  std::optional<IntegerGrid> integers(const QuantSpec& spec, std::uint8_t) const override {
    IntegerGrid grid;
    grid.unit = 1.0f / step(spec);
    for (std::uint32_t code = 0; code < (2u << magnitude_bits(spec)); ++code)
      grid.integers.push_back(integer_of(static_cast<std::uint16_t>(code), spec));
    return grid;
  }

 private:
  static unsigned magnitude_bits(const QuantSpec& spec) {
    return spec.integer_bits + spec.fraction_bits;
  }
  static float step(const QuantSpec& spec) {
    return exact_power_of_two(static_cast<int>(spec.fraction_bits));
  }
  static std::int32_t integer_of(std::uint16_t code, const QuantSpec& spec) {
    const std::int32_t sign = 1 << magnitude_bits(spec);
    return (static_cast<std::int32_t>(code) ^ sign) - sign;
  }
  static float apart(float x, const QuantSpec& spec) {
    const float magnitude = std::fabs(x);
    const float whole = std::floor(magnitude);
    const float fraction = spec.fraction_bits == 0
                               ? 0.0f
                               : round_value((magnitude - whole) * step(spec), spec.rounding);
    const float limit = exact_power_of_two(static_cast<int>(spec.integer_bits)) - 1.0f;
    return std::copysign(std::min(whole, limit) * step(spec) + fraction, x);
  }
};

/// F10 (LRQ-DiT): x = +-2^(s (q + z)), s and z apart for each sign. L = `levels` codes (256 where
/// 0), half of them for each sign; the top bit of a code is the sign. There is no zero: x = 0
/// becomes the smallest positive value. So that decoding is a shift of a table entry, s is a
/// multiple of 2^-8 (and of 11 digits, to be exact in fp16) and z a 16-bit integer: 64 bits a box.
/// scales and zeros hold the pair of the positive values, then that of the negative ones.
class TwinLogCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    require(spec.affine == Affine::symmetric, "twin-log has zero points of its own");
    CodecLayout l;
    l.codes.word_bits = static_cast<unsigned>(std::bit_width(levels(spec))) - 1;
    l.scale = Format::fp16;
    l.scales = 2;
    l.zero = ZeroKind::signed_integer;
    l.zero_bits = 16;
    return l;
  }
  /// NORMATIVE. Over log2 |x| of one sign (doubles): s = (max - min) / (L/2 - 1) rounded up to what
  /// is stored, at least 2^-8; z = round(min / s). clip: min becomes max - range_value (max - min).
  BoxParameters parameters(std::span<const float> values, const QuantSpec& spec,
                           std::span<const float>) const override {
    require(spec.range == RangeRule::automatic || spec.range == RangeRule::minmax ||
                spec.range == RangeRule::clip,
            "twin-log: the range is minmax or clip");
    BoxParameters p;
    for (const unsigned sign : {0u, 1u}) {
      double low = std::numeric_limits<double>::infinity(), high = -low;
      for (const float x : values) {
        if (x == 0 || std::signbit(x) != (sign == 1)) continue;
        low = std::min(low, log2_magnitude(x));
        high = std::max(high, log2_magnitude(x));
      }
      if (low > high) low = high = 0;  // no value of this sign
      if (spec.range == RangeRule::clip) low = high - spec.range_value * (high - low);
      const std::uint32_t step = stored_step((high - low) * 256.0 / (levels(spec) / 2 - 1));
      p.scale[sign] = static_cast<float>(step) / 256.0f;
      const double z = elementary::round_to_integer(low * 256.0 / step);
      p.zero[sign] = static_cast<float>(std::clamp(z, -32768.0, 32767.0));
    }
    return p;
  }
  /// NORMATIVE. q = clamp(round(log2|x| / s) - z, 0, L/2 - 1), ties to even, in double.
  void encode_box(std::span<const float> values, const BoxParameters& p, const QuantSpec& spec,
                  std::span<std::uint16_t> codes) const override {
    const std::uint32_t half = levels(spec) / 2;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const float x = values[i];
      const std::size_t sign = x != 0 && std::signbit(x) ? 1 : 0;
      double q = 0;
      if (x != 0)
        q = elementary::round_to_integer(log2_magnitude(x) / static_cast<double>(p.scale[sign])) -
            static_cast<double>(p.zero[sign]);
      const auto code = static_cast<std::uint32_t>(std::clamp(q, 0.0, half - 1.0));
      codes[i] = static_cast<std::uint16_t>(sign * half + code);
    }
  }
  /// NORMATIVE. e = s (q + z) as f + r / 256; power_of_two(f, r, 8, sign) of
  /// primitives/codebook.hpp.
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters& p,
                  const QuantSpec& spec, std::span<float> values) const override {
    const std::uint32_t half = levels(spec) / 2;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      require(codes[i] < 2 * half, "twin-log: a code is out of range");
      const std::size_t sign = codes[i] / half;
      const auto step = static_cast<std::int64_t>(p.scale[sign] * 256.0f);
      const std::int64_t e = step * (static_cast<std::int64_t>(codes[i] % half) +
                                     static_cast<std::int64_t>(p.zero[sign]));
      const std::int64_t f = e >> 8;
      values[i] =
          f < -200 ? (sign == 1 ? -0.0f : 0.0f)
          : f >= 128
              ? std::copysign(std::numeric_limits<float>::max(), sign == 1 ? -1.0f : 1.0f)
              : power_of_two(static_cast<int>(f), static_cast<unsigned>(e & 255), 8, sign == 1);
    }
  }

 private:
  static std::uint32_t levels(const QuantSpec& spec) {
    const std::uint32_t count = spec.levels == 0 ? 256 : spec.levels;
    require(std::has_single_bit(count) && count >= 4 && count <= 65536,
            "twin-log: 4 to 65536 codes, a power of two");
    return count;
  }
  static double log2_magnitude(float x) {
    constexpr double kLn2 = 0x1.62e42fefa39efp-1;
    return elementary::log(static_cast<double>(std::fabs(x))) / kLn2;
  }
  /// Rounded up to an integer of 11 digits, 1 .. 65504 * 256.
  static std::uint32_t stored_step(double step) {
    auto up = static_cast<std::uint32_t>(std::ceil(std::max(step, 1.0)));
    const int extra = static_cast<int>(std::bit_width(up)) - 11;
    if (extra > 0) up = ((up - 1) >> extra << extra) + (1u << extra);
    return up;
  }
};

}  // namespace

const Codec* fixed_codec(Format) {
  static const FixedCodec codec;
  return &codec;
}

const Codec* twinlog_codec(Format) {
  static const TwinLogCodec codec;
  return &codec;
}

}  // namespace systole::quant
