// The float products at speed.
#include <algorithm>

#include "quant/check.hpp"
#include "quant/kernels/blocking.hpp"
#include "quant/kernels/packed_gemm.hpp"

namespace systole::quant {

using detail::Aligned;
using detail::ceil_div;
using detail::FloatTile;
using detail::FloatTiles;
using detail::Part;
using detail::Segment;

struct PackedFloatWeights::Impl {
  Path path = Path::reference;
  const FloatTiles* tiles = nullptr;
  Format operands = Format::fp32;
  std::size_t n = 0;
  std::size_t k = 0;
  Aligned<float> values;  ///< [panel][k][column], or as given for the reference
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
  w.tiles = detail::float_tiles(path);
  w.operands = operands;
  w.n = n;
  w.k = k;
  if (w.tiles == nullptr) {
    w.values = Aligned<float>(weights.size());
    std::ranges::copy(weights, w.values.data());
    return;
  }
  const std::size_t columns = w.tiles->columns;
  w.values = Aligned<float>(ceil_div(n, columns) * columns * k);
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

constexpr std::size_t kFloatSegment = 256;  ///< k a segment: 32 KiB of a panel

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
  const std::vector<Segment> segments =
      detail::segments_of(w.k, std::min(chunk, w.k), kFloatSegment);

  const std::size_t block = detail::tiles_a_block(tiles.rows, w.k * sizeof(float));
  // Activations from a tile on, [tile][k][row], in scratch of the calling thread.
  const auto room = [&](std::size_t begin, std::size_t end) {
    return detail::scratch<float, struct FloatActivations>((end - begin) * tiles.rows * w.k);
  };
  const auto pack = [&](std::size_t begin, std::size_t end, float* to) {
    for (std::size_t t = begin; t < end; ++t, to += tiles.rows * w.k) {
      const std::size_t height = std::min(tiles.rows, m - t * tiles.rows);
      for (std::size_t r = 0; r < height; ++r) {
        const float* row = a.data() + (t * tiles.rows + r) * w.k;
        for (std::size_t i = 0; i < w.k; ++i) to[i * height + r] = round_to(w.operands, row[i]);
      }
    }
  };
  /// `activations`: those of the part's rows.
  const auto compute = [&](const Part& part, const float* activations) {
    const std::size_t first_row = part.first_tile * tiles.rows;
    const std::size_t rows = std::min(part.end_tile * tiles.rows, m) - first_row;
    const std::size_t held = rows * tiles.columns;
    float* total = detail::scratch<float, struct FloatTotals>(held);
    float* sum = detail::scratch<float, struct FloatSums>(held);
    for (std::size_t panel = part.first_panel; panel < part.end_panel; ++panel) {
      std::fill_n(total, held, 0.0f);
      for (const Segment& segment : segments) {
        for (std::size_t r = 0; r < rows; r += tiles.rows) {
          const std::size_t height = std::min(tiles.rows, rows - r);
          FloatTile tile;
          tile.activations = activations + r * w.k + segment.first_step * height;
          tile.weights = w.values.data() + (panel * w.k + segment.first_step) * tiles.columns;
          tile.weight_stride = tiles.columns;
          tile.total = total + r * tiles.columns;
          tile.sum = sum + r * tiles.columns;
          tile.accumulate = w.operands == Format::fp16;
          tile.segment = segment;
          tiles.run[height](tile);
        }
      }
      const std::size_t n = panel * tiles.columns;
      const std::size_t columns = std::min(tiles.columns, w.n - n);
      for (std::size_t r = 0; r < rows; ++r) {
        std::copy_n(total + r * tiles.columns, columns, out.data() + (first_row + r) * w.n + n);
      }
    }
  };
  const std::size_t panels = ceil_div(w.n, tiles.columns);
  const std::size_t row_tiles = ceil_div(m, tiles.rows);
  if (detail::along_m(threads, m, w.n, row_tiles)) {
    detail::in_blocks(threads, row_tiles, block, [&](std::size_t begin, std::size_t end) {
      float* activations = room(begin, end);
      pack(begin, end, activations);
      compute({0, panels, begin, end}, activations);
    });
    return;
  }
  float* activations = room(0, row_tiles);
  parallel_ranges(threads, row_tiles, [&](std::size_t begin, std::size_t end) {
    pack(begin, end, activations + begin * tiles.rows * w.k);
  });
  detail::partition(threads, panels, row_tiles, block, [&](const Part& part) {
    compute(part, activations + part.first_tile * tiles.rows * w.k);
  });
}

}  // namespace

void gemm_fp32(std::span<const float> a, const PackedFloatWeights& w, std::size_t m,
               std::span<float> out, unsigned threads) {
  require(w.operands() == Format::fp32, "gemm_fp32: the weights were packed for fp16 operands");
  if (w.impl().tiles == nullptr) {
    gemm_fp32(a, std::span(w.impl().values.data(), w.impl().values.size()), {m, w.rows(), w.cols()},
              out);
  } else {
    float_product(a, w.impl(), m, std::max<std::size_t>(1, w.cols()), out, threads);
  }
}

void gemm_fp16(std::span<const float> a, const PackedFloatWeights& w, std::size_t m,
               std::size_t chunk, std::span<float> out, unsigned threads) {
  require(w.operands() == Format::fp16, "gemm_fp16: the weights were packed for fp32 operands");
  require(chunk != 0, "gemm_fp16: a chunk has at least one product");
  if (w.impl().tiles == nullptr) {
    gemm_fp16(a, std::span(w.impl().values.data(), w.impl().values.size()), {m, w.rows(), w.cols()},
              chunk, out);
  } else {
    float_product(a, w.impl(), m, chunk, out, threads);
  }
}

}  // namespace systole::quant
