// The nearest value of a set, with every tie rule: what formats that are a list of values share.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/format.hpp"

namespace systole::quant {

/// The values of a set in ascending order, each with its code.
class SortedGrid {
 public:
  /// entries[code]; of equal entries the lowest code is used. Errors: std::invalid_argument when
  /// empty, longer than 65536 or not finite.
  explicit SortedGrid(std::span<const float> entries);

  /// NORMATIVE. Code of the entry nearest to x, |x - entry| in fp32, x first clamped to the ends of
  /// the grid. Ties: even: the lowest code (KVQuant, quantization.md §12 trap 1); away: the larger
  /// magnitude; half_up: the larger; down: the smaller magnitude. floor: the largest entry not
  /// above x, without regard to distance. Where magnitudes are equal too (x = 0): the lowest code.
  std::uint16_t nearest(float x, Rounding rounding = Rounding::even) const;

 private:
  struct Entry {
    float value;
    std::uint16_t code;
  };
  std::vector<Entry> entries_;
};

}  // namespace systole::quant
