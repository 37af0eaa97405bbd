#include "memory/shared_window.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

std::uint32_t page_limit_of(const configs::DramControllerConfig& c, std::uint32_t none) {
  switch (c.page) {
    case configs::PagePolicy::open:
      return none;
    case configs::PagePolicy::closed:
      return 0;
    case configs::PagePolicy::adaptive:
      return c.page_accesses;
  }
  return none;
}

}  // namespace

SharedWindow::SharedWindow(const configs::DramConfig& config, bool bulk)
    : DramController(config),
      bulk_(bulk),
      release_at_activate_(config.controller.release == configs::WindowRelease::activate),
      row_bus_(config.row_bus ? 1 : 0),
      align_(config.command_align),
      queue_size_{config.read_queue, config.write_queue},
      write_high_(static_cast<std::uint32_t>(
                      std::floor(config.controller.write_high * config.write_queue)) +
                  1),
      write_low_(static_cast<std::uint32_t>(
          std::max(0.0, std::ceil(config.controller.write_low * config.write_queue) - 1))),
      longest_turn_{std::uint64_t{config.controller.read_turn} * config.read_queue,
                    std::uint64_t{config.controller.write_turn} * config.write_queue},
      page_limit_(page_limit_of(config.controller, kNoLimit)),
      prioritised_(config.controller.priority != decltype(config.controller.priority){}),
      banks_(config.banks()) {
  // A queue too small for its watermarks still turns: full, it is written; empty, it is read.
  write_high_ = std::min(write_high_, config.write_queue);
  write_low_ = std::min(write_low_, write_high_ - 1);
  for (std::uint32_t b = 0; b < config.banks(); ++b) {
    candidates_.group[b] = static_cast<std::uint8_t>(device_.group_of(b));
  }
  restart((config.refi + 1) / 2);
}

void SharedWindow::restart(Clock first_refresh) {
  SYSTOLE_CHECK(idle(), "restart of a channel with work in flight");
  device_.restart();
  for (Bank& bank : banks_) bank = Bank{};
  hit_mask_ = row_mask_ = owner_mask_ = close_mask_ = 0;
  direction_ = kRead;
  turn_ = 0;
  passed_over_ = {};
  cut_short_ = false;
  bus_free_ = {};
  activating_ = kNone;
  second_activate_from_ = second_activate_by_ = data_clock_stops_ = 0;
  refresh_due_ = first_refresh;
  const configs::DramConfig& t = device_.config();
  if (t.refresh == configs::RefreshMode::none) refresh_due_ = kNever;
  if (t.refresh == configs::RefreshMode::per_bank || t.refresh == configs::RefreshMode::same_bank) {
    refresh_due_ =
        first_refresh % t.refi_bank + (first_refresh % t.refi_bank == 0 ? t.refi_bank : 0);
  }
  refreshing_ = 0;
  refresh_next_ = 0;
  restart_rest();
  next_age_ = kFirstAge;
  plan_.valid = false;
  row_choice_known_ = false;
  now_ = limit_ = 0;
}

// --- entry -------------------------------------------------------------------------------------

bool SharedWindow::admit(const Segment& segment, Clock now) {
  SYSTOLE_CHECK(now >= limit_, "a segment admitted in the past");
  advance(now);
  plan_.valid = false;
  now_ = std::max(now_, now);
  for (Clock& free : bus_free_) free = std::max(free, awake_from(now));
  const std::uint32_t direction = segment.write ? kWrite : kRead;
  const std::uint32_t slot = intake_.open(segment);
  enter(direction, queue_size_[direction] - queued_[direction], now, 0);
  SegmentState& state = intake_.at(slot);
  if (!state.live) return true;
  state.announce = state.next_burst != state.end_burst;
  return !state.announce;
}

/// Up to `room` bursts enter, the first at `first`, the others `spacing` apart.
void SharedWindow::enter(std::uint32_t direction, std::uint64_t room, Clock first, Clock spacing) {
  while (room > 0 && intake_.waits(direction)) {
    const std::uint32_t slot = intake_.front(direction);
    SegmentState& segment = intake_.at(slot);
    if (growing_[direction] == kNone) append_run(direction, slot, first);
    const std::uint64_t entering = std::min(room, growing_end_[direction] - segment.next_burst);
    runs_[static_cast<std::size_t>(growing_[direction])].bursts +=
        static_cast<std::uint32_t>(entering);
    queued_[direction] += static_cast<std::uint32_t>(entering);
    intake_.counts().latency_clocks[direction] -=
        entering * first + spacing * (entering * (entering - 1) / 2);
    segment.next_burst += entering;
    room -= entering;
    first += spacing * entering;
    if (segment.next_burst == growing_end_[direction]) growing_[direction] = kNone;
    if (segment.next_burst == segment.end_burst) intake_.leave_line(direction, first - spacing);
  }
}

