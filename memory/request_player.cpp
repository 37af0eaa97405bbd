#include "memory/request_player.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace systole::memory {

namespace {

constexpr std::uint64_t kLongestSegment = 64;  // bursts
constexpr Clock kLongestLook = 1 << 16;        // clocks between looks where nothing is refreshed

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

/// At an acceptance, with all commands before `now_` decided.
void RequestPlayer::seek_period(RequestSource& source) {
  const DramCounts& counts = channel_.counts();
  const std::uint64_t refreshes = counts.refreshes + counts.bank_refreshes;
  if (refreshes == refreshes_ && now_ - looked_ < kLongestLook) return;
  refreshes_ = refreshes;
  looked_ = now_;
  if (!ahead_) return;
  const auto repeats = source.repeats();
  const std::uint32_t bits = channel_.map().burst_bits();
  const std::uint64_t period_bursts = channel_.period_bytes() >> bits;
  const std::uint64_t burst = ahead_->address >> bits;
  StateReader state({now_, burst, channel_.map().locate(burst).row});
  if (!repeats || states_.given_up() || !channel_.describe(state)) {
    seeks_ = false;
    return;
  }
  state.value(burst % period_bursts);
  state.value(requests_ % repeats->requests);
  state.value(ahead_->bytes << 1 | static_cast<std::uint64_t>(ahead_->write));
  state.value(static_cast<std::uint64_t>(write_));
  state.burst(next_burst_);
  state.burst(end_burst_);
  state.value(std::bit_cast<std::uint64_t>(earliest_ - static_cast<double>(now_)));
  const std::int64_t found = states_.find_or_keep(state.words());
  if (found < 0) {
    passed_.push_back({now_, requests_, burst, next_offer_, counts});
    return;
  }
  const Passed& then = passed_[static_cast<std::size_t>(found)];
  const std::uint64_t requests = requests_ - then.requests;
  const std::uint64_t bursts = burst - then.burst;
  const Clock clocks = now_ - then.now;
  // What the schedule once held up it might not hold up again; where it falls behind, it never
  // will.
  const double offers = next_offer_ - then.next_offer;
  if (requests % repeats->requests != 0 || held_by_schedule_ >= then.requests ||
      offers > static_cast<double>(clocks) ||
      bursts << bits != requests / repeats->requests * repeats->bytes) {
    return;
  }
  // The end of the source is looked at ahead.
  constexpr std::uint64_t kAhead = 2 * kLongestSegment;
  const std::uint64_t times = repeats->left < kAhead ? 0 : (repeats->left - kAhead) / requests;
  if (times == 0) return;
  DramCounts more = counts;
  more -= then.counts;
  more *= times;
  const std::uint32_t row = channel_.map().locate(burst).row;
  const std::uint32_t rows = channel_.map().locate(burst + times * bursts).row - row;
  channel_.repeat(StateShift(times * clocks, times * bursts, rows), more);
  source.skip(times * requests);
  ahead_->address += times * bursts << bits;
  next_burst_ += times * bursts;
  end_burst_ += times * bursts;
  requests_ += times * requests;
  repeated_ += times * requests;
  next_offer_ += static_cast<double>(times) * offers;
  earliest_ += static_cast<double>(times * clocks);
  now_ += times * clocks;
  // Data ends in every period.
  if (more.read_bursts != 0) last_read_ += times * clocks;
  if (more.write_bursts != 0) last_write_ += times * clocks;
  seeks_ = false;
}

bool RequestPlayer::play(RequestSource& source, Clock limit) {
  const std::uint32_t bits = channel_.map().burst_bits();
  while (!ended_) {
    if (waiting_) {
      while (!wait_for_acceptance(limit)) {
        if (now_ >= limit) return false;  // else it was a part of the segment that was accepted
      }
      if (seeks_) seek_period(source);
      if (now_ >= limit) return false;
    }
    if (!fill(source)) {
      ended_ = true;
      break;
    }
    const auto offer = static_cast<Clock>(std::max(next_offer_, earliest_));
    const Clock at = std::max({now_, offer, not_before_});
    if (next_offer_ > std::max(earliest_, static_cast<double>(now_))) held_by_schedule_ = requests_;
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
