// Several equal arrays that share one product.
#pragma once

#include "pe/array_timing.hpp"

namespace systole::pe {

/// The work of all arrays: cycles of the slowest one (they start together), everything else summed.
/// Splitting M or N gives each array whole sums; splitting K at group boundaries gives each array
/// partial sums of every output, which the edge accumulators add one array after the other, one sum
/// a column and cycle: (parts - 1) * ceil(M N G / cols) further cycles and as many reads and
/// writes. Shares are as equal as whole array tiles allow; arrays that get nothing stay idle.
/// `split` returns what was chosen for Split::automatic: fewest cycles, then fewest operand words,
/// then M before N before K. Errors: as array_work.
ArrayWork arrays_work(const configs::ArrayConfig& arrays, const PeDesign& design,
                      const GemmShape& shape, configs::Split* split = nullptr);

}  // namespace systole::pe