void SharedWindow::append_run(std::uint32_t direction, std::uint32_t slot, Clock now) {
  const SegmentState& segment = intake_.at(slot);
  const std::uint64_t burst = segment.next_burst;
  const DramLocation place = map_.locate(burst);
  const configs::DramControllerConfig& c = device_.config().controller;
  const std::int32_t index = new_run();
  const std::uint64_t ahead =
      std::uint64_t{c.priority[index_of(segment.request.traffic)]} * queue_size_[kRead];
  runs_[static_cast<std::size_t>(index)] = {next_age_++ - ahead, now, place.row, 0, slot, kNone};
  Bank& bank = banks_[place.bank];
  const bool first = bank.head[direction] == kNone;
  if (first) {
    bank.head[direction] = index;
  } else {
    runs_[static_cast<std::size_t>(bank.tail[direction])].next = index;
  }
  bank.tail[direction] = index;
  growing_[direction] = index;
  const std::uint64_t lump = map_.lump_bursts();
  growing_end_[direction] = std::min((burst / lump + 1) * lump, segment.end_burst);
  if (direction != direction_) return;
  // Behind others it matters only where it is the first of the open row.
  const bool may_hit = bank.hit == kNone && device_.open(place.bank);
  if (first || may_hit) update_candidate(place.bank);
}

std::int32_t SharedWindow::new_run() {
  if (free_runs_.empty()) {
    runs_.emplace_back();
    return static_cast<std::int32_t>(runs_.size() - 1);
  }
  const std::int32_t index = free_runs_.back();
  free_runs_.pop_back();
  return index;
}

/// Takes `bursts` off a run of the bank; an empty one leaves the line.
void SharedWindow::take(std::uint32_t b, std::int32_t index, std::uint32_t direction,
                        std::uint32_t bursts) {
  Bank& bank = banks_[b];
  Run& run = runs_[static_cast<std::size_t>(index)];
  run.bursts -= bursts;
  if (run.bursts > 0) return;
  std::int32_t before = kNone;
  if (bank.head[direction] == index) {
    bank.head[direction] = run.next;
  } else {
    before = bank.head[direction];
    while (runs_[static_cast<std::size_t>(before)].next != index) {
      before = runs_[static_cast<std::size_t>(before)].next;
    }
    runs_[static_cast<std::size_t>(before)].next = run.next;
  }
  if (bank.tail[direction] == index) bank.tail[direction] = before;
  if (growing_[direction] == index) growing_[direction] = kNone;
  free_runs_.push_back(index);
}

/// `bursts` left their queue, the first at `first`: as many enter, each the clock after.
void SharedWindow::left(std::uint32_t direction, std::uint32_t bursts, Clock first, Clock spacing) {
  queued_[direction] -= bursts;
  const std::uint32_t other = direction ^ 1u;
  passed_over_[direction] = 0;
  passed_over_[other] = queued_[other] == 0 ? 0 : passed_over_[other] + bursts;
  if (queued_[direction_ ^ 1u] == 0) {
    turn_ = 0;
    cut_short_ = false;
  } else if (direction == direction_) {
    turn_ += bursts;
  }
  enter(direction, bursts, first + 1, spacing);
}

/// What the bank would do next in the current direction.
void SharedWindow::update_candidate(std::uint32_t b) {
  Bank& bank = banks_[b];
  if ((row_mask_ & bit(b)) != 0) row_choice_known_ = false;
  hit_mask_ &= ~bit(b);
  row_mask_ &= ~bit(b);
  bank.hit = kNone;
  std::int32_t index = bank.head[direction_];
  if (index == kNone) return;
  const Run& head = runs_[static_cast<std::size_t>(index)];
  candidates_.head_age[b] = head.age;
  if (static_cast<std::int32_t>(b) == activating_) return;
  if (!device_.open(b)) {
    row_mask_ |= bit(b);
    row_choice_known_ = false;
    candidates_.row_gate[b] = std::max(device_.bank_activate_time(b), head.arrived);
    return;
  }
  const std::uint32_t cap = device_.config().controller.row_hit_cap;
  const bool may_pass = cap == 0 || bank.passed < cap;
  const std::uint32_t row = device_.row(b);
  while (index != kNone && runs_[static_cast<std::size_t>(index)].row != row) {
    index = may_pass ? runs_[static_cast<std::size_t>(index)].next : kNone;
  }
  bank.hit = index;
  if (index != kNone) {
    const Run& hit = runs_[static_cast<std::size_t>(index)];
    hit_mask_ |= bit(b);
    candidates_.hit_age[b] = hit.age;
    candidates_.column_gate[b] = std::max(device_.bank_column_time(b, direction_), hit.arrived);
    if (hit.arrived <= head.arrived) return;  // an older one needs the row
  }
  if ((owner_mask_ & bit(b)) != 0) return;
  row_mask_ |= bit(b);
  row_choice_known_ = false;
  candidates_.row_gate[b] = std::max(device_.bank_precharge_time(b), head.arrived);
}

void SharedWindow::update_all() {
  for (std::uint32_t b = 0; b < banks_.size(); ++b) update_candidate(b);
}

// --- direction ---------------------------------------------------------------------------------

/// The other direction has waited for as long as it may.
bool SharedWindow::turn_is_over() const {
  const std::uint64_t longest = longest_turn_[direction_];
  return longest != 0 && passed_over_[direction_ ^ 1u] >= longest;
}

bool SharedWindow::direction_flips() const {
  const std::uint32_t other = direction_ ^ 1u;
  if (queued_[other] == 0) return false;
  const bool own_turn = !cut_short_ || turn_ >= queue_size_[direction_];
  const bool long_turn = turn_is_over();
  if (direction_ == kRead) {
    return queued_[kRead] == 0 || long_turn || (queued_[kWrite] >= write_high_ && own_turn);
  }
  return long_turn || (queued_[kWrite] <= write_low_ && (own_turn || queued_[kWrite] == 0));
}

