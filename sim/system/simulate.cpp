#include "sim/system/simulate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "configs/assign.hpp"
#include "memory/memory_system.hpp"
#include "pe/design.hpp"
#include "pe/multi_array.hpp"
#include "sim/core/error.hpp"
#include "sim/kernel/simulation.hpp"
#include "sim/kernel/systemc.hpp"
#include "sim/system/accelerator.hpp"
#include "sim/system/extrapolation.hpp"
#include "sim/system/kv_dequantiser.hpp"
#include "sim/system/mapping.hpp"
#include "sim/system/memory_paths.hpp"
#include "sim/system/over_time.hpp"
#include "sim/system/pricing.hpp"
#include "sim/system/region_timings.hpp"
#include "sim/system/schedule.hpp"
#include "sim/system/scratchpad_use.hpp"
#include "sim/system/tier_report.hpp"
#include "sim/system/tiering.hpp"
#include "sim/system/tile_stepper.hpp"

namespace systole::sim {
namespace {

using workloads::Operation;
using workloads::OpKind;
using workloads::Phase;
using workloads::Program;
using workloads::Segment;
using workloads::Step;

std::uint64_t words(std::uint64_t bytes, const configs::ScratchpadConfig& scratchpad) {
  return ceil_div(bytes, scratchpad.word_bytes);
}

/// The priced events of an operation, DRAM's excepted (those are counted by the memory system).
EventCounts on_chip_events(const WorkCounts& counts, const configs::MemoryConfig& memory) {
  EventCounts events;
  const std::uint64_t known = counts.passes_zero + counts.passes_hold + counts.passes_traced;
  SYSTOLE_CHECK(known <= counts.mac_passes, "a pass is of one kind");
  events.add("array.mac_pass", counts.mac_passes - known);
  events.add("array.mac_pass_zero", counts.passes_zero);
  events.add("array.mac_pass_hold", counts.passes_hold);
  events.add("array.mac_pass_traced", counts.passes_traced);
  events.add("array.operand_toggle", counts.operand_toggles);
  for (const auto& [event, count] :
       {std::pair("array.edge_weight_word", counts.edge_weight_words),
        std::pair("array.edge_activation_word", counts.edge_activation_words),
        std::pair("array.edge_result", counts.edge_results)}) {
    if (count > 0) events.add(event, count);
  }
  events.add("dequantiser.scale_add", counts.dequantise_fma);
  for (const auto& [event, count] : {std::pair(kKvCombinedRead, counts.kv_combined_read_bytes),
                                     std::pair(kKvCombinedWrite, counts.kv_combined_write_bytes)}) {
    if (count > 0) events.add(event, count);
  }
  for (const KvStage& stage : kKvStages) events.add(stage.event, counts.kv_work.*stage.work);
  events.add("vector.add", counts.vector_adds);
  events.add("vector.multiply", counts.vector_multiplies);
  events.add("weight_scratchpad.read_word", words(counts.weight_read_bytes, memory.weight));
  events.add("weight_scratchpad.write_word", words(counts.weight_write_bytes, memory.weight));
  events.add("activation_scratchpad.read_word",
             words(counts.activation_read_bytes, memory.activation));
  events.add("activation_scratchpad.write_word",
             words(counts.activation_write_bytes, memory.activation));
  events.add("output_scratchpad.read_word", words(counts.output_read_bytes, memory.output));
  events.add("output_scratchpad.write_word", words(counts.output_write_bytes, memory.output));
  return events;
}

/// All that decides how a segment runs, as text: equal keys, equal outcomes.
std::string reuse_key(const Segment& segment) {
  std::string key;
  const auto put = [&](auto... values) { ((key += std::to_string(values) + ","), ...); };
  const auto put_spec = [&](const quant::QuantSpec& spec) {
    put(static_cast<int>(spec.format), static_cast<int>(spec.granularity), spec.group,
        static_cast<int>(spec.affine), static_cast<int>(spec.scale));
  };
  const auto put_region = [&](const workloads::Region& region) {
    put(index_of(region.traffic), region.address, region.bytes, region.pieces, region.piece_stride);
  };
  for (const Operation& op : segment.operations) {
    key += op.name + ',';  // observations go by it
    put(static_cast<int>(op.kind), op.m, op.n, op.k, op.batch, op.share,
        static_cast<int>(op.dequantise), static_cast<int>(op.vector_op), op.rows, op.width,
        op.input_bytes, op.output_bytes);
    put(op.scored_rows, op.scores_own, op.window);
    put_spec(op.moving);
    put_spec(op.stationary);
    for (const workloads::WeightPart& part : op.weight_parts) {
      put_spec(part.spec);
      put(part.k, part.bytes);
    }
    put_spec(op.moving_context);
    put_spec(op.stationary_context);
    put_region(op.stationary_region);
    put_region(op.context_region);
    put_region(op.written_region);
    for (const std::optional<workloads::CacheRegion>* cache :
         {&op.stationary_cache, &op.context_cache, &op.written_cache}) {
      if (!*cache) continue;
      put(reinterpret_cast<std::uintptr_t>((*cache)->geometry.get()), (*cache)->address,
          (*cache)->before, (*cache)->after, static_cast<int>((*cache)->decoded),
          static_cast<int>((*cache)->last));
    }
    key += ';';
  }
  return key;
}

/// A segment cut into what depends on the context length (cache appends and attention) and what
/// does not, so that decode steps share the latter. Each region starts on a quiet machine, whether
/// it is reused or not.
/// With `whole` the segment is one region: weights that are prefetched come while any of it runs.
std::vector<Segment> regions_of(const Segment& segment, bool whole = false) {
  if (whole) return {segment};
  std::vector<Segment> regions;
  for (const Operation& op : segment.operations) {
    if (regions.empty() ||
        of_one_sequence(regions.back().operations.back()) != of_one_sequence(op)) {
      regions.push_back({segment.name, segment.repeats, {}});
    }
    regions.back().operations.push_back(op);
  }
  return regions;
}

/// A region as the sequences of a step do it: all alike, but where they share a prefix, of which
/// the last writes in place what the others copy.
struct Variant {
  Segment region;
  std::uint64_t sequences = 1;
};
std::vector<Variant> variants_of(const Segment& region, std::uint64_t sequences) {
  const auto shares = [](const Operation& op) {
    const auto is_shared = [](const std::optional<workloads::CacheRegion>& cache) {
      return cache && cache->prefix;
    };
    return is_shared(op.stationary_cache) || is_shared(op.context_cache) ||
           is_shared(op.written_cache);
  };
  if (std::ranges::none_of(region.operations, shares)) return {{region, sequences}};
  SYSTOLE_CHECK(sequences > 1, "a prefix that nobody shares");
  Variant last{region, 1};
  for (Operation& op : last.region.operations) {
    for (std::optional<workloads::CacheRegion>* cache :
         {&op.stationary_cache, &op.context_cache, &op.written_cache}) {
      if (*cache && (*cache)->prefix) (*cache)->last = true;
    }
  }
  return {{region, sequences - 1}, std::move(last)};
}

/// Adds what equal instances of a segment did.
void add(SegmentOutcome& total, const SegmentOutcome& other, std::uint64_t times = 1) {
  for (std::size_t i = 0; i < total.operations.size(); ++i) {
    OperationOutcome& sum = total.operations[i];
    const OperationOutcome& one = other.operations[i];
    sum.counts += one.counts * times;
    sum.at_memory += one.at_memory * times;
    for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
      sum.cycles_by_cause[c] += times * one.cycles_by_cause[c];
    }
    for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
      sum.dram_read_bytes[c] += times * one.dram_read_bytes[c];
      sum.dram_write_bytes[c] += times * one.dram_write_bytes[c];
    }
    for (std::size_t s = 0; s < kScratchpadCount; ++s) {
      sum.held_byte_cycles[s] += times * one.held_byte_cycles[s];
    }
    for (std::size_t t = 0; t < memory::kMostTiers; ++t) {
      sum.tier_wait_cycles[t] += times * one.tier_wait_cycles[t];
      for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
        sum.tier_read_bytes[t][c] += times * one.tier_read_bytes[t][c];
        sum.tier_write_bytes[t][c] += times * one.tier_write_bytes[t][c];
      }
    }
  }
  total.dram_events += other.dram_events.times(times);
}

/// What the operations behind those of `total` did.
void append(SegmentOutcome& total, const SegmentOutcome& more) {
  total.operations.insert(total.operations.end(), more.operations.begin(), more.operations.end());
  total.dram_events += more.dram_events;
}

SegmentOutcome repeated(const SegmentOutcome& one, std::uint64_t repeats) {
  SegmentOutcome total;
  total.operations.resize(one.operations.size());
  add(total, one, repeats);
  return total;
}

/// What one program did: [step][segment], each the sum of the segment's repeats.
struct Outcomes {
  std::vector<std::vector<SegmentOutcome>> steps;
  KeyValues notes;   ///< on how it was timed
  TierTotals tiers;  ///< placed and worn; the rest is in the steps
  std::vector<std::size_t> idle_rules;
};

/// The closed form of a tile with the kinds of its passes that observations expect; null, which
/// does the same without, where there are none.
ArrayTimer observing_timer(const Mapper& mapper, std::span<const Operation> operations,
                           const SimulateOptions& options) {
  if (!options.observations) return nullptr;
  return [&mapper, operations, &options](pe::GemmShape shape, const TilePlace& place) {
    const configs::ArrayConfig& array = mapper.machine().array;
    const pe::PeDesign& design = mapper.design();
    const Operation& op = operations[place.operation];
    if (op.kind != OpKind::gemm) {
      const pe::ArrayWork work = pe::arrays_work(array, design, shape);
      return TimedTile{work, held_passes(array, design, shape, work.mac_passes)};
    }
    LinearObservations seen = options.observations->of(op.name);
    if (op.stationary.format != shape.weight) {  // scaled on its way to the array
      seen.weight.along_k = seen.weight.across = std::nullopt;
      if (seen.decoded_weight) seen.weight = *seen.decoded_weight;
    }
    shape.stall = expected_stall_cycles(array, design, shape, seen);
    const pe::ArrayWork work = pe::arrays_work(array, design, shape);
    return TimedTile{work, expected_passes(array, design, shape, work.mac_passes, seen)};
  };
}

