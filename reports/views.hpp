// What the terminal and the page show, computed once: the headline, operations merged by name, sums
// by cause, by class and by component. Renderers lay these out and compute nothing themselves.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// One headline figure, already formatted.
struct Figure {
  std::string label;                           ///< "TTFT"
  std::string value;                           ///< "1.23 s"
  std::string detail;                          ///< "2048 prompt tokens"
  std::optional<double> share = std::nullopt;  ///< where the figure is one: of 1
};

/// Perplexity, TTFT, TPOT, energy, area, utilisation, bandwidth share, cycles: always these eight,
/// in this order.
std::vector<Figure> headline(const RunResult& result);

/// A figure that results are compared by.
struct Metric {
  std::string_view name;  ///< in JSON, and of figure_table.hpp
  std::function<std::optional<double>(const RunResult&)> value;
  int better;         ///< -1 lower, +1 higher, 0 neither
  bool ratio = true;  ///< to another's says something: not where values span decades
};
/// Of the terminal, the page and the tables of a comparison, in this order.
const std::vector<Metric>& metrics();
/// Those that any of the results has.
std::vector<Metric> metrics_of(std::span<const RunResult> results);

/// Phases in order of first appearance: normally "prefill", "decode".
std::vector<std::string> phases_of(const RunResult& result);

/// In a sentence or two: where time and energy go. Empty for a result without cycles.
std::string verdict(const RunResult& result);

/// Rows of one phase with equal names summed (layers listed one by one), in order of first
/// appearance. Shapes that differ become 0, formats that differ become "mixed"; `bound` is the one
/// with most cycles.
std::vector<OperationRow> merged_operations(const RunResult& result, std::string_view phase);
/// The same by a name of `name_of`'s making, which becomes the rows'.
std::vector<OperationRow> merged_operations(
    const RunResult& result, std::string_view phase,
    const std::function<std::string(const OperationRow&)>& name_of);

/// The rows of one phase by the layers they stand for: each run of layers that has rows of its own,
/// "layers 0 to 31, each 1.25 ms" (or "32 equal layers, each ..." beside such; as many as the
/// commonest of the repeated operations has), and what lies outside.
std::vector<OperationRow> merged_by_layer(const RunResult& result, std::string_view phase);

/// Dynamic and static together; 0 where that is not finite (a damaged file), so that it can be
/// sorted by.
double energy_of(const ComponentRow& row);
/// The components, the costliest first.
std::vector<ComponentRow> components_by_energy(const RunResult& result);

/// The sum over rows.
std::uint64_t cycles_of(std::span<const OperationRow> rows);

/// DRAM bytes of one row, both directions.
std::uint64_t dram_bytes_of(const OperationRow& row);

/// MACs / (cycles x peak MACs per cycle) of one row; absent without MACs.
std::optional<double> utilisation_of(const OperationRow& row, const RunResult& result);

/// Bytes that a scratchpad of the result holds, the mean over the run, and their share of its
/// capacity; absent without cycles or capacity.
std::optional<double> mean_held_bytes(const ScratchpadUse& use, const RunResult& result);
std::optional<double> occupancy_of(const ScratchpadUse& use, const RunResult& result);

/// Milliseconds of `cycles` at the result's clock; absent without a clock.
std::optional<double> milliseconds_of(double cycles, const RunResult& result);
std::string format_cycles_as_time(double cycles, const RunResult& result);

/// The sensitivities, what saves most time first.
std::vector<const SensitivityRow*> by_time_saved(const RunResult& result);

/// "compute", "fill / drain", "DRAM wait", ...
std::string_view cause_label(std::size_t cause);
/// "weights", "activations", "KV cache".
std::string_view class_label(std::size_t traffic_class);

/// "int4 g128 × int8", or the one that is named.
std::string formats_of(const OperationRow& row);
/// "2048×4096×4096" (m×n×k), leaving out zeros.
std::string shape_of(const OperationRow& row);

/// "256×512×4096, weights outer; runner-up +3.1 %", by the objective; empty without a mapping.
std::string mapping_of(const OperationRow& row);

/// A line a command: those of the results, then `command`, which made what is shown of them. Equal
/// ones once.
std::string commands_of(std::span<const RunResult> results, std::string_view command);

/// What a result's command sets of its machine: "memory.dram.channels" -> "4".
KeyValues overrides_of(const RunResult& result);
/// " + memory.dram.channels=4"; of several that would be long " + 3 settings"; empty for none.
std::string overrides_text(const KeyValues& overrides);
/// One a line, for what stands under the pointer; empty where `overrides_text` says all.
std::string overrides_hint(const KeyValues& overrides);

/// "llama-2-7b · mixpe-w4a8 · mixpe-128x128 + memory.dram.channels=4": what tells results apart.
std::string title_of(const RunResult& result);

}  // namespace systole::reports
