// A DRAM standard as data: geometry, timing in its own clocks, energy. One file a standard in
// configs/dram/.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace systole::configs {

/// How the controller holds and picks requests. The established simulators differ more in this than
/// in timing: practically the same device gives 0.43 of peak under one and 0.92 under another.
enum class DramPolicy : std::uint8_t {
  shared_window,    ///< one bounded window of reads, one write queue with watermarks; the oldest
                    ///< request whose next command is ready goes first (Ramulator 2.1)
  per_bank_queues,  ///< a transaction queue that fills a command queue a bank; banks in turn; the
                    ///< write buffer drains whole (DRAMsim3)
  bank_machines,    ///< each bank picks its own request, hits first, reads and writes in groups;
                    ///< the oldest request among the banks' ready ones goes (DRAMSys)
};
inline constexpr std::array<std::string_view, 3> kDramPolicyNames = {
    "shared-window", "per-bank-queues", "bank-machines"};

/// When a request gives its place in the shared window to the next one.
enum class WindowRelease : std::uint8_t { activate, column };
inline constexpr std::array<std::string_view, 2> kWindowReleaseNames = {"activate", "column"};

/// What the bank machines of DRAMSys count against their depth.
enum class BufferScope : std::uint8_t { bank, direction };
inline constexpr std::array<std::string_view, 2> kBufferScopeNames = {"bank", "direction"};

/// When a row closes that no waiting request conflicts with.
enum class PagePolicy : std::uint8_t {
  open,      ///< never
  closed,    ///< with its first access: auto-precharge, or a precharge as soon as it may
  adaptive,  ///< the same after `page_accesses` accesses
};
inline constexpr std::array<std::string_view, 3> kPagePolicyNames = {"open", "closed", "adaptive"};

enum class RefreshMode : std::uint8_t { all_bank, per_bank, same_bank, none };
inline constexpr std::array<std::string_view, 4> kRefreshModeNames = {"all-bank", "per-bank",
                                                                      "same-bank", "none"};

enum class EccMode : std::uint8_t { none, sideband, inline_bursts };
inline constexpr std::array<std::string_view, 3> kEccModeNames = {"none", "sideband", "inline"};

/// The controller: queues and policy. Sizes of the read and the write queue are the device's.
struct DramControllerConfig {
  DramPolicy policy = DramPolicy::shared_window;
  WindowRelease release = WindowRelease::activate;
  double write_high = 0.8, write_low = 0.2;  ///< watermarks: parts of write_queue
  std::uint32_t row_hit_cap = 64;  ///< accesses that may pass an older request of the bank; 0: any
  /// Queuefuls of writes, and of reads, until the waiting other direction has its turn; 0: any. A
  /// waiting write holds nobody up, so that reads may go on for longer.
  std::uint32_t write_turn = 8, read_turn = 64;
  std::uint32_t bank_queue = 8;                 ///< commands a bank queue holds (per-bank-queues)
  BufferScope buffer = BufferScope::direction;  ///< bank-machines
  PagePolicy page = PagePolicy::open;
  std::uint32_t page_accesses = 4;
  std::string map = "MOPX";        ///< a name, or fields from the most significant one
  std::string map_xor;             ///< of a map given by fields
  std::uint32_t lump_bytes = 256;  ///< of MOP and MOPX
  /// Requests of a class with priority p are taken for p read queues older than they are.
  std::array<std::uint32_t, 3> priority{};

  friend bool operator==(const DramControllerConfig&, const DramControllerConfig&) = default;
};

