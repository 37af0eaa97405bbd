// GOBO's dictionary, for those who check its sums.
#pragma once

#include <array>

namespace systole::pe::designs {

/// The eight values that 3-bit GOBO weights stand for, before the scale: those of NF3.
const std::array<float, 8>& gobo_dictionary();

}  // namespace systole::pe::designs
