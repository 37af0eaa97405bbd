#include "sim/system/over_time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>

#include "sim/core/units.hpp"

namespace systole::sim {
namespace {

using workloads::Phase;
using workloads::Program;
using workloads::Step;

/// floor(value x part / whole), part <= whole.
std::uint64_t share(std::uint64_t value, std::uint64_t part, std::uint64_t whole) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(Wide{value} * part / whole);
}

/// What has happened in a stretch of time.
struct Amounts {
  std::uint64_t cycles = 0;
  TimeWindow done;

  void add(const Amounts& other) {
    cycles += other.cycles;
    for_each(other, [](std::uint64_t& sum, std::uint64_t one) { sum += one; });
  }
  /// That between part `from` and part `to` of `whole`: the parts of 0 ... whole sum to all.
  Amounts between(std::uint64_t from, std::uint64_t to, std::uint64_t whole) const {
    Amounts part;
    part.cycles = share(cycles, to, whole) - share(cycles, from, whole);
    part.for_each(*this, [&](std::uint64_t& piece, std::uint64_t all) {
      piece = share(all, to, whole) - share(all, from, whole);
    });
    return part;
  }

 private:
  template <class Do>
  void for_each(const Amounts& other, const Do& visit) {
    for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
      visit(done.cycles_by_cause[c], other.done.cycles_by_cause[c]);
    }
    visit(done.macs, other.done.macs);
    visit(done.dram_read_bytes, other.done.dram_read_bytes);
    visit(done.dram_write_bytes, other.done.dram_write_bytes);
    for (std::size_t s = 0; s < kScratchpadCount; ++s) {
      visit(done.held_byte_cycles[s], other.done.held_byte_cycles[s]);
    }
  }
};

Amounts amounts_of(const OperationOutcome& operation) {
  Amounts amounts;
  amounts.cycles = operation.cycles();
  amounts.done.cycles_by_cause = operation.cycles_by_cause;
  amounts.done.macs = operation.counts.macs;
  amounts.done.held_byte_cycles = operation.held_byte_cycles;
  for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
    amounts.done.dram_read_bytes += operation.dram_read_bytes[c];
    amounts.done.dram_write_bytes += operation.dram_write_bytes[c];
  }
  return amounts;
}

/// Hands what follows one another to windows of equal length.
class Windows {
 public:
  explicit Windows(std::uint64_t cycles)
      : length_(std::max<std::uint64_t>(ceil_div(cycles, kMostWindows), 1)),
        windows_(std::max<std::uint64_t>(ceil_div(cycles, length_), 1)) {}

  void add(const Amounts& amounts) {
    if (amounts.cycles == 0) {  // no time, but perhaps bytes
      put(std::min(now_ / length_, windows_.size() - 1), amounts);
      return;
    }
    for (std::uint64_t done = 0; done < amounts.cycles;) {
      const std::uint64_t window = now_ / length_;
      const std::uint64_t next = std::min(amounts.cycles, done + (window + 1) * length_ - now_);
      put(window, amounts.between(done, next, amounts.cycles));
      now_ += next - done;
      done = next;
    }
  }

  std::uint64_t length() const { return length_; }
  std::vector<TimeWindow> take() {
    std::vector<TimeWindow> windows;
    for (const Amounts& window : windows_) windows.push_back(window.done);
    return windows;
  }

 private:
  void put(std::uint64_t window, const Amounts& amounts) { windows_.at(window).add(amounts); }

  std::uint64_t length_, now_ = 0;
  std::vector<Amounts> windows_;
};

/// Each bar's time is its stretch's. `bars` are of one track, in order of time.
void join(std::vector<ExcerptBar>& bars) {
  constexpr std::size_t kMostBars = 300;
  while (bars.size() > kMostBars) {
    const std::size_t before = bars.size();
    std::vector<ExcerptBar> joined;
    for (const ExcerptBar& bar : bars) {
      // Two by two.
      ExcerptBar* last = joined.empty() ? nullptr : &joined.back();
      if (last == nullptr || last->operation != bar.operation || last->pieces > bar.pieces) {
        joined.push_back(bar);
        continue;
      }
      last->end_ps = std::max(last->end_ps, bar.end_ps);
      last->busy_ps += bar.busy_ps;
      last->pieces += bar.pieces;
      last->bytes += bar.bytes;
    }
    bars = std::move(joined);
    if (bars.size() == before) break;  // each the only one of its operation
  }
}

}  // namespace

