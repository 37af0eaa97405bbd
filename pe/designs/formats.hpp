// Pairs of formats for the tables of the designs.
#pragma once

#include <vector>

#include "pe/design.hpp"

namespace systole::pe::designs {

/// intN, lowest to highest bits (2 ... 16), two's complement.
inline std::vector<quant::Format> integers(unsigned lowest, unsigned highest) {
  std::vector<quant::Format> formats;
  for (unsigned bits = lowest; bits <= highest; ++bits) {
    for (const quant::Format f : quant::kAllFormats) {
      if (quant::info_of(f).kind == quant::FormatClass::integer && quant::bits_of(f) == bits &&
          quant::name_of(f).starts_with("int")) {
        formats.push_back(f);
      }
    }
  }
  return formats;
}

/// A mode for every pair; `make(weight, activation)` fills it in.
template <class Make>
std::vector<Mode> every_pair(const std::vector<quant::Format>& weights,
                             const std::vector<quant::Format>& activations, Make make) {
  std::vector<Mode> modes;
  for (const quant::Format weight : weights) {
    for (const quant::Format activation : activations) modes.push_back(make(weight, activation));
  }
  return modes;
}

}  // namespace systole::pe::designs