/// Cycles that were not simulated but follow from some that were, layers and steps included, and by
/// how much they may be off.
struct Shortcuts {
  std::uint64_t round_cycles = 0, round_bound = 0;  ///< rounds of loops
  std::uint64_t step_cycles = 0, step_bound = 0;    ///< decode steps
};

std::uint64_t cycles_of(const SegmentOutcome& outcome) {
  std::uint64_t cycles = 0;
  for (const OperationOutcome& operation : outcome.operations) cycles += operation.cycles();
  return cycles;
}

/// " and 64 sequences (weights ..., KV cache ...)", where there are several.
std::string sequences_text(const Program& program) {
  if (program.sequences == 1) return "";
  return fmt::format(" and {} sequences ({} bytes of weights, {} of KV cache)", program.sequences,
                     program.weight_bytes, program.kv_bytes);
}

/// The program with its preemptions: after every so many decode steps the cache of all layers goes
/// out to the tier of the machine's memory.swap and comes back.
Program with_swaps(const Program& program, const configs::SwapConfig& swap) {
  Program swapped = program;
  if (swap.every_steps == 0) return swapped;
  std::uint64_t decoded = 0;
  for (Step& step : swapped.steps) {
    if (step.phase != Phase::decode || ++decoded % swap.every_steps != 0) continue;
    Segment& segment = step.segments.emplace_back();
    segment.name = kSwapSegment;
    segment.repeats = program.layers;
    for (const char* name : {kSwapOut, kSwapIn}) {
      Operation& op = segment.operations.emplace_back();
      op.name = name;
      op.rows = step.context;  // tokens
    }
  }
  return swapped;
}

/// What the whole program takes of each tier, and which of them wear.
void note_placement(Outcomes& outcomes, const Tiering& tiering,
                    const configs::MachineConfig& machine) {
  for (std::uint32_t t = 0; t <= machine.memory.tiers.size(); ++t) {
    outcomes.tiers.placed[t] = tiering.placed(t);
    outcomes.tiers.spilled[t] = tiering.spilled(t);
    if (t == 0) continue;
    const configs::TierConfig tier = machine.memory.tiers[t - 1].resolved();
    if (tier.endurance_writes > 0) outcomes.tiers.wear.try_emplace(t, tier);
  }
}

/// Where a program lies in memory. Layers are placed a multiple of the memory's period apart, so
/// that each meets the same banks and conflicts; so are sequences, and where that takes more, the
/// layers move apart.
struct Layout {
  std::uint64_t layer_stride = 0, sequence_stride = 0, spill_base = 0;
  std::uint64_t needed = 0;  ///< bytes

  Placement place(const Program& program, std::uint64_t instance, std::uint64_t sequence) const {
    return {instance * layer_stride + sequence * sequence_stride, spill_base,
            program.activation_region.bytes, sequence * sequence_stride};
  }
};

Layout layout_of(const Program& program, std::uint64_t period) {
  std::uint64_t layers = program.layers;
  for (const Segment& segment : program.steps.at(0).segments)
    layers = std::max(layers, segment.repeats);
  Layout layout;
  layout.sequence_stride = ceil_div(program.sequence_stride_bytes, period) * period;
  const std::uint64_t apart =
      (program.sequences - 1) * (layout.sequence_stride - program.sequence_stride_bytes);
  layout.layer_stride = ceil_div(program.layer_stride_bytes + apart, period) * period;
  const workloads::Region& spill = program.activation_region;
  layout.spill_base =
      ceil_div(spill.address + layers * (layout.layer_stride - program.layer_stride_bytes),
               period) *
      period;
  layout.needed = layout.spill_base + spill.bytes;
  return layout;
}

void check_capacity(const Program& program, const configs::MachineConfig& machine,
                    const Layout& layout) {
  const std::uint64_t capacity = machine.memory.dram.data_bytes() * machine.memory.channels;
  if (layout.needed <= capacity) return;
  throw ConfigError("model '" + program.model + "' with recipe '" + program.recipe + "'" +
                    sequences_text(program) + " needs " + std::to_string(layout.needed) +
                    " bytes of DRAM; machine '" + machine.name + "' has " +
                    std::to_string(capacity) +
                    " (memory.dram.channels x memory.dram.capacity_bytes)");
}

/// Instances of a region in a step: those of its layers, and of its sequences where each has its
/// own cache.
std::uint64_t instances_of(const Segment& region, const Step& step, const Program& program) {
  const bool own = of_one_sequence(region.operations.front());
  const std::uint64_t together = step.phase == Phase::decode ? program.sequences : 1;
  return region.repeats * step.rounds * (own ? together : 1);
}

/// Drives the accelerator through the program, one segment after the other, and collects the
/// outcomes.
class ProgramRunner : public sc_core::sc_module {
 public:
  ProgramRunner(const sc_core::sc_module_name& name, const Program& program,
                const configs::MachineConfig& machine, Mapper& mapper,
                const SimulateOptions& options, Progress& progress)
      : sc_module(name),
        accelerator_("accelerator", machine),
        program_(program),
        mapper_(mapper),
        options_(options),
        progress_(progress),
        stepper_(mapper, options.operands, traced_tile(mapper, program, options.waveform)) {
    layout_ = layout_of(program, accelerator_.tiers ? accelerator_.tiers->address_period_bytes()
                                                    : accelerator_.memory.address_period_bytes());
    if (accelerator_.tiers) {
      tiering_ =
          std::make_unique<Tiering>(program, machine, layout_.layer_stride, layout_.spill_base);
      note_placement(outcomes, *tiering_, machine);
      if (options.timeline != nullptr) {
        options.timeline->tiers = {std::string(configs::kDramTier)};
        for (const configs::TierOfMachine& tier : machine.memory.tiers) {
          options.timeline->tiers.push_back(tier.name);
        }
      }
    } else {
      check_capacity(program, machine, layout_);
    }
    if (options.timings != nullptr && options.timing == Timing::tile && !tiering_ &&
        options.timeline == nullptr && !options.extrapolate) {
      keys_.emplace(machine);
    }
    SC_HAS_PROCESS(ProgramRunner);
    SC_THREAD(run);
    // The functional run computes in this thread.
    if (stepper_.has_operands()) set_stack_size(8u << 20);
  }

  Outcomes outcomes;
  Shortcuts shortcuts;
  bool ended = false;
  std::exception_ptr failure;
  /// Grows while anything is done.
  std::uint64_t progress() const { return accelerator_.jobs_issued() + stepper_.tiles(); }

 private:
  void run() {
    try {
      if (extrapolates()) plan_steps();
      for (std::size_t i = 0; i < program_.steps.size(); ++i) {
        const Step& step = program_.steps[i];
        std::vector<SegmentOutcome>& totals = outcomes.steps.emplace_back();
        stepper_.begin(i, step.tokens);
        context_ = {Tiering::kNoLayer, step.context - step.tokens, step.context, 0, false};
        std::uint64_t layer = 0;
        for (const Segment& segment : step.segments) {
          const bool swap = segment.name == kSwapSegment;
          totals.push_back(run_segment(segment, swap ? 0 : layer, step));
          if (segment.name.starts_with("layer") && !swap) layer += segment.repeats;
        }
        stepper_.end();
        progress_.report("simulating", i + 1, program_.steps.size());
        if (progress_.cancelled()) throw Interrupted();
      }
      if (options_.timing == Timing::pe) outcomes.notes = stepper_.notes();
      note_shortcuts();
      if (tiering_) outcomes.idle_rules = tiering_->idle_rules();
    } catch (...) {
      failure = std::current_exception();  // must not unwind through the SystemC scheduler
    }
    ended = true;
  }

  void note_shortcuts() {
    const std::uint64_t left_out = shortcuts.round_cycles + shortcuts.step_cycles;
    if (left_out == 0) return;
    const auto share = [](std::uint64_t part, std::uint64_t whole) {
      return whole == 0 ? std::string("0 %")
                        : fmt::format("{:.2g} %", 100.0 * static_cast<double>(part) /
                                                      static_cast<double>(whole));
    };
    outcomes.notes.emplace_back(
        "extrapolated",
        fmt::format("{} cycles of loops taken from their rounds before, off by at most {} of "
                    "these; {} cycles of decode steps taken from one of as many tokens within a "
                    "thousandth or interpolated between "
                    "the first and the last simulated, off by at most {} of these; DRAM activates "
                    "and refreshes of both likewise; bytes, bursts and operations are exact; "
                    "--exact simulates all",
                    shortcuts.round_cycles, share(shortcuts.round_bound, shortcuts.round_cycles),
                    shortcuts.step_cycles, share(shortcuts.step_bound, shortcuts.step_cycles)));
  }

