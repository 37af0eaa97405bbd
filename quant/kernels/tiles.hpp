// Private to the packed products: what one register tile computes, and the tiles of each
// instruction set.
//
// A panel is `columns` output channels wide; weights lie [k / unit][columns][unit] so that one
// vector load feeds one dot instruction a column. A tile is up to `rows` activations high;
// activations lie [k / unit][rows][unit], zero-padded at the end of each group, so that a step
// needs one pointer. The driver (packed_gemm.cpp) walks K in segments small enough for the
// first-level cache.
#pragma once

#include <cstddef>
#include <cstdint>

namespace systole::quant::detail {

/// Part of K: `groups` whole groups of `steps` units each, or (groups = 1) part of one that neither
/// begins nor ends here unless said.
struct Segment {
  std::size_t first_step = 0;
  std::size_t steps = 0;
  std::size_t first_group = 0;
  std::size_t groups = 1;
  bool begins = true;  ///< the sum starts here, otherwise it continues from `sum`
  bool ends = true;    ///< the sum is folded into `total` here, otherwise it is kept in `sum`
};

/// Integer tile: for each group sum = start + sum of w * a; total = fma(float(sum), scale, total).
struct IntegerTile {
  const void* activations;    ///< at the segment's first step
  const void* weights;        ///< at the segment's first step
  const std::int32_t* start;  ///< [groups][rows] what a sum starts from (undoes the weight offset)
  const float* scales;        ///< [groups][columns]
  float* total;               ///< [rows][columns]
  std::int32_t* sum;          ///< [rows][columns], between segments of one group
  Segment segment;
};

/// Float tile: for each chunk sum = +0, k ascending sum = fma(a, w, sum); then total += sum. Of
/// fp16 operands the products are exact, so that this is also what a product rounded on its own
/// gives.
struct FloatTile {
  const float* activations;
  const float* weights;
  float* total;
  float* sum;
  bool accumulate;  ///< false: total = sum (a fused sum may be -0, which adding to +0 would lose)
  Segment segment;
};

using IntegerTileFunction = void (*)(const IntegerTile&);
using FloatTileFunction = void (*)(const FloatTile&);

inline constexpr std::size_t kMaxTileRows = 16;

struct IntegerTiles {
  std::size_t rows;     ///< of a full tile
  std::size_t columns;  ///< of a panel
  std::size_t unit;     ///< consecutive k a dot instruction takes
  bool signed16;  ///< operands as int16 (weights signed) instead of int8 (weights unsigned, w +
                  ///< offset)
  IntegerTileFunction run[kMaxTileRows + 1];  ///< [rows of this tile], 1..rows
  /// Weights of `steps` units of a panel as the tile wants them, from nibbles (low half = first
  /// half of the columns) or bytes.
  void (*unpack_nibbles)(const std::uint8_t* packed, std::size_t steps, void* weights);
  void (*unpack_bytes)(const std::uint8_t* packed, std::size_t steps,
                       void* weights);  ///< null: bytes are used in place
};

struct FloatTiles {
  std::size_t rows;
  std::size_t columns;
  FloatTileFunction run[kMaxTileRows + 1];
};

#if defined(__x86_64__)
const IntegerTiles& avx2_integer_tiles();
const IntegerTiles& avx512_integer_tiles();
const FloatTiles& avx2_float_tiles();
const FloatTiles& avx512_float_tiles();
#endif

}  // namespace systole::quant::detail
