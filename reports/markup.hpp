// The few pieces of HTML and SVG that the page is made of.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// `text` made printable (see format.hpp) with & < > " ' escaped: safe as content and inside quoted
/// attributes.
std::string escaped(std::string_view text);

/// `json` so that it stays inside its script element, whatever its texts say.
std::string in_script(std::string_view json);

/// One piece of a stacked bar. `colour` is the number of a series colour (class "s0" ... "s7").
struct Segment {
  double value = 0;
  std::size_t colour = 0;
  std::string title;   ///< tooltip, not yet escaped
  bool light = false;  ///< the paler half of a pair, e.g. static beside dynamic energy
};

/// A bar that fills its box's width at `full`: an SVG that stretches, so it stays sharp, prints,
/// and needs no script. Values that are negative or not finite count as 0.
std::string bar_svg(std::span<const Segment> segments, double full);

/// A coloured square for a legend.
std::string swatch_svg(std::size_t colour, bool light = false);

/// A headline figure. `share`, from 0 to 1: with a meter.
std::string tile_markup(std::string_view label, std::string_view value, std::string_view detail,
                        std::optional<double> share = std::nullopt);

/// The assumptions in force, of a page that compares.
std::string trust_section(const KeyValues& notes);

inline constexpr std::size_t kSeriesColours = 8;

}  // namespace systole::reports
