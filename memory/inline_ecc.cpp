#include "memory/inline_ecc.hpp"

namespace systole::memory {

std::vector<Segment> InlineEcc::open(const Segment& segment) {
  if (free_.empty()) {
    last_ = static_cast<std::uint32_t>(open_.size());
    open_.emplace_back();
  } else {
    last_ = free_.back();
    free_.pop_back();
  }
  const std::uint64_t first = segment.address >> burst_bits_;
  const std::uint64_t last = (segment.address + segment.bytes - 1) >> burst_bits_;
  const bool whole = (last + 1) % data_bursts_ == 0;  // the check burst follows at once
  const std::uint64_t begin = stored(first), end = stored(last) + (whole ? 2 : 1);
  std::vector<Segment> pieces(whole ? 1 : 2, segment);
  pieces[0].id = last_;
  pieces[0].address = begin << burst_bits_;
  pieces[0].bytes = (end - begin) << burst_bits_;
  pieces[0].check_bytes = pieces[0].bytes - segment.bytes;
  if (!whole) {
    const std::uint64_t check = last / data_bursts_ * (data_bursts_ + 1) + data_bursts_;
    pieces[1].id = last_;
    pieces[1].address = check << burst_bits_;
    pieces[1].bytes = pieces[1].check_bytes = std::uint64_t{1} << burst_bits_;
  }
  open_[last_] = {segment.id, 0, static_cast<std::uint32_t>(pieces.size())};
  return pieces;
}

bool InlineEcc::opened(std::uint32_t pieces_waiting) {
  open_[last_].waiting = pieces_waiting;
  return pieces_waiting == 0;
}

std::optional<SegmentEvent> InlineEcc::translate(const SegmentEvent& event) {
  const auto slot = static_cast<std::uint32_t>(event.id);
  Open& open = open_[slot];
  if (event.kind == SegmentEvent::Kind::accepted) {
    if (--open.waiting > 0) return std::nullopt;
  } else {
    if (--open.moving > 0) return std::nullopt;
    free_.push_back(slot);
  }
  return SegmentEvent{event.time, event.kind, open.id};
}

}  // namespace systole::memory