void add_over_time(RunResult& result, const Program& program,
                   std::span<const std::vector<SegmentOutcome>> outcomes) {
  constexpr std::size_t kKv = index_of(TrafficClass::kv_cache);
  Windows windows(result.cycles);
  const std::uint64_t decode_steps = program.steps.size() - 1;
  const std::uint64_t together =
      std::max<std::uint64_t>(ceil_div(decode_steps, kMostStepRows - 1), 1);  // decode steps a row
  std::uint64_t decoded = 0;
  result.steps.clear();
  for (std::size_t s = 0; s < program.steps.size(); ++s) {
    const Step& step = program.steps[s];
    const bool decode = step.phase == Phase::decode;
    if (!decode || decoded++ % together == 0) {
      StepRow& row = result.steps.emplace_back();
      row.phase = name_of(step.phase);
      row.steps = 0;
    }
    StepRow& row = result.steps.back();
    ++row.steps;
    row.context = step.context - step.tokens + step.kept;
    row.kv_bytes = step.kv_bytes;
    for (std::size_t g = 0; g < outcomes[s].size(); ++g) {
      const SegmentOutcome& outcome = outcomes[s][g];
      const std::uint64_t repeats = std::max<std::uint64_t>(step.segments.at(g).repeats, 1);
      Amounts whole;
      std::vector<Amounts> operations;
      for (const OperationOutcome& operation : outcome.operations) {
        operations.push_back(amounts_of(operation));
        whole.add(operations.back());
        row.kv_bytes_read += operation.dram_read_bytes[kKv];
        row.kv_bytes_written += operation.dram_write_bytes[kKv];
        for (std::size_t t = 1; t < memory::kMostTiers; ++t) {
          row.kv_bytes_read += operation.tier_read_bytes[t][kKv];
          row.kv_bytes_written += operation.tier_write_bytes[t][kKv];
        }
      }
      row.cycles += whole.cycles;
      if (whole.cycles / repeats < windows.length()) {  // no window would tell its operations apart
        windows.add(whole);
        continue;
      }
      for (std::uint64_t r = 0; r < repeats; ++r) {
        for (const Amounts& operation : operations) {
          windows.add(operation.between(r, r + 1, repeats));
        }
      }
    }
  }
  result.window_cycles = windows.length();
  result.windows = windows.take();
}

namespace {

/// The last decode step whose first layer was recorded with all its regions, if possible with all
/// that the DRAM's banks did.
std::optional<std::uint32_t> last_recorded_step(const Timeline& timeline) {
  struct Recorded {
    std::size_t regions = 0;
    bool banks = true;
  };
  std::map<std::uint32_t, Recorded> steps;
  std::size_t most = 0;
  for (const Timeline::Instance& instance : timeline.instances) {
    const TimelineRegion& region = timeline.regions[instance.region];
    if (instance.step == 0 || instance.layer != 0 || region.slices.empty()) continue;
    const bool moves =
        std::ranges::any_of(region.slices, [](const auto& s) { return s.bytes > 0; });
    Recorded& step = steps[instance.step];
    step.banks = step.banks && (!moves || !region.dram.empty());
    most = std::max(most, ++step.regions);
  }
  const auto last = [&](bool banks) -> std::optional<std::uint32_t> {
    const auto found = std::find_if(steps.rbegin(), steps.rend(), [&](const auto& step) {
      return step.second.regions == most && (step.second.banks || !banks);
    });
    if (found == steps.rend()) return std::nullopt;
    return found->first;
  };
  const auto whole = last(true);
  return whole ? whole : last(false);
}

/// Bars of the banks in the stretch that begins with this operation.
void add_banks(Excerpt& excerpt, std::uint64_t first_operation, std::vector<DramSlice> slices) {
  constexpr std::size_t kMostBars = 1800;  // of a stretch: 60 a lane of a DDR5 channel
  thin(slices, kMostBars);
  for (const DramSlice& slice : slices) {
    excerpt.dram.push_back(
        {first_operation, slice.bank, static_cast<std::uint64_t>(slice.act), slice.begin_ps,
         slice.end_ps, slice.end_ps - slice.begin_ps - slice.gaps_ps, slice.pieces, slice.bytes});
  }
}

/// Changes of what a scratchpad holds, as levels of the stretch that begins with this operation and
/// lasts `length_ps`.
class Levels {
 public:
  void add(std::uint64_t time_ps, std::int64_t by) {
    if (by != 0) changes_[time_ps] += by;
  }

