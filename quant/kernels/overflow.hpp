// What an integer accumulator does when a sum leaves its range.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace systole::quant {

enum class Overflow : std::uint8_t { wrap, saturate, error };
inline constexpr std::array<std::string_view, 3> kOverflowNames = {"wrap", "saturate", "error"};

}  // namespace systole::quant
