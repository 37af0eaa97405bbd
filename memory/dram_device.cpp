#include "memory/dram_device.hpp"

#include <algorithm>
#include <bit>
#include <string>

#include "memory/steady_state.hpp"
#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

void require(bool condition, const configs::DramConfig& config, const std::string& message) {
  if (!condition) throw ConfigError("dram '" + config.name + "': " + message);
}

const configs::DramConfig& checked(const configs::DramConfig& c) {
  const auto positive = [&](const char* field, std::uint32_t value) {
    require(value > 0, c, std::string(field) + ": expected a positive number, found 0");
  };
  require(c.clock_mhz > 0, c, "clock_mhz: expected a positive number");
  positive("burst_clocks", c.burst_clocks);
  positive("bank_groups", c.bank_groups);
  positive("banks_per_group", c.banks_per_group);
  positive("ranks", c.ranks);
  positive("pseudo_channels", c.pseudo_channels);
  positive("read_queue", c.read_queue);
  positive("write_queue", c.write_queue);
  positive("refi", c.refi);
  positive("activate_slots", c.activate_slots);
  positive("column_slots", c.column_slots);
  positive("precharge_slots", c.precharge_slots);
  positive("command_align", c.command_align);
  require(std::uint64_t{c.bank_groups} * c.banks_per_group * c.ranks * c.pseudo_channels <=
              DramDevice::kMaxBanks,
          c, "bank_groups x banks_per_group x ranks x pseudo_channels: expected at most 64 banks");
  require(c.ecc != configs::EccMode::inline_bursts || c.ecc_bursts > 0, c,
          "ecc_bursts: expected a positive number, found 0");
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
  if (c.refresh == configs::RefreshMode::per_bank || c.refresh == configs::RefreshMode::same_bank) {
    require(c.refi_bank > 0 && c.rfc_bank > 0, c,
            "refi_bank, rfc_bank: refresh of single banks needs both");
  }
  return c;
}

}  // namespace

DramDevice::DramDevice(const configs::DramConfig& config) : t_(checked(config)) {
  // A command of several clocks is told to the device with its last one.
  activate_offset_ = t_.activate_slots - 1;
  const Clock column_offset = t_.column_slots - 1;
  precharge_offset_ = t_.precharge_slots - 1;
  const auto less = [](Clock nominal, Clock offset) { return nominal - std::min(nominal, offset); };
  data_end_ = {Clock{t_.cl} + t_.burst_clocks, Clock{t_.cwl} + t_.burst_clocks};
  ccd_long_ = {t_.ccd_l, t_.ccd_l_write != 0 ? t_.ccd_l_write : t_.ccd_l};
  to_precharge_ = {
      less(t_.rtp + column_offset, precharge_offset_),
      less(Clock{t_.cwl} + t_.burst_clocks + t_.wr + column_offset, precharge_offset_)};
  activate_to_column_ = {less(t_.rcd_read + activate_offset_, column_offset),
                         less(t_.rcd_write + activate_offset_, column_offset)};
  activate_to_precharge_ = less(t_.ras + activate_offset_, precharge_offset_);
  precharge_to_activate_ = less(t_.rp + precharge_offset_, activate_offset_);
  write_to_read_short_ = Clock{t_.cwl} + t_.burst_clocks + t_.wtr_s;
  write_to_read_long_ = Clock{t_.cwl} + t_.burst_clocks + t_.wtr_l;
  restart();
}

void DramDevice::restart() {
  const std::uint32_t per_unit = t_.banks_per_unit();
  banks_.assign(t_.banks(), Bank{});
  groups_.assign(t_.bank_groups * t_.units(), Group{});
  units_.assign(t_.units(), Unit{});
  open_ = 0;
  for (std::uint32_t b = 0; b < banks_.size(); ++b) {
    banks_[b].group = static_cast<std::uint8_t>(b / t_.banks_per_group);
    banks_[b].unit = static_cast<std::uint8_t>(b / per_unit);
    units_[banks_[b].unit].banks |= std::uint64_t{1} << b;
  }
  for (std::uint32_t u = 0; u < units_.size(); ++u) units_[u].data_bus = u / t_.ranks;
}

Clock DramDevice::precharge_all_time(std::uint64_t banks) const {
  Clock time = 0;
  for (std::uint64_t left = banks & open_; left != 0; left &= left - 1) {
    time = std::max(time, precharge_time(static_cast<std::uint32_t>(std::countr_zero(left))));
  }
  return time;
}