  void put(Excerpt& excerpt, std::uint64_t operation, std::size_t scratchpad,
           std::uint64_t length_ps) const {
    constexpr std::uint64_t kMostLevels = 300;
    if (changes_.empty() || length_ps == 0) return;
    // Equal windows, where there are more changes than these.
    const std::uint64_t window =
        changes_.size() > kMostLevels ? ceil_div(length_ps, kMostLevels) : 0;
    std::uint64_t begin = 0, at = 0;
    Area area = 0;
    std::int64_t held = 0;
    const auto close = [&](std::uint64_t end) {
      if (end > begin) {
        excerpt.levels.push_back(
            {operation, scratchpad, begin, end, static_cast<std::uint64_t>(area / (end - begin))});
      }
      begin = end;
      area = 0;
    };
    const auto go_on = [&](std::uint64_t until) {
      while (at < until) {
        const std::uint64_t end = window == 0 ? until : std::min(until, begin + window);
        area += static_cast<Area>(std::max<std::int64_t>(held, 0)) * (end - at);
        at = end;
        if (window > 0 && at == begin + window) close(at);
      }
    };
    for (const auto& [time, by] : changes_) {
      go_on(std::min(time, length_ps));
      if (window == 0 && by != 0) close(at);
      held += by;
    }
    go_on(length_ps);
    close(at);
  }

 private:
  __extension__ using Area = unsigned __int128;  // bytes x ps
  std::map<std::uint64_t, std::int64_t> changes_;
};

}  // namespace

Excerpt excerpt_of(const Timeline& timeline) {
  Excerpt excerpt;
  const std::optional<std::uint32_t> last = last_recorded_step(timeline);
  const auto picoseconds = [&](std::uint64_t cycles) {
    return static_cast<std::uint64_t>(
        std::llround(static_cast<double>(cycles) * 1e6 / timeline.clock_mhz));
  };
  const auto add_stretch = [&](std::uint32_t step, std::string name) {
    const bool shortened = std::ranges::any_of(timeline.instances, [&](const auto& instance) {
      return instance.step == step && instance.layer == 0 &&
             timeline.regions[instance.region].shortened;
    });
    if (shortened) name += kRoundsLeftOut;
    std::array<std::vector<ExcerptBar>, kTimelineTrackCount> tracks;
    std::array<std::uint64_t, kTimelineTrackCount> ended{};
    std::vector<std::uint32_t> shown;
    std::vector<DramSlice> banks;
    std::array<Levels, kScratchpadCount> held;
    const std::uint64_t stretch = excerpt.operations.size();
    std::uint64_t shift = 0;
    for (const Timeline::Instance& instance : timeline.instances) {
      if (instance.step != step || instance.layer != 0) continue;
      // Of equal sequences the first.
      if (std::ranges::find(shown, instance.region) != shown.end()) continue;
      shown.push_back(instance.region);
      const TimelineRegion& region = timeline.regions[instance.region];
      const std::uint64_t first = excerpt.operations.size();
      std::uint64_t at = instance.begin_cycles;
      for (const TimelineRegion::Operation& operation : region.operations) {
        excerpt.operations.push_back({name, operation.name, at, operation.cycles});
        const std::uint64_t begin = shift + picoseconds(at - instance.begin_cycles);
        at += operation.cycles;
        const std::uint64_t end = shift + picoseconds(at - instance.begin_cycles);
        for (std::size_t s = 0; s < kScratchpadCount; ++s) {
          held[s].add(begin, static_cast<std::int64_t>(operation.kept_bytes[s]));
          held[s].add(end, -static_cast<std::int64_t>(operation.kept_bytes[s]));
        }
      }
      for (const TimelineChange& change : region.changes) {
        const auto level = std::ranges::find(kLoadedBytes, change.level);
        if (level == kLoadedBytes.end()) continue;
        held[static_cast<std::size_t>(level - kLoadedBytes.begin())].add(shift + change.time_ps,
                                                                         change.by);
      }
      for (const TimelineSlice& slice : region.slices) {
        const auto track = static_cast<std::size_t>(slice.track);
        // Transfers of a prefetch overlap; a lane has one bar at a time.
        const std::uint64_t end = shift + slice.end_ps;
        const std::uint64_t begin = std::clamp(ended[track], shift + slice.begin_ps, end);
        ended[track] = std::max(ended[track], end);
        tracks[track].push_back(
            {first + slice.operation, track, begin, end, end - begin, 1, slice.bytes});
      }
      for (DramSlice slice : region.dram) {
        slice.begin_ps += shift;
        slice.end_ps += shift;
        banks.push_back(slice);
      }
      shift += picoseconds(region.cycles());
    }
    for (std::vector<ExcerptBar>& track : tracks) {
      join(track);
      excerpt.bars.insert(excerpt.bars.end(), track.begin(), track.end());
    }
    add_banks(excerpt, stretch, std::move(banks));
    for (std::size_t s = 0; s < kScratchpadCount; ++s) held[s].put(excerpt, stretch, s, shift);
  };
  if (timeline.regions.empty()) return excerpt;
  add_stretch(0, "prefill, embedding and layer 0");
  if (last) add_stretch(*last, fmt::format("decode step {}, embedding and layer 0", *last));
  return excerpt;
}

}  // namespace systole::sim
