#include "memory/shared_channel.hpp"

#include <algorithm>

#include "sim/core/error.hpp"

namespace systole::memory {

SharedChannel::SharedChannel(const configs::DramConfig& config) : config_(config) {
  enter(std::make_shared<Lane>(DramChannel(config_)), 0);
}

SharedChannel::~SharedChannel() { std::erase(lane_->members, this); }

void SharedChannel::enter(const std::shared_ptr<Lane>& lane, std::size_t position) {
  if (lane_ == lane) return;
  if (lane_) std::erase(lane_->members, this);
  lane_ = lane;
  lane_->members.push_back(this);
  position_ = position;
}

bool SharedChannel::share(SharedChannel& other, Clock now) {
  if (recorder_ != nullptr || other.recorder_ != nullptr) return false;
  if (lane_ == other.lane_) return true;
  if (position_ != lane_->log.size() || other.position_ != other.lane_->log.size()) return false;
  if (!lane_->engine.equivalent(other.lane_->engine, now)) return false;
  more_ += lane_->engine.counts();
  more_ -= other.lane_->engine.counts();
  limit_ = std::max(limit_, now);
  enter(other.lane_, other.position_);
  return true;
}

/// Nobody else is here, and nobody may come any more: there is no need of a log.
bool SharedChannel::alone() {
  Lane& lane = *lane_;
  if (lane.members.size() > 1 || lane.open) return false;
  if (position_ != lane.log.size()) return false;
  if (position_ != 0) drop_log();
  return true;
}

void SharedChannel::run(DramChannel& engine, Entry& entry, std::vector<SegmentEvent>& events) {
  if (entry.call == Call::admit) {
    entry.accepted = engine.admit(entry.segment, entry.now);
    return;
  }
  engine.advance(entry.now);
  if (entry.call == Call::advance) return;
  while (const auto event = engine.pop(entry.now)) events.push_back(*event);
}

/// Goes on in another lane, in the same state: that of those who left at the same call, or a new
/// one.
void SharedChannel::leave() {
  for (const auto& [position, fork] : lane_->forks) {
    if (position != position_) continue;
    if (const std::shared_ptr<Lane> lane = fork.lock(); lane && lane->open) {
      enter(lane, 0);
      return;
    }
  }
  auto lane =
      std::make_shared<Lane>(position_ == lane_->log.size() ? lane_->engine : *lane_->earlier);
  if (position_ != lane_->log.size()) {
    std::vector<SegmentEvent> ignored;
    for (std::size_t i = 0; i < position_; ++i) {
      Entry entry = lane_->log[i];
      run(lane->engine, entry, ignored);
      ignored.clear();
    }
  }
  lane->open = true;
  lane_->forks.emplace_back(position_, lane);
  enter(lane, 0);
}

/// Keeps the log short: drops it when everybody has made all its calls, and has those who are far
/// behind leave.
void SharedChannel::trim() {
  Lane& lane = *lane_;
  const std::size_t length = lane.log.size();
  if (length < kShortLog) return;
  lane.open = false;
  if (length >= kLongLog) {
    const std::vector<SharedChannel*> members = lane.members;
    for (SharedChannel* member : members) {
      if (member->position_ != length) member->leave();
    }
  }
  for (const SharedChannel* member : lane.members) {
    if (member->position_ != length) return;
  }
  drop_log();
}

/// Everybody has made all of its calls.
void SharedChannel::drop_log() {
  for (SharedChannel* member : lane_->members) member->position_ = 0;
  lane_->log.clear();
  lane_->events.clear();
  lane_->forks.clear();
}

/// The log's entry of this call, which is the channel's next.
const SharedChannel::Entry& SharedChannel::make(Call call, Clock now, const Segment& segment) {
  while (position_ < lane_->log.size()) {
    const Entry& entry = lane_->log[position_];
    if (entry.now == now && entry.call == call &&
        (call != Call::admit || entry.segment == segment)) {
      ++position_;
      return entry;
    }
    if (entry.call == Call::advance && entry.now <= now) {
      ++position_;  // it advances as far itself
    } else {
      leave();
    }
  }
  trim();
  Lane& lane = *lane_;
  if (lane.log.empty()) {
    if (lane.earlier) {
      *lane.earlier = lane.engine;
    } else {
      lane.earlier = std::make_unique<DramChannel>(lane.engine);
    }
  }
  Entry& entry = lane.log.emplace_back();
  entry.segment = segment;
  entry.now = now;
  entry.call = call;
  entry.first_event = static_cast<std::uint32_t>(lane.events.size());
  run(lane.engine, entry, lane.events);
  entry.last_event = static_cast<std::uint32_t>(lane.events.size());
  ++position_;
  return entry;
}

bool SharedChannel::admit(const Segment& segment, Clock now) {
  limit_ = std::max(limit_, now);
  if (alone()) return lane_->engine.admit(segment, now);
  return make(Call::admit, now, segment).accepted;
}

void SharedChannel::advance(Clock now) {
  if (now <= limit_) return;
  limit_ = now;
  if (alone()) return lane_->engine.advance(now);
  make(Call::advance, now);
}

void SharedChannel::serve(Clock now, std::vector<SegmentEvent>& events) {
  limit_ = std::max(limit_, now);
  events.clear();
  if (alone()) {
    lane_->engine.advance(now);
    while (const auto event = lane_->engine.pop(now)) events.push_back(*event);
    return;
  }
  const Entry& entry = make(Call::serve, now);
  const auto first = lane_->events.begin();
  events.assign(first + entry.first_event, first + entry.last_event);
}

Clock SharedChannel::next_event() {
  if (alone() || position_ == 0) return settled().next_event();
  Entry& entry = lane_->log[position_ - 1];
  if (entry.next == kUnknown) {
    const Clock next = settled().next_event();
    if (position_ == 0) return next;  // it had to leave for that
    lane_->log[position_ - 1].next = next;
    return next;
  }
  return entry.next;
}

/// An engine in this channel's state.
DramChannel& SharedChannel::settled() {
  while (position_ != lane_->log.size()) leave();
  return lane_->engine;
}

DramCounts SharedChannel::counts() {
  DramCounts sum = settled().counts();
  return sum += more_;
}

void SharedChannel::restart() {
  SYSTOLE_CHECK(settled().idle(), "restart of a channel with work in flight");
  more_ = counts();
  limit_ = 0;
  enter(std::make_shared<Lane>(DramChannel(config_)), 0);
  lane_->engine.record_to(recorder_);
}

}  // namespace systole::memory