Clock DramDevice::refresh_time(std::uint64_t banks) const {
  Clock time = 0;
  for (std::uint64_t left = banks; left != 0; left &= left - 1) {
    const auto b = static_cast<std::uint32_t>(std::countr_zero(left));
    time = std::max(time, banks_[b].act_ready);
  }
  return time == 0 ? 0 : time + activate_offset_ - std::min(activate_offset_, precharge_offset_);
}

void DramDevice::activate(std::uint32_t b, std::uint32_t row, Clock at) {
  if (recorder_ != nullptr) recorder_->activate(b, at);
  Bank& bank = banks_[b];
  open_ |= std::uint64_t{1} << b;
  bank.row = row;
  bank.act_ready = at + t_.rc;
  bank.pre_ready = at + activate_to_precharge_;
  bank.column_ready = {at + activate_to_column_[kRead], at + activate_to_column_[kWrite]};
  groups_[bank.group].act_ready = std::max(groups_[bank.group].act_ready, at + t_.rrd_l);
  Unit& unit = units_[bank.unit];
  unit.last_four[unit.slot] = at + t_.faw;
  unit.slot = (unit.slot + 1) % 4;
  unit.act_ready = std::max({unit.act_ready, at + t_.rrd_s, unit.last_four[unit.slot]});
  if (t_.activates_32 != 0) {
    unit.last_thirty_two[unit.slot_32] = at + t_.activates_32;
    unit.slot_32 = (unit.slot_32 + 1) % 32;
    unit.act_ready = std::max(unit.act_ready, unit.last_thirty_two[unit.slot_32]);
  }
}

void DramDevice::precharge(std::uint32_t b, Clock at) {
  if (recorder_ != nullptr) recorder_->precharge(std::uint64_t{1} << b, at);
  open_ &= ~(std::uint64_t{1} << b);
  banks_[b].act_ready = std::max(banks_[b].act_ready, at + precharge_to_activate_);
  if (t_.ppd != 0) units_[banks_[b].unit].pre_ready = at + t_.ppd;
}

void DramDevice::precharge_all(std::uint64_t banks, Clock at) {
  if (recorder_ != nullptr) recorder_->precharge(banks, at);
  const Clock ready = t_.rp_all == 0 ? at + precharge_to_activate_
                                     : at + precharge_to_activate_ + t_.rp_all - t_.rp;
  for (std::uint64_t left = banks; left != 0; left &= left - 1) {
    const auto b = static_cast<std::uint32_t>(std::countr_zero(left));
    banks_[b].act_ready = std::max(banks_[b].act_ready, ready);
    if (t_.ppd != 0) units_[banks_[b].unit].pre_ready = at + t_.ppd;
  }
  open_ &= ~banks;
}

void DramDevice::column(std::uint32_t b, std::uint32_t direction, Clock last, std::uint64_t count,
                        Clock step) {
  if (recorder_ != nullptr) recorder_->column(b, direction == kWrite, last, count, step);
  Bank& bank = banks_[b];
  Group& group = groups_[bank.group];
  Unit& unit = units_[bank.unit];
  bank.pre_ready = std::max(bank.pre_ready, last + to_precharge_[direction]);
  if (direction == kRead) {
    unit.column_ready[kWrite] = std::max(unit.column_ready[kWrite], last + t_.read_to_write);
  } else {
    unit.column_ready[kRead] = std::max(unit.column_ready[kRead], last + write_to_read_short_);
    group.column_ready[kRead] = std::max(group.column_ready[kRead], last + write_to_read_long_);
  }
  unit.column_ready[direction] = std::max(unit.column_ready[direction], last + t_.ccd_s);
  group.column_ready[direction] = last + ccd_long_[direction];
  if (t_.ranks == 1) return;
  // Ranks of one data bus: its bursts, and the switch between drivers.
  for (Unit& sibling : units_) {
    if (&sibling == &unit || sibling.data_bus != unit.data_bus) continue;
    for (const std::uint32_t next : {std::uint32_t{kRead}, std::uint32_t{kWrite}}) {
      const Clock end = last + data_end_[direction] + t_.rtrs;
      const Clock start = next == kRead ? t_.cl : t_.cwl;
      Clock& ready = sibling.column_ready[next];
      ready = std::max(ready, end - std::min(end, start));
    }
  }
}