/// How many more bursts of the current direction certainly leave before it hands over to the
/// waiting other one, if nothing is admitted meanwhile. Only while `direction_flips()` is false.
std::uint64_t SharedWindow::turn_left() const {
  const std::uint64_t size = queue_size_[direction_];
  const std::uint64_t longest = longest_turn_[direction_];
  std::uint64_t left = longest == 0 ? kNever : longest - passed_over_[direction_ ^ 1u];
  const std::uint64_t own = cut_short_ && turn_ < size ? size - turn_ : 0;
  if (direction_ == kRead) {
    if (queued_[kWrite] >= write_high_) left = std::min(left, own);
    return std::min<std::uint64_t>(left, queued_[kRead]);
  }
  const std::uint64_t above = queued_[kWrite] > write_low_ ? queued_[kWrite] - write_low_ : 0;
  return std::min(left, std::min<std::uint64_t>(std::max(above, own), queued_[kWrite]));
}

void SharedWindow::choose_direction() {
  if (!direction_flips()) return;
  cut_short_ = direction_ == kWrite ? queued_[kWrite] > write_low_ : queued_[kWrite] < write_high_;
  cut_short_ = turn_is_over() || (cut_short_ && queued_[direction_] > 0);
  direction_ ^= 1u;
  turn_ = 0;
  update_all();
}

// --- choice ------------------------------------------------------------------------------------

SharedWindow::Choice SharedWindow::best_owner() const {
  // Registers until the end: a Choice written field by field and read whole waits for memory.
  Clock best = kNever;
  std::uint32_t bank = 0;
  std::uint64_t best_age = 0;
  const Clock bus = column_bus();
  std::uint64_t left = owner_mask_;
  if (activating_ != kNone) left &= ~bit(static_cast<std::uint32_t>(activating_));
  for (; left != 0; left &= left - 1) {
    const std::uint32_t b = lowest(left);
    const Owner& owner = banks_[b].owner;
    const Clock time = aligned(std::max(bus, device_.column_time(b, owner.direction)));
    if (time < best || (time == best && owner.age < best_age)) {
      best = time;
      bank = b;
      best_age = owner.age;
    }
  }
  return {best, best == kNever ? Kind::none : Kind::owner, bank};
}

SharedWindow::Choice SharedWindow::best_row() const {
  Clock best = kNever;
  std::uint32_t bank = 0;
  std::uint64_t best_age = 0;
  const Clock bus = row_bus();
  std::uint64_t left = row_mask_;
  if (activating_ != kNone) left &= device_.open_mask();
  for (; left != 0; left &= left - 1) {
    const std::uint32_t b = lowest(left);
    const Clock own = std::max(bus, candidates_.row_gate[b]);
    const Clock time = device_.open(b) ? std::max(own, device_.unit_precharge_gate(b))
                                       : aligned(std::max(own, device_.activate_gate(b)));
    const std::uint64_t age = candidates_.head_age[b];
    if (time < best || (time == best && age < best_age)) {
      best = time;
      bank = b;
      best_age = age;
    }
  }
  return {best, best == kNever ? Kind::none : Kind::row, bank};
}

void SharedWindow::find_column() {
  ColumnChoice& choice = plan_.column;
  choice = {};
  if (hit_mask_ == 0) return;
  std::array<Clock, DramDevice::kMaxBanks> gates, times;
  device_.column_gates(direction_, column_bus(), gates.data());
  // The earliest, then the oldest of those: each pass takes minima without branching, since which
  // bank wins is beyond prediction.
  Clock best = kNever;
  std::size_t banks = 0;
  for (std::uint64_t left = hit_mask_; left != 0; left &= left - 1) {
    const std::uint32_t b = lowest(left);
    const Clock time = aligned(std::max(candidates_.column_gate[b], gates[candidates_.group[b]]));
    times[banks++] = time;
    best = std::min(best, time);
  }
  std::uint64_t oldest = kNever;  // age and bank in one number; those that are later sort behind
  banks = 0;
  for (std::uint64_t left = hit_mask_; left != 0; left &= left - 1) {
    const std::uint32_t b = lowest(left);
    const auto later = static_cast<std::uint64_t>(times[banks++] != best);
    oldest = std::min(oldest, later << 63 | candidates_.hit_age[b] << kBankBits | b);
  }
  choice.time = best;
  choice.bank = static_cast<std::uint32_t>(oldest & ((1u << kBankBits) - 1));
}

SharedWindow::Choice SharedWindow::best_page_close() const {
  Choice best;
  for (std::uint64_t left = close_mask_ & ~owner_mask_; left != 0; left &= left - 1) {
    const std::uint32_t b = lowest(left);
    const Clock time = std::max(row_bus(), device_.precharge_time(b));
    if (time < best.time) best = {time, Kind::page_close, b};
  }
  return best;
}

/// Among bursts that can go at the same clock: the oldest, on one bus.
bool SharedWindow::row_before(const Choice& row, const ColumnChoice& column) const {
  if (row.time != column.time) return row.time < column.time;
  return row_bus_ == 0 && candidates_.head_age[row.bank] < candidates_.hit_age[column.bank];
}

