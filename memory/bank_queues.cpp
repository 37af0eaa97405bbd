#include "memory/bank_queues.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

constexpr std::uint32_t kNoLimit = std::numeric_limits<std::uint32_t>::max();

}  // namespace

BankQueues::BankQueues(const configs::DramConfig& config)
    : DramController(config),
      row_bus_(config.row_bus),
      queue_size_{config.read_queue, config.write_queue},
      bank_queue_(config.controller.bank_queue),
      page_limit_(config.controller.page == configs::PagePolicy::open ? kNoLimit
                  : config.controller.page == configs::PagePolicy::closed
                      ? 1
                      : config.controller.page_accesses),
      banks_(config.banks()) {
  if (config.refresh != configs::RefreshMode::all_bank &&
      config.refresh != configs::RefreshMode::none) {
    throw ConfigError("dram '" + config.name +
                      "': refresh: expected all-bank or none with per-bank-queues");
  }
  restart((config.refi + 1) / 2);
}

void BankQueues::restart(Clock first_refresh) {
  SYSTOLE_CHECK(idle(), "restart of a channel with work in flight");
  device_.restart();
  for (Bank& bank : banks_) bank = Bank{};
  busy_ = 0;
  turn_ = 0;
  draining_ = 0;
  may_move_ = false;
  refresh_due_ = device_.config().refresh == configs::RefreshMode::none ? kNever : first_refresh;
  refreshing_.clear();
  next_unit_ = 0;
  restart_rest();
  wake_at_ = clock_ = 0;
}

// --- entry -------------------------------------------------------------------------------------

bool BankQueues::admit(const Segment& segment, Clock now) {
  SYSTOLE_CHECK(now >= clock_, "a segment admitted in the past");
  advance(now);
  wake_at_ = std::max(wake_at_, awake_from(now));
  const std::uint32_t slot = intake_.open(segment);
  enter(segment.write ? kWrite : kRead, now);
  SegmentState& state = intake_.at(slot);
  state.announce = state.next_burst != state.end_burst;
  return !state.announce;
}

void BankQueues::enter(std::uint32_t direction, Clock now) {
  while (waiting_[direction].size() < queue_size_[direction] && intake_.waits(direction)) {
    const std::uint32_t slot = intake_.front(direction);
    SegmentState& segment = intake_.at(slot);
    const DramLocation place = map_.locate(segment.next_burst++);
    waiting_[direction].push_back(
        {place.bank, place.row, slot, static_cast<std::uint8_t>(direction)});
    intake_.counts().latency_clocks[direction] -= now;
    may_move_ = true;
    if (segment.next_burst == segment.end_burst) intake_.leave_line(direction, now);
  }
}

// --- commands ----------------------------------------------------------------------------------

void BankQueues::update(std::uint32_t b) {
  Bank& bank = banks_[b];
  bank.hit = {-1, -1};
  bank.may_precharge = false;
  const std::uint64_t bit = std::uint64_t{1} << b;
  if (bank.queue.empty()) {
    busy_ &= ~bit;
    return;
  }
  busy_ |= bit;
  if (!device_.open(b)) return;
  const std::uint32_t row = device_.row(b);
  for (std::size_t i = bank.queue.size(); i-- > 0;) {
    if (bank.queue[i].row == row) bank.hit[bank.queue[i].direction] = static_cast<std::int32_t>(i);
  }
  const bool hits = bank.hit[kRead] >= 0 || bank.hit[kWrite] >= 0;
  bank.may_precharge = bank.queue.front().row != row && (!hits || bank.accesses >= kRowHitLimit);
}

/// The bank's earliest command; of those ready at the same clock the first in its queue.
BankQueues::Command BankQueues::command_of(std::uint32_t b) const {
  const Bank& bank = banks_[b];
  const Clock from = std::max(clock_, wake_at_);
  if (!device_.open(b)) {
    return {std::max(from, device_.activate_time(b)), Kind::activate, b, 0};
  }
  Command best;
  if (bank.may_precharge) {
    best = {std::max(from, device_.precharge_time(b)), Kind::precharge, b, 0};
  }
  for (const std::uint32_t direction : {std::uint32_t{kRead}, std::uint32_t{kWrite}}) {
    if (bank.hit[direction] < 0) continue;
    const auto position = static_cast<std::size_t>(bank.hit[direction]);
    const Clock time = std::max(from, device_.column_time(b, direction));
    if (time < best.time || (time == best.time && position < best.position)) {
      best = {time, Kind::column, b, position};
    }
  }
  return best;
}

