// RunResult: everything one run found out, in integers and named units, before any rendering. Text,
// JSON, HDF5 and HTML are views of this struct and so cannot disagree.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/core/cycle_cause.hpp"
#include "sim/core/event_counts.hpp"
#include "sim/core/scratchpads.hpp"
#include "sim/core/timeline.hpp"
#include "sim/core/traffic.hpp"
#include "sim/core/units.hpp"

namespace systole {

using BytesByClass = std::array<std::uint64_t, kTrafficClassCount>;

/// How one instance of a matrix product is cut, and what the mapper's closed form expects of that.
struct Tiling {
  std::uint64_t m = 0, n = 0, k = 0;
  std::string order;         ///< "weights_outer", "rows_outer", "sums_outer" or "reduction_outer"
  std::uint64_t cycles = 0;  ///< estimated, after another operation
  std::uint64_t first_load_cycles = 0;  ///< what the first weights add where nothing ran before
  double energy_pj = 0;                 ///< estimated, what stands over both included
  std::uint64_t dram_bytes = 0;

  friend bool operator==(const Tiling&, const Tiling&) = default;
};

/// The mapping of a row's first instance.
struct MappingChoice {
  std::string objective;  ///< "cycles", "energy" or "edp"
  bool fixed = false;     ///< the machine's configuration had a say
  Tiling chosen;
  std::optional<Tiling> runner_up;     ///< the next best of another tiling or order
  std::uint64_t estimated_cycles = 0;  ///< all instances, to be held against the row's `cycles`

  friend bool operator==(const MappingChoice&, const MappingChoice&) = default;
};

/// One row: an operation of one phase, summed over the `repeats` equal instances it stands for
/// (layers, heads inside an operation, decode steps).
struct OperationRow {
  std::string name;           ///< e.g. "attn_q", "ffn_down", "attention.scores", "rms_norm"
  std::string kind;           ///< "gemm", "attention", "vector", "embedding"
  std::string phase;          ///< "prefill" or "decode"
  std::uint64_t repeats = 1;  ///< how many instances are summed in this row
  std::uint64_t
      m = 0,
      n = 0,
      k = 0;  ///< shape of one instance (0 where meaningless); decode attention: the last step's
  std::string weight_format;      ///< stationary operand as stored, e.g. "int4 g128"
  std::string activation_format;  ///< moving operand
  std::uint64_t macs = 0;
  std::uint64_t cycles = 0;         ///< accelerator cycles this operation added to the run
  CyclesByCause cycles_by_cause{};  ///< sums to `cycles`
  BytesByClass dram_read_bytes{};
  BytesByClass dram_write_bytes{};
  std::uint64_t compute_bound_cycles =
      0;  ///< macs / peak MAC rate for these formats, or the vector unit's
  std::uint64_t bandwidth_bound_cycles = 0;  ///< all DRAM bytes / peak DRAM bandwidth
  std::string bound;  ///< what limits it: "compute", "bandwidth", "fill/drain", ...
  std::map<std::string, double>
      energy_pj;  ///< by component; sums to its share of the run's dynamic energy
  std::optional<MappingChoice> mapping;   ///< of matrix products
  std::vector<std::uint64_t> path_bytes;  ///< through each of the result's memory_paths
  HeldByteCycles held_byte_cycles{};      ///< in the result's scratchpads
};

/// The sum over rows.
CyclesByCause cycles_by_cause(std::span<const OperationRow> rows);

/// Energy and area of one part of the machine.
struct ComponentRow {
  std::string name;  ///< "array", "dequantiser", "vector", "scratchpad", "dram", ...
  double dynamic_pj = 0;
  double static_pj = 0;  ///< leakage, clock, DRAM background and refresh over the run's time
  double area_mm2 = 0;   ///< 0 for off-chip parts
  std::string area_source;
  std::string energy_source;
  double dynamic_high_pj = 0;  ///< dynamic_pj were every transition counted, settled or not; 0 or
                               ///< dynamic_pj where only one figure is known
  double energy_band = 0;      ///< relative, 0.25 is +-25 %; 0: the source states none
  double area_band = 0;
};

/// A way between a memory and the array, besides the DRAM's bus, as roofs are drawn of. A part with
/// ports of their own for both directions is two: "weight_scratchpad.read".
struct MemoryPath {
  std::string name;
  double peak_bytes_per_cycle = 0;
  std::uint64_t bytes = 0;  ///< of the run, = sum of the operations'

