// Where a channel-local address lives: bank group, bank, row and column, as bits.
#pragma once

#include <cstdint>

#include "configs/dram.hpp"

namespace systole::memory {

/// A place in one channel. `bank` is flat: group * banks_per_group + bank within the group.
struct DramLocation {
  std::uint32_t bank = 0;
  std::uint32_t row = 0;
  std::uint32_t column = 0;  ///< in bursts
  friend bool operator==(const DramLocation&, const DramLocation&) = default;
};

/// Minimalist open page with an XOR hash ("MOPX"). Bits of a burst number, most significant first:
///
///     row | high column | bank | bank group | low column
///
/// so that `lump` consecutive bytes (256) stay in one row and the next lump goes to the next bank
/// group: a stream alternates bank groups and reaches tCCD_S. Bank group and bank are XORed with
/// the lowest row bits, which spreads power-of-two strides over the banks. A bijection:
/// `burst_of(locate(b)) == b`.
///
/// Source: the mapping that the reference measurements call MOPX; after Kaseridis et al.,
/// "Minimalist Open-page", MICRO-44, 2011 (lump per bank) and Zhang et al., MICRO-33, 2000 (XOR of
/// bank with row bits).
class AddressMap {
 public:
  /// Errors: ConfigError unless bank groups, banks, row and burst bytes are powers of two and a row
  /// holds a burst.
  explicit AddressMap(const configs::DramConfig& config, std::uint32_t lump_bytes = 256);

  std::uint32_t burst_bytes() const { return std::uint32_t{1} << burst_bits_; }
  std::uint32_t burst_bits() const { return burst_bits_; }
  std::uint32_t lump_bursts() const { return std::uint32_t{1} << low_bits_; }

  /// Addresses this far apart share bank and column, and their rows differ by a multiple of the
  /// hash: equal work at both meets the same conflicts.
  std::uint64_t period_bytes() const {
    const unsigned hashed_rows = group_bits_ + bank_bits_;
    return std::uint64_t{1} << (burst_bits_ + low_bits_ + group_bits_ + bank_bits_ + high_bits_ +
                                hashed_rows);
  }

  DramLocation locate(std::uint64_t burst) const {
    DramLocation place;
    const auto low = static_cast<std::uint32_t>(burst) & mask(low_bits_);
    burst >>= low_bits_;
    auto group = static_cast<std::uint32_t>(burst) & mask(group_bits_);
    burst >>= group_bits_;
    auto bank = static_cast<std::uint32_t>(burst) & mask(bank_bits_);
    burst >>= bank_bits_;
    place.column = ((static_cast<std::uint32_t>(burst) & mask(high_bits_)) << low_bits_) | low;
    place.row = static_cast<std::uint32_t>(burst >> high_bits_);
    group ^= place.row & mask(group_bits_);
    bank ^= (place.row >> group_bits_) & mask(bank_bits_);
    place.bank = (group << bank_bits_) | bank;
    return place;
  }

  /// The inverse of `locate`.
  std::uint64_t burst_of(const DramLocation& place) const;

 private:
  static constexpr std::uint32_t mask(std::uint32_t bits) { return (std::uint32_t{1} << bits) - 1; }

  std::uint32_t burst_bits_ = 0;
  std::uint32_t low_bits_ = 0;
  std::uint32_t group_bits_ = 0;
  std::uint32_t bank_bits_ = 0;
  std::uint32_t high_bits_ = 0;
};

}  // namespace systole::memory
