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

constexpr std::size_t kUnitBytes = 4;           ///< a unit of activations, on every path
constexpr std::size_t kIntegerSegment = 16384;  ///< k a segment: 512 KiB of an unpacked panel

/// Activations [rows][cols] and one scale a row.
struct Activations {
  const std::int8_t* codes;
  std::size_t rows;
  std::size_t cols;
  const float* scales;
};

/// Rows of activations as integer tiles want them, with what undoes the weight offset; in scratch
/// of the thread that makes it.
struct PackedActivations {
  PackedActivations(std::size_t first, std::size_t rows, const Weights& w)
      : first_row(first),
        codes(detail::scratch<std::uint8_t, struct Codes>(rows * w.steps * kUnitBytes)),
        sums(detail::scratch<std::int32_t, struct Sums>(rows * w.groups)),
        starts(detail::scratch<std::int32_t, struct Starts>(rows * w.groups)) {}

  std::size_t first_row;  ///< of the activations; the first of what follows
  std::uint8_t* codes;    ///< [tile][step][row][unit], int8 or int16
  std::int32_t* sums;     ///< [tile][group][row] of the group's codes
  std::int32_t* starts;   ///< likewise: -offset * sum
};

/// Units of K that the product takes: all, or as many as a shorter activation has.
std::size_t steps_of(const Activations& a, const Weights& w) {
  return a.cols < w.cols ? ceil_div(a.cols, w.tiles->unit) : w.steps;
}

