// What the keys of an echoed configuration mean, by the field lists: for reports
// (explain_keys_with) of results that may be older than this binary.
#pragma once

#include <string_view>
#include <vector>

#include "sim/core/run_result.hpp"

namespace systole::configs {

/// Of each pair of echo(MachineConfig, Recipe): its field's meaning. Empty where no list has it.
std::vector<std::string_view> meanings(const KeyValues& echo);

}  // namespace systole::configs
