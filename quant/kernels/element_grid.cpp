#include "quant/kernels/element_grid.hpp"

#include <algorithm>
#include <limits>

namespace systole::quant {

bool fits_grid(std::span<const std::int32_t> integers) {
  using Byte = std::numeric_limits<std::int8_t>;
  return std::ranges::all_of(integers,
                             [](std::int32_t v) { return v >= Byte::min() && v <= Byte::max(); });
}

GridMatrix grid_of(const CodedMatrix& matrix, std::span<const std::int32_t> integers, float unit) {
  GridMatrix grid{.rows = matrix.rows,
                  .cols = matrix.cols,
                  .group = matrix.group,
                  .groups = matrix.groups,
                  .unit = unit,
                  .integers = {},
                  .scales = matrix.scales};
  grid.integers.assign(integers.begin(), integers.end());
  return grid;
}

std::optional<GridMatrix> to_grid(const CodedMatrix& matrix) {
  if (!matrix.zeros.empty() || matrix.tensor_scale != 1.0f) return std::nullopt;
  float unit = 1.0f;
  const auto integers = element_integers(matrix, unit);
  if (!integers || !fits_grid(*integers)) return std::nullopt;
  return grid_of(matrix, *integers, unit);
}

bool always_has_grid(const QuantSpec& spec) {
  if (spec.affine != Affine::symmetric) return false;
  if (spec.format == Format::ovp4_int) return true;  // outliers reach 96, see formats/ovp.hpp
  const std::optional<IntegerGrid> grid = integer_grid(spec);
  return grid && fits_grid(grid->integers);
}

}  // namespace systole::quant
