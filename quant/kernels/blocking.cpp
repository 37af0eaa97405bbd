#include "quant/kernels/blocking.hpp"

namespace systole::quant::detail {

const IntegerTiles* integer_tiles(Path path) {
#if defined(__x86_64__)
  if (path == Path::avx2) return &avx2_integer_tiles();
  if (path == Path::avx512_vnni) return &avx512_integer_tiles();
  if (path == Path::avx512_vbmi) return &avx512_vbmi_integer_tiles();
#endif
  (void)path;
  return nullptr;
}

const FloatTiles* float_tiles(Path path) {
#if defined(__x86_64__)
  if (path == Path::avx2) return &avx2_float_tiles();
  if (path >= Path::avx512_vnni) return &avx512_float_tiles();
#endif
  (void)path;
  return nullptr;
}

std::vector<Segment> segments_of(std::size_t total, std::size_t group, std::size_t target) {
  std::vector<Segment> segments;
  const std::size_t whole = total / group;
  const std::size_t together = std::max<std::size_t>(1, target / group);
  std::size_t g = 0;
  if (group <= target) {
    for (; g < whole; g += together) {
      segments.push_back({g * group, group, g, std::min(together, whole - g), true, true});
    }
    g = whole;
  }
  for (; g * group < total; ++g) {  // groups longer than a segment, and the short one at the end
    const std::size_t end = std::min(total, (g + 1) * group);
    for (std::size_t s = g * group; s < end; s += target) {
      const std::size_t steps = std::min(target, end - s);
      segments.push_back({s, steps, g, 1, s == g * group, s + steps == end});
    }
  }
  return segments;
}

}  // namespace systole::quant::detail
