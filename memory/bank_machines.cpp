#include "memory/bank_machines.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

/// The bits of `unit` in reverse: refreshes of ranks are spread over the interval in this order.
std::uint32_t reversed(std::uint32_t unit, std::uint32_t units) {
  std::uint32_t result = 0;
  for (std::uint32_t bit = 1; bit < units; bit <<= 1, unit >>= 1) result = result << 1 | (unit & 1);
  return result;
}

}  // namespace

BankMachines::BankMachines(const configs::DramConfig& config)
    : DramController(config),
      row_bus_(config.row_bus),
      bankwise_(config.controller.buffer == configs::BufferScope::bank),
      closed_(config.controller.page == configs::PagePolicy::closed),
      queue_size_{config.read_queue, config.write_queue},
      write_high_(static_cast<std::uint32_t>(
                      std::lround(config.controller.write_high * config.write_queue)) +
                  1),
      write_low_(static_cast<std::uint32_t>(
          std::lround(config.controller.write_low * config.write_queue))),
      banks_(config.banks()) {
  const auto refuse = [&](const char* what) {
    throw ConfigError("dram '" + config.name + "': " + what + " with bank-machines");
  };
  if (config.refresh != configs::RefreshMode::all_bank &&
      config.refresh != configs::RefreshMode::none) {
    refuse("refresh: expected all-bank or none");
  }
  if (config.controller.page == configs::PagePolicy::adaptive) {
    refuse("controller.page: expected open or closed");
  }
  write_high_ = std::min(write_high_, config.write_queue);
  write_low_ = std::min(write_low_, write_high_ - 1);
  restart((config.refi + 1) / 2);
}

void BankMachines::restart(Clock first_refresh) {
  SYSTOLE_CHECK(idle(), "restart of a channel with work in flight");
  const configs::DramConfig& t = device_.config();
  device_.restart();
  for (Bank& bank : banks_) bank = Bank{};
  busy_ = 0;
  waiting_ = {};
  last_bank_ = 0;
  direction_ = kRead;
  next_id_ = 1;
  bus_free_ = {};
  refresh_due_.assign(device_.units(), kNever);
  for (std::uint32_t u = 0; u < device_.units() && t.refresh != configs::RefreshMode::none; ++u) {
    const Clock earlier = reversed(u, device_.units()) * Clock{t.refi} / device_.units();
    refresh_due_[u] =
        first_refresh > earlier ? first_refresh - earlier : first_refresh + t.refi - earlier;
  }
  refreshing_ = 0;
  restart_rest();
  next_entry_ = clock_ = 0;
}

// --- entry -------------------------------------------------------------------------------------

bool BankMachines::admit(const Segment& segment, Clock now) {
  SYSTOLE_CHECK(now >= clock_, "a segment admitted in the past");
  advance(now);
  for (Clock& free : bus_free_) free = std::max(free, awake_from(now));
  const std::uint32_t slot = intake_.open(segment);
  enter(now, now);
  SegmentState& state = intake_.at(slot);
  state.announce = state.next_burst != state.end_burst;
  return !state.announce;
}

bool BankMachines::has_room() const {
  if (!bankwise_) {
    return waiting_[kRead] < queue_size_[kRead] && waiting_[kWrite] < queue_size_[kWrite];
  }
  return banks_[last_bank_].line[0].size() < queue_size_[kRead];
}

bool BankMachines::enterable() const {
  return has_room() && (intake_.waits(kRead) || intake_.waits(kWrite));
}

/// One request a clock; from `accepted` on its port knows.
void BankMachines::enter(Clock now, Clock accepted) {
  if (enterable() && now >= next_entry_) {
    next_entry_ = now + 1;
    std::uint32_t direction = intake_.waits(kRead) ? kRead : kWrite;
    if (intake_.waits(kRead) && intake_.waits(kWrite) &&
        intake_.at(intake_.front(kWrite)).order < intake_.at(intake_.front(kRead)).order) {
      direction = kWrite;
    }
    const std::uint32_t slot = intake_.front(direction);
    SegmentState& segment = intake_.at(slot);
    const DramLocation place = map_.locate(segment.next_burst++);
    banks_[place.bank].line[bankwise_ ? 0 : direction].push_back(
        {next_id_++, place.row, slot, static_cast<std::uint8_t>(direction)});
    last_bank_ = place.bank;
    ++waiting_[direction];
    intake_.counts().latency_clocks[direction] -= accepted;
    if (segment.next_burst == segment.end_burst) intake_.leave_line(direction, accepted);
    choose_direction();
    update(place.bank);
  }
}

void BankMachines::choose_direction() {
  if (bankwise_) return;
  const bool flips = direction_ == kWrite ? waiting_[kWrite] <= write_low_ && waiting_[kRead] != 0
                                          : waiting_[kWrite] >= write_high_ || waiting_[kRead] == 0;
  if (!flips) return;
  direction_ ^= 1u;
  for (std::uint32_t b = 0; b < banks_.size(); ++b) update(b);
}

