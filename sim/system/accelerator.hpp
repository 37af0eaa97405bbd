// The timed machine in SystemC: two loaders, the array, the dequantiser and the vector unit, joined
// by bounded queues and double buffers, in front of the memory system. It follows a schedule and
// finds out how long it takes.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "configs/machine.hpp"
#include "memory/memory_system.hpp"
#include "memory/tier.hpp"
#include "sim/core/run_result.hpp"
#include "sim/core/timeline.hpp"
#include "sim/kernel/channel.hpp"
#include "sim/kernel/clock.hpp"
#include "sim/kernel/systemc.hpp"
#include "sim/system/schedule.hpp"
#include "sim/system/tiering.hpp"

namespace systole::sim {

/// What one operation of a segment did and took.
struct OperationOutcome {
  CyclesByCause cycles_by_cause{};
  BytesByClass dram_read_bytes{};
  BytesByClass dram_write_bytes{};
  WorkCounts counts;
  memory::PimPass at_memory;
  /// Beside the DRAM, of tiers 1, 2, ...; and cycles waited for the tier that came last (0: DRAM).
  std::array<BytesByClass, memory::kMostTiers> tier_read_bytes{}, tier_write_bytes{};
  std::array<std::uint64_t, memory::kMostTiers> tier_wait_cycles{};
  /// Of what loads brought; `add_kept` adds what is there besides (scratchpad_use.hpp).
  HeldByteCycles held_byte_cycles{};

  std::uint64_t cycles() const;
};

struct SegmentOutcome {
  std::vector<OperationOutcome> operations;
  EventCounts dram_events;  ///< and those of the tiers
};

/// What a run is asked for besides its jobs.
struct Besides {
  /// Moved meanwhile, in this order, as many at once as the machine has chunks for; what is still
  /// to come when the jobs have ended is waited for.
  std::span<const PrefetchChunk> prefetch{};
  /// Ascending indices of jobs; `at_marks` gets the outcome as each of them may issue.
  std::span<const std::uint64_t> marks{};
  std::vector<SegmentOutcome>* at_marks = nullptr;
};

/// Runs segments one after the other. Call `run` from one SC_THREAD; it returns when the segment
/// has ended and the machine is empty again, on a clock edge.
///
/// Operations issue in order: one starts when its predecessor's results are where it reads them.
/// Weights and cache of later operations are fetched meanwhile, as far as half of the weight
/// scratchpad allows. Each cycle is put down to what the issuing unit (array or vector unit) did or
/// waited for.
class Accelerator : public sc_core::sc_module {
 public:
  Accelerator(const sc_core::sc_module_name& name, const configs::MachineConfig& machine);

  SegmentOutcome run(std::span<const Job> jobs, const Besides& besides = {});

  /// Segments run from now on are recorded there; null: not. `most_dram_slices` of the first
  /// channel's banks; 0: these are not.
  void record_to(TimelineRegion* region, std::size_t most_dram_slices = 0);

  /// Since construction: grows while anything is done.
  std::uint64_t jobs_issued() const { return jobs_issued_; }

  memory::MemorySystem memory;
  std::unique_ptr<memory::Tiers> tiers;  ///< null: all lies in DRAM

 private:
  /// A count that only grows within a segment; processes wait for it to reach a value.
  class Milestone {
   public:
    void advance(std::uint64_t by = 1);
    void reset() { value_ = 0; }
    std::uint64_t value() const { return value_; }
    void wait_for(std::uint64_t value);

   private:
    std::uint64_t value_ = 0;
    sc_core::sc_event changed_;
  };

  /// What leaves the issuing unit: sums to scale, a softmax to start, results to store.
  struct Finish {
    std::uint64_t dequantise_cycles = 0;
    sc_core::sc_time array_end;
    std::uint64_t background_vector_cycles = 0;
    std::vector<memory::Transfer> results;
    std::uint32_t operation = 0;
  };
  /// What the vector unit and the storer get from the dequantiser.
  struct Softmax {
    std::uint64_t cycles = 0;
    std::uint32_t operation = 0;
  };
  struct Stores {
    std::vector<memory::Transfer> transfers;
    std::uint32_t operation = 0;
  };