Clock BankQueues::earliest_command() const {
  std::uint64_t banks = busy_;
  if (!refreshing_.empty()) banks &= ~device_.unit_mask(refreshing_.front());
  Clock earliest = kNever;
  for (; banks != 0; banks &= banks - 1) {
    earliest = std::min(earliest, command_of(lowest(banks)).time);
  }
  return earliest;
}

/// The first bank after the one served last that has a command ready; it is served now.
std::optional<BankQueues::Command> BankQueues::next_in_turn(Clock at) {
  std::uint64_t banks = busy_;
  if (!refreshing_.empty()) banks &= ~device_.unit_mask(refreshing_.front());
  const std::uint64_t upto = turn_ == 63 ? ~std::uint64_t{0} : (std::uint64_t{2} << turn_) - 1;
  for (std::uint64_t part : {banks & ~upto, banks & upto}) {
    for (; part != 0; part &= part - 1) {
      const Command command = command_of(lowest(part));
      if (command.time > at) continue;
      turn_ = command.bank;
      return command;
    }
  }
  return std::nullopt;
}

bool BankQueues::closes(const Bank& bank) const {
  return page_limit_ != kNoLimit && bank.accesses + 1 >= page_limit_;
}

void BankQueues::issue(const Command& command) {
  const std::uint32_t b = command.bank;
  Bank& bank = banks_[b];
  const Clock at = command.time;
  switch (command.kind) {
    case Kind::activate:
      device_.activate(b, bank.queue.front().row, at);
      bank.accesses = 0;
      ++intake_.counts().activates;
      break;
    case Kind::precharge:
      device_.precharge(b, at);
      break;
    case Kind::column: {
      const Request request = bank.queue[command.position];
      const Clock end = at + device_.data_end(request.direction);
      ++(bank.accesses == 0 ? intake_.counts().row_misses : intake_.counts().row_hits);
      if (closes(bank)) {
        device_.column_and_precharge(b, request.direction, at);
      } else {
        device_.column(b, request.direction, at);
      }
      ++bank.accesses;
      bank.queue.erase(bank.queue.begin() + static_cast<std::ptrdiff_t>(command.position));
      intake_.counts().latency_clocks[request.direction] += end;
      intake_.issued(request.segment, request.direction, 1, end);
      data_until(end);
      may_move_ = true;
      break;
    }
    case Kind::none:
      SYSTOLE_CHECK(false, "a command of no kind");
  }
  update(b);
}

// --- refresh -----------------------------------------------------------------------------------

/// When the front rank's next precharge or its refresh can go.
Clock BankQueues::refresh_step_time() const {
  const std::uint64_t banks = device_.unit_mask(refreshing_.front());
  const std::uint64_t open = banks & device_.open_mask();
  if (open == 0) return std::max({clock_, wake_at_, device_.refresh_time(banks)});
  Clock time = kNever;
  for (std::uint64_t left = open; left != 0; left &= left - 1) {
    time = std::min(time, device_.precharge_time(lowest(left)));
  }
  return std::max({clock_, wake_at_, time});
}

void BankQueues::refresh_step(Clock at) {
  const std::uint64_t banks = device_.unit_mask(refreshing_.front());
  for (std::uint64_t left = banks & device_.open_mask(); left != 0; left &= left - 1) {
    const std::uint32_t b = lowest(left);
    if (device_.precharge_time(b) > at) continue;
    device_.precharge(b, at);
    update(b);
    return;
  }
  device_.refresh(banks, at, device_.config().rfc);
  ++intake_.counts().refreshes;
  refreshing_.pop_front();
}

// --- transactions ------------------------------------------------------------------------------

/// Whether a transaction can move now; finds it.
bool BankQueues::movable() {
  if (!may_move_) return false;
  auto& writes = waiting_[kWrite];
  if (draining_ == 0 &&
      (writes.size() >= queue_size_[kWrite] || (writes.size() > kFewWrites && busy_ == 0) ||
       (!writes.empty() && busy_ == 0 && waiting_[kRead].empty()))) {
    draining_ = writes.size();
  }
  const auto& queue = draining_ > 0 ? writes : waiting_[kRead];
  for (std::size_t i = 0; i < queue.size(); ++i) {
    if (banks_[queue[i].bank].queue.size() < bank_queue_) {
      mover_ = i;
      return true;
    }
  }
  may_move_ = false;
  return false;
}

