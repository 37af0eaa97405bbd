// Where a channel-local address lives: rank or pseudo channel, bank group, bank, row and column.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "configs/dram.hpp"

namespace systole::memory {

/// A place in one channel. `bank` is flat: (unit * groups + group) * banks_per_group + bank within
/// the group; the unit is pseudo channel * ranks + rank.
struct DramLocation {
  std::uint32_t bank = 0;
  std::uint32_t row = 0;
  std::uint32_t column = 0;  ///< in bursts
  friend bool operator==(const DramLocation&, const DramLocation&) = default;
};

/// A permutation of the bits of a burst number, and row bits added (XOR) to bank bits. By name,
/// most significant first (`lump` = 256 bytes):
///
///     RBC    row | rank | bank | group | pseudo | column      a row is contiguous
///     BGL    row | rank | bank | column | group | pseudo      the bank group changes every burst
///     MOP    row | high column | rank | bank | group | pseudo | low column, a lump
///     MOPX   MOP, with group, bank and pseudo channel XORed with the lowest row bits
///
/// or as a list of `row rank bank group pseudo column`, each with `:bits` unless it is the rest of
/// its field; pieces of a field from its highest bits. A bijection: `burst_of(locate(b)) == b`.
///
/// Under MOPX consecutive lumps go to different bank groups: a stream reaches tCCD_S; the hash
/// spreads power-of-two strides over the banks. Source: the mappings of the reference measurements;
/// after Kaseridis et al., "Minimalist Open-page", MICRO-44, 2011 (lump per bank) and Zhang et al.,
/// MICRO-33, 2000 (XOR of bank with row bits).
class AddressMap {
 public:
  /// Errors: ConfigError unless bank groups, banks, row and burst bytes are powers of two, a row
  /// holds a burst, and the map has every bit of every field once.
  explicit AddressMap(const configs::DramConfig& config);

  std::uint32_t burst_bytes() const { return std::uint32_t{1} << burst_bits_; }
  std::uint32_t burst_bits() const { return burst_bits_; }
  /// Consecutive bursts, aligned to their number, that lie in one row.
  std::uint32_t lump_bursts() const { return std::uint32_t{1} << lump_bits_; }

  /// Addresses this far apart share bank and column, and their rows differ by a multiple of the
  /// hash: equal work at both meets the same conflicts.
  std::uint64_t period_bytes() const { return std::uint64_t{1} << period_bits_; }

  DramLocation locate(std::uint64_t burst) const {
    std::array<std::uint32_t, kFields> field{};
    for (const Piece& piece : pieces_) {
      field[piece.field] |= (static_cast<std::uint32_t>(burst) & piece.mask) << piece.at;
      burst >>= piece.bits;
    }
    const std::uint32_t row = field[kRow];
    for (const Hash& hash : hashes_) field[hash.field] ^= (row >> hash.row_bit) & hash.mask;
    return {bank_of(field), row, field[kColumn]};
  }

  /// The inverse of `locate`.
  std::uint64_t burst_of(const DramLocation& place) const;

 private:
  enum Field : std::uint8_t { kRow, kRank, kBank, kGroup, kPseudo, kColumn, kFields };
  struct Piece {
    Field field = kRow;
    std::uint8_t bits = 0, at = 0;  ///< the piece holds bits [at, at + bits) of its field
    std::uint32_t mask = 0;
  };
  struct Hash {
    Field field = kBank;
    std::uint8_t row_bit = 0;
    std::uint32_t mask = 0;
  };

  std::uint32_t bank_of(const std::array<std::uint32_t, kFields>& field) const {
    const std::uint32_t unit = (field[kPseudo] << width_[kRank]) | field[kRank];
    const std::uint32_t group = (unit << width_[kGroup]) | field[kGroup];
    return (group << width_[kBank]) | field[kBank];
  }
  void parse(const configs::DramConfig& config, const std::string& map);
  void parse_hashes(const configs::DramConfig& config, const std::string& text);

  std::uint32_t burst_bits_ = 0, lump_bits_ = 0, period_bits_ = 0;
  std::array<std::uint32_t, kFields> width_{};
  std::vector<Piece> pieces_;  ///< the least significant first
  std::vector<Hash> hashes_;
};

}  // namespace systole::memory
