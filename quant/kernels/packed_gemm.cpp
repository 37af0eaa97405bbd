// Blocking and threading of the fast integer products; the arithmetic is in the tiles.
#include "quant/kernels/packed_gemm.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "quant/check.hpp"
#include "quant/kernels/packed_weights.hpp"

namespace systole::quant {

namespace {

using detail::Aligned;
using detail::ceil_div;
using detail::Coding;
using detail::IntegerTile;
using detail::IntegerTiles;
using detail::Part;
using detail::Segment;
using Weights = PackedWeights::Impl;

constexpr std::size_t kUnitBytes = 4;          ///< a unit of activations, on every path
constexpr std::size_t kIntegerSegment = 4096;  ///< k a segment: 128 KiB of an unpacked panel

/// Activations [rows][cols] and one scale a row.
struct Activations {
  const std::int8_t* codes;
  std::size_t rows;
  std::size_t cols;
  const float* scales;
};

/// Activations as integer tiles want them, with what undoes the weight offset; in scratch.
struct PackedActivations {
  PackedActivations(const Activations& a, const Weights& w)
      : codes(detail::scratch<std::uint8_t, struct Codes>(a.rows * w.steps * kUnitBytes)),
        sums(detail::scratch<std::int32_t, struct Sums>(a.rows * w.groups)),
        starts(detail::scratch<std::int32_t, struct Starts>(a.rows * w.groups)) {}

  std::uint8_t* codes;   ///< [tile][step][row][unit], int8 or int16
  std::int32_t* sums;    ///< [tile][group][row] of the group's codes
  std::int32_t* starts;  ///< likewise: -offset * sum
};

/// Units of K that the product takes: all, or as many as a shorter activation has.
std::size_t steps_of(const Activations& a, const Weights& w) {
  return a.cols < w.cols ? ceil_div(a.cols, w.tiles->unit) : w.steps;
}

void pack_tile(const Activations& a, const Weights& w, std::size_t first, PackedActivations& out) {
  const std::size_t rows = std::min(w.tiles->rows, a.rows - first);
  for (std::size_t g = 0; g < w.groups; ++g) {
    const std::size_t at = first * w.groups + g * rows;
    std::int32_t* sums = out.sums + at;
    std::uint8_t* to = out.codes + (first * w.steps + g * w.group_steps * rows) * kUnitBytes;
    const std::size_t count = std::min(w.group, a.cols - g * w.group);
    const std::size_t units = ceil_div(count, w.tiles->unit);
    w.tiles->interleave(a.codes + first * a.cols + g * w.group, a.cols, rows, count, to, sums);
    const std::size_t padded = std::min(w.group_steps, steps_of(a, w));
    std::memset(to + units * rows * kUnitBytes, 0, (padded - units) * rows * kUnitBytes);
    for (std::size_t r = 0; r < rows; ++r) {
      // The product may exceed 32 bits; the tile needs it modulo 2^32 only.
      out.starts[at + r] = static_cast<std::int32_t>(
          0u - static_cast<std::uint32_t>(w.coding.offset) * static_cast<std::uint32_t>(sums[r]));
    }
  }
}

/// One product: what its parts share.
struct Product {
  const Activations& a;
  const Weights& w;
  const float* scales;  ///< [panel][group][column]
  std::size_t width;    ///< columns of the output
  std::span<float> out;
  const PackedActivations& packed;
  const std::vector<Segment>& segments;
  std::size_t longest;  ///< steps of the longest segment

  void compute(const Part& part) const;
  void compute_row(const Part& part) const;

