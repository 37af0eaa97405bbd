// The contract is in the header.
#include "sim/system/extrapolation.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::sim {
namespace {

// Assumed, and watched: a run whose two measured windows differ is simulated whole instead.
constexpr std::uint64_t kLeadJobs = 8;     // until the double buffers are in step
constexpr std::uint64_t kWindowJobs = 16;  // measured, twice
// Where DRAM sets the pace a window is as many refreshes long that one more or less matters little.
constexpr std::uint64_t kLeastWindowJobs = 4, kWindowRefreshes = 48;
constexpr std::uint64_t kTrailJobs = 4;   // with their stores, and the drain behind them
constexpr std::uint64_t kLeastJobs = 96;  // of an operation worth the trouble
constexpr std::size_t kMostCandidates = 512;
constexpr std::size_t kMostMisses = 64;  // starts that are tried in vain before giving up
/// By how much another unit must be slower than DRAM at its peak: bank conflicts, turn-arounds and
/// refreshes take less than that of the shipped machines' streams.
constexpr double kMargin = 1.5;

/// What decides how a job runs, but for its addresses.
class Signature {
 public:
  explicit Signature(const Job& job, std::uint64_t background_before) {
    visit_timing(
        job, [&](auto value) { put(value); },
        [&](const memory::Transfer& t) { put(index_of(t.traffic), t.write, t.bytes); });
    put(job.needs_background ? background_before + 1 - *job.needs_background : ~std::uint64_t{0});
  }
  std::uint64_t value() const { return hash_; }

 private:
  template <class... Values>
  void put(Values... values) {
    constexpr std::uint64_t kPrime = 0x100000001B3ull;  // FNV-1a, 64 bits
    ((hash_ = (hash_ ^ static_cast<std::uint64_t>(values)) * kPrime, hash_ ^= hash_ >> 29), ...);
  }

  std::uint64_t hash_ = 0xCBF29CE484222325ull;
};

/// A stretch of rounds of `period` jobs, of which some are left out.
struct Rounds {
  std::uint64_t period = 0, all = 0, lead = 0, window = 0, times = 0;
  std::uint64_t left_out() const { return times * window * period; }
};

Rounds rounds_of(std::uint64_t period, std::uint64_t run, std::uint64_t window) {
  Rounds r{period, (run + period) / period, ceil_div(kLeadJobs, period), window, 0};
  const std::uint64_t kept = r.lead + 2 * r.window + ceil_div(kTrailJobs, period);
  r.times = r.all > kept ? (r.all - kept) / r.window : 0;
  return r;
}

class Shortener {
 public:
  Shortener(const configs::MachineConfig& machine, std::vector<Job> jobs)
      : peak_(machine.peak_dram_bytes_per_cycle()),
        refresh_interval_(machine.memory.dram.refi * machine.clock_mhz /
                          machine.memory.dram.clock_mhz),
        jobs_(std::move(jobs)) {}

  ShortenedJobs shorten() {
    result_.left_out.resize(jobs_.empty() ? 0 : jobs_.back().operation + 1);
    std::uint64_t background = 0;
    for (const Job& job : jobs_) {
      signatures_.push_back(Signature(job, background).value());
      background += job.background_vector_cycles > 0 ? 1 : 0;
    }
    for (std::size_t a = 0; a < jobs_.size();) {
      std::size_t b = a;
      while (b < jobs_.size() && jobs_[b].operation == jobs_[a].operation) ++b;
      operation(a, b);
      a = b;
    }
    return std::move(result_);
  }

 private:
  void keep(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      Job& job = result_.jobs.emplace_back(std::move(jobs_[i]));
      if (job.needs_background) *job.needs_background -= background_left_out_;
    }
  }