void BankQueues::move(Clock at) {
  const std::uint32_t direction = draining_ > 0 ? kWrite : kRead;
  auto& queue = waiting_[direction];
  const Request request = queue[mover_];
  queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(mover_));
  if (direction == kWrite) --draining_;
  banks_[request.bank].queue.push_back(request);
  update(request.bank);
  enter(direction, at + 1);
}

void BankQueues::tick(Clock at) {
  if (at >= refresh_due_) {
    const configs::DramConfig& t = device_.config();
    refreshing_.push_back(next_unit_);
    next_unit_ = (next_unit_ + 1) % device_.units();
    refresh_due_ += t.refi / device_.units();
  }
  clock_ = at;
  std::optional<Command> first;
  if (!refreshing_.empty() && refresh_step_time() <= at) {
    refresh_step(at);
  } else {
    first = next_in_turn(at);
    if (first) {
      first->time = at;
      issue(*first);
    }
  }
  if (row_bus_ && first) {
    auto second = next_in_turn(at);
    if (second && (second->kind == Kind::column) != (first->kind == Kind::column)) {
      second->time = at;
      issue(*second);
    }
  }
  if (movable()) move(at);
  clock_ = at + 1;
}

/// With nothing to do until `limit` but refresh: all but the last of those that fall due.
void BankQueues::skip_idle_time(Clock limit) {
  if (intake_.active() || !refreshing_.empty() || device_.open_mask() != 0 ||
      refresh_due_ >= limit || device_.units() != 1 ||
      device_.refresh_time(device_.unit_mask(0)) > refresh_due_) {
    return;
  }
  const Clock refi = device_.config().refi;
  const std::uint64_t more = (limit - 1 - refresh_due_) / refi;
  intake_.counts().refreshes += more;
  device_.record_idle_refreshes(refresh_due_, more);
  refresh_due_ += more * refi;
}

void BankQueues::advance(Clock limit, bool to_acceptance) {
  while (clock_ < limit) {
    if (to_acceptance && (limit = std::min(limit, intake_.acceptance())) <= clock_) break;
    skip_idle_time(limit);
    Clock at = kNever;
    if (intake_.active()) {
      at = movable() ? std::max(clock_, wake_at_) : earliest_command();
    }
    if (!refreshing_.empty()) at = std::min(at, refresh_step_time());
    at = std::min(at, std::max(refresh_due_, clock_));
    if (at >= limit) {
      clock_ = limit;
      break;
    }
    tick(at);
  }
  if (!intake_.active()) rest_until(clock_);
}

Clock BankQueues::next_event() const {
  Clock next = intake_.first_event();
  if (!intake_.active()) return next;
  const configs::DramConfig& t = device_.config();
  Clock command = std::max(clock_, wake_at_);
  if (!may_move_) {
    Clock soonest = std::min(earliest_command(), std::max(refresh_due_, clock_));
    if (!refreshing_.empty()) soonest = std::min(soonest, refresh_step_time());
    command = std::max(command, soonest);
  }
  for (const std::uint32_t direction : {std::uint32_t{kRead}, std::uint32_t{kWrite}}) {
    const std::uint64_t fewest = intake_.fewest_left(direction);
    if (fewest == kNever) continue;
    next = std::min(
        next, command + (fewest - 1) * t.ccd_s / t.pseudo_channels + device_.data_end(direction));
    if (!intake_.waits(direction)) continue;
    const SegmentState& front = intake_.at(intake_.front(direction));
    next = std::min(next, command + (front.end_burst - front.next_burst));
  }
  return next;
}

bool BankQueues::equivalent(const BankQueues& other, Clock now) const {
  if (!idle() || !other.idle() || clock_ < now || other.clock_ < now) return false;
  if (refresh_due_ != other.refresh_due_ || refreshing_ != other.refreshing_ ||
      next_unit_ != other.next_unit_ || turn_ != other.turn_ || draining_ != other.draining_ ||
      std::max(wake_at_, now) != std::max(other.wake_at_, now)) {
    return false;
  }
  if (!rests_alike(other)) return false;
  for (std::uint32_t b = 0; b < banks_.size(); ++b) {
    if (device_.open(b) && banks_[b].accesses != other.banks_[b].accesses) return false;
  }
  return device_.equivalent(other.device_, now);
}

}  // namespace systole::memory
