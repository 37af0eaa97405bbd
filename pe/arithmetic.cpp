// The decoders at the array's edge.
#include "pe/arithmetic.hpp"

#include "quant/float16.hpp"
#include "quant/formats/elements.hpp"
#include "quant/formats/flint.hpp"
#include "quant/formats/minifloat.hpp"
#include "quant/formats/ovp.hpp"
#include "quant/kernels/figna_dot.hpp"
#include "sim/core/error.hpp"

namespace systole::pe {

namespace {

using quant::Format;

/// An 8-bit float as significand << exponent over its least subnormal; NaN and infinity are
/// refused where numbers are encoded and count as 0 here.
template <class Float>
Element element_of_float(OperandWord code) {
  std::int64_t integer = Float::from_bits(static_cast<std::uint8_t>(code)).to_integer();
  Element element;
  while (integer != 0 && integer % 2 == 0) {
    integer /= 2;
    ++element.exponent;
  }
  element.integer = static_cast<std::int32_t>(integer);
  return element;
}

bool is_pair(Format format) {
  return format == Format::ovp4_int || format == Format::ovp4_flint || format == Format::ovp8_int;
}

}  // namespace

Decoded decode_codes(Format format, std::span<const OperandWord> words) {
  Decoded decoded;
  decoded.elements.reserve(words.size());
  const auto each = [&](auto element) {
    for (const OperandWord word : words) decoded.elements.push_back(element(word));
  };
  const auto from_table = [&] {
    const quant::ElementFormat& table = quant::element_of(format);
    decoded.unit_exponent = table.unit_exponent;
    each([&](OperandWord word) { return Element{0, table.integer[word & 0xFFu]}; });
  };
  switch (format) {
    case Format::mxfp8_e4m3:
      decoded.unit_exponent = quant::E4M3::kUnitExponent;
      each(element_of_float<quant::E4M3>);
      break;
    case Format::mxfp8_e5m2:
      decoded.unit_exponent = quant::E5M2::kUnitExponent;
      each(element_of_float<quant::E5M2>);
      break;
    case Format::mxfp4:
    case Format::mxfp6_e3m2:
    case Format::mxfp6_e2m3:
    case Format::mxint8:
    case Format::nvfp4:
      from_table();
      break;
    case Format::flint4:
    case Format::uflint4:
    case Format::pot4:
    case Format::upot4:
      each([&](OperandWord word) { return quant::ant_operand(word & 15u, format); });
      break;
    default:
      if (quant::info_of(format).kind == quant::FormatClass::integer) {
        each([](OperandWord word) { return Element{0, static_cast<std::int16_t>(word)}; });
      } else if (format == Format::bitmod3 || format == Format::bitmod4) {
        each([](OperandWord word) { return Element{0, static_cast<std::int16_t>(word)}; });
      } else {
        each([](OperandWord word) { return Element{0, word}; });
      }
  }
  return decoded;
}

Decoded decode_pairs(Format format, std::span<const OperandWord> words, std::uint64_t k) {
  if (!is_pair(format)) return decode_codes(format, words);
  const quant::OvpType type = quant::ovp_type(format, quant::Contract::corrected);
  Decoded decoded;
  decoded.elements.reserve(words.size());
  for (std::uint64_t row = 0; row < words.size(); row += k) {
    for (std::uint64_t i = 0; i < k; i += 2) {
      const bool alone = i + 1 == k;
      const auto slot = [&](std::uint64_t at) {
        return static_cast<std::uint8_t>(words[row + at]);
      };
      const quant::OvpOperands operands =
          quant::ovp_decode_pair({slot(i), alone ? std::uint8_t{0} : slot(i + 1)}, type);
      decoded.elements.push_back(operands.left);
      if (!alone) decoded.elements.push_back(operands.right);
    }
  }
  return decoded;
}

Decoded decode_aligned(std::span<const OperandWord> words, std::uint64_t k, std::uint64_t group,
                       unsigned bits) {
  SYSTOLE_CHECK(group > 0 && k % group == 0, "groups divide the row");
  SYSTOLE_CHECK(bits <= 31, "mantissas of the array's elements");
  Decoded decoded;
  decoded.elements.reserve(words.size());
  std::vector<quant::Fp16> part(group);
  for (std::uint64_t begin = 0; begin < words.size(); begin += group) {
    for (std::uint64_t i = 0; i < group; ++i) part[i] = quant::Fp16::from_bits(words[begin + i]);
    const quant::AlignedGroup aligned = quant::align(part, bits, quant::Alignment::truncate);
    decoded.exponents.push_back(aligned.exponent);
    for (const std::int64_t mantissa : aligned.mantissas) {
      decoded.elements.push_back({0, static_cast<std::int32_t>(mantissa)});
    }
  }
  return decoded;
}

}  // namespace systole::pe
