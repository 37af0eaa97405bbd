// Private to the packed products: what a PackedWeights holds.
#pragma once

#include <cstdint>
#include <vector>

#include "quant/kernels/blocking.hpp"
#include "quant/kernels/packed_gemm.hpp"

namespace systole::quant {

struct PackedWeights::Impl {
  Path path = Path::reference;
  const detail::IntegerTiles* tiles = nullptr;  ///< null: the reference runs on what was given
  QuantizedMatrix matrix;                       ///< without its codes when packed
  GridMatrix grid;                              ///< without its integers when packed
  bool from_grid = false;
  std::size_t rows = 0, cols = 0, group = 0, groups = 0;

  detail::Coding coding;
  std::size_t group_steps = 0;           ///< units a group takes, its last one padded
  std::size_t steps = 0;                 ///< units a row takes
  std::size_t step_bytes = 0;            ///< of one panel's unit
  detail::Aligned<std::uint8_t> packed;  ///< [panel][step][column][unit], or two codes a byte
  detail::Aligned<float> scales;         ///< [panel][group][column]
  detail::Aligned<std::int32_t> zeros;   ///< likewise, or empty
  detail::Aligned<float> minimums;       ///< likewise, or empty

  std::size_t panels() const { return detail::ceil_div(rows, tiles->columns); }
  void pack_quantised();
  void pack_grid();
  /// The element integers again, from the packed bytes.
  GridMatrix unpacked_grid() const;

 private:
  void lay_out();
  void pack_units();
  template <class Element>
  void pack_elements(const Element& element);
  template <class Visit>
  void for_each_place(const Visit& visit) const;
};

}  // namespace systole::quant