  void leave_out(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      const Job& job = jobs_[i];
      background_left_out_ += job.background_vector_cycles > 0 ? 1 : 0;
      OperationOutcome& sum = result_.left_out[job.operation];
      sum.counts += job.counts;
      for (const auto* list : {&job.stationary.transfers, &job.moving.transfers, &job.results}) {
        for (const memory::Transfer& t : *list) {
          (t.write ? sum.dram_write_bytes : sum.dram_read_bytes)[index_of(t.traffic)] += t.bytes;
        }
      }
    }
  }

  /// Rounds of jobs [from, to) that make a window; 0: not to be shortened. Of an attention that
  /// DRAM paces no two windows are alike enough.
  std::uint64_t window_of(std::size_t from, std::size_t to) const {
    std::uint64_t array = 0, dequantise = 0, vector = 0, bytes = 0;
    for (std::size_t i = from; i < to; ++i) {
      const Job& job = jobs_[i];
      array += job.stream_cycles + job.fill_drain_cycles + job.scratchpad_cycles +
               job.reconfigure_cycles + job.vector_cycles;
      dequantise += job.dequantise_cycles;
      vector += job.background_vector_cycles;
      for (const auto* list : {&job.stationary.transfers, &job.moving.transfers, &job.results}) {
        bytes += memory::total_bytes(*list);
      }
    }
    const double dram = static_cast<double>(bytes) / peak_;
    if (static_cast<double>(std::max({array, dequantise, vector})) > kMargin * dram) {
      return ceil_div(kWindowJobs, to - from);
    }
    const auto on_array = [](const Job& job) { return job.stream_cycles > 0; };
    if (std::any_of(jobs_.begin() + static_cast<std::ptrdiff_t>(from),
                    jobs_.begin() + static_cast<std::ptrdiff_t>(to), on_array)) {
      return 0;
    }
    const double rounds = static_cast<double>(kWindowRefreshes) * refresh_interval_ / dram;
    return std::max(ceil_div(kLeastWindowJobs, to - from),
                    static_cast<std::uint64_t>(std::ceil(rounds)));
  }

  Rounds best_at(std::size_t i, std::size_t b,
                 const std::unordered_map<std::uint64_t, std::vector<std::size_t>>& places) const {
    Rounds best;
    const std::vector<std::size_t>& same = places.at(signatures_[i]);
    auto next = std::ranges::upper_bound(same, i);
    for (std::size_t tried = 0; next != same.end() && tried < kMostCandidates; ++next, ++tried) {
      const std::size_t period = *next - i;
      if (period > (b - i) / 4) break;
      std::uint64_t run = 0;
      while (i + run + period < b && signatures_[i + run] == signatures_[i + run + period]) ++run;
      if (run < 3 * period) continue;
      const std::uint64_t window = window_of(i, i + period);
      if (window == 0) continue;
      const Rounds rounds = rounds_of(period, run, window);
      if (rounds.left_out() > best.left_out()) best = rounds;
      if (10 * best.left_out() > 9 * (b - i)) break;
    }
    return best;
  }

  void operation(std::size_t a, std::size_t b) {
    std::size_t i = a, misses = 0;
    if (b - a >= kLeastJobs) {
      std::unordered_map<std::uint64_t, std::vector<std::size_t>> places;
      for (std::size_t j = a; j < b; ++j) places[signatures_[j]].push_back(j);
      while (i < b && misses < kMostMisses) {
        const Rounds r = best_at(i, b, places);
        if (r.times == 0) {
          keep(i, i + 1);
          ++i;
          ++misses;
          continue;
        }
        const std::size_t kept = (r.lead + 2 * r.window) * r.period;
        ShortenedJobs::Stretch stretch;
        stretch.operation = jobs_[i].operation;
        stretch.first = result_.jobs.size() + r.lead * r.period;
        stretch.middle = stretch.first + r.window * r.period;
        stretch.last = stretch.middle + r.window * r.period;
        stretch.times = r.times;
        result_.stretches.push_back(stretch);
        keep(i, i + kept);
        leave_out(i + kept, i + kept + r.left_out());
        const std::size_t end = i + r.all * r.period;
        keep(i + kept + r.left_out(), end);
        i = end;
      }
    }
    keep(i, b);
  }

  double peak_;              ///< bytes a cycle
  double refresh_interval_;  ///< cycles
  std::vector<Job> jobs_;
  std::vector<std::uint64_t> signatures_;
  std::uint64_t background_left_out_ = 0;
  ShortenedJobs result_;
};

}  // namespace

std::vector<std::uint64_t> ShortenedJobs::marks() const {
  std::vector<std::uint64_t> all;
  for (const Stretch& s : stretches) all.insert(all.end(), {s.first, s.middle, s.last});
  return all;
}

ShortenedJobs shorten(const configs::MachineConfig& machine, std::vector<Job> jobs) {
  return Shortener(machine, std::move(jobs)).shorten();
}

