#include "reports/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/format.hpp"
#include "reports/views.hpp"

namespace systole::reports {
namespace {

constexpr std::array<std::string_view, kTimelineLevelCount> kLevelNames = {
    "weight buffers taken", "activation buffers taken", "pieces not finished",
    "weight scratchpad: loaded", "activation scratchpad: loaded"};
constexpr std::array<std::string_view, kTimelineLevelCount> kLevelUnits = {
    "count", "count", "count", "bytes", "bytes"};
constexpr int kOperationsThread = 1, kFirstTrackThread = 2,
              kDramThread = kFirstTrackThread + static_cast<int>(kTimelineTrackCount),
              kFirstBankThread = kDramThread + 1;  // two a bank: its rows, and what they move
/// Samples of all counters together, and of one region.
constexpr std::size_t kMostSamples = 60'000, kMostSamplesOfRegion = 64;
constexpr std::size_t kMostOperationSlices = 60'000, kMostBankSlices = 60'000;

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Microseconds, which the format counts in, to the picosecond.
std::string microseconds(std::uint64_t ps) {
  return fmt::format("{}.{:06}", ps / 1'000'000, ps % 1'000'000);
}

class Events {
 public:
  void name(std::string_view kind, int thread, std::string_view text) {
    add(R"({{"ph":"M","pid":1,"tid":{},"ts":0,"name":"{}","args":{{"name":{}}}}})", thread, kind,
        json_text(text));
    if (kind == "thread_name") {
      add(R"({{"ph":"M","pid":1,"tid":{},"ts":0,"name":"thread_sort_index","args":{{"sort_index":{}}}}})",
          thread, thread);
    }
  }
  void slice(int thread, std::string_view name, std::uint64_t begin_ps, std::uint64_t end_ps,
             std::string_view arguments) {
    add(R"({{"ph":"X","pid":1,"tid":{},"ts":{},"dur":{},"name":{},"args":{{{}}}}})", thread,
        microseconds(begin_ps), microseconds(end_ps - begin_ps), json_text(name), arguments);
  }
  void counter(std::string_view name, std::uint64_t time_ps, std::string_view unit, double value) {
    add(R"({{"ph":"C","pid":1,"tid":0,"ts":{},"name":{},"args":{{"{}":{}}}}})",
        microseconds(time_ps), json_text(name), unit, std::isfinite(value) ? value : 0.0);
  }
  std::string document(std::string_view about) {
    return fmt::format(
        "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{{}}},\"traceEvents\":[\n{}]}}\n", about,
        text_);
  }

 private:
  template <class... T>
  void add(fmt::format_string<T...> format, T&&... values) {
    if (!text_.empty()) text_ += ",\n";
    fmt::format_to(std::back_inserter(text_), format, std::forward<T>(values)...);
  }
  std::string text_;
};

std::string cause_arguments(const CyclesByCause& causes) {
  std::string text;
  for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
    if (causes[c] > 0) text += fmt::format(",\"{}_cycles\":{}", kCycleCauseNames[c], causes[c]);
  }
  return text;
}

/// What single commands of a channel's banks did; joined ones have no place among them.
class BankTracks {
 public:
  explicit BankTracks(Events& events) : events_(events) {}

  /// Slices come in order of their begins.
  void add(std::uint64_t bank, DramAct act, std::uint64_t begin_ps, std::uint64_t end_ps,
           std::uint64_t bytes) {
    const bool moves = act == DramAct::read || act == DramAct::write;
    const int thread = kFirstBankThread + 2 * static_cast<int>(bank) + (moves ? 1 : 0);
    const auto [ended, first] = ended_.try_emplace(thread, 0);
    if (first) {
      events_.name("thread_name", thread,
                   fmt::format("DRAM channel 0, bank {}: {}", bank,
                               moves ? "reads, writes" : "open rows, refresh"));
    }
    // A command of several clocks may begin while the one before ends.
    begin_ps = std::max(begin_ps, ended->second);
    if (end_ps <= begin_ps) return;
    ended->second = end_ps;
    events_.slice(thread, kDramActNames[static_cast<std::size_t>(act)], begin_ps, end_ps,
                  bytes > 0 ? fmt::format("\"bytes\":{}", bytes) : std::string());
  }

