#include "quant/formats/parameter.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <stdexcept>
#include <string>

#include "quant/bfloat16.hpp"
#include "quant/float16.hpp"
#include "quant/formats/minifloat.hpp"

namespace systole::quant {
namespace {

[[noreturn]] void refuse(Format format) {
  throw std::invalid_argument("parameters are not stored as " + std::string(name_of(format)));
}

template <class F>
float store_small(float value) {
  const F code = F::encode(value);
  if (code.to_integer() == 0 && value > 0) return F::from_bits(1).decode();
  if (code.to_integer() == 0 && value < 0 && F::kBits == 8) return -F::from_bits(1).decode();
  return code.decode();
}

}  // namespace

bool is_parameter_format(Format f) {
  return is_ieee(f) || f == Format::e8m0 || f == Format::ue4m3 || f == Format::fp8_e4m3;
}

float store_parameter(Format format, float value) {
  constexpr float kMax = std::numeric_limits<float>::max();
  switch (format) {
    case Format::fp32:
      return std::clamp(value, -kMax, kMax);
    case Format::fp16:
      return Fp16::encode(std::clamp(value, -65504.0f, 65504.0f)).decode();
    case Format::bf16: {
      const float largest = Bf16::from_bits(0x7F7F).decode();
      return Bf16::encode(std::clamp(value, -largest, largest)).decode();
    }
    case Format::e8m0:
      return E8M0::encode(std::min(value, 0x1p127f)).decode();
    case Format::ue4m3:
      return store_small<UE4M3>(value);
    case Format::fp8_e4m3:
      return store_small<E4M3>(value);
    default:
      refuse(format);
  }
}

std::uint32_t parameter_bits(Format format, float stored) {
  switch (format) {
    case Format::fp32:
      return std::bit_cast<std::uint32_t>(stored);
    case Format::fp16:
      return Fp16::encode(stored).to_bits();
    case Format::bf16:
      return Bf16::encode(stored).to_bits();
    case Format::e8m0:
      return E8M0::encode(stored).to_bits();
    case Format::ue4m3:
      return UE4M3::encode(stored).to_bits();
    case Format::fp8_e4m3:
      return E4M3::encode(stored).to_bits();
    default:
      refuse(format);
  }
}

float parameter_from_bits(Format format, std::uint32_t bits) {
  switch (format) {
    case Format::fp32:
      return std::bit_cast<float>(bits);
    case Format::fp16:
      return Fp16::from_bits(static_cast<std::uint16_t>(bits)).decode();
    case Format::bf16:
      return Bf16::from_bits(static_cast<std::uint16_t>(bits)).decode();
    case Format::e8m0:
      return E8M0::from_bits(static_cast<std::uint8_t>(bits)).decode();
    case Format::ue4m3:
      return UE4M3::from_bits(static_cast<std::uint8_t>(bits)).decode();
    case Format::fp8_e4m3:
      return E4M3::from_bits(static_cast<std::uint8_t>(bits)).decode();
    default:
      refuse(format);
  }
}

}  // namespace systole::quant
