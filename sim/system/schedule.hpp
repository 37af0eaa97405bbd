// Schedule: the operations of a segment as a list of jobs, each a scratchpad-sized piece of work
// with the transfers it needs. Built before the clock starts; the timed units only follow it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "configs/machine.hpp"
#include "memory/memory_system.hpp"
#include "memory/pim.hpp"
#include "pe/array_timing.hpp"
#include "pe/design.hpp"
#include "sim/core/event_counts.hpp"
#include "sim/core/kv_layout.hpp"
#include "sim/system/pass_kinds.hpp"
#include "workloads/operand_source.hpp"
#include "workloads/program.hpp"

namespace systole::sim {

/// What a job adds to the counters when it runs.
struct WorkCounts {
  std::uint64_t macs = 0;        ///< useful multiply-accumulates
  std::uint64_t mac_passes = 0;  ///< passes through a PE (several a MAC for wide operands)
  /// Of these, each in at most one kind: see pricing.hpp.
  std::uint64_t passes_zero = 0, passes_hold = 0, passes_traced = 0;
  std::uint64_t operand_toggles = 0;  ///< on entering traced passes
  /// Words through the decoders at the array's edge, sums through its rounders, where it has any.
  std::uint64_t edge_weight_words = 0, edge_activation_words = 0, edge_results = 0;
  std::uint64_t dequantise_fma = 0;  ///< scale-adds of group sums, or scaled elements
  std::uint64_t vector_adds = 0, vector_multiplies = 0;
  std::uint64_t weight_read_bytes = 0, weight_write_bytes = 0;
  std::uint64_t activation_read_bytes = 0, activation_write_bytes = 0;
  std::uint64_t output_read_bytes = 0, output_write_bytes = 0;
  std::uint64_t kv_dequantise_cycles = 0;  ///< that the KV dequantiser works
  KvDecodeWork kv_work;                    ///< what it does
  std::uint64_t kv_read_burst_bytes = 0, kv_write_burst_bytes = 0;  ///< cache traffic, whole bursts
  /// Of the cache, served from and taken by the write-combining buffer.
  std::uint64_t kv_combined_read_bytes = 0, kv_combined_write_bytes = 0;
  /// Of a shared prefix: pages copied and pages written anew without, bytes copied (read and
  /// written, among the cache's).
  std::uint64_t kv_copied_pages = 0, kv_replaced_pages = 0, kv_copied_bytes = 0;