  friend bool operator==(const MemoryPath&, const MemoryPath&) = default;
};

/// How full a scratchpad is. Held are pieces that DMA brought, from their arrival until the last
/// job that reads them; tensors that stay on chip, while the operations that write and read them
/// run; and of the output scratchpad the sums of the tiles that the mapping keeps open (sums that
/// are on their way out are in its other half, and not counted).
struct ScratchpadUse {
  std::string name;  ///< kScratchpadNames, in their order
  std::uint64_t capacity_bytes = 0;
  std::uint64_t held_byte_cycles = 0;  ///< of the run, = sum of the operations'

  friend bool operator==(const ScratchpadUse&, const ScratchpadUse&) = default;
};

/// One memory of a machine with several: DRAM first, then its tiers.
struct TierRow {
  std::string name;
  std::uint64_t capacity_bytes = 0;
  std::uint64_t placed_bytes = 0;   ///< of the program, all classes
  std::uint64_t spilled_bytes = 0;  ///< that were to lie here and found no room
  BytesByClass read_bytes{}, written_bytes{};
  double busy_fraction = 0;       ///< of the run, at its peak rate
  double link_fraction = 0;       ///< of the busier way of its link; 0 without one
  std::uint64_t wait_cycles = 0;  ///< in which the accelerator waited for this memory
  double energy_pj = 0;           ///< dynamic and standing
  std::uint64_t line_writes = 0;  ///< of a memory that wears
  std::uint64_t most_region_writes = 0;
  double lifetime_years = 0;  ///< all going on as in the run; 0: it does not wear

  friend bool operator==(const TierRow&, const TierRow&) = default;
};

/// One pass through the model: the prefill of all prompts, or a decode step of all sequences. Where
/// there are very many, a row sums several decode steps that follow one another.
struct StepRow {
  std::string phase;           ///< "prefill" or "decode"
  std::uint64_t steps = 1;     ///< summed in this row
  std::uint64_t context = 0;   ///< tokens of a sequence at its end
  std::uint64_t cycles = 0;    ///< the rows' sum is the run's
  std::uint64_t kv_bytes = 0;  ///< held at its end, all layers and sequences, nothing shared
  std::uint64_t kv_bytes_read = 0, kv_bytes_written = 0;

  friend bool operator==(const StepRow&, const StepRow&) = default;
};
inline constexpr std::size_t kMostStepRows = 1024;

/// What happened in one of the equal windows that the run's time is cut into (the last may be
/// shorter). An operation's work is spread evenly over its cycles, so that a cause's cycles may
/// differ from the window's by one each; every column sums to the run's total.
struct TimeWindow {
  CyclesByCause cycles_by_cause{};
  std::uint64_t macs = 0;
  std::uint64_t dram_read_bytes = 0, dram_write_bytes = 0;
  HeldByteCycles held_byte_cycles{};

  friend bool operator==(const TimeWindow&, const TimeWindow&) = default;
};
inline constexpr std::size_t kMostWindows = 400;

/// What each part of the machine did during the first layer of the prefill and of a decode step
/// (the last that was recorded), made coarse enough to draw. Where equal rounds of loops were not
/// simulated they are missing here: operations take as long as what was, and their stretch's name
/// ends with kRoundsLeftOut.
inline constexpr std::string_view kRoundsLeftOut = ", equal rounds left out";
struct ExcerptOperation {
  std::string stretch;  ///< "prefill, embedding and layer 0"
  std::string name;
  std::uint64_t begin_cycles = 0;  ///< in the run
  std::uint64_t cycles = 0;

