// Packing, blocking and threading of the fast products; the arithmetic is in the tiles.
#include "quant/kernels/packed_gemm.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "quant/check.hpp"
#include "quant/kernels/parallel.hpp"
#include "quant/kernels/tiles.hpp"

namespace systole::quant {

namespace {

using detail::FloatTile;
using detail::FloatTiles;
using detail::IntegerTile;
using detail::IntegerTiles;
using detail::Segment;

const IntegerTiles* integer_tiles(Path path) {
#if defined(__x86_64__)
  if (path == Path::avx2) return &detail::avx2_integer_tiles();
  if (path == Path::avx512_vnni) return &detail::avx512_integer_tiles();
#endif
  (void)path;
  return nullptr;
}

const FloatTiles* float_tiles(Path path) {
#if defined(__x86_64__)
  if (path == Path::avx2) return &detail::avx2_float_tiles();
  if (path == Path::avx512_vnni) return &detail::avx512_float_tiles();
#endif
  (void)path;
  return nullptr;
}

constexpr std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

/// Cuts `total` steps, in groups of `group` (the last may be shorter), into segments of about
/// `target` steps: several whole groups, one, or parts of one.
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

/// A rectangle of the output: panels of columns x tiles of rows.
struct Part {
  std::size_t first_panel;
  std::size_t end_panel;
  std::size_t first_tile;
  std::size_t end_tile;
};

/// Tiles whose activations, `row_bytes` a row, stay in half a second-level cache (512 KiB and up on
/// what has AVX2 and VNNI) while all panels pass; at least 64 rows, so that unpacking weights once
/// a block stays cheap.
std::size_t tiles_a_block(std::size_t tile_rows, std::size_t row_bytes) {
  constexpr std::size_t kActivationBytes = 256 * 1024;
  const std::size_t rows =
      std::max<std::size_t>(64, kActivationBytes / std::max<std::size_t>(1, row_bytes));
  return ceil_div(rows, tile_rows);
}

/// Splits a product over threads, along N while there are panels enough (each weight is then read
/// by one thread), else along M; each thread walks its part in blocks of `block` tiles of rows.
/// body(part) computes one.
template <class Body>
void partition(unsigned threads, std::size_t panels, std::size_t tiles, std::size_t block,
               const Body& body) {
  const bool along_n = panels >= threads || panels >= tiles;
  detail::parallel_for(threads, along_n ? panels : tiles, [&](std::size_t begin, std::size_t end) {
    Part part = along_n ? Part{begin, end, 0, tiles} : Part{0, panels, begin, end};
    for (const std::size_t last = part.end_tile; part.first_tile < last;
         part.first_tile = part.end_tile) {
      part.end_tile = std::min(last, part.first_tile + block);
      body(part);
    }
  });
}

}  // namespace

// --- integers ----------------------------------------------------------------------------------

struct PackedWeights::Impl {
  Path path = Path::reference;
  const IntegerTiles* tiles = nullptr;
  QuantizedMatrix matrix;  ///< without its codes when packed
  bool nibbles = false;
  int offset = 0;                    ///< stored code = code + offset
  std::size_t group_steps = 0;       ///< units a group takes, its last one padded
  std::size_t steps = 0;             ///< units a row takes
  std::size_t step_bytes = 0;        ///< of one panel's unit
  std::vector<std::uint8_t> packed;  ///< [panel][step][column][unit], or two columns a byte
  std::vector<float> scales;         ///< [panel][group][column]