/// `limit`: what is admitted from there on is not known yet.
void SharedWindow::make_plan(Clock limit) {
  const bool known = std::min(column_bus(), row_bus()) < limit;
  const Choice owner = owner_mask_ != 0 ? best_owner() : Choice{};
  Choice next = owner, row;
  if (refreshing_ != 0) {
    plan_.column = {};
    const Choice refresh = next_refresh();
    if (refresh.time < next.time) next = refresh;
  } else {
    // A clock that an owner takes is not one at which the others are looked at.
    if ((row_bus_ != 0 || owner.time != column_bus()) && known) choose_direction();
    find_column();
    // Columns seldom change anything for the rows: the last choice stands until something does, or
    // until the bus is taken beyond it.
    if (!row_choice_known_ || row_choice_.time < row_bus()) row_choice_ = best_row();
    row_choice_known_ = true;
    row = row_choice_;
    if (close_mask_ != 0) {
      const Choice close = best_page_close();
      if (close.time < next.time) next = close;
    }
    const bool row_first = row_before(row, plan_.column);
    const Clock time = row_first ? row.time : plan_.column.time;
    if (time < next.time || (row_bus_ != 0 && !row_first && time == next.time && time != kNever &&
                             next.kind == Kind::page_close)) {
      next = row_first ? row : Choice{time, Kind::column, plan_.column.bank};
    }
  }
  plan_.next = next;

  plan_.row = row;
  plan_.valid = known;
}

// --- commands ----------------------------------------------------------------------------------

void SharedWindow::issue(const Choice& choice) {
  now_ = choice.time;
  if (choice.kind != Kind::column && choice.kind != Kind::owner) row_choice_known_ = false;
  switch (choice.kind) {
    case Kind::owner:
      return issue_owner(choice.bank, choice.time);
    case Kind::page_close:
      return close_page(choice.bank, choice.time);
    case Kind::refresh:
      return issue_refresh(choice.time);
    case Kind::column:
      return issue_hit(choice.bank, choice.time);
    case Kind::row:
      return issue_row(choice.bank, choice.time);
    case Kind::none:
      break;
  }
  SYSTOLE_CHECK(false, "a command of no kind");
}

void SharedWindow::close_page(std::uint32_t b, Clock at) {
  device_.precharge(b, at);
  occupy(row_bus_, at, device_.config().precharge_slots);
  close_mask_ &= ~bit(b);
  update_candidate(b);
}

void SharedWindow::issue_row(std::uint32_t b, Clock at) {
  if (device_.open(b)) return close_page(b, at);
  const configs::DramConfig& t = device_.config();
  Bank& bank = banks_[b];
  const std::int32_t index = bank.head[direction_];
  const Run& run = runs_[static_cast<std::size_t>(index)];
  device_.activate(b, run.row, at);
  occupy(row_bus_, at, t.activate_slots);
  ++intake_.counts().activates;
  bank.passed = 0;
  bank.accesses = 0;
  bank.owner = {run.age, run.segment, static_cast<std::uint8_t>(direction_)};
  owner_mask_ |= bit(b);
  if (t.split_activate != 0) {
    activating_ = static_cast<std::int32_t>(b);
    second_activate_from_ = at + 1;
    second_activate_by_ = at + t.split_activate;
  }
  take(b, index, direction_, 1);
  update_candidate(b);
  if (release_at_activate_) left(direction_, 1, at, 0);
}

/// ACT-2 takes a clock that nothing else wants, or its last one. Says whether it went.
bool SharedWindow::second_activate(Clock next, Clock limit) {
  const Clock slot = std::max(row_bus(), second_activate_from_);
  if (slot >= limit || (next <= slot && slot < second_activate_by_)) return false;
  const auto b = static_cast<std::uint32_t>(activating_);
  activating_ = kNone;
  row_choice_known_ = false;
  now_ = slot;
  occupy(row_bus_, slot, 1);
  update_candidate(b);
  return true;
}

/// Where the data clock has stopped, a CAS takes the clock and the command itself the next.
Clock SharedWindow::start_data_clock(std::uint32_t direction, Clock at) {
  const configs::DramConfig& t = device_.config();
  if (t.wck_off == 0) return at;
  if (at >= data_clock_stops_) ++at;
  data_clock_stops_ = std::max(data_clock_stops_, at + device_.data_end(direction) + t.wck_off);
  return at;
}

/// A column command and what it closes.
void SharedWindow::access(std::uint32_t b, std::uint32_t direction, Clock at) {
  Bank& bank = banks_[b];
  if (bank.accesses >= page_limit_) {
    device_.column_and_precharge(b, direction, at);
    bank.accesses = 0;
    close_mask_ &= ~bit(b);
  } else {
    device_.column(b, direction, at);
    ++bank.accesses;
    if (bank.accesses >= page_limit_) close_mask_ |= bit(b);
  }
  occupy(0, at, device_.config().column_slots);
  const Clock end = at + device_.data_end(direction);
  data_until(end);
  intake_.counts().latency_clocks[direction] += end;
  now_ = at;
}

