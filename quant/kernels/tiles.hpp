// Private to the packed products: what one register tile computes, and the tiles of each
// instruction set.
//
// A panel is `columns` output channels wide; weights lie [k / unit][columns][unit] so that one
// vector load feeds one dot instruction a column. A tile is up to `rows` activations high;
// activations lie [k / unit][rows][unit], zero-padded at the end of each group, so that a step
// needs one pointer. The driver (packed_gemm.cpp) walks K in segments small enough for a cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

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

/// How the element integers of a weight are stored. A dot instruction that takes them unsigned gets
/// element + offset.
struct Coding {
  enum class Kind : std::uint8_t {
    bytes,    ///< element + offset
    nibbles,  ///< index into `table`; the low half of a byte is the first half of the columns
    sextets,  ///< index of 6 bits into `wide`; 64 codes, the lowest bits first, in 48 bytes
    pairs,  ///< two neighbours along K in a byte (the even one low): index into `table`, or beside
            ///< kPairMark into `outliers`; kPairMark itself stands for 0
  };
  static constexpr unsigned kPairMark = 15;
  Kind kind = Kind::bytes;
  int offset = 0;               ///< 0 or 128; 8 where nibbles are two's complement shifted by 8
  bool table_is_index = false;  ///< entry i + offset == i, of the table that `kind` looks in
  std::int8_t table[16] = {};
  std::int8_t outliers[16] = {};
  std::int8_t wide[64] = {};

  /// Stored bits of an element.
  std::size_t bits() const { return kind == Kind::bytes ? 8 : kind == Kind::sextets ? 6 : 4; }
};

/// Integer tile: for each group sum = start + sum of w * a, less zeros * activation_sums where
/// there are zeros; total = fma(float(sum), scale, total); and where there are minimums total =
/// fma(float(activation_sums), minimum, total).
struct IntegerTile {
  const void* activations;  ///< at the segment's first step
  const void* weights;      ///< at the segment's first step
  bool unpack;              ///< `weights` is still to be filled from `stored`
  const std::uint8_t* stored;
  void* unpacked;             ///< `weights`, to be written; null where they are used as stored
  const Coding* coding;       ///< of `stored`
  const std::int32_t* start;  ///< [groups][rows] undoes the weight offset
  const std::int32_t* activation_sums;  ///< [groups][rows]
  const float* scales;                  ///< [groups][columns]
  const std::int32_t* zeros;            ///< [groups][columns] or null
  const float* minimums;                ///< [groups][columns] or null
  float* total;                         ///< [rows][columns]
  bool fresh;                           ///< totals start at +0, whatever `total` holds
  std::int32_t* sum;                    ///< [rows][columns], between segments of one group
  /// Where there is an out, total * row_scales goes there at the end, and `total` is scratch.
  float* out;
  std::size_t out_stride;  ///< floats from row to row
  const float* row_scales;
  /// Full tiles that follow each other: 1, or more where `many` says so, unpacked, and of all K.
  std::size_t tiles;
  std::size_t next_weights;  ///< of run_two: bytes to the second panel's weights
  Segment segment;
};

/// The portable interleave. Element: int8 or int16; a unit is four bytes of them.
template <class Element>
void interleave_units(const std::int8_t* codes, std::size_t stride, std::size_t rows,
                      std::size_t count, void* to) {
  constexpr std::size_t unit = 4 / sizeof(Element);
  auto* out = static_cast<unsigned char*>(to);
  std::size_t i = 0;
  for (; i + unit <= count; i += unit) {
    for (std::size_t r = 0; r < rows; ++r, out += 4) {
      Element four_bytes[unit];
      for (std::size_t j = 0; j < unit; ++j) four_bytes[j] = codes[r * stride + i + j];
      std::memcpy(out, four_bytes, 4);
    }
  }
  for (std::size_t r = 0; r < rows && i < count; ++r, out += 4) {
    Element four_bytes[unit] = {};
    for (std::size_t j = 0; i + j < count; ++j) four_bytes[j] = codes[r * stride + i + j];
    std::memcpy(out, four_bytes, 4);
  }
}

/// One row of activations against two panels of stored weights (which may be one), all of K: as
/// IntegerTile, without unpacking to memory. Two, because one stream leaves bandwidth unused.
struct RowTile {
  const void* activations;        ///< [steps][unit]
  const std::uint8_t* stored[2];  ///< the panels as stored
  const Coding* coding;
  const std::int32_t* start;  ///< [groups]
  const float* scales[2];     ///< [groups][columns]
  std::size_t group_steps;
  std::size_t groups;
  float* total[2];  ///< [columns]
};

/// Float tile: for each chunk sum = +0, k ascending sum = fma(a, w, sum); then total += sum. Of
/// fp16 operands the products are exact, so that this is also what a product rounded on its own
/// gives.
struct FloatTile {
  const float* activations;  ///< [k][rows]
  const float* weights;      ///< [k][weight_stride], `columns` of which are read
  std::size_t weight_stride;
  float* total;
  float* sum;
  bool accumulate;  ///< false: total = sum (a fused sum may be -0, which adding to +0 would lose)
  Segment segment;
};

using IntegerTileFunction = void (*)(const IntegerTile&);
using FloatTileFunction = void (*)(const FloatTile&);

inline constexpr std::size_t kMaxTileRows = 8;
inline constexpr std::size_t kMaxColumns = 32;

struct IntegerTiles {
  std::size_t rows;     ///< of a full tile
  std::size_t columns;  ///< of a panel
  std::size_t unit;     ///< consecutive k a dot instruction takes
  bool signed16;  ///< operands as int16 (weights signed) instead of int8 (weights unsigned, element
                  ///< + offset)
  IntegerTileFunction run[kMaxTileRows + 1];  ///< [rows of this tile], 1..rows
  /// A full tile against two neighbouring panels: weights unpacked, one group and all of it,
  /// neither zeros nor minimums, straight to `out`. Null: none.
  IntegerTileFunction run_two;
  bool many;  ///< run_two, and run of as many groups as rows, take several tiles at once
  void (*run_row)(const RowTile&);  ///< nibbles, and sextets where taken; null: none
  bool sextets;                     ///< Coding::Kind::sextets is taken
  bool bytes_in_place;              ///< stored bytes are what the tiles want
  /// Where in the bytes of a unit the pair p of a column lies (Coding::Kind::pairs).
  std::size_t (*pair_place)(std::size_t column, std::size_t pair);
  /// Activations of `rows` rows, `stride` codes apart, interleaved [count / unit][rows][unit] (the
  /// last unit padded with zeros), and the sum of each row. One group.
  void (*interleave)(const std::int8_t* codes, std::size_t stride, std::size_t rows,
                     std::size_t count, void* to, std::int32_t* sums);
  /// out[i] = total[i] * scale for the first `count` of a tile's columns.
  void (*scale_row)(const float* total, float scale, std::size_t count, float* out);
};

struct FloatTiles {
  std::size_t rows;
  std::size_t columns;
  FloatTileFunction run[kMaxTileRows + 1];
};

#if defined(__x86_64__)
const IntegerTiles& avx2_integer_tiles();
const IntegerTiles& avx512_integer_tiles();
const IntegerTiles& avx512_vbmi_integer_tiles();
const FloatTiles& avx2_float_tiles();
const FloatTiles& avx512_float_tiles();
#endif

}  // namespace systole::quant::detail