  /// `layer`: of the segment's first instance.
  SegmentOutcome run_segment(const Segment& segment, std::uint64_t layer, const Step& step) {
    SegmentOutcome total;
    std::vector<std::vector<Ran>> recorded;
    const bool layered = segment.name.starts_with("layer");
    const bool whole = tiering_ && tiering_->prefetches() && layered;
    for (const Segment& region : regions_of(segment, whole)) {
      ran_.clear();
      const SegmentOutcome outcome = tiering_
                                         ? run_tiered(region, layered ? layer : Tiering::kNoLayer)
                                     : stepper_.has_operands() ? step_region(region, layer)
                                                               : run_region(region, step);
      recorded.push_back(std::move(ran_));
      append(total, outcome);
    }
    place_in_timeline(recorded, segment, layer);
    return total;
  }

  /// An instance of a region: where the timeline has it, and what it took.
  static constexpr std::uint32_t kNoRecording = ~std::uint32_t{0};
  struct Ran {
    std::uint32_t recording = kNoRecording;
    std::uint64_t cycles = 0;
  };

  /// The regions of a segment, layer by layer. `recorded`: of each region its instances.
  void place_in_timeline(const std::vector<std::vector<Ran>>& recorded, const Segment& segment,
                         std::uint64_t layer) {
    Timeline* timeline = options_.timeline;
    if (timeline == nullptr) return;
    placed_.resize(timeline->regions.size());
    for (std::uint64_t i = 0; i < segment.repeats; ++i) {
      for (const std::vector<Ran>& instances : recorded) {
        const std::size_t of_layer = instances.size() / segment.repeats;
        for (std::size_t s = 0; s < of_layer; ++s) {
          const auto [index, cycles] = instances[i * of_layer + s];
          const std::uint64_t begin = std::exchange(timeline_cycles_, timeline_cycles_ + cycles);
          if (timeline->first_layers_only && (layer + i > 0 || index == kNoRecording)) continue;
          timeline->instances.push_back({index,
                                         static_cast<std::uint32_t>(outcomes.steps.size() - 1),
                                         layer + i, begin, placed_[index]});
          placed_[index] = true;
        }
      }
    }
  }

