// The closed forms derived in the header.
#include "pe/array_timing.hpp"

#include <algorithm>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::pe {

std::uint64_t group_length(const GemmShape& shape) {
  const bool grouped =
      shape.group != 0 && shape.k % shape.group == 0 && quant::is_integer(shape.stationary);
  return grouped ? shape.group : shape.k;
}

std::uint64_t group_count(const GemmShape& shape) {
  return shape.k == 0 ? 0 : shape.k / group_length(shape);
}

ArrayWork array_work(const configs::ArrayConfig& array, const PeDesign& design,
                     const GemmShape& shape) {
  SYSTOLE_CHECK(array.rows > 0 && array.cols > 0, "an array has rows and columns");
  const std::uint64_t passes = design.require_passes(shape.stationary, shape.moving);
  if (shape.m == 0 || shape.n == 0 || shape.k == 0) return {};
  const std::uint64_t rows = array.rows;
  const std::uint64_t cols = array.cols;
  const std::uint64_t length = group_length(shape);
  const std::uint64_t groups = group_count(shape);
  const std::uint64_t column_tiles = ceil_div(shape.n, cols);
  const std::uint64_t outputs = shape.m * shape.n;
  const bool weight_stationary = array.dataflow == configs::Dataflow::weight_stationary;

  ArrayWork work;
  work.passes = passes;
  work.mac_passes = outputs * shape.k * passes;
  work.results = outputs * groups;
  std::uint64_t stream = 0;      // T
  std::uint64_t single = 0;      // one fold alone, as serial does it
  std::uint64_t last_drain = 0;  // what preload shows of it
  if (weight_stationary) {
    const std::uint64_t row_tiles = ceil_div(length, rows) * passes;  // a group's
    stream = shape.m;
    single = stream + 2 * rows + cols - 2;
    work.folds = column_tiles * groups * row_tiles;
    work.stationary_words = shape.n * shape.k * passes;
    work.stationary_bits = shape.n * shape.k * quant::bits_of(shape.stationary);
    // Another pass is another fold, so the moving operand enters once more.
    work.moving_words = shape.m * shape.k * column_tiles * passes;
    // The first fold of a group overwrites, the others add.
    work.partial_sum_writes = outputs * groups * row_tiles;
    work.partial_sum_reads = outputs * groups * (row_tiles - 1);
  } else {
    const std::uint64_t output_row_tiles = ceil_div(shape.m, rows);
    stream = length * passes;
    single = stream + rows + cols - 2;
    last_drain = rows;
    work.folds = output_row_tiles * column_tiles * groups;
    work.stationary_words = shape.n * shape.k * output_row_tiles * passes;
    work.stationary_bits = shape.n * shape.k * output_row_tiles * quant::bits_of(shape.stationary);
    // The moving word stays at the edge during the passes of its step: one read.
    work.moving_words = shape.m * shape.k * column_tiles;
  }
  work.moving_bits = work.moving_words * quant::bits_of(shape.moving);
  work.stream_cycles = work.folds * stream;
  if (array.fold_overlap == configs::FoldOverlap::serial) {
    work.cycles = work.folds * single;
    work.repeat_cycles = work.cycles;
  } else {
    const std::uint64_t interval = std::max(stream, rows);
    work.cycles = (work.folds - 1) * interval + single + last_drain;
    work.repeat_cycles = work.folds * interval;
  }
  work.fill_drain_cycles = work.cycles - work.stream_cycles;
  return work;
}

}  // namespace systole::pe
