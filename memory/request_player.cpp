#include "memory/request_player.hpp"

#include <algorithm>
#include <cmath>

namespace systole::memory {

namespace {

constexpr std::uint64_t kLongestSegment = 64;  // bursts

}  // namespace

/// The next bursts to offer: those of a request, and of the requests that continue it while the
/// port waits anyway. False at the end of the source.
bool RequestPlayer::fill(RequestSource& source) {
  if (next_burst_ != end_burst_) return true;
  const std::uint32_t bits = channel_.map().burst_bits();
  if (!ahead_) ahead_ = source.next();
  if (!ahead_) return false;
  write_ = ahead_->write;
  not_before_ = ahead_->not_before;
  next_burst_ = end_burst_ = ahead_->address >> bits;
  const bool saturates = interval_ <= 1 && channel_.full(write_);
  do {
    const std::uint64_t end = ((ahead_->address + ahead_->bytes - 1) >> bits) + 1;
    end_burst_ = end;
    ++requests_;
    ahead_ = source.next();
  } while (saturates && ahead_ && ahead_->write == write_ &&
           ahead_->address >> bits == end_burst_ && ahead_->not_before <= now_ &&
           end_burst_ - next_burst_ < kLongestSegment);
  return true;
}

void RequestPlayer::serve() {
  while (const auto event = channel_.pop(now_)) {
    if (event->kind == SegmentEvent::Kind::accepted) {
      waiting_ = false;
      earliest_ = std::max(earliest_, static_cast<double>(event->time)) + spacing_;
    } else if (event->id == kRead) {
      last_read_ = event->time;
    } else {
      last_write_ = event->time;
    }
  }
}

bool RequestPlayer::wait_for_acceptance(Clock limit) {
  now_ = channel_.advance_to_acceptance(limit);
  serve();
  return !waiting_;
}

bool RequestPlayer::play(RequestSource& source, Clock limit) {
  const std::uint32_t bits = channel_.map().burst_bits();
  while (!ended_) {
    if (waiting_ && !wait_for_acceptance(limit)) return false;
    if (!fill(source)) {
      ended_ = true;
      break;
    }
    const auto offer = static_cast<Clock>(std::max(next_offer_, earliest_));
    const Clock at = std::max({now_, offer, not_before_});
    if (at >= limit) {
      now_ = limit;
      channel_.advance(limit);
      serve();
      return false;
    }
    now_ = at;
    channel_.advance(at);
    serve();
    const bool saturates = interval_ <= 1 && channel_.full(write_);
    const std::uint64_t bursts = saturates ? end_burst_ - next_burst_ : 1;
    Segment segment;
    segment.id = write_ ? kWrite : kRead;
    segment.write = write_;
    segment.address = next_burst_ << bits;
    segment.bytes = bursts << bits;
    next_burst_ += bursts;
    waiting_ = !channel_.admit(segment, at);
    next_offer_ += interval_ * static_cast<double>(bursts);
    if (!waiting_) earliest_ = std::max(earliest_, static_cast<double>(at)) + spacing_;
  }
  while (!channel_.idle()) {
    const Clock next = std::min(limit, std::max(channel_.next_event(), now_ + 1));
    now_ = next;
    channel_.advance(now_);
    serve();
    if (now_ >= limit && !channel_.idle()) return false;
  }
  return true;
}

}  // namespace systole::memory