  /// Runs jobs, recorded where asked for.
  SegmentOutcome run_jobs(const std::vector<Job>& jobs, const Segment& region,
                          const Besides& besides = {}) {
    Timeline* timeline = options_.timeline;
    if (timeline == nullptr) return accelerator_.run(jobs, besides);
    TimelineRegion recording;
    accelerator_.record_to(&recording, timeline_dram_slices_ < timeline->most_dram_slices
                                           ? timeline->most_dram_slices_of_region
                                           : 0);
    SegmentOutcome outcome = accelerator_.run(jobs, besides);
    accelerator_.record_to(nullptr);
    timeline_dram_slices_ += recording.dram.size();
    for (std::size_t i = 0; i < outcome.operations.size(); ++i) {
      const OperationOutcome& done = outcome.operations[i];
      std::uint64_t bytes = 0, of_tiers = 0;
      for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
        bytes += done.dram_read_bytes[c] + done.dram_write_bytes[c];
        for (std::size_t t = 1; t < memory::kMostTiers; ++t) {
          of_tiers += done.tier_read_bytes[t][c] + done.tier_write_bytes[t][c];
        }
      }
      const Operation& op = region.operations.at(i);
      recording.operations.push_back({op.part.empty() ? op.name : op.name + " (" + op.part + ")",
                                      done.cycles(), done.cycles_by_cause, done.counts.macs, bytes,
                                      of_tiers, kept_bytes(mapper_, op)});
    }
    timeline_slices_ += recording.slices.size();
    if (timeline_slices_ > timeline->most_slices) {
      recording.slices.clear();
      recording.changes.clear();
      recording.dram.clear();
      timeline->truncated = true;
    }
    timeline->regions.push_back(std::move(recording));
    const auto index = static_cast<std::uint32_t>(timeline->regions.size() - 1);
    ran_.push_back({index, timeline->regions[index].cycles()});
    return outcome;
  }

  std::uint32_t recording_of_last() const {
    return options_.timeline == nullptr ? kNoRecording : ran_.back().recording;
  }

  /// A region's outcome, and how much of it was not simulated.
  struct Known {
    SegmentOutcome outcome;
    std::uint64_t left_out_cycles = 0, bound_cycles = 0;
    std::uint32_t recording = kNoRecording;  ///< in the timeline, where there is one
  };
  /// A decode step's region between those of an earlier and a later step with equal appends.
  struct Middle {
    Segment shorter, longer;
    double share = 0;
    double growth = 0;  ///< where only the earlier step is simulated: tokens more, of its own
  };

  bool extrapolates() const {
    return options_.extrapolate && options_.reuse && options_.timing == Timing::tile &&
           !stepper_.has_operands();
  }

  const Known& known(const Segment& region) {
    const std::string key = reuse_key(region);
    const auto it = known_.find(key);
    if (it != known_.end()) return it->second;
    Known once;
    if (extrapolates()) {
      once = run_shortened(region);
      once.recording = recording_of_last();
    } else if (keys_) {
      once.outcome = run_or_recall(region);
    } else {
      once.outcome = run_instance(region, 0);
      once.recording = recording_of_last();
    }
    return known_.emplace(key, std::move(once)).first->second;
  }

  SegmentOutcome run_or_recall(const Segment& region) {
    const std::vector<Job> jobs =
        schedule(mapper_, region, place(0), observing_timer(mapper_, region.operations, options_));
    const RegionKey key = keys_->of(jobs);
    std::optional<SegmentOutcome> outcome = options_.timings->find(key);
    if (!outcome || outcome->operations.size() != region.operations.size()) {
      outcome = accelerator_.run(jobs);
      options_.timings->add(key, *outcome);
    }
    set_work(*outcome, count_work(jobs, region.operations.size()));
    return std::move(*outcome);
  }

  Known run_shortened(const Segment& region) {
    const std::vector<Job> all =
        schedule(mapper_, region, place(0), observing_timer(mapper_, region.operations, options_));
    const ShortenedJobs some = shorten(mapper_.machine(), all);
    if (some.stretches.empty()) return {run_jobs(all, region), 0, 0};
    const std::vector<std::uint64_t> marks = some.marks();
    std::vector<SegmentOutcome> at_marks;
    SegmentOutcome kept =
        run_jobs(some.jobs, region, {.prefetch = {}, .marks = marks, .at_marks = &at_marks});
    if (options_.timeline != nullptr) {
      options_.timeline->regions[recording_of_last()].shortened = true;
    }
    Extrapolated whole = extrapolate(some, std::move(kept), at_marks);
    // Not as steady as it looked.
    constexpr std::uint64_t kMostPartsOfBound = 500;
    if (whole.bound_cycles * kMostPartsOfBound > cycles_of(whole.outcome)) {
      return {run_jobs(all, region), 0, 0};
    }
    return {std::move(whole.outcome), whole.left_out_cycles, whole.bound_cycles};
  }

  /// Appends of about equal size, of one segment, among decode steps near each other.
  std::string append_class(const Segment& region, std::size_t step) {
    constexpr std::size_t kMostSteps = 64;
    Segment appends{region.name, region.repeats, {}};
    for (const Operation& op : region.operations) {
      if (op.kind == OpKind::vector) appends.operations.push_back(op);
    }
    double work = 0;
    for (const Job& job : schedule(mapper_, appends, place(0))) {
      work += static_cast<double>(job.vector_cycles + job.dequantise_cycles);
      for (const auto* list : {&job.moving.transfers, &job.results}) {
        work += static_cast<double>(memory::total_bytes(*list));
      }
    }
    return fmt::format("{} {} {} {} {}", region.name, region.operations.size(),
                       region.operations.back().scored_rows, step / kMostSteps,
                       std::lround(2 * std::log2(1 + work)));
  }

  void plan_steps() {
    struct Member {
      Segment region;
      std::size_t step = 0;
      std::uint64_t tokens = 0;
    };
    std::map<std::string, std::vector<Member>> classes;
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      if (program_.steps[i].phase != Phase::decode) continue;
      for (const Segment& segment : program_.steps[i].segments) {
        for (Segment& region : regions_of(segment)) {
          const Operation& last = region.operations.back();
          if (last.kind != OpKind::attention || last.m != 1) continue;
          const std::uint64_t tokens = last.n;
          std::string who;
          for (Variant& variant : variants_of(region, program_.sequences)) {
            classes[append_class(variant.region, i) + who].push_back(
                {std::move(variant.region), i, tokens});
            who = " last";
          }
        }
      }
    }
    for (auto& [name, members] : classes) {
      const Member &first = members.front(), &last = members.back();
      // A thousandth more tokens is no other work: the first step stands for all.
      constexpr std::uint64_t kAlike = 1000;
      const bool alike =
          last.tokens >= first.tokens && (last.tokens - first.tokens) * kAlike <= first.tokens;
      for (std::size_t i = 1; i + (alike ? 0 : 1) < members.size(); ++i) {
        const Member& member = members[i];
        if (alike) {
          const double growth =
              static_cast<double>(last.tokens - first.tokens) / static_cast<double>(first.tokens);
          middles_.emplace(reuse_key(member.region), Middle{first.region, first.region, 0, growth});
          continue;
        }
        if (member.tokens < first.tokens || member.tokens > last.tokens) continue;
        middles_.emplace(reuse_key(member.region),
                         Middle{first.region, last.region,
                                static_cast<double>(member.step - first.step) /
                                    static_cast<double>(last.step - first.step),
                                0});
      }
    }
  }

  SegmentOutcome run_middle(const Segment& region, const Middle& middle, std::uint64_t times) {
    const Known &shorter = known(middle.shorter), &longer = known(middle.longer);
    const SegmentOutcome one =
        between(shorter.outcome, longer.outcome, middle.share, schedule(mapper_, region, place(0)),
                mapper_.machine().memory.dram.burst_bytes);
    const std::uint64_t a = cycles_of(shorter.outcome), b = cycles_of(longer.outcome);
    // Attention grows with the context. Appends of a class differ by up to a factor of sqrt(2).
    std::uint64_t appends = 0;
    for (std::size_t o = 0; o < region.operations.size(); ++o) {
      if (region.operations[o].kind == OpKind::vector) {
        appends += longer.outcome.operations[o].cycles();
      }
    }
    shortcuts.step_cycles += times * cycles_of(one);
    // At most twice in proportion, where a chunk begins.
    const auto grown =
        static_cast<std::uint64_t>(std::ceil(2 * middle.growth * static_cast<double>(a)));
    shortcuts.step_bound += times * (grown + (b > a ? b - a : a - b) + appends / 2 +
                                     std::max(shorter.bound_cycles, longer.bound_cycles));
    return repeated(one, times);
  }

  /// Layers, and sequences where each has its own cache, are placed alike modulo the memory's
  /// period, so that one stands for all.
  SegmentOutcome run_region(const Segment& region, const Step& step) {
    const bool own = of_one_sequence(region.operations.front());
    const std::uint64_t times = instances_of(region, step, program_);
    const std::uint64_t sequences = region.repeats == 0 ? 0 : times / region.repeats;
    const std::vector<Variant> variants = variants_of(region, sequences);
    SegmentOutcome total;
    total.operations.resize(region.operations.size());
    if (options_.reuse) {
      std::vector<Ran> of_layer;
      for (const Variant& variant : variants) {
        std::uint32_t recording = kNoRecording;
        const std::uint64_t all = region.repeats * variant.sequences;
        const SegmentOutcome outcome = run_known(variant.region, all, recording);
        add(total, outcome);
        if (all == 0) continue;
        of_layer.insert(of_layer.end(), variant.sequences, {recording, cycles_of(outcome) / all});
      }
      if (options_.timeline != nullptr) {
        ran_.clear();
        for (std::uint64_t i = 0; i < region.repeats; ++i) {
          ran_.insert(ran_.end(), of_layer.begin(), of_layer.end());
        }
      }
      return total;
    }
    for (std::uint64_t i = 0; i < region.repeats; ++i) {
      std::uint64_t s = 0;
      for (const Variant& variant : variants) {
        for (std::uint64_t n = 0; n < variant.sequences; ++n, ++s) {
          add(total, run_instance(variant.region, i, own ? s : 0));
        }
      }
    }
    return total;
  }

  /// `recording`: where the timeline has it, if there is one.
  SegmentOutcome run_known(const Segment& region, std::uint64_t times, std::uint32_t& recording) {
    if (!middles_.empty()) {
      const auto middle = middles_.find(reuse_key(region));
      if (middle != middles_.end()) return run_middle(region, middle->second, times);
    }
    const Known& one = known(region);
    recording = one.recording;
    shortcuts.round_cycles += times * one.left_out_cycles;
    shortcuts.round_bound += times * one.bound_cycles;
    return repeated(one.outcome, times);
  }

  /// Layers that lie in the same tiers run alike; those that begin or end a prefetch do not.
  SegmentOutcome run_tiered(const Segment& region, std::uint64_t first_layer) {
    const bool layered = first_layer != Tiering::kNoLayer;
    const bool prefetches = layered && tiering_->prefetches() && region.name != kSwapSegment;
    const std::string shape = reuse_key(region);
    SegmentOutcome total;
    total.operations.resize(region.operations.size());
    for (std::uint64_t i = 0; i < region.repeats; ++i) {
      Tiering::Where where = context_;
      where.shift = i * layout_.layer_stride;
      std::uint32_t next = Tiering::kNoLayer;
      if (layered) {
        where.layer = static_cast<std::uint32_t>(first_layer + i);
        where.shift += first_layer * program_.layer_stride_bytes;
        where.warm = prefetches && where.layer > 0;
        if (prefetches && where.layer + 1 < program_.layers) next = where.layer + 1;
      }
      const std::string key = shape + std::to_string(tiering_->kind(where.layer)) +
                              (where.warm ? " warm " : " cold ") +
                              std::to_string(tiering_->kind(next));
      auto known = tiered_.find(key);
      if (known == tiered_.end() || !options_.reuse) {
        std::vector<Job> jobs = schedule(mapper_, region, place(i),
                                         observing_timer(mapper_, region.operations, options_));
        tiering_->place(jobs, region, where);
        std::vector<PrefetchChunk> chunks;
        if (next != Tiering::kNoLayer) {
          chunks = tiering_->prefetch(next, where.shift + layout_.layer_stride);
        }
        Tiered tiered{
            run_jobs(jobs, region, {.prefetch = chunks, .marks = {}}), {}, i, recording_of_last()};
        collect_wear(jobs, chunks, tiered.worn);
        known = tiered_.insert_or_assign(key, std::move(tiered)).first;
      } else if (options_.timeline != nullptr) {
        ran_.push_back({known->second.recording, cycles_of(known->second.outcome)});
      }
      add(total, known->second.outcome);
      for (const memory::Transfer& write : known->second.worn) {
        const std::uint64_t address = memory::without_tier(write.address);
        const std::uint64_t moved =
            address >= layout_.spill_base
                ? address
                : address + (i - known->second.instance) * layout_.layer_stride;
        outcomes.tiers.wear.at(memory::tier_of(write.address)).write(moved, write.bytes);
      }
    }
    return total;
  }

  /// What is written to tiers that wear.
  void collect_wear(const std::vector<Job>& jobs, const std::vector<PrefetchChunk>& chunks,
                    std::vector<memory::Transfer>& worn) const {
    const auto put = [&](const memory::Transfer& transfer) {
      if (transfer.write && outcomes.tiers.wear.contains(memory::tier_of(transfer.address))) {
        worn.push_back(transfer);
      }
    };
    for (const Job& job : jobs) std::ranges::for_each(job.results, put);
    for (const PrefetchChunk& chunk : chunks) put(chunk.write);
  }

  Placement place(std::uint64_t instance, std::uint64_t sequence = 0) const {
    return layout_.place(program_, instance, sequence);
  }

  SegmentOutcome run_instance(const Segment& segment, std::uint64_t instance,
                              std::uint64_t sequence = 0) {
    const Placement placement = place(instance, sequence);
    if (options_.timing == Timing::pe) {
      return run_jobs(step_jobs(segment, placement, instance), segment);
    }
    return run_jobs(schedule(mapper_, segment, placement,
                             observing_timer(mapper_, segment.operations, options_)),
                    segment);
  }

  std::vector<Job> step_jobs(const Segment& segment, const Placement& placement,
                             std::uint64_t layer) {
    const ArrayTimer timer = [&](const pe::GemmShape& shape, const TilePlace& place) {
      return stepper_.step(shape, segment.operations[place.operation], layer, place);
    };
    return schedule(mapper_, segment, placement, timer);
  }

  /// Every instance on its own operands. What the machine around the array does with equal work is
  /// timed once; what the operands did is each instance's own.
  SegmentOutcome step_region(const Segment& region, std::uint64_t layer) {
    const bool reuse = options_.reuse && !mapper_.design().data_dependent();
    SegmentOutcome total;
    total.operations.resize(region.operations.size());
    for (std::uint64_t i = 0; i < region.repeats; ++i) {
      const Placement placement = place(i);
      const std::vector<Job> jobs = step_jobs(region, placement, layer + i);
      if (!reuse) {
        add(total, run_jobs(jobs, region));
        continue;
      }
      const std::string key = reuse_key(region);
      auto known = known_.find(key);
      if (known == known_.end()) {
        Known once{run_jobs(jobs, region), 0, 0};
        once.recording = recording_of_last();
        known = known_.emplace(key, std::move(once)).first;
      } else if (options_.timeline != nullptr) {
        ran_.push_back({known->second.recording, cycles_of(known->second.outcome)});
      }
      SegmentOutcome outcome = known->second.outcome;
      for (OperationOutcome& operation : outcome.operations) operation.counts = {};
      for (const Job& job : jobs) outcome.operations[job.operation].counts += job.counts;
      add(total, outcome);
    }
    return total;
  }

  Accelerator accelerator_;
  const Program& program_;
  Mapper& mapper_;
  SimulateOptions options_;
  Progress& progress_;
  Layout layout_;
  std::optional<RegionKeys> keys_;  ///< where regions may be known from other runs
  std::map<std::string, Known> known_;
  std::map<std::string, Middle> middles_;
  std::unique_ptr<Tiering> tiering_;  ///< null: all lies in DRAM
  Tiering::Where context_;            ///< of the step
  /// Of one instance, with what it wrote to tiers that wear.
  struct Tiered {
    SegmentOutcome outcome;
    std::vector<memory::Transfer> worn;
    std::uint64_t instance = 0;
    std::uint32_t recording = kNoRecording;  ///< in the timeline, where there is one
  };
  std::map<std::string, Tiered> tiered_;
  TileStepper stepper_;
  // The timeline's, where there is one.
  std::vector<Ran> ran_;  ///< the present region's instances, in order
  std::vector<bool> placed_;
  std::uint64_t timeline_cycles_ = 0;
  std::size_t timeline_slices_ = 0, timeline_dram_slices_ = 0;
};

/// What the closed form of an operation is taken from: the sums over its jobs.
struct JobSums {
  OperationOutcome counted;  ///< no cycles yet
  double dequantise_cycles = 0, vector_cycles = 0, at_memory_cycles = 0;
};