void SharedWindow::issue_owner(std::uint32_t b, Clock at) {
  const Owner owner = banks_[b].owner;
  const std::uint32_t direction = owner.direction;
  at = start_data_clock(direction, at);
  owner_mask_ &= ~bit(b);
  access(b, direction, at);
  ++intake_.counts().row_misses;
  intake_.issued(owner.segment, direction, 1, at + device_.data_end(direction));
  update_candidate(b);
  if (!release_at_activate_) left(direction, 1, at, 0);
}

void SharedWindow::issue_hit(std::uint32_t b, Clock at) {
  Bank& bank = banks_[b];
  at = start_data_clock(direction_, at);
  access(b, direction_, at);
  ++intake_.counts().row_hits;
  const std::int32_t hit = bank.hit;
  intake_.issued(runs_[static_cast<std::size_t>(hit)].segment, direction_, 1,
                 at + device_.data_end(direction_));
  bank.passed = hit == bank.head[direction_] ? 0 : bank.passed + 1;
  take(b, hit, direction_, 1);
  update_candidate(b);
  left(direction_, 1, at, 0);
}

// --- bulk --------------------------------------------------------------------------------------

/// How many more bursts of the current direction can enter without a run that needs a row command.
std::uint64_t SharedWindow::hits_ahead(std::uint64_t wanted) const {
  if (!intake_.waits(direction_)) return wanted;
  const SegmentState& segment = intake_.at(intake_.front(direction_));
  std::uint64_t burst =
      growing_[direction_] == kNone ? segment.next_burst : growing_end_[direction_];
  const std::uint64_t lump = map_.lump_bursts();
  while (burst < segment.end_burst && burst - segment.next_burst < wanted) {
    const DramLocation place = map_.locate(burst);
    const Bank& bank = banks_[place.bank];
    const bool behind = bank.hit != kNone && bank.hit == bank.head[direction_];
    const bool hit = bank.head[direction_] == kNone && device_.open(place.bank) &&
                     device_.row(place.bank) == place.row;
    if (!behind && !hit) break;
    burst = std::min((burst / lump + 1) * lump, segment.end_burst);
  }
  // Beyond this segment the next one would have to be asked: leave that to the single step.
  return std::min(wanted, burst - segment.next_burst);
}

/// A steady stream: the oldest hit and the oldest hit of another bank group alternate at tCCD_S (or
/// one of them repeats, where the standard has no bank groups or no other group waits). Issues as
/// many as provably follow that pattern before `end`; nothing younger can interfere, nothing older
/// exists. Returns whether it issued any.
bool SharedWindow::issue_bulk(const ColumnChoice& choice, Clock end) {
  const configs::DramConfig& t = device_.config();
  if (device_.units() > 1 || page_limit_ != kNoLimit || activating_ != kNone || align_ != 1 ||
      prioritised_ || (t.wck_off != 0 && choice.time >= data_clock_stops_)) {
    return false;
  }
  // A burst whose activate is done goes first as soon as its bank is ready, not before.
  for (std::uint64_t left = owner_mask_; left != 0; left &= left - 1) {
    const std::uint32_t b = lowest(left);
    end = std::min(end, device_.bank_column_time(b, banks_[b].owner.direction));
  }
  const Clock short_gap = t.ccd_s, long_gap = device_.column_spacing(direction_);
  if (choice.time + short_gap >= end) return false;  // not even two
  // Banks that are not ready for the first two bursts stay out until they are.
  std::uint64_t ready = 0, oldest_age = kNever, second_age = kNever;
  std::uint32_t oldest = 0;
  std::int32_t second = kNone;  // the oldest hit outside the oldest one's group
  for (std::uint64_t left = hit_mask_; left != 0; left &= left - 1) {
    const std::uint32_t b = lowest(left);
    const Clock gate = candidates_.column_gate[b];
    if (gate > choice.time + short_gap) {
      end = std::min(end, gate);
      continue;
    }
    ready |= bit(b);
    if (candidates_.hit_age[b] < oldest_age) {
      oldest_age = candidates_.hit_age[b];
      oldest = b;
    }
  }
  if (ready == 0 || choice.time + short_gap >= end) return false;
  const std::uint8_t oldest_group = candidates_.group[oldest];
  for (std::uint64_t left = ready; left != 0; left &= left - 1) {
    const std::uint32_t b = lowest(left);
    if (candidates_.group[b] != oldest_group && candidates_.hit_age[b] < second_age) {
      second_age = candidates_.hit_age[b];
      second = static_cast<std::int32_t>(b);
    }
  }
  const bool alone = second == kNone || long_gap == short_gap;
  if (alone ? choice.bank != oldest : long_gap > 2 * short_gap) return false;
  const std::uint32_t first = choice.bank;
  std::uint32_t other = first;
  if (!alone) {
    const auto beside = static_cast<std::uint32_t>(second);
    if (first != oldest && first != beside) return false;
    other = first == oldest ? beside : oldest;
  }
  // A lone group at tCCD_L leaves slots that a burst of another group could take as soon as it
  // enters.
  if (second == kNone && long_gap != short_gap && intake_.waits(direction_)) return false;
  // The bank that is finished first must not precharge before the other's last command.
  if (device_.recovery(direction_) < short_gap) return false;
  const Clock step = alone ? (second == kNone ? long_gap : short_gap) : 2 * short_gap;
  const Bank& a = banks_[first];
  const Bank& b = banks_[other];
  const std::uint32_t width = alone ? 1 : 2;
  // Only the head of its bank is served in bulk (nobody is passed), and no run that is still
  // growing.
  if (a.hit != a.head[direction_] || b.hit != b.head[direction_]) return false;
  if (intake_.waits(direction_) &&
      (a.hit == growing_[direction_] || b.hit == growing_[direction_])) {
    return false;
  }
  if (!alone && std::max(candidates_.column_gate[other],
                         device_.group_column_gate(device_.group_of(other), direction_)) >
                    choice.time + short_gap) {
    return false;
  }
  Run& run_a = runs_[static_cast<std::size_t>(a.hit)];
  Run& run_b = runs_[static_cast<std::size_t>(b.hit)];
  std::uint64_t rounds = std::min(run_a.bursts, run_b.bursts);
  const Clock tail = alone ? 0 : short_gap;
  if (choice.time + tail >= end) return false;
  if (choice.time + tail + (rounds - 1) * step >= end) {
    rounds = (end - 1 - tail - choice.time) / step + 1;
  }
  if (queued_[direction_ ^ 1u] > 0) rounds = std::min(rounds, turn_left() >> (width - 1));
  if (rounds * width < 2) return false;
  rounds = std::min(rounds, hits_ahead(rounds * width) >> (width - 1));
  if (rounds * width < 2) return false;

  const auto bursts = static_cast<std::uint32_t>(rounds);
  const auto serve = [&](std::uint32_t bank_index, Clock from) {
    Bank& bank = banks_[bank_index];
    const Clock last = from + (rounds - 1) * step;
    device_.column(bank_index, direction_, last, rounds, step);
    bank.passed = 0;
    bank.accesses += bursts;
    intake_.counts().row_hits += bursts;
    const Clock end_of_data = device_.data_end(direction_);
    intake_.counts().latency_clocks[direction_] +=
        rounds * (from + end_of_data) + step * (rounds * (rounds - 1) / 2);
    intake_.issued(runs_[static_cast<std::size_t>(bank.hit)].segment, direction_, bursts,
                   last + end_of_data);
    data_until(last + end_of_data);
    now_ = last;
    take(bank_index, bank.hit, direction_, bursts);
  };
  const Clock from = choice.time;
  serve(first, from);
  if (!alone) serve(other, from + short_gap);
  occupy(0, now_, t.column_slots);
  if (t.wck_off != 0) {
    data_clock_stops_ =
        std::max(data_clock_stops_, now_ + device_.data_end(direction_) + t.wck_off);
  }
  update_candidate(first);
  if (!alone) update_candidate(other);
  left(direction_, bursts * width, from, alone ? step : short_gap);
  return true;
}

