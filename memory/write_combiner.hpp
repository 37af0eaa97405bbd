// A buffer on chip in front of the DRAM that keeps bursts of which only a part has been written, so
// that small writes of many tokens leave as whole bursts.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "memory/transfer.hpp"

namespace systole::memory {

/// Of what is written, whole bursts go on at once; a burst that is written in part waits until the
/// rest of it has come, or until it is the one not written for longest and another needs its place
/// (LRU). What waits is read here.
///
/// Conservation: bytes written to it = bytes that went on + absorbed() (written again while they
/// waited) + dropped() + held_bytes().
///
/// A burst that leaves with a gap in it is written as one transfer a piece, each of which costs a
/// burst (a mask would need one; errs upwards).
class WriteCombiner {
 public:
  /// Room for `bursts` of `burst_bytes`; 0 keeps nothing.
  WriteCombiner(std::uint64_t burst_bytes, std::uint64_t bursts);

  /// Takes `write`; what goes to memory because of it is added to `out`.
  void write(const Transfer& write, std::vector<Transfer>& out);
  /// Adds to `out` what memory has to serve of `read`. Returns the bytes served from here.
  std::uint64_t read(const Transfer& read, std::vector<Transfer>& out) const;
  /// Bytes [begin, end) mean nothing any more and are not written.
  void drop(std::uint64_t begin, std::uint64_t end);

  std::uint64_t held_bytes() const;
  std::uint64_t held_bursts() const { return entries_.size(); }
  std::uint64_t absorbed() const { return absorbed_; }
  std::uint64_t dropped() const { return dropped_; }

 private:
  /// [begin, end) of what has been written, in order and apart from each other.
  using Pieces = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  struct Entry {
    Pieces pieces;
    std::uint64_t age = 0;  ///< number of its last write
  };
  using Entries = std::map<std::uint64_t, Entry>;

  void take(const Transfer& like, std::uint64_t begin, std::uint64_t end,
            std::vector<Transfer>& out);
  void forget(Entries::iterator entry);
  static std::uint64_t bytes_of(const Pieces& pieces);

  std::uint64_t burst_, most_;
  TrafficClass traffic_ = TrafficClass::kv_cache;  ///< of what was written last
  Entries entries_;                                ///< by number of the burst
  std::map<std::uint64_t, std::uint64_t> ages_;    ///< burst numbers by their ages
  std::uint64_t writes_ = 0;
  std::uint64_t absorbed_ = 0, dropped_ = 0;
};

}  // namespace systole::memory