JobSums sums_of(const std::vector<Job>& jobs) {
  JobSums sums;
  for (const Job& job : jobs) {
    sums.counted.counts += job.counts;
    sums.dequantise_cycles += static_cast<double>(job.dequantise_cycles);
    if (job.at_memory) {
      sums.at_memory_cycles += static_cast<double>(job.at_memory->cycles);
      sums.counted.at_memory += job.at_memory->pass;
    }
    sums.vector_cycles += static_cast<double>(job.vector_cycles + job.background_vector_cycles);
    for (const auto* list : {&job.stationary.transfers, &job.moving.transfers, &job.results}) {
      for (const memory::Transfer& transfer : *list) {
        auto& bytes = transfer.write ? sums.counted.dram_write_bytes : sums.counted.dram_read_bytes;
        bytes[index_of(transfer.traffic)] += transfer.bytes;
      }
    }
  }
  return sums;
}

/// Of a matrix product the search has summed all jobs already, see MappingCost.
JobSums sums_of(const Operation& op, const MappingCost& cost) {
  constexpr std::size_t kActivations = index_of(TrafficClass::activations);
  JobSums sums;
  sums.counted.counts = cost.counts;
  sums.dequantise_cycles = static_cast<double>(cost.dequantise_cycles);
  sums.counted.dram_read_bytes[index_of(op.stationary_region.traffic)] += cost.weight_bytes;
  sums.counted.dram_read_bytes[kActivations] += cost.input_bytes;
  sums.counted.dram_write_bytes[kActivations] += cost.result_bytes;
  return sums;
}

/// The closed form of a program: each operation takes the longest of its products over the array's
/// peak, its bytes over the DRAM's, its dequantiser and its vector work; nothing waits, fills or
/// drains.
SegmentOutcome analyse(const Segment& segment, Mapper& mapper, const SimulateOptions& options) {
  const configs::MachineConfig& machine = mapper.machine();
  const double pes =
      static_cast<double>(machine.array.rows) * machine.array.cols * machine.array.count;
  SegmentOutcome outcome;
  for (const Operation& op : segment.operations) {
    const ArrayTimer timer = observing_timer(mapper, {&op, 1}, options);
    const JobSums sums = op.kind == OpKind::gemm && !timer
                             ? sums_of(op, mapper.map(op, gemm_parts(mapper.design(), op)).cost)
                             : sums_of(schedule(mapper, op, {}, timer));
    OperationOutcome& operation = outcome.operations.emplace_back(sums.counted);
    std::uint64_t read = 0, written = 0;
    for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
      read += operation.dram_read_bytes[c];
      written += operation.dram_write_bytes[c];
    }
    outcome.dram_events.add("dram.read_bit", 8 * read);
    outcome.dram_events.add("dram.write_bit", 8 * written);
    const double compute =
        std::max(static_cast<double>(operation.counts.mac_passes) / pes, sums.vector_cycles);
    const double memory =
        static_cast<double>(read + written) / machine.peak_dram_bytes_per_cycle() +
        sums.at_memory_cycles;
    const auto cycles = [](double x) { return static_cast<std::uint64_t>(std::ceil(x)); };
    auto& causes = operation.cycles_by_cause;
    const std::uint64_t longest = cycles(std::max({compute, memory, sums.dequantise_cycles}));
    causes[static_cast<std::size_t>(CycleCause::compute)] = cycles(compute);
    const CycleCause rest =
        memory >= sums.dequantise_cycles ? CycleCause::dram : CycleCause::dequantise;
    causes[static_cast<std::size_t>(rest)] = longest - cycles(compute);
  }
  return outcome;
}

/// The same of all layers and sequences.
SegmentOutcome analyse_step(const Segment& segment, const Step& step, const Program& program,
                            Mapper& mapper, const SimulateOptions& options) {
  const std::uint64_t together = step.phase == Phase::decode ? program.sequences : 1;
  if (step.rounds * together == 1) {
    return repeated(analyse(segment, mapper, options), segment.repeats);
  }
  SegmentOutcome all;
  for (const Segment& region : regions_of(segment)) {
    const std::uint64_t times = instances_of(region, step, program);
    SegmentOutcome some;
    some.operations.resize(region.operations.size());
    for (const Variant& variant : variants_of(region, times / region.repeats)) {
      add(some, analyse(variant.region, mapper, options), region.repeats * variant.sequences);
    }
    append(all, std::move(some));
  }
  return all;
}

Outcomes analyse(const Program& program, Mapper& mapper, const SimulateOptions& options) {
  Outcomes outcomes;
  for (const Step& step : program.steps) {
    std::vector<SegmentOutcome>& totals = outcomes.steps.emplace_back();
    for (const Segment& segment : step.segments) {
      totals.push_back(analyse_step(segment, step, program, mapper, options));
    }
  }
  return outcomes;
}

/// MACs a cycle in the formats of the program's linear layers; 0 where there is none.
double peak_macs(const Program& program, const pe::PeDesign& design, double pes) {
  for (const Segment& segment : program.steps.at(0).segments) {
    for (const Operation& op : segment.operations) {
      if (op.kind != OpKind::gemm) continue;
      double cycles = 0;  // of one PE for a row and a column
      for (const GemmPart& part : gemm_parts(design, op)) {
        const pe::Mode& mode = design.require_mode(part.operands.stationary, part.operands.moving);
        cycles += static_cast<double>(part.k) / mode.macs_per_cycle();
      }
      return pes * static_cast<double>(op.k) / cycles;
    }
  }
  return 0;
}

std::string bound_of(const OperationRow& row) {
  if (row.cycles == 0) return "none";
  const auto largest = std::max_element(row.cycles_by_cause.begin(), row.cycles_by_cause.end());
  switch (static_cast<CycleCause>(largest - row.cycles_by_cause.begin())) {
    case CycleCause::compute:
      return row.kind == "vector" ? "vector unit" : "compute";
    case CycleCause::fill_drain:
      return "fill/drain";
    case CycleCause::dram:
      return "bandwidth";
    case CycleCause::scratchpad:
      return "scratchpad";
    case CycleCause::dequantise:
      return "dequantiser";
    case CycleCause::dependency:
      return "vector unit";
  }
  return "none";
}

std::string kind_of(const Operation& op) {
  switch (op.kind) {
    case OpKind::gemm:
      return "gemm";
    case OpKind::attention:
      return "attention";
    case OpKind::vector:
      return "vector";
  }
  return "";
}

Tiling tiling_of(const GemmMapping& map, const MappingCost& cost) {
  return {map.m_tile,
          map.n_tile,
          map.k_tile,
          std::string(configs::kLoopOrderNames[static_cast<std::size_t>(map.order)]),
          cost.cycles,
          cost.first_load_cycles,
          static_cast<double>(cost.energy_pj),
          cost.dram_bytes};
}

/// Rows of a block, cached tokens of a chunk and channels of a head.
Tiling tiling_of(const AttentionMapping& map, const MappingCost& cost, std::uint64_t channels) {
  return {map.row_block,
          map.n_chunk,
          channels,
          map.cache_resident ? "cache_held" : "cache_passes",
          cost.cycles,
          cost.first_load_cycles,
          static_cast<double>(cost.energy_pj),
          cost.dram_bytes};
}

/// The mapping of a product with its cost, the runner-up and whether it was fixed.
struct Chosen {
  Tiling chosen;
  std::optional<Tiling> runner_up;
  std::uint64_t cycles = 0;
  bool fixed = false;
};
Chosen chosen_for(const Operation& op, Mapper& mapper) {
  Chosen result;
  if (op.kind == OpKind::attention) {
    const MappedAttention& mapped = mapper.map_attention(op);
    result = {tiling_of(mapped.mapping, mapped.cost, op.k), std::nullopt, mapped.cost.cycles,
              mapped.fixed};
    if (mapped.runner_up) {
      result.runner_up = tiling_of(*mapped.runner_up, mapped.runner_up_cost, op.k);
    }
    return result;
  }
  const MappedGemm& mapped = mapper.map(op, gemm_parts(mapper.design(), op));
  result = {tiling_of(mapped.mapping, mapped.cost), std::nullopt, mapped.cost.cycles, mapped.fixed};
  if (mapped.runner_up) {
    result.runner_up = tiling_of(*mapped.runner_up, mapped.runner_up_cost);
  }
  return result;
}

/// Adds `repeats` instances of a product to its row's mapping.
void add_mapping(OperationRow& row, const Operation& op, Mapper& mapper, std::uint64_t repeats) {
  if (op.kind == OpKind::vector) return;
  if (op.kind == OpKind::attention && passes_in_tiles(mapper.machine(), op)) return;
  if (op.kind == OpKind::attention && attends_at_memory(mapper.machine(), op)) return;
  const Chosen mapped = chosen_for(op, mapper);
  if (!row.mapping) {
    MappingChoice& choice = row.mapping.emplace();
    const auto objective = static_cast<std::size_t>(mapper.machine().mapping.objective);
    choice.objective = configs::kObjectiveNames[objective];
    choice.fixed = mapped.fixed;
    choice.chosen = mapped.chosen;
    choice.runner_up = mapped.runner_up;
  }
  row.mapping->estimated_cycles += mapped.cycles * repeats;
}

/// Forms of a coded cache: "int2 + int4 keys, int2 + int4 values".
std::string cache_format_of(const Operation& op) {
  const auto side = [](const workloads::CacheRegion& cache) {
    std::string text;
    for (const KvForm& form : cache.geometry->layout.forms) {
      text += (text.empty() ? "" : " + ") + form.format;
    }
    return text.empty() ? std::string("whole") : text;
  };
  return side(*op.stationary_cache) + " keys, " + side(*op.context_cache) + " values";
}

