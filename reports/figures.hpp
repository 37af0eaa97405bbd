// Every figure of a result as one flat list: what diff compares and what the tables print. It is
// read off the JSON document, so that a figure added there is compared and printed without another
// list.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// monostate: the figure is absent (null in the JSON document).
using FigureValue = std::variant<std::monostate, std::uint64_t, double, std::string>;

struct NamedFigure {
  std::string section;  ///< "summary", "operations", "components", "events", "config" or "notes"
  std::string row;      ///< "prefill attn_q", "dram", ...; empty in summary, events, config, notes
  std::string name;     ///< key, nested ones with a dot: "cycles_by_cause.dram"
  FigureValue value;
};

/// In the document's order, without its curves (windows, steps). Rows of equal names are told apart
/// by " #2", " #3".
std::vector<NamedFigure> figures_of(const RunResult& result);

/// Says what was run and with what, and is no outcome: configuration, notes, names, version,
/// command, the sources of prices.
bool is_setting(const NamedFigure& figure);

/// For machines: every digit; doubles read back to the same bits; empty where absent.
std::string exact_text(const FigureValue& value);
/// For people: units and digits of format.hpp, by the figure's name.
std::string printed_text(const NamedFigure& figure);

}  // namespace systole::reports