// --- refresh and idle time ---------------------------------------------------------------------

void SharedWindow::begin_refresh() {
  const configs::DramConfig& t = device_.config();
  switch (t.refresh) {
    case configs::RefreshMode::all_bank:
      refreshing_ = (std::uint64_t{1} << device_.units()) - 1;
      refresh_due_ += t.refi;
      break;
    case configs::RefreshMode::per_bank:
    case configs::RefreshMode::same_bank:
      refreshing_ = 1;
      refresh_due_ += t.refi_bank;
      break;
    case configs::RefreshMode::none:
      break;
  }
}

/// The banks that are refreshed next, together.
std::uint64_t SharedWindow::refresh_banks() const {
  const configs::DramConfig& t = device_.config();
  if (t.refresh == configs::RefreshMode::all_bank) return device_.unit_mask(lowest(refreshing_));
  if (t.refresh == configs::RefreshMode::per_bank) return bit(refresh_next_);
  const std::uint32_t unit = refresh_next_ / t.banks_per_group;
  std::uint64_t banks = 0;
  for (std::uint32_t g = 0; g < t.bank_groups; ++g) {
    banks |=
        bit((unit * t.bank_groups + g) * t.banks_per_group + refresh_next_ % t.banks_per_group);
  }
  return banks;
}

SharedWindow::Choice SharedWindow::next_refresh() const {
  const std::uint64_t banks = refresh_banks();
  if ((owner_mask_ & banks) != 0) return {};
  const bool open = (device_.open_mask() & banks) != 0;
  const Clock time = open ? std::max(row_bus(), device_.precharge_all_time(banks))
                          : aligned(std::max(row_bus(), device_.refresh_time(banks)));
  return {time, Kind::refresh, 0};
}

void SharedWindow::issue_refresh(Clock at) {
  const configs::DramConfig& t = device_.config();
  const std::uint64_t banks = refresh_banks();
  row_choice_known_ = false;
  occupy(row_bus_, at, t.precharge_slots);
  if ((device_.open_mask() & banks) != 0) {
    if (std::has_single_bit(banks)) {
      device_.precharge(lowest(banks), at);
    } else {
      device_.precharge_all(banks, at);
    }
    close_mask_ &= ~banks;
  } else {
    const bool all = t.refresh == configs::RefreshMode::all_bank;
    device_.refresh(banks, at, all ? t.rfc : t.rfc_bank);
    refreshing_ &= refreshing_ - 1;
    if (all) {
      ++intake_.counts().refreshes;
    } else {
      ++intake_.counts().bank_refreshes;
      const bool per_bank = t.refresh == configs::RefreshMode::per_bank;
      const std::uint32_t round = per_bank ? t.banks() : t.banks_per_group * t.units();
      refresh_next_ = (refresh_next_ + 1) % round;
    }
  }
  for (std::uint64_t left = banks; left != 0; left &= left - 1) update_candidate(lowest(left));
}