/// "int4 g128", or the parts: "int1 10 % int2 80 % int3 10 % g128".
std::string weight_format_of(const Operation& op) {
  if (op.stationary_cache) return cache_format_of(op);
  if (op.weight_parts.empty()) return quant::describe(op.stationary);
  std::string text;
  for (const workloads::WeightPart& part : op.weight_parts) {
    const double share = 100.0 * static_cast<double>(part.k) / static_cast<double>(op.k);
    text += fmt::format("{} {:.3g} % ", name_of(part.spec.format), share);
  }
  const quant::QuantSpec& spec = op.weight_parts.front().spec;
  const std::string described = quant::describe(spec);
  return text + described.substr(std::min(described.size(), name_of(spec.format).size() + 1));
}

std::string row_name(const Operation& op) {
  return op.part.empty() ? op.name : op.name + " (" + op.part + ")";
}

OperationRow describe(const Operation& op, Phase phase, const Segment& segment) {
  OperationRow row;
  row.name = row_name(op);
  // Runs of layers in different precisions are different rows.
  if (segment.name.starts_with("layer ") || segment.name.starts_with("layers ")) {
    row.name += " (" + segment.name + ")";
  }
  row.kind = kind_of(op);
  row.phase = name_of(phase);
  row.repeats = 0;
  if (op.kind == OpKind::vector) {
    row.m = op.rows;
    row.n = op.width;
  } else {
    row.weight_format = weight_format_of(op);
    row.activation_format = quant::describe(op.moving);
  }
  return row;
}

/// The steps of several programs as those of one piece of work.
class SharedProgress : public Progress {
 public:
  SharedProgress(Progress& whole, std::span<const TimedProgram> programs) : whole_(whole) {
    for (const TimedProgram& timed : programs) total_ += timed.program.steps.size();
  }
  void report(std::string_view what, std::uint64_t, std::uint64_t) override {
    whole_.report(what, ++done_, total_);
  }
  bool cancelled() const override { return whole_.cancelled(); }

 private:
  Progress& whole_;
  std::uint64_t done_ = 0, total_ = 0;
};

/// All programs in one SystemC simulation, side by side: they share no module, so that none sees
/// another.
std::vector<Outcomes> run_in_systemc(std::span<const TimedProgram> programs,
                                     std::span<const std::unique_ptr<Mapper>> mappers,
                                     const SimulateOptions& options, Progress& progress) {
  std::vector<Outcomes> outcomes;
  kernel::run_simulation([&] {
    SharedProgress shared(progress, programs);
    std::vector<std::unique_ptr<ProgramRunner>> runners;
    for (std::size_t i = 0; i < programs.size(); ++i) {
      const std::string name = programs.size() == 1 ? "machine" : "machine" + std::to_string(i);
      SimulateOptions own = options;
      if (i > 0) own.timeline = nullptr;
      runners.push_back(std::make_unique<ProgramRunner>(
          name.c_str(), programs[i].program, programs[i].machine, *mappers[i], own, shared));
    }
    const auto ended = [&] {
      if (progress.cancelled()) throw Interrupted();
      return std::ranges::all_of(runners, [](const auto& runner) { return runner->ended; });
    };
    // No single job takes a second of simulated time.
    kernel::run_until(ended, sc_core::sc_time(1, sc_core::SC_SEC), [&] {
      std::uint64_t jobs = 0;
      for (const auto& runner : runners) jobs += runner->progress();
      return jobs;
    });
    for (const auto& runner : runners) {
      if (runner->failure) std::rethrow_exception(runner->failure);
      outcomes.push_back(std::move(runner->outcomes));
    }
    return 0;
  });
  return outcomes;
}

void add_tier_notes(RunResult& result, const configs::MachineConfig& machine,
                    const Outcomes& outcomes) {
  const auto note = [&](const char* name, std::string text) {
    result.notes.emplace_back(name, std::move(text));
  };
  if (!result.tiers.empty()) {
    note("tiers",
         "a byte has the bank and row of its address in the program in whatever memory it lies "
         "(frames handed out by colour); energy and area of a tier as its file states them, area "
         "not priced; wear is even inside a region");
    for (const std::size_t rule : outcomes.idle_rules) {
      note("idle placement rule",
           "memory.placement[" + std::to_string(rule) + "] fits nothing of this model and recipe");
    }
  }
  if (machine.memory.prefetch.staging_bytes > 0) {
    note("prefetch",
         "each layer runs as one region while half a staging of the next layer's weights comes in; "
         "the first layer of every step finds nothing staged (errs upwards)");
  }
  if (machine.memory.swap.every_steps > 0) {
    note("preemption",
         "the cache goes out and comes back at once: what other sequences do meanwhile is not "
         "timed");
  }
  if (machine.memory.pim.place != configs::PimPlace::none) {
    note("attention at the memory",
         "closed form of all-bank commands with tFAW and refresh; vectors cross the bus as traffic "
         "of the activations; layouts such that results come back complete; nothing else uses the "
         "memory meanwhile");
  }
}

/// Whether the program has an operation of which `holds`.
bool any_operation(const Program& program, const auto& holds) {
  return std::ranges::any_of(program.steps, [&](const Step& step) {
    return std::ranges::any_of(step.segments, [&](const Segment& segment) {
      return std::ranges::any_of(segment.operations, holds);
    });
  });
}

/// What sequences share at the beginning and at the end, all layers; nothing where they do not.
std::optional<KvSharing> sharing_of(const Program& program, Mapper& mapper) {
  if (program.shared_prefix == 0) return std::nullopt;
  KvSharing sharing;
  sharing.prefix_tokens = program.shared_prefix;
  for (const Segment& segment : program.steps.back().segments) {
    for (const Operation& op : segment.operations) {
      for (const auto* side : {&op.stationary_cache, &op.context_cache}) {
        if (!*side || !(*side)->prefix) continue;
        workloads::CacheRegion region = **side;
        const memory::KvCache end = mapper.kv_states().at(region, 0);
        sharing.pages_shared_at_end += segment.repeats * end.shared_pages();
        sharing.bytes_saved +=
            (program.sequences - 1) * segment.repeats * bytes_for(Bits(end.shared_bits())).count();
        region.before = program.shared_prefix;
        sharing.pages_shared += segment.repeats * mapper.kv_states().at(region, 0).shared_pages();
      }
    }
  }
  return sharing;
}

