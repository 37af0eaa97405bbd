#include "memory/dram_channel.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <string>
#include <utility>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::memory {

namespace {

void require(bool condition, const configs::DramConfig& config, const std::string& message) {
  if (!condition) throw ConfigError("dram '" + config.name + "': " + message);
}

configs::DramConfig checked(const configs::DramConfig& c) {
  const auto positive = [&](const char* field, std::uint32_t value) {
    require(value > 0, c, std::string(field) + ": expected a positive number, found 0");
  };
  require(c.clock_mhz > 0, c, "clock_mhz: expected a positive number");
  positive("burst_clocks", c.burst_clocks);
  positive("bank_groups", c.bank_groups);
  positive("banks_per_group", c.banks_per_group);
  positive("read_queue", c.read_queue);
  positive("write_queue", c.write_queue);
  positive("refi", c.refi);
  require(std::uint64_t{c.bank_groups} * c.banks_per_group <= 64, c,
          "bank_groups x banks_per_group: expected at most 64 banks");
  require(c.ccd_s >= c.burst_clocks, c,
          "ccd_s: expected at least burst_clocks (" + std::to_string(c.burst_clocks) + "), found " +
              std::to_string(c.ccd_s));
  require(c.ccd_l >= c.ccd_s, c,
          "ccd_l: expected at least ccd_s (" + std::to_string(c.ccd_s) + "), found " +
              std::to_string(c.ccd_l));
  require(c.rrd_l >= c.rrd_s, c,
          "rrd_l: expected at least rrd_s (" + std::to_string(c.rrd_s) + "), found " +
              std::to_string(c.rrd_l));
  // All banks close and open again between two refreshes; without that nothing would ever move.
  const std::uint64_t overhead = std::uint64_t{c.rfc} + c.rp + c.ras + c.wr + c.cwl +
                                 c.burst_clocks + std::max(c.rcd_read, c.rcd_write);
  require(c.refi > overhead, c,
          "refi: expected more than rfc and one row cycle (" + std::to_string(overhead) +
              "), found " + std::to_string(c.refi));
  return c;
}

}  // namespace