 private:
  Events& events_;
  std::map<int, std::uint64_t> ended_;
};

class Renderer {
 public:
  Renderer(const Timeline& timeline, const TraceWindow* window, std::size_t most_slices)
      : timeline_(timeline), window_(window), most_slices_(most_slices) {
    for (const TimelineRegion& region : timeline.regions) dram_.push_back(dram_of(region));
  }

  std::string render() {
    events_.name("process_name", 0, timeline_.title);
    events_.name("thread_name", kOperationsThread, "operations");
    for (std::size_t t = 0; t < kTimelineTrackCount; ++t) {
      if (t == static_cast<std::size_t>(TimelineTrack::prefetch) && !has_tiers()) continue;
      events_.name("thread_name", kFirstTrackThread + static_cast<int>(t), kTimelineTrackNames[t]);
    }
    events_.name("thread_name", kDramThread, has_tiers() ? "memories" : "DRAM");

    const std::size_t pieces = pieces_of_operation();
    for (std::size_t i = 0; i < timeline_.instances.size(); ++i) {
      add_operations(i);
      add_counters(timeline_.instances[i]);
      if (detailed(timeline_.instances[i])) {
        add_pieces(timeline_.instances[i], pieces);
        add_banks(timeline_.instances[i]);
      }
    }
    std::string about =
        fmt::format(R"("title":{},"clock_mhz":{},"pieces_of_an_operation":{},"truncated":{})",
                    json_text(timeline_.title), timeline_.clock_mhz, pieces, timeline_.truncated);
    if (window_ != nullptr) {
      about += fmt::format(R"(,"window_us":[{},{}])", microseconds(window_->begin_ps),
                           microseconds(window_->end_ps));
    }
    return events_.document(about);
  }

 private:
  using Instance = Timeline::Instance;

  std::uint64_t ps(std::uint64_t cycles) const {
    return static_cast<std::uint64_t>(
        std::llround(static_cast<double>(cycles) * 1e6 / timeline_.clock_mhz));
  }
  std::uint64_t begin_of(const Instance& instance) const { return ps(instance.begin_cycles); }
  std::uint64_t length_of(const Instance& instance) const {
    return ps(timeline_.regions[instance.region].cycles());
  }

  bool has_tiers() const { return !timeline_.tiers.empty(); }
  /// From or to a memory, by either DMA.
  static bool moves(TimelineTrack track) {
    return track <= TimelineTrack::store || track == TimelineTrack::prefetch;
  }

  bool detailed(const Instance& instance) const {
    if (window_ == nullptr) return !instance.repeated;
    const std::uint64_t begin = begin_of(instance);
    return begin < window_->end_ps && begin + length_of(instance) > window_->begin_ps;
  }
  bool within(std::uint64_t begin, std::uint64_t end) const {
    return window_ == nullptr || (begin < window_->end_ps && end > window_->begin_ps);
  }

  /// Stretches in which a load or a store is under way, with what moved in them.
  static std::vector<TimelineSlice> dram_of(const TimelineRegion& region) {
    std::vector<TimelineSlice> moving;
    for (const TimelineSlice& slice : region.slices) {
      if (moves(slice.track)) moving.push_back(slice);
    }
    std::ranges::stable_sort(moving, {}, &TimelineSlice::begin_ps);
    std::vector<TimelineSlice> stretches;
    for (const TimelineSlice& slice : moving) {
      if (!stretches.empty() && slice.begin_ps <= stretches.back().end_ps &&
          slice.operation == stretches.back().operation) {
        stretches.back().end_ps = std::max(stretches.back().end_ps, slice.end_ps);
        stretches.back().bytes += slice.bytes;
        continue;
      }
      stretches.push_back(slice);
      // One track: what the operation before began still has the place.
      if (stretches.size() > 1) {
        TimelineSlice& last = stretches.back();
        last.begin_ps = std::max(last.begin_ps, stretches[stretches.size() - 2].end_ps);
        last.end_ps = std::max(last.end_ps, last.begin_ps);
      }
    }
    return stretches;
  }

