#include "workloads/topology.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "configs/tree.hpp"
#include "sim/core/error.hpp"
#include "workloads/file.hpp"

namespace systole::workloads {
namespace {

constexpr std::size_t kMaxTopologyBytes = 4 * 1024 * 1024;
constexpr std::size_t kMostLayers = 65536;
constexpr std::size_t kLongestName = 200;
constexpr std::size_t kMnkCells = 4, kConvCells = 8;
/// A product larger than this has counts that do not fit 64 bits somewhere.
constexpr double kLargestProduct = 1125899906842624.0;  // 2^50

constexpr std::array<std::string_view, kMnkCells> kMnkHeads = {"name", "M", "N", "K"};
constexpr std::array<std::string_view, kConvCells> kConvHeads = {
    "name",         "image height", "image width",       "filter height",
    "filter width", "channels",     "number of filters", "stride"};

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Cells of a line; empty ones at its end are left out.
std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  while (true) {
    const std::size_t comma = line.find(',');
    cells.push_back(trimmed(line.substr(0, comma)));
    if (comma == std::string_view::npos) break;
    line.remove_prefix(comma + 1);
  }
  while (!cells.empty() && cells.back().empty()) cells.pop_back();
  return cells;
}

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::uint64_t output_edge(std::uint64_t image, std::uint64_t kernel, std::uint64_t stride) {
  return (image - kernel + stride + stride - 1) / stride;
}

class Reader {
 public:
  Reader(std::string_view text, const std::string& file, std::optional<TopologyFormat> format)
      : text_(text), file_(std::make_shared<const std::string>(file)), format_(format) {}

  Topology read() {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
    Topology topology;
    bool heading = true;
    for (int line = 1; !text_.empty(); ++line) {
      const std::size_t end = text_.find('\n');
      const std::vector<std::string_view> cells = cells_of(text_.substr(0, end));
      text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
      if (cells.empty()) continue;
      line_ = line;
      if (std::exchange(heading, false)) {
        if (!read_heading(cells)) break;
        continue;
      }
      if (topology.layers.size() == kMostLayers) {
        fault(fmt::format("more than {} layers", kMostLayers));
        break;
      }
      if (std::optional<TopologyLayer> layer = read_layer(cells))
        topology.layers.push_back(std::move(*layer));
    }
    if (faults_.empty() && topology.layers.empty()) {
      line_ = 0;
      fault("no layers; expected a heading and a line a layer");
    }
    faults_.throw_if_any();
    topology.format = *format_;
    return topology;
  }

 private:
  void fault(std::string message) {
    // Position::text() would add a column; a line is all that a table needs.
    const std::string place = line_ > 0 ? fmt::format("{}:{}", *file_, line_) : *file_;
    faults_.add({std::make_shared<const std::string>(place), 0, 0}, "", std::move(message));
  }

  bool read_heading(const std::vector<std::string_view>& cells) {
    if (cells.size() > 1 && std::ranges::all_of(cells.begin() + 1, cells.end(), is_number)) {
      fault("the first line is a layer; expected a heading such as 'Layer, M, N, K'");
      return false;
    }
    if (!format_) {
      if (cells.size() == kMnkCells) {
        format_ = TopologyFormat::mnk;
      } else if (cells.size() >= kConvCells) {
        format_ = TopologyFormat::conv;
      } else {
        fault(
            fmt::format("a heading of {} columns; expected {} (Layer, M, N, K) or {} (Layer, image "
                        "height and width, filter height and width, channels, filters, strides)",
                        cells.size(), kMnkCells, kConvCells));
        return false;
      }
    }
    return true;
  }

  std::optional<TopologyLayer> read_layer(const std::vector<std::string_view>& cells) {
    const bool conv = format_ == TopologyFormat::conv;
    const std::size_t expected = conv ? kConvCells : kMnkCells;
    // Version 3 adds a column for sparsity; dense is 1:1.
    const bool dense = conv && cells.size() == kConvCells + 1 && cells.back() == "1:1";
    if (cells.size() != expected && !dense) {
      if (conv && cells.size() == kConvCells + 1) {
        fault("found sparsity " + configs::quote(cells.back()) +
              "; expected 1:1 (sparse layers are not modelled)");
      } else {
        fault(fmt::format("{} columns; expected {}", cells.size(), expected));
      }
      return std::nullopt;
    }
    std::array<std::uint64_t, kConvCells> values{};
    bool good = true;
    for (std::size_t i = 1; i < expected; ++i) {
      const std::optional<std::uint64_t> value =
          side(cells[i], conv ? kConvHeads[i] : kMnkHeads[i]);
      good &= value.has_value();
      values[i] = value.value_or(0);
    }
    if (cells[0].size() > kLongestName) {
      fault(fmt::format("a name of {} bytes; expected at most {}", cells[0].size(), kLongestName));
      good = false;
    }
    if (!good) return std::nullopt;

    TopologyLayer layer;
    layer.name = cells[0];
    if (conv) {
      const Convolution c{values[1], values[2], values[3], values[4],
                          values[5], values[6], values[7]};
      if (c.kernel_height > c.height || c.kernel_width > c.width) {
        fault(fmt::format("a filter of {} x {} on an image of {} x {}; expected one that fits",
                          c.kernel_height, c.kernel_width, c.height, c.width));
        return std::nullopt;
      }
      layer.m = output_edge(c.height, c.kernel_height, c.stride) *
                output_edge(c.width, c.kernel_width, c.stride);
      layer.n = c.filters;
      // Two factors are at most 2^40; the third is looked at before it is multiplied.
      const std::uint64_t area = c.kernel_height * c.kernel_width;
      layer.k = area <= kLargestTopologySide ? area * c.channels : kLargestTopologySide * area;
      layer.convolution = c;
    } else {
      layer.m = values[1];
      layer.n = values[2];
      layer.k = values[3];
    }
    const double size =
        static_cast<double>(layer.m) * static_cast<double>(layer.n) * static_cast<double>(layer.k);
    if (size > kLargestProduct) {
      fault(fmt::format("a layer of {:.3g} multiplications; expected at most {:.3g}", size,
                        kLargestProduct));
      return std::nullopt;
    }
    return layer;
  }

  std::optional<std::uint64_t> side(std::string_view text, std::string_view what) {
    std::uint64_t value = 0;
    const bool number =
        is_number(text) &&
        std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{};
    if (number && value >= 1 && value <= kLargestTopologySide) return value;
    fault(fmt::format("{}: found {}; expected a whole number from 1 to {}", what,
                      configs::quote(text), kLargestTopologySide));
    return std::nullopt;
  }

  std::string_view text_;
  std::shared_ptr<const std::string> file_;
  std::optional<TopologyFormat> format_;
  configs::Faults faults_;
  int line_ = 0;
};

}  // namespace

Topology parse_topology(std::string_view text, const std::string& file,
                        std::optional<TopologyFormat> format) {
  if (text.size() > kMaxTopologyBytes) {
    throw ConfigError(fmt::format("{}: {} bytes; expected a topology of at most {}", file,
                                  text.size(), kMaxTopologyBytes));
  }
  return Reader(text, file, format).read();
}

Topology read_topology(const std::string& path, std::optional<TopologyFormat> format) {
  const FileBytes bytes = FileBytes::map(path);
  return parse_topology(bytes.text(), path, format);
}

}  // namespace systole::workloads
