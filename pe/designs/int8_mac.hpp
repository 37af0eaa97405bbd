// The plain INT8 multiply-accumulate element: the baseline that narrower weights are measured
// against.
#pragma once

#include "pe/design.hpp"

namespace systole::pe::int8_mac {

PeDesign design();

}  // namespace systole::pe::int8_mac
