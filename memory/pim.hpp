// Attention at the memory: what all banks, or the channels, take to multiply cached rows by a
// vector.
#pragma once

#include <cstdint>

#include "configs/machine.hpp"

namespace systole::memory {

/// One pass over cached rows by the units of all channels.
struct PimPass {
  std::uint64_t clocks = 0;     ///< of the memory, refresh included
  std::uint64_t activates = 0;  ///< rows opened, all banks and channels
  std::uint64_t read_bits = 0;  ///< from the cells to the units, whole bursts
  std::uint64_t macs = 0;

  PimPass& operator+=(const PimPass& other) {
    clocks += other.clocks;
    activates += other.activates;
    read_bits += other.read_bits;
    macs += other.macs;
    return *this;
  }
  PimPass operator*(std::uint64_t times) const {
    return {clocks * times, activates * times, read_bits * times, macs * times};
  }
};

/// Multiplies `bytes` of rows that lie evenly over all channels and banks, `macs` products in all,
/// by vectors that the units hold.
///
/// place bank: every command goes to all banks of a channel (all ranks and pseudo channels): they
/// open a row each, four in tFAW and the rest tRRD_S apart; a read follows another after tCCD_L (or
/// as late as the unit needs for its products); then all close. A row of all banks takes at least
/// tRC. Rows pass one after the other.
/// place channel: one unit a channel behind the multiplexer: bursts tCCD_S apart, rows of other
/// banks opened meanwhile, so that only the first opening shows.
/// Refresh takes tRFC of every tREFI from either. Approximation: the last row counts as a whole
/// one; commands find a free bus.
PimPass pim_pass(const configs::DramConfig& dram, std::uint32_t channels,
                 const configs::PimConfig& pim, std::uint64_t bytes, std::uint64_t macs);

}  // namespace systole::memory
