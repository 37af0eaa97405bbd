#include "memory/burst_intake.hpp"

#include <algorithm>

#include "memory/steady_state.hpp"
#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

template <typename Combine>
void combine(DramCounts& to, const DramCounts& from, Combine part) {
  part(to.activates, from.activates);
  part(to.read_bursts, from.read_bursts);
  part(to.write_bursts, from.write_bursts);
  part(to.refreshes, from.refreshes);
  part(to.bank_refreshes, from.bank_refreshes);
  part(to.row_hits, from.row_hits);
  part(to.row_misses, from.row_misses);
  part(to.power_down_clocks, from.power_down_clocks);
  for (std::size_t i = 0; i < 2; ++i) part(to.latency_clocks[i], from.latency_clocks[i]);
  for (std::size_t i = 0; i < kTrafficClassCount; ++i) {
    part(to.useful_read[i], from.useful_read[i]);
    part(to.useful_written[i], from.useful_written[i]);
    part(to.moved_read[i], from.moved_read[i]);
    part(to.moved_written[i], from.moved_written[i]);
  }
}

}  // namespace

DramCounts& DramCounts::operator+=(const DramCounts& other) {
  combine(*this, other, [](std::uint64_t& a, std::uint64_t b) { a += b; });
  return *this;
}

DramCounts& DramCounts::operator-=(const DramCounts& other) {
  combine(*this, other, [](std::uint64_t& a, std::uint64_t b) { a -= b; });
  return *this;
}

DramCounts& DramCounts::operator*=(std::uint64_t times) {
  combine(*this, *this, [times](std::uint64_t& a, std::uint64_t) { a *= times; });
  return *this;
}

std::uint32_t BurstIntake::open(const Segment& segment) {
  SYSTOLE_CHECK(segment.bytes > 0, "an empty segment");
  SYSTOLE_CHECK(segment.address <= std::numeric_limits<std::uint64_t>::max() - segment.bytes,
                "a segment beyond the address space");
  std::uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(segments_.size());
    segments_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  SegmentState& state = segments_[slot];
  state = SegmentState{};
  state.request = segment;
  state.next_burst = segment.address >> burst_bits_;
  state.end_burst = ((segment.address + segment.bytes - 1) >> burst_bits_) + 1;
  state.moved_bursts = state.unissued = state.end_burst - state.next_burst;
  state.order = opened_++;
  state.live = true;
  ++active_;
  lines_[segment.write ? kWrite : kRead].push_back(slot);
  return slot;
}

void BurstIntake::leave_line(std::uint32_t direction, Clock now) {
  const SegmentState& segment = segments_[lines_[direction].front()];
  lines_[direction].pop_front();
  if (!segment.announce) return;
  acceptance_ = std::min(acceptance_, now);
  push_event({now, SegmentEvent::Kind::accepted, segment.request.id});
}

void BurstIntake::issued(std::uint32_t slot, std::uint32_t direction, std::uint64_t bursts,
                         Clock end) {
  (direction == kRead ? counts_.read_bursts : counts_.write_bursts) += bursts;
  SegmentState& segment = segments_[slot];
  segment.unissued -= bursts;
  if (segment.unissued != 0) return;
  push_event({end, SegmentEvent::Kind::completed, segment.request.id});
  const std::size_t traffic = index_of(segment.request.traffic);
  const std::uint64_t moved = segment.moved_bursts << burst_bits_;
  const bool read = direction == kRead;
  (read ? counts_.useful_read : counts_.useful_written)[traffic] +=
      segment.request.bytes - segment.request.check_bytes;
  (read ? counts_.moved_read : counts_.moved_written)[traffic] += moved;
  segment.live = false;
  free_.push_back(slot);
  --active_;
}

void BurstIntake::push_event(const SegmentEvent& event) {
  const auto later = [](const SegmentEvent& a, const SegmentEvent& b) {
    return a.time != b.time ? a.time > b.time : a.kind > b.kind;
  };
  events_.insert(std::lower_bound(events_.begin(), events_.end(), event, later), event);
}

std::optional<SegmentEvent> BurstIntake::pop(Clock now) {
  if (events_.empty() || events_.back().time > now) return std::nullopt;
  const SegmentEvent event = events_.back();
  events_.pop_back();
  if (event.kind == SegmentEvent::Kind::accepted) acceptance_ = kNever;
  return event;
}

std::uint64_t BurstIntake::fewest_left(std::uint32_t direction) const {
  std::uint64_t least = kNever;
  for (const SegmentState& segment : segments_) {
    if (segment.live && segment.request.write == (direction == kWrite)) {
      least = std::min(least, segment.unissued);
    }
  }
  return least;
}

template <typename Self, typename Visitor>
void BurstIntake::visit(Self& self, Visitor& v) {
  std::vector<std::uint32_t> live;
  for (std::uint32_t slot = 0; slot < self.segments_.size(); ++slot) {
    if (self.segments_[slot].live) live.push_back(slot);
  }
  std::ranges::sort(live, {}, [&](std::uint32_t slot) { return self.segments_[slot].order; });
  v.value(live.size());
  for (const std::uint32_t slot : live) {
    auto& segment = self.segments_[slot];
    v.value(self.opened_ - segment.order);
    v.value(segment.request.id);
    v.value(index_of(segment.request.traffic) << 2 | std::uint64_t{segment.request.write} << 1 |
            std::uint64_t{segment.announce});
    v.burst(segment.next_burst);
    v.burst(segment.end_burst);
    v.value(segment.moved_bursts);
    v.value(segment.unissued);
    v.value(segment.request.bytes);
  }
  v.moment(self.acceptance_);
  v.value(self.events_.size());
  for (auto& event : self.events_) {
    v.moment(event.time);
    v.value(event.id << 1 | static_cast<std::uint64_t>(event.kind));
  }
}

void BurstIntake::describe(StateReader& state) const { visit(*this, state); }
void BurstIntake::shift(const StateShift& shift) { visit(*this, shift); }

}  // namespace systole::memory
