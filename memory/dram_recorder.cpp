#include "memory/dram_recorder.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace systole::memory {
namespace {

/// Columns so far apart are told apart in a picture.
constexpr std::uint64_t kPauseBursts = 8;

}  // namespace

DramRecorder::DramRecorder(const configs::DramConfig& config, std::size_t most_slices)
    : ps_per_clock_(1e6 / config.clock_mhz),
      burst_clocks_(config.burst_clocks),
      burst_bytes_(config.burst_bytes),
      most_slices_(most_slices),
      banks_(kMostDramBanks) {}

std::uint64_t DramRecorder::ps(Clock clock) const {
  return static_cast<std::uint64_t>(std::llround(static_cast<double>(clock) * ps_per_clock_));
}

void DramRecorder::put(const DramSlice& slice) {
  if (slice.end_ps <= slice.begin_ps) return;
  slices_.push_back(slice);
  if (slices_.size() >= 2 * most_slices_) thin(slices_, most_slices_);
}

void DramRecorder::activate(std::uint32_t bank, Clock at) {
  banks_[bank].open = true;
  banks_[bank].since = at;
}

void DramRecorder::end_run(std::uint32_t bank, std::uint64_t end_ps) {
  Run& run = banks_[bank].run;
  if (run.columns == 0) return;
  // The last one keeps the bus as long as its burst.
  put({ps(run.first), std::min(ps(run.last + burst_clocks_), end_ps), run.columns * burst_bytes_,
       bank, run.write ? DramAct::write : DramAct::read});
  run.columns = 0;
}

void DramRecorder::close(std::uint32_t bank, std::uint64_t end_ps) {
  end_run(bank, end_ps);
  if (!std::exchange(banks_[bank].open, false)) return;
  put({ps(banks_[bank].since), end_ps, 0, bank, DramAct::row_open});
}

void DramRecorder::precharge(std::uint64_t banks, Clock at) {
  for (std::uint64_t left = banks; left != 0; left &= left - 1) {
    close(static_cast<std::uint32_t>(std::countr_zero(left)), ps(at));
  }
}

void DramRecorder::column(std::uint32_t bank, bool write, Clock last, std::uint64_t count,
                          Clock step) {
  Run& run = banks_[bank].run;
  const Clock first = last - (count - 1) * step;
  const bool pause = first > run.last + kPauseBursts * burst_clocks_;
  if (run.columns > 0 && (run.write != write || pause)) end_run(bank, ps(first));
  if (run.columns == 0) run = {first, last, 0, write};
  run.last = last;
  run.columns += count;
}

void DramRecorder::refresh(std::uint64_t banks, Clock at, Clock clocks) {
  for (std::uint64_t left = banks; left != 0; left &= left - 1) {
    put({ps(at), ps(at + clocks), 0, static_cast<std::uint32_t>(std::countr_zero(left)),
         DramAct::refresh});
  }
}

std::vector<DramSlice> DramRecorder::take(std::uint64_t end_ps) {
  for (std::uint32_t bank = 0; bank < banks_.size(); ++bank) {
    if (banks_[bank].open) close(bank, std::max(end_ps, ps(banks_[bank].since)));
  }
  std::erase_if(slices_, [&](const DramSlice& slice) { return slice.begin_ps >= end_ps; });
  thin(slices_, most_slices_);
  std::ranges::stable_sort(slices_, {}, &DramSlice::begin_ps);
  return std::exchange(slices_, {});
}

}  // namespace systole::memory