Extrapolated extrapolate(const ShortenedJobs& jobs, SegmentOutcome kept,
                         const std::vector<SegmentOutcome>& at_marks) {
  SYSTOLE_CHECK(at_marks.size() == 3 * jobs.stretches.size(), "three marks a stretch");
  Extrapolated result{std::move(kept), 0, 0};
  for (std::size_t s = 0; s < jobs.stretches.size(); ++s) {
    const ShortenedJobs::Stretch& stretch = jobs.stretches[s];
    const std::size_t o = stretch.operation;
    const auto cycles = [&](std::size_t mark, std::size_t cause) {
      return at_marks[3 * s + mark].operations.at(o).cycles_by_cause[cause];
    };
    std::uint64_t window = 0, before = 0;
    OperationOutcome& sum = result.outcome.operations.at(o);
    for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
      const std::uint64_t one = cycles(2, c) - cycles(1, c);
      sum.cycles_by_cause[c] += stretch.times * one;
      window += one;
      before += cycles(1, c) - cycles(0, c);
    }
    for (std::size_t p = 0; p < kScratchpadCount; ++p) {
      const auto held = [&](std::size_t mark) {
        return at_marks[3 * s + mark].operations.at(o).held_byte_cycles[p];
      };
      sum.held_byte_cycles[p] += stretch.times * (held(2) - held(1));
    }
    result.outcome.dram_events +=
        at_marks[3 * s + 2].dram_events.since(at_marks[3 * s + 1].dram_events).times(stretch.times);
    result.left_out_cycles += stretch.times * window;
    result.bound_cycles += stretch.times * (window > before ? window - before : before - window);
  }
  for (std::size_t o = 0; o < jobs.left_out.size(); ++o) {
    OperationOutcome& sum = result.outcome.operations.at(o);
    const OperationOutcome& more = jobs.left_out[o];
    sum.counts += more.counts;
    for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
      sum.dram_read_bytes[c] += more.dram_read_bytes[c];
      sum.dram_write_bytes[c] += more.dram_write_bytes[c];
    }
  }
  return result;
}

SegmentOutcome between(const SegmentOutcome& shorter, const SegmentOutcome& longer, double share,
                       const std::vector<Job>& jobs, std::uint32_t burst_bytes) {
  SYSTOLE_CHECK(shorter.operations.size() == longer.operations.size(), "outcomes of other work");
  const auto at = [&](std::uint64_t a, std::uint64_t b) {
    const double from = static_cast<double>(a), to = static_cast<double>(b);
    return static_cast<std::uint64_t>(std::llround(from + share * (to - from)));
  };
  SegmentOutcome outcome;
  outcome.operations.resize(shorter.operations.size());
  for (std::size_t o = 0; o < outcome.operations.size(); ++o) {
    for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
      outcome.operations[o].cycles_by_cause[c] =
          at(shorter.operations[o].cycles_by_cause[c], longer.operations[o].cycles_by_cause[c]);
    }
    for (std::size_t p = 0; p < kScratchpadCount; ++p) {
      outcome.operations[o].held_byte_cycles[p] =
          at(shorter.operations[o].held_byte_cycles[p], longer.operations[o].held_byte_cycles[p]);
    }
  }
  std::uint64_t read_bits = 0, write_bits = 0;
  for (const Job& job : jobs) {
    OperationOutcome& sum = outcome.operations.at(job.operation);
    sum.counts += job.counts;
    for (const auto* list : {&job.stationary.transfers, &job.moving.transfers, &job.results}) {
      for (const memory::Transfer& t : *list) {
        (t.write ? sum.dram_write_bytes : sum.dram_read_bytes)[index_of(t.traffic)] += t.bytes;
        (t.write ? write_bits : read_bits) += 8 * memory::burst_bytes_of(t, burst_bytes);
      }
    }
  }
  for (const char* event : {"dram.activate", "dram.refresh"}) {
    outcome.dram_events.add(event,
                            at(shorter.dram_events.get(event), longer.dram_events.get(event)));
  }
  outcome.dram_events.add("dram.read_bit", read_bits);
  outcome.dram_events.add("dram.write_bit", write_bits);
  return outcome;
}

}  // namespace systole::sim
