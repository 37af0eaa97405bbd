// What each file of this folder brings to the table in pe/design.cpp.
#pragma once

#include <vector>

#include "pe/design.hpp"

namespace systole::pe::designs {

std::vector<PeDesign> integer_mac();       ///< int4-mac, int8-mac, int16-mac, their dot units
std::vector<PeDesign> float_mac();         ///< fp16, bf16, fp8, fp4 MACs and dot units
std::vector<PeDesign> block_dot();         ///< mx-dot, nvfp4-dot
std::vector<PeDesign> mixpe();             ///< mixpe-w4a8, mixpe-w4a16
std::vector<PeDesign> exponent_integer();  ///< olive, olive-dot, ant
std::vector<PeDesign> bitfusion();
std::vector<PeDesign> bit_serial();  ///< stripes, loom, abq
std::vector<PeDesign> bitmod();
std::vector<PeDesign> tender();
std::vector<PeDesign> aligned();       ///< figna-w4, figna-w8, ifpu
std::vector<PeDesign> table_lookup();  ///< lut-tensor-core, t-mac, figlut
std::vector<PeDesign> approximate();   ///< fpma, axcore
std::vector<PeDesign> adafloat();
std::vector<PeDesign> outlier();  ///< olaccel, gobo
std::vector<PeDesign> flexcim();

}  // namespace systole::pe::designs