  void load_stationary();
  void load_moving();
  void finish();
  void run_vector();
  void store();

  std::uint64_t segment_ps() const;  ///< since the segment's start
  void record(TimelineTrack track, std::uint32_t operation, std::uint64_t begin_ps,
              std::uint64_t end_ps, std::uint64_t bytes = 0, std::uint32_t tier = 0);
  void record(TimelineLevel level, std::int64_t by);

  void load(Load Job::*which, Milestone& loaded, Milestone& freed, std::uint64_t buffers,
            bool after_predecessors, std::vector<std::uint32_t>& slowest);
  /// What a load brought into the buffers it took, or the oldest buffers lose as they are freed.
  void hold(ScratchpadOf scratchpad, std::uint64_t bytes, bool takes);
  void release(ScratchpadOf scratchpad);
  /// Puts down what has been held since the level last changed.
  void settle_held();
  /// Returns the tier that came last.
  std::uint32_t transfer(std::span<const memory::Transfer> transfers);
  void prefetch();
  void issue(const Job& job, std::uint64_t index, OperationOutcome& outcome);
  static void count(OperationOutcome& outcome, const memory::Transfer& transfer);
  void end_operation(OperationOutcome& outcome);
  void wait_cycles(std::uint64_t cycles);
  /// Until the last result of the array's last job has left it.
  void wait_for_array(OperationOutcome& outcome);
  void align_to_clock();
  /// Puts the cycles since `mark_` down to `cause`; to the tier that took the last results where
  /// that is memory.
  void account(OperationOutcome& outcome, CycleCause cause);
  /// The same of what DRAM or a tier was waited for.
  void account_tier(OperationOutcome& outcome, std::uint32_t tier);
  void account(OperationOutcome& outcome, CycleCause cause, std::uint32_t tier);

  kernel::Clock clock_;
  std::uint64_t stationary_buffers_, moving_buffers_, sum_buffers_;
  std::span<const Job> jobs_;
  sc_core::sc_event segment_started_;
  Cycles mark_;
  TimelineRegion* recorded_ = nullptr;
  std::unique_ptr<memory::DramRecorder> banks_;  ///< where they are recorded
  sc_core::sc_time segment_start_;

  /// Bytes of each load whose buffers are taken, the oldest first, and their sum; since when.
  std::array<std::deque<std::uint64_t>, kLoadedBytes.size()> loads_held_;
  std::array<std::uint64_t, kLoadedBytes.size()> held_{};
  Cycles held_since_;
  HeldByteCycles held_byte_cycles_{};  ///< not yet put down to an operation

  Milestone stationary_loaded_, stationary_freed_;
  Milestone moving_loaded_, moving_freed_;
  Milestone operations_ended_;
  Milestone finished_;            ///< pieces through the dequantiser
  Milestone background_started_;  ///< softmax blocks whose scores are there
  Milestone background_done_;     ///< softmax blocks through the vector unit
  Milestone stored_;              ///< pieces whose results are in DRAM
  std::uint64_t jobs_issued_ = 0;
  // With tiers: of each job's loads, and of the last results, the tier that came last.
  std::vector<std::uint32_t> slowest_stationary_, slowest_moving_;
  std::uint32_t slowest_store_ = 0, slowest_prefetch_ = 0;
  std::span<const PrefetchChunk> prefetch_;
  std::size_t next_chunk_ = 0;
  Milestone prefetched_;
  bool decodes_cache_ = false;  ///< this operation waits for the KV dequantiser
  std::uint64_t finish_issued_ = 0, background_issued_ = 0, store_issued_ = 0;
  /// Why the last piece left the dequantiser when it did: its own work, the vector unit or DRAM not
  /// taking pieces.
  CycleCause held_by_ = CycleCause::dequantise;

  sc_core::sc_time array_empty_;  ///< when the array's last job has drained

  kernel::Channel<Finish> to_dequantiser_;
  kernel::Channel<Softmax> to_vector_;
  kernel::Channel<Stores> to_storage_;
};

}  // namespace systole::sim
