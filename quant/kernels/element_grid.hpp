// From a matrix in any format to the element integers that the fast products take.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "quant/coded_matrix.hpp"
#include "quant/kernels/packed_gemm.hpp"

namespace systole::quant {

/// Whether these element integers fit a GridMatrix.
bool fits_grid(std::span<const std::int32_t> integers);
/// A coded matrix by its element integers [rows][cols], which fit, times `unit`.
GridMatrix grid_of(const CodedMatrix& matrix, std::span<const std::int32_t> integers, float unit);

/// The matrix as element integers; nothing when the format has none, they do not fit, or there is
/// more than scales to it (zeros, a tensor scale).
std::optional<GridMatrix> to_grid(const CodedMatrix& matrix);

/// Whether every matrix of this policy has a grid, whatever its values.
bool always_has_grid(const QuantSpec& spec);

}  // namespace systole::quant
