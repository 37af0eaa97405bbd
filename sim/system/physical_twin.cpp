#include "sim/system/physical_twin.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "configs/library.hpp"
#include "pe/array_timing.hpp"
#include "pe/design.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"
#include "sim/system/mapping.hpp"
#include "sim/system/simulate.hpp"

namespace systole::sim {
namespace {

using analytic::PhysicalTime;
using analytic::PhysicalTwin;
using analytic::TwinGemm;

constexpr double kUsualClockMhz = 500;  // where the paper says none

/// The narrowest pair that the design takes and that holds operands of those whole bits (fractions
/// are metadata).
const pe::Mode* mode_for(const pe::PeDesign& design, double weight_bits, double activation_bits) {
  weight_bits = std::floor(weight_bits);
  activation_bits = std::floor(activation_bits);
  const pe::Mode* best = nullptr;
  const auto bits = [](const pe::Mode& mode) {
    return quant::bits_of(mode.weight) + quant::bits_of(mode.activation);
  };
  for (const pe::Mode& mode : design.modes) {
    if (quant::bits_of(mode.weight) < weight_bits) continue;
    if (quant::bits_of(mode.activation) < activation_bits) continue;
    if (best == nullptr || bits(mode) < bits(*best)) best = &mode;
  }
  return best;
}

/// The paper's elements as PEs: an element that splits into four narrow ones is a square of ours.
configs::ArrayConfig array_of(const PhysicalTwin& twin, const pe::PeDesign& design) {
  const bool splits = std::ranges::any_of(
      design.modes, [](const pe::Mode& mode) { return mode.spatial && mode.parts() == 4; });
  configs::ArrayConfig array;
  array.pe = design.name;
  array.rows = twin.rows * (splits ? 2 : 1);
  array.cols = twin.cols * (splits ? 2 : 1);
  switch (twin.dataflow) {
    case configs::PaperDataflow::ws:
      array.dataflow = configs::Dataflow::weight_stationary;
      break;
    case configs::PaperDataflow::os:
      array.dataflow = configs::Dataflow::output_stationary;
      break;
    case configs::PaperDataflow::is:
      array.dataflow = configs::Dataflow::input_stationary;
      break;
  }
  // A design that keeps its sums in the PE does so here too.
  if (!design.works_in(array.dataflow)) array.dataflow = configs::Dataflow::output_stationary;
  array.fold_overlap =
      twin.dram_bits_per_cycle == 0 ? configs::FoldOverlap::serial : configs::FoldOverlap::preload;
  return array;
}

configs::MachineConfig machine_of(const PhysicalTwin& twin, const pe::PeDesign& design) {
  configs::MachineConfig machine;
  machine.name = twin.machine;
  machine.clock_mhz = twin.clock_mhz > 0 ? twin.clock_mhz : kUsualClockMhz;
  machine.array = array_of(twin, design);
  // The papers' models count no scale-adds and no vector work beside their layer lists.
  machine.dequantiser.place = configs::DequantisePlace::pe;
  const auto scratchpad = [](std::uint64_t bytes) {
    configs::ScratchpadConfig s;
    s.capacity_bytes = bytes;
    s.banks = 1024;
    s.word_bytes = 64;
    return s;
  };
  machine.memory.weight = scratchpad(twin.weight_bytes);
  machine.memory.activation = scratchpad(twin.activation_bytes);
  // Sums of 32 bits where the papers count 16: room for as many.
  machine.memory.output =
      scratchpad(2 * (twin.output_bytes > 0 ? twin.output_bytes : twin.activation_bytes));
  machine.memory.dma.outstanding = 64;
  machine.memory.dram = configs::load_dram("hbm2-2.0");
  machine.memory.dram.capacity_bytes = std::uint64_t{1} << 36;  // addresses, not dies
  const double wanted = twin.dram_bits_per_cycle / 8.0 * machine.clock_mhz * 1e6;
  machine.memory.channels = static_cast<std::uint32_t>(
      std::max(1.0, std::round(wanted / machine.memory.dram.peak_bytes_per_second())));
  return machine;
}

/// One operation a product; equal ones once, repeated. All products use the same places in memory,
/// one after the other.
std::optional<workloads::Program> program_of(const PhysicalTwin& twin, const pe::PeDesign& design) {
  workloads::Program program;
  program.model = twin.network;
  program.recipe = twin.machine;
  program.layers = 1;
  workloads::Step step;
  std::uint64_t largest = 0;
  for (const TwinGemm& gemm : twin.gemms) {
    const pe::Mode* mode = mode_for(design, gemm.weight_bits, gemm.activation_bits);
    if (mode == nullptr) return std::nullopt;
    const auto bytes = [](double elements, double bits) {
      return static_cast<std::uint64_t>(std::ceil(elements * bits / 8));
    };
    const auto m = static_cast<double>(gemm.m), n = static_cast<double>(gemm.n),
               k = static_cast<double>(gemm.k);
    workloads::Operation op;
    op.name = "gemm";
    op.kind = workloads::OpKind::gemm;
    op.m = gemm.m;
    op.n = gemm.n;
    op.k = gemm.k;
    op.stationary.format = mode->weight;
    op.moving.format = mode->activation;
    op.stationary_region = {TrafficClass::weights, 0, bytes(n * k, gemm.weight_bits), 1, 0};
    op.input_bytes = bytes(m * k, gemm.activation_bits);
    op.output_bytes = bytes(m * n, 16);
    largest = std::max({largest, op.input_bytes, op.output_bytes, op.stationary_region.bytes});
    step.segments.push_back({"gemm", gemm.times, {op}});
  }
  step.kept = step.tokens;
  program.steps.push_back(step);
  program.activation_region = {TrafficClass::activations, ceil_div(largest, 4096) * 4096,
                               2 * largest, 1, 0};
  return program;
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return std::to_string(static_cast<int>(
             std::lround(100.0 * static_cast<double>(part) / static_cast<double>(whole)))) +
         " %";
}

std::string words(const CyclesByCause& causes, const pe::PeDesign& design) {
  const std::uint64_t total = std::accumulate(causes.begin(), causes.end(), std::uint64_t{0});
  if (total == 0) return {};
  const auto of = [&](CycleCause cause) {
    return percent(causes[static_cast<std::size_t>(cause)], total);
  };
  return "tile on " + design.name + ": products " + of(CycleCause::compute) + ", fill and drain " +
         of(CycleCause::fill_drain) + ", DRAM " + of(CycleCause::dram);
}

/// A program of more pieces or bytes than this is timed from samples of its products.
constexpr std::uint64_t kMostJobs = std::uint64_t{1} << 12;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 26;
/// A product of fewer pieces and bytes is simulated whole in any case.
constexpr std::uint64_t kFewJobs = 1024;
constexpr std::uint64_t kFewBytes = std::uint64_t{1} << 23;
/// Between the two samples lie at least so many rounds, and as many as take 24 refresh
/// intervals.
constexpr std::uint64_t kRoundsBetween = 4;
constexpr double kRefreshesBetween = 24;

/// The dimension that the outermost loop with more than one round cuts, and its tile.
struct OuterLoop {
  std::uint64_t workloads::Operation::*dimension;
  std::uint64_t tile = 0;
};
OuterLoop outer_loop(const workloads::Operation& op, const GemmMapping& map) {
  const OuterLoop m{&workloads::Operation::m, map.m_tile}, n{&workloads::Operation::n, map.n_tile},
      k{&workloads::Operation::k, map.k_tile};
  std::array<OuterLoop, 3> loops{m, n, k};
  if (map.order == configs::LoopOrder::weights_outer) loops = {n, k, m};
  if (map.order == configs::LoopOrder::reduction_outer) loops = {k, m, n};
  for (const OuterLoop& loop : loops) {
    if (op.*loop.dimension > loop.tile) return loop;
  }
  return loops[0];
}

/// The product with `rounds` rounds of its outermost loop, the last one as it was.
workloads::Operation with_rounds(workloads::Operation op, const OuterLoop& loop,
                                 std::uint64_t rounds) {
  const workloads::Operation whole = op;
  const std::uint64_t size = whole.*loop.dimension;
  const std::uint64_t edge = size - (ceil_div(size, loop.tile) - 1) * loop.tile;
  op.*loop.dimension = (rounds - 1) * loop.tile + edge;
  op.stationary_region.bytes = slice(whole.stationary_region.bytes, 0, op.n, whole.n).bytes;
  op.stationary_region.bytes = slice(op.stationary_region.bytes, 0, op.k, whole.k).bytes;
  op.input_bytes = slice(whole.input_bytes, 0, op.m, whole.m).bytes;
  op.input_bytes = slice(op.input_bytes, 0, op.k, whole.k).bytes;
  op.output_bytes = slice(whole.output_bytes, 0, op.m, whole.m).bytes;
  op.output_bytes = slice(op.output_bytes, 0, op.n, whole.n).bytes;
  return op;
}

/// Two numbers of rounds that a product is simulated with instead of all of them.
struct Samples {
  std::uint64_t few = 0, more = 0, all = 0;
};

/// Nothing where the product is small, or the smaller samples would keep on chip what the whole
/// does not.
std::optional<Samples> samples_of(const workloads::Operation& op, const MappedGemm& mapped,
                                  const configs::MachineConfig& machine) {
  const OuterLoop loop = outer_loop(op, mapped.mapping);
  Samples samples;
  samples.all = ceil_div(op.*loop.dimension, loop.tile);
  if (mapped.cost.jobs <= kFewJobs && mapped.cost.dram_bytes <= kFewBytes) return std::nullopt;
  const auto alike = [&](std::uint64_t rounds) {
    const workloads::Operation sample = with_rounds(op, loop, rounds);
    return stays_on_chip(machine, sample.input_bytes) == stays_on_chip(machine, op.input_bytes) &&
           stays_on_chip(machine, sample.output_bytes) == stays_on_chip(machine, op.output_bytes);
  };
  samples.few = 3;
  while (samples.few < samples.all && !alike(samples.few)) ++samples.few;
  const configs::DramConfig& dram = machine.memory.dram;
  const double refresh_cycles = dram.refi * machine.clock_mhz / dram.clock_mhz;
  const double round_cycles =
      static_cast<double>(mapped.cost.cycles) / static_cast<double>(samples.all);
  samples.more = samples.few +
                 std::max(kRoundsBetween, static_cast<std::uint64_t>(std::ceil(
                                              kRefreshesBetween * refresh_cycles / round_cycles)));
  if (2 * samples.more >= samples.all) return std::nullopt;
  return samples;
}

/// A twin's program with what its segments stand for.
struct SampledProgram {
  TimedProgram timed;
  std::vector<double> weights;  ///< of each segment's cycles
  std::uint64_t sampled = 0;    ///< products
};

/// Each large product of a large program as two samples, unless all is to be simulated `whole`.
SampledProgram sampled(workloads::Program program, const configs::MachineConfig& machine,
                       const pe::PeDesign& design, bool whole_products) {
  SampledProgram result{{{}, machine}, {}, 0};
  Mapper mapper(machine, design);
  std::vector<workloads::Segment> segments;
  std::uint64_t jobs = 0, bytes = 0;
  const auto& whole = program.steps.front().segments;
  for (const workloads::Segment& segment : whole) {
    const workloads::Operation& op = segment.operations.front();
    const MappingCost& cost = mapper.map(op, gemm_parts(design, op)).cost;
    jobs += cost.jobs;
    bytes += cost.dram_bytes;
  }
  const bool large = !whole_products && (jobs > kMostJobs || bytes > kMostBytes);
  for (const workloads::Segment& segment : whole) {
    workloads::Operation op = segment.operations.front();
    const MappedGemm& mapped = mapper.map(op, gemm_parts(design, op));
    const auto samples = large ? samples_of(op, mapped, machine) : std::nullopt;
    const auto times = static_cast<double>(segment.repeats);
    if (!samples) {
      segments.push_back({"gemm", 1, {op}});
      result.weights.push_back(times);
      continue;
    }
    op.name = "gemm " + std::to_string(segments.size());
    const GemmMapping& map = mapped.mapping;
    result.timed.machine.mapping.fixed[op.name] = {
        {map.m_tile, map.n_tile, map.k_tile}, map.order, {}};
    const OuterLoop loop = outer_loop(op, map);
    const double further = static_cast<double>(samples->all - samples->more) /
                           static_cast<double>(samples->more - samples->few);
    segments.push_back({"few", 1, {with_rounds(op, loop, samples->few)}});
    segments.push_back({"more", 1, {with_rounds(op, loop, samples->more)}});
    result.weights.push_back(-further * times);
    result.weights.push_back((1 + further) * times);
    ++result.sampled;
  }
  program.steps.front().segments = std::move(segments);
  result.timed.program = std::move(program);
  return result;
}

/// Without a memory: the closed form of every product, serial.
std::optional<PhysicalTime> array_only(const PhysicalTwin& twin, const pe::PeDesign& design) {
  const configs::ArrayConfig array = array_of(twin, design);
  CyclesByCause causes{};
  for (const TwinGemm& gemm : twin.gemms) {
    const pe::Mode* mode = mode_for(design, gemm.weight_bits, gemm.activation_bits);
    if (mode == nullptr) return std::nullopt;
    const pe::ArrayWork work =
        pe::array_work(array, design, {gemm.m, gemm.n, gemm.k, 0, mode->weight, mode->activation});
    causes[static_cast<std::size_t>(CycleCause::compute)] += gemm.times * work.stream_cycles;
    causes[static_cast<std::size_t>(CycleCause::fill_drain)] += gemm.times * work.fill_drain_cycles;
  }
  return PhysicalTime{
      static_cast<double>(std::accumulate(causes.begin(), causes.end(), std::uint64_t{0})),
      words(causes, design)};
}

}  // namespace

std::vector<std::optional<PhysicalTime>> time_twins(std::span<const PhysicalTwin> twins,
                                                    Progress& progress, bool whole) {
  std::vector<std::optional<PhysicalTime>> times(twins.size());
  std::vector<TimedProgram> programs;
  std::vector<SampledProgram> all;
  std::vector<std::size_t> twin_of;
  for (std::size_t i = 0; i < twins.size(); ++i) {
    if (twins[i].pe.empty()) continue;
    const pe::PeDesign& design = pe::find_design(twins[i].pe);
    if (twins[i].dram_bits_per_cycle == 0) {
      times[i] = array_only(twins[i], design);
      continue;
    }
    if (auto program = program_of(twins[i], design)) {
      all.push_back(sampled(std::move(*program), machine_of(twins[i], design), design, whole));
      programs.push_back(std::move(all.back().timed));
      twin_of.push_back(i);
    }
  }
  if (programs.empty()) return times;
  const auto causes = time_segments(programs, progress);
  for (std::size_t p = 0; p < programs.size(); ++p) {
    CyclesByCause sum{};
    for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
      double cycles = 0;
      for (std::size_t s = 0; s < causes[p].size(); ++s) {
        cycles += all[p].weights[s] * static_cast<double>(causes[p][s][c]);
      }
      sum[c] = static_cast<std::uint64_t>(std::llround(std::max(0.0, cycles)));
    }
    std::string note = words(sum, pe::find_design(twins[twin_of[p]].pe));
    if (all[p].sampled > 0) {
      note += " (large products sampled)";
    }
    times[twin_of[p]] = PhysicalTime{
        static_cast<double>(std::accumulate(sum.begin(), sum.end(), std::uint64_t{0})), note};
  }
  return times;
}

}  // namespace systole::sim
