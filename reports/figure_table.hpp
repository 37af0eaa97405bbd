// The one table of figures: what each is called and how it is printed, by its name in JSON.
// Terminal, page, Markdown, LaTeX and the printed column of CSV take label and text from here, so
// that a figure reads alike wherever it stands, of a run, a comparison or a sweep.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace systole::reports {

/// How a figure becomes text, beside its digits: the same cases as in the script of a sweep's page.
enum class Print : std::uint8_t {
  number,    ///< significant digits, no unit or the one given
  count,     ///< format_count
  exact,     ///< every digit, in groups
  whole,     ///< every digit, as a number to be typed
  share,     ///< of 1, as a percentage
  change,    ///< of 1, as a percentage with its sign
  ratio,     ///< "2.50×"
  setting,   ///< as `number`, without zeros at its end: "500 MHz"
  time,      ///< of seconds: "1.23 s", "41.2 ms"
  prefixed,  ///< a decimal prefix before the unit
  bytes,     ///< as prefixed, exact below a thousand
  binary,    ///< a binary prefix: capacities
};

struct FigureStyle {
  std::string_view key;    ///< in JSON: "ttft_ms"
  std::string_view label;  ///< "TTFT"
  Print print = Print::number;
  std::string_view unit{};         ///< what the text ends in: "s", "J", "mm²"
  double scale = 1;                ///< from the key's unit to `unit`
  int digits = 3;                  ///< of Print::number
  std::string_view short_label{};  ///< for columns of a terminal; empty: `label`
};

/// Those that have an entry of their own.
std::span<const FigureStyle> figure_table();
/// The entry of `name` ("ttft_ms", "summary.ttft_ms"), or what the unit in the name says of others
/// ("cycles_by_cause.dram"), which have no label.
const FigureStyle& figure_style(std::string_view name);

/// What people call the figure; `name` itself where the table has none.
std::string_view figure_label(std::string_view name);
std::string_view short_figure_label(std::string_view name);

/// `value` in the unit and with the digits of the figure called `name`.
std::string format_figure(std::string_view name, double value);
std::string format_figure(std::string_view name, std::optional<double> value);

}  // namespace systole::reports