/// Nothing waits: the refreshes that fall due before `limit`, those of a long pause in closed form,
/// and power-down.
void SharedWindow::pass_idle_time(Clock limit) {
  const configs::DramConfig& t = device_.config();
  while (true) {
    if (refreshing_ != 0) {
      const Choice refresh = next_refresh();
      if (refresh.time >= limit) break;
      now_ = refresh.time;
      issue_refresh(refresh.time);
      continue;
    }
    if (refresh_due_ >= limit) break;
    if (t.refresh == configs::RefreshMode::all_bank && device_.open_mask() == 0 &&
        device_.refresh_time(device_.unit_mask(0)) <= refresh_due_) {
      const std::uint64_t more = (limit - 1 - refresh_due_) / t.refi;
      intake_.counts().refreshes += more * device_.units();
      device_.record_idle_refreshes(refresh_due_, more);
      refresh_due_ += more * t.refi;
    }
    now_ = std::max(now_, refresh_due_);
    begin_refresh();
  }
  rest_until(limit);
}

void SharedWindow::advance(Clock limit, bool to_acceptance) {
  if (limit <= limit_) return;
  while (true) {
    if (to_acceptance) limit = std::min(limit, intake_.acceptance());
    if (queued_[kRead] + queued_[kWrite] == 0 && owner_mask_ == 0) {
      pass_idle_time(limit);
      plan_.valid = false;
      break;
    }
    if (!plan_.valid) make_plan(limit);
    const Choice next = plan_.next;
    if (activating_ != kNone && second_activate(next.time, limit)) {
      plan_.valid = false;
      continue;
    }
    if (refreshing_ == 0 && std::min(next.time, limit) >= refresh_due_) {
      if (refresh_due_ >= limit) break;
      now_ = std::max(now_, refresh_due_);
      begin_refresh();
      plan_.valid = false;
      continue;
    }
    if (next.time >= limit) break;
    const configs::DramConfig& t = device_.config();
    if (activating_ != kNone && t.wck_off != 0 && next.time >= data_clock_stops_ &&
        (next.kind == Kind::owner || next.kind == Kind::column) &&
        second_activate_by_ <= next.time + 1) {
      second_activate(kNever, limit);  // a CAS would take its last clock
      plan_.valid = false;
      continue;
    }
    plan_.valid = false;
    const bool bulk = bulk_ && next.kind == Kind::column && refreshing_ == 0;
    if (bulk) {
      const ColumnChoice column = plan_.column;
      if (issue_bulk(column, std::min({limit, refresh_due_, plan_.row.time}))) continue;
    }
    issue(next);
  }
  limit_ = limit;
}

bool SharedWindow::equivalent(const SharedWindow& other, Clock now) const {
  const auto gate = [now](Clock a, Clock b) { return std::max(a, now) == std::max(b, now); };
  if (!idle() || !other.idle() || limit_ < now || other.limit_ < now) return false;
  if (refresh_due_ != other.refresh_due_ || refreshing_ != other.refreshing_ ||
      refresh_next_ != other.refresh_next_ || direction_ != other.direction_ ||
      cut_short_ != other.cut_short_ || close_mask_ != other.close_mask_) {
    return false;
  }
  const std::uint64_t turn = queue_size_[direction_];
  if (cut_short_ && std::min(turn_, turn) != std::min(other.turn_, turn)) return false;
  if (passed_over_ != other.passed_over_) return false;
  if (!gate(now_, other.now_) || !gate(bus_free_[0], other.bus_free_[0]) ||
      !gate(bus_free_[1], other.bus_free_[1]) ||
      !gate(data_clock_stops_, other.data_clock_stops_)) {
    return false;
  }
  if (!rests_alike(other)) return false;
  for (std::size_t b = 0; b < banks_.size(); ++b) {
    if (!device_.open(static_cast<std::uint32_t>(b))) continue;
    if (banks_[b].passed != other.banks_[b].passed) return false;
    if (page_limit_ != kNoLimit && banks_[b].accesses != other.banks_[b].accesses) return false;
  }
  return device_.equivalent(other.device_, now);
}

// --- steady state ------------------------------------------------------------------------------

