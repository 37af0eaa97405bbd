// Check bits that lie among the data (inline ECC): which bursts a segment costs beside its own.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "memory/burst_intake.hpp"

namespace systole::memory {

/// After every `data_bursts` bursts of data lies one with their check bits, so data burst d is
/// stored in burst d + d / data_bursts and a channel holds that much less. A segment moves the
/// check bursts of all groups that it touches, each once: with whole groups one contiguous piece,
/// with part of a last group a second one. Writes of part of a group write its check bits under
/// mask. Approximation: check bits are not kept between segments, and a burst written in part is
/// not read before (assumed: how controllers cache check bits is not published). Source of the
/// layout: TI AM62x technical reference manual SPRUIV7, DDRSS inline ECC: 32 bytes of check bits
/// after every 256 of data, addresses consecutive, 1/9 of the memory.
class InlineEcc {
 public:
  InlineEcc(std::uint32_t data_bursts, std::uint32_t burst_bits)
      : data_bursts_(data_bursts), burst_bits_(burst_bits) {}

  std::uint64_t data_bursts() const { return data_bursts_; }

  /// One or two pieces in stored addresses, with ids of this object's own; their `check_bytes` say
  /// how much of them nobody asked for.
  std::vector<Segment> open(const Segment& segment);
  /// What was answered to `admit` of the pieces of the last `open`: whether the segment is
  /// accepted.
  bool opened(std::uint32_t pieces_waiting);
  /// The segment's event that a piece's event amounts to, if any.
  std::optional<SegmentEvent> translate(const SegmentEvent& event);

 private:
  struct Open {
    std::uint64_t id = 0;
    std::uint32_t waiting = 0, moving = 0;  ///< pieces not accepted, not completed
  };
  std::uint64_t stored(std::uint64_t burst) const { return burst + burst / data_bursts_; }

  std::uint64_t data_bursts_;
  std::uint32_t burst_bits_;
  std::vector<Open> open_;
  std::vector<std::uint32_t> free_;
  std::uint32_t last_ = 0;
};

}  // namespace systole::memory