  std::size_t panels() const { return ceil_div(matrix.rows, tiles->columns); }
  void pack();
};

void PackedWeights::Impl::pack() {
  const QuantizedMatrix& w = matrix;
  const std::size_t unit = tiles->unit;
  const std::size_t columns = tiles->columns;
  nibbles = w.spec.affine == Affine::symmetric && bits_of(w.spec.format) <= 4;
  offset = nibbles ? 8 : 128;
  group_steps = ceil_div(w.group, unit);
  steps = group_steps * w.groups;
  step_bytes = columns * unit / (nibbles ? 2 : 1);
  packed.assign(panels() * steps * step_bytes, 0);
  scales.assign(panels() * w.groups * columns, 0.0f);
  const std::size_t half = columns * unit / 2;
  for (std::size_t n = 0; n < w.rows; ++n) {
    const std::size_t panel = n / columns;
    const std::size_t column = n % columns;
    for (std::size_t g = 0; g < w.groups; ++g) {
      scales[(panel * w.groups + g) * columns + column] = w.scale(n, g);
      for (std::size_t i = 0; i < w.group; ++i) {
        const int signed_code = w.code(n, g * w.group + i) - static_cast<int>(w.zero(n, g));
        const unsigned code = static_cast<unsigned>(signed_code + offset);
        const std::size_t step = panel * steps + g * group_steps + i / unit;
        const std::size_t place = column * unit + i % unit;
        std::uint8_t* bytes = packed.data() + step * step_bytes;
        if (nibbles) {
          bytes[place % half] =
              static_cast<std::uint8_t>(bytes[place % half] | (code << (place < half ? 0 : 4)));
        } else {
          bytes[place] = static_cast<std::uint8_t>(code);
        }
      }
    }
  }
}

PackedWeights::PackedWeights(QuantizedMatrix weights, Path path) : impl_(std::make_unique<Impl>()) {
  require(is_available(path), "PackedWeights: this CPU lacks the instructions of that path");
  impl_->matrix = std::move(weights);
  const QuantSpec& spec = impl_->matrix.spec;
  // sum a * q - z * sum a = sum a * (q - z), exactly, and up to 7 bits q - z fits a signed byte.
  const bool foldable = spec.affine == Affine::integer_zero && bits_of(spec.format) <= 7;
  if (spec.affine != Affine::symmetric && !foldable) return;
  impl_->path = path;
  impl_->tiles = integer_tiles(path);
  if (impl_->tiles == nullptr) return;
  impl_->pack();
  impl_->matrix.codes = {};
  impl_->matrix.zeros = {};
}
PackedWeights::PackedWeights(PackedWeights&&) noexcept = default;
PackedWeights& PackedWeights::operator=(PackedWeights&&) noexcept = default;
PackedWeights::~PackedWeights() = default;
std::size_t PackedWeights::rows() const { return impl_->matrix.rows; }
std::size_t PackedWeights::cols() const { return impl_->matrix.cols; }
Path PackedWeights::path() const { return impl_->path; }
const QuantSpec& PackedWeights::spec() const { return impl_->matrix.spec; }

namespace {

constexpr std::size_t kIntegerSegment =
    512;  ///< k a segment: a panel part of 16 KiB, half a first-level cache
constexpr std::size_t kFloatSegment = 128;  ///< the same 16 KiB as floats

/// Activations as integer tiles want them, with what undoes the weight offset.
struct PackedActivations {
  std::vector<std::uint8_t> codes;   ///< [tile][step][row][unit], int8 or int16
  std::vector<std::int32_t> starts;  ///< [tile][group][row]: -offset * sum of the group's codes
};

/// A unit is four bytes of activations on every path.
template <class Element>
constexpr std::size_t kUnit = 4 / sizeof(Element);

template <class Element>
PackedActivations pack_activations(const QuantizedMatrix& a, const PackedWeights::Impl& w) {
  constexpr std::size_t unit = kUnit<Element>;
  const std::size_t tile_rows = w.tiles->rows;
  const std::size_t group = w.matrix.group;
  PackedActivations out;
  out.codes.assign(a.rows * w.steps * 4, 0);
  out.starts.assign(a.rows * w.matrix.groups, 0);
  for (std::size_t row = 0; row < a.rows; ++row) {
    const std::size_t first = row / tile_rows * tile_rows;
    const std::size_t rows = std::min(tile_rows, a.rows - first);
    for (std::size_t g = 0; g < w.matrix.groups; ++g) {
      const std::int8_t* codes = a.codes.data() + row * a.cols + g * group;
      std::uint8_t* to =
          out.codes.data() + (first * w.steps + g * w.group_steps * rows + (row - first)) * 4;
      for (std::size_t i = 0; i + unit <= group; i += unit, to += rows * 4) {
        Element four_bytes[unit];
        for (std::size_t j = 0; j < unit; ++j) four_bytes[j] = codes[i + j];
        std::memcpy(to, four_bytes, 4);
      }
      if (group % unit != 0) {  // the rest of the last unit stays zero
        Element four_bytes[unit] = {};
        for (std::size_t j = 0; j < group % unit; ++j)
          four_bytes[j] = codes[group - group % unit + j];
        std::memcpy(to, four_bytes, 4);
      }
      std::int32_t sum = 0;
      for (std::size_t i = 0; i < group; ++i) sum += codes[i];
      // The product may exceed 32 bits; the tile needs it modulo 2^32 only.
      out.starts[first * w.matrix.groups + g * rows + (row - first)] = static_cast<std::int32_t>(
          0u - static_cast<std::uint32_t>(w.offset) * static_cast<std::uint32_t>(sum));
    }
  }
  return out;
}

}  // namespace

void gemm_dequantise_after(const QuantizedMatrix& a, const PackedWeights& weights,
                           std::span<float> out, unsigned threads) {
  const PackedWeights::Impl& w = weights.impl();
  if (w.tiles == nullptr) {
    gemm_dequantise_after(a, w.matrix, out);
    return;
  }
  check_integer_operands(a, w.matrix, out.size());
  if (out.empty()) return;
  if (w.steps == 0) {
    std::ranges::fill(out, 0.0f);
    return;
  }
  const IntegerTiles& tiles = *w.tiles;
  const std::size_t element = tiles.signed16 ? 2 : 1;
  const PackedActivations packed =
      tiles.signed16 ? pack_activations<std::int16_t>(a, w) : pack_activations<std::int8_t>(a, w);
  const std::vector<Segment> segments =
      segments_of(w.steps, w.group_steps, kIntegerSegment / tiles.unit);
  const auto unpack = w.nibbles ? tiles.unpack_nibbles : tiles.unpack_bytes;
  std::size_t longest = 0;
  for (const Segment& s : segments) longest = std::max(longest, s.steps * s.groups);

  const std::size_t block = tiles_a_block(tiles.rows, w.steps * tiles.unit * element);
  const auto body = [&](const Part& part) {
    const std::size_t first_row = part.first_tile * tiles.rows;
    const std::size_t rows = std::min(part.end_tile * tiles.rows, a.rows) - first_row;
    std::vector<float> total(rows * tiles.columns);
    std::vector<std::int32_t> sum(rows * tiles.columns);
    std::vector<std::uint8_t> unpacked(
        unpack == nullptr ? 0 : longest * tiles.columns * tiles.unit * element);
    for (std::size_t panel = part.first_panel; panel < part.end_panel; ++panel) {
      std::ranges::fill(total, 0.0f);
      for (const Segment& segment : segments) {
        const void* panel_weights =
            w.packed.data() + (panel * w.steps + segment.first_step) * w.step_bytes;
        if (unpack != nullptr) {
          unpack(static_cast<const std::uint8_t*>(panel_weights), segment.steps * segment.groups,
                 unpacked.data());
          panel_weights = unpacked.data();
        }
        for (std::size_t r = 0; r < rows; r += tiles.rows) {
          const std::size_t height = std::min(tiles.rows, rows - r);
          const std::size_t row = first_row + r;
          IntegerTile tile;
          tile.activations = packed.codes.data() +
                             (row * w.steps + segment.first_step * height) * tiles.unit * element;
          tile.weights = panel_weights;
          tile.start = packed.starts.data() + row * w.matrix.groups + segment.first_group * height;
          tile.scales =
              w.scales.data() + (panel * w.matrix.groups + segment.first_group) * tiles.columns;
          tile.total = total.data() + r * tiles.columns;
          tile.sum = sum.data() + r * tiles.columns;
          tile.segment = segment;
          tiles.run[height](tile);
        }
      }
      const std::size_t n = panel * tiles.columns;
      const std::size_t columns = std::min(tiles.columns, w.matrix.rows - n);
      for (std::size_t r = 0; r < rows; ++r) {
        const float scale = a.scale(first_row + r, 0);
        float* line = out.data() + (first_row + r) * w.matrix.rows + n;
        for (std::size_t c = 0; c < columns; ++c) line[c] = total[r * tiles.columns + c] * scale;
      }
    }
  };
  partition(threads, w.panels(), ceil_div(a.rows, tiles.rows), block, body);
}

// --- floats ------------------------------------------------------------------------------------

struct PackedFloatWeights::Impl {
  Path path = Path::reference;
  const FloatTiles* tiles = nullptr;
  Format operands = Format::fp32;
  std::size_t n = 0;
  std::size_t k = 0;
  std::vector<float> values;  ///< [panel][k][column], or as given for the reference
};

PackedFloatWeights::PackedFloatWeights(std::span<const float> weights, std::size_t n, std::size_t k,
                                       Format operands, Path path)
    : impl_(std::make_unique<Impl>()) {
  require(operands == Format::fp32 || operands == Format::fp16,
          "PackedFloatWeights: operands are fp32 or fp16");
  require(n == 0 || k == 0 ? weights.empty() : weights.size() % n == 0 && weights.size() / n == k,
          "PackedFloatWeights: the weights are not [n, k]");
  require(is_available(path), "PackedFloatWeights: this CPU lacks the instructions of that path");
  Impl& w = *impl_;
  w.path = path;
  w.tiles = float_tiles(path);
  w.operands = operands;
  w.n = n;
  w.k = k;
  if (w.tiles == nullptr) {
    w.values.assign(weights.begin(), weights.end());
    return;
  }
  const std::size_t columns = w.tiles->columns;
  w.values.assign(ceil_div(n, columns) * columns * k, 0.0f);
  for (std::size_t row = 0; row < n; ++row) {
    float* panel = w.values.data() + row / columns * columns * k + row % columns;
    for (std::size_t i = 0; i < k; ++i)
      panel[i * columns] = round_to(operands, weights[row * k + i]);
  }
}
PackedFloatWeights::PackedFloatWeights(PackedFloatWeights&&) noexcept = default;
PackedFloatWeights& PackedFloatWeights::operator=(PackedFloatWeights&&) noexcept = default;
PackedFloatWeights::~PackedFloatWeights() = default;
std::size_t PackedFloatWeights::rows() const { return impl_->n; }
std::size_t PackedFloatWeights::cols() const { return impl_->k; }
Path PackedFloatWeights::path() const { return impl_->path; }
Format PackedFloatWeights::operands() const { return impl_->operands; }

namespace {

/// Both float products: one chunk that is not added to a total makes gemm_fp32.
void float_product(std::span<const float> a, const PackedFloatWeights::Impl& w, std::size_t m,
                   std::size_t chunk, std::span<float> out, unsigned threads) {
  require(m == 0 || w.k == 0 ? a.empty() : a.size() % m == 0 && a.size() / m == w.k,
          "gemm: the activation is not [m, k]");
  require(m == 0 || w.n == 0 ? out.empty() : out.size() % m == 0 && out.size() / m == w.n,
          "gemm: out is not [m, n]");
  if (out.empty()) return;
  if (w.k == 0) {
    std::ranges::fill(out, 0.0f);
    return;
  }
  const FloatTiles& tiles = *w.tiles;
  std::vector<float> activations(a.size());  // [tile][k][row]
  for (std::size_t row = 0; row < m; ++row) {
    const std::size_t first = row / tiles.rows * tiles.rows;
    const std::size_t height = std::min(tiles.rows, m - first);
    float* tile = activations.data() + first * w.k + (row - first);
    for (std::size_t i = 0; i < w.k; ++i) tile[i * height] = round_to(w.operands, a[row * w.k + i]);
  }
  const std::vector<Segment> segments = segments_of(w.k, std::min(chunk, w.k), kFloatSegment);

  const std::size_t block = tiles_a_block(tiles.rows, w.k * sizeof(float));
  const auto body = [&](const Part& part) {
    const std::size_t first_row = part.first_tile * tiles.rows;
    const std::size_t rows = std::min(part.end_tile * tiles.rows, m) - first_row;
    std::vector<float> total(rows * tiles.columns);
    std::vector<float> sum(rows * tiles.columns);
    for (std::size_t panel = part.first_panel; panel < part.end_panel; ++panel) {
      std::ranges::fill(total, 0.0f);
      for (const Segment& segment : segments) {
        for (std::size_t r = 0; r < rows; r += tiles.rows) {
          const std::size_t height = std::min(tiles.rows, rows - r);
          FloatTile tile;
          tile.activations =
              activations.data() + (first_row + r) * w.k + segment.first_step * height;
          tile.weights = w.values.data() + (panel * w.k + segment.first_step) * tiles.columns;
          tile.total = total.data() + r * tiles.columns;
          tile.sum = sum.data() + r * tiles.columns;
          tile.accumulate = w.operands == Format::fp16;
          tile.segment = segment;
          tiles.run[height](tile);
        }
      }
      const std::size_t n = panel * tiles.columns;
      const std::size_t columns = std::min(tiles.columns, w.n - n);
      for (std::size_t r = 0; r < rows; ++r) {
        std::copy_n(total.data() + r * tiles.columns, columns,
                    out.data() + (first_row + r) * w.n + n);
      }
    }
  };
  partition(threads, ceil_div(w.n, tiles.columns), ceil_div(m, tiles.rows), block, body);
}

}  // namespace

void gemm_fp32(std::span<const float> a, const PackedFloatWeights& w, std::size_t m,
               std::span<float> out, unsigned threads) {
  require(w.operands() == Format::fp32, "gemm_fp32: the weights were packed for fp16 operands");
  if (w.impl().tiles == nullptr) {
    gemm_fp32(a, w.impl().values, {m, w.rows(), w.cols()}, out);
  } else {
    float_product(a, w.impl(), m, std::max<std::size_t>(1, w.cols()), out, threads);
  }
}

void gemm_fp16(std::span<const float> a, const PackedFloatWeights& w, std::size_t m,
               std::size_t chunk, std::span<float> out, unsigned threads) {
  require(w.operands() == Format::fp16, "gemm_fp16: the weights were packed for fp32 operands");
  require(chunk != 0, "gemm_fp16: a chunk has at least one product");
  if (w.impl().tiles == nullptr) {
    gemm_fp16(a, w.impl().values, {m, w.rows(), w.cols()}, chunk, out);
  } else {
    float_product(a, w.impl(), m, chunk, out, threads);
  }
}

}  // namespace systole::quant
