// Private to the packed products: how they cut K, rows and columns into pieces, and memory that
// vector loads do not straddle.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "quant/kernels/parallel.hpp"
#include "quant/kernels/path.hpp"
#include "quant/kernels/tiles.hpp"

namespace systole::quant::detail {

const IntegerTiles* integer_tiles(Path path);  ///< null for Path::reference
const FloatTiles* float_tiles(Path path);

constexpr std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

/// An array of trivial elements on a cache line, zeroed.
template <class T>
class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(std::size_t size)
      : size_(size), data_(static_cast<T*>(::operator new(size * sizeof(T) + 1, kLine))) {
    if (size != 0) std::memset(static_cast<void*>(data_.get()), 0, size * sizeof(T));
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::align_val_t kLine{64};
  struct Free {
    void operator()(T* p) const { ::operator delete(p, kLine); }
  };
  std::size_t size_ = 0;
  std::unique_ptr<T[], Free> data_;
};

/// Scratch that a thread keeps from call to call: fresh pages from the system cost a few per cent
/// of a product. Each `Tag` has its own. Every page has been written: a masked load of a page that
/// never was takes an assist, which made tiles three times slower (Zen 4, measured).
template <class T, class Tag>
T* scratch(std::size_t size) {
  thread_local Aligned<T> held;
  if (held.size() < size) held = Aligned<T>(size);
  return held.data();
}

/// Cuts `total` steps, in groups of `group` (the last may be shorter), into segments of about
/// `target` steps: several whole groups, one, or parts of one.
std::vector<Segment> segments_of(std::size_t total, std::size_t group, std::size_t target);

/// A rectangle of the output: panels of columns x tiles of rows.
struct Part {
  std::size_t first_panel;
  std::size_t end_panel;
  std::size_t first_tile;
  std::size_t end_tile;
};

/// Tiles whose activations, `row_bytes` a row, stay near in the caches while all panels pass; at
/// least 192 rows, so that unpacking a panel once a block costs little.
inline std::size_t tiles_a_block(std::size_t tile_rows, std::size_t row_bytes) {
  constexpr std::size_t kActivationBytes = 512 * 1024;
  const std::size_t rows =
      std::max<std::size_t>(192, kActivationBytes / std::max<std::size_t>(1, row_bytes));
  return ceil_div(rows, tile_rows);
}

/// Whether a product is split over threads along M, each packing a block of its own rows and
/// meeting all panels with it (in_blocks), or all rows are packed first and it is split along N
/// (partition). Along M no thread waits for rows that another packed, but each reads all weights.
inline bool along_m(unsigned threads, std::size_t rows, std::size_t columns, std::size_t tiles) {
  return rows >= columns && tiles >= threads;
}

/// Splits `count` tiles of rows over threads; body(begin, end) takes up to `block` at a time.
template <class Body>
void in_blocks(unsigned threads, std::size_t count, std::size_t block, const Body& body) {
  parallel_ranges(threads, count, [&](std::size_t begin, std::size_t end) {
    for (; begin < end; begin = std::min(end, begin + block)) {
      body(begin, std::min(end, begin + block));
    }
  });
}

/// Splits a product over threads, along N while there are panels enough (each weight is then read
/// by one thread), else along M; each thread walks its part in blocks of `block` tiles of rows.
/// body(part) computes one.
template <class Body>
void partition(unsigned threads, std::size_t panels, std::size_t tiles, std::size_t block,
               const Body& body) {
  const bool along_n = panels >= threads || panels >= tiles;
  parallel_ranges(threads, along_n ? panels : tiles, [&](std::size_t begin, std::size_t end) {
    Part part = along_n ? Part{begin, end, 0, tiles} : Part{0, panels, begin, end};
    for (const std::size_t last = part.end_tile; part.first_tile < last;
         part.first_tile = part.end_tile) {
      part.end_tile = std::min(last, part.first_tile + block);
      body(part);
    }
  });
}

}  // namespace systole::quant::detail
