// PEs compared at equal area: what each array of the same silicon makes of one model, and how sure
// that is. Rows that every renderer shows alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/run_result.hpp"

namespace systole {

/// A figure, what the price bands of its own table leave open, and the span of it when the PE is
/// priced as other tables do.
struct Uncertain {
  double value = 0;
  Range band;
  Range profiles;  ///< value to value where no other table prices the PE
};

/// Prefill or decode of one machine.
struct PhaseFigures {
  std::uint64_t tokens = 0;
  Uncertain time_ms;                  ///< of the whole phase
  Uncertain energy_pj;                ///< settled transitions; the band's high end has all of them
  double energy_all_pj = 0;           ///< every transition counted, settled or not; no band
  std::optional<double> utilisation;  ///< MACs / (cycles x peak MACs per cycle)
  std::uint64_t cycles = 0;
  CyclesByCause cycles_by_cause{};
};

/// What a table says of a PE, as a ratio to its INT8 MAC: absolute values of tables mean different
/// things (nodes, registers or not, glitches or not).
struct ProfileRatio {
  std::string table;
  double node_nm = 0;
  std::optional<double> area, energy;  ///< of a pass; absent where the table has no such figure
  bool through_fp16 =
      false;  ///< the table has no INT8: its ratio to FP16 times ours of FP16 to INT8
  std::string source;
};

struct EqualAreaRow {
  std::string pe, recipe, dataflow;
  std::uint32_t rows = 0, cols = 0;
  double pe_um2 = 0;
  double array_mm2 = 0, array_area_band = 0;
  double clock_mhz = 0;
  PhaseFigures prefill, decode;
  std::optional<Quality> quality;  ///< of the recipe on the proxy model
  std::vector<ProfileRatio> profiles;
  RunResult run;
};

struct EqualAreaResult {
  std::string version, command, model, base_machine, energy_table;
  double node_nm = 0;
  double area_mm2 = 0;  ///< asked for
  std::string proxy;    ///< the model whose perplexity stands for the compared one's
  std::optional<double> reference_perplexity;  ///< of the proxy in fp32
  std::vector<EqualAreaRow> rows;              ///< as asked for
  KeyValues notes;

  /// The row of INT8, else the first: the base of ratios.
  const EqualAreaRow& base() const;
};

/// Speed of `row` over `base`, its array and the base's at opposite ends of their bands.
Uncertain speed_ratio(const Uncertain& row_time, const Uncertain& base_time);

}  // namespace systole