template <typename Self, typename Visitor>
void SharedWindow::visit(Self& self, Visitor& v) {
  visit_common(self, v);
  const auto age = [&](std::uint64_t of) { v.value(self.next_age_ - of); };
  const auto segment = [&](std::uint32_t slot) { v.value(self.intake_.since(slot)); };
  for (std::uint32_t b = 0; b < self.banks_.size(); ++b) {
    auto& bank = self.banks_[b];
    for (const std::int32_t head : bank.head) {
      for (std::int32_t r = head; r != kNone; r = self.runs_[static_cast<std::size_t>(r)].next) {
        auto& run = self.runs_[static_cast<std::size_t>(r)];
        age(run.age);
        segment(run.segment);
        v.moment(run.arrived);
        v.row(run.row);
        v.value(run.bursts);
      }
      v.value(kNever);  // the end of a line
    }
    if (self.device_.open(b)) v.value(bank.passed);
    if (self.page_limit_ != kNoLimit) v.value(bank.accesses);
    if ((self.owner_mask_ & self.bit(b)) != 0) {
      age(bank.owner.age);
      segment(bank.owner.segment);
      v.value(bank.owner.direction);
    }
    if ((self.hit_mask_ & self.bit(b)) != 0) v.gate(self.candidates_.column_gate[b]);
    if ((self.row_mask_ & self.bit(b)) != 0) v.gate(self.candidates_.row_gate[b]);
  }
  for (const std::uint32_t d : {std::uint32_t{kRead}, std::uint32_t{kWrite}}) {
    v.value(self.queued_[d]);
    v.value(self.passed_over_[d]);
    v.value(std::uint64_t{self.growing_[d] != kNone});
    if (self.growing_[d] == kNone) continue;
    age(self.runs_[static_cast<std::size_t>(self.growing_[d])].age);
    v.burst(self.growing_end_[d]);
  }
  for (const std::uint64_t mask :
       {self.hit_mask_, self.row_mask_, self.owner_mask_, self.close_mask_}) {
    v.value(mask);
  }
  v.value(self.direction_);
  v.value(self.turn_);
  v.value(std::uint64_t{self.cut_short_});
  for (auto& free : self.bus_free_) v.gate(free);
  v.value(static_cast<std::uint64_t>(self.activating_));
  v.gate(self.second_activate_from_);
  v.gate(self.second_activate_by_);
  v.gate(self.data_clock_stops_);
  v.moment(self.refresh_due_);
  v.value(self.refreshing_);
  v.value(self.refresh_next_);
  v.gate(self.now_);
  v.moment(self.limit_);
}

void SharedWindow::describe(StateReader& state) const { visit(*this, state); }

void SharedWindow::repeat(const StateShift& shift, const DramCounts& more) {
  visit(*this, shift);
  intake_.counts() += more;
  plan_.valid = false;
  row_choice_known_ = false;
}

// --- bounds ------------------------------------------------------------------------------------

/// No burst number `bursts` (1 = the next) can leave its queue before this.
Clock SharedWindow::leave_bound(std::uint64_t bursts) const {
  const configs::DramConfig& t = device_.config();
  const Clock first = plan_.valid ? plan_.next.time : 0;
  const Clock start = std::max({limit_, now_, first == kNever ? 0 : first});
  // In d clocks a unit's bursts leave with at most d / ccd_s + 1 columns, and with at most
  // d / rrd_s + 1 and 4 d / faw + 4 activates.
  const std::uint64_t units = t.units();
  const auto clocks = [&](std::uint64_t at_once, std::uint64_t activates, Clock window) -> Clock {
    if (bursts <= at_once * units) return 0;
    const std::uint64_t rate = (window + activates * t.ccd_s) * units;
    return (bursts - at_once * units) * t.ccd_s * window / rate;
  };
  // A refresh of one bank in the middle of others' work makes activates of its waiting hits.
  const bool steady =
      t.refresh == configs::RefreshMode::all_bank || t.refresh == configs::RefreshMode::none;
  return steady ? start + std::max(clocks(2, 1, t.rrd_s), clocks(5, 4, t.faw))
                : std::max(limit_, now_);
}

/// No column command number `columns` (1 = the next) of `direction` can be earlier than this.
Clock SharedWindow::column_bound(std::uint32_t direction, std::uint64_t columns) const {
  const configs::DramConfig& t = device_.config();
  Clock start = std::max(limit_, now_);
  if (plan_.valid) {
    if (plan_.next.time != kNever) start = std::max(start, plan_.next.time);
    std::uint64_t owned = owner_mask_;
    for (; owned != 0; owned &= owned - 1) {
      if (banks_[lowest(owned)].owner.direction == direction) break;
    }
    const bool flips = direction_flips();
    if (owned == 0 && direction == direction_ && !flips && refreshing_ == 0) {
      const Clock rcd = direction == kRead ? t.rcd_read : t.rcd_write;
      const Clock early = rcd - std::min<Clock>(rcd, t.column_slots);
      const Clock opened = plan_.row.time == kNever ? kNever : plan_.row.time + early;
      const Clock soonest = std::min(plan_.column.time, opened);
      if (soonest != kNever) start = std::max(start, soonest);
    } else if (owned == 0 && direction != direction_ && !flips && queued_[direction_] > 0) {
      // The other direction goes on at least until it hands over.
      start = std::max(start, leave_bound(turn_left()));
    }
  }
  return start + (columns - 1) * t.ccd_s / t.pseudo_channels;
}

Clock SharedWindow::next_event() const {
  Clock next = intake_.first_event();
  if (!intake_.active()) return next;
  for (const std::uint32_t direction : {std::uint32_t{kRead}, std::uint32_t{kWrite}}) {
    const std::uint64_t fewest = intake_.fewest_left(direction);
    if (fewest == kNever) continue;
    next = std::min(next, column_bound(direction, fewest) + device_.data_end(direction));
    if (intake_.waits(direction)) {
      const SegmentState& front = intake_.at(intake_.front(direction));
      next = std::min(next, leave_bound(front.end_burst - front.next_burst) + 1);
    }
  }
  return next;
}

}  // namespace systole::memory
