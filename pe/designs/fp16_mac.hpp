// The FP16 multiply-accumulate element with an fp32 accumulator: the baseline of unquantised
// machines.
#pragma once

#include <cstdint>

#include "pe/design.hpp"

namespace systole::pe::fp16_mac {

PeDesign design();

/// The product of two fp16 numbers, exact in fp32: sign by XOR, 11 x 11-bit significands multiplied
/// as integers, exponents added. Subnormal operands count with their value. An infinity or NaN
/// operand gives what IEEE multiplication of the decoded operands gives (NaN as the quiet NaN
/// 0x7FC00000).
float product(std::uint16_t a, std::uint16_t b);

}  // namespace systole::pe::fp16_mac