// --- choice ------------------------------------------------------------------------------------

/// The oldest request for the open row, else the oldest.
const BankMachines::Request* BankMachines::oldest(const Bank& bank, std::uint32_t b) const {
  const auto& line = bank.line[bankwise_ ? 0 : direction_];
  if (line.empty()) return nullptr;
  if (device_.open(b)) {
    for (const Request& request : line) {
      if (request.row == device_.row(b)) return &request;
    }
  }
  return &line.front();
}

void BankMachines::update(std::uint32_t b) {
  Bank& bank = banks_[b];
  const std::uint64_t bit = std::uint64_t{1} << b;
  bank.want = Kind::none;
  busy_ &= ~bit;
  const Request* const next = oldest(bank, b);
  if (next == nullptr) return;
  const bool open = device_.open(b);
  if (!bank.keep || next->row == device_.row(b)) bank.current = *next;
  busy_ |= bit;
  if (!open) {
    bank.want = Kind::activate;
  } else {
    bank.want = bank.current.row == device_.row(b) ? Kind::column : Kind::precharge;
  }
}

BankMachines::Candidate BankMachines::candidate(std::uint32_t b, Clock from) const {
  const Bank& bank = banks_[b];
  const configs::DramConfig& t = device_.config();
  const Clock row_from = std::max(from, bus_free_[row_bus_ ? 1 : 0]);
  Clock time = kNever, slots = 1;
  switch (bank.want) {
    case Kind::activate:
      time = std::max(row_from, device_.activate_time(b));
      slots = t.activate_slots;
      break;
    case Kind::precharge:
      time = std::max(row_from, device_.precharge_time(b));
      slots = t.precharge_slots;
      break;
    case Kind::column:
      time = std::max({from, bus_free_[0], device_.column_time(b, bank.current.direction)});
      slots = t.column_slots;
      break;
    default:
      break;
  }
  return {time, time + slots, bank.current.id, bank.want, b};
}

BankMachines::Candidate BankMachines::refresh_candidate(std::uint32_t unit, Clock from) const {
  const std::uint64_t banks = device_.unit_mask(unit);
  const bool open = (banks & device_.open_mask()) != 0;
  const Clock gate = open ? device_.precharge_all_time(banks) : device_.refresh_time(banks);
  const Clock time = std::max({from, bus_free_[row_bus_ ? 1 : 0], gate});
  return {time, time + device_.config().precharge_slots, 0, Kind::refresh, unit};
}

/// The command that goes at `at`, if one does; else `next`, the clock to look again.
bool BankMachines::choose(Clock at, Candidate& best, Clock& next) const {
  Candidate row, column;
  next = kNever;
  const auto consider = [&](const Candidate& c) {
    if (c.time > at) next = std::min(next, c.time);
    Candidate& of_bus = row_bus_ && c.kind == Kind::column ? column : row;
    if (c.end < of_bus.end || (c.end == of_bus.end && c.id < of_bus.id)) of_bus = c;
  };
  std::uint64_t banks = busy_;
  for (std::uint64_t left = refreshing_; left != 0; left &= left - 1) {
    consider(refresh_candidate(lowest(left), at));
    banks &= ~device_.unit_mask(lowest(left));
  }
  for (; banks != 0; banks &= banks - 1) consider(candidate(lowest(banks), at));
  const bool column_first =
      column.time < row.time || (column.time == row.time && column.id < row.id);
  best = column_first ? column : row;
  return best.time == at;
}

// --- commands ----------------------------------------------------------------------------------

void BankMachines::issue(const Candidate& c) {
  const configs::DramConfig& t = device_.config();
  bus_free_[row_bus_ && c.kind != Kind::column ? 1 : 0] = c.end;
  switch (c.kind) {
    case Kind::activate:
      device_.activate(c.index, banks_[c.index].current.row, c.time);
      banks_[c.index].keep = banks_[c.index].fresh = true;
      ++intake_.counts().activates;
      update(c.index);
      break;
    case Kind::precharge:
      device_.precharge(c.index, c.time);
      banks_[c.index].keep = false;
      update(c.index);
      break;
    case Kind::column:
      issue_column(c.index, c.time);
      break;
    case Kind::refresh: {
      const std::uint64_t banks = device_.unit_mask(c.index);
      if ((banks & device_.open_mask()) != 0) {
        device_.precharge_all(banks, c.time);
      } else {
        device_.refresh(banks, c.time, t.rfc);
        ++intake_.counts().refreshes;
        refreshing_ &= ~(std::uint64_t{1} << c.index);
      }
      for (std::uint64_t left = banks; left != 0; left &= left - 1) {
        banks_[lowest(left)].keep = false;
        update(lowest(left));
      }
      break;
    }
    case Kind::none:
      SYSTOLE_CHECK(false, "a command of no kind");
  }
}