void DramDevice::column_and_precharge(std::uint32_t b, std::uint32_t direction, Clock at) {
  column(b, direction, at);
  open_ &= ~(std::uint64_t{1} << b);
  if (recorder_ != nullptr) recorder_->precharge(std::uint64_t{1} << b, banks_[b].pre_ready);
  // Inside the device, when tRAS and the recovery are over.
  banks_[b].act_ready = std::max(banks_[b].act_ready, banks_[b].pre_ready + precharge_to_activate_);
}

void DramDevice::record_idle_refreshes(Clock first, std::uint64_t count) {
  if (recorder_ == nullptr) return;
  for (std::uint64_t i = 0; i < count; ++i) {
    for (const Unit& unit : units_) recorder_->refresh(unit.banks, first + i * t_.refi, t_.rfc);
  }
}

void DramDevice::refresh(std::uint64_t banks, Clock at, Clock rfc) {
  if (recorder_ != nullptr) recorder_->refresh(banks, at, rfc);
  const Clock ready =
      at + rfc + precharge_offset_ - std::min(rfc + precharge_offset_, activate_offset_);
  for (std::uint64_t left = banks; left != 0; left &= left - 1) {
    const auto b = static_cast<std::uint32_t>(std::countr_zero(left));
    banks_[b].act_ready = std::max(banks_[b].act_ready, ready);
    if (t_.refresh_to_activate != 0) {
      Unit& unit = units_[banks_[b].unit];
      unit.act_ready = std::max(unit.act_ready, at + t_.refresh_to_activate);
    }
  }
}

bool DramDevice::equivalent(const DramDevice& other, Clock now) const {
  const auto gate = [now](Clock a, Clock b) { return std::max(a, now) == std::max(b, now); };
  const auto gates = [&](const std::array<Clock, 2>& a, const std::array<Clock, 2>& b) {
    return gate(a[kRead], b[kRead]) && gate(a[kWrite], b[kWrite]);
  };
  if (open_ != other.open_) return false;
  for (std::size_t u = 0; u < units_.size(); ++u) {
    const Unit& a = units_[u];
    const Unit& b = other.units_[u];
    if (!gate(a.act_ready, b.act_ready) || !gate(a.pre_ready, b.pre_ready) ||
        !gates(a.column_ready, b.column_ready)) {
      return false;
    }
    for (std::uint32_t i = 0; i < 4; ++i) {
      if (!gate(a.last_four[(a.slot + i) % 4], b.last_four[(b.slot + i) % 4])) return false;
    }
    for (std::uint32_t i = 0; i < 32 && t_.activates_32 != 0; ++i) {
      if (!gate(a.last_thirty_two[(a.slot_32 + i) % 32], b.last_thirty_two[(b.slot_32 + i) % 32])) {
        return false;
      }
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
    if (!gate(a.act_ready, b.act_ready)) return false;
    if ((open_ >> i & 1) == 0) continue;
    if (a.row != b.row || !gate(a.pre_ready, b.pre_ready) ||
        !gates(a.column_ready, b.column_ready)) {
      return false;
    }
  }
  return true;
}

template <typename Self, typename Visitor>
void DramDevice::visit(Self& self, Visitor& v) {
  const auto both = [&](auto& gates) {
    for (auto& gate : gates) v.gate(gate);
  };
  v.value(self.open_);
  for (auto& unit : self.units_) {
    v.gate(unit.act_ready);
    v.gate(unit.pre_ready);
    both(unit.column_ready);
    for (std::uint32_t i = 0; i < 4; ++i) v.gate(unit.last_four[(unit.slot + i) % 4]);
    for (std::uint32_t i = 0; i < 32 && self.t_.activates_32 != 0; ++i) {
      v.gate(unit.last_thirty_two[(unit.slot_32 + i) % 32]);
    }
  }
  for (auto& group : self.groups_) {
    v.gate(group.act_ready);
    both(group.column_ready);
  }
  for (std::size_t b = 0; b < self.banks_.size(); ++b) {
    auto& bank = self.banks_[b];
    v.gate(bank.act_ready);
    if ((self.open_ >> b & 1) == 0) continue;
    v.row(bank.row);
    v.gate(bank.pre_ready);
    both(bank.column_ready);
  }
}

void DramDevice::describe(StateReader& state) const { visit(*this, state); }
void DramDevice::shift(const StateShift& shift) { visit(*this, shift); }

}  // namespace systole::memory
