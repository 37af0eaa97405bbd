// What a scratchpad costs: energy per access, leakage, area and access time from the energy table's
// CACTI figures.
#pragma once

#include <string>

#include "configs/energy.hpp"
#include "configs/machine.hpp"

namespace systole::memory {

/// Energy and access time of one word access of one bank; leakage and area of all banks together.
struct SramPrice {
  double read_pj_per_word = 0;
  double write_pj_per_word = 0;
  double leakage_mw = 0;
  double area_mm2 = 0;
  double access_ns = 0;
  std::string
      source;  ///< "... (point 16384 B x 32 B)" or "... (fit at 16384 B x 32 B)", times the banks
  double area_band = 0, energy_band = 0;  ///< relative; 0: the table states none
};

/// Prices banks of capacity / banks bytes with `word_bytes` ports: the table's point of exactly
/// that size where there is one, else its fit y = c (S / 64 KiB)^a (W / 32 B)^b. Approximation:
/// bank selection, the wires between banks and to the array are not priced (optimistic for many
/// banks). Errors: ConfigError for an impossible scratchpad, or when the table has neither point
/// nor fit.
SramPrice price_sram(const configs::EnergyTable& table,
                     const configs::ScratchpadConfig& scratchpad);

}  // namespace systole::memory