namespace {

template <typename Combine>
void combine(DramCounts& to, const DramCounts& from, Combine part) {
  part(to.activates, from.activates);
  part(to.read_bursts, from.read_bursts);
  part(to.write_bursts, from.write_bursts);
  part(to.refreshes, from.refreshes);
  part(to.row_hits, from.row_hits);
  part(to.row_misses, from.row_misses);
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

DramChannel::DramChannel(const configs::DramConfig& config, Bulk bulk)
    : t_(checked(config)),
      map_(config),
      bulk_(bulk == Bulk::on),
      write_high_(std::max(1u, static_cast<std::uint32_t>(config.write_queue * 4ull / 5))),
      write_low_(std::min(config.write_queue / 5, write_high_ - 1)),
      queue_size_{config.read_queue, config.write_queue},
      data_end_{Clock{config.cl} + config.burst_clocks, Clock{config.cwl} + config.burst_clocks},
      write_to_precharge_(Clock{config.cwl} + config.burst_clocks + config.wr),
      write_to_read_short_(Clock{config.cwl} + config.burst_clocks + config.wtr_s),
      write_to_read_long_(Clock{config.cwl} + config.burst_clocks + config.wtr_l) {
  banks_.resize(t_.banks());
  groups_.resize(t_.bank_groups);
  restart();
}

void DramChannel::restart() {
  SYSTOLE_CHECK(idle(), "restart of a channel with work in flight");
  for (std::uint32_t b = 0; b < banks_.size(); ++b) {
    banks_[b] = Bank{};
    banks_[b].group = b / t_.banks_per_group;
    candidates_.group[b] = static_cast<std::uint8_t>(banks_[b].group);
  }
  std::fill(groups_.begin(), groups_.end(), Group{});
  column_ready_ = {};
  act_ready_ = 0;
  window_gates_ = {};
  window_slot_ = 0;
  refresh_due_ = (t_.refi + 1) / 2;
  direction_ = kRead;
  turn_ = 0;
  cut_short_ = false;
  hit_mask_ = row_mask_ = candidates_.open = 0;
  candidates_.hit.fill(kNoHit);
  candidates_.group_hit.fill(kNoHit);
  planned_.valid = false;
  now_ = limit_ = 0;
}

bool DramChannel::admit(const Segment& segment, Clock now) {
  SYSTOLE_CHECK(segment.bytes > 0, "an empty segment");
  SYSTOLE_CHECK(segment.address <= std::numeric_limits<std::uint64_t>::max() - segment.bytes,
                "a segment beyond the address space");
  SYSTOLE_CHECK(now >= limit_, "a segment admitted in the past");
  advance(now);
  planned_.valid = false;
  now_ = std::max(now_, now);

  std::uint32_t slot;
  if (free_segments_.empty()) {
    slot = static_cast<std::uint32_t>(segments_.size());
    segments_.emplace_back();
  } else {
    slot = free_segments_.back();
    free_segments_.pop_back();
  }
  SegmentState& state = segments_[slot];
  state = SegmentState{};
  state.request = segment;
  state.next_burst = segment.address >> map_.burst_bits();
  state.end_burst = ((segment.address + segment.bytes - 1) >> map_.burst_bits()) + 1;
  state.moved_bursts = state.unissued = state.end_burst - state.next_burst;
  state.live = true;
  ++active_segments_;

  const std::uint32_t direction = segment.write ? kWrite : kRead;
  intake_[direction].push_back(slot);
  enter(direction, queue_size_[direction] - queued_[direction], now);
  state.announce = state.next_burst != state.end_burst;
  return !state.announce;
}

void DramChannel::enter(std::uint32_t direction, std::uint64_t room, Clock now) {
  auto& intake = intake_[direction];
  while (room > 0 && !intake.empty()) {
    const std::uint32_t slot = intake.front();
    SegmentState& segment = segments_[slot];
    if (growing_[direction] == kNone) append_run(direction, slot);
    const std::uint64_t entering = std::min(room, growing_end_[direction] - segment.next_burst);
    runs_[static_cast<std::size_t>(growing_[direction])].bursts +=
        static_cast<std::uint32_t>(entering);
    queued_[direction] += static_cast<std::uint32_t>(entering);
    segment.next_burst += entering;
    room -= entering;
    if (segment.next_burst == growing_end_[direction]) growing_[direction] = kNone;
    if (segment.next_burst == segment.end_burst) {
      intake.pop_front();
      if (segment.announce) {
        push_event({now + 1, SegmentEvent::Kind::accepted, segment.request.id});
      }
    }
  }
}

void DramChannel::append_run(std::uint32_t direction, std::uint32_t segment) {
  const std::uint64_t burst = segments_[segment].next_burst;
  const DramLocation place = map_.locate(burst);
  const std::int32_t index = new_run();
  runs_[static_cast<std::size_t>(index)] = {next_age_++, place.row, 0, segment, kNone};
  Bank& bank = banks_[place.bank];
  if (bank.tail[direction] == kNone) {
    bank.head[direction] = index;
  } else {
    runs_[static_cast<std::size_t>(bank.tail[direction])].next = index;
  }
  bank.tail[direction] = index;
  growing_[direction] = index;
  const std::uint64_t lump = map_.lump_bursts();
  growing_end_[direction] = std::min((burst / lump + 1) * lump, segments_[segment].end_burst);
  if (direction == direction_ && bank.hit == kNone) update_candidate(place.bank);
}

std::int32_t DramChannel::new_run() {
  if (free_runs_.empty()) {
    runs_.emplace_back();
    return static_cast<std::int32_t>(runs_.size() - 1);
  }
  const std::int32_t index = free_runs_.back();
  free_runs_.pop_back();
  return index;
}

void DramChannel::set_hit(std::uint32_t b, std::uint64_t hit) {
  if (candidates_.hit[b] == hit) return;
  candidates_.hit[b] = hit;
  const std::uint32_t group = candidates_.group[b];
  const std::uint64_t* banks = candidates_.hit.data() + group * t_.banks_per_group;
  candidates_.group_hit[group] = *std::min_element(banks, banks + t_.banks_per_group);
}

void DramChannel::update_candidate(std::uint32_t b) {
  Bank& bank = banks_[b];
  const std::uint64_t bit = std::uint64_t{1} << b;
  hit_mask_ &= ~bit;
  row_mask_ &= ~bit;
  candidates_.open = bank.open ? candidates_.open | bit : candidates_.open & ~bit;
  bank.hit = kNone;
  std::int32_t run = bank.head[direction_];
  if (run == kNone) return set_hit(b, kNoHit);
  candidates_.head_age[b] = runs_[static_cast<std::size_t>(run)].age;
  if (bank.open) {
    const bool may_pass = bank.passed < kRowHitCap;
    while (run != kNone && runs_[static_cast<std::size_t>(run)].row != bank.row) {
      run = may_pass ? runs_[static_cast<std::size_t>(run)].next : kNone;
    }
    bank.hit = run;
  }
  if (bank.hit == kNone) {
    row_mask_ |= bit;
    set_hit(b, kNoHit);
    candidates_.row_gate[b] = bank.open ? bank.pre_ready : bank.act_ready;
  } else {
    hit_mask_ |= bit;
    set_hit(b, runs_[static_cast<std::size_t>(bank.hit)].age * kMaxBanks + b);
    candidates_.column_gate[b] = bank.column_ready[direction_];
  }
}

bool DramChannel::direction_flips() const {
  if (direction_ == kRead) {
    return queued_[kWrite] > 0 &&
           (queued_[kRead] == 0 ||
            (queued_[kWrite] >= write_high_ && (!cut_short_ || turn_ >= queue_size_[kRead])));
  }
  return queued_[kRead] > 0 && (queued_[kWrite] <= write_low_ || turn_ >= longest_write_turn());
}

/// How many more bursts the current direction certainly moves before it hands over to the waiting
/// other one, if nothing is admitted meanwhile. Only while `direction_flips()` is false.
std::uint64_t DramChannel::turn_left() const {
  if (direction_ == kRead) {
    if (queued_[kWrite] < write_high_) return queued_[kRead];
    return std::min<std::uint64_t>(queued_[kRead], queue_size_[kRead] - turn_);
  }
  return std::min<std::uint64_t>(queued_[kWrite] - write_low_, longest_write_turn() - turn_);
}

void DramChannel::choose_direction() {
  if (!direction_flips()) return;
  cut_short_ = direction_ == kWrite && queued_[kWrite] > write_low_;
  direction_ ^= 1u;
  turn_ = 0;
  for (std::uint32_t b = 0; b < banks_.size(); ++b) update_candidate(b);
}

DramChannel::RowCommand DramChannel::next_row_command() const {
  RowCommand best;
  std::uint64_t best_age = 0;
  const Clock shared = std::max({now_, act_ready_, window_gates_[window_slot_]});
  for (std::uint64_t left = row_mask_; left != 0; left &= left - 1) {
    const auto b = static_cast<std::uint32_t>(std::countr_zero(left));
    const bool precharge = (candidates_.open >> b & 1) != 0;
    const Clock gate = precharge ? now_ : std::max(shared, groups_[candidates_.group[b]].act_ready);
    const Clock time = std::max(gate, candidates_.row_gate[b]);
    const std::uint64_t age = candidates_.head_age[b];
    if (time < best.time || (time == best.time && age < best_age)) {
      best = {time, b};
      best_age = age;
    }
  }
  return best;
}

Clock DramChannel::column_time(std::uint32_t b) const {
  const Clock shared = std::max(now_, column_ready_[direction_]);
  const Clock group = groups_[candidates_.group[b]].column_ready[direction_];
  return std::max({shared, group, candidates_.column_gate[b]});
}

DramChannel::ColumnChoice DramChannel::next_column() const {
  ColumnChoice choice;
  if (hit_mask_ == 0) return choice;
  std::uint64_t first = kNoHit, second_first = kNoHit;  // the oldest hits of two groups
  for (std::uint32_t g = 0; g < t_.bank_groups; ++g) {
    const std::uint64_t hit = candidates_.group_hit[g];
    second_first = std::min(second_first, std::max(first, hit));
    first = std::min(first, hit);
  }
  choice.oldest = static_cast<std::uint8_t>(first % kMaxBanks);
  const std::uint32_t group = candidates_.group[choice.oldest];
  const bool others = second_first != kNoHit;
  if (others) choice.second = static_cast<std::int8_t>(second_first % kMaxBanks);

  // Streams end here: nothing is earlier than the gate that all banks share, and of those that can
  // go then, the oldest goes; when its group waits, the oldest of the other groups.
  const Clock earliest = std::max(now_, column_ready_[direction_]);
  choice.bank = choice.oldest;
  choice.time = column_time(choice.oldest);
  if (choice.time == earliest) return choice;
  if (others && groups_[group].column_ready[direction_] > earliest) {
    const auto second = static_cast<std::uint8_t>(choice.second);
    if (column_time(second) == earliest) {
      choice.bank = second;
      choice.time = earliest;
      return choice;
    }
  }
  for (std::uint64_t left = hit_mask_; left != 0; left &= left - 1) {
    const auto b = static_cast<std::uint32_t>(std::countr_zero(left));
    const Clock time = column_time(b);
    if (time < choice.time ||
        (time == choice.time && candidates_.hit[b] < candidates_.hit[choice.bank])) {
      choice.time = time;
      choice.bank = static_cast<std::uint8_t>(b);
    }
  }
  return choice;
}

void DramChannel::issue_row(const RowCommand& command) {
  Bank& bank = banks_[command.bank];
  now_ = command.time;
  if (bank.open) {
    bank.open = false;
    bank.fresh = false;
    bank.act_ready = std::max(bank.act_ready, command.time + t_.rp);
    update_candidate(command.bank);
    return;
  }
  bank.open = true;
  bank.fresh = true;
  bank.passed = 0;
  bank.row = runs_[static_cast<std::size_t>(bank.head[direction_])].row;
  bank.act_ready = command.time + t_.rc;
  bank.pre_ready = command.time + t_.ras;
  bank.column_ready = {command.time + t_.rcd_read, command.time + t_.rcd_write};
  groups_[bank.group].act_ready = command.time + t_.rrd_l;
  act_ready_ = command.time + t_.rrd_s;
  window_gates_[window_slot_] = command.time + t_.faw;
  window_slot_ = (window_slot_ + 1) % 4;
  ++counts_.activates;
  update_candidate(command.bank);
}

/// Takes `bursts` from the bank's hit, the last of them issued at `last`; earlier ones left no gate
/// behind that the last one does not move further.
void DramChannel::take_bursts(std::uint32_t b, std::uint32_t bursts, Clock last) {
  Bank& bank = banks_[b];
  Run& run = runs_[static_cast<std::size_t>(bank.hit)];
  Group& group = groups_[bank.group];
  const std::uint32_t misses = bank.fresh ? 1 : 0;
  bank.fresh = false;
  counts_.row_misses += misses;
  counts_.row_hits += bursts - misses;
  if (direction_ == kRead) {
    counts_.read_bursts += bursts;
    bank.pre_ready = std::max(bank.pre_ready, last + t_.rtp);
    column_ready_[kWrite] = std::max(column_ready_[kWrite], last + t_.read_to_write);
  } else {
    counts_.write_bursts += bursts;
    bank.pre_ready = std::max(bank.pre_ready, last + write_to_precharge_);
    column_ready_[kRead] = std::max(column_ready_[kRead], last + write_to_read_short_);
    group.column_ready[kRead] = std::max(group.column_ready[kRead], last + write_to_read_long_);
  }
  column_ready_[direction_] = last + t_.ccd_s;
  group.column_ready[direction_] = last + t_.ccd_l;
  queued_[direction_] -= bursts;
  turn_ += bursts;
  now_ = last;

  SegmentState& segment = segments_[run.segment];
  segment.unissued -= bursts;
  if (segment.unissued == 0) {
    push_event({last + data_end_[direction_], SegmentEvent::Kind::completed, segment.request.id});
    const std::size_t traffic = index_of(segment.request.traffic);
    const std::uint64_t moved = segment.moved_bursts << map_.burst_bits();
    (direction_ == kRead ? counts_.useful_read : counts_.useful_written)[traffic] +=
        segment.request.bytes;
    (direction_ == kRead ? counts_.moved_read : counts_.moved_written)[traffic] += moved;
    segment.live = false;
    free_segments_.push_back(run.segment);
    --active_segments_;
  }

  if (bank.hit == bank.head[direction_]) {
    bank.passed = 0;
  } else {
    bank.passed += bursts;
  }
  run.bursts -= bursts;
  if (run.bursts == 0) {
    const std::int32_t done = bank.hit;
    std::int32_t before = kNone;
    if (bank.head[direction_] == done) {
      bank.head[direction_] = run.next;
    } else {
      before = bank.head[direction_];
      while (runs_[static_cast<std::size_t>(before)].next != done) {
        before = runs_[static_cast<std::size_t>(before)].next;
      }
      runs_[static_cast<std::size_t>(before)].next = run.next;
    }
    if (bank.tail[direction_] == done) bank.tail[direction_] = before;
    if (growing_[direction_] == done) growing_[direction_] = kNone;
    free_runs_.push_back(done);
    update_candidate(b);
  } else if (bank.passed >= kRowHitCap) {
    update_candidate(b);
  }
}

void DramChannel::issue_column(std::uint32_t bank, Clock time) {
  take_bursts(bank, 1, time);
  enter(direction_, 1, time);
}

/// How many more bursts of the current direction can enter without a run that needs a row command.
std::uint64_t DramChannel::hits_ahead(std::uint64_t wanted) const {
  const auto& intake = intake_[direction_];
  if (intake.empty()) return wanted;
  const SegmentState& segment = segments_[intake.front()];
  std::uint64_t burst =
      growing_[direction_] == kNone ? segment.next_burst : growing_end_[direction_];
  const std::uint64_t lump = map_.lump_bursts();
  while (burst < segment.end_burst && burst - segment.next_burst < wanted) {
    const DramLocation place = map_.locate(burst);
    const Bank& bank = banks_[place.bank];
    if (bank.hit == kNone && !(bank.open && bank.row == place.row && bank.passed < kRowHitCap)) {
      break;
    }
    burst = std::min((burst / lump + 1) * lump, segment.end_burst);
  }
  // Beyond this segment the next one would have to be asked: leave that to the single step.
  return std::min(wanted, burst - segment.next_burst);
}

/// A steady stream: the oldest hit and the oldest hit of another bank group alternate at tCCD_S (or
/// one of them repeats, where the standard has no bank groups or no other group waits). Issues as
/// many as provably follow that pattern before `end`; nothing younger can interfere, nothing older
/// exists. Returns whether it issued any.
bool DramChannel::issue_bulk(const ColumnChoice& choice, Clock end) {
  const bool alone = choice.second == kNone || t_.ccd_l == t_.ccd_s;
  if (alone ? choice.bank != choice.oldest : t_.ccd_l > 2 * t_.ccd_s) return false;
  const std::uint32_t first = choice.bank;
  std::uint32_t other = first;
  if (!alone) {
    const auto second = static_cast<std::uint32_t>(choice.second);
    if (first != choice.oldest && first != second) return false;
    other = first == choice.oldest ? second : choice.oldest;
  }
  // A lone group at tCCD_L leaves slots that a burst of another group could take as soon as it
  // enters.
  if (choice.second == kNone && t_.ccd_l != t_.ccd_s && !intake_[direction_].empty()) return false;
  // The bank that is finished first must not precharge before the other's last command.
  if (std::min(Clock{t_.rtp}, write_to_precharge_) < t_.ccd_s) return false;
  const Clock step = alone ? (choice.second == kNone ? t_.ccd_l : t_.ccd_s) : 2 * t_.ccd_s;
  const Bank& a = banks_[first];
  const Bank& b = banks_[other];
  const std::uint32_t width = alone ? 1 : 2;
  // Only the head of its bank is served in bulk (nobody is passed), and no run that is still
  // growing.
  if (a.hit != a.head[direction_] || b.hit != b.head[direction_]) return false;
  if (!intake_[direction_].empty() &&
      (a.hit == growing_[direction_] || b.hit == growing_[direction_])) {
    return false;
  }
  if (!alone) {
    const Clock turn = choice.time + t_.ccd_s;
    if (b.column_ready[direction_] > turn || groups_[b.group].column_ready[direction_] > turn) {
      return false;
    }
  }
  std::uint64_t rounds = std::min(runs_[static_cast<std::size_t>(a.hit)].bursts,
                                  runs_[static_cast<std::size_t>(b.hit)].bursts);
  const Clock tail = alone ? 0 : t_.ccd_s;
  if (choice.time + tail >= end) return false;
  if (choice.time + tail + (rounds - 1) * step >= end) {
    rounds = (end - 1 - tail - choice.time) / step + 1;
  }
  if (queued_[direction_ ^ 1u] > 0) rounds = std::min(rounds, turn_left() >> (width - 1));
  if (rounds * width < 2) return false;
  rounds = std::min(rounds, hits_ahead(rounds * width) >> (width - 1));
  if (rounds * width < 2) return false;

  const auto bursts = static_cast<std::uint32_t>(rounds);
  const Clock last = choice.time + (rounds - 1) * step;
  take_bursts(first, bursts, last);
  if (!alone) take_bursts(other, bursts, last + t_.ccd_s);
  enter(direction_, rounds * width, now_);
  return true;
}

void DramChannel::refresh() {
  Clock start = refresh_due_;
  for (Bank& bank : banks_) {
    start = std::max(start,
                     bank.open ? std::max(refresh_due_, bank.pre_ready) + t_.rp : bank.act_ready);
  }
  for (std::uint32_t b = 0; b < banks_.size(); ++b) {
    banks_[b].open = false;
    banks_[b].fresh = false;
    banks_[b].act_ready = start + t_.rfc;
    update_candidate(b);
  }
  ++counts_.refreshes;
  refresh_due_ += t_.refi;
}

/// Nothing waits: every refresh that falls due before `end`, the second and later ones in closed
/// form.
void DramChannel::refresh_idle(Clock end) {
  if (refresh_due_ >= end) return;
  refresh();
  if (refresh_due_ >= end) return;
  const std::uint64_t more = (end - 1 - refresh_due_) / t_.refi + 1;
  counts_.refreshes += more;
  refresh_due_ += more * t_.refi;
  for (Bank& bank : banks_) bank.act_ready = refresh_due_ - t_.refi + t_.rfc;
}

void DramChannel::advance(Clock now) {
  if (now <= limit_) return;
  bool planned = std::exchange(planned_.valid, false);
  while (true) {
    if (queued_[kRead] + queued_[kWrite] == 0) {
      refresh_idle(now);
      break;
    }
    if (!planned) choose_direction();
    const RowCommand row = planned ? planned_.row : next_row_command();
    const ColumnChoice column = planned ? planned_.column : next_column();
    planned = false;
    const Clock time = std::min(row.time, column.time);
    if (std::min(time, refresh_due_) >= now) {
      planned_ = {row, column, true};
      break;
    }
    if (time >= refresh_due_) {
      refresh();
      continue;
    }
    if (row.time <= column.time) {
      issue_row(row);
    } else if (!bulk_ || !issue_bulk(column, std::min({now, refresh_due_, row.time}))) {
      issue_column(column.bank, column.time);
    }
  }
  limit_ = now;
}

/// Gates of the past, rows of closed banks and counters beyond their threshold have no effect.
bool DramChannel::equivalent(const DramChannel& other, Clock now) const {
  const auto gate = [now](Clock a, Clock b) { return std::max(a, now) == std::max(b, now); };
  const auto gates = [&](const std::array<Clock, 2>& a, const std::array<Clock, 2>& b) {
    return gate(a[kRead], b[kRead]) && gate(a[kWrite], b[kWrite]);
  };
  if (!idle() || !other.idle() || limit_ < now || other.limit_ < now) return false;
  if (refresh_due_ != other.refresh_due_ || direction_ != other.direction_ ||
      cut_short_ != other.cut_short_ || candidates_.open != other.candidates_.open) {
    return false;
  }
  const std::uint64_t turn = direction_ == kWrite ? longest_write_turn() : queue_size_[kRead];
  if (std::min(turn_, turn) != std::min(other.turn_, turn)) return false;
  if (!gates(column_ready_, other.column_ready_) || !gate(act_ready_, other.act_ready_) ||
      !gate(now_, other.now_)) {
    return false;
  }
  for (std::uint32_t i = 0; i < 4; ++i) {
    if (!gate(window_gates_[(window_slot_ + i) % 4],
              other.window_gates_[(other.window_slot_ + i) % 4])) {
      return false;
    }
  }
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (!gate(groups_[g].act_ready, other.groups_[g].act_ready) ||
        !gates(groups_[g].column_ready, other.groups_[g].column_ready)) {
      return false;
    }
  }
  for (std::size_t i = 0; i < banks_.size(); ++i) {
    const Bank& a = banks_[i];
    const Bank& b = other.banks_[i];
    if (a.open != b.open || !gate(a.act_ready, b.act_ready)) return false;
    if (a.open && (a.row != b.row || a.fresh != b.fresh || a.passed != b.passed ||
                   !gate(a.pre_ready, b.pre_ready) || !gates(a.column_ready, b.column_ready))) {
      return false;
    }
  }
  return true;
}

void DramChannel::push_event(const SegmentEvent& event) {
  const auto later = [](const SegmentEvent& a, const SegmentEvent& b) {
    return a.time != b.time ? a.time > b.time : a.kind > b.kind;
  };
  events_.insert(std::lower_bound(events_.begin(), events_.end(), event, later), event);
}

std::optional<SegmentEvent> DramChannel::pop(Clock now) {
  if (events_.empty() || events_.back().time > now) return std::nullopt;
  const SegmentEvent event = events_.back();
  events_.pop_back();
  return event;
}

/// No column command number `columns` (1 = the next) of `direction` can be earlier than this.
Clock DramChannel::column_bound(std::uint32_t direction, std::uint64_t columns) const {
  Clock start = std::max({limit_, now_, column_ready_[direction]});
  const std::uint32_t rcd = direction == kRead ? t_.rcd_read : t_.rcd_write;
  const bool flips = direction_flips();
  if (direction == direction_ && !flips) {
    const RowCommand row = planned_.valid ? planned_.row : next_row_command();
    const Clock opened = row.time == kNever ? kNever : row.time + rcd;
    const Clock column = planned_.valid ? planned_.column.time : next_column().time;
    const Clock soonest = std::min(column, opened);
    if (soonest != kNever) start = std::max(start, soonest);
  } else if (direction != direction_ && !flips && queued_[direction_] > 0) {
    // The other direction goes on at least until it hands over.
    const std::uint64_t ahead = turn_left();
    if (ahead > 0) {
      const Clock turn = direction_ == kWrite ? write_to_read_short_ : Clock{t_.read_to_write};
      start = std::max(start, column_bound(direction_, ahead) + turn);
    }
  }
  const Clock before = start < refresh_due_ ? (refresh_due_ - 1 - start) / t_.ccd_s + 1 : 0;
  if (columns <= before) return start + (columns - 1) * t_.ccd_s;
  const Clock resumed = std::max(start, refresh_due_ + t_.rfc + rcd);
  return resumed + (columns - before - 1) * t_.ccd_s;
}

Clock DramChannel::next_event() const {
  Clock next = events_.empty() ? kNever : events_.back().time;
  if (active_segments_ == 0) return next;
  std::array<std::uint64_t, 2> fewest{kNever, kNever};
  for (const SegmentState& segment : segments_) {
    if (!segment.live) continue;
    auto& least = fewest[segment.request.write ? kWrite : kRead];
    least = std::min(least, segment.unissued);
  }
  for (const std::uint32_t direction : {std::uint32_t{kRead}, std::uint32_t{kWrite}}) {
    if (fewest[direction] == kNever) continue;
    next = std::min(next, column_bound(direction, fewest[direction]) + data_end_[direction]);
    if (!intake_[direction].empty()) {
      const SegmentState& front = segments_[intake_[direction].front()];
      next = std::min(next, column_bound(direction, front.end_burst - front.next_burst) + 1);
    }
  }
  return next;
}

}  // namespace systole::memory