void BankMachines::issue_column(std::uint32_t b, Clock at) {
  Bank& bank = banks_[b];
  const Request request = bank.current;
  if (closed_) {
    device_.column_and_precharge(b, request.direction, at);
  } else {
    device_.column(b, request.direction, at);
  }
  ++(bank.fresh ? intake_.counts().row_misses : intake_.counts().row_hits);
  bank.keep = bank.fresh = false;
  auto& line = bank.line[bankwise_ ? 0 : request.direction];
  line.erase(
      std::find_if(line.begin(), line.end(), [&](const Request& r) { return r.id == request.id; }));
  --waiting_[request.direction];
  const Clock end = at + device_.data_end(request.direction);
  data_until(end);
  intake_.counts().latency_clocks[request.direction] += end;
  intake_.issued(request.segment, request.direction, 1, end);
  choose_direction();
  update(b);
  enter(at, at + 1);
}

void BankMachines::begin_refreshes(Clock at) {
  for (std::uint32_t u = 0; u < refresh_due_.size(); ++u) {
    if (refresh_due_[u] > at || (refreshing_ >> u & 1) != 0) continue;
    refreshing_ |= std::uint64_t{1} << u;
    refresh_due_[u] += device_.config().refi;
  }
}

/// With nothing to do until `limit` but refresh: all but the last of those that fall due.
void BankMachines::skip_idle_time(Clock limit) {
  if (intake_.active() || refreshing_ != 0 || device_.open_mask() != 0) return;
  const Clock refi = device_.config().refi;
  for (std::uint32_t u = 0; u < refresh_due_.size(); ++u) {
    if (refresh_due_[u] >= limit || device_.refresh_time(device_.unit_mask(u)) > refresh_due_[u]) {
      continue;
    }
    const std::uint64_t more = (limit - 1 - refresh_due_[u]) / refi;
    intake_.counts().refreshes += more;
    refresh_due_[u] += more * refi;
  }
}

void BankMachines::advance(Clock limit, bool to_acceptance) {
  while (clock_ < limit) {
    if (to_acceptance) {
      limit = std::min(limit, std::max(clock_, intake_.acceptance()));
      if (clock_ >= limit) break;
    }
    skip_idle_time(limit);
    begin_refreshes(clock_);
    enter(clock_, clock_ + 1);
    Candidate best;
    Clock next = kNever;
    if (choose(clock_, best, next)) {
      issue(best);
      continue;
    }
    for (const Clock due : refresh_due_) next = std::min(next, std::max(due, clock_ + 1));
    if (enterable()) next = std::min(next, next_entry_);
    clock_ = std::min(next, limit);
  }
  if (!intake_.active()) rest_until(clock_);
}

Clock BankMachines::next_event() const {
  Clock next = intake_.first_event();
  if (!intake_.active()) return next;
  const configs::DramConfig& t = device_.config();
  Candidate best;
  Clock command = kNever;
  if (choose(clock_, best, command)) command = clock_;
  for (const Clock due : refresh_due_) command = std::min(command, std::max(due, clock_));
  for (const std::uint32_t direction : {std::uint32_t{kRead}, std::uint32_t{kWrite}}) {
    const std::uint64_t fewest = intake_.fewest_left(direction);
    if (fewest == kNever) continue;
    if (enterable()) command = std::min(command, next_entry_);
    const auto column = [&](std::uint64_t columns) {
      return command + (columns - 1) * t.ccd_s / t.pseudo_channels;
    };
    next = std::min(next, column(fewest) + device_.data_end(direction));
    if (!intake_.waits(direction)) continue;
    const SegmentState& front = intake_.at(intake_.front(direction));
    // One enters a clock, from now on or from the next command on.
    const Clock first = enterable() ? std::max(clock_, next_entry_) : command;
    next = std::min(next, first + (front.end_burst - front.next_burst));
  }
  return std::max(next, intake_.first_event() == next ? next : clock_ + 1);
}

bool BankMachines::equivalent(const BankMachines& other, Clock now) const {
  const auto gate = [now](Clock a, Clock b) { return std::max(a, now) == std::max(b, now); };
  if (!idle() || !other.idle() || clock_ < now || other.clock_ < now) return false;
  if (refresh_due_ != other.refresh_due_ || refreshing_ != other.refreshing_ ||
      direction_ != other.direction_ || (bankwise_ && last_bank_ != other.last_bank_) ||
      !gate(next_entry_, other.next_entry_) || !gate(bus_free_[0], other.bus_free_[0]) ||
      !gate(bus_free_[1], other.bus_free_[1])) {
    return false;
  }
  if (!rests_alike(other)) return false;
  for (std::uint32_t b = 0; b < banks_.size(); ++b) {
    if (device_.open(b) && banks_[b].fresh != other.banks_[b].fresh) return false;
  }
  return device_.equivalent(other.device_, now);
}

}  // namespace systole::memory
