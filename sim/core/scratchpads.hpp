// The machine's scratchpads, as results and recordings number them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace systole {

enum class ScratchpadOf : std::uint8_t { weights, activations, sums };
inline constexpr std::size_t kScratchpadCount = 3;
inline constexpr std::array<std::string_view, kScratchpadCount> kScratchpadNames = {
    "weight_scratchpad", "activation_scratchpad", "output_scratchpad"};
using BytesByScratchpad = std::array<std::uint64_t, kScratchpadCount>;
/// Bytes held in each, times the cycles for which they are.
using HeldByteCycles = std::array<std::uint64_t, kScratchpadCount>;

}  // namespace systole
