// What the sums of an array must be, from the normative kernels of quant: nothing here knows of
// decoders, parts, folds in flight or registers.
#pragma once

#include <vector>

#include "pe/clocked_array.hpp"
#include "pe/design.hpp"

namespace systole::pe {

/// [M, N, groups] group sums of `work` as the array adds them. Integers are exact whatever the
/// order (modulo 2^32 in an int32 accumulator). Floats depend on it: output stationary adds k
/// ascending; held operands add what one fold's rows hold, from +0, then fold after fold (and part
/// after part).
/// Errors: SYSTOLE_CHECK for a design without a reference.
std::vector<ResultWord> reference_sums(const configs::ArrayConfig& array, const PeDesign& design,
                                       const ArrayCase& work);

}  // namespace systole::pe
