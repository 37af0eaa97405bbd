// How scales, minima and zeros are stored: rounded to their format, never infinite, and as bits.
#pragma once

#include <cstdint>

#include "quant/format.hpp"

namespace systole::quant {

/// Whether a scale may be stored so: fp32, fp16, bf16, e8m0, ue4m3, fp8_e4m3.
bool is_parameter_format(Format format);

/// NORMATIVE. A parameter as it comes back from its stored format: rounded to nearest, ties to
/// even, and saturated at the largest finite value. In the 8-bit float formats a magnitude other
/// than 0 never becomes 0 but 2^-9, their smallest (FireQ, quantization.md D2); e8m0 has no zero: 0
/// gives 2^-127. Unsigned formats: negative values give 0. Errors: std::invalid_argument for a
/// format that holds no parameters.
float store_parameter(Format format, float value);

/// The bits of a stored parameter, and back.
std::uint32_t parameter_bits(Format format, float stored);
float parameter_from_bits(Format format, std::uint32_t bits);

}  // namespace systole::quant
