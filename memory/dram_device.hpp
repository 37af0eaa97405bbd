// The DRAM side of a channel: banks, open rows, and the earliest clock of every command. Knows no
// requests and no policy.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "configs/dram.hpp"
#include "memory/dram_recorder.hpp"

namespace systole::memory {

/// A point in time in memory clocks since the channel's (re)start.
using Clock = std::uint64_t;
inline constexpr Clock kNever = std::numeric_limits<Clock>::max();

enum : std::uint32_t { kRead = 0, kWrite = 1 };

/// Timing gates of one channel. `*_time` is the earliest clock at which a command may begin, by all
/// rules but the command bus and refresh due times; `activate`, `precharge`, ... take it as issued.
///
/// Gates: tRCD tRP tRAS tRC tCCD_S/L (writes apart) tRRD_S/L tFAW (and a window of 32) tRTP tWR
/// tWTR_S/L, read-to-write, tPPD, tRTRS, tRFC, per bank, bank group, unit (rank or pseudo channel).
/// Write-to-read counts from the end of the data (CWL + burst + WTR), likewise write recovery.
/// Timings are measured between the last clocks of the commands, as JEDEC does, where a command
/// takes several.
class DramDevice {
 public:
  static constexpr std::size_t kMaxBanks = 64;  ///< bits of a mask

  /// Errors: ConfigError for timing or geometry no device can have.
  explicit DramDevice(const configs::DramConfig& config);

  const configs::DramConfig& config() const { return t_; }
  std::uint32_t units() const { return static_cast<std::uint32_t>(units_.size()); }
  std::uint32_t unit_of(std::uint32_t bank) const { return banks_[bank].unit; }
  std::uint32_t group_of(std::uint32_t bank) const { return banks_[bank].group; }
  bool open(std::uint32_t bank) const { return (open_ >> bank & 1) != 0; }
  std::uint64_t open_mask() const { return open_; }
  std::uint64_t unit_mask(std::uint32_t unit) const { return units_[unit].banks; }
  std::uint32_t row(std::uint32_t bank) const { return banks_[bank].row; }

  Clock activate_time(std::uint32_t bank) const {
    return std::max(banks_[bank].act_ready, activate_gate(bank));
  }
  /// The part of it that banks share; and the bank's own.
  Clock activate_gate(std::uint32_t bank) const {
    const Unit& unit = units_[banks_[bank].unit];
    return std::max(unit.act_ready, groups_[banks_[bank].group].act_ready);
  }
  Clock bank_activate_time(std::uint32_t bank) const { return banks_[bank].act_ready; }
  Clock precharge_time(std::uint32_t bank) const {
    return std::max(banks_[bank].pre_ready, units_[banks_[bank].unit].pre_ready);
  }
  Clock unit_precharge_gate(std::uint32_t bank) const {
    return units_[banks_[bank].unit].pre_ready;
  }
  Clock bank_precharge_time(std::uint32_t bank) const { return banks_[bank].pre_ready; }
  Clock column_time(std::uint32_t bank, std::uint32_t direction) const {
    return std::max(banks_[bank].column_ready[direction], column_gate(bank, direction));
  }
  Clock column_gate(std::uint32_t bank, std::uint32_t direction) const {
    return std::max(units_[banks_[bank].unit].column_ready[direction],
                    groups_[banks_[bank].group].column_ready[direction]);
  }
  Clock unit_column_gate(std::uint32_t unit, std::uint32_t direction) const {
    return units_[unit].column_ready[direction];
  }
  Clock group_column_gate(std::uint32_t group, std::uint32_t direction) const {
    return groups_[group].column_ready[direction];
  }
  /// column_gate of every group; a unit's gate is in all of its groups'.
  void column_gates(std::uint32_t direction, Clock floor, Clock* gates) const {
    const auto per_unit = static_cast<std::uint32_t>(groups_.size() / units_.size());
    std::size_t g = 0;
    for (const Unit& unit : units_) {
      const Clock least = std::max(floor, unit.column_ready[direction]);
      for (std::uint32_t i = 0; i < per_unit; ++i, ++g) {
        gates[g] = std::max(least, groups_[g].column_ready[direction]);
      }
    }
  }
  std::uint32_t groups() const { return static_cast<std::uint32_t>(groups_.size()); }
  Clock bank_column_time(std::uint32_t bank, std::uint32_t direction) const {
    return banks_[bank].column_ready[direction];
  }
  /// All of `banks`, open ones closed with one command at this clock.
  Clock precharge_all_time(std::uint64_t banks) const;
  /// `banks`, all closed, refreshed together.
  Clock refresh_time(std::uint64_t banks) const;

