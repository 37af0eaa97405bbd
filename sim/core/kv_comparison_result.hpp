// KV-cache systems side by side on several machines and batches: what a decode step moves, takes
// and waits for. Points that every renderer shows alike.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/run_result.hpp"

namespace systole {

/// What a cycle of a decode step is put down to.
enum class KvResource : std::uint8_t { dram, dequantiser, array, vector };
inline constexpr std::array<std::string_view, 4> kKvResourceNames = {"DRAM", "KV dequantiser",
                                                                     "array", "vector unit"};

/// Cycles by resource.
using KvCycles = std::array<std::uint64_t, kKvResourceNames.size()>;
KvResource most_of(const KvCycles& cycles);

/// A stage of the KV dequantiser: operations of all steps, and the cycles that it alone would take.
struct KvStageWork {
  std::string name;
  std::uint64_t operations = 0, cycles = 0;
};

/// One system on one machine with so many sequences; figures of all decode steps.
struct KvPoint {
  std::string kv, machine;
  std::uint64_t batch = 1;
  std::uint64_t steps = 0;
  std::uint64_t needed_bytes = 0, capacity_bytes = 0;  ///< of DRAM; the machine's own
  bool fits() const { return needed_bytes <= capacity_bytes; }
  KvCycles cycles{};                        ///< of a whole step
  KvCycles attention_cycles{};              ///< of appends and attention
  std::uint64_t bursts = 0, activates = 0;  ///< of DRAM, all traffic
  std::vector<KvStageWork> stages;
  RunResult run;

  KvResource binds() const { return most_of(cycles); }
  KvResource attention_binds() const { return most_of(attention_cycles); }
  /// "DRAM", "KV dequantiser (unpack)".
  std::string name_of(KvResource resource) const;
  const KvStageWork* slowest_stage() const;  ///< null where nothing is decoded
  double tpot_ms() const { return run.tpot_ms.value_or(0); }
  double energy_pj_per_token() const;
  /// Share of the bursts that find their row open.
  double row_hit_rate() const;
};

struct KvComparisonResult {
  std::string version, command, model;
  std::uint64_t prefill = 0, decode = 0;
  std::vector<std::string> systems, machines;
  std::vector<std::uint64_t> batches;
  std::vector<KvPoint> points;  ///< by batch, machine, system
  KeyValues notes;

  const KvPoint& at(std::size_t batch, std::size_t machine, std::size_t system) const;
};

}  // namespace systole
