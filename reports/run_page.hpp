// The page of one result: where its time, energy and area go, and why.
#pragma once

#include <string>
#include <string_view>

#include "reports/markup.hpp"
#include "reports/roofline.hpp"
#include "sim/core/run_result.hpp"

namespace systole::reports {

/// "2048 prompt tokens, 64 decoded · 500 MHz · seed 0 · systole 0.1.0".
std::string run_remark(const RunResult& result);

/// All sections of one result. `prefix` goes before every id, so that several results can stand on
/// one page; then `bounds` are the axes that their rooflines share.
std::string run_sections(const RunResult& result, std::string_view prefix = "",
                         const RoofBoundsByName* bounds = nullptr);

/// Series colour of a component: those that machines usually have keep theirs on every page.
std::size_t component_colour(std::string_view name);
/// Likewise of the traffic classes.
std::size_t class_colour(std::size_t traffic_class);

/// A stretch of time by cause: one segment a cause, `whole` of them together. Only where the result
/// has a clock do the tooltips say times.
std::vector<Segment> cause_segments(const CyclesByCause& causes, double whole, const RunResult& r);

/// An item of a legend; the colour is a series'.
std::string legend_item(std::size_t colour, std::string_view text, bool light = false);

}  // namespace systole::reports