  friend bool operator==(const ExcerptOperation&, const ExcerptOperation&) = default;
};
/// Pieces of one operation on one track (kTimelineTrackNames) that follow one another.
struct ExcerptBar {
  std::uint64_t operation = 0;  ///< index into the excerpt's operations
  std::uint64_t track = 0;
  std::uint64_t begin_ps = 0, end_ps = 0;  ///< from the start of its stretch
  std::uint64_t busy_ps = 0;               ///< without the gaps between pieces
  std::uint64_t pieces = 1;
  std::uint64_t bytes = 0;  ///< moved from or to DRAM

  friend bool operator==(const ExcerptBar&, const ExcerptBar&) = default;
};
/// Commands of one kind (kDramActNames) that follow one another in a bank of the first DRAM
/// channel.
struct ExcerptDramBar {
  std::uint64_t operation = 0;  ///< the first of its stretch: whose work it is, DRAM does not know
  std::uint64_t bank = 0;
  std::uint64_t act = 0;
  std::uint64_t begin_ps = 0, end_ps = 0;  ///< from the start of its stretch
  std::uint64_t busy_ps = 0;               ///< without the gaps between pieces
  std::uint64_t pieces = 1;
  std::uint64_t bytes = 0;

  friend bool operator==(const ExcerptDramBar&, const ExcerptDramBar&) = default;
};
/// What a scratchpad holds for a while: exactly, or the mean where a stretch has too many changes.
struct ExcerptLevel {
  std::uint64_t operation = 0;             ///< the first of its stretch
  std::uint64_t scratchpad = 0;            ///< kScratchpadNames
  std::uint64_t begin_ps = 0, end_ps = 0;  ///< from the start of its stretch; without gaps
  std::uint64_t bytes = 0;

  friend bool operator==(const ExcerptLevel&, const ExcerptLevel&) = default;
};
struct Excerpt {
  std::vector<ExcerptOperation> operations;  ///< a stretch after the other, in order of time
  std::vector<ExcerptBar> bars;
  std::vector<ExcerptDramBar> dram;
  std::vector<ExcerptLevel> levels;
};

/// One change of the machine, and what the same work takes on it: simulated, not estimated. Times,
/// since a change may be of the clock.
struct SensitivityRow {
  std::string change;  ///< "DRAM 10 % faster"
  std::string path;    ///< what was set: "memory.dram.clock_mhz=880"
  double time_ms = 0;  ///< of the whole run
  double ttft_ms = 0;
  double tpot_ms = 0;  ///< 0 without decode
  double energy_pj = 0;
  double area_mm2 = 0;

  friend bool operator==(const SensitivityRow&, const SensitivityRow&) = default;
};

/// A prefix that the sequences of a run share in their KV caches, all layers.
struct KvSharing {
  std::uint64_t prefix_tokens = 0;
  std::uint64_t pages_shared = 0;         ///< that the prefix takes
  std::uint64_t pages_shared_at_end = 0;  ///< of them, what no sequence has written since
  std::uint64_t pages_copied = 0;         ///< all sequences: before a write into a part of one
  std::uint64_t pages_replaced = 0;       ///< written whole, and so not copied
  std::uint64_t bytes_copied = 0;         ///< read and written; what lies in no page included
  std::uint64_t bytes_saved = 0;          ///< at the end, of what all would hold without sharing

  friend bool operator==(const KvSharing&, const KvSharing&) = default;
};

/// A figure's lowest and highest value.
struct Range {
  double low = 0, high = 0;
};

/// What the functional run found; absent for shape-only models.
struct Quality {
  double perplexity = 0;
  double nll = 0;            ///< mean nats per predicted token
  std::uint64_t tokens = 0;  ///< predicted tokens
  std::string text;          ///< name of the evaluated text
  /// Mean nats per predicted token of KL(P_ref || P), where P_ref is what the unquantised model
  /// (recipe fp32) gives the next token. Absent where nobody asked.
  std::optional<double> kl = std::nullopt;
};

/// One row of an unordered key/value group echoed into every format.
using KeyValues = std::vector<std::pair<std::string, std::string>>;

struct RunResult {
  // Identity: enough to run it again.
  std::string version;
  std::string command;
  std::uint64_t seed = 0;
  std::string machine, recipe, model;
  KeyValues config_echo;  ///< resolved configuration, "memory.dram.channels" -> "4", in field order

