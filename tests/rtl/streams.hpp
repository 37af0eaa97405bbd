// Operands for the streams of the co-simulation: random ones, and those that break adders.
#pragma once

#include <cstdint>

#include "quant/float16.hpp"
#include "quant/golden/stream.hpp"

namespace systole::rtl {

inline constexpr std::uint64_t kSteps = 2'000'000;  ///< operand steps of each stream

inline std::uint32_t low_bits(std::int64_t value, unsigned bits) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(value) &
                                    ((std::uint64_t{1} << bits) - 1));
}
inline std::size_t sum_length(Stream& stream) {
  return stream.below(4) == 0 ? 1 : 1 + stream.below(96);
}

/// A signed code of `bits` bits by a style that a whole sum keeps: any, the ends, around zero.
inline std::int32_t signed_code(Stream& stream, unsigned bits, std::size_t style) {
  const std::int32_t half = 1 << (bits - 1);
  const auto any =
      static_cast<std::int32_t>(stream.next() & (2u * static_cast<unsigned>(half) - 1));
  if (style == 1) return any < half ? -half : half - 1;
  if (style == 2) return any % 3 - 1;
  if (style == 3) return -half;
  return any - half;
}

/// fp16 bits by style: any code (NaN and, more often, infinities too), finite, bell, subnormal,
/// large, powers of two.
inline std::uint16_t fp16_code(Stream& stream, std::size_t style) {
  const auto any = static_cast<std::uint16_t>(stream.next());
  const auto sign = static_cast<std::uint16_t>(any & 0x8000u);
  switch (style) {
    case 0:
      return stream.below(16) == 0 ? static_cast<std::uint16_t>(sign | 0x7C00u) : any;
    case 1:
      return (any & 0x7C00u) == 0x7C00u ? static_cast<std::uint16_t>(any & 0xBFFFu) : any;
    case 2:
      return quant::Fp16::encode(stream.bell()).to_bits();
    case 3:
      return static_cast<std::uint16_t>(any & (stream.below(4) == 0 ? 0x87FFu : 0x83FFu));
    case 4:
      return static_cast<std::uint16_t>(sign | 0x7800u | (any & 0x03FFu));
    case 5:
      return static_cast<std::uint16_t>((any & 0xFC00u) == 0x7C00u ? sign
                                                                   : any & 0xFC00u & 0xBFFFu);
    case 6:  // a significand all ones or with one bit: carries and ties
      return static_cast<std::uint16_t>(((any & 0xFC00u) & 0xBFFFu) |
                                        (any & 1u ? 0x3FFu : 1u << (any >> 1 & 7u)));
    default:
      return static_cast<std::uint16_t>(stream.below(3) == 0 ? sign : 0x3C00u | sign);
  }
}
inline constexpr std::size_t kFp16Styles = 8;

/// <exponent, integer> operands with integers of `bits` bits on an element's ports.
template <class Model, class Words>
void drive_exponent_integer(Model& model, const Words& x, unsigned bits) {
  model.we_in = static_cast<std::uint8_t>(x.w.exponent);
  model.wi_in = static_cast<std::uint8_t>(low_bits(x.w.integer, bits));
  model.ae_in = static_cast<std::uint8_t>(x.a.exponent);
  model.ai_in = static_cast<std::uint8_t>(low_bits(x.a.integer, bits));
}
template <class Model, class Words>
bool passed_exponent_integer(const Model& model, const Words& x, unsigned bits) {
  return model.we_out == x.w.exponent && model.wi_out == low_bits(x.w.integer, bits) &&
         model.ae_out == x.a.exponent && model.ai_out == low_bits(x.a.integer, bits);
}

}  // namespace systole::rtl
