#define SC_INCLUDE_DYNAMIC_PROCESSES  // sc_spawn
#include "sim/system/accelerator.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "sim/core/error.hpp"

namespace systole::sim {
namespace {

/// Jobs whose results may be on their way through the array at once; a fold takes at least as long
/// as its rows, so that three fill the longest way.
constexpr std::uint64_t kMostInside = 8;

std::uint64_t buffers_of(const Load& load, std::uint64_t all) { return load.whole ? all : 1; }

}  // namespace

std::uint64_t OperationOutcome::cycles() const {
  return std::accumulate(cycles_by_cause.begin(), cycles_by_cause.end(), std::uint64_t{0});
}

void Accelerator::Milestone::advance(std::uint64_t by) {
  value_ += by;
  changed_.notify(sc_core::SC_ZERO_TIME);
}

void Accelerator::Milestone::wait_for(std::uint64_t value) {
  while (value_ < value) sc_core::wait(changed_);
}

Accelerator::Accelerator(const sc_core::sc_module_name& name, const configs::MachineConfig& machine)
    : sc_module(name),
      memory("memory", machine.memory, machine.clock_mhz),
      clock_(ClockDomain(machine.clock_mhz)),
      stationary_buffers_(machine.memory.weight.buffers),
      moving_buffers_(machine.memory.activation.buffers),
      sum_buffers_(machine.memory.output.buffers),
      to_dequantiser_("to_dequantiser", sum_buffers_ + kMostInside),
      to_vector_("to_vector", 1),
      to_storage_("to_storage", 1) {
  SC_HAS_PROCESS(Accelerator);
  SC_THREAD(load_stationary);
  SC_THREAD(load_moving);
  SC_THREAD(finish);
  SC_THREAD(run_vector);
  SC_THREAD(store);
  if (machine.memory.tiers.empty()) return;
  tiers = std::make_unique<memory::Tiers>("tiers", machine.memory, memory);
  if (machine.memory.prefetch.staging_bytes == 0) return;
  for (std::uint32_t i = 0; i < machine.memory.prefetch.chunks; ++i) {
    sc_core::sc_spawn([this] { prefetch(); }, ("prefetch" + std::to_string(i)).c_str());
  }
}

SegmentOutcome Accelerator::run(std::span<const Job> jobs, const Besides& besides) {
  SegmentOutcome outcome;
  if (jobs.empty()) return outcome;
  outcome.operations.resize(jobs.back().operation + 1);
  align_to_clock();
  memory.quiesce();
  if (banks_) banks_->take(0);  // what came after the segment before
  if (tiers) tiers->quiesce();
  const auto events = [&] {
    EventCounts counts = memory.events();
    if (tiers) counts += tiers->events();
    return counts;
  };
  const EventCounts start = events();

  jobs_ = jobs;
  for (Milestone* milestone : {&stationary_loaded_, &stationary_freed_, &moving_loaded_,
                               &moving_freed_, &operations_ended_, &finished_, &background_started_,
                               &background_done_, &stored_, &prefetched_}) {
    milestone->reset();
  }
  if (tiers) {
    slowest_stationary_.assign(jobs.size(), 0);
    slowest_moving_.assign(jobs.size(), 0);
    prefetch_ = besides.prefetch;
    next_chunk_ = 0;
  }
  finish_issued_ = background_issued_ = store_issued_ = 0;
  mark_ = held_since_ = clock_.now();
  for (auto& loads : loads_held_) loads.clear();
  held_ = {};
  held_byte_cycles_ = {};
  segment_start_ = sc_core::sc_time_stamp();
  segment_started_.notify(sc_core::SC_ZERO_TIME);

  std::span<const std::uint64_t> marks = besides.marks;
  for (std::uint64_t i = 0; i < jobs.size(); ++i) {
    for (; !marks.empty() && marks.front() == i; marks = marks.subspan(1)) {
      besides.at_marks->push_back({outcome.operations, events().since(start)});
    }
    OperationOutcome& operation = outcome.operations[jobs[i].operation];
    issue(jobs[i], i, operation);
    if (i + 1 == jobs.size() || jobs[i + 1].operation != jobs[i].operation)
      end_operation(operation);
  }
  if (memory.cache(0) != nullptr) {
    memory.flush();
    account(outcome.operations.back(), CycleCause::dram);
  }
  if (!besides.prefetch.empty()) {
    prefetched_.wait_for(besides.prefetch.size());
    OperationOutcome& last = outcome.operations.back();
    account_tier(last, slowest_prefetch_);
    for (const PrefetchChunk& chunk : besides.prefetch) {
      for (const memory::Transfer& read : chunk.reads) count(last, read);
      count(last, chunk.write);
    }
  }
  outcome.dram_events = events().since(start);
  if (recorded_ != nullptr && banks_) recorded_->dram = banks_->take(segment_ps());
  return outcome;
}

void Accelerator::issue(const Job& job, std::uint64_t index, OperationOutcome& outcome) {
  decodes_cache_ = decodes_cache_ || job.counts.kv_dequantise_cycles > 0;
  stationary_loaded_.wait_for(index + 1);
  if (tiers) account_tier(outcome, slowest_stationary_[index]);
  moving_loaded_.wait_for(index + 1);
  account_tier(outcome, tiers ? slowest_moving_[index] : 0);
  if (job.needs_background) {
    if (decodes_cache_) {  // the scores were late for their softmax because their keys were
      background_started_.wait_for(*job.needs_background);
      account(outcome, CycleCause::dequantise);
    }
    background_done_.wait_for(*job.needs_background);
    account(outcome, CycleCause::dependency);
  }
  // Every buffer of the accumulators holds one job's sums, usually two. Those of a job whose
  // results are still on their way through the array have not reached theirs: columns use them as
  // much later as rows do.
  const std::uint64_t occupied = job.stream_cycles + job.fill_drain_cycles + job.scratchpad_cycles;
  const std::uint64_t inside =
      occupied == 0 ? 0 : std::min<std::uint64_t>(job.tail_cycles / occupied, kMostInside);
  if (finish_issued_ >= sum_buffers_ + inside) {
    finished_.wait_for(finish_issued_ - sum_buffers_ - inside + 1);
    account(outcome, held_by_);
  }

  if (job.reconfigure_cycles > 0) {
    wait_for_array(outcome);
    wait_cycles(job.reconfigure_cycles);
    account(outcome, CycleCause::fill_drain);
  }

  const std::uint64_t array_cycles = occupied;
  if (array_cycles > 0) {
    array_empty_ = sc_core::sc_time_stamp() + clock_.time(Cycles(array_cycles + job.tail_cycles));
  }
  const bool finishes =
      job.dequantise_cycles > 0 || job.background_vector_cycles > 0 || !job.results.empty();
  if (finishes) {
    // Sums leave the array while it still runs, so the dequantiser starts with it and ends no
    // earlier.
    const sc_core::sc_time end =
        job.vector_cycles > 0 ? sc_core::sc_time_stamp() + clock_.time(Cycles(job.vector_cycles))
                              : std::max(array_empty_, sc_core::sc_time_stamp());
    record(TimelineLevel::unfinished_pieces, 1);
    to_dequantiser_.push(
        {job.dequantise_cycles, end, job.background_vector_cycles, job.results, job.operation});
    ++finish_issued_;
    background_issued_ += job.background_vector_cycles > 0 ? 1 : 0;
    store_issued_ += job.results.empty() ? 0 : 1;
  }
  if (recorded_ != nullptr) {  // these waits are exact
    const std::uint64_t now = segment_ps();
    const auto later = [&](std::uint64_t cycles) {
      return now + static_cast<std::uint64_t>(
                       std::llround(clock_.time(Cycles(cycles)).to_seconds() * 1e12));
    };
    record(TimelineTrack::array, job.operation, now, later(occupied));
    record(TimelineTrack::vector, job.operation, later(occupied),
           later(occupied + job.vector_cycles));
  }
  wait_cycles(job.stream_cycles);
  account(outcome, CycleCause::compute);
  wait_cycles(job.fill_drain_cycles);
  account(outcome, CycleCause::fill_drain);
  wait_cycles(job.scratchpad_cycles);
  account(outcome, CycleCause::scratchpad);
  wait_cycles(job.vector_cycles);
  account(outcome, CycleCause::compute);
  if (job.at_memory) {
    wait_cycles(job.at_memory->cycles);
    account_tier(outcome, 0);
    outcome.at_memory += job.at_memory->pass;
  }

  if (job.dequantise_in_loop) {
    wait_for_array(outcome);
    finished_.wait_for(finish_issued_);
    account(outcome, held_by_);
  }

  if (job.stationary.frees_half) {
    const std::uint64_t freed = buffers_of(job.stationary, stationary_buffers_);
    stationary_freed_.advance(freed);
    record(TimelineLevel::weight_buffers, -static_cast<std::int64_t>(freed));
    release(ScratchpadOf::weights);
  }
  if (job.moving.frees_half) {
    const std::uint64_t freed = buffers_of(job.moving, moving_buffers_);
    moving_freed_.advance(freed);
    record(TimelineLevel::activation_buffers, -static_cast<std::int64_t>(freed));
    release(ScratchpadOf::activations);
  }
  outcome.counts += job.counts;
  ++jobs_issued_;
  for (const auto* list : {&job.stationary.transfers, &job.moving.transfers, &job.results}) {
    for (const memory::Transfer& transfer : *list) count(outcome, transfer);
  }
}

void Accelerator::count(OperationOutcome& outcome, const memory::Transfer& transfer) {
  const std::uint32_t tier = memory::tier_of(transfer.address);
  auto& bytes = tier > 0
                    ? (transfer.write ? outcome.tier_write_bytes : outcome.tier_read_bytes)[tier]
                    : (transfer.write ? outcome.dram_write_bytes : outcome.dram_read_bytes);
  bytes[index_of(transfer.traffic)] += transfer.bytes;
}

void Accelerator::wait_for_array(OperationOutcome& outcome) {
  if (array_empty_ > sc_core::sc_time_stamp()) {
    sc_core::wait(array_empty_ - sc_core::sc_time_stamp());
  }
  account(outcome, CycleCause::fill_drain);
}

void Accelerator::end_operation(OperationOutcome& outcome) {
  wait_for_array(outcome);
  finished_.wait_for(finish_issued_);
  account(outcome, held_by_);
  background_done_.wait_for(background_issued_);
  account(outcome, CycleCause::dependency);
  stored_.wait_for(store_issued_);
  account_tier(outcome, slowest_store_);
  decodes_cache_ = false;
  operations_ended_.advance();
}

std::uint32_t Accelerator::transfer(std::span<const memory::Transfer> transfers) {
  if (tiers) return tiers->transfer(transfers);
  memory.transfer(transfers);
  return 0;
}

void Accelerator::prefetch() {
  for (;;) {
    sc_core::wait(segment_started_);
    while (next_chunk_ < prefetch_.size()) {
      const PrefetchChunk& chunk = prefetch_[next_chunk_++];
      const std::uint64_t begin = recorded_ == nullptr ? 0 : segment_ps();
      slowest_prefetch_ = transfer(chunk.reads);
      transfer({&chunk.write, 1});
      // Several are under way together; whose operation runs meanwhile is no matter to them.
      record(TimelineTrack::prefetch, jobs_.back().operation, begin, segment_ps(),
             chunk.write.bytes, slowest_prefetch_);
      prefetched_.advance();
    }
  }
}

void Accelerator::load(Load Job::*which, Milestone& loaded, Milestone& freed, std::uint64_t buffers,
                       bool after_predecessors, std::vector<std::uint32_t>& slowest) {
  std::uint64_t taken = 0;
  std::size_t index = 0;
  for (const Job& job : jobs_) {
    const Load& load = job.*which;
    if (after_predecessors) operations_ended_.wait_for(job.operation);
    if (load.takes_half) {
      taken += buffers_of(load, buffers);
      if (taken > buffers) freed.wait_for(taken - buffers);
      record(after_predecessors ? TimelineLevel::activation_buffers : TimelineLevel::weight_buffers,
             static_cast<std::int64_t>(buffers_of(load, buffers)));
    }
    if (!load.transfers.empty()) {
      const std::uint64_t begin = recorded_ == nullptr ? 0 : segment_ps();
      const std::uint32_t last = transfer(load.transfers);
      if (tiers) slowest[index] = last;
      if (recorded_ != nullptr) {
        record(after_predecessors ? TimelineTrack::load_moving : TimelineTrack::load_stationary,
               job.operation, begin, segment_ps(), memory::total_bytes(load.transfers), last);
      }
    }
    if (load.takes_half || !load.transfers.empty()) {
      hold(after_predecessors ? ScratchpadOf::activations : ScratchpadOf::weights,
           memory::total_bytes(load.transfers), load.takes_half);
    }
    ++index;
    loaded.advance();
  }
}

void Accelerator::hold(ScratchpadOf scratchpad, std::uint64_t bytes, bool takes) {
  const auto s = static_cast<std::size_t>(scratchpad);
  if (takes) loads_held_[s].push_back(0);
  if (bytes == 0 || loads_held_[s].empty()) return;
  settle_held();
  loads_held_[s].back() += bytes;
  held_[s] += bytes;
  record(kLoadedBytes[s], static_cast<std::int64_t>(bytes));
}

void Accelerator::release(ScratchpadOf scratchpad) {
  const auto s = static_cast<std::size_t>(scratchpad);
  SYSTOLE_CHECK(!loads_held_[s].empty(), "a buffer is freed that nobody took");
  settle_held();
  const std::uint64_t bytes = loads_held_[s].front();
  loads_held_[s].pop_front();
  held_[s] -= bytes;
  record(kLoadedBytes[s], -static_cast<std::int64_t>(bytes));
}

void Accelerator::settle_held() {
  const Cycles now = clock_.now();
  const std::uint64_t cycles = (now - held_since_).count();
  for (std::size_t s = 0; s < held_.size(); ++s) held_byte_cycles_[s] += cycles * held_[s];
  held_since_ = now;
}

void Accelerator::load_stationary() {
  for (;;) {
    sc_core::wait(segment_started_);
    load(&Job::stationary, stationary_loaded_, stationary_freed_, stationary_buffers_, false,
         slowest_stationary_);
  }
}

void Accelerator::load_moving() {
  for (;;) {
    sc_core::wait(segment_started_);
    // Always a delta cycle after load_stationary: the order in which SystemC wakes the two would
    // otherwise depend on which of them ended the segment before, and with it which transfer comes
    // first.
    sc_core::wait(sc_core::SC_ZERO_TIME);
    load(&Job::moving, moving_loaded_, moving_freed_, moving_buffers_, true, slowest_moving_);
  }
}

void Accelerator::finish() {
  for (;;) {
    Finish piece = to_dequantiser_.pop();
    const std::uint64_t begin = recorded_ == nullptr ? 0 : segment_ps();
    wait_cycles(piece.dequantise_cycles);
    if (recorded_ != nullptr) {
      record(TimelineTrack::dequantiser, piece.operation, begin, segment_ps());
    }
    if (sc_core::sc_time_stamp() < piece.array_end) {
      sc_core::wait(piece.array_end - sc_core::sc_time_stamp());
    }
    held_by_ = CycleCause::dequantise;
    const auto ready = sc_core::sc_time_stamp()
                           .value();  // a number: the stamp itself is a reference to the present
    if (piece.background_vector_cycles > 0) {
      background_started_.advance();
      to_vector_.push({piece.background_vector_cycles, piece.operation});
    }
    const auto handed_over = sc_core::sc_time_stamp().value();
    if (!piece.results.empty()) to_storage_.push({std::move(piece.results), piece.operation});
    if (handed_over > ready) held_by_ = CycleCause::dependency;
    if (sc_core::sc_time_stamp().value() > handed_over) held_by_ = CycleCause::dram;
    finished_.advance();
    record(TimelineLevel::unfinished_pieces, -1);
  }
}

void Accelerator::run_vector() {
  for (;;) {
    const Softmax piece = to_vector_.pop();
    const std::uint64_t begin = recorded_ == nullptr ? 0 : segment_ps();
    wait_cycles(piece.cycles);
    if (recorded_ != nullptr) record(TimelineTrack::softmax, piece.operation, begin, segment_ps());
    background_done_.advance();
  }
}

void Accelerator::store() {
  for (;;) {
    const Stores results = to_storage_.pop();
    const std::uint64_t begin = recorded_ == nullptr ? 0 : segment_ps();
    slowest_store_ = transfer(results.transfers);
    if (recorded_ != nullptr) {
      record(TimelineTrack::store, results.operation, begin, segment_ps(),
             memory::total_bytes(results.transfers), slowest_store_);
    }
    stored_.advance();
  }
}

std::uint64_t Accelerator::segment_ps() const {
  return static_cast<std::uint64_t>(
      std::llround((sc_core::sc_time_stamp() - segment_start_).to_seconds() * 1e12));
}

void Accelerator::record_to(TimelineRegion* region, std::size_t most_dram_slices) {
  recorded_ = region;
  const bool banks = region != nullptr && most_dram_slices > 0;
  // It stays when nobody asks any more: the channel tells it of refreshes until it quiesces, which
  // it does before the next segment.
  if (banks && !banks_) {
    banks_ = std::make_unique<memory::DramRecorder>(memory.channel(0).config(), most_dram_slices);
  }
  memory.channel(0).record_to(banks ? banks_.get() : nullptr);
}

void Accelerator::record(TimelineTrack track, std::uint32_t operation, std::uint64_t begin_ps,
                         std::uint64_t end_ps, std::uint64_t bytes, std::uint32_t tier) {
  if (recorded_ == nullptr || end_ps == begin_ps) return;
  recorded_->slices.push_back(
      {begin_ps, end_ps, bytes, operation, track, static_cast<std::uint8_t>(tier)});
}

void Accelerator::record(TimelineLevel level, std::int64_t by) {
  if (recorded_ == nullptr) return;
  recorded_->changes.push_back({segment_ps(), by, level});
}

void Accelerator::wait_cycles(std::uint64_t cycles) {
  if (cycles > 0) sc_core::wait(clock_.time(Cycles(cycles)));
}

void Accelerator::align_to_clock() {
  const auto edge = clock_.time(clock_.cycles_ceil(sc_core::sc_time_stamp()));
  if (edge > sc_core::sc_time_stamp()) sc_core::wait(edge - sc_core::sc_time_stamp());
}

void Accelerator::account(OperationOutcome& outcome, CycleCause cause) {
  account(outcome, cause, slowest_store_);
}

void Accelerator::account_tier(OperationOutcome& outcome, std::uint32_t tier) {
  account(outcome, CycleCause::dram, tier);
}

void Accelerator::account(OperationOutcome& outcome, CycleCause cause, std::uint32_t tier) {
  align_to_clock();
  const Cycles now = clock_.now();
  const std::uint64_t cycles = (now - mark_).count();
  outcome.cycles_by_cause[static_cast<std::size_t>(cause)] += cycles;
  if (cause == CycleCause::dram) outcome.tier_wait_cycles[tier] += cycles;
  mark_ = now;
  settle_held();
  for (std::size_t s = 0; s < kScratchpadCount; ++s) {
    outcome.held_byte_cycles[s] += std::exchange(held_byte_cycles_[s], 0);
  }
}

}  // namespace systole::sim