/// Outcomes as a result: rows, energy, area, notes.
RunResult result_of(const Program& program, const configs::MachineConfig& machine,
                    const SimulateOptions& options, const PriceList& prices, Mapper& mapper,
                    const Outcomes& outcomes) {
  const pe::PeDesign& design = mapper.design();
  RunResult result;
  result.machine = machine.name;
  result.recipe = program.recipe;
  result.model = program.model;
  result.clock_mhz = machine.clock_mhz;
  const double pes =
      static_cast<double>(machine.array.rows) * machine.array.cols * machine.array.count;
  result.peak_dram_bytes_per_cycle = machine.peak_dram_bytes_per_cycle();
  result.peak_macs_per_cycle = peak_macs(program, design, pes);
  result.kv_sharing = sharing_of(program, mapper);
  result.kv_bytes = program.kv_bytes - (result.kv_sharing ? result.kv_sharing->bytes_saved : 0);
  if (program.sequences > 1) result.sequences = program.sequences;
  result.notes = prices.notes();

  // Rows: one for each operation and format of each phase, summed over layers and decode steps.
  std::map<std::tuple<Phase, std::size_t, std::string>, std::size_t> row_of;
  std::vector<EventCounts> row_events;
  MemoryPaths paths(machine, has_coded_cache(program));
  if (options.timing != Timing::analytic) result.scratchpads = scratchpads_of(machine);
  TierTotals tiers = outcomes.tiers;
  std::vector<std::array<std::uint64_t, memory::kMostTiers>> row_tier_bytes;
  for (std::size_t s = 0; s < program.steps.size(); ++s) {
    const Step& step = program.steps[s];
    const std::uint64_t together = step.phase == Phase::decode ? program.sequences : 1;
    (step.phase == Phase::prefill ? result.prefill_tokens : result.decode_tokens) +=
        step.kept * step.rounds * together;
    for (std::size_t g = 0; g < step.segments.size(); ++g) {
      const Segment& segment = step.segments[g];
      const SegmentOutcome& outcome = outcomes.steps.at(s).at(g);
      result.events += outcome.dram_events;
      for (std::size_t o = 0; o < segment.operations.size(); ++o) {
        const Operation& op = segment.operations[o];
        const OperationOutcome& done = outcome.operations.at(o);
        const auto [it, inserted] = row_of.try_emplace(
            {step.phase, g, row_name(op) + weight_format_of(op)}, result.operations.size());
        if (inserted) {
          result.operations.push_back(describe(op, step.phase, segment));
          row_events.emplace_back();
          row_tier_bytes.emplace_back();
        }
        OperationRow& row = result.operations[it->second];
        if (op.kind != OpKind::vector) {
          row.m = op.m;
          row.n = op.n;
          row.k = op.k;
        }
        const std::uint64_t instances =
            segment.repeats * step.rounds * (of_one_sequence(op) ? together : 1);
        row.repeats += instances;
        add_mapping(row, op, mapper, instances);
        row.macs += done.counts.macs;
        for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
          row.cycles_by_cause[c] += done.cycles_by_cause[c];
        }
        std::uint64_t bytes = 0;
        for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
          row.dram_read_bytes[c] += done.dram_read_bytes[c];
          row.dram_write_bytes[c] += done.dram_write_bytes[c];
          bytes += done.dram_read_bytes[c] + done.dram_write_bytes[c];
        }
        constexpr std::size_t kKv = index_of(TrafficClass::kv_cache);
        for (std::size_t t = 0; t < memory::kMostTiers; ++t) {
          const BytesByClass& read = t == 0 ? done.dram_read_bytes : done.tier_read_bytes[t];
          const BytesByClass& written = t == 0 ? done.dram_write_bytes : done.tier_write_bytes[t];
          tiers.wait_cycles[t] += done.tier_wait_cycles[t];
          for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
            tiers.read_bytes[t][c] += read[c];
            tiers.written_bytes[t][c] += written[c];
            row_tier_bytes[it->second][t] += read[c] + written[c];
          }
          if (t == 0) continue;
          result.kv_bytes_read += read[kKv];
          result.kv_bytes_written += written[kKv];
        }
        result.kv_bytes_read += done.dram_read_bytes[kKv];
        result.kv_bytes_written += done.dram_write_bytes[kKv];
        result.kv_burst_bytes_read += done.counts.kv_read_burst_bytes;
        result.kv_burst_bytes_written += done.counts.kv_write_burst_bytes;
        if (result.kv_sharing) {
          result.kv_sharing->pages_copied += done.counts.kv_copied_pages;
          result.kv_sharing->pages_replaced += done.counts.kv_replaced_pages;
          result.kv_sharing->bytes_copied += done.counts.kv_copied_bytes;
        }
        if (step.phase == Phase::decode) {
          result.kv_dequantise_cycles += done.counts.kv_dequantise_cycles;
        }
        paths.add(done, row);
        for (std::size_t p = 0; p < result.scratchpads.size(); ++p) {
          row.held_byte_cycles[p] += done.held_byte_cycles[p];
          result.scratchpads[p].held_byte_cycles += done.held_byte_cycles[p];
        }
        row.cycles += done.cycles();
        row.compute_bound_cycles +=
            op.kind == OpKind::vector
                ? ceil_div(done.counts.vector_adds + done.counts.vector_multiplies,
                           machine.vector.lanes)
                : static_cast<std::uint64_t>(
                      std::ceil(static_cast<double>(done.counts.mac_passes) / pes));
        row.bandwidth_bound_cycles += static_cast<std::uint64_t>(
            std::ceil(static_cast<double>(bytes) / result.peak_dram_bytes_per_cycle));
        row_events[it->second] += on_chip_events(done.counts, machine.memory);
        row_events[it->second].add("pim.activate", done.at_memory.activates);
        row_events[it->second].add("pim.read_bit", done.at_memory.read_bits);
        row_events[it->second].add("pim.mac", done.at_memory.macs);
      }
    }
  }

  result.memory_paths = paths.paths();

  // DRAM energy of a row: its share of the bytes. Activations cannot be told apart more finely,
  // since streams of neighbouring operations share open rows.
  for (const EventCounts& events : row_events) result.events += events;
  const std::map<std::string, double> dynamic = prices.dynamic_pj(result.events);
  const double dram_pj = dynamic.contains("dram") ? dynamic.at("dram") : 0.0;
  const double all_bytes = static_cast<double>(result.total_dram_bytes());
  for (std::size_t i = 0; i < result.operations.size(); ++i) {
    OperationRow& row = result.operations[i];
    row.bound = bound_of(row);
    row.energy_pj = prices.dynamic_pj(row_events[i]);
    std::uint64_t bytes = 0;
    for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
      bytes += row.dram_read_bytes[c] + row.dram_write_bytes[c];
    }
    if (bytes > 0) row.energy_pj["dram"] = dram_pj * static_cast<double>(bytes) / all_bytes;
    for (std::size_t t = 1; t <= machine.memory.tiers.size(); ++t) {
      const std::uint64_t here = row_tier_bytes[i][t];
      const std::string component = memory::tier_component(machine.memory.tiers[t - 1].name);
      if (here == 0 || !dynamic.contains(component)) continue;
      std::uint64_t whole = 0;
      for (const auto& of_row : row_tier_bytes) whole += of_row[t];
      row.energy_pj[component] =
          dynamic.at(component) * static_cast<double>(here) / static_cast<double>(whole);
    }
    result.cycles += row.cycles;
    (row.phase == name_of(Phase::prefill) ? result.prefill_cycles : result.decode_cycles) +=
        row.cycles;
  }

  const ClockDomain clock(machine.clock_mhz);
  result.ttft_ms = clock.time(Cycles(result.prefill_cycles)).count() * 1e-6;
  if (result.decode_tokens > 0) {
    result.tpot_ms = clock.time(Cycles(result.decode_cycles)).count() * 1e-6 /
                     static_cast<double>(result.decode_tokens / program.sequences);
  }
  result.components = prices.components(result.events, clock.time(Cycles(result.cycles)));
  for (const ComponentRow& part : result.components) {
    result.energy_pj += part.dynamic_pj + part.static_pj;
    result.area_mm2 += part.area_mm2;
  }
  result.tiers = tier_rows(machine, tiers, result);
  add_tier_notes(result, machine, outcomes);
  result.notes.emplace_back("regions",
                            "the operations of a layer before, in and after attention each start "
                            "on a quiet machine: rows "
                            "precharged, refresh timer restarted, nothing prefetched; errs "
                            "upwards, by at most the load of "
                            "both halves of the weight scratchpad and one DRAM latency a region");
  if (const std::uint64_t packets = result.events.get("noc.packet"); packets > 0) {
    const auto waits = static_cast<double>(result.events.get("noc.wait_cycle"));
    result.notes.emplace_back(
        "network", fmt::format("{} packets between DMA engines and DRAM channels waited {:.2f} "
                               "cycles each for links and queues; a segment passes link and "
                               "channel one after the other, which errs upwards",
                               packets, waits / static_cast<double>(packets)));
  }
  if (const std::uint64_t lookups = result.events.get("cache.lookup"); lookups > 0) {
    const std::uint64_t hits = result.events.get("cache.hit");
    result.notes.emplace_back(
        "cache", fmt::format("{} of {} lines looked up were there ({:.1f} %); bytes of operations "
                             "are what they asked for, the cache's part included; it is empty at "
                             "the start of each region and written back at its end, which errs "
                             "upwards",
                             hits, lookups,
                             100.0 * static_cast<double>(hits) / static_cast<double>(lookups)));
  }
  if (const std::uint64_t taken = result.events.get(kKvCombinedWrite); taken > 0) {
    result.notes.emplace_back(
        "write combining",
        fmt::format("{} bytes of the coded cache went through a buffer of {} and left it as {} "
                    "bytes in {} of bursts, the rest of them at the run's end still in it or "
                    "written over; {} bytes were read in it; keys and values of every layer and "
                    "sequence have a part of it of their own",
                    taken, machine.kv_dequantiser.combining_bytes, result.kv_bytes_written,
                    result.kv_burst_bytes_written, result.events.get(kKvCombinedRead)));
  }
  if (!options.observations) {
    result.notes.emplace_back(
        "observed operands",
        "none, for want of a functional run: every pass of the array is priced as if both operands "
        "changed at random, an upper bound of its energy");
  }
  if (options.observations || design.data_dependent()) {
    const Observations& seen = options.observations.value_or(opt_profile());
    const auto share = [](double x) {
      char text[32];
      std::snprintf(text, sizeof text, "%.2f %%", 100.0 * x);
      return std::string(text);
    };
    result.notes.emplace_back(
        "observations",
        seen.source + ": weights " + share(seen.weight.zeros) + " zeros, " +
            share(seen.weight.outliers) + " outliers; activations " + share(seen.activation.zeros) +
            " zeros, " + share(seen.activation.outliers) +
            " outliers; by linear layer: zeros, taken as independent, and bits that change from "
            "word to word; attention is not observed, its held operands are credited");
  }
  if (options.timing == Timing::analytic) {
    result.notes.emplace_back(
        "timing",
        "analytic: every operation takes the longest of its products over the array's "
        "peak, its DRAM bytes over the peak bandwidth, its dequantiser and its vector "
        "work; no fill, drain, latency or waiting; errs downwards");
  }
  result.notes.insert(result.notes.end(), outcomes.notes.begin(), outcomes.notes.end());
  const bool coded = has_coded_cache(program);
  const bool tiled = machine.mapping.attention == configs::AttentionSchedule::tiled;
  const bool windowed = any_operation(program, [](const Operation& op) { return op.window > 0; });
  result.notes.emplace_back(
      "attention", tiled || coded || windowed
                       ? "in tiles with running sums; blocks that the causal mask hides are skipped"
                       : "all cached positions are computed; masked ones are not skipped");
  if (coded) {
    result.notes.emplace_back(
        "kv cache",
        "prefill attends to fp16 keys and values before they are coded; tokens that a policy "
        "chooses by their values (salience, eviction, retrieval) are stood for by others, which "
        "decides addresses and not amounts; probabilities that a policy needs take a second pass "
        "of its "
        "queries over the keys, or the vector unit where the step's own scores stay on chip; "
        "retrieved rows are fetched when their index has been read and the choice is made");
  }
  if (program.sequences > 1) {
    result.notes.emplace_back(
        "sequences",
        fmt::format(
            "{} of equal length: prompts pass one after the other (TTFT is the last one's), "
            "decode steps together; each one's cache is appended to and attended to by "
            "itself, from a quiet machine, which errs upwards (see regions)",
            program.sequences));
  }
  if (result.kv_sharing) {
    const KvSharing& sharing = *result.kv_sharing;
    result.notes.emplace_back(
        "shared prefix",
        fmt::format(
            "{} tokens computed and kept once: {} pages, {} of them shared to the end; {} pages "
            "copied before a sequence wrote into them, {} written anew without, {} bytes copied, "
            "what lies in no page (windows, sinks, parameters of a class) included; {} bytes "
            "saved; the rest of a prompt attends to the cache as it is coded, in one chunk",
            sharing.prefix_tokens, sharing.pages_shared, sharing.pages_shared_at_end,
            sharing.pages_copied, sharing.pages_replaced, sharing.bytes_copied,
            sharing.bytes_saved));
  }
  if (!program.note.empty()) result.notes.emplace_back("context", program.note);
  if (options.over_time) add_over_time(result, program, outcomes.steps);
  result.check_sums();
  return result;
}

}  // namespace