  using Thread = std::pair<int, std::uint32_t>;  // and operation
  template <class Do>
  void for_each_piece(const Instance& instance, const Do& visit) const {
    const TimelineRegion& region = timeline_.regions[instance.region];
    const std::uint64_t begin = begin_of(instance);
    std::array<std::uint64_t, kTimelineTrackCount + 1> ended{};
    const auto one = [&](TimelineSlice slice, std::size_t track) {
      // Times are rounded to the picosecond; pieces of a track do not overlap.
      slice.begin_ps = std::max(slice.begin_ps, ended[track]);
      slice.end_ps = std::max(slice.end_ps, slice.begin_ps);
      ended[track] = slice.end_ps;
      slice.begin_ps += begin;
      slice.end_ps += begin;
      if (within(slice.begin_ps, slice.end_ps)) {
        visit(slice, Thread{kFirstTrackThread + static_cast<int>(track), slice.operation});
      }
    };
    for (const TimelineSlice& slice : region.slices) {
      one(slice, static_cast<std::size_t>(slice.track));
    }
    for (const TimelineSlice& slice : dram_[instance.region]) one(slice, kTimelineTrackCount);
  }

  /// As many of each operation and track as keep all within the bound.
  std::size_t pieces_of_operation() const {
    std::vector<std::size_t> counts;  // of each operation and track
    for (const Instance& instance : timeline_.instances) {
      if (!detailed(instance)) continue;
      std::map<Thread, std::size_t> of_instance;
      for_each_piece(instance, [&](const TimelineSlice&, Thread thread) { ++of_instance[thread]; });
      for (const auto& [thread, count] : of_instance) counts.push_back(count);
    }
    std::size_t most = std::size_t{1} << 20;
    for (; most > 1; most /= 2) {
      std::size_t all = 0;
      for (const std::size_t count : counts) all += std::min(count, most + 1);
      if (all <= most_slices_) break;
    }
    return most;
  }

  void add_pieces(const Instance& instance, std::size_t most) {
    struct Rest {
      std::uint64_t begin_ps = 0, end_ps = 0, bytes = 0;
      std::size_t count = 0;
    };
    std::map<Thread, std::size_t> seen;
    std::map<Thread, Rest> rests;
    const TimelineRegion& region = timeline_.regions[instance.region];
    const std::string_view repeated = instance.repeated ? ",\"repeated\":true" : "";
    for_each_piece(instance, [&](const TimelineSlice& slice, Thread thread) {
      const std::size_t ordinal = seen[thread]++;
      if (ordinal >= most) {
        Rest& rest = rests[thread];
        if (rest.count++ == 0) rest.begin_ps = slice.begin_ps;
        rest.end_ps = slice.end_ps;
        rest.bytes += slice.bytes;
        return;
      }
      std::string arguments =
          fmt::format("\"piece\":{},\"layer\":{}{}", ordinal, instance.layer, repeated);
      if (slice.bytes > 0) arguments += fmt::format(",\"bytes\":{}", slice.bytes);
      if (moves(slice.track) && slice.tier < timeline_.tiers.size()) {
        arguments += fmt::format(",\"last_of\":{}", json_text(timeline_.tiers[slice.tier]));
      }
      events_.slice(thread.first, region.operations.at(slice.operation).name, slice.begin_ps,
                    slice.end_ps, arguments);
    });
    for (const auto& [thread, rest] : rests) {
      events_.slice(
          thread.first,
          fmt::format("{}: {} more", region.operations.at(thread.second).name, rest.count),
          rest.begin_ps, rest.end_ps,
          fmt::format("\"pieces\":{},\"bytes\":{},\"layer\":{}{}", rest.count, rest.bytes,
                      instance.layer, repeated));
    }
    add_levels(instance, most);
  }

