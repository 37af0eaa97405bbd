// Minifloats as element formats: value = s * element. The scale formats e8m0 and ue4m3 hold values
// as they are, without a scale of their own.
#include "quant/formats/minifloat.hpp"

#include <array>

#include "quant/check.hpp"
#include "quant/formats/codec.hpp"
#include "quant/formats/elements.hpp"
#include "quant/formats/parameter.hpp"
#include "quant/formats/range.hpp"

namespace systole::quant {
namespace {

template <class F>
constexpr ElementFormat element_format() {
  ElementFormat e;
  e.bits = F::kBits;
  e.emax = F::kEmax;
  e.largest = F::largest().decode();
  e.encode = [](float x, Rounding r) { return std::uint16_t{F::encode(x, r).to_bits()}; };
  for (unsigned code = 0; code < (1u << F::kBits); ++code) {
    const F f = F::from_bits(static_cast<std::uint8_t>(code));
    e.value[code] = f.decode();
    e.integer[code] = static_cast<std::int32_t>(F::kBits < 8 ? f.to_integer() : 0);
  }
  e.unit_exponent = F::kUnitExponent;
  e.has_integers = F::kBits < 8;
  return e;
}

/// MXINT8: two's complement times 2^-6. Rounds to the grid and saturates at +-127/64 (the reference
/// library never writes -128); code 0x80 decodes to -2.
constexpr ElementFormat mxint8_format() {
  ElementFormat e;
  e.bits = 8;
  e.emax = 0;
  e.largest = 127.0f / 64.0f;
  e.encode = [](float x, Rounding r) {
    const float scaled = round_value(x * 64.0f, r);
    const float q = scaled > 127.0f ? 127.0f : (scaled < -127.0f ? -127.0f : scaled);
    return static_cast<std::uint16_t>(static_cast<std::uint8_t>(static_cast<std::int32_t>(q)));
  };
  for (std::int32_t code = 0; code < 256; ++code) {
    const std::int32_t q = (code ^ 128) - 128;
    e.value[static_cast<std::size_t>(code)] = static_cast<float>(q) / 64.0f;
    e.integer[static_cast<std::size_t>(code)] = q;
  }
  e.unit_exponent = -6;
  e.has_integers = true;
  return e;
}

constexpr ElementFormat kE4M3 = element_format<E4M3>();
constexpr ElementFormat kE5M2 = element_format<E5M2>();
constexpr ElementFormat kE3M2 = element_format<E3M2>();
constexpr ElementFormat kE2M3 = element_format<E2M3>();
constexpr ElementFormat kE2M1 = element_format<E2M1>();
constexpr ElementFormat kMxint8 = mxint8_format();

class MinifloatCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    require(spec.affine == Affine::symmetric, "minifloats have no zero point");
    require(is_parameter_format(spec.scale),
            "scales are stored as a float or an 8-bit scale format");
    CodecLayout l;
    l.codes.word_bits = element_of(spec.format).bits;
    l.scale = spec.scale;
    return l;
  }
  /// NORMATIVE. s = magnitude / largest, as stored; code = encode(x / s) with IEEE division,
  /// saturating; value = s * element. s = 0: every code is 0.
  BoxParameters parameters(std::span<const float> values, const QuantSpec& spec,
                           std::span<const float>) const override {
    require(spec.range != RangeRule::absmax_signed, "minifloats have a scale without a sign");
    BoxParameters p;
    p.scale[0] =
        store_parameter(spec.scale, magnitude_of(values, spec) / element_of(spec.format).largest);
    return p;
  }
  void encode_box(std::span<const float> values, const BoxParameters& p, const QuantSpec& spec,
                  std::span<std::uint16_t> codes) const override {
    const auto encode_element = element_of(spec.format).encode;
    const float s = p.scale[0];
    for (std::size_t i = 0; i < codes.size(); ++i)
      codes[i] = s == 0 ? std::uint16_t{0} : encode_element(values[i] / s, spec.rounding);
  }
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters& p,
                  const QuantSpec& spec, std::span<float> values) const override {
    const auto& value = element_of(spec.format).value;
    for (std::size_t i = 0; i < codes.size(); ++i) values[i] = p.scale[0] * value[codes[i] & 0xFFu];
  }
  std::optional<IntegerGrid> integers(const QuantSpec& spec, std::uint8_t) const override {
    return grid_of(element_of(spec.format));
  }
};

/// Scale formats: bare values.
class ScaleFormatCodec final : public BoxCodec {
 public:
  CodecLayout layout(const QuantSpec& spec) const override {
    require(spec.affine == Affine::symmetric, "minifloats have no zero point");
    CodecLayout l;
    l.codes.word_bits = 8;
    l.scales = 0;
    return l;
  }
  BoxParameters parameters(std::span<const float>, const QuantSpec&,
                           std::span<const float>) const override {
    return {};
  }
  void encode_box(std::span<const float> values, const BoxParameters&, const QuantSpec& spec,
                  std::span<std::uint16_t> codes) const override {
    for (std::size_t i = 0; i < codes.size(); ++i)
      codes[i] = spec.format == Format::e8m0 ? E8M0::encode(values[i], spec.rounding).to_bits()
                                             : UE4M3::encode(values[i], spec.rounding).to_bits();
  }
  void decode_box(std::span<const std::uint16_t> codes, const BoxParameters&, const QuantSpec& spec,
                  std::span<float> values) const override {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const auto code = static_cast<std::uint8_t>(codes[i]);
      values[i] = spec.format == Format::e8m0 ? E8M0::from_bits(code).decode()
                                              : UE4M3::from_bits(code).decode();
    }
  }
};

}  // namespace

const ElementFormat& element_of(Format format) {
  switch (format) {
    case Format::fp8_e4m3:
    case Format::mxfp8_e4m3:
      return kE4M3;
    case Format::fp8_e5m2:
    case Format::mxfp8_e5m2:
      return kE5M2;
    case Format::fp6_e3m2:
    case Format::mxfp6_e3m2:
      return kE3M2;
    case Format::fp6_e2m3:
    case Format::mxfp6_e2m3:
      return kE2M3;
    case Format::fp4_e2m1:
    case Format::mxfp4:
    case Format::nvfp4:
      return kE2M1;
    case Format::mxint8:
      return kMxint8;
    default:
      throw std::invalid_argument("not a format of minifloat elements");
  }
}

std::optional<IntegerGrid> grid_of(const ElementFormat& e) {
  if (!e.has_integers) return std::nullopt;
  IntegerGrid grid;
  grid.integers.assign(e.integer.begin(), e.integer.begin() + (std::ptrdiff_t{1} << e.bits));
  grid.unit = exact_power_of_two(e.unit_exponent);
  return grid;
}

const Codec* minifloat_codec(Format format) {
  static const MinifloatCodec elements;
  static const ScaleFormatCodec scales;
  if (format == Format::e8m0 || format == Format::ue4m3) return &scales;
  return &elements;
}

}  // namespace systole::quant