bool has_coded_cache(const Program& program) {
  return any_operation(program, [](const Operation& op) { return op.written_cache.has_value(); });
}

std::vector<std::vector<CyclesByCause>> time_segments(std::span<const TimedProgram> programs,
                                                      Progress& progress) {
  std::vector<std::unique_ptr<Mapper>> mappers;
  for (const TimedProgram& timed : programs) {
    mappers.push_back(
        std::make_unique<Mapper>(timed.machine, pe::find_design(timed.machine.array.pe)));
  }
  std::vector<std::vector<CyclesByCause>> times;
  for (const Outcomes& outcomes : run_in_systemc(programs, mappers, {}, progress)) {
    SYSTOLE_CHECK(outcomes.steps.size() == 1, "segments of one step are timed");
    std::vector<CyclesByCause>& program = times.emplace_back();
    for (const SegmentOutcome& segment : outcomes.steps.front()) {
      CyclesByCause& time = program.emplace_back();
      for (const OperationOutcome& operation : segment.operations) {
        for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
          time[c] += operation.cycles_by_cause[c];
        }
      }
    }
  }
  return times;
}

namespace {

/// All that the jobs of a region are made from: the operations, where they lie, the machine, and
/// the mappings, in whose choice prices have a say.
RegionKey source_of(const std::string& region_text, const Segment& region, const Placement& place,
                    Mapper& mapper, const RegionKey& machine) {
  configs::Digest digest;
  digest.add(std::string_view(region_text));
  const auto put = [&](auto... values) { (digest.add(static_cast<std::uint64_t>(values)), ...); };
  put(machine[0], machine[1], place.offset, place.spill_base, place.spill_bytes);
  for (const Operation& op : region.operations) {
    if (op.kind == OpKind::gemm) {
      const GemmMapping& map = mapper.map(op, gemm_parts(mapper.design(), op)).mapping;
      put(map.m_tile, map.n_tile, map.k_tile, map.order, map.whole_weight, map.whole_activation);
    } else if (op.kind == OpKind::attention && !attends_at_memory(mapper.machine(), op) &&
               !passes_in_tiles(mapper.machine(), op)) {
      const AttentionMapping& map = mapper.map_attention(op).mapping;
      put(map.row_block, map.n_chunk, map.cache_resident);
    }
  }
  return digest.value();
}

}  // namespace

std::optional<RunResult> recall(const TimedProgram& timed, const SimulateOptions& options) {
  const auto& [program, machine] = timed;
  if (options.timings == nullptr || options.timing != Timing::tile || !options.reuse ||
      options.extrapolate || options.observations || options.timeline != nullptr ||
      !machine.memory.tiers.empty() || program.shared_prefix > 0) {
    return std::nullopt;
  }
  const PriceList prices(machine, has_coded_cache(program));
  check_fixed_names(machine, program);
  Mapper mapper(machine, pe::find_design(machine.array.pe), opt_profile(), options.searches);
  const Layout layout =
      layout_of(program, memory::MemorySystem::address_period_bytes(machine.memory));
  const Placement place = layout.place(program, 0, 0);
  const RegionKeys keys(machine);
  const RegionKey digest = priceless_digest(machine);
  std::map<std::string, SegmentOutcome> known;
  Outcomes outcomes;
  for (const Step& step : program.steps) {
    std::vector<SegmentOutcome>& totals = outcomes.steps.emplace_back();
    for (const Segment& segment : step.segments) {
      SegmentOutcome& total = totals.emplace_back();
      for (const Segment& region : regions_of(segment)) {
        const auto [it, fresh] = known.try_emplace(reuse_key(region));
        if (fresh) {
          const auto make = [&] {
            const std::vector<Job> jobs = schedule(mapper, region, place);
            return RegionTimings::Scheduled{keys.of(jobs),
                                            count_work(jobs, region.operations.size())};
          };
          // The text of a coded cache's region is of this program alone.
          const bool coded = std::ranges::any_of(region.operations, [](const Operation& op) {
            return op.stationary_cache || op.context_cache || op.written_cache;
          });
          const RegionTimings::Scheduled scheduled =
              coded ? make()
                    : options.timings->scheduled(
                          source_of(it->first, region, place, mapper, digest), make);
          std::optional<SegmentOutcome> outcome = options.timings->find(scheduled.key);
          if (!outcome || outcome->operations.size() != region.operations.size()) {
            return std::nullopt;
          }
          set_work(*outcome, scheduled.work);
          it->second = std::move(*outcome);
        }
        append(total, repeated(it->second, instances_of(region, step, program)));
      }
    }
  }
  check_capacity(program, machine, layout);
  add_kept(mapper, program, outcomes.steps);
  return result_of(program, machine, options, prices, mapper, outcomes);
}

std::vector<RunResult> simulate_all(std::span<const TimedProgram> given,
                                    const SimulateOptions& asked, Progress& progress) {
  SimulateOptions options = asked;
  Timeline for_excerpt;
  // An excerpt needs no more than its first layers.
  for_excerpt.first_layers_only = true;
  for_excerpt.most_slices = 200'000;
  for_excerpt.most_dram_slices = 50'000;
  SYSTOLE_CHECK(
      options.timeline == nullptr || (!options.extrapolate && options.timing != Timing::analytic),
      "a timeline is of a program that is simulated whole");
  if (options.over_time && options.timeline == nullptr && options.timing != Timing::analytic) {
    options.timeline = &for_excerpt;
  }
  std::vector<TimedProgram> preempted;
  std::span<const TimedProgram> programs = given;
  const auto swaps = [](const TimedProgram& timed) {
    return timed.machine.memory.swap.every_steps > 0;
  };
  if (std::ranges::any_of(given, swaps)) {
    for (const TimedProgram& timed : given) {
      preempted.push_back({with_swaps(timed.program, timed.machine.memory.swap), timed.machine});
    }
    programs = preempted;
  }
  std::vector<PriceList> prices;
  std::vector<std::unique_ptr<Mapper>> mappers;
  std::vector<Outcomes> outcomes;
  // Every operation of every program is checked before the clock starts.
  for (const TimedProgram& timed : programs) {
    prices.emplace_back(timed.machine, has_coded_cache(timed.program));
    check_fixed_names(timed.machine, timed.program);
    mappers.push_back(std::make_unique<Mapper>(timed.machine,
                                               pe::find_design(timed.machine.array.pe),
                                               options.observations.value_or(opt_profile()),
                                               options.observations ? nullptr : options.searches));
    if (options.timing == Timing::analytic) {
      outcomes.push_back(analyse(timed.program, *mappers.back(), options));
    } else {
      for (const Step& step : timed.program.steps) {
        for (const Segment& segment : step.segments) schedule(*mappers.back(), segment, {});
      }
    }
    if (options.timing == Timing::pe && timed.program.sequences > 1) {
      throw ConfigError("--timing pe steps one sequence; found " +
                        std::to_string(timed.program.sequences) + ", time them with --timing tile");
    }
    if (timed.program.sequences > 1 && !timed.machine.memory.tiers.empty()) {
      throw ConfigError("machine '" + timed.machine.name +
                        "' has memory.tiers, which place one sequence; found " +
                        std::to_string(timed.program.sequences));
    }
    if (options.timing != Timing::tile && !timed.machine.memory.tiers.empty()) {
      throw ConfigError("--timing " +
                        std::string(kTimingNames[static_cast<std::size_t>(options.timing)]) +
                        " knows one memory; machine '" + timed.machine.name +
                        "' has memory.tiers, time it with --timing tile");
    }
    if (options.timing == Timing::pe && timed.machine.memory.pim.place != configs::PimPlace::none) {
      throw ConfigError("--timing pe steps no attention at the memory; machine '" +
                        timed.machine.name + "' has memory.pim, time it with --timing tile");
    }
    if (options.timing == Timing::pe && timed.machine.array.count > 1) {
      throw ConfigError("--timing pe steps one array; array.count is " +
                        std::to_string(timed.machine.array.count));
    }
    if (options.timing == Timing::pe && has_coded_cache(timed.program)) {
      throw ConfigError("--timing pe steps no coded KV cache; recipe '" + timed.program.recipe +
                        "' has one, time it with --timing tile");
    }
    if (options.timing == Timing::pe && options.operands != nullptr) {
      SYSTOLE_CHECK(programs.size() == 1, "operands are those of one program");
      refuse_endless_stepping(*mappers.back(), timed.program);
    }
  }

  if (options.timing != Timing::analytic) {
    outcomes = run_in_systemc(programs, mappers, options, progress);
    for (std::size_t i = 0; i < programs.size(); ++i) {
      add_kept(*mappers[i], programs[i].program, outcomes[i].steps);
    }
  }

  std::vector<RunResult> results;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    results.push_back(result_of(programs[i].program, programs[i].machine, options, prices[i],
                                *mappers[i], outcomes[i]));
  }
  if (options.timeline != nullptr) {
    const RunResult& result = results.front();
    options.timeline->title = result.model + ", " + result.recipe + ", " + result.machine;
    options.timeline->clock_mhz = result.clock_mhz;
    if (options.over_time) results.front().excerpt = excerpt_of(*options.timeline);
  }
  return results;
}

RunResult simulate(const Program& program, const configs::MachineConfig& machine,
                   const SimulateOptions& options, Progress& progress) {
  const TimedProgram timed{program, machine};
  return std::move(simulate_all({&timed, 1}, options, progress).front());
}

}  // namespace systole::sim
