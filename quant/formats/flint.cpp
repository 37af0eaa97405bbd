// The ANT grids: decoders, tables made from them, and the two encoders. The contract is in the
// header.
#include "quant/formats/flint.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

#include "quant/check.hpp"

namespace systole::quant {
namespace {

/// Leading zeros of the `width` low bits.
unsigned leading_zeros(std::uint32_t bits, unsigned width) {
  return width - static_cast<unsigned>(std::bit_width(bits));
}

bool has_sign(Format f) { return f == Format::flint4 || f == Format::pot4; }
bool is_flint(Format f) { return f == Format::flint4 || f == Format::uflint4; }

/// Everything one grid needs: values by code, codes in ascending order of value, midpoints.
struct Grid {
  std::array<std::int32_t, 16> values{};
  std::array<std::uint8_t, 16> ascending{};
  std::array<float, 15> midpoints{};
  std::size_t size = 0;
};

Grid make_grid(Format format) {
  Grid grid;
  for (std::uint32_t code = 0; code < 16; ++code) {
    grid.values[code] = static_cast<std::int32_t>(ant_operand(code, format).value());
    if (has_sign(format) && code == 8) continue;  // -0
    grid.ascending[grid.size++] = static_cast<std::uint8_t>(code);
  }
  const auto end = grid.ascending.begin() + static_cast<std::ptrdiff_t>(grid.size);
  std::ranges::sort(grid.ascending.begin(), end, {},
                    [&grid](std::uint8_t code) { return grid.values[code]; });
  for (std::size_t i = 0; i + 1 < grid.size; ++i) {
    grid.midpoints[i] = 0.5f * static_cast<float>(grid.values[grid.ascending[i]] +
                                                  grid.values[grid.ascending[i + 1]]);
  }
  return grid;
}

const Grid& grid_of(Format format) {
  require(is_ant_grid(format), "not an ANT grid");
  static const std::array<Grid, 4> grids = {make_grid(Format::flint4), make_grid(Format::uflint4),
                                            make_grid(Format::pot4), make_grid(Format::upot4)};
  return grids[static_cast<std::size_t>(format) - static_cast<std::size_t>(Format::flint4)];
}

}  // namespace

ExponentInteger flint_operand(std::uint32_t code, unsigned n) {
  require(n >= 2 && n <= 8 && code < (1u << n), "flint: the code is wider than the format");
  const std::uint32_t top = 1u << (n - 1);
  const std::uint32_t low = code & (top - 1);
  if ((code & top) == 0) return {0, static_cast<std::int32_t>(low)};
  if (low == 0) return {static_cast<std::int32_t>(2 * (n - 1)), 1};
  return {static_cast<std::int32_t>(2 * leading_zeros(low, n - 1) + 1),
          static_cast<std::int32_t>(low)};
}

float flint_float_view(std::uint32_t code, unsigned n) {
  require(n >= 2 && n <= 8 && code < (1u << n), "flint: the code is wider than the format");
  if (code == 0) return 0.0f;
  const std::uint32_t top = 1u << (n - 1);
  const std::uint32_t low = code & (top - 1);
  const unsigned zeros = leading_zeros(low, n - 1);
  const unsigned p = (code & top) == 0 ? n - 1 - zeros : n + zeros;
  const std::uint32_t fraction = (low << (zeros + 1)) & (top - 1);
  const float significand = 1.0f + static_cast<float>(fraction) / static_cast<float>(top);
  return std::ldexp(significand, static_cast<int>(p) - 1);
}

ExponentInteger ant_operand(std::uint32_t code, Format format) {
  require(is_ant_grid(format) && code < 16, "not a code of an ANT grid");
  const unsigned n = has_sign(format) ? 3 : 4;
  const std::uint32_t magnitude = code & ((1u << n) - 1);
  ExponentInteger operand;
  if (is_flint(format)) {
    operand = flint_operand(magnitude, n);
  } else if (magnitude != 0) {
    operand = {static_cast<std::int32_t>(magnitude) - 1, 1};
  }
  if (has_sign(format) && (code & 8) != 0) operand.integer = -operand.integer;
  return operand;
}

const std::array<std::int32_t, 16>& ant_values(Format format) { return grid_of(format).values; }

std::int32_t ant_largest(Format format) { return std::ranges::max(ant_values(format)); }

std::uint32_t ant_encode_scan(float x, Format format) {
  const Grid& grid = grid_of(format);
  x = std::clamp(x, static_cast<float>(grid.values[grid.ascending[0]]),
                 static_cast<float>(grid.values[grid.ascending[grid.size - 1]]));
  std::uint32_t best = grid.ascending[0];
  float least = std::fabs(x - static_cast<float>(grid.values[best]));
  for (std::size_t i = 1; i < grid.size; ++i) {
    const float distance = std::fabs(x - static_cast<float>(grid.values[grid.ascending[i]]));
    if (distance <= least) {
      least = distance;
      best = grid.ascending[i];
    }
  }
  return best;
}

std::uint32_t ant_encode(float x, Format format) {
  const Grid& grid = grid_of(format);
  std::size_t index = 0;
  for (std::size_t i = 0; i + 1 < grid.size; ++i) index += x >= grid.midpoints[i] ? 1 : 0;
  return grid.ascending[index];
}

}  // namespace systole::quant
