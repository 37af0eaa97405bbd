// Runs a Program on a machine in SystemC and returns what it found.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "configs/machine.hpp"
#include "sim/core/observations.hpp"
#include "sim/core/progress.hpp"
#include "sim/core/run_result.hpp"
#include "sim/core/timeline.hpp"
#include "sim/system/region_timings.hpp"
#include "sim/system/schedule.hpp"
#include "workloads/operand_source.hpp"
#include "workloads/program.hpp"

namespace systole::sim {

class GemmSearches;

/// The first tile of a product as a waveform.
struct WaveformRequest {
  std::string file;
  std::string operation;  ///< "attn_q", "attention.scores"; empty: the program's first product
};

struct SimulateOptions {
  /// Simulate equal work once: a region of a layer (before, in, after attention) whose operations,
  /// formats and addresses modulo the layer stride have been run before reuses the outcome. Every
  /// region starts on a quiet machine either way, so the figures are the same.
  bool reuse = true;
  /// Of work that repeats itself simulate a part, see extrapolation.hpp: rounds of loops that do
  /// not wait for DRAM, and, of up to 64 decode steps with equal appends, the first and the last
  /// (the first alone where their tokens differ by less than a thousandth). What is counted (bytes,
  /// operations) is exact; the result's notes bound the cycles. With `reuse` and Timing::tile only.
  bool extrapolate = false;
  Timing timing = Timing::tile;
  /// What a functional run saw; without one nothing is gated, and data-dependent PEs take
  /// opt_profile().
  std::optional<Observations> observations{};
  /// Timing::pe: what the products multiply; null steps random codes. Of one program only.
  workloads::OperandSource* operands = nullptr;
  /// Where regions that run alike are known from other runs, and those of this one are put; with
  /// `reuse` and Timing::tile, without tiers, `timeline` and `extrapolate`. Figures are the same.
  RegionTimings* timings = nullptr;
  /// What searches for mappings found, of and for other runs without observations; or null.
  GemmSearches* searches = nullptr;
  /// Timing::pe, of one program: the registers of the array's PEs as a waveform.
  const WaveformRequest* waveform = nullptr;
  /// Gets what each part did when. Of the first program, not with Timing::analytic and not with
  /// `extrapolate`: what was not simulated has no times.
  Timeline* timeline = nullptr;
  /// Fill in the result's steps, windows and, where the timing has pieces, its excerpt.
  bool over_time = false;
};

/// The timed part of a RunResult: identity and quality are the caller's. SystemC elaborates once a
/// process, so this can be called once in a process (as often as wanted with Timing::analytic,
/// which needs no SystemC). Timing::pe steps the tiles of the program on the clocked array, as
/// TileStepper says: with `operands` every one of every layer and step, else every distinct one; it
/// refuses what would take hours. Regions are then reused in time alone, and not at all where the
/// data decide the cycles. Throws ConfigError when the program cannot run on the machine.
RunResult simulate(const workloads::Program& program, const configs::MachineConfig& machine,
                   const SimulateOptions& options, Progress& progress);

/// A program and the machine that it runs on.
struct TimedProgram {
  workloads::Program program;
  configs::MachineConfig machine;
};

/// The same of one program without a simulation, where options.timings knows every region of it;
/// nothing where it does not. As often as wanted in a process.
std::optional<RunResult> recall(const TimedProgram& timed, const SimulateOptions& options);

/// The same for several programs, side by side in one simulation, so once in a process; `simulate`
/// is the case of one. Results in the order of the programs, each as if it had run alone.
std::vector<RunResult> simulate_all(std::span<const TimedProgram> programs,
                                    const SimulateOptions& options, Progress& progress);

/// Whether keys and values lie in the layout of a codec.
bool has_coded_cache(const workloads::Program& program);

/// Cycles by cause of each segment's repeats, [program][segment of its only step], with
/// Timing::tile and without energy; one SystemC simulation for all, so once in a process.
std::vector<std::vector<CyclesByCause>> time_segments(std::span<const TimedProgram> programs,
                                                      Progress& progress);

}  // namespace systole::sim
