#include "sim/system/physical_twin.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

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

/// More pieces or bytes than this are minutes of simulation for one bar of a figure.
constexpr std::uint64_t kMostJobs = std::uint64_t{1} << 15;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;

/// What the mapper's closed form expects of a program; exact for array cycles and traffic, within 6
/// % of the simulated time (tests/system). Nothing where the program is small enough to simulate.
std::optional<PhysicalTime> expected(const workloads::Program& program,
                                     const configs::MachineConfig& machine,
                                     const pe::PeDesign& design) {
  Mapper mapper(machine, design);
  std::uint64_t jobs = 0, bytes = 0, cycles = 0, passes = 0;
  for (const workloads::Segment& segment : program.steps.front().segments) {
    for (const workloads::Operation& op : segment.operations) {
      const MappingCost& cost = mapper.map(op, gemm_parts(design, op)).cost;
      jobs += cost.jobs;
      bytes += cost.dram_bytes;
      cycles += segment.repeats * (cost.cycles + cost.first_load_cycles);
      passes += segment.repeats * cost.counts.mac_passes;
    }
  }
  if (jobs <= kMostJobs && bytes <= kMostBytes) return std::nullopt;
  const double pes = static_cast<double>(machine.array.rows) * machine.array.cols;
  const auto products = static_cast<std::uint64_t>(static_cast<double>(passes) / pes);
  return PhysicalTime{static_cast<double>(cycles),
                      "tile on " + design.name + " (closed form, too large to simulate here): " +
                          percent(std::min(products, cycles), cycles) +
                          " products, the rest edges, fill, drain and DRAM"};
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
                                                    Progress& progress) {
  std::vector<std::optional<PhysicalTime>> times(twins.size());
  std::vector<TimedProgram> programs;
  std::vector<std::size_t> twin_of;
  for (std::size_t i = 0; i < twins.size(); ++i) {
    if (twins[i].pe.empty()) continue;
    const pe::PeDesign& design = pe::find_design(twins[i].pe);
    if (twins[i].dram_bits_per_cycle == 0) {
      times[i] = array_only(twins[i], design);
      continue;
    }
    if (auto program = program_of(twins[i], design)) {
      times[i] = expected(*program, machine_of(twins[i], design), design);
      if (times[i]) continue;
      programs.push_back({std::move(*program), machine_of(twins[i], design)});
      twin_of.push_back(i);
    }
  }
  if (programs.empty()) return times;
  const std::vector<CyclesByCause> causes = time_programs(programs, progress);
  for (std::size_t p = 0; p < programs.size(); ++p) {
    const PhysicalTwin& twin = twins[twin_of[p]];
    const pe::PeDesign& design = pe::find_design(twin.pe);
    times[twin_of[p]] = PhysicalTime{
        static_cast<double>(std::accumulate(causes[p].begin(), causes[p].end(), std::uint64_t{0})),
        words(causes[p], design)};
  }
  return times;
}

}  // namespace systole::sim
