// Who moves the bytes: the classes by which every memory counts its traffic.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace systole {

/// Traffic classes. Metadata (scales, zero points) travels and is counted with the tensor it
/// belongs to.
enum class TrafficClass : std::uint8_t { weights, activations, kv_cache };

inline constexpr std::size_t kTrafficClassCount = 3;
inline constexpr std::array<std::string_view, kTrafficClassCount> kTrafficClassNames = {
    "weights", "activations", "kv_cache"};

constexpr std::size_t index_of(TrafficClass c) { return static_cast<std::size_t>(c); }
constexpr std::string_view name_of(TrafficClass c) { return kTrafficClassNames[index_of(c)]; }

}  // namespace systole
