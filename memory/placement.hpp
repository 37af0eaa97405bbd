// Which bytes of a program lie in which tier: ranges of addresses, what fits where, and how often
// the lines of a tier are written.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "configs/tier.hpp"
#include "memory/transfer.hpp"

namespace systole::memory {

/// A range of program addresses in one tier.
struct Extent {
  std::uint64_t begin = 0, end = 0;
  std::uint32_t tier = 0;
  bool aged = false;  ///< KV tokens that are there because they are old
  /// Where the first byte lies when that is not the address itself (staged weights); without tier.
  std::optional<std::uint64_t> target;

  friend bool operator==(const Extent&, const Extent&) = default;
  friend auto operator<=>(const Extent&, const Extent&) = default;
};

/// Disjoint extents in order of address; what is in none of them lies in the first tier, DRAM.
class Extents {
 public:
  /// Gives the tier those parts of the range that have none yet.
  void fill(const Extent& range);
  void fill(std::uint64_t begin, std::uint64_t end, std::uint32_t tier, bool aged = false) {
    fill(Extent{begin, end, tier, aged, std::nullopt});
  }
  /// Appends the parts of a transfer with the addresses that their tiers have them at. `shift` is
  /// added to the extents' addresses (the distance of a layer from the first), not to targets.
  void translate(const Transfer& transfer, std::uint64_t shift, std::vector<Transfer>& parts) const;
  /// Bytes of [begin, end) in a tier; gaps count for DRAM.
  std::uint64_t bytes(std::uint32_t tier, std::uint64_t begin, std::uint64_t end) const;

  const std::vector<Extent>& list() const { return list_; }
  friend bool operator==(const Extents&, const Extents&) = default;
  friend auto operator<=>(const Extents&, const Extents&) = default;

 private:
  std::vector<Extent> list_;
};

/// Ranges of `a` that no range of `b` covers; both as lists of [begin, end), `a` in order and
/// disjoint, `b` in any.
using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
Ranges without(const Ranges& a, Ranges b);

/// Capacities of the tiers and what is taken of them.
class TierSpace {
 public:
  /// What a tier hands out at once: an operating system's page (assumed).
  static constexpr std::uint64_t kPageBytes = 4096;

  explicit TierSpace(std::vector<std::uint64_t> capacities);

  struct Part {
    std::uint32_t tier = 0;
    std::uint64_t bytes = 0;
  };
  /// Takes `bytes` of `tier`, whole pages but for the last part; what does not fit of the tiers
  /// after it in order, round about. Empty when all of them together have too little (nothing is
  /// taken then).
  std::vector<Part> take(std::uint32_t tier, std::uint64_t bytes);
  /// The same in one piece: all of it in the first tier that has room.
  std::optional<std::uint32_t> take_whole(std::uint32_t tier, std::uint64_t bytes);

  std::uint64_t used(std::uint32_t tier) const { return used_[tier]; }
  std::uint64_t capacity(std::uint32_t tier) const { return capacities_[tier]; }
  std::uint64_t spilled(std::uint32_t tier) const { return spilled_[tier]; }  ///< out of it
  std::uint32_t count() const { return static_cast<std::uint32_t>(capacities_.size()); }

 private:
  std::vector<std::uint64_t> capacities_, used_, spilled_;
};

/// How often lines were written, by regions of a tier. In a region lines wear evenly (levelled by
/// the controller: assumed); a region of one line is exact.
class WearLedger {
 public:
  explicit WearLedger(const configs::TierConfig& tier)
      : line_(tier.granularity_bytes),
        region_(tier.wear_region_bytes),
        endurance_(tier.endurance_writes) {}

  /// One write of [address, address + bytes): each line that it touches once.
  void write(std::uint64_t address, std::uint64_t bytes);

  std::uint64_t total() const { return total_; }  ///< lines written
  /// Of the region most written to.
  std::uint64_t most() const;
  std::uint64_t lines_per_region() const { return region_ / line_; }
  /// Until a line of that region has been written as often as it stands, when all goes on as in
  /// `seconds`; nothing where nothing was written.
  std::optional<double> lifetime_seconds(double seconds) const;

 private:
  std::uint64_t line_, region_;
  double endurance_;
  std::uint64_t total_ = 0;
  std::map<std::uint64_t, std::uint64_t> regions_;
};

}  // namespace systole::memory
