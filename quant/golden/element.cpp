// A value's code in a float format without a scale.
#include <stdexcept>

#include "quant/bfloat16.hpp"
#include "quant/float16.hpp"
#include "quant/formats/minifloat.hpp"
#include "quant/golden/problems.hpp"

namespace systole::quant::golden {

std::uint16_t encode_element(Format format, float value) {
  switch (format) {
    case Format::fp16:
      return Fp16::encode(value).to_bits();
    case Format::bf16:
      return Bf16::encode(value).to_bits();
    case Format::fp8_e4m3:
      return E4M3::encode(value).to_bits();
    case Format::fp8_e5m2:
      return E5M2::encode(value).to_bits();
    case Format::fp6_e3m2:
      return E3M2::encode(value).to_bits();
    case Format::fp6_e2m3:
      return E2M3::encode(value).to_bits();
    case Format::fp4_e2m1:
      return E2M1::encode(value).to_bits();
    case Format::e8m0:
      return E8M0::encode(value).to_bits();
    case Format::ue4m3:
      return UE4M3::encode(value).to_bits();
    default:
      throw std::invalid_argument("encode_element: not a float of at most 16 bits");
  }
}

float decode_scale(Format format, std::uint8_t code) {
  return format == Format::e8m0 ? E8M0::from_bits(code).decode() : UE4M3::from_bits(code).decode();
}

}  // namespace systole::quant::golden