/// One channel (for HBM, one pseudo channel unless `pseudo_channels` says more). Timing in memory
/// clocks, names as in JEDEC and Ramulator.
struct DramConfig {
  std::string name;
  std::string summary;
  std::string source;
  double clock_mhz = 0;           ///< the command clock: 1 / tCK
  std::uint32_t burst_bytes = 0;  ///< bytes one column access moves
  std::uint32_t burst_clocks = 0;
  std::uint32_t bank_groups = 0;
  std::uint32_t banks_per_group = 0;
  std::uint32_t row_bytes = 0;
  std::uint64_t capacity_bytes = 0;  ///< of one channel
  std::uint32_t cl = 0, cwl = 0, rcd_read = 0, rcd_write = 0, rp = 0, ras = 0, rc = 0;
  std::uint32_t ccd_s = 0, ccd_l = 0, rrd_s = 0, rrd_l = 0, faw = 0;
  std::uint32_t wtr_s = 0, wtr_l = 0, rtp = 0, wr = 0, read_to_write = 0;
  std::uint32_t refi = 0, rfc = 0;
  std::uint32_t ccd_l_write = 0;   ///< write to write, same bank group; 0: ccd_l
  std::uint32_t ppd = 0;           ///< precharge to precharge, any bank
  std::uint32_t rp_all = 0;        ///< precharge of all banks; 0: rp
  std::uint32_t activates_32 = 0;  ///< window of at most 32 activates (GDDR6); 0: none
  std::uint32_t ranks = 1, pseudo_channels = 1;
  std::uint32_t rtrs = 0;  ///< between bursts of two ranks
  // Command bus.
  std::uint32_t activate_slots = 1, column_slots = 1, precharge_slots = 1;  ///< clocks each takes
  std::uint32_t split_activate = 0;  ///< ACT-2 follows ACT-1 within so many clocks; 0: one command
  bool row_bus = false;              ///< row commands have a bus of their own (HBM)
  std::uint32_t command_align = 1;   ///< activates and columns begin at multiples of it
  std::uint32_t wck_off = 0;  ///< the data clock stops so long after data; then CAS comes first
  // Refresh other than all-bank.
  RefreshMode refresh = RefreshMode::all_bank;
  std::uint32_t refi_bank = 0, rfc_bank = 0;  ///< of one bank, or of one bank of each group
  std::uint32_t refresh_to_activate = 0;      ///< of a bank, to an activate of another
  // Power-down of an idle channel.
  std::uint32_t power_down_after = 0;  ///< idle clocks until it enters; 0: never
  std::uint32_t xp = 0;                ///< exit to the next command
  double power_down_mw = 0;            ///< instead of standby_mw meanwhile
  EccMode ecc = EccMode::none;
  std::uint32_t ecc_bursts = 8;  ///< data bursts that one burst of check bits covers (inline)
  DramControllerConfig controller;
  std::uint32_t read_queue = 0, write_queue = 0;  ///< bursts the controller holds
  // Energy, per channel.
  double activate_pj = 0;      ///< one ACT + PRE pair
  double read_pj_per_bit = 0;  ///< core and I/O
  double write_pj_per_bit = 0;
  double refresh_pj = 0;  ///< one all-bank refresh
  double standby_mw = 0;  ///< background of the channel
  std::string energy_source;
  double energy_band = 0;  ///< relative, 0.2 is +-20 %; 0: not stated

  std::uint32_t units() const { return ranks * pseudo_channels; }
  /// Of one rank or pseudo channel, and of all.
  std::uint32_t banks_per_unit() const { return bank_groups * banks_per_group; }
  std::uint32_t banks() const { return banks_per_unit() * units(); }
  /// What is left of a channel's capacity beside check bits among the data.
  std::uint64_t data_bytes() const {
    const std::uint64_t group = ecc == EccMode::inline_bursts ? ecc_bursts : 0;
    return group == 0 ? capacity_bytes : capacity_bytes / (group + 1) * group;
  }
  double peak_bytes_per_second() const {
    return clock_mhz * 1e6 * burst_bytes * pseudo_channels / static_cast<double>(burst_clocks);
  }

  friend bool operator==(const DramConfig&, const DramConfig&) = default;
};

}  // namespace systole::configs
