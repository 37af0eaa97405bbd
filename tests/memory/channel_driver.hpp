// Drives a DramChannel without SystemC: offers segments in order, the next one at the acceptance of
// the last.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "memory/dram_channel.hpp"

namespace systole::memory {

struct Driven {
  std::vector<SegmentEvent> events;
  Clock end = 0;  ///< time of the last event
};

/// Offers `segments` back to back from clock `start` and runs until all are done.
inline Driven drive(DramChannel& channel, const std::vector<Segment>& segments, Clock start = 0) {
  Driven result;
  Clock now = start;
  std::size_t next = 0;
  bool waiting = false;
  while (next < segments.size() || !channel.idle()) {
    while (!waiting && next < segments.size()) waiting = !channel.admit(segments[next++], now);
    now = std::max(now, channel.next_event());
    channel.advance(now);
    while (const auto event = channel.pop(now)) {
      result.events.push_back(*event);
      result.end = event->time;
      if (event->kind == SegmentEvent::Kind::accepted) waiting = false;
    }
  }
  return result;
}

/// `bytes` from `address` as naturally aligned segments.
inline std::vector<Segment> stream(std::uint64_t address, std::uint64_t bytes, bool write = false,
                                   std::uint64_t segment_bytes = 2048) {
  std::vector<Segment> segments;
  for (std::uint64_t at = address; at < address + bytes; at += segment_bytes) {
    Segment s;
    s.id = segments.size();
    s.write = write;
    s.address = at;
    s.bytes = std::min(segment_bytes, address + bytes - at);
    segments.push_back(s);
  }
  return segments;
}

inline Clock completion(const Driven& driven, std::uint64_t id) {
  for (const SegmentEvent& event : driven.events) {
    if (event.id == id && event.kind == SegmentEvent::Kind::completed) return event.time;
  }
  return kNever;
}

}  // namespace systole::memory