  void add_banks(const Instance& instance) {
    const std::uint64_t begin = begin_of(instance);
    for (const DramSlice& slice : timeline_.regions[instance.region].dram) {
      const std::uint64_t from = begin + slice.begin_ps, to = begin + slice.end_ps;
      if (slice.pieces > 1 || !within(from, to)) continue;
      if (bank_slices_++ >= kMostBankSlices) return;
      banks_.add(slice.bank, slice.act, from, to, slice.bytes);
    }
  }

  void add_levels(const Instance& instance, std::size_t most) {
    const std::uint64_t begin = begin_of(instance);
    std::array<std::int64_t, kTimelineLevelCount> level{};
    std::array<std::size_t, kTimelineLevelCount> shown{};
    for (const TimelineChange& change : timeline_.regions[instance.region].changes) {
      const auto which = static_cast<std::size_t>(change.level);
      level[which] += change.by;
      const std::uint64_t at = begin + change.time_ps;
      if (!within(at, at + 1) || shown[which]++ >= most) continue;
      events_.counter(kLevelNames[which], at, kLevelUnits[which],
                      static_cast<double>(level[which]));
    }
    for (std::size_t l = 0; l < kTimelineLevelCount; ++l) {
      if (shown[l] > 0) {
        events_.counter(kLevelNames[l], begin + length_of(instance), kLevelUnits[l], 0);
      }
    }
  }

  void add_operations(std::size_t index) {
    const Instance& instance = timeline_.instances[index];
    const TimelineRegion& region = timeline_.regions[instance.region];
    std::uint64_t at = instance.begin_cycles;
    for (const TimelineRegion::Operation& operation : region.operations) {
      const std::uint64_t begin = ps(at), end = ps(at += operation.cycles);
      if (operation.cycles == 0) continue;
      if (operation_slices_++ >= kMostOperationSlices && !within_asked(begin, end)) continue;
      std::string arguments = fmt::format(
          "\"step\":{},\"layer\":{},\"repeated\":{},\"cycles\":{}{}", instance.step, instance.layer,
          instance.repeated, operation.cycles, cause_arguments(operation.cycles_by_cause));
      arguments +=
          fmt::format(",\"macs\":{},\"dram_bytes\":{}", operation.macs, operation.dram_bytes);
      if (has_tiers()) arguments += fmt::format(",\"tier_bytes\":{}", operation.tier_bytes);
      events_.slice(kOperationsThread, operation.name, begin, end, arguments);
    }
  }
  bool within_asked(std::uint64_t begin, std::uint64_t end) const {
    return window_ != nullptr && within(begin, end);
  }

  /// Bandwidth and array occupancy of a region in equal parts of its time; each slice is spread
  /// evenly over its own.
  const std::vector<std::array<double, 2>>& samples_of(std::uint32_t index) {
    auto [it, is_new] = samples_.try_emplace(index);
    if (!is_new) return it->second;
    const TimelineRegion& region = timeline_.regions[index];
    const std::size_t count = std::clamp<std::size_t>(
        kMostSamples / 2 / std::max<std::size_t>(timeline_.instances.size(), 1), 1,
        kMostSamplesOfRegion);
    it->second.resize(count);
    const double part = static_cast<double>(ps(region.cycles())) / static_cast<double>(count);
    if (!(part > 0)) return it->second;
    for (const TimelineSlice& slice : region.slices) {
      const bool array = slice.track == TimelineTrack::array;
      if (!array && !moves(slice.track)) continue;
      const double from = static_cast<double>(slice.begin_ps),
                   to = static_cast<double>(slice.end_ps);
      const auto last = static_cast<std::size_t>(to / part);
      for (auto s = static_cast<std::size_t>(from / part); s < count && s <= last; ++s) {
        const double low = part * static_cast<double>(s);
        const double shared = std::min(to, low + part) - std::max(from, low);
        if (shared <= 0) continue;
        // Bytes over picoseconds are terabytes a second.
        it->second[s][array ? 1 : 0] +=
            array ? 100 * shared / part
                  : 1e3 * static_cast<double>(slice.bytes) * shared / (to - from) / part;
      }
    }
    return it->second;
  }

