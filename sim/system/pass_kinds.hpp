// Passes of the array by what their operands did: counted where the operands are at hand, expected
// from a functional run's observations where they are not.
#pragma once

#include <cstdint>

#include "configs/machine.hpp"
#include "pe/array_timing.hpp"
#include "pe/design.hpp"
#include "sim/core/observations.hpp"

namespace systole::sim {

/// Disjoint; the rest of a tile's passes is of no known kind. pricing.hpp says what each costs.
struct PassKinds {
  std::uint64_t zero = 0;     ///< an operand is zero
  std::uint64_t hold = 0;     ///< the stationary operand is that of the pass before
  std::uint64_t traced = 0;   ///< the changing bits are counted
  std::uint64_t toggles = 0;  ///< those bits
  friend bool operator==(const PassKinds&, const PassKinds&) = default;
};

/// Stall cycles of a fold that these shares of outliers are expected to cost, of data-dependent
/// designs (GemmShape::stall).
std::uint64_t expected_stall_cycles(const configs::ArrayConfig& array, const pe::PeDesign& design,
                                    const pe::GemmShape& shape, const LinearObservations& seen);

/// The passes of a tile of `shape` expected under observations of its operands, which are taken to
/// be independent of each other and of their places; integers that sum to at most `passes`.
///
/// zero    the share in which one operand is zero, of designs that take one element a pass
/// traced  all others, where the design counts toggles, takes both operands in one part, and both
///         were observed. A moving word differs from the one before it in its row or column by
///         `across` (held operands), and after a fold by `along_k`, like the stationary word; held
///         sums see `along_k` on both sides.
/// hold    all others of a held operand but those that open a fold
PassKinds expected_passes(const configs::ArrayConfig& array, const pe::PeDesign& design,
                          const pe::GemmShape& shape, std::uint64_t passes,
                          const LinearObservations& seen);

/// What the dataflow alone says: `hold` as above and no zeros.
PassKinds held_passes(const configs::ArrayConfig& array, const pe::PeDesign& design,
                      const pe::GemmShape& shape, std::uint64_t passes);

}  // namespace systole::sim