void pack_tile(const Activations& a, const Weights& w, std::size_t first,
               const PackedActivations& out) {
  const std::size_t rows = std::min(w.tiles->rows, a.rows - first);
  const std::size_t held = first - out.first_row;
  for (std::size_t g = 0; g < w.groups; ++g) {
    const std::size_t at = held * w.groups + g * rows;
    std::int32_t* sums = out.sums + at;
    std::uint8_t* to = out.codes + (held * w.steps + g * w.group_steps * rows) * kUnitBytes;
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
  const std::vector<Segment>& segments;
  std::size_t longest;  ///< steps of the longest segment

  void pack(std::size_t first_tile, std::size_t end_tile, const PackedActivations& to) const;
  void compute(const Part& part, const PackedActivations& packed) const;
  void compute_row(const Part& part, const PackedActivations& packed) const;

 private:
  /// What the tiles of one panel share in one segment.
  IntegerTile tile_of(std::size_t panel, const Segment& segment, std::uint8_t* unpacked) const;
  void run(IntegerTile& tile, std::size_t panel, std::size_t row, std::size_t height,
           const PackedActivations& packed, bool two) const;
  void write(std::size_t panel, std::size_t row, std::size_t height, const float* total) const;
};

void Product::pack(std::size_t first_tile, std::size_t end_tile,
                   const PackedActivations& to) const {
  for (std::size_t t = first_tile; t < end_tile; ++t) pack_tile(a, w, t * w.tiles->rows, to);
}

IntegerTile Product::tile_of(std::size_t panel, const Segment& segment,
                             std::uint8_t* unpacked) const {
  const std::size_t parameters = (panel * w.groups + segment.first_group) * w.tiles->columns;
  IntegerTile tile{};
  tile.stored = w.packed.data() + (panel * w.steps + segment.first_step) * w.step_bytes;
  tile.weights = unpacked == nullptr ? tile.stored : unpacked;
  tile.unpacked = unpacked;
  tile.coding = &w.coding;
  tile.scales = scales + parameters;
  tile.zeros = w.zeros.size() == 0 ? nullptr : w.zeros.data() + parameters;
  tile.minimums = w.minimums.size() == 0 ? nullptr : w.minimums.data() + parameters;
  tile.fresh = segment.first_step == 0;
  tile.out_stride = width;
  tile.tiles = 1;
  tile.segment = segment;
  return tile;
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

void Product::compute(const Part& part, const PackedActivations& packed) const {
  const IntegerTiles& tiles = *w.tiles;
  const std::size_t first_row = part.first_tile * tiles.rows;
  const std::size_t rows = std::min(part.end_tile * tiles.rows, a.rows) - first_row;
  const bool in_place = tiles.bytes_in_place && w.coding.kind == Coding::Kind::bytes;
  // With one segment each tile is finished before the next begins.
  const bool one_segment = segments.size() == 1;
  const bool plain = w.zeros.size() == 0 && w.minimums.size() == 0;
  const bool in_pairs = tiles.run_two != nullptr && one_segment && w.groups == 1 && plain;
  const std::size_t held = (one_segment ? tiles.rows : rows) * tiles.columns;
  float* total = detail::scratch<float, struct Totals>(held);
  std::int32_t* sum = detail::scratch<std::int32_t, struct PartialSums>(held);
  const std::size_t unpacked_bytes =
      longest * tiles.columns * tiles.unit * (tiles.signed16 ? 2 : 1);
  std::uint8_t* unpacked =
      in_place ? nullptr : detail::scratch<std::uint8_t, struct Unpacked>(2 * unpacked_bytes);
  std::size_t panels = 0;  // one or two at a time
  for (std::size_t panel = part.first_panel; panel < part.end_panel; panel += panels) {
    const bool two =
        in_pairs && panel + 2 <= part.end_panel && (panel + 2) * tiles.columns <= width;
    panels = two ? 2 : 1;
    const bool whole_panels = (panel + panels) * tiles.columns <= width;
    for (const Segment& segment : segments) {
      IntegerTile of[2];
      for (std::size_t p = 0; p < panels; ++p) {
        of[p] = tile_of(panel + p, segment, in_place ? nullptr : unpacked + p * unpacked_bytes);
        of[p].next_weights = in_place ? w.steps * w.step_bytes : unpacked_bytes;
      }
      const bool many = tiles.many && plain && whole_panels && segment.begins && segment.ends &&
                        segment.steps * segment.groups == w.steps &&
                        (two || segment.groups >= tiles.rows);
      std::size_t count = 0;  // tiles at once
      for (std::size_t r = 0; r < rows; r += count * tiles.rows) {
        const std::size_t height = std::min(tiles.rows, rows - r);
        const bool unpack = !in_place && r == 0;
        const bool at_once = two && !unpack && height == tiles.rows;
        count = many && !unpack && height == tiles.rows ? (rows - r) / tiles.rows : 1;
        for (std::size_t p = 0; p < (at_once ? 1 : panels); ++p) {
          of[p].unpack = unpack;
          of[p].tiles = count;
          of[p].total = total + (one_segment ? 0 : r * tiles.columns);
          of[p].sum = sum + (one_segment ? 0 : r * tiles.columns);
          run(of[p], panel + p, first_row + r, height, packed, at_once);
        }
      }
    }
  }
}

/// Completes a tile of `height` rows by what belongs to its rows, and runs it.
void Product::run(IntegerTile& tile, std::size_t panel, std::size_t row, std::size_t height,
                  const PackedActivations& packed, bool two) const {
  const std::size_t packed_row = row - packed.first_row;
  const std::size_t column = panel * w.tiles->columns;
  const Segment& segment = tile.segment;
  const std::size_t group = packed_row * w.groups + segment.first_group * height;
  const bool final = segment.first_step == segments.back().first_step;
  const bool whole_panel = column + w.tiles->columns <= width;
  tile.activations =
      packed.codes + (packed_row * w.steps + segment.first_step * height) * kUnitBytes;
  tile.start = packed.starts + group;
  tile.activation_sums = packed.sums + group;
  tile.out = final && whole_panel ? out.data() + row * width + column : nullptr;
  tile.row_scales = a.scales + row;
  (two ? w.tiles->run_two : w.tiles->run[height])(tile);
  if (final && !whole_panel) write(panel, row, height, tile.total);
}

void Product::compute_row(const Part& part, const PackedActivations& packed) const {
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
  const std::vector<Segment> segments =
      detail::segments_of(steps, std::min(w.group_steps, steps), kIntegerSegment / tiles.unit);
  std::size_t longest = 0;
  for (const Segment& s : segments) longest = std::max(longest, s.steps * s.groups);
  const Product product{a, w, scales, columns, out, segments, longest};

  const std::size_t panels = ceil_div(columns, tiles.columns);
  const std::size_t row_tiles = ceil_div(a.rows, tiles.rows);
  const std::size_t block = detail::tiles_a_block(tiles.rows, w.steps * kUnitBytes);
  if (detail::along_m(threads, a.rows, columns, row_tiles)) {
    detail::in_blocks(threads, row_tiles, block, [&](std::size_t begin, std::size_t end) {
      const PackedActivations packed(begin * tiles.rows, (end - begin) * tiles.rows, w);
      product.pack(begin, end, packed);
      product.compute({0, panels, begin, end}, packed);
    });
    return;
  }
  const PackedActivations packed(0, a.rows, w);
  parallel_ranges(threads, row_tiles,
                  [&](std::size_t begin, std::size_t end) { product.pack(begin, end, packed); });
  const bool as_row =
      a.rows == 1 && steps == w.steps && tiles.run_row != nullptr &&
      (w.coding.kind == Coding::Kind::nibbles || w.coding.kind == Coding::Kind::sextets) &&
      w.zeros.size() == 0 && w.minimums.size() == 0;
  detail::partition(threads, panels, row_tiles, block, [&](const Part& part) {
    as_row ? product.compute_row(part, packed) : product.compute(part, packed);
  });
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