 private:
  /// A tile of `height` rows; `final`: this segment ends K.
  void run(const Segment& segment, std::size_t panel, std::size_t row, std::size_t height,
           const void* weights, float* total, std::int32_t* sum, bool final) const;
  void write(std::size_t panel, std::size_t row, std::size_t height, const float* total) const;
};

void Product::run(const Segment& segment, std::size_t panel, std::size_t row, std::size_t height,
                  const void* weights, float* total, std::int32_t* sum, bool final) const {
  const std::size_t columns = w.tiles->columns;
  const std::size_t group = row * w.groups + segment.first_group * height;
  const std::size_t parameters = (panel * w.groups + segment.first_group) * columns;
  const bool whole_panel = (panel + 1) * columns <= width;
  IntegerTile tile;
  tile.activations = packed.codes + (row * w.steps + segment.first_step * height) * kUnitBytes;
  tile.weights = weights;
  tile.start = packed.starts + group;
  tile.activation_sums = packed.sums + group;
  tile.scales = scales + parameters;
  tile.zeros = w.zeros.size() == 0 ? nullptr : w.zeros.data() + parameters;
  tile.minimums = w.minimums.size() == 0 ? nullptr : w.minimums.data() + parameters;
  tile.total = total;
  tile.fresh = segment.first_step == 0;
  tile.sum = sum;
  tile.out = final && whole_panel ? out.data() + row * width + panel * columns : nullptr;
  tile.out_stride = width;
  tile.row_scales = a.scales + row;
  tile.segment = segment;
  w.tiles->run[height](tile);
  if (final && !whole_panel) write(panel, row, height, total);
}

/// Scaled totals of a panel that the last columns do not fill.
void Product::write(std::size_t panel, std::size_t row, std::size_t height,
                    const float* total) const {
  const std::size_t n = panel * w.tiles->columns;
  const std::size_t columns = std::min(w.tiles->columns, width - n);
  for (std::size_t r = 0; r < height; ++r) {
    w.tiles->scale_row(total + r * w.tiles->columns, a.scales[row + r], columns,
                       out.data() + (row + r) * width + n);
  }
}

void Product::compute(const Part& part) const {
  const IntegerTiles& tiles = *w.tiles;
  const std::size_t first_row = part.first_tile * tiles.rows;
  const std::size_t rows = std::min(part.end_tile * tiles.rows, a.rows) - first_row;
  const bool in_place = tiles.bytes_in_place && w.coding.kind == Coding::Kind::bytes;
  // With one segment each tile is finished before the next begins.
  const bool one_segment = segments.size() == 1;
  const std::size_t held = (one_segment ? tiles.rows : rows) * tiles.columns;
  float* total = detail::scratch<float, struct Totals>(held);
  std::int32_t* sum = detail::scratch<std::int32_t, struct PartialSums>(held);
  std::uint8_t* unpacked = detail::scratch<std::uint8_t, struct Unpacked>(
      longest * tiles.columns * tiles.unit * (tiles.signed16 ? 2 : 1));
  for (std::size_t panel = part.first_panel; panel < part.end_panel; ++panel) {
    for (const Segment& segment : segments) {
      const std::uint8_t* weights =
          w.packed.data() + (panel * w.steps + segment.first_step) * w.step_bytes;
      if (!in_place) {
        tiles.unpack(weights, segment.steps * segment.groups, w.coding, unpacked);
        weights = unpacked;
      }
      const bool final = &segment == &segments.back();
      for (std::size_t r = 0; r < rows; r += tiles.rows) {
        const std::size_t held_row = one_segment ? 0 : r * tiles.columns;
        run(segment, panel, first_row + r, std::min(tiles.rows, rows - r), weights,
            total + held_row, sum + held_row, final);
      }
    }
  }
}

void Product::compute_row(const Part& part) const {
  const std::size_t columns = w.tiles->columns;
  float* total = detail::scratch<float, struct Totals>(2 * columns);
  const auto stored = [&](std::size_t panel) {
    return w.packed.data() + panel * w.steps * w.step_bytes;
  };
  const auto scale = [&](std::size_t panel) { return scales + panel * w.groups * columns; };
  // The first half of the panels beside the second; the odd one out is its own companion.
  const std::size_t half = ceil_div(part.end_panel - part.first_panel, 2);
  for (std::size_t one = part.first_panel; one < part.first_panel + half; ++one) {
    const std::size_t other = one + half < part.end_panel ? one + half : one;
    w.tiles->run_row({packed.codes,
                      {stored(one), stored(other)},
                      &w.coding,
                      packed.starts,
                      {scale(one), scale(other)},
                      w.group_steps,
                      w.groups,
                      {total, total + columns}});
    write(one, 0, 1, total);
    if (other != one) write(other, 0, 1, total + columns);
  }
}

/// The first `columns` channels; `a` may be shorter than K where the weight has one group.
void multiply(const Activations& a, const Weights& w, const float* scales, std::size_t columns,
              std::span<float> out, unsigned threads) {
  if (out.empty()) return;
  const std::size_t steps = steps_of(a, w);
  if (steps == 0) {
    std::ranges::fill(out, 0.0f);
    return;
  }
  const IntegerTiles& tiles = *w.tiles;
  const std::size_t row_tiles = ceil_div(a.rows, tiles.rows);
  PackedActivations packed(a, w);
  parallel_ranges(threads, row_tiles, [&](std::size_t begin, std::size_t end) {
    for (std::size_t t = begin; t < end; ++t) pack_tile(a, w, t * tiles.rows, packed);
  });
  const std::vector<Segment> segments =
      detail::segments_of(steps, std::min(w.group_steps, steps), kIntegerSegment / tiles.unit);
  std::size_t longest = 0;
  for (const Segment& s : segments) longest = std::max(longest, s.steps * s.groups);
  const Product product{a, w, scales, columns, out, packed, segments, longest};

  const bool as_row = a.rows == 1 && steps == w.steps && tiles.run_row != nullptr &&
                      w.coding.kind == Coding::Kind::nibbles && w.zeros.size() == 0 &&
                      w.minimums.size() == 0;
  const std::size_t block = detail::tiles_a_block(tiles.rows, w.steps * kUnitBytes);
  detail::partition(
      threads, ceil_div(columns, tiles.columns), row_tiles, block,
      [&](const Part& part) { as_row ? product.compute_row(part) : product.compute(part); });
}

// --- grids -------------------------------------------------------------------------------------

bool is_unit(float unit) {
  return unit >= 0x1p-60f && unit <= 0x1p60f && (std::bit_cast<std::uint32_t>(unit) << 9) == 0;
}

void check_grids(const GridMatrix& a, std::size_t rows, std::size_t cols, std::size_t group,
                 float unit, std::size_t out_size) {
  require(a.cols == cols, "gemm_grid: activation and weight differ in k");
  require(a.integers.size() == a.rows * a.cols && a.groups <= 1 &&
              a.scales.size() == a.rows * a.groups && (a.cols == 0) == (a.groups == 0),
          "gemm_grid: the activation must have one scale a row");
  require(
      a.rows == 0 || rows == 0 ? out_size == 0 : out_size % rows == 0 && out_size / rows == a.rows,
      "gemm_grid: out is not [m, n]");
  require(group <= 131071, "gemm_grid: a group too long for an int32 sum");
  require(is_unit(a.unit) && is_unit(unit),
          "gemm_grid: a unit is a power of two between 2^-60 and 2^60");
}

/// s * unit, when it is exact: then fma(x * unit, s, acc) = fma(x, s * unit, acc).
bool scale_exactly(std::span<const float> scales, float unit, float* out) {
  for (const float s : scales) {
    const float product = s * unit;
    const bool normal = std::fabs(product) >= std::numeric_limits<float>::min() &&
                        std::fabs(product) <= std::numeric_limits<float>::max();
    if (!normal && s != 0.0f) return false;
    *out++ = product;
  }
  return true;
}

}  // namespace

void gemm_grid(const GridMatrix& a, const GridMatrix& w, std::span<float> out) {
  check_grids(a, w.rows, w.cols, w.group, w.unit, out.size());
  require(w.integers.size() == w.rows * w.cols && w.scales.size() == w.rows * w.groups &&
              w.groups == (w.cols == 0 ? 0 : ceil_div(w.cols, w.group)),
          "gemm_grid: the weight is not [n, k] with a scale a group");
  const float unit = a.unit * w.unit;
  for (std::size_t m = 0; m < a.rows; ++m) {
    for (std::size_t n = 0; n < w.rows; ++n) {
      float acc = 0.0f;
      for (std::size_t g = 0; g < w.groups; ++g) {
        const std::size_t end = std::min(w.cols, (g + 1) * w.group);
        std::int32_t isum = 0;
        for (std::size_t k = g * w.group; k < end; ++k) {
          isum += a.integers[m * a.cols + k] * w.integers[n * w.cols + k];
        }
        acc = std::fma(static_cast<float>(isum) * unit, w.scales[n * w.groups + g], acc);
      }
      out[m * w.rows + n] = w.groups == 0 ? 0.0f : acc * a.scales[m];
    }
  }
}

void gemm_dequantise_after(const QuantizedMatrix& a, const PackedWeights& weights,
                           std::span<float> out, unsigned threads) {
  const Weights& w = weights.impl();
  require(!w.from_grid, "gemm_dequantise_after: the weights were packed from a grid");
  if (w.tiles == nullptr) return gemm_dequantise_after(a, w.matrix, out);
  check_integer_operands(a, w.matrix, out.size());
  multiply({a.codes.data(), a.rows, a.cols, a.scales.data()}, w, w.scales.data(), w.rows, out,
           threads);
}

void gemm_dequantise_after_corner(const QuantizedMatrix& a, const PackedWeights& weights,
                                  std::size_t columns, std::span<float> out, unsigned threads) {
  const Weights& w = weights.impl();
  require(w.tiles != nullptr && !w.from_grid && w.groups == 1 &&
              w.matrix.spec.affine == Affine::symmetric,
          "gemm corner: the weight must be packed, symmetric and of one group");
  require(columns <= w.rows && a.cols <= w.cols && a.groups <= 1 &&
              a.spec.affine == Affine::symmetric && out.size() == a.rows * columns &&
              w.group <= 131071,
          "gemm corner: the shapes disagree");
  multiply({a.codes.data(), a.rows, a.cols, a.scales.data()}, w, w.scales.data(), columns, out,
           threads);
}

void gemm_grid(const GridMatrix& a, const PackedWeights& weights, std::span<float> out,
               unsigned threads) {
  const Weights& w = weights.impl();
  require(w.from_grid, "gemm_grid: the weights were not packed from a grid");
  if (w.tiles == nullptr) return gemm_grid(a, w.grid, out);
  check_grids(a, w.rows, w.cols, w.group, w.grid.unit, out.size());
  const Activations activations{a.integers.data(), a.rows, a.cols, a.scales.data()};
  const float unit = a.unit * w.grid.unit;
  if (unit == 1.0f) return multiply(activations, w, w.scales.data(), w.rows, out, threads);
  Aligned<float> scales(w.scales.size());
  if (!scale_exactly({w.scales.data(), w.scales.size()}, unit, scales.data())) {
    return gemm_grid(a, w.unpacked_grid(), out);
  }
  multiply(activations, w, scales.data(), w.rows, out, threads);
}

}  // namespace systole::quant