  void add_counters(const Instance& instance) {
    if (sampled_ >= kMostSamples) return;
    const auto& samples = samples_of(instance.region);
    sampled_ += 2 * samples.size();
    const std::uint64_t begin = begin_of(instance), length = length_of(instance);
    for (std::size_t s = 0; s < samples.size(); ++s) {
      const std::uint64_t at = begin + length * s / samples.size();
      events_.counter(has_tiers() ? "bandwidth of all memories" : "DRAM bandwidth", at, "GB/s",
                      samples[s][0]);
      events_.counter("array occupied", at, "percent", samples[s][1]);
    }
  }

  const Timeline& timeline_;
  const TraceWindow* window_;
  std::size_t most_slices_;
  std::vector<std::vector<TimelineSlice>> dram_;
  std::map<std::uint32_t, std::vector<std::array<double, 2>>> samples_;
  std::size_t operation_slices_ = 0, sampled_ = 0, bank_slices_ = 0;
  Events events_;
  BankTracks banks_{events_};
};

}  // namespace

std::string to_trace(const Timeline& timeline, const TraceWindow* window, std::size_t most_slices) {
  return Renderer(timeline, window, most_slices).render();
}

namespace {

/// A result as a trace: its rows, and what it keeps over time.
class ResultRenderer {
 public:
  explicit ResultRenderer(const RunResult& result) : result_(result) {}

  std::string render() {
    events_.name("process_name", 0, title_of(result_));
    add_rows();
    if (result_.clock_mhz > 0) {
      add_windows();
      add_excerpt();
      add_levels();
      add_banks();
    }
    const Excerpt& excerpt = result_.excerpt;
    return events_.document(fmt::format(R"("title":{},"clock_mhz":{},"rows_only":{})",
                                        json_text(title_of(result_)), result_.clock_mhz,
                                        excerpt.bars.empty() && excerpt.dram.empty()));
  }

 private:
  static constexpr int kRowsThread = kOperationsThread,
                       kExcerptThread = kFirstBankThread + 2 * static_cast<int>(kMostDramBanks);

  std::uint64_t ps(std::uint64_t cycles) const {
    const double value = static_cast<double>(cycles) * 1e6 / result_.clock_mhz;
    return std::isfinite(value) ? static_cast<std::uint64_t>(std::llround(value)) : 0;
  }

  void add_rows() {
    events_.name("thread_name", kRowsThread, "rows: instances of a row together");
    std::uint64_t at = 0;
    for (const OperationRow& row : result_.operations) {
      const std::uint64_t begin = ps(at), end = ps(at += row.cycles);
      events_.slice(kRowsThread, row.name, begin, end,
                    fmt::format("\"phase\":{},\"repeats\":{},\"cycles\":{}{},\"macs\":{},"
                                "\"dram_bytes\":{},\"bound\":{}",
                                json_text(row.phase), row.repeats, row.cycles,
                                cause_arguments(row.cycles_by_cause), row.macs, dram_bytes_of(row),
                                json_text(row.bound)));
      if (end == begin || !result_.windows.empty()) continue;
      add_counters(begin, dram_bytes_of(row), end - begin,
                   utilisation_of(row, result_).value_or(0));
    }
  }

  void add_counters(std::uint64_t begin_ps, std::uint64_t bytes, std::uint64_t length_ps,
                    double utilisation) {
    events_.counter("DRAM bandwidth", begin_ps, "GB/s",
                    1e3 * static_cast<double>(bytes) / static_cast<double>(length_ps));
    events_.counter("array utilisation", begin_ps, "percent", 100 * utilisation);
  }