  void activate(std::uint32_t bank, std::uint32_t row, Clock at);
  void precharge(std::uint32_t bank, Clock at);
  void precharge_all(std::uint64_t banks, Clock at);
  /// `count` columns `step` apart, the last of them at `last`: earlier ones leave no gate behind
  /// that the last does not move further.
  void column(std::uint32_t bank, std::uint32_t direction, Clock last, std::uint64_t count = 1,
              Clock step = 0);
  /// A column command that closes its row as soon as it may.
  void column_and_precharge(std::uint32_t bank, std::uint32_t direction, Clock at);
  /// `rfc` clocks; other banks of the unit may activate after refresh_to_activate.
  void refresh(std::uint64_t banks, Clock at, Clock rfc);

  /// Column command to the end of its data.
  Clock data_end(std::uint32_t direction) const { return data_end_[direction]; }
  Clock column_spacing(std::uint32_t direction) const { return ccd_long_[direction]; }
  /// Column to precharge, and to the other direction.
  Clock recovery(std::uint32_t direction) const { return to_precharge_[direction]; }
  Clock turnaround(std::uint32_t direction) const {
    return direction == kRead ? t_.read_to_write : write_to_read_short_;
  }

  /// From now on tells `recorder` (null: nobody) of the commands. Copies of the device do as well.
  void record_to(DramRecorder* recorder) { recorder_ = recorder; }
  /// Refreshes of all banks that need no look at the gates: `count` of them from `first` on.
  void record_idle_refreshes(Clock first, std::uint64_t count);

  /// Forgets all rows and gates.
  void restart();
  /// Gates of the past and rows of closed banks have no effect.
  bool equivalent(const DramDevice& other, Clock now) const;
  /// What of it has an effect, to a StateReader or a StateShift.
  void describe(class StateReader& state) const;
  void shift(const class StateShift& shift);

 private:
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor& v);
  struct Bank {
    Clock act_ready = 0, pre_ready = 0;
    std::array<Clock, 2> column_ready{};
    std::uint32_t row = 0;
    std::uint8_t unit = 0, group = 0;
  };
  struct Group {
    Clock act_ready = 0;
    std::array<Clock, 2> column_ready{};
  };
  struct Unit {
    Clock act_ready = 0, pre_ready = 0;  ///< activates: tRRD_S, tFAW and the window of 32
    std::array<Clock, 2> column_ready{};
    std::array<Clock, 4> last_four{};  ///< ring: activates + tFAW
    std::array<Clock, 32> last_thirty_two{};
    std::uint32_t slot = 0, slot_32 = 0;
    std::uint64_t banks = 0;
    std::uint32_t data_bus = 0;  ///< units of one number share it
  };

  configs::DramConfig t_;
  std::array<Clock, 2> data_end_{}, ccd_long_{}, to_precharge_{}, activate_to_column_{};
  Clock activate_to_precharge_ = 0, precharge_to_activate_ = 0;
  Clock activate_offset_ = 0, precharge_offset_ = 0;
  Clock write_to_read_short_ = 0, write_to_read_long_ = 0;
  std::vector<Bank> banks_;
  std::vector<Group> groups_;
  std::vector<Unit> units_;
  std::uint64_t open_ = 0;
  DramRecorder* recorder_ = nullptr;
};

}  // namespace systole::memory