  WorkCounts& operator+=(const WorkCounts& other);
  WorkCounts operator*(std::uint64_t times) const;
  friend bool operator==(const WorkCounts&, const WorkCounts&) = default;
};

/// Counts what `times` tiles of this work pass through the edge of the design's array.
void count_edge(WorkCounts& counts, const pe::PeDesign& design, const pe::ArrayWork& work,
                std::uint64_t times = 1);

/// A load into one half of a double-buffered scratchpad. A half is taken by the first job that
/// loads into it and freed after the last job that reads it.
struct Load {
  bool takes_half = false;
  bool frees_half = false;
  bool whole = false;  ///< too large for a half: takes and frees both
  std::vector<memory::Transfer> transfers;
};

/// What units at the memory do for a job.
struct MemoryWork {
  std::uint64_t cycles = 0;  ///< of the accelerator
  memory::PimPass pass;
};

/// One job. Order of events: both loads are in; the accumulators of the job before last are free;
/// the array runs; finished sums leave through the dequantiser, the vector unit
/// (`background_vector_cycles`) and the DMA.
struct Job {
  std::uint32_t operation = 0;  ///< index in the segment
  Load stationary;              ///< weights or cache: may be fetched before earlier operations end
  Load moving;                  ///< results of earlier operations that did not stay on chip
  std::uint64_t stream_cycles = 0;  ///< array streaming useful operands
  std::uint64_t fill_drain_cycles = 0;
  /// Behind these, results still leave the array while the next job may already use it.
  std::uint64_t tail_cycles = 0;
  /// The array empties, then changes to another precision.
  std::uint64_t reconfigure_cycles = 0;
  bool dequantise_in_loop = false;  ///< the array waits for the dequantiser
  std::uint64_t scratchpad_cycles =
      0;                            ///< by which the scratchpads' ports are slower than the array
  std::uint64_t vector_cycles = 0;  ///< in the foreground: the operation is the vector unit's own
  std::shared_ptr<const MemoryWork> at_memory;  ///< after both loads, units at the memory; or null
  std::uint64_t dequantise_cycles = 0;
  std::uint64_t background_vector_cycles = 0;  ///< softmax of this block, beside the array
  std::optional<std::uint64_t>
      needs_background;  ///< how many background pieces of this segment must be done first
  std::vector<memory::Transfer> results;
  WorkCounts counts;
};

/// Hands out, as integers, all of a job that decides how long it and others take, but for
/// `needs_background`, which counts from the segment's start; its transfers one by one, each list
/// behind its length.
template <class Put, class PutTransfer>
void visit_timing(const Job& job, const Put& put, const PutTransfer& put_transfer) {
  const auto put_list = [&](const std::vector<memory::Transfer>& list) {
    put(list.size());
    for (const memory::Transfer& transfer : list) put_transfer(transfer);
  };
  for (const std::uint64_t value :
       {std::uint64_t{job.operation}, job.stream_cycles, job.fill_drain_cycles, job.tail_cycles,
        job.reconfigure_cycles, std::uint64_t{job.dequantise_in_loop}, job.scratchpad_cycles,
        job.vector_cycles, job.dequantise_cycles, job.background_vector_cycles,
        std::uint64_t{job.counts.kv_dequantise_cycles > 0},
        job.at_memory ? job.at_memory->cycles + 1 : 0}) {
    put(value);
  }
  for (const Load* load : {&job.stationary, &job.moving}) {
    put(load->takes_half);
    put(load->frees_half);
    put(load->whole);
    put_list(load->transfers);
  }
  put_list(job.results);
}

/// Where a segment instance finds its data.
struct Placement {
  std::uint64_t offset = 0;  ///< added to every region's address: instance number x layer stride
  std::uint64_t spill_base =
      0;  ///< the ring that activations pass through which do not stay on chip, in the order of
  std::uint64_t spill_bytes =
      0;  ///< use; at least as large as any operand (Program::activation_region)
  std::uint64_t sequence_offset =
      0;  ///< part of `offset`; what all sequences share is not moved by it
};

/// How array cycles are found.
enum class Timing : std::uint8_t {
  pe,        ///< the clocked array steps every distinct tile, with checked values
  tile,      ///< closed form a tile (default)
  analytic,  ///< multiply-accumulates over the array's peak; bandwidth instead of DRAM
};
inline constexpr std::array<std::string_view, 3> kTimingNames = {"pe", "tile", "analytic"};

/// Which part of a segment's products a tile is.
struct TilePlace {
  std::uint32_t operation = 0;  ///< index in the segment
  workloads::Product product = workloads::Product::linear;
  std::uint64_t head = 0;  ///< of attention
  std::uint64_t m0 = 0, n0 = 0, k0 = 0;
};

/// A tile's work, and what its operands did.
struct TimedTile {
  pe::ArrayWork work;
  PassKinds passes;
};

/// Where an array's work comes from: pe::arrays_work, or the clocked array.
using ArrayTimer = std::function<TimedTile(const pe::GemmShape&, const TilePlace&)>;

/// Whether the memory's own units compute this attention: one new token, where the machine has
/// them.
bool attends_at_memory(const configs::MachineConfig& machine,
                       const workloads::Operation& operation);

class Mapper;
struct AttentionMapping;

/// The jobs of the first `heads` KV heads of an attention that is cut as `mapping` says.
std::vector<Job> attention_jobs(Mapper& mapper, const workloads::Operation& operation,
                                const AttentionMapping& mapping, std::uint64_t heads);

/// The jobs of one instance of `segment`, its matrix products cut as `mapper` says. Throws
/// ConfigError when an operation cannot run on the machine.
std::vector<Job> schedule(Mapper& mapper, const workloads::Segment& segment,
                          const Placement& placement, const ArrayTimer& timer = nullptr);

/// The jobs of one operation by itself.
std::vector<Job> schedule(Mapper& mapper, const workloads::Operation& operation,
                          const Placement& placement, const ArrayTimer& timer = nullptr);

/// Of a segment, with a mapper of its own.
std::vector<Job> schedule(const configs::MachineConfig& machine, const pe::PeDesign& design,
                          const workloads::Segment& segment, const Placement& placement,
                          const ArrayTimer& timer = nullptr);

}  // namespace systole::sim