  double clock_mhz = 0;
  std::uint64_t prefill_tokens = 0;  ///< of all sequences
  std::uint64_t decode_tokens = 0;
  std::optional<std::uint64_t> sequences;  ///< where there are several

  std::vector<OperationRow> operations;  ///< in program order, prefill first
  std::vector<ComponentRow> components;
  EventCounts events;  ///< what the energy was priced from
  KeyValues notes;     ///< assumptions and approximations in force, "name" -> sentence

  // Totals of the run.
  std::uint64_t cycles = 0;  ///< = sum of operations' cycles
  std::uint64_t prefill_cycles = 0;
  std::uint64_t decode_cycles = 0;
  double ttft_ms = 0;  ///< time to first token: the prefill of all, up to its argmax
  std::optional<double>
      tpot_ms;           ///< time per output token: mean over decode steps; absent without decode
  double energy_pj = 0;  ///< = sum of components' dynamic + static
  double area_mm2 = 0;   ///< = sum of components' area
  double peak_macs_per_cycle = 0;  ///< for the recipe's linear-layer formats
  double peak_dram_bytes_per_cycle = 0;

  // The KV cache.
  std::uint64_t kv_bytes = 0;          ///< held at the end of the run, all layers
  std::uint64_t kv_bytes_read = 0;     ///< of the cache, from DRAM, the whole run
  std::uint64_t kv_bytes_written = 0;  ///< likewise
  std::uint64_t kv_burst_bytes_read = 0, kv_burst_bytes_written = 0;  ///< of whole bursts
  std::uint64_t kv_dequantise_cycles = 0;  ///< that the decode steps keep the KV dequantiser busy

  std::optional<KvSharing> kv_sharing;  ///< where sequences share a prefix; counted in kv_bytes

  std::vector<TierRow> tiers;  ///< empty where DRAM is the only memory
  std::vector<MemoryPath> memory_paths;
  std::vector<ScratchpadUse> scratchpads;  ///< empty where the timing has no pieces: analytic

  // Over time; empty where nobody asked.
  std::uint64_t window_cycles = 0;
  std::vector<TimeWindow> windows;
  std::vector<StepRow> steps;
  /// Empty where the timing has no pieces: analytic, extrapolated.
  Excerpt excerpt;

  std::vector<SensitivityRow> sensitivities;  ///< empty where nobody asked

  std::optional<Quality> quality;

  // Derived figures, absent where the denominator is zero.
  std::optional<double> utilisation() const;      ///< MACs / (cycles x peak MACs per cycle)
  std::optional<double> bandwidth_share() const;  ///< DRAM bytes / (cycles x peak bytes per cycle)
  /// Share of the decode steps' cycles in which the KV dequantiser works; absent without decode.
  std::optional<double> dequant_utilisation() const;
  std::optional<double> tokens_per_second() const;  ///< decode rate, all sequences
  std::optional<double> tokens_per_joule()
      const;                                    ///< all tokens (prefill + decode) over all energy
  std::optional<double> tops_per_watt() const;  ///< 2 x MACs / energy
  /// Energy and area with every part at the same end of its band (errors of one table's prices go
  /// together; a part without a band counts as it is), energy's high end with all transitions.
  Range energy_range_pj() const;
  Range area_range_mm2() const;
  std::optional<double> tops_per_mm2() const;  ///< 2 x MACs / time / area
  /// The memory that the accelerator waited for longest, of several the first; null for none.
  const TierRow* binding_tier() const;
  std::uint64_t total_macs() const;
  std::uint64_t total_dram_bytes() const;

  /// Throws InternalError unless the parts sum to the wholes (cycles, causes, phases, energy,
  /// area).
  void check_sums() const;

 private:
  void check_over_time() const;
  void check_paths() const;
  void check_scratchpads() const;
};

}  // namespace systole