  /// Counters where there are windows: their times are those of the run.
  void add_windows() {
    for (std::size_t w = 0; w < result_.windows.size(); ++w) {
      const TimeWindow& window = result_.windows[w];
      std::uint64_t cycles = 0;
      for (const std::uint64_t of_cause : window.cycles_by_cause) cycles += of_cause;
      const std::uint64_t length = ps(cycles);
      if (length == 0) continue;
      add_counters(ps(w * result_.window_cycles), window.dram_read_bytes + window.dram_write_bytes,
                   length,
                   share_of(static_cast<double>(window.macs),
                            static_cast<double>(cycles) * result_.peak_macs_per_cycle)
                       .value_or(0));
    }
  }

  /// The run's time at which an operation's stretch begins.
  std::uint64_t stretch_begin(std::uint64_t operation) const {
    const std::vector<ExcerptOperation>& all = result_.excerpt.operations;
    std::size_t first = operation;
    while (first > 0 && all[first - 1].stretch == all[operation].stretch) --first;
    return ps(all[first].begin_cycles);
  }

  void add_excerpt() {
    const Excerpt& excerpt = result_.excerpt;
    if (excerpt.operations.empty()) return;
    events_.name("thread_name", kExcerptThread, "excerpt: operations");
    // One after the other, as their pieces are: in the run there may be equal sequences between.
    std::uint64_t ended = 0, at = 0;
    for (std::size_t i = 0; i < excerpt.operations.size(); ++i) {
      const ExcerptOperation& operation = excerpt.operations[i];
      if (i == 0 || excerpt.operations[i - 1].stretch != operation.stretch) {
        at = operation.begin_cycles;
      }
      const std::uint64_t begin = std::max(ps(at), ended);
      ended = std::max(begin, ps(at += operation.cycles));
      events_.slice(kExcerptThread, operation.name, begin, ended,
                    fmt::format("\"stretch\":{},\"cycles\":{}", json_text(operation.stretch),
                                operation.cycles));
    }
    std::map<std::uint64_t, std::uint64_t> ended_on;  // by track
    for (const ExcerptBar& bar : excerpt.bars) {
      if (bar.operation >= excerpt.operations.size() || bar.track >= kTimelineTrackCount) continue;
      const int thread = kFirstTrackThread + static_cast<int>(bar.track);
      const auto [last, first] = ended_on.try_emplace(bar.track, 0);
      if (first) events_.name("thread_name", thread, kTimelineTrackNames[bar.track]);
      const std::uint64_t shift = stretch_begin(bar.operation);
      const std::uint64_t begin = std::max(shift + bar.begin_ps, last->second);
      const std::uint64_t end = std::max(shift + bar.end_ps, begin);
      last->second = end;
      events_.slice(thread, excerpt.operations[bar.operation].name, begin, end,
                    fmt::format("\"pieces\":{},\"busy_ps\":{},\"bytes\":{}", bar.pieces,
                                bar.busy_ps, bar.bytes));
    }
  }

  void add_levels() {
    const Excerpt& excerpt = result_.excerpt;
    for (const ExcerptLevel& level : excerpt.levels) {
      if (level.operation >= excerpt.operations.size() ||
          level.scratchpad >= result_.scratchpads.size()) {
        continue;
      }
      events_.counter(result_.scratchpads[level.scratchpad].name + " held",
                      stretch_begin(level.operation) + level.begin_ps, "bytes",
                      static_cast<double>(level.bytes));
    }
  }

  void add_banks() {
    BankTracks banks(events_);
    const Excerpt& excerpt = result_.excerpt;
    for (const ExcerptDramBar& bar : excerpt.dram) {
      if (bar.operation >= excerpt.operations.size() || bar.bank >= kMostDramBanks ||
          bar.act >= kDramActCount || bar.pieces != 1) {
        continue;
      }
      const std::uint64_t shift = stretch_begin(bar.operation);
      banks.add(bar.bank, static_cast<DramAct>(bar.act), shift + bar.begin_ps, shift + bar.end_ps,
                bar.bytes);
    }
  }

  const RunResult& result_;
  Events events_;
};

}  // namespace

std::string result_to_trace(const RunResult& result) { return ResultRenderer(result).render(); }

}  // namespace systole::reports
