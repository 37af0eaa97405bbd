// Layer lists as SCALE-Sim's topology files write them: one line a layer, matrix products or
// convolutions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace systole::workloads {

/// `mnk`: "Layer, M, N, K". `conv`: "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter
/// Width, Channels, Num Filter, Strides".
enum class TopologyFormat : std::uint8_t { mnk, conv };
inline constexpr std::array<std::string_view, 2> kTopologyFormatNames = {"scale-sim-mnk",
                                                                         "scale-sim-conv"};

struct Convolution {
  std::uint64_t height = 0, width = 0;  ///< of the image
  std::uint64_t kernel_height = 0, kernel_width = 0;
  std::uint64_t channels = 0, filters = 0, stride = 0;

  friend bool operator==(const Convolution&, const Convolution&) = default;
};

/// [m, k] times [k, n]. Of a convolution: output pixels, filters, values of one filter; there is no
/// padding, and an output edge is ceil((image - kernel + stride) / stride).
struct TopologyLayer {
  std::string name;
  std::uint64_t m = 0, n = 0, k = 0;
  std::optional<Convolution> convolution;

  friend bool operator==(const TopologyLayer&, const TopologyLayer&) = default;
};

struct Topology {
  TopologyFormat format = TopologyFormat::mnk;
  std::vector<TopologyLayer> layers;
};

/// Largest side of a product or an image; beyond it a number is a slip of the keyboard.
inline constexpr std::uint64_t kLargestTopologySide = 1u << 20;

/// Reads a topology file. Without a format, the number of columns in its first line, which must be
/// a heading, decides. Layers are in file order; empty lines, a comma at the end of a line, CRLF
/// and a byte-order mark are as SCALE-Sim takes them. Throws ConfigError with every fault as
/// `file:line: what was found; expected ...`.
Topology read_topology(const std::string& path, std::optional<TopologyFormat> format = {});

/// The same from text; `file` is what messages call it.
Topology parse_topology(std::string_view text, const std::string& file,
                        std::optional<TopologyFormat> format = {});

}  // namespace systole::workloads
