// What a trace viewer requires of a trace: the Trace Event Format's JSON object form.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace systole::reports {

/// Faults: events that lack a member of their phase, negative times, slices of one track that
/// overlap, tracks without a name, counters that are no numbers. None when it is valid.
std::vector<std::string> trace_faults(const nlohmann::json& trace);

}  // namespace systole::reports
